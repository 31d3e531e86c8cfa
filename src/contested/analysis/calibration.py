"""How confident a model's answers are, and whether its probabilities mean what they say (paper App. K)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.checks import category_rows, finite_array, same_length
from contested.analysis.curves import correct
from contested.errors import ConfigError, DataError


class CalibrationRow(NamedTuple):
    """Calibration of one category's examples at one checkpoint.

    Attributes:
        category: The category, or ``"overall"``.
        n: Examples in it.
        accuracy: Share whose highest logit is the gold label's.
        prediction_entropy: Mean entropy of the model's probabilities (nats).
        max_confidence: Mean of the highest probability.
        ece: Expected calibration error, from 0 to 1.
        note: Why numbers are missing; empty otherwise.
    """

    category: str
    n: int
    accuracy: float
    prediction_entropy: float
    max_confidence: float
    ece: float
    note: str


def prediction_entropy(logits: ArrayLike) -> NDArray[np.float64]:
    """Entropy of the model's probabilities, −Σ_c q_c ln q_c.

    Args:
        logits: At one checkpoint, shape ``(N, K)``.

    Returns:
        Shape ``(N,)`` (nats), from 0 to ln K.
    """
    return np.asarray(special.entr(_probabilities(logits)).sum(axis=1))


def max_confidence(logits: ArrayLike) -> NDArray[np.float64]:
    """The highest of the model's probabilities.

    Args:
        logits: At one checkpoint, shape ``(N, K)``.

    Returns:
        Shape ``(N,)``, from 1 / K to 1.
    """
    return np.asarray(_probabilities(logits).max(axis=1))


def expected_calibration_error(logits: ArrayLike, gold: ArrayLike, n_bins: int = 15) -> float:
    """Expected calibration error, Σ_b n_b / N · |accuracy of b − mean confidence of b|.

    Bins of the highest probability are equally wide: (0, 1/B], (1/B, 2/B], …, (1 − 1/B, 1] (C. Guo et al.,
    "On Calibration of Modern Neural Networks", ICML 2017). It is biased upwards for few examples, so that a
    small category looks worse calibrated than a large one.

    Args:
        logits: At one checkpoint, shape ``(N, K)``, N at least 1.
        gold: Class index of each example, shape ``(N,)``.
        n_bins: Number of bins B.

    Returns:
        From 0 to 1.

    Raises:
        DataError: If there are no examples.
        ConfigError: If there are no bins.
    """
    if n_bins < 1:
        raise ConfigError(f"n_bins: given {n_bins}, expected at least 1; 15 is usual.")
    sure = max_confidence(logits)
    right = correct(np.asarray(logits)[None], gold)[0]
    if not len(sure):
        raise DataError("logits: no examples given; calibration needs at least one.")
    edges = np.arange(1, n_bins) / n_bins
    inside = np.searchsorted(edges, sure, side="left")
    gaps = np.bincount(inside, weights=right - sure, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(sure))


def calibration_by_category(
    logits: ArrayLike,
    gold: ArrayLike,
    categories: Sequence[str] | NDArray[Any],
    names: Sequence[str],
    n_bins: int = 15,
) -> tuple[CalibrationRow, ...]:
    """Accuracy, entropy, confidence and calibration error of each category's examples.

    Args:
        logits: At one checkpoint, shape ``(N, K)``.
        gold: Class index of each example, shape ``(N,)``.
        categories: The category of each example, shape ``(N,)``.
        names: The categories in order of rising entropy.
        n_bins: Number of bins of the calibration error.

    Returns:
        One row for each category in the order of ``names``, then ``"overall"``.
    """
    scores, labels = finite_array("logits", logits, 2), np.asarray(gold)
    same_length(logits=len(scores), gold=len(labels), categories=len(categories))
    return tuple(
        _row(name, scores[rows], labels[rows], n_bins) for name, rows in category_rows(categories, names).items()
    )


def _row(name: str, logits: NDArray[np.float64], gold: NDArray[Any], n_bins: int) -> CalibrationRow:
    n = len(logits)
    if not n:
        return CalibrationRow(name, 0, np.nan, np.nan, np.nan, np.nan, "no examples")
    return CalibrationRow(
        category=name,
        n=n,
        accuracy=float(correct(logits[None], gold).mean()),
        prediction_entropy=float(prediction_entropy(logits).mean()),
        max_confidence=float(max_confidence(logits).mean()),
        ece=expected_calibration_error(logits, gold, n_bins),
        note="",
    )


def _probabilities(logits: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(special.softmax(finite_array("logits", logits, 2), axis=1))
