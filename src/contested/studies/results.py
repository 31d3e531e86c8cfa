"""What the analysis of a study takes from its folder: the cells, what they differ in, and the complete runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from contested.analysis.study import Axis
from contested.errors import ContestedError, RunError
from contested.studies.axes import study_axes
from contested.studies.cells import Cell, cell_table, expand
from contested.studies.file import Study, open_study
from contested.studies.folder import StudyFolder
from contested.studies.index import UNREADABLE
from contested.trajectories import Trajectory
from contested.trajectories.splits import Split


class OpenedStudy(NamedTuple):
    """A study's folder, read.

    Attributes:
        study: The study.
        cells: Its cells.
        table: One row per cell, as the analysis reads them.
        axes: What the cells differ in besides the seed: columns of the table.
        trajectories: The complete runs by run id; to ask for one that cannot be read raises why.
        params: The number of weights of each run's model, by run id, where it is known.
    """

    study: Study
    cells: Sequence[Cell]
    table: pd.DataFrame
    axes: tuple[Axis, ...]
    trajectories: Mapping[str, Trajectory]
    params: Mapping[str, float]


def open_results(folder: Path, split: Split | None = None) -> OpenedStudy:
    """Read a study's folder and its complete runs.

    Args:
        folder: The study's folder.
        split: Which of the runs' examples; all of them where not given.

    Returns:
        The study, its cells and its runs.

    Raises:
        RunError: If no run is complete, or none of them can be read.
    """
    study = open_study(folder)
    cells = expand(study)
    held = StudyFolder(folder, cells)
    found = held.states
    complete = [cell for cell in cells if found[cell.run_id].status == "complete"]
    if not complete:
        raise RunError(
            f"No run of the study {study.name} in {folder} is complete; see contested study status {folder}."
        )
    runs = {cell.run_id: _load(held.folder(cell), split) for cell in complete}
    damaged = {name: error for name, error in runs.items() if isinstance(error, ContestedError)}
    if len(damaged) == len(runs):
        raise RunError(
            f"No complete run of the study {study.name} in {folder} can be read; contested verify {folder} says more:",
            [f"{name}: {error.message}" for name, error in damaged.items()],
        )
    damaged |= {name: RunError(state.error) for name, state in found.items() if state.status == UNREADABLE}
    statuses = {name: UNREADABLE if name in damaged else state.status for name, state in found.items()}
    return OpenedStudy(
        study=study,
        cells=cells,
        table=cell_table(study, cells, statuses),
        axes=axes_of(study),
        trajectories=_Runs(runs | damaged),
        params={name: state.params for name, state in found.items() if not math.isnan(state.params)},
    )


class _Runs(Mapping[str, Trajectory]):
    """Runs by run id, of which some cannot be read: whoever asks for one of those hears why."""

    def __init__(self, runs: Mapping[str, Trajectory | ContestedError]) -> None:
        self._runs = runs

    def __getitem__(self, run_id: str) -> Trajectory:
        found = self._runs[run_id]
        if isinstance(found, ContestedError):
            raise found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._runs


def _load(folder: Path, split: Split | None) -> Trajectory | ContestedError:
    try:
        found = Trajectory.load(folder)
        return found if split is None else found.of_split(split)
    except ContestedError as error:
        return error


def axes_of(study: Study) -> tuple[Axis, ...]:
    """What the cells of a study differ in besides the seed, as the analysis reads it."""
    return tuple(Axis(axis.name, axis.key, tuple(axis.values.values()), axis.plain) for axis in study_axes(study))
