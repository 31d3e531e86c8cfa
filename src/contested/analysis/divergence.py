"""How far the model is from its annotators: cross-entropy and KL divergence under their distribution.

The loss against the gold label counts one answer as right. A model that moves towards the annotators' split of labels
on a contested example *raises* its loss on the majority label; these distances tell the two apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.checks import finite_array, same_length
from contested.errors import DataError


def _aligned(logits: ArrayLike, distributions: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    model, shares = finite_array("logits", logits, 3), finite_array("distributions", distributions, 2)
    same_length(logits=model.shape[1], distributions=len(shares))
    if model.shape[2] != shares.shape[1]:
        raise DataError(f"logits have {model.shape[2]} classes, distributions {shares.shape[1]}; expected the same.")
    if not np.allclose(shares.sum(axis=1), 1.0) or (shares < 0).any():
        raise DataError("distributions: expected non-negative shares that sum to 1 for each example.")
    return model, shares


def soft_cross_entropy(logits: ArrayLike, distributions: ArrayLike) -> NDArray[np.float64]:
    """Cross-entropy of the model under the annotators' labels, −Σ_c p_c ln q_c, at each checkpoint.

    Args:
        logits: Shape ``(T, N, K)``.
        distributions: The annotators' shares of the labels p, shape ``(N, K)``.

    Returns:
        Shape ``(T, N)`` (nats).
    """
    model, shares = _aligned(logits, distributions)
    return np.asarray(-np.einsum("tnk,nk->tn", special.log_softmax(model, axis=2), shares))


def kl_divergence(logits: ArrayLike, distributions: ArrayLike) -> NDArray[np.float64]:
    """KL(annotators ‖ model) = Σ_c p_c ln(p_c / q_c) at each checkpoint: 0 when the model answers as they do.

    Args:
        logits: Shape ``(T, N, K)``.
        distributions: The annotators' shares of the labels p, shape ``(N, K)``; 0 ln 0 = 0.

    Returns:
        Shape ``(T, N)`` (nats), never negative.
    """
    entropy = special.entr(np.asarray(distributions, dtype=np.float64)).sum(axis=-1)
    # Gibbs' inequality holds only up to rounding where the two distributions agree.
    return np.asarray(np.maximum(soft_cross_entropy(logits, distributions) - entropy, 0.0))


def js_divergence(logits: ArrayLike, distributions: ArrayLike) -> NDArray[np.float64]:
    """Jensen–Shannon divergence of annotators and model at each checkpoint: from 0, where they agree, to ln 2.

    Unlike KL it is bounded, so that no example outweighs the others.

    Args:
        logits: Shape ``(T, N, K)``.
        distributions: The annotators' shares of the labels p, shape ``(N, K)``.

    Returns:
        Shape ``(T, N)`` (nats).
    """
    model, shares = _aligned(logits, distributions)
    return _js(special.softmax(model, axis=2), shares)


def kl_between(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """KL(first ‖ second) of two models' probabilities: 0 where the second answers as the first does.

    Args:
        first: Logits of one model, shape ``(N, K)``.
        second: Logits of the other, shape ``(N, K)``.

    Returns:
        Shape ``(N,)`` (nats), never negative.
    """
    logs = [special.log_softmax(part, axis=1) for part in _both(first, second)]
    return np.asarray(np.maximum((np.exp(logs[0]) * (logs[0] - logs[1])).sum(axis=1), 0.0))


def js_between(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Jensen–Shannon divergence of two models' probabilities: from 0, where they answer alike, to ln 2.

    Args:
        first: Logits of one model, shape ``(N, K)``.
        second: Logits of the other, shape ``(N, K)``.

    Returns:
        Shape ``(N,)`` (nats).
    """
    return _js(*(special.softmax(part, axis=1) for part in _both(first, second)))


def _both(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    arrays = finite_array("first", first, 2), finite_array("second", second, 2)
    if arrays[0].shape != arrays[1].shape:
        raise DataError(f"first, second: given shapes {arrays[0].shape} and {arrays[1].shape}, expected the same.")
    return arrays


def _js(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    apart = special.entr((p + q) / 2).sum(axis=-1) - (special.entr(p) + special.entr(q)).sum(axis=-1) / 2
    return np.asarray(np.maximum(apart, 0.0))
