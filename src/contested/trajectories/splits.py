"""A run's training and validation examples apart, each as a run of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from contested.errors import RunError
from contested.wording import listed

if TYPE_CHECKING:
    import pandas as pd

    from contested.trajectories.trajectory import Trajectory

Split = Literal["train", "validation"]
VALIDATION: Split = "validation"
"""What ``split`` says of examples that are not trained on; whatever else it says is of the others."""


def splits_of(trajectory: Trajectory) -> tuple[Split, ...]:
    """Which splits the examples of a run are of: those that are trained on, those that are not, or both."""
    apart = is_validation(trajectory)
    there: dict[Split, bool] = {"train": not apart.all(), VALIDATION: bool(apart.any())}
    return tuple(split for split, found in there.items() if found)


def split_of(trajectory: Trajectory, split: Split) -> Trajectory:
    """The examples of one split of a run.

    Args:
        trajectory: The run.
        split: ``train``, all but the validation examples, or ``validation``.

    Returns:
        The run over these alone, the same where it has no others; gradients of categories are of ``train``.

    Raises:
        RunError: If it has none.
    """
    rows = rows_of_split(trajectory, split)
    if len(rows) == len(trajectory.example_ids):
        return trajectory
    if not len(rows):
        raise RunError(
            f"The run {trajectory.run_id} tracks no examples of the split {split} (it has "
            f"{listed(splits_of(trajectory))}). tracking.validation: true tracks validation examples, too."
        )
    found = selected(trajectory, rows)
    if found.gradients is None or split != VALIDATION:
        return found
    return replace(found, gradients=found.gradients._replace(alignment=found.gradients.alignment.iloc[:0]))


def rows_of_split(trajectory: Trajectory, split: Split) -> NDArray[np.intp]:
    """The row numbers of the examples of one split of a run."""
    return np.flatnonzero(is_validation(trajectory) == (split == VALIDATION))


def is_validation(trajectory: Trajectory) -> NDArray[np.bool_]:
    """Shape (N,); a run that says nothing of splits is taken to train on what it tracks."""
    if "split" not in trajectory.examples:
        return np.zeros(len(trajectory.example_ids), bool)
    return (trajectory.examples["split"] == VALIDATION).to_numpy(bool)


def selected(run: Trajectory, rows: NDArray[np.intp], examples: pd.DataFrame | None = None) -> Trajectory:
    """Some of a run's examples.

    Args:
        run: The run.
        rows: Which ones, in the order wanted.
        examples: Their rows of the table of examples, where they are known.

    Returns:
        The run over these alone; gradients of categories stay those of all.
    """
    gradients = run.gradients
    return replace(
        run,
        example_ids=run.example_ids[rows],
        losses=None if run.losses is None else run.losses[:, rows],
        logits=None if run.logits is None else run.logits[:, rows],
        examples=run.examples.iloc[rows].reset_index(drop=True) if examples is None else examples,
        gradients=None if gradients is None else gradients._replace(norms=gradients.norms[:, rows]),
        extra={name: values[:, rows] for name, values in run.extra.items()},
        baseline_losses=None if run.baseline_losses is None else run.baseline_losses[rows],
        baseline_logits=None if run.baseline_logits is None else run.baseline_logits[rows],
    )
