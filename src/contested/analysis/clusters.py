"""Clusters of examples that are not independent, such as those that share a premise: their numbers and their sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.checks import same_length


def cluster_codes(clusters: Sequence[Any] | NDArray[Any] | None, n: int) -> NDArray[np.intp]:
    """Number the clusters of n examples in the order in which they occur.

    Args:
        clusters: What examples share, such as their premise, shape ``(n,)``; missing values are one cluster. None where
            each example stands for itself.
        n: Examples.

    Returns:
        From 0, shape ``(n,)``.

    Raises:
        DataError: If there is not one entry for each example.
    """
    if clusters is None:
        return np.arange(n, dtype=np.intp)
    same_length(examples=n, clusters=len(clusters))
    return pd.factorize(np.asarray(clusters, dtype=object), use_na_sentinel=False)[0]


def cluster_sums(
    values: NDArray[np.float64], codes: NDArray[np.intp], n_clusters: int | None = None
) -> NDArray[np.float64]:
    """Sum S quantities of n examples within each cluster.

    Args:
        values: Shape ``(n, S)``.
        codes: The number of each example's cluster, shape ``(n,)``, as :func:`cluster_codes` gives it.
        n_clusters: Clusters G, some of them perhaps without examples; by default up to the highest number.

    Returns:
        Shape ``(G, S)``.
    """
    sums = np.zeros((int(codes.max(initial=-1)) + 1 if n_clusters is None else n_clusters, values.shape[1]))
    np.add.at(sums, codes, values)
    return sums
