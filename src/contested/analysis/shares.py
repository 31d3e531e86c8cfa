"""Shares of examples with their intervals, and how many independent examples a share of clustered ones is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.checks import check_confidence
from contested.analysis.clusters import cluster_codes, cluster_sums
from contested.analysis.intervals import Clusters, Interval, Intervals
from contested.errors import DataError


def effective_sizes(flags: NDArray[np.bool_], codes: NDArray[np.intp]) -> NDArray[np.float64]:
    """The effective number of examples of each of S shares: n by the design effect of the clusters.

    The design effect is the variance of the share over clusters by that of independent examples (L. Kish, "Survey
    Sampling", 1965). One below 1 is taken as 1. Shares of 0 and 1 have no variance: they take the largest design
    effect that clusters of these sizes can have, as if examples of a cluster were always alike.

    Args:
        flags: Shape ``(n, S)``, n at least 1.
        codes: The number of each example's cluster, shape ``(n,)``.

    Returns:
        Shape ``(S,)``.
    """
    n = len(flags)
    sizes = np.bincount(codes)
    n_clusters = len(sizes)
    if n_clusters == n:
        return np.full(flags.shape[1], float(n))
    largest = (sizes.astype(np.float64) ** 2).sum() / n
    share = flags.mean(axis=0)
    between = (cluster_sums(flags - share, codes) ** 2).sum(axis=0) * n_clusters / max(n_clusters - 1, 1)
    alone = n * share * (1 - share)
    effect = np.divide(between, alone, out=np.full(len(share), largest), where=(alone > 0) & (n_clusters > 1))
    return np.asarray(n / np.maximum(effect, 1.0))


def share_intervals(flags: ArrayLike, *, clusters: Clusters = None, confidence: float = 0.95) -> Intervals:
    """Shares of true ``flags`` with Wilson's intervals, which stay honest at shares of 0 and 1.

    In clusters examples count as many as they are worth: Wilson's n is then n by the design effect of the clusters,
    see :func:`effective_sizes`, and Student's t with G − 1 degrees of freedom takes the place of the normal quantile
    (E. Korn and B. Graubard, "Confidence Intervals for Proportions with Small Expected Number of Positive Counts
    Estimated from Survey Data", Survey Methodology 24, 1998).

    Args:
        flags: S yes-or-no questions to N examples, shape ``(N, S)``, boolean.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.
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
    codes = cluster_codes(clusters, n)
    if not n:
        missing = np.full(width, np.nan)
        return Intervals(missing, missing, missing, 0, "none", "no examples")
    share, worth = array.mean(axis=0), effective_sizes(array, codes)
    z = _critical(confidence, int(codes.max()) + 1, n)
    middle = (share + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z / (1 + z**2 / worth) * np.sqrt(share * (1 - share) / worth + z**2 / (4 * worth**2))
    # At shares of 0 and 1 an end equals the share, but for rounding.
    low, high = np.minimum(middle - half, share), np.maximum(middle + half, share)
    return Intervals(share, low, high, n, "Wilson", "")


def _critical(confidence: float, n_clusters: int, n: int) -> float:
    tail = 0.5 + confidence / 2
    return float(special.ndtri(tail) if n_clusters in {1, n} else special.stdtrit(n_clusters - 1, tail))


def share_interval(flags: ArrayLike, *, clusters: Clusters = None, confidence: float = 0.95) -> Interval:
    """:func:`share_intervals` of one question, shape ``(N,)``."""
    return share_intervals(np.asarray(flags, dtype=bool)[:, None], clusters=clusters, confidence=confidence).one()
