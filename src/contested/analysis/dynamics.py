"""One number for a whole trajectory: area under the loss curve, change, and the measures of others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.checks import class_indices, finite_array, same_length
from contested.errors import DataError


def _trajectories(losses: ArrayLike) -> NDArray[np.float64]:
    array = finite_array("losses", losses, 2)
    if len(array) < 2:
        raise DataError(
            f"losses: given {len(array)} checkpoint(s), expected at least 2: one point has no trajectory. "
            "Track more often, or let the run reach its second checkpoint."
        )
    return array


def _rising(steps: ArrayLike, n_checkpoints: int) -> NDArray[np.float64]:
    at = finite_array("steps", steps, 1)
    if len(at) != n_checkpoints or not np.all(np.diff(at) > 0):
        raise DataError(f"steps: given {at.tolist()}, expected {n_checkpoints} rising steps, one for each checkpoint.")
    return at


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
    array = _trajectories(losses)
    at = _rising(steps, len(array))
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


def learning_time(losses: ArrayLike, steps: ArrayLike, threshold: float) -> NDArray[np.float64]:
    """The first recorded step at which an example's loss is below a threshold.

    Args:
        losses: Shape ``(T, N)`` (nats), T at least 2.
        steps: Optimiser steps, shape ``(T,)``, rising.
        threshold: In nats; ln K is the loss of a guess.

    Returns:
        Shape ``(N,)`` (steps); infinite for an example that never gets there, which so ranks above all that do. It is
        not missing: examples that are left out are the slowest ones, and means without them are too early.
    """
    array = _trajectories(losses)
    at = _rising(steps, len(array))
    below = array < threshold
    return np.where(below.any(axis=0), at[below.argmax(axis=0)], np.inf)


def forgetting_events(correct: ArrayLike) -> NDArray[np.int64]:
    """How often an example goes from right to wrong between one checkpoint and the next.

    M. Toneva et al., "An Empirical Study of Example Forgetting", ICLR 2019, who look at every presentation of
    an example; between checkpoints events can cancel, so that this counts no more than theirs. An example that
    is never right has no events: :func:`never_learned` tells it from one that is never forgotten.

    Args:
        correct: Boolean, shape ``(T, N)``, T at least 2; see :func:`~contested.analysis.correct`.

    Returns:
        Shape ``(N,)`` (events).

    Raises:
        DataError: If there are fewer than 2 checkpoints.
    """
    right = _flags(correct)
    if len(right) < 2:
        raise DataError(f"correct: given {len(right)} checkpoint(s), expected at least 2 to forget between.")
    return np.asarray((right[:-1] & ~right[1:]).sum(axis=0), dtype=np.int64)


def never_learned(correct: ArrayLike) -> NDArray[np.bool_]:
    """Whether an example is wrong at every checkpoint.

    Args:
        correct: Boolean, shape ``(T, N)``.

    Returns:
        Shape ``(N,)``.
    """
    return np.asarray(~_flags(correct).any(axis=0))


def _flags(correct: ArrayLike) -> NDArray[np.bool_]:
    flags = np.asarray(correct)
    if flags.dtype != bool or flags.ndim != 2:
        raise DataError(f"correct: given {flags.dtype} of shape {flags.shape}, expected booleans of shape (T, N).")
    return flags


def aum(logits: ArrayLike, gold: ArrayLike) -> NDArray[np.float64]:
    """Area under the margin: mean over checkpoints of the gold logit minus the largest other logit.

    G. Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020; low
    values mark examples whose label the model resists.

    Args:
        logits: Shape ``(T, N, K)``.
        gold: Class index of each example, shape ``(N,)``.

    Returns:
        Shape ``(N,)`` (logits).
    """
    return _mean_margin(finite_array("logits", logits, 3), gold)


def probability_margin(logits: ArrayLike, gold: ArrayLike) -> NDArray[np.float64]:
    """:func:`aum` of probabilities instead of logits: bounded, so that no checkpoint outweighs the others.

    Args:
        logits: Shape ``(T, N, K)``.
        gold: Class index of each example, shape ``(N,)``.

    Returns:
        Shape ``(N,)``, from −1 to 1.
    """
    return _mean_margin(special.softmax(finite_array("logits", logits, 3), axis=2), gold)


def _mean_margin(scores: NDArray[np.float64], gold: ArrayLike) -> NDArray[np.float64]:
    labels = class_indices(gold, scores.shape[2])
    same_length(logits=scores.shape[1], gold=len(labels))
    if not len(scores) or scores.shape[2] < 2:
        raise DataError(f"logits: given shape {scores.shape}, expected at least 1 checkpoint and 2 classes.")
    is_gold = np.arange(scores.shape[2]) == labels[:, None]
    of_gold = scores[:, is_gold]
    others = np.where(is_gold, -np.inf, scores).max(axis=2)
    return np.asarray((of_gold - others).mean(axis=0))
