"""Columns under the names of a header, where some have none and some have the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from contested.rows.table import Problem, Rows
from contested.wording import listed

UNNAMED = "Unnamed: {}"
"""What pandas calls a column without a name, by its position from 0."""


def columns_of(
    header: Sequence[str],
    values: Sequence[Sequence[object]],
    numbers: Sequence[int],
    problems: list[Problem],
    notes: list[str],
) -> Rows:
    """Name columns.

    Args:
        header: A name for each column; empty where it has none.
        values: The values of each column.
        numbers: Where each row begins.
        problems: Findings so far.
        notes: Sentences so far, which get one on names that occur twice.

    Returns:
        The rows; of columns with the same name and the same values one, of those with different values none.
    """
    times = Counter(header)
    first: dict[str, Sequence[object]] = {}
    repeated = set()
    for name, column in zip(header, values, strict=True):
        if name and (known := first.setdefault(name, column)) is not column and known != column:
            repeated.add(name)
    columns = {name: column for name, column in first.items() if name not in repeated}
    unnamed = {UNNAMED.format(j): values[j] for j, name in enumerate(header) if not name}
    same = [name for name, number in times.items() if name and number > 1 and name not in repeated]
    if same:
        notes.append(f"Columns that the header has twice with the same values were read once: {listed(same)}.")
    if repeated:
        notes.append(
            f"Columns that the header has twice with different values were not read: {listed(sorted(repeated))}."
        )
    return Rows(columns, numbers, problems, notes, unnamed, frozenset(repeated))
