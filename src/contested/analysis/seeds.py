"""Over seeds: means of runs, and intervals of means and correlations over examples and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.checks import check_confidence, check_resampling, finite_array, same_length
from contested.analysis.clusters import cluster_codes
from contested.analysis.crossed import crossed_ends, crossed_p, share_of_examples
from contested.analysis.influence import rank_influence
from contested.analysis.intervals import Clusters, Interval, Intervals, too_few
from contested.analysis.paired import paired_intervals
from contested.analysis.rank_bootstrap import rank_interval
from contested.analysis.ranking import (
    codes,
    mean_ranks,
    rank_correlation,
    weighted_mean_ranks,
    weighted_rank_correlation,
)
from contested.analysis.seed_arrays import known_examples, no_slope, seeds_and_examples
from contested.wording import joined

Floats = NDArray[np.float64]

_ALIKE = "no interval: all seeds gave the same value, so how much others differ is unknown"
ONE_SEED = "one seed: the interval is over examples alone, and says nothing of other seeds"
"""The note of an interval that holds the seed fixed."""


class SeedMean(NamedTuple):
    """One number of each run, over seeds.

    Attributes:
        mean: Mean over seeds.
        sd: Sample standard deviation over seeds (ddof 1).
        n: Seeds it rests on.
        note: Why a number is missing, and how many seeds have none; empty otherwise.
    """

    mean: float
    sd: float
    n: int
    note: str


class SeedInterval(NamedTuple):
    """One number of each run, over seeds, with an interval over seeds.

    Attributes:
        mean: Mean over seeds.
        sd: Sample standard deviation over seeds (ddof 1).
        low: Lower end of its interval (Student t with S − 1 degrees of freedom).
        high: Upper end of its interval.
        n: Seeds it rests on.
        note: Why a number is missing, and how many seeds have none; empty otherwise.
    """

    mean: float
    sd: float
    low: float
    high: float
    n: int
    note: str


def over_seeds(values: ArrayLike) -> SeedMean:
    """Mean and sample standard deviation of one number of each run.

    Args:
        values: Shape ``(S,)``, in any unit; a missing one (NaN) is left out, and the note counts it.

    Returns:
        In the unit of ``values``; one seed has a mean and no standard deviation.
    """
    given = np.asarray(values, dtype=np.float64)
    known = finite_array("values", given[~np.isnan(given)], 1)
    n = len(known)
    notes = [f"{given.size - n} of {given.size} seeds left out: the value is missing"] if n < given.size else []
    if n < 2:
        notes.append("one seed: no standard deviation" if n else "no seeds")
    mean = float(known.mean()) if n else np.nan
    return SeedMean(mean, float(known.std(ddof=1)) if n > 1 else np.nan, n, "; ".join(notes))


def seed_interval(
    values: ArrayLike, *, confidence: float = 0.95, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> SeedInterval:
    """The mean of one number of each run, with the interval of Student's t over seeds.

    Args:
        values: Shape ``(S,)``, in any unit; a missing one (NaN) is left out, and the note counts it.
        confidence: Coverage wanted.
        bounds: The lowest and the highest possible value; the interval ends there, which costs no coverage.

    Returns:
        In the unit of ``values``; one seed has a mean and neither standard deviation nor interval. Seeds that all gave
        the same value have no interval either, for how much others differ is unknown: the note says so.
    """
    check_confidence(confidence)
    found = over_seeds(values)
    if found.n > 1 and found.sd == 0:
        return SeedInterval(found.mean, found.sd, np.nan, np.nan, found.n, joined(found.note, _ALIKE))
    t = float(special.stdtrit(found.n - 1, 0.5 + confidence / 2)) if found.n > 1 else np.nan
    half = t * found.sd / np.sqrt(max(found.n, 1))
    low, high = np.clip([found.mean - half, found.mean + half], *bounds).tolist()
    return SeedInterval(found.mean, found.sd, low, high, found.n, found.note)


def nested_mean_intervals(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    clusters: Clusters = None,
) -> Intervals:
    """Means over seeds and examples with intervals over both (:func:`~contested.analysis.crossed.crossed_ends`).

    With one seed it is :func:`~contested.analysis.mean_intervals`: of that seed alone.

    Args:
        values: Q quantities (such as checkpoints) of N examples under S seeds, shape ``(S, N, Q)``, in any unit.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval by itself.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.

    Returns:
        Means and interval ends, shape ``(Q,)``, in the unit of ``values``; ``n`` is the number of examples.
    """
    array = seeds_and_examples("values", values, 3)
    return _with_seeds(_over_examples(array, clusters, rng, n_resamples, confidence), [array], clusters, confidence)


def _over_examples(
    array: Floats, clusters: Clusters, rng: np.random.Generator, n_resamples: int, confidence: float
) -> Intervals:
    """Means over S seeds, shape (S, N, Q), with intervals over examples, the seeds held fixed."""
    means = array.mean(axis=0)
    return paired_intervals(means, clusters, rng=rng, n_resamples=n_resamples, confidence=confidence)


def _with_seeds(found: Intervals, groups: Sequence[Floats], clusters: Clusters, confidence: float) -> Intervals:
    """Intervals over examples of the sum of the means of groups of seeds, made ones over examples and seeds."""
    if min(map(len, groups)) == 1:
        return found._replace(note=joined(found.note, ONE_SEED))
    if not np.isfinite(found.low).any():
        return found
    by_seed, share = _of_seeds(groups, clusters, found.n)
    low, high = crossed_ends(found.estimate, (found.low, found.high), by_seed, share, confidence)
    return found._replace(low=low, high=high, method=_crossed(found.method))


def _of_seeds(groups: Sequence[Floats], clusters: Clusters, n: int) -> tuple[list[Floats], Floats]:
    """The numbers of each group's seeds, and the share of the variance over examples that is of examples alone."""
    by_seed = [group.mean(axis=1) for group in groups]
    moved = [group - own[:, None] for group, own in zip(groups, by_seed, strict=True)]
    return by_seed, share_of_examples(moved, cluster_codes(clusters, n))


def nested_mean_interval(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    clusters: Clusters = None,
) -> Interval:
    """:func:`nested_mean_intervals` of one quantity, shape ``(S, N)``."""
    column = seeds_and_examples("values", values, 2)[:, :, None]
    return nested_mean_intervals(
        column, rng=rng, n_resamples=n_resamples, confidence=confidence, clusters=clusters
    ).one()


class SeedTest(NamedTuple):
    """A mean over seeds and examples, and the test that it is 0.

    Attributes:
        interval: The mean with its interval over examples and seeds.
        p_value: Two-sided p, 1 − the confidence at which the interval would end at 0; NaN with one seed, for a test
            over examples alone says nothing of other seeds.
    """

    interval: Interval
    p_value: float


def nested_mean_test(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    clusters: Clusters = None,
) -> SeedTest:
    """:func:`nested_mean_interval` with the p-value that goes with it.

    Args:
        values: Of N examples under S seeds, such as differences of two runs of each seed, shape ``(S, N)``.
        rng: A generator from which nothing has been drawn yet.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.

    Returns:
        The interval, and p.
    """
    column = seeds_and_examples("values", values, 2)[:, :, None]
    found = _over_examples(column, clusters, rng, n_resamples, confidence)
    interval = _with_seeds(found, [column], clusters, confidence).one()
    if len(column) == 1 or np.isnan(interval.low):
        return SeedTest(interval, float("nan"))
    (by_seed,), share = _of_seeds([column], clusters, found.n)
    end = float(found.low[0] if interval.estimate > 0 else found.high[0])
    return SeedTest(interval, crossed_p(interval.estimate, end, by_seed[:, 0], float(share[0]), confidence))


def nested_difference_intervals(
    first: ArrayLike,
    second: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    clusters: Clusters = None,
) -> Intervals:
    """Means of a second group of seeds minus those of a first, of the same examples, seeds not in pairs.

    As :func:`nested_mean_intervals`, with the variance of each group's seeds and its own degrees of freedom. Seeds
    that both groups have are better compared in pairs: :func:`nested_mean_intervals` of their differences.

    Args:
        first: Q quantities of N examples under S₁ seeds, shape ``(S₁, N, Q)``, in any unit.
        second: The same under S₂ other seeds, shape ``(S₂, N, Q)``.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval by itself.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.

    Returns:
        Differences and interval ends, shape ``(Q,)``; where a group has one seed the interval is over examples alone,
        and ``note`` says so.
    """
    groups = [seeds_and_examples(name, values, 3) for name, values in (("first", first), ("second", second))]
    same_length(examples_of_first=groups[0].shape[1], examples_of_second=groups[1].shape[1])
    means = groups[1].mean(axis=0) - groups[0].mean(axis=0)
    found = paired_intervals(means, clusters, rng=rng, n_resamples=n_resamples, confidence=confidence)
    return _with_seeds(found, [-groups[0], groups[1]], clusters, confidence)


def nested_spearman_interval(
    aulc: ArrayLike,
    entropy: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    clusters: Clusters = None,
) -> Interval:
    """The mean over seeds of Spearman's ρ(AULC, H), with an interval over examples and seeds.

    With one seed it is the interval of :func:`~contested.analysis.spearman`.

    Args:
        aulc: Of N examples under S seeds, shape ``(S, N)`` (nats).
        entropy: Annotation entropy H, shape ``(N,)`` (nats); examples without one (NaN) are left out, and noted.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.

    Returns:
        The mean ρ with its interval; NaN, explained in ``note``, where a seed's AULC or H is constant.
    """
    check_resampling(n_resamples, confidence)
    losses, human, own, left_out = known_examples(aulc, entropy, clusters)
    if note := no_slope(losses, human):
        return Interval(np.nan, np.nan, np.nan, len(human), "none", joined(left_out, note))
    options = {"rng": rng, "n_resamples": n_resamples, "confidence": confidence}
    found = _rho_interval(losses, np.ones(len(losses)), human, own, options)
    return found._replace(note=joined(left_out, found.note, ONE_SEED if len(losses) == 1 else ""))


def nested_spearman_difference(
    first: ArrayLike,
    second: ArrayLike,
    entropy: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    clusters: Clusters = None,
) -> Interval:
    """Mean ρ(AULC, H) of a second group of runs minus that of a first, of the same examples and seeds.

    Args:
        first: AULC of N examples under S seeds, shape ``(S, N)`` (nats).
        second: The same of the second group, in the same order.
        entropy: Annotation entropy H, shape ``(N,)`` (nats); examples without one (NaN) are left out, and noted.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.

    Returns:
        The difference with its interval; NaN, explained in ``note``, where an AULC or H is constant.
    """
    check_resampling(n_resamples, confidence)
    before, human, own, left_out = known_examples(first, entropy, clusters)
    after = known_examples(second, entropy).losses
    same_length(seeds_of_first=len(before), seeds_of_second=len(after))
    losses, signs = np.concatenate([after, before]), np.repeat([1.0, -1.0], len(before))
    if note := no_slope(losses, human):
        return Interval(np.nan, np.nan, np.nan, len(human), "none", joined(left_out, note))
    options = {"rng": rng, "n_resamples": n_resamples, "confidence": confidence}
    found = _rho_interval(losses, signs, human, own, options)
    return found._replace(note=joined(left_out, found.note, ONE_SEED if len(before) == 1 else ""))


def _rho_interval(
    losses: Floats, signs: Floats, human: Floats, clusters: NDArray[np.intp], options: dict[str, Any]
) -> Interval:
    """The mean over S seeds of ρ, or of the difference of two ρ: losses (S, N) or (2S, N), each with its sign."""
    n, n_seeds, confidence = len(human), int((signs > 0).sum()), options["confidence"]
    x, y = codes(losses), codes(human)
    rhos = _by_seed(rank_correlation(mean_ranks(x), mean_ranks(y)), signs)
    estimate = float(rhos.mean())
    n_clusters = int(clusters.max()) + 1
    if note := too_few(n_clusters, confidence, "example" if n_clusters == n else "cluster"):
        return Interval(estimate, np.nan, np.nan, n, "none", note)
    low, high, method, note, _ = rank_interval((*x, y), _MeanRho(signs / n_seeds), clusters=clusters, **options)
    if n_seeds == 1:
        return Interval(estimate, low, high, n, method, note)
    influence = _by_seed(rank_influence(x, y), signs)
    share = share_of_examples([influence[:, :, None]], clusters)
    ends = np.array([low]), np.array([high])
    (low,), (high,) = crossed_ends(np.array([estimate]), ends, [rhos[:, None]], share, confidence)
    # No mean ρ lies outside −1 to 1, and no difference of two outside −2 to 2: to end there costs no coverage.
    most = 1.0 if (signs > 0).all() else 2.0
    return Interval(estimate, max(float(low), -most), min(float(high), most), n, _crossed(method), note)


class _MeanRho:
    """The weighted sum of each but the last sample's ρ with the last."""

    def __init__(self, shares: Floats) -> None:
        self.shares = shares

    def __call__(self, *samples: NDArray[np.intp], axis: int = -1) -> Floats:
        assert axis == -1, "scipy's bootstrap keeps the examples last"
        human_ranks = mean_ranks(samples[-1])
        each = [rank_correlation(mean_ranks(one), human_ranks) for one in samples[:-1]]
        return np.asarray(np.tensordot(self.shares, each, 1))

    def weighted(self, samples: Sequence[NDArray[np.intp]], weights: Floats) -> Floats:
        human_ranks = weighted_mean_ranks(samples[-1], weights)
        each = [
            weighted_rank_correlation(weighted_mean_ranks(one, weights), human_ranks, weights) for one in samples[:-1]
        ]
        return np.asarray(np.tensordot(self.shares, each, 1))


def _by_seed(values: Floats, signs: Floats) -> Floats:
    """Values of S seeds as they are; of 2S those of the second group less those of the first."""
    return values if (signs > 0).all() else values[signs > 0] - values[signs < 0]


def _crossed(method: str) -> str:
    return f"{method} over examples, Student t over seeds"
