"""How the examples of a packed batch are grouped for attention, decided on the host from their lengths alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SIMILAR = 0.75
"""The shortest example of a group has more than this share of the longest one's tokens."""


class GroupLayout(NamedTuple):
    """How a batch is cut into groups, known before its tokens are.

    Attributes:
        shapes: Number of examples in each group, and of cells for each of them.
        full: Whether all cells of a group hold tokens.
        uniform_segments: Number of consecutive examples of equal length, and that length; None: not to be relied on.
    """

    shapes: tuple[tuple[int, int], ...]
    full: tuple[bool, ...]
    uniform_segments: tuple[tuple[int, int], ...] | None

    @classmethod
    def similar(cls, runs: Sequence[NDArray[np.int64]]) -> GroupLayout:
        """Groups of similar length.

        Args:
            runs: Tokens of each example of each run, rising within a run.

        Returns:
            Groups, none of which holds examples of two runs.
        """
        shapes, full, segments = [], [], []
        for lengths in runs:
            sizes, counts = np.unique(lengths, return_counts=True)
            segments += [(int(count), int(size)) for size, count in zip(sizes, counts, strict=True)]
            first = 0
            for count, longest in _similar_groups(lengths):
                shapes.append((count, longest))
                full.append(int(lengths[first]) == longest)
                first += count
        return cls(tuple(shapes), tuple(full), tuple(segments))

    @classmethod
    def single(cls, n_examples: int, width: int) -> GroupLayout:
        """One group of all examples, with its mask even where nothing is padded: nothing depends on the lengths."""
        return cls(((n_examples, width),), (False,), None)


def _similar_groups(lengths: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut rising lengths into groups, none of which pads an example to more than 4/3 of its length.

    >>> _similar_groups(np.array([5, 8, 9, 10, 10]))
    [(1, 5), (4, 10)]
    """
    shapes: list[tuple[int, int]] = []
    end = len(lengths)
    while end:
        longest = int(lengths[end - 1])
        start = int(np.searchsorted(lengths[:end], _SIMILAR * longest))
        shapes.insert(0, (end - start, longest))
        end = start
    return shapes
