"""The runs of a report: found in folders, named, each with its statistics."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contested.analysis import Analysis, analyze
from contested.beside import beside
from contested.errors import RunError
from contested.report.run_names import run_names
from contested.trajectories import Trajectory
from contested.trajectories.layout import MANIFEST, checkpoint_steps


class ReportRun(NamedTuple):
    """A run of a report.

    Attributes:
        name: Its name in the report.
        trajectory: The run.
        analysis: Its statistics.
        held_out: Whether these are of the validation examples of a run whose training examples are another entry.
    """

    name: str
    trajectory: Trajectory
    analysis: Analysis
    held_out: bool = False


def analyzed(
    trajectories: Sequence[Trajectory], rng: np.random.Generator | None, n_resamples: int, clusters: str | None = None
) -> list[ReportRun]:
    """Name and analyse runs; each one's numbers are the same alone and beside others.

    Args:
        trajectories: The runs.
        rng: Source of all resamples: every run gets a copy of it in its present state.
        n_resamples: Bootstrap resamples of each interval.
        clusters: What says which examples belong together, as in :func:`contested.analysis.analyze`.

    Returns:
        The runs in the same order; one that tracks validation examples, too, is followed by these.
    """
    found: list[ReportRun] = []

    def one(trajectory: Trajectory) -> Analysis:
        return analyze(trajectory, clusters=clusters, rng=copy.deepcopy(rng), n_resamples=n_resamples)

    with beside(one, trajectories) as results:
        analyses = results()
    for name, trajectory, own in zip(run_names(trajectories), trajectories, analyses, strict=True):
        if own.validation is None:
            found.append(ReportRun(name, trajectory, own))
        else:
            apart = ReportRun(f"{name}, validation", trajectory.of_split("validation"), own.validation, held_out=True)
            found += [ReportRun(name, trajectory.of_split("train"), own), apart]
    return found


def all_categories(runs: Sequence[ReportRun]) -> list[str]:
    """Category names in order of rising entropy, over all runs."""
    return list(dict.fromkeys(name for run in runs for name in run.trajectory.category_names))


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """The run folders among ``folders`` and directly inside them or their ``runs`` folder.

    Args:
        folders: Run folders, or folders of runs such as a study's.

    Returns:
        Run folders: each given one as it is, those found in another sorted by name.

    Raises:
        RunError: If a folder is none and holds none.
    """
    found: list[Path] = []
    for folder in folders:
        inside = [] if _is_run(folder) else _inside(folder)
        if folder.is_dir() and not inside and not _is_run(folder):
            raise RunError(
                f"There is no run in {folder}: neither it nor a folder in it holds a {MANIFEST}. "
                "Give the folder that contested train wrote with --out, one that holds such, or that of a study."
            )
        found += inside or [folder]
    return found


def _inside(folder: Path) -> list[Path]:
    return sorted(found for found in (*folder.glob("*"), *folder.glob("runs/*")) if _is_run(found))


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run, also one that has lost its manifest: it is damaged, and not nothing."""
    return (folder / MANIFEST).exists() or bool(checkpoint_steps(folder))
