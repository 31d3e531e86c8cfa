"""Bootstrap intervals of rank correlations over examples, or clusters of them: BCa, or percentile."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from contested.analysis.clusters import cluster_codes
from contested.analysis.intervals import Clusters, resampled_rows, row_counts
from contested.analysis.ranking import BATCH

Floats = NDArray[np.float64]

_ALMOST_1 = 1 - 1e-9  # Fisher's z of 1 is infinite
_BCA_CLUSTERS = 5000  # the jackknife inside BCa ranks N samples of N - 1 examples: 25 million numbers here
_NO_BCA = "resamples all alike or some constant, so BCa is undefined: percentile interval, constant ones as ρ = 0"


class RankStatistic(Protocol):
    """A correlation of samples that are ranked anew wherever they are resampled."""

    def __call__(self, *samples: NDArray[np.intp], axis: int = -1) -> Floats:
        """Correlations along the last axis of samples ``(..., N)``, shape ``(...)``; NaN where there is none."""

    def weighted(self, samples: Sequence[NDArray[np.intp]], weights: Floats) -> Floats:
        """Correlations of samples that hold each of N examples as often as weights ``(B, N)`` say, shape ``(B,)``."""


class RankInterval(NamedTuple):
    """The interval of a rank correlation.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        method: ``"BCa bootstrap"`` or ``"percentile bootstrap"``.
        note: Why it is made another way than BCa; empty where BCa is defined, or too costly.
        z_error: Standard error of Fisher's z of the correlation, atanh ρ: its standard deviation over resamples.
    """

    low: float
    high: float
    method: str
    note: str
    z_error: float


def rank_interval(
    samples: Sequence[NDArray[np.intp]],
    statistic: RankStatistic,
    *,
    clusters: Clusters = None,
    rng: np.random.Generator,
    n_resamples: int,
    confidence: float,
) -> RankInterval:
    """The bootstrap interval of a rank correlation; percentile where BCa is undefined or too costly.

    Args:
        samples: What is resampled together, each coded by :func:`~contested.analysis.ranking.codes`, shape ``(N,)``.
        statistic: The correlation of the samples.
        clusters: What examples share, shape ``(N,)``, resampled whole; None where each stands for itself.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.

    Returns:
        The interval, and how it was made.
    """
    n = len(samples[0])
    codes = cluster_codes(clusters, n)
    n_clusters = int(codes.max()) + 1
    if n_clusters == n:
        low, high, drawn = _of_examples(samples, statistic, rng, n_resamples, confidence)
    else:
        low, high, drawn = _of_clusters(samples, statistic, codes, rng, n_resamples, confidence)
    # A resample that is constant in x or y shows no order: taking it as ρ = 0 widens, leaving it out would not.
    drawn = np.nan_to_num(drawn, nan=0.0)
    z_error = float(np.arctanh(np.clip(drawn, -_ALMOST_1, _ALMOST_1)).std(ddof=1)) if np.ptp(drawn) else 0.0
    if np.isfinite(low) and np.isfinite(high):
        return RankInterval(low, high, f"{_method(n_clusters)} bootstrap", "", z_error)
    low, high = (float(end) for end in np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2]))
    return RankInterval(low, high, "percentile bootstrap", _NO_BCA, z_error)


def _method(n_clusters: int) -> Literal["BCa", "percentile"]:
    return "BCa" if n_clusters <= _BCA_CLUSTERS else "percentile"


def _of_examples(
    samples: Sequence[NDArray[np.intp]],
    statistic: RankStatistic,
    rng: np.random.Generator,
    n_resamples: int,
    confidence: float,
) -> tuple[float, float, Floats]:
    """Ends by SciPy, NaN where BCa is undefined, and the correlations of all resamples."""
    from scipy import stats  # a third of a second, for what examples in clusters do not need

    n = len(samples[0])
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        # A degenerate bootstrap is answered by a percentile interval, with a note in the result.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            tuple(samples),
            statistic,
            n_resamples=n_resamples,
            batch=max(1, BATCH // n),
            vectorized=True,
            paired=True,
            confidence_level=confidence,
            method=_method(n),
            rng=rng,
        )
    low, high = (float(end) for end in found.confidence_interval)
    return low, high, np.asarray(found.bootstrap_distribution)


def _of_clusters(
    samples: Sequence[NDArray[np.intp]],
    statistic: RankStatistic,
    codes: NDArray[np.intp],
    rng: np.random.Generator,
    n_resamples: int,
    confidence: float,
) -> tuple[float, float, Floats]:
    """:func:`_of_examples` of resampled clusters, whole: samples then differ in size."""

    def of(blocks: Iterable[Floats]) -> Floats:
        return np.concatenate([statistic.weighted(samples, counts[:, codes]) for counts in blocks])

    n_clusters = int(codes.max()) + 1
    blocks = map(row_counts, resampled_rows(n_clusters, n_resamples=n_resamples, rng=rng, block=BATCH // len(codes)))
    drawn = of(blocks)
    if _method(n_clusters) == "percentile":
        ends = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
        return float(ends[0]), float(ends[1]), drawn
    left_out = of(_all_but_one(n_clusters, max(1, BATCH // len(codes))))
    estimate = float(statistic(*samples))
    low, high = bca_ends(estimate, drawn, left_out, confidence)
    return low, high, drawn


def _all_but_one(n_clusters: int, block: int) -> Iterator[Floats]:
    """Counts of the jackknife: every cluster once but for one, in blocks of shape ``(r, G)``."""
    for start in range(0, n_clusters, block):
        left_out = np.arange(start, min(start + block, n_clusters))
        counts = np.ones((len(left_out), n_clusters))
        counts[np.arange(len(left_out)), left_out] = 0.0
        yield counts


def bca_ends(estimate: float, drawn: Floats, left_out: Floats, confidence: float) -> tuple[float, float]:
    """Ends of the bias-corrected and accelerated interval.

    See B. Efron, "Better Bootstrap Confidence Intervals", Journal of the American Statistical Association 82, 1987.

    Args:
        estimate: The statistic of the sample.
        drawn: Those of R resamples, shape ``(R,)``.
        left_out: Those of the sample without each of G clusters, shape ``(G,)``.
        confidence: Coverage wanted.

    Returns:
        Low and high; NaN where a resample has no statistic, or resamples or jackknife are all alike.
    """
    below = ((drawn < estimate).mean() + (drawn <= estimate).mean()) / 2
    influence = left_out.mean() - left_out
    spread = (influence**2).sum()
    if not (0 < below < 1 and spread > 0 and np.isfinite(drawn).all()):
        return float("nan"), float("nan")
    bias, acceleration = float(special.ndtri(below)), float((influence**3).sum() / (6 * spread**1.5))
    z = bias + np.asarray(special.ndtri([0.5 - confidence / 2, 0.5 + confidence / 2]))
    ends = np.quantile(drawn, special.ndtr(bias + z / (1 - acceleration * z)))
    return float(ends[0]), float(ends[1])
