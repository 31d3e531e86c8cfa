"""The receipt of a reading: what an annotated file was taken for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from contested.wording import counted, listed

EMPTY = "empty"
"""How a receipt calls cells and parts of lists that hold nothing."""

_FIRST = {"ids": 0, "annotators": 1}


@dataclass(frozen=True)
class Receipt:
    """How a file was read: what a reader should not have to guess.

    Attributes:
        format: The format, such as ``labels``.
        kind: The kind of file, such as ``csv``.
        columns: What was read, such as ``ids``, to the columns that it was read from.
        label_names: The classes in label order.
        votes: Number of votes to the number of items that have so many.
        missing: What stood for no answer, to the number of times.
        left_out: Sentences on the rows and items that were not taken, and why.
        notes: Sentences on what was recognised or taken for granted.
    """

    format: str
    kind: str
    columns: Mapping[str, tuple[str, ...]]
    label_names: tuple[str, ...]
    votes: Mapping[int, int]
    missing: Mapping[str, int]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> dict[str, str]:
        """Return the receipt as a heading and a text for each part, for print."""
        # Ids and annotators first, then what they say.
        roles = sorted(self.columns, key=lambda role: _FIRST.get(role, len(_FIRST)))
        columns = {role: listed(self.columns[role]) for role in roles}
        lines = {"read as": f"{self.format} ({self.kind})", **columns, "votes per item": _votes(self.votes)}
        if self.missing:
            lines["no answer"] = ", ".join(f"{times:,} × {written}" for written, times in self.missing.items())
        if self.left_out:
            lines["left out"] = "; ".join(self.left_out)
        return lines

    def sentences(self) -> tuple[str, ...]:
        """Return what a run should say of the reading: what was taken for granted, for no answer, or left out."""
        said = list(self.notes)
        written = {label: times for label, times in self.missing.items() if label != EMPTY}
        if written:
            told = ", ".join(f"{label} ({times:,})" for label, times in written.items())
            said.append(f"These were read as no answer: {told}.")
        return (*said, *(f"{text[:1].upper()}{text[1:]}." for text in self.left_out))

    def to_json(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {
            "format": self.format,
            "kind": self.kind,
            "columns": {role: list(names) for role, names in self.columns.items()},
            "label_names": list(self.label_names),
            "votes": {str(number): items for number, items in self.votes.items()},
            "missing": dict(self.missing),
            "left_out": list(self.left_out),
            "notes": list(self.notes),
        }


def count_votes(n_annotators: ArrayLike) -> dict[int, int]:
    """Return how many items have how many votes, by rising number of votes; numbers of votes have shape (N,)."""
    numbers, items = np.unique(n_annotators, return_counts=True)
    return dict(zip(numbers.tolist(), items.tolist(), strict=True))


_MOST_NUMBERS = 6


def _votes(votes: Mapping[int, int]) -> str:
    if len(votes) > _MOST_NUMBERS:
        return f"{min(votes)} to {max(votes)}"
    return ", ".join(f"{number:,} ({counted(items, 'item')})" for number, items in votes.items())
