"""What the analysis of a study takes from its folder: the cells, what they differ in, and the complete runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from contested.analysis.study import Axis
from contested.errors import ContestedError, RunError
from contested.studies.axes import study_axes
from contested.studies.cells import Cell, cell_table, expand
from contested.studies.file import Study, open_study
from contested.studies.folder import StudyFolder
from contested.trajectories import Trajectory


class OpenedStudy(NamedTuple):
    """A study's folder, read.

    Attributes:
        study: The study.
        cells: Its cells.
        table: One row per cell, as the analysis reads them.
        axes: What the cells differ in besides the seed: columns of the table.
        trajectories: The complete runs by run id.
        params: The number of weights of each run's model, by run id, where it is known.
    """

    study: Study
    cells: Sequence[Cell]
    table: pd.DataFrame
    axes: tuple[Axis, ...]
    trajectories: Mapping[str, Trajectory]
    params: Mapping[str, float]


def open_results(folder: Path) -> OpenedStudy:
    """Read a study's folder and its complete runs.

    Args:
        folder: The study's folder.

    Returns:
        The study, its cells and its runs.

    Raises:
        RunError: If no run is complete, or one cannot be read.
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
    trajectories: dict[str, Trajectory] = {}
    for cell in complete:
        try:
            trajectories[cell.run_id] = Trajectory.load(held.folder(cell))
        except ContestedError as error:
            raise RunError(f"The run {cell.run_id} cannot be read: {error.message}", error.problems) from error
    return OpenedStudy(
        study=study,
        cells=cells,
        table=cell_table(study, cells, {name: state.status for name, state in found.items()}),
        axes=axes_of(study),
        trajectories=trajectories,
        params={name: state.params for name, state in found.items() if not math.isnan(state.params)},
    )


def axes_of(study: Study) -> tuple[Axis, ...]:
    """What the cells of a study differ in besides the seed, as the analysis reads it."""
    return tuple(Axis(axis.name, axis.key, tuple(axis.values.values()), axis.plain) for axis in study_axes(study))
