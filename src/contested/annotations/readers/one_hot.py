"""One annotation per row, with a column of marks per label, as raw tables of raters have them."""

from __future__ import annotations

from contested.annotations.core import Annotations
from contested.annotations.readers._cells import as_label
from contested.annotations.readers._format import ID_ALIASES, Format, Options, alias_column, refuse
from contested.rows import Table
from contested.wording import listed

_YES = frozenset({"1", "True", "true", "TRUE"})
_NO = frozenset({"0", "False", "false", "FALSE"})


def matches(table: Table, options: Options) -> bool:
    """Whether the named columns of counts hold marks alone, on several rows per item."""
    columns = options.count_columns or ()
    item = options.id_column or alias_column(table, ID_ALIASES)
    if len(columns) < 2 or item not in table.columns or not set(columns) <= set(table.columns):
        return False
    ids = [as_label(value) for value in table.columns[item]]
    marks = {as_label(value) for column in columns for value in table.columns[column]}
    return len(set(ids)) < len(ids) and marks <= _YES | _NO | {None}


def read(table: Table, options: Options) -> Annotations:
    """Refuse the table: which of its readings is meant cannot be told from it."""
    names = listed(options.count_columns or ())
    refuse(
        table,
        FORMAT.name,
        f"each row is one annotator's marks of {names}, and an annotator may mark several or none",
    )


FORMAT = Format(
    name="one-hot",
    summary="one row per annotation, with a column of 0 and 1 for each label",
    options=frozenset({"label_names", "id_column", "text_columns", "count_columns", "worker_column", "missing"}),
    claims=frozenset(),
    matches=matches,
    read=read,
    is_layout=True,
)
