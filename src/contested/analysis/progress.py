"""How far a run had got by each step, as the loss it had reached, and its examples at given losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import interpolate, optimize

from contested.analysis.checks import finite_array, same_length
from contested.errors import DataError

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

TRAINING = "training loss"
"""The mean training loss, as the optimiser sees it: with its class weights and dropout."""
HELD_OUT = "held-out loss"
"""The mean loss of the tracked validation examples."""
Floats = NDArray[np.float64]


class Progress(NamedTuple):
    """The loss that a run had reached, by step: it falls from point to point.

    Attributes:
        steps: Where it is known, rising, shape ``(M,)``; between two optimiser steps where a mean belongs there.
        reached: The loss reached there (nats), falling, shape ``(M,)``.
    """

    steps: Floats
    reached: Floats


def training_progress(steps: ArrayLike, means: ArrayLike) -> Progress:
    """The training loss reached, from the mean training losses that a run records at its checkpoints.

    Each mean is over the steps since the one before, and belongs to the middle of the weights that these began with.
    Batches make it rise here and there: the falling sequence nearest to the means in least squares, weighted by their
    numbers of steps, takes its place (isotonic regression), and what it makes equal is one point in the middle of its
    steps.

    Args:
        steps: The step up to which each mean goes, rising, shape ``(M,)``; the first goes back to step 0.
        means: Mean training losses (nats), shape ``(M,)``; a missing one (NaN) is left out, and the next goes on
            from the one before it.

    Returns:
        The loss reached, by step.

    Raises:
        DataError: If steps do not rise, or a loss is infinite.
    """
    ends, values = _known(steps, means)
    kept = ends > 0
    ends, values = ends[kept], values[kept]
    starts = np.concatenate([[0.0], ends[:-1]]) if len(ends) else ends
    # The loss of an optimiser step is that of the weights before it.
    return _falling((starts + ends - 1) / 2, values, ends - starts)


def held_out_progress(steps: ArrayLike, losses: ArrayLike) -> Progress:
    """The loss that a run had reached on examples that it did not train on, down to its lowest.

    What comes after the lowest is left out: a run that overfits passes the same losses again, and is not the same
    then. Before it, rises are evened out as in :func:`training_progress`.

    Args:
        steps: Steps of the checkpoints, rising, shape ``(T,)``.
        losses: Mean loss of the held-out examples (nats), shape ``(T,)``; missing ones (NaN) are left out.

    Returns:
        The loss reached, by step.

    Raises:
        DataError: If steps do not rise, or a loss is infinite.
    """
    at, values = _known(steps, losses)
    last = int(np.argmin(values)) + 1 if len(values) else 0
    return _falling(at[:last], values[:last], np.ones(last))


def reached_at(progress: Progress, steps: ArrayLike) -> Floats:
    """The loss that a run had reached by some steps: a monotone cubic (PCHIP) through its points.

    Args:
        progress: The loss reached, by step.
        steps: Shape ``(T,)``.

    Returns:
        Shape ``(T,)``, falling; NaN before the first point and after the last.
    """
    at = finite_array("steps", steps, 1)
    if len(progress.steps) < 2:
        return np.where(np.isin(at, progress.steps), progress.reached[:1].sum(), np.nan)
    found = interpolate.PchipInterpolator(progress.steps, progress.reached, extrapolate=False)(at)
    return np.asarray(found, np.float64)


def at_levels(reached: ArrayLike, values: ArrayLike, levels: ArrayLike) -> Floats:
    """Quantities of N examples where a run had reached given losses, linearly between its checkpoints.

    Interpolation is along the loss reached and not along steps, so that what depends on this loss alone comes out
    the same however fast a run was.

    Args:
        reached: The loss reached by each checkpoint, falling, shape ``(T,)``, as :func:`reached_at` gives it; NaN
            where it is not known.
        values: Shape ``(T, N)``.
        levels: Losses, shape ``(G,)``.

    Returns:
        Shape ``(G, N)``; NaN at losses that lie outside those reached.

    Raises:
        DataError: If there is not one loss for each checkpoint.
    """
    by, wanted, array = np.asarray(reached, np.float64), finite_array("levels", levels, 1), np.asarray(values)
    same_length(checkpoints=len(array), reached=len(by))
    known = np.isfinite(by)
    by, array = by[known][::-1], array[known][::-1].astype(np.float64)
    found = np.full((len(wanted), array.shape[1]), np.nan)
    if len(by) < 2:
        return found
    inside = (wanted >= by[0]) & (wanted <= by[-1])
    above = np.clip(np.searchsorted(by, wanted[inside]), 1, len(by) - 1)
    share = (wanted[inside] - by[above - 1]) / (by[above] - by[above - 1])
    found[inside] = array[above - 1] + share[:, None] * (array[above] - array[above - 1])
    return found


def losses_reached(trajectory: Trajectory, held_out: NDArray[np.bool_] | None = None) -> dict[str, Floats]:
    """What a run had reached by each checkpoint, by every loss that it recorded.

    Args:
        trajectory: A run.
        held_out: Which of its examples it does not train on, shape ``(N,)``, where that is known.

    Returns:
        :data:`TRAINING` and :data:`HELD_OUT` to the loss reached (nats), shape ``(T,)``; NaN where it is not known. A
        loss that the run did not record is left out.
    """
    found = {}
    metrics, examples = trajectory.metrics, trajectory.examples
    if {"step", "train_loss"} <= set(metrics):
        steps, means = (metrics[name].to_numpy(np.float64, na_value=np.nan) for name in ("step", "train_loss"))
        known = ~np.isnan(steps) & ~np.isnan(means)
        # Of a step that is there twice the last line counts.
        rising, places = np.unique(steps[known][::-1], return_index=True)
        found[TRAINING] = reached_at(training_progress(rising, means[known][::-1][places]), trajectory.steps)
    if trajectory.losses is not None and "split" in examples:
        held_out = np.asarray(examples["split"] == "validation") if held_out is None else held_out
        if held_out.any():
            losses = trajectory.losses[:, held_out].mean(axis=1)
            found[HELD_OUT] = reached_at(held_out_progress(trajectory.steps, losses), trajectory.steps)
    return {name: reached for name, reached in found.items() if np.isfinite(reached).any()}


def _known(steps: ArrayLike, losses: ArrayLike) -> tuple[Floats, Floats]:
    at, values = finite_array("steps", steps, 1), np.asarray(losses, np.float64)
    same_length(steps=len(at), losses=len(values))
    known = ~np.isnan(values)
    if (np.diff(at) <= 0).any():
        raise DataError(f"steps: given {at.tolist()}, expected each above the one before.")
    return at[known], finite_array("losses", values[known], 1)


def _falling(at: Floats, values: Floats, weights: Floats) -> Progress:
    if not len(values):
        return Progress(at, values)
    fitted = optimize.isotonic_regression(values, weights=weights, increasing=False)
    falls = np.concatenate([[True], np.diff(fitted.x) < 0])
    level = np.cumsum(falls) - 1
    middles = np.bincount(level, at * weights) / np.bincount(level, weights)
    return Progress(middles, np.asarray(fitted.x[falls], np.float64))
