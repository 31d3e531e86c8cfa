"""The ways in which so many annotations can fall on classes, and which categories they reach."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from contested.annotations.categories import Categories
from contested.annotations.measures import Estimator


def partitions(n_annotations: int, n_classes: int) -> NDArray[np.int64]:
    """Return every partition of so many annotations among classes, whichever classes they are.

    Args:
        n_annotations: At least 1.
        n_classes: K.

    Returns:
        Counts in falling order, from unanimous to even, shape (partitions, K).

    Examples:
        >>> partitions(3, 3).tolist()
        [[3, 0, 0], [2, 1, 0], [1, 1, 1]]
    """
    return np.array(list(_partitions(n_annotations, n_classes, n_annotations)), dtype=np.int64)


def _partitions(n: int, parts: int, most: int) -> Iterator[tuple[int, ...]]:
    if parts == 1:
        yield (n,)
        return
    for first in range(min(n, most), -(-n // parts) - 1, -1):
        for rest in _partitions(n - first, parts - 1, first):
            yield (first, *rest)


def compositions(n_annotations: int, n_classes: int) -> NDArray[np.int64]:
    """Return every way in which so many annotations fall on classes in an order.

    Args:
        n_annotations: At least 1.
        n_classes: K, at least 2.

    Returns:
        Counts, shape (compositions, K).

    Examples:
        >>> compositions(2, 2).tolist()
        [[0, 2], [1, 1], [2, 0]]
    """
    # Stars and bars: the counts are the gaps between K − 1 bars among n + K − 1 places.
    bars = np.array(list(combinations(range(n_annotations + n_classes - 1), n_classes - 1)), dtype=np.int64)
    return np.diff(bars, axis=1, prepend=-1, append=n_annotations + n_classes - 1) - 1


def unreached(n_annotations: int, n_classes: int, bands: Categories, estimator: Estimator) -> tuple[str, ...]:
    """Return the categories that no labels of so many annotators reach, whatever people think.

    Args:
        n_annotations: At least 2.
        n_classes: K.
        bands: The categories.
        estimator: How entropy is estimated.

    Returns:
        Their names in order of rising entropy.

    Examples:
        >>> from contested.annotations.categories import FIXED
        >>> unreached(2, 3, FIXED, "plugin"), unreached(3, 3, FIXED, "miller-madow")
        (('contested',), ('ambiguous',))
    """
    ways = compositions if bands.disagreement.ordered else partitions
    values = bands.disagreement.of(ways(n_annotations, n_classes), estimator)
    reached = set(bands.assign(values).tolist())
    return tuple(name for name in bands.names if name not in reached)
