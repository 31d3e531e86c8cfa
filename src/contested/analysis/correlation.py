"""Rank correlation of a trajectory's summary with human disagreement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.checks import check_resampling, finite_array, same_length
from contested.analysis.clusters import cluster_codes, cluster_sums
from contested.analysis.influence import rank_influence
from contested.analysis.intervals import Clusters, smallest_n, too_few
from contested.analysis.rank_bootstrap import rank_interval
from contested.analysis.ranking import (
    codes,
    mean_ranks,
    rank_correlation,
    rank_test,
    weighted_mean_ranks,
    weighted_rank_correlation,
)
from contested.wording import counted

Direction = Literal["positive", "negative", "unclear"]


class Correlation(NamedTuple):
    """A Spearman correlation over examples.

    Attributes:
        x: The first quantity, such as ``"aulc"``.
        y: The second quantity, such as ``"entropy"``.
        rho: Spearman's ρ.
        p_value: Two-sided p of ρ = 0 (Student t approximation; in clusters of Fisher's z, :func:`rank_p`).
        low: Lower end of the interval of ρ.
        high: Upper end of the interval of ρ.
        n: Examples it rests on.
        n_skipped: Examples left out because a value is missing.
        direction: "positive" (interval above 0), "negative" (below 0) or "unclear".
        method: How the interval was made.
        note: Why a number is missing or made another way; empty otherwise.
    """

    x: str
    y: str
    rho: float
    p_value: float
    low: float
    high: float
    n: int
    n_skipped: int
    direction: Direction
    method: str
    note: str


class Correlations(NamedTuple):
    """ρ with entropy, for AULC as in the paper and weighted by steps, and for the coordinates of the data map.

    Attributes:
        aulc: ρ of AULC, the plain mean over checkpoints.
        aulc_trapezoid: ρ of AULC weighted by steps.
        confidence: ρ of the gold label's mean probability; None without logits or gold labels.
        variability: ρ of that probability's standard deviation; None likewise.
        learning_time: ρ of the step at which an example is learned, those that never are above all others; None where
            the classes of the losses are unknown.
    """

    aulc: Correlation
    aulc_trapezoid: Correlation
    confidence: Correlation | None = None
    variability: Correlation | None = None
    learning_time: Correlation | None = None


_ALMOST_1 = 1 - 1e-12  # Fisher's z of 1 is infinite
_SMALLEST_RHO = 3  # two points always lie in perfect order


class _Spearman:
    """Spearman's ρ of two samples of codes."""

    def __call__(self, *samples: NDArray[np.intp], axis: int = -1) -> NDArray[np.float64]:
        assert axis == -1, "scipy's bootstrap keeps the examples last"
        x, y = samples
        return rank_correlation(mean_ranks(x), mean_ranks(y))

    def weighted(self, samples: Sequence[NDArray[np.intp]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = (weighted_mean_ranks(sample, weights) for sample in samples)
        return weighted_rank_correlation(x, y, weights)


def spearman(
    x: ArrayLike,
    y: ArrayLike,
    *,
    rng: np.random.Generator,
    names: tuple[str, str] = ("x", "y"),
    clusters: Clusters = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Correlation:
    """Spearman's ρ of two quantities of the same examples, with p and a BCa bootstrap interval over clusters.

    Examples with a missing value (NaN) are left out and counted. With fewer than 3 examples, or when a
    quantity is constant, there is no ρ; with fewer than :func:`~contested.analysis.smallest_n` clusters there is
    no interval. Above 5,000 clusters the interval is a percentile one, for BCa's cost grows with N².

    Args:
        x: Shape ``(N,)``; ties share their mean rank.
        y: Shape ``(N,)``.
        rng: Source of the resamples.
        names: What ``x`` and ``y`` are.
        clusters: What examples share, shape ``(N,)``, resampled whole; None where each stands for itself.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.

    Returns:
        ρ with its interval; what is missing is NaN and explained in ``note``. In clusters p is :func:`rank_p`;
        where they are too few for an interval there is none.
    """
    check_resampling(n_resamples, confidence)
    a, b, n_skipped = known_pairs(x, y, names)
    nan, n = float("nan"), len(a)
    own = cluster_codes(clusters, n + n_skipped)[np.isfinite(np.asarray(x, float) + np.asarray(y, float))]
    n_clusters = len(np.unique(own))
    if note := no_rho(a, b, names):
        return Correlation(*names, nan, nan, nan, nan, n, n_skipped, "unclear", "none", note)
    coded = codes(a), codes(b)
    rho, p_value = rank_test(*coded)
    if note := too_few(n_clusters, confidence, "example" if clusters is None else "cluster"):
        p_value = p_value if n_clusters == n else nan
        return Correlation(*names, rho, p_value, nan, nan, n, n_skipped, "unclear", "none", note)
    low, high, method, note, _ = rank_interval(
        coded, _Spearman(), clusters=own, rng=rng, n_resamples=n_resamples, confidence=confidence
    )
    if n_clusters < n:
        p_value = rank_p(rho, rank_influence(*coded), own, n_clusters)
    return Correlation(*names, rho, p_value, low, high, n, n_skipped, direction(low, high), method, note)


def rank_p(rho: float, influence: NDArray[np.float64], clusters: Clusters, n_clusters: int) -> float:
    """Two-sided p of ρ = 0 over clusters of examples, without resamples: :func:`clustered_p` by the delta method.

    Args:
        rho: The correlation, or the mean of several of the same examples.
        influence: How far each example moves it, as :func:`~contested.analysis.influence.rank_influence` gives it,
            shape ``(n,)``.
        clusters: What examples share, shape ``(n,)``.
        n_clusters: How many there are, at least 2.

    Returns:
        The p-value; 0 where ρ is 1 or −1.
    """
    if abs(rho) > _ALMOST_1:
        return 0.0
    sums = cluster_sums(influence[:, None], cluster_codes(clusters, len(influence)))[:, 0]
    error = float(np.sqrt(sums @ sums * n_clusters / (n_clusters - 1))) / len(influence)
    return clustered_p(rho, error / (1 - rho * rho), n_clusters)


def too_few_to_test(n_clusters: int) -> str:
    """Why ρ of examples in so few clusters has no p; empty where it has one."""
    needed = smallest_n(0.95)
    return "" if n_clusters >= needed else f"{counted(n_clusters, 'cluster')}: too few for a test ({needed} needed)"


def clustered_p(rho: float, z_error: float, n_clusters: int) -> float:
    """Two-sided p of ρ = 0 over clusters of examples: Fisher's z by its standard error, Student's t.

    Args:
        rho: The correlation.
        z_error: Standard error of atanh ρ over clusters.
        n_clusters: Clusters G; there are G − 1 degrees of freedom.

    Returns:
        The p-value; 0 where ρ is 1 or −1 in every resample.
    """
    z = np.arctanh(np.clip(rho, -_ALMOST_1, _ALMOST_1))
    return float(2 * special.stdtr(n_clusters - 1, -abs(z) / z_error)) if z_error > 0 else 0.0


def known_pairs(
    x: ArrayLike, y: ArrayLike, names: tuple[str, str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """The examples of which both values are known, and how many were left out."""
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    same_length(**{names[0]: len(a), names[1]: len(b)})
    known = ~(np.isnan(a) | np.isnan(b))
    kept = finite_array(names[0], a[known], 1), finite_array(names[1], b[known], 1)
    return *kept, len(a) - int(known.sum())


def no_rho(a: NDArray[np.float64], b: NDArray[np.float64], names: tuple[str, str]) -> str:
    """Why two quantities have no rank correlation; empty when they have."""
    if len(a) < _SMALLEST_RHO:
        return f"{counted(len(a), 'example')}: too few for a rank correlation ({_SMALLEST_RHO} needed)"
    constant = [name for name, values in zip(names, (a, b), strict=True) if np.ptp(values) == 0]
    return f"constant: {', '.join(constant)}, so there are no ranks to compare" if constant else ""


def direction(low: float, high: float) -> Direction:
    """What an interval of ρ supports: "positive", "negative", or "unclear" when it holds 0 or is missing."""
    if low > 0:
        return "positive"
    return "negative" if high < 0 else "unclear"
