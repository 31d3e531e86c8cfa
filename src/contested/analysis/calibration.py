"""How confident a model's answers are, and whether its probabilities mean what they say (paper App. K)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from contested.analysis.checks import category_rows, check_confidence, finite_array, same_length
from contested.analysis.clusters import cluster_codes
from contested.analysis.curves import correct
from contested.analysis.intervals import too_few
from contested.errors import ConfigError, DataError

_PER_BIN = 10  # examples of a bin of equal size; fewer hardly show what share of them is right
_MOST_BINS = 15
_NORMAL = 2000  # examples in a bin from which the sum of its correct ones is taken as normal


class CalibrationError(NamedTuple):
    """The root mean squared calibration error, corrected for the bias of few examples, with its interval.

    Attributes:
        estimate: Its square root, from 0 to 1; 0 where ``squared`` is below 0.
        low: Lower end of the interval of the root.
        high: Upper end of the interval of the root.
        squared: The unbiased estimate of the mean squared gap; below 0 about as often as above where there is none.
        n: Examples it rests on.
        n_bins: Bins of equal size.
        note: Why a number is missing; empty otherwise.
    """

    estimate: float
    low: float
    high: float
    squared: float
    n: int
    n_bins: int
    note: str


class CalibrationRow(NamedTuple):
    """Calibration of one category's examples at one checkpoint.

    Attributes:
        category: The category, or ``"overall"``.
        n: Examples in it.
        accuracy: Share whose highest logit is the gold label's.
        prediction_entropy: Mean entropy of the model's probabilities (nats).
        max_confidence: Mean of the highest probability.
        ece: Expected calibration error, from 0 to 1; above 0 for few examples even where a model is calibrated.
        ece_calibrated: What it would be on average for a calibrated model with the same probabilities.
        error: Root mean squared calibration error, corrected for that bias (:func:`calibration_error`).
        error_low: Lower end of its interval.
        error_high: Upper end of its interval.
        squared: The unbiased estimate whose root it is; below 0 about as often as above for a calibrated model.
        note: Why numbers are missing; empty otherwise.
    """

    category: str
    n: int
    accuracy: float
    prediction_entropy: float
    max_confidence: float
    ece: float
    ece_calibrated: float
    error: float
    error_low: float
    error_high: float
    squared: float
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
    """Expected calibration error, ``Σ_b n_b / N · |accuracy of b − mean confidence of b|``.

    Bins of the highest probability are equally wide: (0, 1/B], (1/B, 2/B], …, (1 − 1/B, 1] (C. Guo et al.,
    "On Calibration of Modern Neural Networks", ICML 2017). It is biased upwards for few examples, so that a
    small category looks worse calibrated than a large one: :func:`calibrated_ece` says how much of it a calibrated
    model would show, and :func:`calibration_error` is free of that bias.

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
    sure, right = max_confidence(logits), correct(np.asarray(logits)[None], gold)[0]
    inside = _equal_widths(sure, n_bins)
    gaps = np.bincount(inside, weights=right - sure, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(sure))


def calibrated_ece(logits: ArrayLike, n_bins: int = 15) -> float:
    """What :func:`expected_calibration_error` is on average if a model with these probabilities is calibrated.

    Each answer is then right with its own highest probability, so that a bin's correct answers are Poisson-binomial;
    the mean of ``Σ_b |correct answers of b − Σ of their probabilities| / N`` follows exactly (from 2,000 examples in a
    bin by the normal distribution).

    Args:
        logits: At one checkpoint, shape ``(N, K)``, N at least 1.
        n_bins: Number of bins.

    Returns:
        From 0 to 1.

    Raises:
        DataError: If there are no examples.
        ConfigError: If there are no bins.
    """
    sure = max_confidence(logits)
    inside = _equal_widths(sure, n_bins)
    return float(sum(_mean_gap(sure[inside == each]) for each in np.unique(inside)) / len(sure))


def _mean_gap(chances: NDArray[np.float64]) -> float:
    """Mean of the distance of a Poisson-binomial variable from its mean."""
    if len(chances) > _NORMAL:
        return float(np.sqrt(2 / np.pi * (chances * (1 - chances)).sum()))
    from scipy import stats  # a third of a second, for what few tables have

    values = np.arange(len(chances) + 1)
    return float(stats.poisson_binom(chances).pmf(values) @ np.abs(values - chances.sum()))


def _equal_widths(sure: NDArray[np.float64], n_bins: int) -> NDArray[np.intp]:
    """The bin of each example, shape (N,)."""
    if n_bins < 1:
        raise ConfigError(f"n_bins: given {n_bins}, expected at least 1; 15 is usual.")
    if not len(sure):
        raise DataError("logits: no examples given; calibration needs at least one.")
    return np.searchsorted(np.arange(1, n_bins) / n_bins, sure, side="left")


def calibration_error(
    logits: ArrayLike,
    gold: ArrayLike,
    *,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    confidence: float = 0.95,
) -> CalibrationError:
    """The root mean squared calibration error, debiased (A. Kumar, P. Liang and T. Ma, NeurIPS 2019).

    Bins hold equally many examples (15, fewer with fewer than 150 examples: ten or more each). With g the highest
    probability minus 1 where it is right, Σ_b n_b / N · mean(g)² is too large by the variance of the means; what is
    summed instead is the mean of g_i g_j over all pairs of different examples of a bin (of different clusters), which
    is what they call the debiased estimator where a bin's probabilities are equal, and whose mean is 0 for a calibrated
    model. The interval takes Σ_b n_b / N · mean(g)² as a noncentral χ², scaled to its variance, and inverts it.

    Args:
        logits: At one checkpoint, shape ``(N, K)``.
        gold: Class index of each example, shape ``(N,)``.
        clusters: What examples share, such as their premise, shape ``(N,)``; without it each stands for itself.
        confidence: Coverage wanted.

    Returns:
        The error with its interval; what is missing is NaN and explained in ``note``.
    """
    check_confidence(confidence)
    sure, nan = max_confidence(logits), float("nan")
    gaps = sure - correct(np.asarray(logits)[None], gold)[0]
    groups = cluster_codes(clusters, len(sure))
    inside = _equal_sizes(sure)
    n_bins = int(inside.max(initial=-1)) + 1
    if note := too_few(len(np.unique(groups)), confidence):
        return CalibrationError(nan, nan, nan, nan, len(sure), n_bins, note)
    share, squares, pairs, expected = _by_bin(gaps, sure * (1 - sure), inside, groups)
    if not np.isfinite(pairs).all():
        note = "a bin has one cluster of examples alone, so its error has no estimate"
        return CalibrationError(nan, nan, nan, nan, len(sure), n_bins, note)
    squared = float(share @ pairs)
    estimate = max(0.0, squared) ** 0.5
    noise = share * np.maximum(squares - pairs, expected)
    if not noise.any():
        note = "every probability is 0 or 1 and every bin all right or all wrong: no variance to make an interval of"
        return CalibrationError(estimate, nan, nan, squared, len(sure), n_bins, note)
    low, high = _noncentral(float(share @ squares), noise, len(sure) - n_bins, confidence)
    return CalibrationError(estimate, low**0.5, high**0.5, squared, len(sure), n_bins, "")


def _equal_sizes(sure: NDArray[np.float64]) -> NDArray[np.intp]:
    """The bin of each example, shape (N,), cut at quantiles; equal probabilities are never divided."""
    n_bins = min(_MOST_BINS, max(1, len(sure) // _PER_BIN))
    edges = np.unique(np.quantile(sure, np.arange(1, n_bins) / n_bins)) if n_bins > 1 else sure[:0]
    return np.unique(np.searchsorted(edges, sure, side="left"), return_inverse=True)[1]


def _by_bin(
    gaps: NDArray[np.float64], variances: NDArray[np.float64], inside: NDArray[np.intp], groups: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each bin: its share, its squared mean gap, the same from pairs of clusters, and its variance if calibrated."""
    cells = np.unique(np.column_stack([inside, groups]), axis=0, return_inverse=True)
    of_cell = cells[0][:, 0]
    sizes, sums = np.bincount(cells[1]), np.bincount(cells[1], gaps)
    n, total = np.bincount(of_cell, sizes), np.bincount(of_cell, sums)
    together = n**2 - np.bincount(of_cell, sizes**2)
    apart = total**2 - np.bincount(of_cell, sums**2)
    pairs = np.divide(apart, together, out=np.full(len(n), np.nan), where=together > 0)
    return n / n.sum(), (total / n) ** 2, pairs, np.bincount(inside, variances) / n**2


def _noncentral(statistic: float, noise: NDArray[np.float64], freedom: int, confidence: float) -> tuple[float, float]:
    """Interval of what a sum of squares has beyond its noise, the noise of its parts given."""
    scale = float((noise**2).sum() / noise.sum())
    degrees = float(noise.sum() ** 2 / (noise**2).sum())
    # Student's t instead of the normal distribution: the noise is estimated, from few examples.
    tail = float(special.ndtr(-special.stdtrit(max(1, freedom), 0.5 + confidence / 2)))
    low, high = (scale * _noncentrality(statistic / scale, degrees, each) for each in (1 - tail, tail))
    return min(low, 1.0), min(high, 1.0)


def _noncentrality(x: float, degrees: float, level: float) -> float:
    """The noncentrality at which a χ² is at most x with this probability; 0 where every one is too large."""
    if special.chndtr(x, degrees, 0.0) <= level:
        return 0.0
    top = x + degrees + 20.0
    while special.chndtr(x, degrees, top) > level:
        top *= 2
    return float(optimize.brentq(lambda each: special.chndtr(x, degrees, each) - level, 0.0, top))


def calibration_by_category(
    logits: ArrayLike,
    gold: ArrayLike,
    categories: Sequence[str] | NDArray[Any],
    names: Sequence[str],
    n_bins: int = 15,
    *,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    confidence: float = 0.95,
) -> tuple[CalibrationRow, ...]:
    """Accuracy, entropy, confidence and calibration error of each category's examples.

    Args:
        logits: At one checkpoint, shape ``(N, K)``.
        gold: Class index of each example, shape ``(N,)``.
        categories: The category of each example, shape ``(N,)``.
        names: The categories in order of rising entropy.
        n_bins: Number of bins of the expected calibration error.
        clusters: What examples share, such as their premise, shape ``(N,)``; without it each stands for itself.
        confidence: Coverage wanted of the interval of the root mean squared error.

    Returns:
        One row for each category in the order of ``names``, then ``"overall"``.
    """
    scores, labels = finite_array("logits", logits, 2), np.asarray(gold)
    same_length(logits=len(scores), gold=len(labels), categories=len(categories))
    groups = cluster_codes(clusters, len(scores))
    return tuple(
        _row(name, scores[rows], labels[rows], n_bins, groups[rows], confidence)
        for name, rows in category_rows(categories, names).items()
    )


def _row(
    name: str,
    logits: NDArray[np.float64],
    gold: NDArray[Any],
    n_bins: int,
    groups: NDArray[np.intp],
    confidence: float,
) -> CalibrationRow:
    n = len(logits)
    if not n:
        nan = float("nan")
        return CalibrationRow(name, 0, nan, nan, nan, nan, nan, nan, nan, nan, nan, "no examples")
    error = calibration_error(logits, gold, clusters=groups, confidence=confidence)
    return CalibrationRow(
        category=name,
        n=n,
        accuracy=float(correct(logits[None], gold).mean()),
        prediction_entropy=float(prediction_entropy(logits).mean()),
        max_confidence=float(max_confidence(logits).mean()),
        ece=expected_calibration_error(logits, gold, n_bins),
        ece_calibrated=calibrated_ece(logits, n_bins),
        error=error.estimate,
        error_low=error.low,
        error_high=error.high,
        squared=error.squared,
        note=error.note,
    )


def _probabilities(logits: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(special.softmax(finite_array("logits", logits, 2), axis=1))
