"""The ways in which so many annotations can fall on classes (integer partitions), and which categories they reach."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from contested.annotations.categories import Categories
from contested.annotations.measures import Estimator, entropy


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


def unreached(n_annotations: int, n_classes: int, bands: Categories, estimator: Estimator) -> tuple[str, ...]:
    """Return the categories that no partition of so many annotations reaches, whatever people think.

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
    reached = set(bands.assign(entropy(partitions(n_annotations, n_classes), estimator)).tolist())
    return tuple(name for name in bands.names if name not in reached)
