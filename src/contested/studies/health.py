"""Whether a study's folder is as it was written: its file, its runs, its miniature world, and what is left over."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from contested.errors import ContestedError
from contested.files import remove_temporaries, temporaries
from contested.studies.content import STUDY_FILE
from contested.studies.file import open_study
from contested.studies.folder import RUNS, WORLD
from contested.trajectories import RunHealth, RunLockedError, inspect_run, layout, remove_leftovers


class StudyHealth(NamedTuple):
    """The state of a study's folder.

    Attributes:
        damage: What of the study's own files is damaged, a sentence each.
        runs: The folder of each run to its state.
        begun: Run folders in which nothing is recorded yet.
        leftovers: What processes that are gone left beside the runs.
    """

    damage: tuple[str, ...]
    runs: Mapping[Path, RunHealth]
    begun: tuple[Path, ...]
    leftovers: tuple[Path, ...]


def inspect_study(folder: Path) -> StudyHealth:
    """Hold every file of a study's folder against what was written.

    Args:
        folder: The study's folder.

    Returns:
        Its state, whatever it is.
    """
    found = sorted(path for path in (folder / RUNS).glob("*") if path.is_dir() and not path.name.startswith("."))
    runs = [run for run in found if _recorded(run)]
    return StudyHealth(
        damage=(*_own_damage(folder), *_world_damage(folder)),
        runs={run: inspect_run(run) for run in runs},
        begun=tuple(run for run in found if run not in runs),
        leftovers=stray(folder),
    )


def stray(folder: Path) -> tuple[Path, ...]:
    """Find the temporary files and folders that dead processes left anywhere in a folder.

    Args:
        folder: A run's or a study's folder.

    Returns:
        Their paths, sorted; none that a process is writing.
    """
    return tuple(sorted(path for inner in _folders(folder) for path in temporaries(inner)))


def remove_stray(folder: Path) -> tuple[Path, ...]:
    """Remove what :func:`stray` finds.

    Args:
        folder: A run's or a study's folder.

    Returns:
        What was removed.
    """
    found = stray(folder)
    for inner in {path.parent for path in found}:
        remove_temporaries(inner)
    return tuple(path for path in found if not path.exists())


def repair_run(run: Path) -> tuple[Path, ...] | None:
    """Remove whatever is left over in a run's folder.

    Args:
        run: The run folder.

    Returns:
        What was removed; None where a process holds the run, which was left alone.
    """
    try:
        removed = remove_leftovers(run) if (run / layout.MANIFEST).exists() else ()
    except RunLockedError:
        return None
    return (*removed, *remove_stray(run))


def _recorded(run: Path) -> bool:
    """Whether a run's folder holds more than one has before its first manifest."""
    return (run / layout.MANIFEST).exists() or bool(layout.checkpoint_steps(run))


def _folders(folder: Path) -> list[Path]:
    found = [folder]
    for inner, names, _ in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        found += [Path(inner, name) for name in names]
    return found


def _own_damage(folder: Path) -> list[str]:
    try:
        open_study(folder)
    except ContestedError as error:
        return [f"{STUDY_FILE} cannot be read: {error}"]
    return []


def _world_damage(folder: Path) -> list[str]:
    # Makes the demo's world too, which most folders have not.
    from contested.studies.mini_world import damaged_parts

    return [
        f"{WORLD}/{name} is not as it was made. The command that runs the study makes it again."
        for name in damaged_parts(folder)
    ]
