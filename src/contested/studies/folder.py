"""A study's folder: its file, its runs and their status."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from contested.config import RunConfig, identifying, recorded
from contested.errors import DamagedRunError, RunError, write_error
from contested.files import write_text
from contested.studies.cells import Cell
from contested.studies.content import STUDY_FILE
from contested.studies.file import Study, dump_study
from contested.trajectories import layout, read_manifest
from contested.trajectories.identity import digest

RUNS = "runs"
FAILURES = "failures"
UNREADABLE = "unreadable"
"""The status of a run whose manifest cannot be read."""
DAMAGED = "damaged"
"""The status of a run that is complete by its manifest and not as it was written."""


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


def begin(study: Study, out: Path) -> None:
    """Make the folder and put the study's file into it, in the place of an earlier one.

    Args:
        study: The study.
        out: The folder.

    Raises:
        RunError: If the folder cannot be written.
    """
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
    """The present state of a study's folder: which folder holds which run. Every manifest is read once.

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
        untidy: Folders of complete runs with something that a dead process left, where that was looked at.
    """

    def __init__(self, out: Path, cells: Sequence[Cell], *, verify: bool = False) -> None:
        self.path = out
        found = {file.parent: _manifest(file.parent) for file in sorted((out / RUNS).glob(f"*/{layout.MANIFEST}"))}
        by_identity: dict[str, list[Path]] = {}
        for folder, manifest in found.items():
            by_identity.setdefault(_identity(manifest), []).append(folder)
        self._folders = {
            cell.run_id: _best(run_folder(out, cell), by_identity.get(_key(cell.config), []), found) for cell in cells
        }
        self.states = {
            cell.run_id: _state(cell.config, self.folder(cell), found.get(self.folder(cell))) for cell in cells
        }
        self.untidy: list[Path] = []
        if verify:
            for cell in cells:
                self._verify(cell)
        self.others = len(found.keys() - set(self._folders.values()))

    def folder(self, cell: Cell) -> Path:
        """The folder that holds a run, or will hold it.

        Args:
            cell: One of the study's runs.

        Returns:
            Its path.
        """
        return self._folders[cell.run_id]

    def _verify(self, cell: Cell) -> None:
        """Hold a complete run against what was written."""
        from contested.trajectories.resuming import check_whole

        state, folder = self.states[cell.run_id], self.folder(cell)
        if state.status != "complete":
            return
        try:
            if check_whole(folder, quick=True).leftovers:
                self.untidy.append(folder)
        except DamagedRunError as error:
            more = len(error.problems) - 1
            what = error.problems[0] + (f" And {more} more." if more else "")
            self.states[cell.run_id] = state._replace(status=DAMAGED, error=what)


def state_of(config: RunConfig, folder: Path) -> RunState:
    """The present state of one run's folder.

    Args:
        config: The run's configuration.
        folder: Its folder.

    Returns:
        The state by its manifest.
    """
    manifest = _manifest(folder) if (folder / layout.MANIFEST).exists() else None
    return _state(config, folder, manifest)


def _manifest(folder: Path) -> dict[str, Any] | RunError:
    try:
        return read_manifest(folder)
    except RunError as error:
        return error


def _key(config: RunConfig) -> str:
    return digest({"config": identifying(config)})


def _identity(manifest: dict[str, Any] | RunError) -> str:
    """The id of a manifest's run by the present rule; empty where it is unknown."""
    if isinstance(manifest, RunError):
        return ""
    try:
        return _key(recorded(manifest.get("identity", {})))
    except ValueError:
        return ""


def _best(own: Path, same: Sequence[Path], found: Mapping[Path, dict[str, Any] | RunError]) -> Path:
    """Of the folders that hold a run, one in which it is complete, else its own."""

    def rank(folder: Path) -> tuple[bool, bool]:
        manifest = found[folder]
        complete = isinstance(manifest, dict) and manifest["status"] == "complete"
        return complete, folder == own

    return max(same, key=rank, default=own)


def _state(config: RunConfig, folder: Path, manifest: dict[str, Any] | RunError | None) -> RunState:
    if manifest is None:
        noted = _note(folder)
        error = noted.read_text(encoding="utf-8") if noted.is_file() else ""
        return RunState("failed" if error else "missing", 0.0, 0, math.nan, error)
    if isinstance(manifest, RunError):
        return RunState(UNREADABLE, 0.0, 0, math.nan, str(manifest))
    listed = manifest["checkpoints"]
    return RunState(
        status=manifest["status"] if _identity(manifest) == _key(config) else "other",
        epoch=float(listed[-1].get("epoch") or 0.0) if listed else 0.0,
        checkpoints=len(listed),
        params=float((manifest.get("counts") or {}).get("total_params") or math.nan),
        error=str(manifest.get("error", "")),
    )
