"""Examples a few at a time: a million of them at once would not leave room for anything else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

BLOCK = 1_000_000  # numbers in memory at once, 8 MB each time that float64 holds them


def blocks(n: int, width: int, limit: int | None = None) -> Iterator[slice]:
    """Cut n rows into blocks of few numbers and of nearly equal size.

    Of nearly equal size, because a single row would be summed up in another order than among others.

    Args:
        n: Rows.
        width: Numbers in a row.
        limit: Numbers in a block at most, though never less than one row; None means :data:`BLOCK`.

    Returns:
        The blocks in order, at least one.
    """
    size = max(1, (BLOCK if limit is None else limit) // max(1, width))
    n_blocks = max(1, -(-n // size))
    ends = [n * block // n_blocks for block in range(n_blocks + 1)]
    return (slice(start, end) for start, end in pairwise(ends))
