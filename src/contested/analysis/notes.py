"""What is to be known of the numbers of a run: a sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from contested.analysis.clusters import RunClusters, shared_in
from contested.analysis.watch import ended_by_alert, planned_steps
from contested.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from contested.trajectories import Trajectory


def clusters_note(shared: RunClusters) -> Iterator[str]:
    """Say that examples are not independent, and what is resampled."""
    if shared.codes is not None:
        what = shared_in(shared.name)
        n_sharing = int((np.bincount(shared.codes)[shared.codes] > 1).sum())
        yield (
            f"{counted(n_sharing, 'example')} of {len(shared.codes):,} share {what} with another: intervals are over "
            f"{counted(shared.n, 'cluster')} of examples that do, which are resampled together."
        )


def run_notes(trajectory: Trajectory) -> tuple[str, ...]:
    """Say that a run is not complete, has no alert, or does not begin at step 0."""
    notes = []
    unit, first, last = trajectory.counted_in, int(trajectory.steps[0]), int(trajectory.steps[-1])
    if trajectory.status != "complete":
        notes.append(
            f"The run is not complete (status: {trajectory.status}): the numbers cover its "
            f"{counted(len(trajectory.steps), 'recorded checkpoint')}, up to {unit} {last:,}."
        )
    if ended := ended_by_alert(trajectory):
        notes.append(f"The alert ended this run {ended}.")
    if len(trajectory.steps) < 2:
        return tuple(notes)
    if trajectory.losses is not None and planned_steps(trajectory) is None:
        notes.append("The alert is left out: the run is not complete, and it does not say how many steps were planned.")
    if trajectory.origin.get("steps") == "numbered":
        notes.append(
            f"The {trajectory.step_unit}s of the checkpoints are unknown, so they are numbered from 1; changes leave "
            "out what happened before the first."
        )
    elif first > 0:
        notes.append(f"The first checkpoint is at {unit} {first}, not 0: changes leave out what happened before it.")
    return tuple(notes)


def split_note(examples: pd.DataFrame, held_out: NDArray[np.bool_]) -> str:
    """Say which examples the numbers are of, where a run tracks training and validation examples."""
    told = (
        f"Numbers are of the {counted(int((~held_out).sum()), 'training example')}; those of the "
        f"{counted(int(held_out.sum()), 'validation example')} stand apart. The alert asks of both."
    )
    untrained = int((~examples["in_training"])[~held_out].sum()) if "in_training" in examples else 0
    if not untrained:
        return told
    return f"{told} {counted(untrained, 'training example')} were left out of training (task.composition)."
