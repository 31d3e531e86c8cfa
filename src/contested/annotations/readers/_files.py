"""Several files as one set: of one layout, and classes that only some of them have are said."""

from __future__ import annotations

from collections.abc import Sequence

from contested.annotations.core import Annotations
from contested.errors import DataError
from contested.rows import FILE, Table
from contested.wording import listed


def check_files(table: Table, tables: Sequence[Table], found: Annotations) -> None:
    """Refuse files that lack a column which was read from others, and note where classes differ.

    Args:
        table: All their rows, read.
        tables: Each file.
        found: What was read.

    Raises:
        DataError: If a file lacks a column.
    """
    read = {name for columns in table.trace.roles.values() for name in columns}
    every = {name for part in tables for name in part.columns}
    problems = [
        f"{part.path} has no column {listed(sorted(lacking))}, which other files have"
        for part in tables
        if (lacking := (read & every) - part.columns.keys())
    ]
    if problems:
        raise DataError("The files have different layouts, and cannot be read as one set. Read each alone:", problems)
    if FILE in found.fields:
        _note_classes(table, found)


def _note_classes(table: Table, found: Annotations) -> None:
    for name in table.files:
        absent = found.label_counts[(found.fields[FILE] == name).to_numpy()].sum(axis=0) == 0
        labels = [label for label, none in zip(found.label_names, absent, strict=True) if none]
        if labels and len(labels) < found.n_classes:
            table.add_note(f"No item of {name} has the label {listed(labels)}, which other files or the options name.")
