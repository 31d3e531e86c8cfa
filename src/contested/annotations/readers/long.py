"""Long tables: one row an annotation, with its item, its annotator and its label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from contested.annotations.core import Annotations
from contested.annotations.readers import counts, distributions, labels
from contested.annotations.readers._cells import as_label, rounded_id, shown
from contested.annotations.readers._format import (
    ID_ALIASES,
    WORKER_ALIASES,
    Format,
    Options,
    alias_column,
    alias_columns,
    find_column,
    read_fields,
    stop_on_problems,
)
from contested.annotations.readers._labels import check_classes, count_answers
from contested.annotations.readers._votes import Answer, left_out, single, single_labels, unified, without_missing
from contested.annotations.receipt import EMPTY
from contested.rows import Table
from contested.wording import counted, listed

ITEM_ALIASES = ("task", "item", "example_id", "uid", "item_id", "id", "task_id", "question", *ID_ALIASES)
LABEL_ALIASES = (
    *("label", "annotation", "answer", "rating", "score", "vote"),
    *("judgment", "judgement", "choice", "response"),
)
_WHOLE_ITEM = (labels.ALIASES, counts.ALIASES, distributions.ALIASES)
_SAMPLE = 200


class _Columns(NamedTuple):
    item: str
    worker: str
    label: str


class _Rows(NamedTuple):
    """What the rows of a long table hold.

    Attributes:
        items: Each item's row in the result: items keep the order in which they first occur.
        codes: The item of each row of the file, also of those without a label.
        answers: Every label with its item and line.
    """

    items: dict[str, int]
    codes: list[int]
    answers: list[Answer]


def matches(table: Table, options: Options) -> bool:
    """Whether item, annotator and label are all there, and rows are single annotations."""
    label_column = next(iter(options.labels_column or ()), None) or alias_column(table, LABEL_ALIASES)
    item_column = options.id_column or _item_column(table, alias_column(table, WORKER_ALIASES))
    if not (item_column and label_column and alias_column(table, WORKER_ALIASES)):
        return False
    several = len(options.labels_column or ()) > 1
    cells = table.columns.get(label_column, [])[:_SAMPLE]
    if several or (sum(map(_is_structure, cells)) * 2 > len(cells) and _are_items(table, item_column)):
        return False
    return _repeats(table.columns.get(item_column, [])) or not any(alias_column(table, names) for names in _WHOLE_ITEM)


def _are_items(table: Table, item: str) -> bool:
    """Whether rows are items: no item has two, or another usual column identifies each of them."""
    usual = [table.columns.get(item, []), *(table.columns[name] for name in alias_columns(table, ID_ALIASES))]
    return any(not _repeats(values) for values in usual)


def _is_structure(value: object) -> bool:
    """Whether a cell holds several labels: all of an item, or one annotator's choices; a list of one is one label."""
    try:
        single(value)
    except ValueError:
        return True
    return False


def _repeats(values: Sequence[object]) -> bool:
    return len({as_label(value) for value in values}) < len(values)


def _item_column(table: Table, worker: str | None) -> str | None:
    """Return the usual name whose column holds the items: of several, one in which an annotator is once per item."""
    usual = alias_columns(table, ITEM_ALIASES)
    if len(usual) < 2:
        return next(iter(usual), None)
    vary = [column for column in usual if len({as_label(value) for value in table.columns[column]}) > 1] or usual
    repeat = [column for column in vary if _repeats(table.columns[column])] or vary
    if worker is None or len(repeat) < 2:
        return next(iter(repeat), None)
    return next((column for column in repeat if _is_once(table, column, worker)), repeat[0])


def _is_once(table: Table, item: str, worker: str) -> bool:
    pairs = {*zip(map(as_label, table.columns[item]), map(as_label, table.columns[worker]), strict=True)}
    return len(pairs) == len(table.line_numbers)


def _label_column(table: Table, item: str | None) -> str | None:
    """Return the usual name whose column holds the labels: of several, one that differs within an item.

    A gold label is the same on all rows of an item.
    """
    usual = alias_columns(table, LABEL_ALIASES)
    if len(usual) < 2 or item not in table.columns:
        return next(iter(usual), None)
    chosen = next((column for column in usual if _differs(table, item, column)), usual[0])
    others = listed(column for column in usual if column != chosen)
    table.add_note(f"Labels were read from {chosen}; for those in {others}, give labels_column.")
    return chosen


def _differs(table: Table, item: str, column: str) -> bool:
    pairs = {*zip(map(as_label, table.columns[item]), map(as_label, table.columns[column]), strict=True)}
    return len(pairs) > len({name for name, _ in pairs})


def read(table: Table, options: Options) -> Annotations:
    """Read a long table; examples keep the order in which they first occur.

    Rows without a label are left out, and so are those that repeat an annotator's label of the same item.
    """
    label_column = next(iter(options.labels_column or ()), None)
    worker = find_column(table, options.worker_column, WORKER_ALIASES, "worker_column")
    item = options.id_column or (_item_column(table, worker or None))
    columns = _Columns(
        item=find_column(table, item, ITEM_ALIASES, "id_column"),
        worker=worker,
        label=find_column(table, label_column or _label_column(table, item), LABEL_ALIASES, "labels_column"),
    )
    if not all(columns):
        stop_on_problems(table, FORMAT.name)
    rows = _read_rows(table, columns, options)
    found = count_answers(table, rows.answers, n_items=len(rows.items), label_names=options.label_names)
    fields = read_fields(table, set(columns), options.text_columns)
    if not table.problems:
        check_classes(table, found.label_names)
        _check_texts(table, rows, fields, options)
    kept = left_out(table, list(rows.items), {answer.item for answer in rows.answers})
    stop_on_problems(table, FORMAT.name)
    fields = _item_fields(fields, rows.codes).iloc[kept]
    return found.annotations([*rows.items], kept, fields, source=str(table.path))


def _read_rows(table: Table, columns: _Columns, options: Options) -> _Rows:
    rows = _Rows({}, [], [])
    cells = [[as_label(cell) for cell in table.columns[column]] for column in columns[:2]]
    answers = _answers(table, columns, options)
    first: dict[tuple[str, str], Answer] = {}
    repeated = []
    for i, (line_number, item, worker) in enumerate(zip(table.line_numbers, *cells, strict=True)):
        if told := rounded_id(table.columns[columns.item][i]):
            table.add_problem(line_number, f"{columns.item} is {told}")
            continue
        if item is None or (worker is None and i in answers):
            _note_missing(table, line_number, columns, i)
            continue
        rows.codes.append(rows.items.setdefault(item, len(rows.items)))
        if (answer := answers.get(i)) is None:
            continue
        before = first.setdefault((item, str(worker)), answer)
        if before is answer:
            rows.answers.append(answer._replace(item=rows.codes[-1], annotator=str(worker)))
        elif before.label == answer.label:
            repeated.append(line_number)
        else:
            table.add_problem(
                line_number,
                f"{columns.worker} '{worker}' already annotated {columns.item} '{item}' with '{before.label}' on "
                f"{table.unit} {before.line_number}, and here with '{answer.label}'; expected one label each",
            )
    if repeated:
        were = "row that repeats an annotator's label of the same item was"
        if len(repeated) > 1:
            were = "rows that repeat an annotator's label of the same item were"
        table.trace.left_out.append(f"{len(repeated):,} {were} left out: {_lines(table, repeated)}")
    return rows


def _answers(table: Table, columns: _Columns, options: Options) -> dict[int, Answer]:
    """Return the answer of each row that has one, by row."""
    values = [as_label(cell) for cell in single_labels(table, columns.label, options.label_names)]
    given = [Answer(table.line_numbers[i], i, label) for i, label in enumerate(values) if label is not None]
    answered = without_missing(table, given, missing=options.missing, label_names=options.label_names)
    answered = unified(table, answered, options.label_names)
    found = {answer.item: answer for answer in answered}
    empty = len(values) - len(given)
    if empty:
        table.trace.count_missing(EMPTY, empty)
    without = [number for i, number in enumerate(table.line_numbers) if i not in found]
    if without:
        was = "was" if len(without) == 1 else "were"
        table.trace.left_out.append(
            f"{counted(len(without), 'row')} without a label {was} left out: {_lines(table, without)}"
        )
    return found


def _lines(table: Table, numbers: Sequence[int]) -> str:
    return table.where(numbers).removesuffix(": ")


def _note_missing(table: Table, line_number: int, columns: _Columns, row: int) -> None:
    for column in columns[:2]:
        cell = table.columns[column][row]
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
    options=frozenset({"label_names", "id_column", "text_columns", "labels_column", "worker_column", "missing"}),
    claims=frozenset({"worker_column"}),
    matches=matches,
    read=read,
)
