"""One example per row, with the annotators who gave each label: an object of lists, or a column of lists per label."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from contested.annotations.core import Annotations
from contested.annotations.readers import counts, distributions, labels, long
from contested.annotations.readers._cells import as_label
from contested.annotations.readers._format import (
    WORKER_ALIASES,
    Format,
    Options,
    alias_column,
    alias_key,
    refuse,
)
from contested.annotations.readers._labels import order_labels
from contested.annotations.readers._printed import structure
from contested.rows import Table
from contested.wording import listed

_USUAL = (*distributions.ALIASES, *counts.ALIASES, *labels.ALIASES)

_Cell = dict[str, list[object]]


class _Column(NamedTuple):
    """Where labels lead to annotators: the name, and for each row a list of annotators per label, or None."""

    name: str
    cells: list[_Cell | None]


def matches(table: Table, options: Options) -> bool:
    """Whether a usual or named column has objects from each label to a list of annotators, none of them twice."""
    found = _column(table, options)
    return found is not None and _is_by_label(found)


def _column(table: Table, options: Options) -> _Column | None:
    several = options.count_columns or ()
    if len(several) > 1 and set(several) <= set(table.columns):
        rows = zip(*(table.columns[name] for name in several), strict=True)
        return _whole(listed(several), (_lists(dict(zip(several, row, strict=True))) for row in rows))
    named = next(iter(options.distribution_column or options.labels_column or several), None)
    name = named or alias_column(table, _USUAL)
    if name is None or name not in table.columns:
        return None
    return _whole(name, (None if value is None else _lists(structure(value)) for value in table.columns[name]))


def _whole(name: str, cells: Iterable[_Cell | None]) -> _Column | None:
    found: list[_Cell | None] = []
    for cell in cells:
        # The first cell tells nearly every other column.
        if cell == {}:
            return None
        found.append(cell)
    return _Column(name, found) if any(found) else None


def _lists(cell: object) -> _Cell:
    """The cell where it is an object of lists, each of annotators; else an empty one."""
    if not isinstance(cell, dict):
        return {}
    found = {str(label): structure(part) for label, part in cell.items()}
    return (
        {label: part for label, part in found.items() if isinstance(part, list)}
        if all(isinstance(part, list) and not any(isinstance(entry, list) for entry in part) for part in found.values())
        else {}
    )


def _is_by_label(column: _Column) -> bool:
    """Whether keys are labels: the same on every row, where annotators who gave lists of labels would differ."""
    cells = [cell for cell in column.cells if cell]
    once = all(max(Counter(_names(cell)).values(), default=0) <= 1 for cell in cells)
    return once and len({tuple(sorted(cell)) for cell in cells}) == 1 and any(map(_names, cells))


def _names(cell: _Cell) -> list[str | None]:
    return [_annotator(entry) for part in cell.values() for entry in part]


def _annotator(entry: object) -> str | None:
    """The annotator that an entry names: itself, or one of an object's values."""
    key = alias_key(entry, WORKER_ALIASES) if isinstance(entry, dict) else None
    return as_label(entry[key] if isinstance(entry, dict) and key else entry)


def read(table: Table, options: Options) -> Annotations:
    """Read each annotator under a label as an annotation; a label without any is a class too."""
    column = _column(table, options)
    if column is None:
        refuse(
            table,
            FORMAT.name,
            "no column holds objects from each label to the list of annotators who gave it; name it with "
            "labels_column, or one column per label with count_columns",
        )
    given = [
        (row, label, _annotator(entry))
        for row, cell in enumerate(column.cells)
        for label, part in ((cell or {}).items() if _names(cell or {}) else [("", [None])])
        for entry in part
    ]
    label, worker = f"{column.name}: label", f"{column.name}: annotator"
    columns: dict[str, Sequence[object]] = {
        name: [values[row] for row, _, _ in given] for name, values in table.columns.items() if name != column.name
    }
    columns |= {label: [name or None for _, name, _ in given], worker: [name for _, _, name in given]}
    opened = dataclasses.replace(table, columns=columns, line_numbers=[table.line_numbers[row] for row, _, _ in given])
    names = options.label_names or order_labels({key for cell in column.cells for key in cell or ()})
    return long.read(
        opened,
        Options(
            label_names=names,
            id_column=options.id_column,
            text_columns=options.text_columns,
            labels_column=(label,),
            worker_column=worker,
            missing=options.missing,
            multilabel=options.multilabel,
            by_name=options.by_name,
        ),
    )


FORMAT = Format(
    name="label-objects",
    summary="one row per example; an object from each label to the list of annotators who gave it",
    options=frozenset(
        {
            *("label_names", "id_column", "text_columns", "labels_column", "distribution_column", "count_columns"),
            "missing",
            "multilabel",
        }
    ),
    claims=frozenset(),
    matches=matches,
    read=read,
    is_layout=True,
)
