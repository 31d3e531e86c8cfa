"""What false training labels do to the examples that carry them (paper §5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from contested.analysis.checks import finite_array, same_length
from contested.analysis.clusters import cluster_codes, cluster_sums
from contested.analysis.intervals import Clusters, mean_interval


def wilcoxon(differences: NDArray[np.float64], clusters: Clusters = None) -> tuple[float, str]:
    """Two-sided p of the signed-rank test of paired differences, and why it is missing.

    In clusters the variance of the rank sum is that of the clusters' sums: the signs of a cluster change together
    (B. Rosner, R. Glynn and M.-L. Lee, "The Wilcoxon Signed Rank Test for Paired Comparisons of Clustered Data",
    Biometrics 62, 2006).

    Args:
        differences: Shape ``(N,)``; zeros are left out.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.

    Returns:
        p and a note; the normal distribution's p in clusters.
    """
    if not differences.any():
        return np.nan, "no example changes, so there are no signed ranks" if differences.size else ""
    codes, moved = cluster_codes(clusters, len(differences)), differences != 0
    if len(np.unique(codes[moved])) == moved.sum():
        return float(stats.wilcoxon(differences).pvalue), ""
    ranks = np.sign(differences[moved]) * stats.rankdata(np.abs(differences[moved]))
    sums = cluster_sums(ranks[:, None], codes[moved])[:, 0]
    return float(2 * stats.norm.sf(abs(sums.sum()) / np.sqrt(sums @ sums))), ""


class NoiseShift(NamedTuple):
    """The shift of the same examples' AULC from a run with true labels to one with noised labels.

    Attributes:
        mean_baseline: Mean AULC with true labels (nats).
        mean_noised: Mean AULC with noised labels (nats).
        shift: ``mean_noised - mean_baseline`` (nats).
        low: Lower end of its interval over examples.
        high: Upper end of its interval over examples.
        wilcoxon_p: Two-sided p of the paired Wilcoxon signed-rank test.
        cohens_d: Paired Cohen's d: mean of the differences over their sample standard deviation.
        n: Examples it rests on.
        note: Why a number is missing; empty otherwise.
        caution: Why the interval may cover the truth less often than it says; empty otherwise.
    """

    mean_baseline: float
    mean_noised: float
    shift: float
    low: float
    high: float
    wilcoxon_p: float
    cohens_d: float
    n: int
    note: str
    caution: str = ""


def noise_shift(
    clean: ArrayLike,
    noised: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    clusters: Clusters = None,
) -> NoiseShift:
    """Compare the same examples between a run with true labels and one with noised labels.

    Both losses are against the true label. Examples whose AULC does not change are left out of the signed
    ranks, as Wilcoxon did.

    Args:
        clean: AULC with true labels, shape ``(N,)`` (nats).
        noised: AULC of the same examples with noised labels, shape ``(N,)`` (nats).
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.

    Returns:
        The shift with its interval, test and effect size; what is missing is NaN and explained in ``note``.
    """
    before, after = finite_array("clean", clean, 1), finite_array("noised", noised, 1)
    same_length(clean=len(before), noised=len(after))
    change = after - before
    n = len(change)
    shift = mean_interval(change, clusters=clusters, rng=rng, n_resamples=n_resamples, confidence=confidence)
    notes = [shift.note] if shift.note else []
    means = (float(before.mean()), float(after.mean())) if n else (np.nan, np.nan)
    wilcoxon_p, no_ranks = wilcoxon(change, clusters)
    notes += [no_ranks] if no_ranks else []
    cohens_d = np.nan
    if n > 1 and np.ptp(change) > 0:
        cohens_d = float(change.mean() / change.std(ddof=1))
    elif n:
        notes.append("all differences are equal, so Cohen's d is undefined")
    ends = (shift.estimate, shift.low, shift.high)
    return NoiseShift(*means, *ends, wilcoxon_p, cohens_d, n, "; ".join(notes), shift.caution)
