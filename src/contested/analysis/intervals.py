"""Bootstrap intervals over examples, or clusters of them: the one place where they are resampled for means.

An interval here says how far a number could move had other examples of the same kind been drawn, or other
clusters of examples that share something, such as a premise. It holds one run fixed: what another seed would do
is not in it. Intervals are for one number each, not simultaneous over a table.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.analysis.checks import check_resampling, finite_array, same_length
from contested.analysis.clusters import cluster_codes
from contested.analysis.studentised import (
    contributions,
    difference_error,
    long_tails,
    means_of,
    resample_difference,
    resampled_means,
    skewed,
    studentised_ends,
)
from contested.errors import ConfigError
from contested.formats import percent
from contested.wording import joined

_BLOCK = 4_000_000  # resampled row numbers held in memory at once: 32 MB
_COUNTED = 20_000  # of them counted at once
BOOTSTRAP = "studentised bootstrap"
ALIKE = "many resamples hold equal values only: the wider of the studentised and the percentile interval"
SKEWED = "too skewed for so few {what}: the interval covers less often than it says"
"""A caution at intervals whose coverage is known to be lower (docs/statistics.md says how much)."""

Clusters = Sequence[Any] | NDArray[Any] | None
"""What examples share, shape ``(N,)``: examples of one value are one cluster. None: each stands for itself."""
Verdict = Literal["rises", "falls", "unclear"]


class Interval(NamedTuple):
    """One number with its interval over examples.

    Attributes:
        estimate: The number.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Examples it rests on.
        method: How the interval was made.
        note: Why a number is missing; empty otherwise. Only then is one NaN.
        caution: Why the interval may cover the truth less often than it says; empty otherwise.
    """

    estimate: float
    low: float
    high: float
    n: int
    method: str
    note: str
    caution: str = ""


class Intervals(NamedTuple):
    """S means over the same n examples, each with its interval: arrays of shape ``(S,)``.

    Attributes:
        estimate: The means.
        low: Lower ends of the intervals.
        high: Upper ends of the intervals.
        n: Examples they rest on.
        method: How the intervals were made.
        note: Why a number is missing; empty otherwise. Only then is one NaN.
        cautions: For each mean why its interval may cover the truth less often than it says, or empty; none where no
            interval is made by resampling.
    """

    estimate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: int
    method: str
    note: str
    cautions: tuple[str, ...] = ()

    def one(self, index: int = 0) -> Interval:
        """The mean at one place of ``estimate``, with its interval."""
        estimate, low, high = (float(part[index]) for part in self[:3])
        caution = self.cautions[index] if self.cautions else ""
        return Interval(estimate, low, high, self.n, self.method, self.note, caution)


def keyed(rng: np.random.Generator, *names: str) -> np.random.Generator:
    """The generator of this name: the same whatever else is drawn from ``rng``, before or after.

    Nothing is drawn from ``rng`` and nothing spawned, so that a number added later leaves all others as they are.

    Args:
        rng: A generator made from a seed, as by ``numpy.random.default_rng``.
        *names: What the number is called.

    Returns:
        A generator of its own.

    Raises:
        ConfigError: If ``rng`` was not made from a seed sequence, so that it has no keyed children.
    """
    seeds = rng.bit_generator.seed_seq
    if not isinstance(seeds, np.random.SeedSequence):
        raise ConfigError("rng: has no seed sequence; expected one made by numpy.random.default_rng.")
    words = np.frombuffer(hashlib.sha256("\0".join(names).encode()).digest(), dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence(seeds.entropy, spawn_key=(*seeds.spawn_key, *words)))


def verdict(low: float, high: float) -> Verdict:
    """What an interval of a change supports: "rises", "falls", or "unclear" when it holds 0 or is missing."""
    if low > 0:
        return "rises"
    return "falls" if high < 0 else "unclear"


def smallest_n(confidence: float) -> int:
    """The fewest examples from which an interval of the given confidence is made.

    No interval inside the range of n values can do better than that range, which misses the median
    with probability 2 · 2⁻ⁿ: six values are needed for 95 %.

    >>> smallest_n(0.95)
    6
    """
    return max(3, int(np.ceil(1.0 - np.log2(1.0 - confidence))))


def resampled_rows(
    n: int, *, n_resamples: int, rng: np.random.Generator, block: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """Row numbers of bootstrap resamples of n examples, in blocks of shape ``(r, n)`` that fit in memory.

    Args:
        n: Number of examples N.
        n_resamples: Number of resamples R.
        rng: Source of the resamples.
        block: Resamples of a block, at least one; by default as many as fit in memory.

    Yields:
        The blocks.
    """
    for size in _block_sizes(n, n_resamples, block):
        yield rng.integers(0, n, size=(size, n))


def _block_sizes(n: int, n_resamples: int, block: int | None = None) -> Iterator[int]:
    """How many resamples of n examples are made at once, until all are."""
    block = max(1, _BLOCK // n if block is None else block)
    for start in range(0, n_resamples, block):
        yield min(block, n_resamples - start)


def resampled_counts(n: int, *, n_resamples: int, rng: np.random.Generator) -> Iterable[NDArray[np.float64]]:
    """:func:`row_counts` of :func:`resampled_rows`, in blocks of shape ``(r, n)``.

    What the last few generators gave is kept, for the groups of a study resample the same examples.

    Args:
        n: Number of examples N.
        n_resamples: Number of resamples R.
        rng: A generator from which nothing has been drawn yet, such as one just spawned.

    Returns:
        The blocks, not to be written to.
    """
    seeds = rng.bit_generator.seed_seq
    if n * n_resamples > _BLOCK or not isinstance(seeds, np.random.SeedSequence):
        return (row_counts(rows) for rows in resampled_rows(n, n_resamples=n_resamples, rng=rng))
    entropy = tuple(seeds.entropy) if isinstance(seeds.entropy, Iterable) else seeds.entropy
    return (_kept_counts(type(rng.bit_generator), entropy, tuple(seeds.spawn_key), n, n_resamples),)


@functools.lru_cache(maxsize=8)
def _kept_counts(
    kind: type[np.random.BitGenerator], entropy: Any, spawn_key: tuple[int, ...], n: int, n_resamples: int
) -> NDArray[np.float64]:
    rng = np.random.Generator(kind(np.random.SeedSequence(entropy, spawn_key=spawn_key)))
    (rows,) = resampled_rows(n, n_resamples=n_resamples, rng=rng)
    counts = row_counts(rows)
    counts.flags.writeable = False
    return counts


def row_counts(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often each resample holds each example, shape ``(r, n)``: a matrix product then does all its sums."""
    n = rows.shape[1]
    counts = np.empty(rows.shape)
    # A few at once: all together they count in more memory than the processor's cache holds.
    few = max(1, _COUNTED // n)
    for start in range(0, len(rows), few):
        part = rows[start : start + few]
        cells = part + n * np.arange(len(part))[:, None]
        counts[start : start + few] = np.bincount(cells.ravel(), minlength=part.size).reshape(part.shape)
    return counts


def too_few(n: int, confidence: float, what: str = "example") -> str:
    """Why n examples, or clusters of them, give no interval of this confidence; empty when they do."""
    needed = smallest_n(confidence)
    if n >= needed:
        return ""
    if n == 0:
        return "no examples"
    return f"{n} {what}{'s' if n > 1 else ''}: too few for a {percent(confidence)} interval ({needed} needed)"


def mean_intervals(
    values: ArrayLike,
    *,
    clusters: Clusters = None,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Intervals:
    """Means over examples with intervals by the studentised bootstrap (bootstrap-t) over clusters.

    Below :func:`smallest_n` clusters there is a mean and no interval; without examples there is neither. See
    :mod:`~contested.analysis.studentised` for the method, and docs/statistics.md for how often it covers.

    Args:
        values: S quantities of N examples, shape ``(N, S)``, in any unit.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.
        rng: Source of the resamples.
        n_resamples: Number of resamples R.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        Means and interval ends, shape ``(S,)``, in the unit of ``values``; ``n`` counts examples.
    """
    check_resampling(n_resamples, confidence)

    def counts(n_clusters: int) -> Iterable[NDArray[np.float64]]:
        return map(row_counts, resampled_rows(n_clusters, n_resamples=n_resamples, rng=rng))

    return intervals_of(values, clusters, counts, confidence)


def intervals_of(
    values: ArrayLike,
    clusters: Clusters,
    counts: Callable[[int], Iterable[NDArray[np.float64]]],
    confidence: float,
) -> Intervals:
    """:func:`mean_intervals` from given resamples.

    Args:
        values: Shape ``(N, S)``.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.
        counts: From the number of clusters G to how often each resample holds each of them, in blocks of shape
            ``(r, G)``.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        Means and interval ends, shape ``(S,)``.
    """
    array = finite_array("values", values, 2)
    n, width = array.shape
    codes = cluster_codes(clusters, n)
    n_clusters = int(codes.max(initial=-1)) + 1
    what = _counted_as(n_clusters, n)
    if note := too_few(n_clusters, confidence, what):
        missing = np.full(width, np.nan)
        return Intervals(array.mean(axis=0) if n else missing, missing, missing, n, "none", note)
    means = means_of(array, codes, n_clusters)
    drawn = resampled_means(means, counts(n_clusters))
    tails = long_tails(means.residuals)
    low, high, alike = studentised_ends(means.estimate, means.error, tails, drawn, n_clusters, confidence)
    cautions = map(_caution, alike, skewed(tails), [what] * width)
    return Intervals(means.estimate, low, high, n, BOOTSTRAP, "", tuple(cautions))


def _caution(alike: bool, few: bool, what: str) -> str:
    return joined(ALIKE if alike else "", SKEWED.format(what=f"{what}s") if few else "")


def _counted_as(n_clusters: int, n: int) -> str:
    return "example" if n_clusters == n else "cluster"


def mean_interval(
    values: ArrayLike,
    *,
    clusters: Clusters = None,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """:func:`mean_intervals` of one quantity, shape ``(N,)``."""
    column = finite_array("values", values, 1)[:, None]
    return mean_intervals(column, clusters=clusters, rng=rng, n_resamples=n_resamples, confidence=confidence).one()


def difference_interval(
    values: ArrayLike,
    reference: ArrayLike,
    *,
    clusters: tuple[Sequence[Any] | NDArray[Any], Sequence[Any] | NDArray[Any]] | None = None,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Mean of ``values`` minus mean of ``reference`` for two separate groups of examples, by bootstrap-t.

    The clusters of one group alone are resampled by themselves, for the sizes of categories are fixed by the
    annotators' labels, and so are those that both groups share: what they share is not taken as independent.

    Args:
        values: Shape ``(N1,)``.
        reference: Shape ``(N2,)``, other examples than those of ``values``.
        clusters: What the examples of the first and of the second share, shapes ``(N1,)`` and ``(N2,)``; the same
            value in both is one cluster. None where each example stands for itself.
        rng: Source of the resamples.
        n_resamples: Number of resamples R.
        confidence: Coverage wanted.

    Returns:
        The difference; ``n`` is the size of the smaller group, which ``note`` names if it is too small.
    """
    check_resampling(n_resamples, confidence)
    groups = [finite_array(name, v, 1)[:, None] for name, v in (("values", values), ("reference", reference))]
    n = min(len(group) for group in groups)
    estimate = float(groups[0].mean() - groups[1].mean()) if n else np.nan
    codes = _codes_of_groups([len(group) for group in groups], clusters)
    n_clusters = 1 + max(int(own.max(initial=-1)) for own in codes)
    fewest = min(len(np.unique(own)) for own in codes)
    what = _counted_as(sum(len(np.unique(own)) for own in codes), sum(len(own) for own in codes))
    if note := too_few(fewest, confidence, what):
        return Interval(estimate, np.nan, np.nan, n, "none", f"smaller group: {note}")
    first, second = (means_of(group, own, n_clusters) for group, own in zip(groups, codes, strict=True))
    strata = _strata(first.sizes > 0, second.sizes > 0)
    counts = _counts_in_strata(strata, n_clusters, n_resamples=n_resamples, rng=rng)
    drawn = resample_difference(first, second, counts)
    added = contributions(first, second)
    tails = long_tails(*(added[stratum] for stratum in strata))
    found = studentised_ends(np.array([estimate]), difference_error(first, second), tails, drawn, fewest, confidence)
    low, high, alike = (part[0] for part in found)
    caution = _caution(bool(alike), bool(skewed(tails)[0]), what)
    return Interval(estimate, float(low), float(high), n, BOOTSTRAP, "", caution)


def _codes_of_groups(sizes: Sequence[int], clusters: tuple[Any, Any] | None) -> list[NDArray[np.intp]]:
    """The number of each example's cluster in two groups, counted over both."""
    if clusters is None:
        return np.split(np.arange(sum(sizes), dtype=np.intp), sizes[:1])
    for size, own, name in zip(sizes, clusters, ("values", "reference"), strict=True):
        same_length(**{name: size, "its clusters": len(own)})
    return np.split(cluster_codes([*clusters[0], *clusters[1]], sum(sizes)), sizes[:1])


def _strata(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """The clusters of one group, of the other and of both, each where there are any."""
    return [found for mask in (first & ~second, second & ~first, first & second) if len(found := np.flatnonzero(mask))]


def _counts_in_strata(
    strata: Sequence[NDArray[np.intp]], n_clusters: int, *, n_resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """How often each resample holds each cluster; those of each stratum are drawn by themselves."""
    for rows in _block_sizes(n_clusters, n_resamples):
        counts = np.empty((rows, n_clusters))
        for stratum in strata:
            counts[:, stratum] = row_counts(rng.integers(0, len(stratum), size=(rows, len(stratum))))
        yield counts
