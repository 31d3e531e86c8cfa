"""The studentised bootstrap (bootstrap-t) of means over clusters of examples: its sums, all resamples at once.

The distance of a resample's mean from the mean, in the resample's own standard errors, has nearly the same
distribution as that of the mean from the truth in standard errors: skewed where the values are. Its quantiles take the
place of Student's. See P. Hall, "Theoretical Comparison of Bootstrap Confidence Intervals", Annals of Statistics 16,
1988; B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, §12.5.

A skewed sample shows less of its population's long tail than there is, so that the end on that side is put too near.
Its level is lowered here by a factor exp(−2.5 g), g the skewness of the estimate towards it: calibrated on simulated
samples, of which docs/statistics.md has the figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from contested.analysis.clusters import cluster_sums

Floats = NDArray[np.float64]

_CONSTANT = 1e-12  # a spread of this share of the largest value is rounding
_ALIKE = 1e-6  # an error of this share of the sample's is rounding
_LEAST = 0.05  # of the sample's standard error that a resample's counts as
_SKEWED = 0.2  # Cochran's rule, n > 25 skewness²
_UNSEEN = 2.5  # how fast the level of the end on the long tail's side falls with the skewness of the estimate


class Means(NamedTuple):
    """Means of S quantities over examples in G clusters, and what their resamples are made of.

    Attributes:
        estimate: The means, shape ``(S,)``.
        error: Their standard errors, shape ``(S,)``: linearised, for clusters differ in size.
        residuals: Sums within clusters of how far examples lie from the mean, shape ``(G, S)``.
        sizes: Examples of each cluster, shape ``(G,)``; 0 for a cluster of the other group of a difference.
    """

    estimate: Floats
    error: Floats
    residuals: Floats
    sizes: Floats

    @property
    def n_clusters(self) -> int:
        """Clusters with examples."""
        return int(np.count_nonzero(self.sizes))


class Resampled(NamedTuple):
    """What R resamples of means, or of a difference of two, gave: shape ``(R, S)`` each.

    Attributes:
        shift: The resample's estimate less the sample's.
        error: The resample's standard error.
    """

    shift: Floats
    error: Floats


class Tails(NamedTuple):
    """How skewed estimates are towards either side, shape ``(S,)`` each, at least 0.

    The skewness of a mean of n examples is that of the examples by √n; one side of it is 0.

    Attributes:
        low: Towards low values.
        high: Towards high values.
    """

    low: Floats
    high: Floats


def means_of(values: Floats, codes: NDArray[np.intp], n_clusters: int) -> Means:
    """Means over examples with their standard errors over clusters.

    Args:
        values: Shape ``(N, S)``, N at least 1, in any unit.
        codes: The number of each example's cluster, shape ``(N,)``.
        n_clusters: Clusters G, of which at least 2 hold examples.

    Returns:
        In the unit of ``values``; a quantity that is constant has a standard error of exactly 0.
    """
    sizes = np.bincount(codes, minlength=n_clusters).astype(np.float64)
    estimate = values.mean(axis=0)
    residuals = values - estimate
    residuals[:, np.ptp(values, axis=0) <= _CONSTANT * np.abs(values).max(axis=0)] = 0.0
    if not np.array_equal(codes, np.arange(n_clusters)):
        residuals = cluster_sums(residuals, codes, n_clusters)
    error = np.sqrt((residuals**2).sum(axis=0) * _of_sample(int(np.count_nonzero(sizes)))) / len(values)
    return Means(estimate, error, residuals, sizes)


def _of_sample(n_clusters: int) -> float:
    """What a variance of a sample of G clusters is multiplied by, as n / (n − 1) for n examples."""
    return n_clusters / (n_clusters - 1)


def resampled_means(means: Means, blocks: Iterable[Floats]) -> Resampled:
    """The means of resamples and their standard errors, by matrix products of counts with sums and squares.

    Args:
        means: What is resampled.
        blocks: How often each resample holds each cluster, in blocks of shape ``(r, G)``.

    Returns:
        Shape ``(R, S)``, R all rows of the blocks together.
    """
    return _together(_resample(means, counts) for counts in blocks)


def _resample(means: Means, counts: Floats) -> Resampled:
    shift, n = _shift(means, counts)
    squares = _products(means, means, counts, shift, shift)
    return Resampled(shift, np.sqrt(np.maximum(squares * _of_sample(means.n_clusters), 0.0)) / n)


def _together(parts: Iterable[Resampled]) -> Resampled:
    return Resampled(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _shift(means: Means, counts: Floats) -> tuple[Floats, Floats]:
    """How far each resample's mean lies from the mean, and its examples, shapes ``(r, S)`` and ``(r, 1)``."""
    n = (counts @ means.sizes)[:, None]
    return np.asarray(counts @ means.residuals / n), n


def _products(first: Means, second: Means, counts: Floats, shift: Floats, other: Floats) -> Floats:
    """Σ c (e − d m) (e' − d' m'), products of a resample's residuals: d its shift, m sizes, c counts; ``(r, S)``."""
    sizes, others = first.sizes[:, None], second.sizes[:, None]
    if (first.sizes == 1).all() and first is second:
        return np.asarray(counts @ first.residuals**2 - len(sizes) * shift**2)
    crossed = shift * (counts @ (sizes * second.residuals)) + other * (counts @ (first.residuals * others))
    squares = counts @ (first.residuals * second.residuals)
    return np.asarray(squares - crossed + shift * other * (counts @ (sizes * others)))


def difference_error(first: Means, second: Means) -> Floats:
    """Standard error of a difference of means of two groups that may share clusters: Welch's where they do not."""
    return np.asarray(np.sqrt((contributions(first, second) ** 2).sum(axis=0)))


def contributions(first: Means, second: Means) -> Floats:
    """What each cluster adds to the error of the first mean minus the second, shape ``(G, S)``."""
    scaled = [means.residuals * np.sqrt(_of_sample(means.n_clusters)) / means.sizes.sum() for means in (first, second)]
    return np.asarray(scaled[0] - scaled[1])


def resample_difference(first: Means, second: Means, blocks: Iterable[Floats]) -> Resampled:
    """:func:`resampled_means` of the first mean minus the second, over the same G clusters."""
    return _together(_resample_difference(first, second, counts) for counts in blocks)


def _resample_difference(first: Means, second: Means, counts: Floats) -> Resampled:
    (shift, n), (other, m) = _shift(first, counts), _shift(second, counts)
    a, b = (np.sqrt(_of_sample(means.n_clusters)) for means in (first, second))
    variance = (a / n) ** 2 * _products(first, first, counts, shift, shift)
    variance += (b / m) ** 2 * _products(second, second, counts, other, other)
    variance -= 2 * a * b / (n * m) * _products(first, second, counts, shift, other)
    return Resampled(shift - other, np.sqrt(np.maximum(variance, 0.0)))


def studentised_ends(
    estimate: Floats, error: Floats, tails: Tails, drawn: Resampled, n: int, confidence: float
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Ends of bootstrap-t intervals, and which of them resamples of equal values decide.

    The end on the side of the long tail has its level lowered, see this module.

    A resample's standard error counts as at least a twentieth of the sample's, and where a resample's values are all
    alike as the smallest of the other resamples: else a few nearly equal values among a handful of examples put ends
    hundreds of standard errors away. Where as many resamples are alike as decide an end (zeros but for two or three
    examples), the interval is the wider of this one and the percentile one.

    Args:
        estimate: S estimates, shape ``(S,)``.
        error: Their standard errors, shape ``(S,)``.
        tails: From :func:`long_tails`.
        drawn: Their resamples.
        n: Clusters, of the smaller group of a difference.
        confidence: Coverage wanted.

    Returns:
        Low, high, and where the percentile interval had a say, shape ``(S,)`` each.
    """
    tail = 0.5 - confidence / 2
    same = drawn.error <= _ALIKE * error
    errors = np.maximum(drawn.error, _LEAST * error)
    smallest = np.where(same, np.inf, errors).min(axis=0)
    errors = np.where(same, np.where(np.isfinite(smallest), smallest, error), errors)
    # Those of a constant quantity are 0, and so are its shifts.
    distances = np.sort(drawn.shift / np.where(errors > 0, errors, 1.0), axis=0)
    upper, lower = (
        _quantiles(distances, 1.0 - tail * lowered(tails.low)),
        _quantiles(distances, tail * lowered(tails.high)),
    )
    low, high = estimate - upper * error, estimate - lower * error
    alike = (same.mean(axis=0) >= tail) & (error > 0)
    if alike.any():
        below, above = expanded_quantiles(drawn.shift[:, alike], n, confidence)
        low[alike] = np.minimum(low[alike], estimate[alike] + below)
        high[alike] = np.maximum(high[alike], estimate[alike] + above)
    return np.minimum(low, estimate), np.maximum(high, estimate), alike


def student_isf(tail: Any, freedom: Any) -> Any:
    """What Student's t exceeds with a probability: infinite where that is 0.

    Args:
        tail: The probability, any shape.
        freedom: Degrees of freedom.

    Returns:
        The quantile, in the same shape.
    """
    return -np.where(np.equal(tail, 0.0), -np.inf, special.stdtrit(freedom, tail))


def lowered(tail: Floats) -> Floats:
    """What the level of an end is multiplied by, from the skewness of the estimate on its side; the same shape.

    Calibrated: see this module.
    """
    return np.asarray(np.exp(-_UNSEEN * tail))


def _quantiles(ascending: Floats, shares: Floats) -> Floats:
    """The quantile of each column at its own share, shapes ``(R, S)`` and ``(S,)``: numpy.quantile's, in between."""
    place = shares * (len(ascending) - 1)
    below = np.minimum(place.astype(np.intp), len(ascending) - 2)
    columns = np.arange(ascending.shape[1])
    first, second = ascending[below, columns], ascending[below + 1, columns]
    return np.asarray(first + (place - below) * (second - first))


def expanded_quantiles(resampled: Floats, n: int, confidence: float) -> tuple[Floats, Floats]:
    """Ends of percentile intervals of means of n clusters, widened for small n; shape ``(...)`` of ``(R, ...)``.

    The plain percentile interval is too narrow for small n, by sqrt((n - 1) / n) and by z for t; widening its
    quantiles corrects both and fades out for large n (T. Hesterberg, "What Teachers Should Know About the Bootstrap",
    The American Statistician 69, 2015, "expanded percentile interval").
    """
    t = special.stdtrit(n - 1, 0.5 + confidence / 2)
    tail = float(special.ndtr(-np.sqrt(n / (n - 1)) * t))
    low, high = np.quantile(resampled, [tail, 1.0 - tail], axis=0)
    return low, high


def long_tails(*strata: Floats) -> Tails:
    """How skewed estimates are towards either side.

    Args:
        *strata: What each cluster adds to the error of the estimate, in any unit, shape ``(G, S)``: of a difference the
            clusters of one group, of the other and of both by themselves, whose tails add up where they would cancel.

    Returns:
        Of the estimate, 0 where it has no error.
    """
    variance = (np.concatenate(strata) ** 2).sum(axis=0)
    scale = np.where(variance > 0, variance, np.inf) ** 1.5
    thirds = np.stack([(stratum**3).sum(axis=0) for stratum in strata]) / scale
    return Tails(-np.minimum(thirds, 0.0).sum(axis=0), np.maximum(thirds, 0.0).sum(axis=0))


def skewed(tails: Tails) -> NDArray[np.bool_]:
    """Where an estimate is too skewed for its interval to cover as often as it says, shape ``(S,)``.

    By Cochran's rule, that n must exceed 25 times the squared skewness (W. G. Cochran, "Sampling Techniques", 3rd
    edition, 1977, §2.15).

    Args:
        tails: From :func:`long_tails`.

    Returns:
        Shape ``(S,)``, false for an estimate without error.
    """
    return np.asarray(np.maximum(tails.low, tails.high) >= _SKEWED)
