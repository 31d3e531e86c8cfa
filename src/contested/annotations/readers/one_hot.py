"""One annotation per row, with a column of marks per label, as raw tables of raters have them."""

from __future__ import annotations

import dataclasses

from contested.annotations.core import Annotations
from contested.annotations.readers import long
from contested.annotations.readers._cells import as_label, labels_in, n_different
from contested.annotations.readers._format import ID_ALIASES, Format, Options, alias_column, refuse
from contested.rows import Table
from contested.wording import listed

DIGITS = frozenset({"0", "1"})
TRUTHS = frozenset({"True", "true", "TRUE", "False", "false", "FALSE"})
"""Marks as words; :data:`DIGITS` as numbers."""
_YES = frozenset({"1", "True", "true", "TRUE"})
_CHOSEN = "labels marked"


def matches(table: Table, options: Options) -> bool:
    """Whether the named columns of counts hold marks alone, on several rows per item."""
    columns = options.count_columns or ()
    item = options.id_column or alias_column(table, ID_ALIASES)
    if len(columns) < 2 or item not in table.columns or not set(columns) <= set(table.columns):
        return False
    marks = {label for column in columns for label in labels_in(table.columns[column]).values}
    return n_different(table.columns[item]) < len(table.line_numbers) and marks <= DIGITS | TRUTHS | {None}


def read(table: Table, options: Options) -> Annotations:
    """Read each row as one annotator's choice of labels, in the way that ``multilabel`` names; refused without it."""
    columns = options.count_columns or ()
    if not columns or not set(columns) <= set(table.columns):
        refuse(table, FORMAT.name, "name the columns of marks with count_columns, one per label")
    if options.multilabel is None:
        refuse(
            table,
            FORMAT.name,
            f"each row is one annotator's marks of {listed(columns)}, and an annotator may mark several or none: name "
            "the reading with multilabel=mentions (each mark is a vote), multilabel=sets (each combination is a "
            f"class), multilabel=each (yes or no, a class at a time) or one class, as in multilabel={columns[0]}",
        )
    rows = zip(*(map(as_label, table.columns[column]) for column in columns), strict=True)
    chosen = [[column for column, mark in zip(columns, row, strict=True) if mark in _YES] for row in rows]
    others = {name: values for name, values in table.columns.items() if name not in columns}
    marked = dataclasses.replace(table, columns={**others, _CHOSEN: chosen})
    for column in columns:
        table.trace.read_from("marks", column)
    # A label that nobody marked is a class too.
    names = options.label_names or columns
    chosen_by = dataclasses.replace(options, count_columns=None, label_names=names, labels_column=(_CHOSEN,))
    return long.read(marked, chosen_by)


FORMAT = Format(
    name="one-hot",
    summary="one row per annotation, with a column of 0 and 1 for each label; multilabel says how it is read",
    options=frozenset(
        {"label_names", "id_column", "text_columns", "count_columns", "worker_column", "missing", "multilabel"}
    ),
    claims=frozenset(),
    matches=matches,
    read=read,
    is_layout=True,
)
