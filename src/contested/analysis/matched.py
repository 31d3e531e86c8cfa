"""Two ways of training, compared where their runs had reached the same loss: is it the method, or how far it got?

Random are the examples (or clusters of them), which all runs share, and the runs. A band over several losses is
simultaneous: with the stated confidence it holds the whole curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.analysis.checks import check_resampling, finite_array
from contested.analysis.clusters import cluster_codes
from contested.analysis.intervals import keyed, resampled_counts, too_few
from contested.analysis.studentised import means_of, resampled_means
from contested.errors import ConfigError, DataError

Floats = NDArray[np.float64]
MatchedVerdict = Literal["phase", "differs", "inconclusive"]

N_LEVELS = 12
"""Losses at which curves are compared, evenly spaced."""
MARGIN = 0.1
"""Differences up to this (nats of loss, or of a ρ) count as none."""
ONE_RUN = "one run on a side: its interval is over examples alone, and nothing follows about other runs"
_MANY_RUNS = 100
"""Runs of both sides together above which they are not drawn one by one, which takes their square."""
_NONE_REACHED = "no loss that the runs of each side reached"
_METHOD = "bootstrap-t over examples and Student t over runs (MOVER)"


class MatchedCurve(NamedTuple):
    """A quantity at G losses reached, over the R runs of one way of training.

    Attributes:
        estimate: Mean over the runs that reached each loss, shape ``(G,)``; NaN where none did.
        low: Lower ends of the intervals, each by itself; NaN where fewer than two runs reached the loss.
        high: Upper ends.
        n_runs: Runs that reached each loss, shape ``(G,)``.
        n: Examples.
        note: Why intervals are missing, or what they leave out; empty otherwise.
    """

    estimate: Floats
    low: Floats
    high: Floats
    n_runs: NDArray[np.int64]
    n: int
    note: str


class MatchedDifference(NamedTuple):
    """How a quantity differs between two ways of training at G losses that both reached: second minus first.

    Attributes:
        estimate: Difference of the means over runs, shape ``(G,)``.
        low: Lower edge of the simultaneous band; NaN where it is not known.
        high: Upper edge.
        low_each: Lower ends of the intervals of each loss by itself, at confidence 1 − 2 (1 − confidence): the two
            one-sided tests of equivalence.
        high_each: Upper ends.
        n_first: Runs of the first that reached each loss, shape ``(G,)``.
        n_second: Runs of the second.
        n: Examples.
        n_clusters: Independent clusters among them.
        margin: Differences up to this count as none.
        verdict: ``phase`` where every difference is shown to lie within the margin, else ``differs`` where the band
            leaves 0 out somewhere, else ``inconclusive``.
        method: How the band was made.
        note: Why it is missing, or what it leaves out; empty otherwise.
    """

    estimate: Floats
    low: Floats
    high: Floats
    low_each: Floats
    high_each: Floats
    n_first: NDArray[np.int64]
    n_second: NDArray[np.int64]
    n: int
    n_clusters: int
    margin: float
    verdict: MatchedVerdict
    method: str
    note: str


def shared_levels(first: Sequence[Floats], second: Sequence[Floats], *, n_levels: int = N_LEVELS) -> Floats:
    """Losses that at least two runs of each side reached, or one where a side has no more, evenly spaced.

    Args:
        first: The losses reached by each run of one side, each of shape ``(T,)``; NaN where they are not known.
        second: Those of the other side.
        n_levels: How many losses G.

    Returns:
        From high to low, shape ``(G,)``; empty where no loss is shared.
    """
    known = [[run[np.isfinite(run)] for run in side if np.isfinite(run).any()] for side in (first, second)]
    least = min(2, *map(len, known))
    if not least:
        return np.empty(0)
    top = min(sorted((run.max() for run in side), reverse=True)[least - 1] for side in known)
    bottom = max(sorted(run.min() for run in side)[least - 1] for side in known)
    return np.linspace(top, bottom, n_levels) if top > bottom else np.empty(0)


def matched_difference(
    first: Sequence[Floats] | Floats,
    second: Sequence[Floats] | Floats,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    margin: float = MARGIN,
) -> MatchedDifference:
    """Compare a quantity of the same examples between runs of two kinds, at losses that both reached.

    Two parts of uncertainty are taken apart: that of the mean over examples (a bootstrap-t over clusters) and that of
    the mean over runs (those of both sides pooled, as in the two-sample t-test, drawn from a normal law with their
    covariance over the losses). For each the largest studentised deviation over the losses gives a band (max-t;
    Westfall and Young 1993); their half-widths add up as variances do (MOVER; Zou and Donner 2008). Runs count as
    independent: those of one seed, too, and of several learning rates.

    Args:
        first: One quantity at G losses of N examples in each of R runs, shape ``(R, G, N)``; NaN at losses that a run
            did not reach. Its mean over the examples is what is compared.
        second: The same of the other runs, whose number may differ.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.
        rng: A generator from which nothing has been drawn yet.
        n_resamples: Number of resamples.
        confidence: Coverage wanted of the whole band.
        margin: Differences up to this count as none.

    Returns:
        Differences and band, shape ``(G,)``.

    Raises:
        ConfigError: If the margin is not above 0.
    """
    check_resampling(n_resamples, confidence)
    if not margin > 0:
        raise ConfigError(f"margin: given {margin}, expected a number above 0, in the unit of the quantity.")
    sides = _sides(first, second)
    drawn = _drawn(sides, clusters, rng, n_resamples, confidence)
    estimate = sides[1].mean - sides[0].mean
    half, half_each = drawn.halves(confidence)
    band = (estimate - half, estimate + half, estimate - half_each, estimate + half_each)
    return MatchedDifference(
        estimate,
        *band,
        n_first=sides[0].n_runs,
        n_second=sides[1].n_runs,
        n=sides[0].n,
        n_clusters=drawn.n_clusters,
        margin=margin,
        verdict="inconclusive" if drawn.note else _verdict(*band, margin),
        method=_METHOD if np.isfinite(half).any() else "none",
        note=drawn.note,
    )


def matched_curve(
    values: Sequence[Floats] | Floats,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> MatchedCurve:
    """A quantity at losses reached, over runs of one kind, with an interval at each: see :func:`matched_difference`.

    Args:
        values: One quantity at G losses of N examples in each of R runs, shape ``(R, G, N)``; NaN at losses that a
            run did not reach.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.
        rng: A generator from which nothing has been drawn yet.
        n_resamples: Number of resamples.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        Means and intervals, shape ``(G,)``.
    """
    check_resampling(n_resamples, confidence)
    sides = _sides(values)
    drawn = _drawn(sides, clusters, rng, n_resamples, confidence)
    (side,) = sides
    half = drawn.each(confidence)
    return MatchedCurve(side.mean, side.mean - half, side.mean + half, side.n_runs, side.n, drawn.note)


def _verdict(low: Floats, high: Floats, low_each: Floats, high_each: Floats, margin: float) -> MatchedVerdict:
    known = np.isfinite(low)
    if known.any() and (low_each[known] > -margin).all() and (high_each[known] < margin).all():
        return "phase"
    return "differs" if bool((low > 0).any() or (high < 0).any()) else "inconclusive"


class _Side(NamedTuple):
    """The runs of one side.

    Attributes:
        by_example: Mean over the runs that reached each loss, shape (G, N), 0 where none did.
        residuals: Of each run's mean from that of all, shape (R, G); 0 where the run did not reach the loss.
        reached: Which losses each run reached, shape (R, G).
    """

    by_example: Floats
    residuals: Floats
    reached: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """Examples."""
        return int(self.by_example.shape[1])

    @property
    def n_runs(self) -> NDArray[np.int64]:
        """Runs that reached each loss."""
        return np.asarray(self.reached.sum(axis=0), np.int64)

    @property
    def mean(self) -> Floats:
        """Mean over runs and examples, shape (G,)."""
        return np.where(self.n_runs > 0, self.by_example.sum(axis=1) / max(self.n, 1), np.nan)


def _sides(*given: Sequence[Floats] | Floats) -> list[_Side]:
    arrays = [np.asarray(values, np.float64) for values in given]
    shapes = {array.shape[1:] for array in arrays}
    if any(array.ndim != 3 for array in arrays) or len(shapes) > 1:
        shown = " and ".join(str(array.shape) for array in arrays)
        raise DataError(
            f"values: given arrays of shape {shown}, expected (runs, losses, examples), alike but for runs."
        )
    return [_side(array) for array in arrays]


def _side(array: Floats) -> _Side:
    reached = np.asarray(np.isfinite(array).any(axis=2), bool)
    filled = np.where(reached[:, :, None], array, 0.0)
    finite_array("values", filled, 3)
    n_runs = np.maximum(reached.sum(axis=0), 1)
    by_example = filled.sum(axis=0) / n_runs[:, None]
    means = filled.sum(axis=2) / max(array.shape[2], 1)
    residuals = np.where(reached, means - means.sum(axis=0) / n_runs, 0.0)
    return _Side(by_example, residuals, reached)


class _Part(NamedTuple):
    """One of the two sources of uncertainty: examples, or runs.

    Attributes:
        error: The standard error at each loss, shape (G,); NaN where there is none.
        t: Absolute deviations of resamples in their own standard errors, shape (B, G).
    """

    error: Floats
    t: Floats

    def together(self, confidence: float) -> Floats:
        """Half the width of the band over all losses."""
        largest = np.max(self.t, axis=1, initial=0.0, where=np.isfinite(self.error))
        return np.asarray(np.quantile(largest, confidence) * self.error, np.float64)

    def each(self, confidence: float) -> Floats:
        """Half the width of the interval at each loss by itself."""
        return np.asarray(np.quantile(self.t, confidence, axis=0) * self.error, np.float64)


class _Draws(NamedTuple):
    """The parts of the uncertainty, and what to know of them.

    Attributes:
        parts: Examples, and runs where two of each side are there; none where there is no interval.
        missing: NaN, shape (G,).
        n_clusters: Independent clusters of examples.
        note: What is left out, or why there is nothing; empty otherwise.
    """

    parts: tuple[_Part, ...]
    missing: Floats
    n_clusters: int
    note: str

    def halves(self, confidence: float) -> tuple[Floats, Floats]:
        """Half the width of the simultaneous band, and of the intervals that test equivalence at each loss."""
        return self._joined([part.together(confidence) for part in self.parts]), self.each(1 - 2 * (1 - confidence))

    def each(self, confidence: float) -> Floats:
        """Half the width of the interval at each loss by itself."""
        return self._joined([part.each(confidence) for part in self.parts])

    def _joined(self, halves: Sequence[Floats]) -> Floats:
        # Widths of independent parts add up as variances do (MOVER); a common quantile would be too small where the
        # few runs happen to lie close together.
        return np.sqrt(sum(half**2 for half in halves)) if halves else self.missing


def _drawn(
    sides: Sequence[_Side],
    clusters: Sequence[Any] | NDArray[Any] | None,
    rng: np.random.Generator,
    n_resamples: int,
    confidence: float,
) -> _Draws:
    """The resamples of the second side less the first, or of the only one."""
    n = sides[0].n
    codes = cluster_codes(clusters, n)
    n_clusters = int(codes.max(initial=-1)) + 1
    fewest = np.min([side.n_runs for side in sides], axis=0)
    missing = np.full(len(fewest), np.nan)
    note = too_few(n_clusters, confidence, "example" if n_clusters == n else "cluster")
    if note or not fewest.any():
        return _Draws((), missing, n_clusters, note or _NONE_REACHED)
    several = bool((fewest >= 2).any())
    usable = fewest >= (2 if several else 1)
    by_example = (sides[-1].by_example - (sides[0].by_example if len(sides) > 1 else 0.0)).T
    parts = [_examples(by_example, codes, rng=rng, n_resamples=n_resamples)]
    parts += [_runs(sides, usable, rng=keyed(rng, "runs"), n_resamples=n_resamples)] if several else []
    known = tuple(part._replace(error=np.where(usable, part.error, np.nan)) for part in parts)
    return _Draws(known, missing, n_clusters, "" if several else ONE_RUN)


def _examples(values: Floats, codes: NDArray[np.intp], *, rng: np.random.Generator, n_resamples: int) -> _Part:
    """What examples add, shape (N, G): the bootstrap-t of their means over clusters."""
    n_clusters = int(codes.max()) + 1
    means = means_of(values, codes, n_clusters)
    drawn = resampled_means(means, resampled_counts(n_clusters, n_resamples=n_resamples, rng=rng))
    return _Part(means.error, _studentised(drawn.shift, drawn.error))


def _studentised(deviation: Floats, error: Floats) -> Floats:
    # Where nothing varies, no resample differs either.
    return np.divide(np.abs(deviation), error, out=np.zeros_like(deviation), where=error > 0)


def _runs(sides: Sequence[_Side], usable: NDArray[np.bool_], *, rng: np.random.Generator, n_resamples: int) -> _Part:
    """What runs add: drawn from a normal law with their pooled covariance over the losses, then treated as they were.

    At one loss their part is Student's t. Of few runs the covariance looks more alike over the losses than it is: it
    is shrunk towards none, by 1 / (R − 1) for R runs.
    """
    residuals = np.concatenate([side.residuals for side in sides])
    free = np.maximum(sum(side.n_runs for side in sides) - len(sides), 1)
    if len(residuals) > _MANY_RUNS:
        return _many_runs(sides, residuals, free, usable, rng=rng, n_resamples=n_resamples)
    spread = np.sqrt((residuals**2).sum(axis=0) / free)
    alone = 1 / (free + len(sides) - 1)
    shape = (n_resamples, len(residuals))
    drawn = rng.normal(size=(*shape, len(residuals))) @ (residuals / np.sqrt(free)) * np.sqrt(1 - alone)
    drawn += rng.normal(size=(*shape, len(spread))) * spread * np.sqrt(alone)
    shift: Floats = np.zeros((n_resamples, len(spread)))
    around, start = [], 0
    for sign, side in zip((1, -1), sides, strict=False):
        own = np.where(side.reached, drawn[:, start : start + len(side.reached)], 0.0)
        means = own.sum(axis=1) / np.maximum(side.n_runs, 1)
        around.append(np.where(side.reached, own - means[:, None], 0.0))
        shift += sign * means
        start += len(side.reached)
    error = np.sqrt(_pooled([side.residuals for side in sides], sides))
    return _Part(np.where(usable, error, np.nan), _studentised(shift, np.sqrt(_pooled(around, sides))))


def _many_runs(
    sides: Sequence[_Side],
    residuals: Floats,
    free: NDArray[np.int64],
    usable: NDArray[np.bool_],
    *,
    rng: np.random.Generator,
    n_resamples: int,
) -> _Part:
    """What many runs add, from the law of their means, without drawing each run: a multivariate t over the losses.

    At one loss it is Student's t as before; over the losses all errors are taken to be drawn alike.
    """
    scaled = residuals / np.sqrt(free)
    counts = [np.maximum(side.n_runs, 1) for side in sides]
    shared = sum(
        (side.reached.T.astype(np.float64) @ side.reached) / np.outer(count, count)
        for side, count in zip(sides, counts, strict=True)
    )
    values, vectors = np.linalg.eigh(scaled.T @ scaled * shared)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    error = np.sqrt(_pooled([side.residuals for side in sides], sides))
    fewest = int(free[usable].min())
    shift = rng.normal(size=(n_resamples, len(values))) @ factor.T
    spread = np.sqrt(rng.chisquare(fewest, size=(n_resamples, 1)) / fewest)
    return _Part(np.where(usable, error, np.nan), _studentised(shift, error * spread))


def _pooled(residuals: Sequence[Floats], sides: Sequence[_Side]) -> Floats:
    """The variance that runs add to the difference at each loss, shape (..., G)."""
    counts = [side.n_runs for side in sides]
    free = np.maximum(sum(counts) - len(counts), 1)
    squares = sum(np.sum(own**2, axis=-2) for own in residuals)
    return np.asarray(squares / free * sum(1 / np.maximum(count, 1) for count in counts), np.float64)
