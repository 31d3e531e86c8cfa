"""What a study's complete runs show together."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from contested.analysis.study import StudyResults, study_results
from contested.errors import ContestedError, RunError
from contested.studies.cells import cell_table, expand
from contested.studies.file import Study, open_study
from contested.studies.folder import run_folder, states
from contested.trajectories import Trajectory


def results(
    folder: Path, *, rng: np.random.Generator | None = None, n_resamples: int = 2000
) -> tuple[Study, StudyResults]:
    """Analyse every complete run of a study together.

    Args:
        folder: The study's folder.
        rng: Source of all resamples.
        n_resamples: Bootstrap resamples of each interval.

    Returns:
        The study and its results.

    Raises:
        RunError: If no run is complete.
    """
    study = open_study(folder)
    cells = expand(study)
    found = states(cells, folder)
    complete = [cell for cell in cells if found[cell.run_id].status == "complete"]
    if not complete:
        raise RunError(
            f"No run of the study {study.name} in {folder} is complete; see contested study status {folder}."
        )
    trajectories: dict[str, Trajectory] = {}
    for cell in complete:
        try:
            trajectories[cell.run_id] = Trajectory.load(run_folder(folder, cell))
        except ContestedError as error:
            raise RunError(f"The run {cell.run_id} cannot be read: {error.message}", error.problems) from error
    table = cell_table(
        cells,
        {name: state.status for name, state in found.items()},
        {name: state.params for name, state in found.items() if not math.isnan(state.params)},
    )
    expected = [entry.model_dump() for entry in study.expected]
    return study, study_results(table, trajectories, expected=expected, rng=rng, n_resamples=n_resamples)
