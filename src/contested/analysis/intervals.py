"""Bootstrap intervals over examples: the one place where examples are resampled for means.

An interval here says how far a number could move had other examples of the same kind been drawn.
It holds one run fixed: what another seed would do is not in it. Intervals are for one number each,
not simultaneous over a table.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from contested.analysis.checks import check_confidence, check_resampling, finite_array
from contested.errors import ConfigError, DataError
from contested.formats import percent

_BLOCK = 4_000_000  # resampled row numbers held in memory at once: 32 MB
BOOTSTRAP = "percentile bootstrap"

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
    """

    estimate: float
    low: float
    high: float
    n: int
    method: str
    note: str


class Intervals(NamedTuple):
    """S means over the same n examples, each with its interval: arrays of shape ``(S,)``.

    Attributes:
        estimate: The means.
        low: Lower ends of the intervals.
        high: Upper ends of the intervals.
        n: Examples they rest on.
        method: How the intervals were made.
        note: Why a number is missing; empty otherwise. Only then is one NaN.
    """

    estimate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: int
    method: str
    note: str


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


def resampled_means(values: NDArray[np.float64], *, n_resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Means of S quantities over bootstrap resamples of N examples.

    Every quantity of a resample is taken over the same examples, so that curves and contrasts keep
    the dependence between their points.

    Args:
        values: Shape ``(N, S)``, N at least 1.
        n_resamples: Number of resamples R.
        rng: Source of the resamples.

    Returns:
        Shape ``(R, S)``.
    """
    n = len(values)
    blocks = resampled_rows(n, n_resamples=n_resamples, rng=rng)
    return np.concatenate([row_counts(rows) @ values / n for rows in blocks])


def resampled_rows(n: int, *, n_resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Row numbers of bootstrap resamples of n examples, in blocks of shape ``(r, n)`` that fit in memory."""
    block = max(1, _BLOCK // n)
    for start in range(0, n_resamples, block):
        yield rng.integers(0, n, size=(min(block, n_resamples - start), n))


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
    counts = np.empty(rows.shape)
    # One after the other: all at once they count in more memory than the processor's cache holds.
    for resample, drawn in zip(counts, rows, strict=True):
        resample[:] = np.bincount(drawn, minlength=len(drawn))
    return counts


def expanded_quantiles(
    resampled: NDArray[np.float64], n: int, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of percentile intervals of means of n examples, widened for small n; shape ``(...)`` of ``(R, ...)``."""
    # The plain percentile interval is too narrow for small n, by sqrt((n - 1) / n) and by z for t;
    # widening its quantiles corrects both and fades out for large n.
    t = stats.t.ppf(0.5 + confidence / 2, n - 1)
    tail = float(stats.norm.cdf(-np.sqrt(n / (n - 1)) * t))
    low, high = np.quantile(resampled, [tail, 1.0 - tail], axis=0)
    return low, high


def too_few(n: int, confidence: float) -> str:
    """Why n examples give no interval of this confidence; empty when they do."""
    needed = smallest_n(confidence)
    if n >= needed:
        return ""
    if n == 0:
        return "no examples"
    return f"{n} example{'s' if n > 1 else ''}: too few for a {percent(confidence)} interval ({needed} needed)"


def mean_intervals(
    values: ArrayLike, *, rng: np.random.Generator, n_resamples: int = 2000, confidence: float = 0.95
) -> Intervals:
    """Means over examples with percentile bootstrap intervals, widened for small n.

    Quantiles are expanded to match Student's t for few examples (T. Hesterberg, "What Teachers Should
    Know About the Bootstrap", The American Statistician 69, 2015, "expanded percentile interval").
    Below :func:`smallest_n` examples there is a mean and no interval; without examples there is neither.

    Args:
        values: S quantities of N examples, shape ``(N, S)``, in any unit.
        rng: Source of the resamples.
        n_resamples: Number of resamples R.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        Means and interval ends, shape ``(S,)``, in the unit of ``values``.
    """
    check_resampling(n_resamples, confidence)
    array = finite_array("values", values, 2)
    n, width = array.shape
    missing = np.full(width, np.nan)
    note = too_few(n, confidence)
    if note:
        return Intervals(array.mean(axis=0) if n else missing, missing, missing, n, "none", note)
    resampled = resampled_means(array, n_resamples=n_resamples, rng=rng)
    low, high = expanded_quantiles(resampled, n, confidence)
    return Intervals(array.mean(axis=0), low, high, n, BOOTSTRAP, "")


def mean_interval(
    values: ArrayLike, *, rng: np.random.Generator, n_resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    """:func:`mean_intervals` of one quantity, shape ``(N,)``."""
    column = finite_array("values", values, 1)[:, None]
    return _only(mean_intervals(column, rng=rng, n_resamples=n_resamples, confidence=confidence))


def difference_interval(
    values: ArrayLike,
    reference: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Mean of ``values`` minus mean of ``reference`` for two separate groups of examples.

    Each group is resampled by itself, for the sizes of categories are fixed by the annotators' labels; the
    interval is widened as for the smaller group.

    Args:
        values: Shape ``(N1,)``.
        reference: Shape ``(N2,)``, other examples than those of ``values``.
        rng: Source of the resamples.
        n_resamples: Number of resamples R.
        confidence: Coverage wanted.

    Returns:
        The difference; ``n`` is the size of the smaller group, which ``note`` names if it is too small.
    """
    check_resampling(n_resamples, confidence)
    groups = [finite_array(name, v, 1) for name, v in (("values", values), ("reference", reference))]
    n = min(len(group) for group in groups)
    estimate = float(groups[0].mean() - groups[1].mean()) if n else np.nan
    if note := too_few(n, confidence):
        return Interval(estimate, np.nan, np.nan, n, "none", f"smaller group: {note}")
    first, second = (resampled_means(group[:, None], n_resamples=n_resamples, rng=rng) for group in groups)
    low, high = expanded_quantiles(first - second, n, confidence)
    return Interval(estimate, float(low[0]), float(high[0]), n, BOOTSTRAP, "")


def share_intervals(flags: ArrayLike, *, confidence: float = 0.95) -> Intervals:
    """Shares of true ``flags`` with Wilson's intervals, which stay honest at shares of 0 and 1.

    Args:
        flags: S yes-or-no questions to N examples, shape ``(N, S)``, boolean.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        Shares and interval ends, shape ``(S,)``: NaN, with a note, when there are no examples.

    Raises:
        DataError: If the flags have another number of dimensions.
    """
    check_confidence(confidence)
    array = np.asarray(flags, dtype=bool)
    if array.ndim != 2:
        raise DataError(f"flags: given an array of shape {array.shape}, expected 2 dimension(s).")
    n, width = array.shape
    if not n:
        missing = np.full(width, np.nan)
        return Intervals(missing, missing, missing, 0, "none", "no examples")
    share = array.mean(axis=0)
    z = stats.norm.ppf(0.5 + confidence / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At shares of 0 and 1 an end equals the share, but for rounding.
    low, high = np.minimum(middle - half, share), np.maximum(middle + half, share)
    return Intervals(share, low, high, n, "Wilson", "")


def share_interval(flags: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """:func:`share_intervals` of one question, shape ``(N,)``."""
    return _only(share_intervals(np.asarray(flags, dtype=bool)[:, None], confidence=confidence))


def _only(found: Intervals) -> Interval:
    estimate, low, high = (float(part[0]) for part in found[:3])
    return Interval(estimate, low, high, found.n, found.method, found.note)
