"""What the analysis of a study takes from its folder: the cells, what they differ in, and the complete runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from contested.analysis.study import Axis
from contested.analysis.study.kept import KeepingRuns, KeptRuns
from contested.errors import ContestedError, RunError
from contested.studies.axes import study_axes
from contested.studies.cells import Cell, cell_table, expand
from contested.studies.file import Study, open_study
from contested.studies.folder import DAMAGED, StudyFolder
from contested.studies.index import UNREADABLE
from contested.trajectories import Trajectory
from contested.trajectories.reading import SharedExamples
from contested.trajectories.splits import Split

MEASURES = ".measures"
"""What is kept of the runs' measures, in the study's folder."""


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
    held = StudyFolder(folder, cells, verify=True)
    found = held.states
    complete = {cell.run_id: held.folder(cell) for cell in cells if found[cell.run_id].status in {"complete", DAMAGED}}
    if not complete:
        raise RunError(
            f"No run of the study {study.name} in {folder} is complete; see contested study status {folder}."
        )
    # What no analysis reads may be what is damaged.
    doubtful = {name: _load(run, split) for name, run in complete.items() if found[name].status == DAMAGED}
    damaged = {name: error for name, error in doubtful.items() if isinstance(error, ContestedError)}
    if len(damaged) == len(complete):
        raise RunError(
            f"No complete run of the study {study.name} in {folder} can be read; contested verify {folder} says more:",
            [f"{name}: {error.message}" for name, error in damaged.items()],
        )
    damaged |= {name: RunError(state.error) for name, state in found.items() if state.status == UNREADABLE}
    statuses = {name: state.status for name, state in found.items()} | dict.fromkeys(complete, "complete")
    statuses |= dict.fromkeys(damaged, UNREADABLE)
    return OpenedStudy(
        study=study,
        cells=cells,
        table=cell_table(study, cells, statuses),
        axes=axes_of(study),
        trajectories=_Runs(complete, damaged, split, KeptRuns(folder / MEASURES, held.whole, split or "")),
        params={name: state.params for name, state in found.items() if not math.isnan(state.params)},
    )


class _Runs(KeepingRuns):
    """Runs by run id, each read when it is asked for: whoever asks for one that cannot be read hears why."""

    def __init__(
        self,
        folders: Mapping[str, Path],
        damaged: Mapping[str, ContestedError],
        split: Split | None,
        kept: KeptRuns,
    ) -> None:
        self.kept = kept
        self._folders = {**dict.fromkeys(damaged), **folders}
        self._damaged = damaged
        self._split = split
        self._shared = SharedExamples()

    def __getitem__(self, run_id: str) -> Trajectory:
        folder = self._folders[run_id]
        found = (
            self._damaged[run_id]
            if folder is None or run_id in self._damaged
            else _load(folder, self._split, self._shared)
        )
        if isinstance(found, ContestedError):
            raise found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._folders


def _load(folder: Path, split: Split | None, shared: SharedExamples | None = None) -> Trajectory | ContestedError:
    try:
        found = Trajectory.load(folder, shared=shared)
        return found if split is None else found.of_split(split)
    except ContestedError as error:
        return error


def axes_of(study: Study) -> tuple[Axis, ...]:
    """What the cells of a study differ in besides the seed, as the analysis reads it."""
    return tuple(Axis(axis.name, axis.key, tuple(axis.values.values()), axis.plain) for axis in study_axes(study))
