"""One example per row with its label counts: a list, an object, or one column per class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contested.annotations.core import Annotations
from contested.annotations.readers import annotators, labels
from contested.annotations.readers._cells import as_count
from contested.annotations.readers._format import (
    Format,
    Options,
    alias_column,
    find_column,
    find_ids,
    read_fields,
    read_ids,
    stop_on_problems,
)
from contested.annotations.readers._labels import check_classes
from contested.annotations.readers._vectors import ColumnSpec, check_totals, class_columns, hold_numbers, read_vectors
from contested.annotations.readers._votes import note_sets
from contested.rows import Table
from contested.wording import listed

_FEWEST_SUMMED = 2  # classes that add up to another, and rows on which they do

ALIASES = ("label_counts", "label_counter", "label_count", "counts")


def matches(table: Table, options: Options) -> bool:
    """Whether a usual column of counts, or a column of whole numbers for each class, is there."""
    columns = _columns(table, options)
    if len(columns) != 1 or options.count_columns:
        return len(columns) == 1 or hold_numbers(table, columns, as_count)
    # A single number is how many labels there are, where the labels are there, too.
    bare = Options(labels_column=options.labels_column)
    others = labels.matches(table, bare) or annotators.matches(table, bare)
    return not others or any(map(_is_structure, table.columns[columns[0]]))


def _is_structure(value: object) -> bool:
    return isinstance(value, list | dict) or (isinstance(value, str) and not value.strip().isdecimal())


def _columns(table: Table, options: Options) -> tuple[str, ...]:
    if options.count_columns:
        return options.count_columns
    usual = alias_column(table, ALIASES)
    return (usual,) if usual is not None else class_columns(table, options.label_names)


def read(table: Table, options: Options) -> Annotations:
    """Read label counts."""
    id_column = find_ids(table, options.id_column)
    columns = _columns(table, options) or (find_column(table, None, ALIASES, "count_columns"),)
    if not (id_column and all(columns)):
        stop_on_problems(table, FORMAT.name)
    ids = read_ids(table, id_column)
    vectors = read_vectors(table, ColumnSpec(columns, options.label_names, as_count, "count_columns"))
    check_totals(table, vectors.values)
    if not table.problems:
        _note_totals(table, vectors.values, vectors.label_names)
    if not options.by_name and not table.problems:
        _check_sets(table, vectors.values, columns)
    fields = read_fields(table, {id_column, *columns}, options.text_columns)
    if not table.problems:
        check_classes(table, vectors.label_names)
    stop_on_problems(table, FORMAT.name)
    return Annotations(tuple(ids), vectors.values.astype(np.int64), vectors.label_names, fields, source=str(table.path))


def _note_totals(table: Table, counts: NDArray[np.float64], names: Sequence[str]) -> None:
    """Say where one class is the sum of the others on every row: it may be their total, and no class."""
    if len(names) <= _FEWEST_SUMMED or len(counts) < _FEWEST_SUMMED:
        return
    totals = counts.sum(axis=1)
    for k in map(int, np.flatnonzero((2 * counts == totals[:, None]).all(axis=0))):
        table.add_note(
            f"{names[k]} is the sum of the other classes on every row: if it is their total, it is no class, and "
            "halves every share; leave it out of count_columns or of the file."
        )


def _check_sets(table: Table, counts: NDArray[np.float64], columns: Sequence[str]) -> None:
    """Note a problem where counts are 0 or 1 throughout: marks of the labels of an item, and not numbers of votes."""
    totals = counts.sum(axis=1)
    several = int((totals > 1).sum()) if counts.size else 0
    if several and counts.max() <= 1:
        # Sets differ in size; where it is the same for all, it may be that of the annotators.
        sure = len(set(totals.tolist())) > 1
        note_sets(table, several, f"labels in {listed(columns)}", format=FORMAT.name, sure=sure)


FORMAT = Format(
    name="counts",
    summary="one row per example; label counts in label_counts (list or object), or in count_columns",
    options=frozenset({"label_names", "id_column", "text_columns", "count_columns"}),
    claims=frozenset({"count_columns"}),
    matches=matches,
    read=read,
)
