"""A study's folder: its file, its runs and their status."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from contested.beside import collector_paused, each_beside
from contested.config import RunConfig
from contested.errors import DamagedRunError, RunError, write_error
from contested.files import write_text
from contested.studies.cells import Cell
from contested.studies.content import STUDY_FILE
from contested.studies.file import Study, dump_study
from contested.studies.index import UNREADABLE, Index, Recorded, identity_key, recorded_in
from contested.trajectories import layout

RUNS = "runs"
FAILURES = "failures"
WORLD = "world"
"""The data and backbones of a miniature."""
DAMAGED = "damaged"
"""The status of a run that is complete by its manifest and not as it was written."""
_TOGETHER = 64  # runs that a process holds against their manifests before it takes the next ones


class RunState(NamedTuple):
    """The state of a run's folder.

    Attributes:
        status: ``missing``, ``running``, ``complete``, ``failed``, ``interrupted``, ``other`` (the folder holds a run
            of another configuration), ``unreadable`` (its manifest cannot be read) or, where that was looked at,
            ``damaged`` (complete by its manifest, and not as it was written).
        epoch: Epochs done at the last checkpoint.
        checkpoints: Checkpoints recorded.
        params: Weights of its model; NaN where unknown.
        error: Why it failed or cannot be read; empty otherwise.
    """

    status: str
    epoch: float
    checkpoints: int
    params: float
    error: str


def is_study(folder: Path) -> bool:
    """Whether a folder is a study's.

    Args:
        folder: Any path.

    Returns:
        True where it holds a study's file.
    """
    return (folder / STUDY_FILE).is_file()


def check_folder(out: Path) -> None:
    """Refuse a folder that cannot take a study, before any work.

    Args:
        out: The folder, whether it is there or not.

    Raises:
        RunError: If it is a file, or holds other things than a study.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"Cannot write to {out}: it is a file. Choose another --out.")
    content = {file.name for file in out.iterdir()} if out.exists() else set()
    foreign = sorted(name for name in content - {WORLD} if not name.startswith("."))
    if foreign and not content & {STUDY_FILE, RUNS}:
        raise RunError(
            f"{out} is not empty and holds no study (it has {', '.join(foreign[:3])}). Give an empty or new folder."
        )


def begin(study: Study, out: Path) -> None:
    """Make the folder and put the study's file into it, in the place of an earlier one.

    Args:
        study: The study.
        out: The folder.

    Raises:
        RunError: If the folder cannot be written, or holds other things than a study.
    """
    check_folder(out)
    try:
        (out / RUNS).mkdir(parents=True, exist_ok=True)
        write_text(out / STUDY_FILE, dump_study(study))
    except OSError as error:
        raise write_error(error, f"Cannot write to {out}: {error.strerror or error}. Choose another --out.") from error


def run_folder(out: Path, cell: Cell) -> Path:
    """The folder that a study makes for one of its runs.

    Args:
        out: The study's folder.
        cell: The run.

    Returns:
        Its path, whether it is there or not. The run may be in another one: see :class:`StudyFolder`.
    """
    return out / RUNS / cell.run_id


def note_failure(folder: Path, message: str) -> None:
    """Keep why a run failed, for one that failed before it had a manifest.

    Args:
        folder: The run's folder, whether it is there or not.
        message: Why.
    """
    with contextlib.suppress(OSError):  # a full disk must not stop the other runs
        _note(folder).parent.mkdir(exist_ok=True)
        write_text(_note(folder), message or "unknown")


def forget_failure(folder: Path) -> None:
    """Drop what :func:`note_failure` kept, as the run begins again.

    Args:
        folder: The run's folder.
    """
    with contextlib.suppress(OSError):
        _note(folder).unlink(missing_ok=True)


def _note(folder: Path) -> Path:
    return folder.parent.parent / FAILURES / f"{folder.name}.txt"


class StudyFolder:
    """The present state of a study's folder: which folder holds which run.

    What was read before and has not changed since is taken from the folder's :class:`~contested.studies.index.Index`.

    A run is known by what its manifest says it is, whatever its folder is called: a study made by an earlier version
    gave its folders other names.

    Args:
        out: The study's folder.
        cells: Its runs.
        verify: Whether complete runs are held against what was written: the content of what an analysis reads, and the
            size of weights and snapshots.

    Attributes:
        path: The study's folder.
        states: Run id to the state of the run.
        others: How many runs in the folder are none of the cells'.
        whole: Complete runs that were found as they were written, where that was looked at: run id to the digest of the
            manifest.
        untidy: Folders of complete runs with something that a dead process left, where that was looked at.
    """

    @collector_paused()
    def __init__(self, out: Path, cells: Sequence[Cell], *, verify: bool = False) -> None:
        self.path = out
        index = Index(out / RUNS)
        by_identity: dict[str, list[Path]] = {}
        for folder, said in index.found.items():
            by_identity.setdefault(said.key, []).append(folder)
        self._folders = {
            cell.run_id: _best(run_folder(out, cell), by_identity.get(cell.key, []), index.found) for cell in cells
        }
        noted = _noted(out)
        self.states = {
            cell.run_id: _state(cell.key, self.folder(cell), index.found.get(self.folder(cell)), noted)
            for cell in cells
        }
        self.whole: dict[str, str] = {}
        self.untidy: list[Path] = []
        if verify:
            self._verify(cells, index)
        index.save()
        self.others = len(index.found.keys() - set(self._folders.values()))

    def folder(self, cell: Cell) -> Path:
        """The folder that holds a run, or will hold it.

        Args:
            cell: One of the study's runs.

        Returns:
            Its path.
        """
        return self._folders[cell.run_id]

    def _verify(self, cells: Sequence[Cell], index: Index) -> None:
        """Hold complete runs against what was written, but for files that were held against it before."""
        complete = {cell.run_id: self.folder(cell) for cell in cells if self.states[cell.run_id].status == "complete"}
        stamps = {run_id: index.stamp(folder) for run_id, folder in complete.items()}
        doubtful = [run_id for run_id, stamp in stamps.items() if not index.is_whole(complete[run_id], stamp)]
        self.whole = {run_id: index.found[folder].digest for run_id, folder in complete.items()}
        if not doubtful:
            return
        from contested.trajectories.resuming import check_whole  # takes pandas, for which a status need not wait

        def checked(run_id: str) -> DamagedRunError | bool:
            try:
                return bool(check_whole(complete[run_id], quick=True).leftovers)
            except DamagedRunError as error:
                return error

        for run_id, found in zip(doubtful, each_beside(checked, doubtful, _TOGETHER), strict=True):
            if isinstance(found, DamagedRunError):
                more = len(found.problems) - 1
                what = found.problems[0] + (f" And {more} more." if more else "")
                self.states[run_id] = self.states[run_id]._replace(status=DAMAGED, error=what)
                del self.whole[run_id]
            elif found:
                self.untidy.append(complete[run_id])
            else:
                index.note_whole(complete[run_id], stamps[run_id])


def state_of(config: RunConfig, folder: Path) -> RunState:
    """The present state of one run's folder.

    Args:
        config: The run's configuration.
        folder: Its folder.

    Returns:
        The state by its manifest.
    """
    said = recorded_in(folder) if (folder / layout.MANIFEST).exists() else None
    return _state(identity_key(config), folder, said, [folder.name] if _note(folder).is_file() else [])


def _best(own: Path, same: Sequence[Path], found: Mapping[Path, Recorded]) -> Path:
    """Of the folders that hold a run, one in which it is complete, else its own."""
    return max(same, key=lambda folder: (found[folder].status == "complete", folder == own), default=own)


def _state(key: str, folder: Path, said: Recorded | None, noted: Collection[str]) -> RunState:
    """The state of a run's folder, by what its manifest says and the folders of which a failure is noted."""
    error = _note(folder).read_text(encoding="utf-8") if folder.name in noted else ""
    if said is None:
        return RunState("failed" if error else "missing", 0.0, 0, math.nan, error)
    if said.status != UNREADABLE and said.key != key:
        return RunState("other", *said[2:-1])
    # Whose process was killed could not write it down.
    if error and said.status == "running":
        return RunState("failed", *said[2:-2], error)
    return RunState(*said[1:-1])


def _noted(out: Path) -> set[str]:
    """The names of the run folders of which :func:`note_failure` keeps something."""
    return {file.stem for file in (out / FAILURES).glob("*.txt")}
