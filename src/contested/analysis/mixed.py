"""The mixed-effects slope of AULC on entropy: examples and seeds crossed, a slope of its own for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.analysis.checks import check_confidence
from contested.analysis.clusters import cluster_sums
from contested.analysis.crossed import critical_value, crossed_half, p_where, share_of_examples
from contested.analysis.intervals import too_few
from contested.analysis.seed_arrays import known_examples, no_slope
from contested.wording import joined

Floats = NDArray[np.float64]

_ONE = 1 - 1e-12  # a correlation from here on is that of a straight line, but for rounding
_NO_SPREAD = 1e-12  # a product of sums of squares of z-scores below this is rounding
_LINE = "AULC is a straight line of H under every seed: no spread to make an interval of"
_NO_JACKKNIFE = "without one of the examples there is no slope, or a straight line: no interval"
_ONE_SEED = "one seed: the slope's interval is over examples alone, and says nothing of other seeds"


class MixedEffect(NamedTuple):
    """The slope of AULC on entropy over the examples and seeds of a condition.

    Attributes:
        slope: In standard deviations of AULC (within its seed) for one standard deviation of H; it is the mean
            over seeds of Pearson's correlation.
        se: Its standard error, over examples and seeds.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p_value: Two-sided p of a slope of 0: 1 − the confidence at which the interval would end at 0.
        slope_sd: Sample standard deviation of the slope over seeds; NaN with one.
        n_examples: Examples N.
        n_seeds: Seeds S.
        note: Why a number is missing, or what one seed leaves out; empty otherwise.
    """

    slope: float
    se: float
    low: float
    high: float
    p_value: float
    slope_sd: float
    n_examples: int
    n_seeds: int
    note: str


def mixed_effect(
    aulc: ArrayLike,
    entropy: ArrayLike,
    *,
    confidence: float = 0.95,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
) -> MixedEffect:
    """The mixed-effects slope of AULC on entropy: random examples, random seeds, and a random slope for each seed.

    z(AULC)_si = (β + b_s) z(H)_i + u_i + ε_si, AULC z-scored within each seed, so that seeds differ in no intercept.
    Every example is seen under every seed, so generalised least squares (and restricted maximum likelihood, whatever
    the variances) is the mean of the seeds' own slopes, each Pearson's correlation. The standard error does not take
    the spread of u to be the same at every H. Over examples it is the jackknife of Fisher's z of the slope, one
    example (or cluster) left out at a time and z-scores taken anew: what HC3 is to a slope whose scale is known. Over
    seeds it is that of the seeds' slopes. :func:`~contested.analysis.crossed.crossed_half` puts both together, with
    Student's t of G − 2 and of S − 1 degrees of freedom.

    Args:
        aulc: Of N examples under S seeds, shape ``(S, N)`` (nats).
        entropy: Annotation entropy H, shape ``(N,)`` (nats); examples without one (NaN) are left out, and noted.
        confidence: Coverage wanted.
        clusters: What examples share, shape ``(N,)``, G different ones; None where each example stands for itself.

    Returns:
        The slope; NaN, explained in ``note``, below 3 examples or where a seed's AULC or H is constant, and without
        an interval where there are too few examples for one.
    """
    check_confidence(confidence)
    losses, human, codes, left_out = known_examples(aulc, entropy, clusters)
    (n_seeds, n), nan = losses.shape, float("nan")
    if note := no_slope(losses, human):
        return MixedEffect(nan, nan, nan, nan, nan, nan, n, n_seeds, joined(left_out, note))
    from scipy import stats

    x, y = stats.zscore(human), stats.zscore(losses, axis=1)
    slopes = (y * x).mean(axis=1)
    slope = float(slopes.mean())
    found = MixedEffect(slope, nan, nan, nan, nan, _sd(slopes), n, n_seeds, left_out)
    if note := too_few(int(codes.max()) + 1, confidence):
        return found._replace(note=joined(left_out, note if len(set(codes)) == n else _of_clusters(note)))
    if abs(slope) >= _ONE:
        return found._replace(se=0.0, low=slope, high=slope, p_value=0.0, note=joined(left_out, _LINE))
    left = _left_out(x, y, codes)
    with np.errstate(divide="ignore", invalid="ignore"):
        finite = np.isfinite(np.arctanh(left.mean(axis=0))).all()
    if not finite:
        return found._replace(note=joined(left_out, _NO_JACKKNIFE))
    return _with_interval(found, slopes, left, confidence)


def _sd(slopes: Floats) -> float:
    return float(slopes.std(ddof=1)) if len(slopes) > 1 else float("nan")


def _of_clusters(note: str) -> str:
    return note.replace("example", "cluster", 1)


def _left_out(x: Floats, y: Floats, codes: NDArray[np.intp]) -> Floats:
    """Pearson's correlation of x (N,) with each y (S, N), without each of the G clusters: shape (S, G)."""
    sums = [cluster_sums(part.reshape(-1, len(x)).T, codes).T for part in (np.ones_like(x), x, x * x, y, y * y, y * x)]
    n, of_x, of_xx, of_y, of_yy, of_xy = (part.sum(axis=1, keepdims=True) - part for part in sums)
    spread = (of_xx - of_x**2 / n) * (of_yy - of_y**2 / n)
    missing = np.full(spread.shape, np.nan)
    scale = np.sqrt(np.maximum(spread, 0.0))
    return np.asarray(np.divide(of_xy - of_x * of_y / n, scale, out=missing, where=spread > _NO_SPREAD))


def _with_interval(found: MixedEffect, slopes: Floats, left: Floats, confidence: float) -> MixedEffect:
    """The interval and the test, made on the scale of Fisher's z."""
    n_clusters, slope = left.shape[1], found.slope
    fisher = np.arctanh(left.mean(axis=0))
    of_examples = (n_clusters - 1) * fisher.var()
    per_z = 1 - slope**2  # the derivative of the slope by Fisher's z
    of_seeds, share = 0.0, 1.0
    if len(slopes) > 1:
        of_seeds = float(slopes.var(ddof=1)) / len(slopes) / per_z**2
        apart = left - left.mean(axis=1, keepdims=True)
        share = float(share_of_examples([apart[:, :, None]], np.arange(n_clusters))[0])

    def half(p_value: float) -> float:
        z, t = critical_value(p_value), critical_value(p_value, n_clusters - 2)
        of_more = critical_value(p_value, max(len(slopes) - 1, 1))
        widened = share * of_examples * (t / z) ** 2
        return float(crossed_half([(np.array([widened]), z), (np.array([of_seeds]), of_more)])[0])

    centre, width = float(np.arctanh(slope)), half(1 - confidence)
    low, high = (float(end) for end in np.tanh([centre - width, centre + width]))
    se = per_z * float(np.sqrt(share * of_examples + of_seeds))
    note = joined(found.note, _ONE_SEED if len(slopes) == 1 else "")
    return found._replace(se=se, low=low, high=high, p_value=p_where(half, abs(centre)), note=note)
