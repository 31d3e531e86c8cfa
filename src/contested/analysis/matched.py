"""Two ways of training, compared where their runs had reached the same loss: is it the method, or how far it got?

Random are the examples (or clusters of them), which all runs share, and the runs. A band over several losses is
simultaneous: with the stated confidence it holds the whole curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.analysis.checks import check_resampling
from contested.analysis.clusters import cluster_codes
from contested.analysis.intervals import keyed, too_few
from contested.analysis.matched_parts import Floats, Part, Side, examples_part, runs_part, sides_of
from contested.errors import ConfigError

MatchedVerdict = Literal["phase", "differs", "inconclusive"]

N_LEVELS = 12
"""Losses at which curves are compared, evenly spaced."""
MARGIN = 0.1
"""Differences up to this (nats of loss, or of a ρ) count as none."""
ONE_RUN = "one run on a side: its interval is over examples alone, and nothing follows about other runs"
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
    first: Sequence[Floats] | Floats | Side,
    second: Sequence[Floats] | Floats | Side,
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
            did not reach. Its mean over the examples is what is compared. Or what
            :func:`~contested.analysis.matched_parts.side_of` made of them, a few runs at a time.
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
    sides = sides_of(first, second)
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
    values: Sequence[Floats] | Floats | Side,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> MatchedCurve:
    """A quantity at losses reached, over runs of one kind, with an interval at each: see :func:`matched_difference`.

    Args:
        values: One quantity at G losses of N examples in each of R runs, shape ``(R, G, N)``; NaN at losses that a
            run did not reach. Or what :func:`~contested.analysis.matched_parts.side_of` made of them.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.
        rng: A generator from which nothing has been drawn yet.
        n_resamples: Number of resamples.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        Means and intervals, shape ``(G,)``.
    """
    check_resampling(n_resamples, confidence)
    sides = sides_of(values)
    drawn = _drawn(sides, clusters, rng, n_resamples, confidence)
    (side,) = sides
    half = drawn.each(confidence)
    return MatchedCurve(side.mean, side.mean - half, side.mean + half, side.n_runs, side.n, drawn.note)


def _verdict(low: Floats, high: Floats, low_each: Floats, high_each: Floats, margin: float) -> MatchedVerdict:
    known = np.isfinite(low)
    if known.any() and (low_each[known] > -margin).all() and (high_each[known] < margin).all():
        return "phase"
    return "differs" if bool((low > 0).any() or (high < 0).any()) else "inconclusive"


class _Draws(NamedTuple):
    """The parts of the uncertainty, and what to know of them.

    Attributes:
        parts: Examples, and runs where two of each side are there; none where there is no interval.
        missing: NaN, shape (G,).
        n_clusters: Independent clusters of examples.
        note: What is left out, or why there is nothing; empty otherwise.
    """

    parts: tuple[Part, ...]
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
    sides: Sequence[Side],
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
    parts = [examples_part(by_example, codes, rng=rng, n_resamples=n_resamples)]
    parts += [runs_part(sides, usable, rng=keyed(rng, "runs"), n_resamples=n_resamples)] if several else []
    known = tuple(part._replace(error=np.where(usable, part.error, np.nan)) for part in parts)
    return _Draws(known, missing, n_clusters, "" if several else ONE_RUN)
