"""Long tables: one row an annotation, with its item, its annotator and its label."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from contested.annotations.core import Annotations
from contested.annotations.readers._cells import as_label, shown
from contested.annotations.readers._format import (
    Format,
    Options,
    find_column,
    read_fields,
    stop_on_problems,
)
from contested.annotations.readers._labels import Answer, check_classes, count_answers
from contested.rows import Table

ITEM_ALIASES = ("task", "item", "example_id", "uid", "item_id", "id")
WORKER_ALIASES = ("worker", "annotator", "annotator_id", "worker_id")
LABEL_ALIASES = ("label", "annotation", "answer")


class _Columns(NamedTuple):
    item: str
    worker: str
    label: str


class _Rows(NamedTuple):
    """What the rows of a long table hold.

    Attributes:
        items: Each item's row in the result: items keep the order in which they first occur.
        codes: The item of each row of the file.
        answers: Every label with its item and line.
    """

    items: dict[str, int]
    codes: list[int]
    answers: list[Answer]


def matches(table: Table, options: Options) -> bool:
    """Whether item, annotator and label are all there, and labels are single values."""
    label_column = next(iter(options.labels_column or ()), None) or _first(table, LABEL_ALIASES)
    item_column = options.id_column or _first(table, ITEM_ALIASES)
    if not (item_column and label_column and _first(table, WORKER_ALIASES)):
        return False
    several = len(options.labels_column or ()) > 1
    return not several and not any(isinstance(v, list | dict) for v in table.columns.get(label_column, []))


def _first(table: Table, aliases: tuple[str, ...]) -> str | None:
    return next((alias for alias in aliases if alias in table.columns), None)


def read(table: Table, options: Options) -> Annotations:
    """Read a long table; examples keep the order in which they first occur."""
    label_column = next(iter(options.labels_column or ()), None)
    columns = _Columns(
        item=find_column(table, options.id_column, ITEM_ALIASES, "id_column"),
        worker=find_column(table, options.worker_column, WORKER_ALIASES, "worker_column"),
        label=find_column(table, label_column, LABEL_ALIASES, "labels_column"),
    )
    if not all(columns):
        stop_on_problems(table, FORMAT.name)
    rows = _read_rows(table, columns)
    label_names, counts = count_answers(table, rows.answers, n_items=len(rows.items), label_names=options.label_names)
    fields = read_fields(table, set(columns), options.text_columns)
    if not table.problems:
        check_classes(table, label_names)
        _check_texts(table, rows, fields, options)
    stop_on_problems(table, FORMAT.name)
    fields = _item_fields(fields, rows.codes)
    return Annotations(tuple(rows.items), counts, label_names, fields, source=str(table.path))


def _read_rows(table: Table, columns: _Columns) -> _Rows:
    rows = _Rows({}, [], [])
    first_line: dict[tuple[str, str], int] = {}
    for line_number, *cells in zip(table.line_numbers, *(table.columns[column] for column in columns), strict=True):
        item, worker, label = (as_label(cell) for cell in cells)
        if item is None or worker is None or label is None:
            _note_missing(table, line_number, columns, cells)
        elif first_line.setdefault((item, worker), line_number) != line_number:
            table.add_problem(
                line_number,
                f"{columns.worker} '{worker}' already annotated {columns.item} '{item}' "
                f"on {table.unit} {first_line[item, worker]}; expected one label each",
            )
        else:
            rows.codes.append(rows.items.setdefault(item, len(rows.items)))
            rows.answers.append(Answer(line_number, rows.codes[-1], label))
    return rows


def _note_missing(table: Table, line_number: int, columns: _Columns, cells: list[object]) -> None:
    for column, cell in zip(columns, cells, strict=True):
        if as_label(cell) is None:
            table.add_problem(line_number, f"{column} is {shown(cell)}; expected one value")


def _check_texts(table: Table, rows: _Rows, fields: pd.DataFrame, options: Options) -> None:
    """Note rows whose text differs from the text of the same item before."""
    names = list(rows.items)
    for column in options.text_columns or ():
        first: dict[int, tuple[int, object]] = {}
        for line_number, code, text in zip(table.line_numbers, rows.codes, fields[column], strict=True):
            first_line, first_text = first.setdefault(code, (line_number, text))
            if text != first_text:
                table.add_problem(
                    line_number,
                    f"{column} of '{names[code]}' differs from {table.unit} {first_line}; expected one text",
                )


def _item_fields(fields: pd.DataFrame, codes: list[int]) -> pd.DataFrame:
    """Keep the columns that describe the item: those with one value per item."""
    grouped = fields.groupby(np.array(codes), sort=True)
    constant = [column for column in fields.columns if (grouped[column].nunique(dropna=False) <= 1).all()]
    _, first_rows = np.unique(codes, return_index=True)
    return fields[constant].iloc[first_rows].reset_index(drop=True)


FORMAT = Format(
    name="long",
    summary="one row per annotation; columns item (or task, uid), annotator (or worker) and label (or answer)",
    options=frozenset({"label_names", "id_column", "text_columns", "labels_column", "worker_column"}),
    claims=frozenset({"worker_column"}),
    matches=matches,
    read=read,
)
