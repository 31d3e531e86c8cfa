"""Two models on the same examples: intervals and tests of paired differences, over examples or clusters of them.

Random are the examples, or clusters of them such as the pairs of one premise; both models are held fixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.checks import check_resampling, finite_array
from contested.analysis.clusters import cluster_codes, cluster_sums
from contested.analysis.intervals import Interval, Intervals, intervals_of, resampled_counts
from contested.errors import ConfigError, DataError

Floats = NDArray[np.float64]

_BLOCK = 4_000_000  # signs held in memory at once: 32 MB
_EXACT_SUM = 5_000  # whole-number differences up to this sum are counted out instead of drawn
_MANY = 5000  # clusters from which the sum of signed differences is normal to any digit shown
_ROUNDING = 1e-9  # sums this close are equal


class PairedTest(NamedTuple):
    """A test that the mean of paired differences is zero.

    Attributes:
        p_value: Two-sided.
        n: Examples.
        n_clusters: Independent clusters among them.
        method: How the p-value was made: ``exact``, ``sign flips`` or ``normal``.
    """

    p_value: float
    n: int
    n_clusters: int
    method: str


def paired_intervals(
    values: ArrayLike,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Intervals:
    """:func:`~contested.analysis.mean_intervals` whose resamples are kept for other groups of the same examples.

    Args:
        values: S quantities of n examples, shape ``(n, S)``, in any unit.
        clusters: What examples share, shape ``(n,)``; None where each stands for itself.
        rng: A generator from which nothing has been drawn yet; examples in the same order have the same resamples.
        n_resamples: Number of resamples R.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        Means and interval ends, shape ``(S,)``; ``n`` counts examples.
    """
    check_resampling(n_resamples, confidence)
    kept = partial(resampled_counts, n_resamples=n_resamples, rng=rng)
    return intervals_of(values, clusters, kept, confidence)


def paired_interval(
    values: ArrayLike,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """:func:`paired_intervals` of one quantity, shape ``(n,)``."""
    column = finite_array("values", values, 1)[:, None]
    return paired_intervals(column, clusters, rng=rng, n_resamples=n_resamples, confidence=confidence).one()


def paired_tests(
    differences: ArrayLike,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    *,
    rng: np.random.Generator,
    n_flips: int = 10_000,
) -> tuple[PairedTest, ...]:
    """Test for each of S quantities whether its paired differences have a mean of zero, by flipping their signs.

    If the two models were exchangeable, each cluster's differences would be as likely with the opposite sign (Fisher
    1935; in evaluation "approximate randomisation", Noreen 1989); where they only have a mean of zero, the test holds
    for many clusters. Differences of whole numbers, such as those of right and wrong answers, are counted out: without
    clusters that is McNemar's exact test. Others are drawn, and from 5,000 clusters on their sum is taken as normal.

    Args:
        differences: Second minus first model, shape ``(n, S)``.
        clusters: What examples share, shape ``(n,)``; None where each stands for itself.
        rng: Source of the signs.
        n_flips: Random signs drawn; a p-value is at least ``1 / (n_flips + 1)``.

    Returns:
        One test a quantity; where nothing differs p is 1, and NaN without examples.

    Raises:
        ConfigError: If too few signs are to be drawn.
    """
    if n_flips < 100:
        raise ConfigError(f"n_flips: given {n_flips}, expected at least 100; 10000 is usual.")
    array = finite_array("differences", differences, 2)
    n = len(array)
    sums, sizes = _sums(array, cluster_codes(clusters, n))
    exact = [_exact(column) for column in sums.T]
    left = [index for index, p_value in enumerate(exact) if p_value is None]
    drawn, how = _drawn(sums[:, left], rng, n_flips) if left else (np.empty(0), "")
    p_values = dict(zip(left, drawn.tolist(), strict=True))
    return tuple(
        PairedTest(p_values[index], n, len(sizes), how) if known is None else PairedTest(known, n, len(sizes), "exact")
        for index, known in enumerate(exact)
    )


def paired_test(
    differences: ArrayLike,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    *,
    rng: np.random.Generator,
    n_flips: int = 10_000,
) -> PairedTest:
    """:func:`paired_tests` of one quantity, shape ``(n,)``."""
    column = finite_array("differences", differences, 1)[:, None]
    return paired_tests(column, clusters, rng=rng, n_flips=n_flips)[0]


def false_discovery_rate(p_values: ArrayLike) -> Floats:
    """Benjamini and Hochberg's adjusted p-values of one family of tests.

    Calling those at most q significant keeps the expected share of false ones among them at q, for tests that are
    independent or depend positively on each other.

    Args:
        p_values: Shape ``(n,)``; a missing one (NaN) was no test, is left out of the family and stays missing.

    Returns:
        Shape ``(n,)``.

    Raises:
        DataError: If one is not between 0 and 1.
    """
    given = np.asarray(p_values, dtype=np.float64)
    tested = ~np.isnan(given)
    if given.ndim != 1 or ((given[tested] < 0) | (given[tested] > 1)).any():
        raise DataError(f"p_values: given {given.tolist()}, expected shape (n,) and values between 0 and 1.")
    adjusted = np.full(given.shape, np.nan)
    if tested.any():
        from scipy import stats

        adjusted[tested] = stats.false_discovery_control(given[tested], method="bh")
    return adjusted


def _sums(array: Floats, codes: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Each cluster's sums, shape (G, S), and how many examples it holds, shape (G,)."""
    sizes = np.bincount(codes).astype(np.float64)
    return cluster_sums(array, codes), sizes


def _exact(sums: Floats) -> float | None:
    """The p-value by counting out all signs, where sums are whole numbers and few enough; None where they are not."""
    if not len(sums):
        return float("nan")
    whole = np.abs(np.rint(sums)).astype(np.int64)
    reach, seen = int(whole.sum()), abs(int(np.rint(sums).sum()))
    if np.abs(np.abs(sums) - whole).max() > _ROUNDING:
        return None
    if whole.max() <= 1:
        from scipy import stats

        return float(min(1.0, 2 * stats.binom.cdf((reach - seen) // 2, reach, 0.5)))
    if reach > _EXACT_SUM:
        return None
    # How the sum of the signs' products is distributed: each cluster moves it up or down by its own sum.
    shares = np.zeros(2 * reach + 1)
    shares[reach] = 1.0
    for size in whole[whole > 0].tolist():
        shares = (np.roll(shares, size) + np.roll(shares, -size)) / 2
    return float(min(1.0, 2 * shares[reach + seen :].sum())) if seen else 1.0


def _drawn(sums: Floats, rng: np.random.Generator, n_flips: int) -> tuple[Floats, str]:
    seen, largest = np.abs(sums.sum(axis=0)), np.abs(sums).sum(axis=0)
    if len(sums) >= _MANY:
        return 2 * special.ndtr(-seen / np.sqrt((sums**2).sum(axis=0))), "normal"
    as_far = np.zeros(sums.shape[1])
    for signs in _signs(len(sums), rng, n_flips):
        as_far += (np.abs(signs @ sums) >= seen - _ROUNDING * largest).sum(axis=0)
    return (1 + as_far) / (1 + n_flips), "sign flips"


def _signs(n: int, rng: np.random.Generator, n_flips: int) -> Iterator[Floats]:
    """Random signs in blocks of shape (r, n)."""
    size = max(1, _BLOCK // n)
    for start in range(0, n_flips, size):
        yield 2.0 * rng.integers(0, 2, size=(min(size, n_flips - start), n), dtype=np.int8).astype(np.float64) - 1.0
