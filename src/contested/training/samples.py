"""A few examples that show what a batch does to each other's numbers: of different lengths, and two of one length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contested.tasks import EncodedTexts

EXAMPLES = 8
"""How many examples are computed at most."""

_Text = tuple[EncodedTexts, int]
"""A set and one of its rows."""


def chosen_rows(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of lengths as different as possible, from the shortest to the longest.

    Args:
        lengths: Tokens of each text, shape (N,).

    Returns:
        At most :data:`EXAMPLES` - 1 rows.

    >>> chosen_rows(np.array([9, 4, 4])).tolist()
    [1, 2, 0]
    """
    by_length = np.argsort(lengths, kind="stable")
    firsts = np.flatnonzero(np.diff(lengths[by_length], prepend=-1))  # the first text of each length
    rows = by_length[firsts[_spread(len(firsts), EXAMPLES - 1)]]
    rest = by_length[~np.isin(by_length, rows)]
    rows = np.append(rows, rest[_spread(len(rest), EXAMPLES - 1 - len(rows))])
    return rows[np.argsort(lengths[rows], kind="stable")]


def selected(texts: EncodedTexts, rows: NDArray[np.int64]) -> EncodedTexts:
    """Some of many texts, in the order of ``rows``."""
    return _end_to_end([(texts, int(row)) for row in rows])


def chosen_examples(texts: EncodedTexts, others: Sequence[EncodedTexts] = ()) -> EncodedTexts:
    """A few texts of lengths as different as possible, the shortest and the longest among them, and two of one length.

    Args:
        texts: The tracked examples.
        others: Further texts, of which the longest takes the place of the longest tracked one if it is longer.

    Returns:
        At most :data:`EXAMPLES` texts, from short to long but for the last, which is as long as another one.
    """
    chosen = [(texts, int(row)) for row in chosen_rows(texts.lengths)]
    for other in others:
        if len(other) and other.lengths.max() > chosen[-1][0].lengths[chosen[-1][1]]:
            chosen[-1] = other, int(other.lengths.argmax())
    return _end_to_end(chosen + _twin(chosen, (texts, *others)))


def _twin(chosen: Sequence[_Text], sets: Sequence[EncodedTexts]) -> list[_Text]:
    """Another text as long as a chosen one, of middling length if possible: in batches of equal lengths they meet."""
    lengths = [texts.lengths[row] for texts, row in chosen]
    for texts in sets:
        taken = [row for of, row in chosen if of is texts]
        fits = np.isin(texts.lengths, lengths) & ~np.isin(np.arange(len(texts)), taken)
        if fits.any():
            candidates = np.flatnonzero(fits)[np.argsort(texts.lengths[fits], kind="stable")]
            return [(texts, int(candidates[len(candidates) // 2]))]
    return []


def _spread(n: int, most: int) -> NDArray[np.int64]:
    """At most so many of n numbers, the first and the last among them."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)


def _end_to_end(chosen: Sequence[_Text]) -> EncodedTexts:
    def joined(values: Sequence[NDArray[np.int32] | None]) -> NDArray[np.int32] | None:
        parts = [
            part[texts.offsets[row] : texts.offsets[row + 1]]
            for part, (texts, row) in zip(values, chosen, strict=True)
            if part is not None
        ]
        return np.concatenate(parts) if len(parts) == len(chosen) else None

    input_ids = joined([texts.input_ids for texts, _ in chosen])
    assert input_ids is not None, "every text has tokens"
    lengths = [texts.lengths[row] for texts, row in chosen]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return EncodedTexts(input_ids, offsets, joined([texts.token_type_ids for texts, _ in chosen]), 0)
