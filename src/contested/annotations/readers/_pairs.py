"""Annotators who stand in a list beside the list of their labels, as in LeWiDi 2023 and EXIST."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from itertools import islice

from contested.annotations.readers._cells import as_label, split_cells, split_labels
from contested.annotations.readers._format import SAMPLE, alias_column
from contested.annotations.readers._printed import structure
from contested.rows import Table

_ALIASES = (
    *("annotators", "annotator_ids", "annotators_ids", "worker_ids", "workers", "raters", "rater_ids"),
    *("coders", "users", "user_ids", "judges"),
)


def with_annotators(table: Table, column: str, whole: Collection[str] | None) -> tuple[Table, str | None]:
    """Join a column of labels with the column of those who gave them.

    Args:
        table: The file.
        column: All labels of each item: lists, or texts with separators.
        whole: Names of classes, which are not split; None where not given.

    Returns:
        The table with objects from annotator to label in that column, and the column of the annotators; the table as it
        is, and None, where there is no such column, or its lists do not fit in every row: a note says so.
    """
    beside = alias_column(table, _ALIASES)
    if beside is None or beside == column or not any(map(_is_several, islice(table.columns[beside], SAMPLE))):
        return table, None
    labels, names = _parts(table.columns[column], whole or ()), _parts(table.columns[beside], ())
    if any(isinstance(part, dict) for part in labels):
        return table, None
    pairs = [_paired(part, who) for part, who in zip(labels, names, strict=True)]
    wrong = sum(pair is None for pair in pairs)
    if wrong:
        table.add_note(
            f"Who gave which label was not read: {beside} does not hold one different annotator for each label in "
            f"{column} on {wrong:,} of {len(pairs):,} rows."
        )
        return table, None
    table.trace.read_from("annotators", beside)
    return dataclasses.replace(table, columns={**table.columns, column: pairs}), beside


def _is_several(value: object) -> bool:
    return isinstance(value, list) or (isinstance(value, str) and len(split_labels(value)) > 1)


def _parts(column: Sequence[object], whole: Collection[str]) -> list[object]:
    """The list in each cell; None where it holds nothing, and objects as they are."""
    return split_cells([structure(value) for value in column], whole)


def _paired(labels: object, annotators: object) -> dict[str, object] | None:
    values = labels if isinstance(labels, list) else [] if labels is None else [labels]
    listing = annotators if isinstance(annotators, list) else [] if annotators is None else [annotators]
    names = [as_label(name) for name in listing]
    if not values:
        return {}
    if len(names) != len(values) or None in names or len(set(names)) < len(names):
        return None
    return dict(zip(map(str, names), values, strict=True))
