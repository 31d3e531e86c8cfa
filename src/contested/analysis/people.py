"""How far the model's answers are from people's: KL divergence and cross-entropy to their labels.

Losses are taken against one gold label. A model that moves towards people's split of labels on a
contested example *raises* its loss on the majority label; these distances tell the two apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.checks import finite_array, same_length
from contested.errors import DataError


def _aligned(logits: ArrayLike, distributions: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    model, human = finite_array("logits", logits, 3), finite_array("distributions", distributions, 2)
    same_length(logits=model.shape[1], distributions=len(human))
    if model.shape[2] != human.shape[1]:
        raise DataError(f"logits have {model.shape[2]} classes, distributions {human.shape[1]}; expected the same.")
    if not np.allclose(human.sum(axis=1), 1.0) or (human < 0).any():
        raise DataError("distributions: expected shares that are not negative and sum to 1 for each example.")
    return model, human


def soft_cross_entropy(logits: ArrayLike, distributions: ArrayLike) -> NDArray[np.float64]:
    """Cross-entropy of the model under people's labels, −Σ_c p_c ln q_c, at each checkpoint.

    Args:
        logits: Shape ``(T, N, K)``.
        distributions: People's shares of the labels p, shape ``(N, K)``.

    Returns:
        Shape ``(T, N)`` (nats).
    """
    model, human = _aligned(logits, distributions)
    return np.asarray(-np.einsum("tnk,nk->tn", special.log_softmax(model, axis=2), human))


def kl_human(logits: ArrayLike, distributions: ArrayLike) -> NDArray[np.float64]:
    """KL(human ‖ model) = Σ_c p_c ln(p_c / q_c) at each checkpoint: 0 when the model answers as people do.

    Args:
        logits: Shape ``(T, N, K)``.
        distributions: People's shares of the labels p, shape ``(N, K)``; 0 ln 0 = 0.

    Returns:
        Shape ``(T, N)`` (nats), never negative.
    """
    human_entropy = special.entr(np.asarray(distributions, dtype=np.float64)).sum(axis=-1)
    # Gibbs' inequality holds only up to rounding where the two distributions agree.
    return np.asarray(np.maximum(soft_cross_entropy(logits, distributions) - human_entropy, 0.0))
