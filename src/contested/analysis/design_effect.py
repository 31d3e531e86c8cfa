"""How many independent examples a share of clustered ones is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contested.analysis.clusters import cluster_sums


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
