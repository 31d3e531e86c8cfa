"""What one number says of a whole trajectory: area under the loss curve, and change over the run."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.analysis.checks import finite_array
from contested.errors import DataError


def _trajectories(losses: ArrayLike) -> NDArray[np.float64]:
    array = finite_array("losses", losses, 2)
    if len(array) < 2:
        raise DataError(
            f"losses: given {len(array)} checkpoint(s), expected at least 2: one point has no trajectory. "
            "Track more often, or let the run reach its second checkpoint."
        )
    return array


def aulc(losses: ArrayLike) -> NDArray[np.float64]:
    """Area under the loss curve as in the paper (Eq. 2): the plain mean over checkpoints.

    Checkpoints count alike, whether or not they are equally far apart; compare
    :func:`aulc_trapezoid`. Lower is faster learning.

    Args:
        losses: Shape ``(T, N)`` (nats), T at least 2.

    Returns:
        Shape ``(N,)`` (nats).
    """
    return np.asarray(_trajectories(losses).mean(axis=0))


def aulc_trapezoid(losses: ArrayLike, steps: ArrayLike) -> NDArray[np.float64]:
    """Area under the loss curve by the trapezoid rule over steps, divided by the steps spanned.

    Unlike :func:`aulc`, it does not move when checkpoints are added on the same curve, such as those at
    the ends of epochs.

    Args:
        losses: Shape ``(T, N)`` (nats), T at least 2.
        steps: Optimiser steps, shape ``(T,)``, rising.

    Returns:
        Shape ``(N,)`` (nats): the mean loss over the steps.

    Raises:
        DataError: If the steps do not fit the losses or do not rise.
    """
    array, at = _trajectories(losses), finite_array("steps", steps, 1)
    if len(at) != len(array) or not np.all(np.diff(at) > 0):
        raise DataError(f"steps: given {at.tolist()}, expected {len(array)} rising steps, one for each checkpoint.")
    return np.asarray(np.trapezoid(array, at, axis=0) / (at[-1] - at[0]))


def loss_change(losses: ArrayLike) -> NDArray[np.float64]:
    """Δℓ, the loss at the last checkpoint minus that at the first (paper §3.2): above 0 is un-learning.

    Args:
        losses: Shape ``(T, N)`` (nats), T at least 2.

    Returns:
        Shape ``(N,)`` (nats).
    """
    array = _trajectories(losses)
    return np.asarray(array[-1] - array[0])
