"""Over seeds: means of runs, intervals with seeds nested in them, and the mixed-effects estimate.

The seeds of a condition share their examples, so examples are resampled once for all seeds of a resample,
and seeds are resampled within it. Resampling S seeds shows only (S − 1) / S of their variance, two thirds
for three: where seeds differ more than examples do, these intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from contested.analysis.checks import check_confidence, check_resampling, finite_array, known_entropy, same_length
from contested.analysis.intervals import (
    Interval,
    Intervals,
    expanded_quantiles,
    resampled_counts,
    resampled_rows,
    too_few,
)
from contested.analysis.ranking import codes, mean_ranks, rank_correlation
from contested.errors import DataError
from contested.wording import counted, joined

_NESTED = "nested percentile bootstrap"
ONE_SEED = "one seed: only examples are resampled"
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


class MixedEffect(NamedTuple):
    """The slope of AULC on entropy over the examples and seeds of a condition.

    Attributes:
        slope: In standard deviations of AULC (within its seed) for one standard deviation of H; it is the mean
            over seeds of Pearson's correlation.
        se: Its standard error.
        low: Lower end of its interval (Student t).
        high: Upper end of its interval.
        p_value: Two-sided p of a slope of 0.
        n_examples: Examples N.
        n_seeds: Seeds S.
        note: Why a number is missing, or what one seed leaves out; empty otherwise.
    """

    slope: float
    se: float
    low: float
    high: float
    p_value: float
    n_examples: int
    n_seeds: int
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
        In the unit of ``values``; one seed has a mean and neither standard deviation nor interval.
    """
    check_confidence(confidence)
    found = over_seeds(values)
    t = float(stats.t.ppf(0.5 + confidence / 2, found.n - 1)) if found.n > 1 else np.nan
    half = t * found.sd / np.sqrt(max(found.n, 1))
    low, high = np.clip([found.mean - half, found.mean + half], *bounds).tolist()
    return SeedInterval(found.mean, found.sd, low, high, found.n, found.note)


def nested_interval(
    statistic: Callable[[NDArray[np.float64]], float],
    arrays: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """The percentile interval of any statistic of seeds and examples, both resampled.

    Each resample takes the same examples from every seed, then seeds. The interval is not widened for few
    examples. ``statistic`` is called once a resample; :func:`nested_mean_interval` and
    :func:`nested_spearman_interval` are fast.

    Args:
        statistic: From values ``(S, N, …)`` to a number.
        arrays: Shape ``(S, N, …)``.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.

    Returns:
        The statistic with its interval; ``n`` is the number of examples.
    """
    check_resampling(n_resamples, confidence)
    values = np.asarray(arrays, dtype=np.float64)
    values = _seeds_and_examples("arrays", values, max(2, values.ndim))
    n_seeds, n = values.shape[:2]
    estimate = float(statistic(values)) if n else np.nan
    if note := too_few(n, confidence):
        return Interval(estimate, np.nan, np.nan, n, "none", note)
    for_examples, for_seeds = rng.spawn(2)
    seeds = iter(_resampled_seeds(n_seeds, n_resamples, for_seeds))
    blocks = resampled_rows(n, n_resamples=n_resamples, rng=for_examples)
    drawn = [float(statistic(values[next(seeds)][:, rows])) for block in blocks for rows in block]
    low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(estimate, float(low), float(high), n, _NESTED, ONE_SEED if n_seeds == 1 else "")


def nested_mean_intervals(
    values: ArrayLike, *, rng: np.random.Generator, n_resamples: int = 2000, confidence: float = 0.95
) -> Intervals:
    """Means over seeds and examples with nested percentile intervals, widened for few examples.

    With one seed it is :func:`~contested.analysis.mean_intervals`.

    Args:
        values: Q quantities (such as checkpoints) of N examples under S seeds, shape ``(S, N, Q)``, in any unit.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        Means and interval ends, shape ``(Q,)``, in the unit of ``values``; ``n`` is the number of examples.
    """
    check_resampling(n_resamples, confidence)
    array = _seeds_and_examples("values", values, 3)
    n_seeds, n, width = array.shape
    missing = np.full(width, np.nan)
    estimate = array.mean(axis=(0, 1)) if n else missing
    if note := too_few(n, confidence):
        return Intervals(estimate, missing, missing, n, "none", note)
    for_examples, for_seeds = rng.spawn(2)
    by_example = array.transpose(1, 0, 2).reshape(n, n_seeds * width)
    blocks = resampled_counts(n, n_resamples=n_resamples, rng=for_examples)
    means = np.concatenate([counts @ by_example / n for counts in blocks])
    weights = np.concatenate([*resampled_counts(n_seeds, n_resamples=n_resamples, rng=for_seeds)]) / n_seeds
    drawn = np.einsum("rsq,rs->rq", means.reshape(n_resamples, n_seeds, width), weights)
    low, high = expanded_quantiles(drawn, n, confidence)
    return Intervals(estimate, low, high, n, _NESTED, ONE_SEED if n_seeds == 1 else "")


def nested_mean_interval(
    values: ArrayLike, *, rng: np.random.Generator, n_resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    """:func:`nested_mean_intervals` of one quantity, shape ``(S, N)``."""
    column = _seeds_and_examples("values", values, 2)[:, :, None]
    found = nested_mean_intervals(column, rng=rng, n_resamples=n_resamples, confidence=confidence)
    estimate, low, high = (float(part[0]) for part in found[:3])
    return Interval(estimate, low, high, found.n, found.method, found.note)


def nested_spearman_interval(
    aulc: ArrayLike,
    entropy: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """The mean over seeds of Spearman's ρ(AULC, H), with a nested percentile interval.

    A resample in which a quantity is constant counts as ρ = 0, as in :func:`~contested.analysis.spearman`.

    Args:
        aulc: Of N examples under S seeds, shape ``(S, N)`` (nats).
        entropy: Annotation entropy H, shape ``(N,)`` (nats); examples without one (NaN) are left out, and noted.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.

    Returns:
        The mean ρ with its interval; NaN, explained in ``note``, where a seed's AULC or H is constant.
    """
    check_resampling(n_resamples, confidence)
    losses, human, left_out = _with_entropy(aulc, entropy)
    n_seeds, n = losses.shape
    if note := _no_slope(losses, human):
        return Interval(np.nan, np.nan, np.nan, n, "none", joined(left_out, note))
    x, y = np.stack([codes(row) for row in losses]), codes(human)
    estimate = float(rank_correlation(mean_ranks(x), mean_ranks(y)).mean())
    if note := too_few(n, confidence):
        return Interval(estimate, np.nan, np.nan, n, "none", joined(left_out, note))
    for_examples, for_seeds = rng.spawn(2)
    blocks = []
    for rows in resampled_rows(n, n_resamples=n_resamples, rng=for_examples):
        of_entropy = mean_ranks(y[rows])
        blocks.append(np.stack([rank_correlation(mean_ranks(seed[rows]), of_entropy) for seed in x], axis=1))
    rhos = np.nan_to_num(np.concatenate(blocks), nan=0.0)
    drawn = np.take_along_axis(rhos, _resampled_seeds(n_seeds, n_resamples, for_seeds), axis=1).mean(axis=1)
    low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    note = joined(left_out, ONE_SEED if n_seeds == 1 else "")
    return Interval(estimate, float(low), float(high), n, _NESTED, note)


def mixed_effect(aulc: ArrayLike, entropy: ArrayLike, *, confidence: float = 0.95) -> MixedEffect:
    """The mixed-effects slope of AULC on entropy: a random intercept for each example, seeds as fixed effects.

    z(AULC)_si = seed_s + β z(H)_i + u_i + ε_si, AULC z-scored within each seed. Every example is seen under
    every seed, so generalised least squares is the regression of the examples' means over seeds on z(H), and
    the standard error that of its residuals, with N − 2 degrees of freedom: the REML fit, unless examples
    vary less between than within (where REML sets the variance of u to 0 and this does not). Seeds stand for
    themselves only: the interval is over examples.

    Args:
        aulc: Of N examples under S seeds, shape ``(S, N)`` (nats).
        entropy: Annotation entropy H, shape ``(N,)`` (nats); examples without one (NaN) are left out, and noted.
        confidence: Coverage wanted.

    Returns:
        The slope; NaN, explained in ``note``, below 3 examples or where a seed's AULC or H is constant.
    """
    check_confidence(confidence)
    losses, human, left_out = _with_entropy(aulc, entropy)
    n_seeds, n = losses.shape
    if note := _no_slope(losses, human):
        return MixedEffect(np.nan, np.nan, np.nan, np.nan, np.nan, n, n_seeds, joined(left_out, note))
    means = stats.zscore(losses, axis=1, ddof=1).mean(axis=0)
    found = stats.linregress(stats.zscore(human, ddof=1), means)
    slope, se, p_value = (float(part) for part in (found.slope, found.stderr, found.pvalue))
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 2)) * se
    note = joined(left_out, "one seed: an ordinary regression over examples" if n_seeds == 1 else "")
    return MixedEffect(slope, se, slope - half, slope + half, p_value, n, n_seeds, note)


def _seeds_and_examples(name: str, values: ArrayLike, ndim: int) -> NDArray[np.float64]:
    array = finite_array(name, values, ndim)
    if not len(array):
        raise DataError(f"{name}: given no seed, expected at least one.")
    return array


def _with_entropy(aulc: ArrayLike, entropy: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Losses (S, n) and entropies (n,) of the examples that have both, and how many are left out."""
    losses, known = _seeds_and_examples("aulc", aulc, 2), known_entropy(entropy)
    same_length(aulc=losses.shape[1], entropy=len(known.rows))
    return losses[:, known.rows], known.entropy, known.note


def _no_slope(losses: NDArray[np.float64], entropy: NDArray[np.float64]) -> str:
    if len(entropy) < 3:
        return f"{counted(len(entropy), 'example')}: too few for a correlation (3 needed)"
    if np.ptp(entropy) == 0:
        return "constant: entropy, so there is nothing to correlate with"
    constant = int((np.ptp(losses, axis=1) == 0).sum())
    return f"constant: aulc of {constant} of {len(losses)} seeds, so there is nothing to correlate" if constant else ""


def _resampled_seeds(n_seeds: int, n_resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(0, n_seeds, size=(n_resamples, n_seeds))
