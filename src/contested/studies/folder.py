"""A study's folder: its file, its runs and where they stand."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from contested.config import RunConfig, identifying
from contested.errors import RunError
from contested.files import write_text
from contested.studies.cells import Cell
from contested.studies.file import STUDY_FILE, Study, dump_study
from contested.trajectories import layout, read_manifest

RUNS = "runs"
FAILURES = "failures"


class RunState(NamedTuple):
    """Where a run's folder stands.

    Attributes:
        status: ``missing``, ``running``, ``complete``, ``failed``, ``interrupted`` or ``other`` (the folder holds a
            run of another configuration).
        epoch: Epochs done at the last checkpoint.
        checkpoints: Checkpoints recorded.
        params: Weights of its model; NaN where unknown.
        error: Why it failed; empty otherwise.
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
        raise RunError(f"Cannot write to {out}: {error.strerror or error}. Choose another --out.") from error


def run_folder(out: Path, cell: Cell) -> Path:
    """The folder of one of a study's runs.

    Args:
        out: The study's folder.
        cell: The run.

    Returns:
        Its path, whether it is there or not.
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


def others(cells: Sequence[Cell], out: Path) -> int:
    """Count the runs in a study's folder that are none of its cells'.

    Args:
        cells: The study's runs.
        out: Its folder.

    Returns:
        How many runs belong to another version of the study.
    """
    names = {cell.run_id for cell in cells}
    return sum(file.parent.name not in names for file in (out / RUNS).glob(f"*/{layout.MANIFEST}"))


def states(cells: Sequence[Cell], out: Path) -> dict[str, RunState]:
    """Where every run stands, from the manifests.

    Args:
        cells: The runs.
        out: The study's folder.

    Returns:
        Run id to state.
    """
    return {cell.run_id: _state(cell, run_folder(out, cell)) for cell in cells}


def _state(cell: Cell, folder: Path) -> RunState:
    if not (folder / layout.MANIFEST).exists():
        noted = _note(folder)
        error = noted.read_text(encoding="utf-8") if noted.is_file() else ""
        return RunState("failed" if error else "missing", 0.0, 0, math.nan, error)
    try:
        manifest = read_manifest(folder)
    except RunError as error:
        return RunState("failed", 0.0, 0, math.nan, error.message)
    listed = manifest["checkpoints"]
    return RunState(
        status=manifest["status"] if _same(cell.config, manifest) else "other",
        epoch=float(listed[-1]["epoch"]) if listed else 0.0,
        checkpoints=len(listed),
        params=float(manifest.get("counts", {}).get("total_params", math.nan)),
        error=str(manifest.get("error", "")),
    )


def _same(config: RunConfig, manifest: Mapping[str, Any]) -> bool:
    """Whether a folder's run has the cell's configuration; keys that an earlier version lacked had their defaults."""
    before = manifest.get("identity", {}).get("config")
    try:
        return identifying(RunConfig.model_validate(before)) == identifying(config)
    except ValueError:
        return False
