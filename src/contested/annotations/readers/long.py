"""Long tables: one row an annotation, with its item, its annotator and its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.annotations.core import Annotations
from contested.annotations.later import Later
from contested.annotations.readers import counts, distributions, labels
from contested.annotations.readers._cells import as_label, labels_in, n_different, rounded_id, rounded_in, shown
from contested.annotations.readers._format import (
    ID_ALIASES,
    SAMPLE,
    WORKER_ALIASES,
    Format,
    Options,
    alias_column,
    alias_columns,
    fields_later,
    find_column,
    stop_on_problems,
)
from contested.annotations.readers._labels import check_classes, count_answers
from contested.annotations.readers._sets import united
from contested.annotations.readers._single import single
from contested.annotations.readers._votes import Answers, answered, left_out, single_labels
from contested.annotations.receipt import EMPTY
from contested.rows import Coded, Table
from contested.rows.coded import factorized, first_places
from contested.wording import counted, listed

if TYPE_CHECKING:
    import pandas as pd

ITEM_ALIASES = ("task", "item", "example_id", "uid", "item_id", "id", "task_id", "question", *ID_ALIASES)
LABEL_ALIASES = (
    *("label", "annotation", "answer", "rating", "score", "vote"),
    *("judgment", "judgement", "choice", "response"),
)
_WHOLE_ITEM = (labels.ALIASES, counts.ALIASES, distributions.ALIASES)


class _Columns(NamedTuple):
    item: str
    worker: str  # "" where no column says who
    label: str


class _Rows(NamedTuple):
    """What the rows of a long table hold.

    Attributes:
        items: The id of each item: items keep the order in which they first occur.
        codes: The item of each row of the file, also of those without a label; -1 where there is a problem.
        answers: Every label with its item and row.
    """

    items: list[str]
    codes: NDArray[np.int64]
    answers: Answers


def matches(table: Table, options: Options) -> bool:
    """Whether item and label are there, and rows are single annotations: by an annotator, or several to an item."""
    label_column = next(iter(options.labels_column or ()), None) or alias_column(table, LABEL_ALIASES)
    worker = alias_column(table, WORKER_ALIASES)
    item_column = options.id_column or _item_column(table, worker)
    if not (item_column and label_column and (worker or _are_many(table.columns.get(item_column, [])))):
        return False
    several = len(options.labels_column or ()) > 1
    cells = table.columns.get(label_column, [])[:SAMPLE]
    if several or (sum(map(_is_structure, cells)) * 2 > len(cells) and _are_items(table, item_column)):
        return False
    return _repeats(table.columns.get(item_column, [])) or not any(alias_column(table, names) for names in _WHOLE_ITEM)


def _are_many(items: Sequence[object]) -> bool:
    """Whether most items have several rows."""
    times = np.bincount(labels_in(items).codes) if len(items) else np.zeros(0)
    return bool(2 * (times > 1).sum() > len(times))


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
    return n_different(values) < len(values)


def _item_column(table: Table, worker: str | None) -> str | None:
    """Return the usual name whose column holds the items: of several, one in which an annotator is once per item."""
    usual = alias_columns(table, ITEM_ALIASES)
    if len(usual) < 2:
        return next(iter(usual), None)
    vary = [column for column in usual if n_different(table.columns[column]) > 1] or usual
    repeat = [column for column in vary if _repeats(table.columns[column])] or vary
    if worker is None or len(repeat) < 2:
        return next(iter(repeat), None)
    return next((column for column in repeat if _is_once(table, column, worker)), repeat[0])


def _is_once(table: Table, item: str, worker: str) -> bool:
    return n_different(table.columns[item], table.columns[worker]) == len(table.line_numbers)


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
    items = table.columns[item]
    return n_different(items, table.columns[column]) > n_different(items)


def read(table: Table, options: Options) -> Annotations:
    """Read a long table; examples keep the order in which they first occur.

    Rows without a label are left out, and so are those that repeat an annotator's label of the same item.
    """
    label_column = next(iter(options.labels_column or ()), None)
    known = options.worker_column or alias_column(table, WORKER_ALIASES)
    worker = find_column(table, known, WORKER_ALIASES, "worker_column") if known else _nobody(table)
    item = options.id_column or (_item_column(table, worker or None))
    columns = _Columns(
        item=find_column(table, item, ITEM_ALIASES, "id_column"),
        worker=worker,
        label=find_column(table, label_column or _label_column(table, item), LABEL_ALIASES, "labels_column"),
    )
    if not (columns.item and columns.label and (worker or not known)):
        stop_on_problems(table, FORMAT.name)
    rows = _read_rows(table, columns, options)
    found = count_answers(
        table,
        rows.answers,
        n_items=len(rows.items),
        label_names=options.label_names,
        multilabel=options.multilabel,
        bins=options.bins,
    )
    fields = fields_later(table, set(columns), options.text_columns)
    if not table.problems:
        check_classes(table, found.label_names)
        _check_texts(table, rows, fields, options)
    kept = left_out(table, rows.items, found.answers)
    stop_on_problems(table, FORMAT.name)
    of_items = fields.then(lambda frame: _item_fields(frame, rows.codes))
    return found.annotations(rows.items, kept, of_items, source=str(table.path))


def _nobody(table: Table) -> str:
    """The name of no column: the file does not say who annotated."""
    table.add_note(
        "No column is called as annotators are: each row was counted as the vote of another person. Name the column "
        "that says who with worker_column if there is one."
    )
    return ""


def _read_rows(table: Table, columns: _Columns, options: Options) -> _Rows:
    answers = _answers(table, columns, options)
    items = labels_in(table.columns[columns.item])
    workers = labels_in(table.columns[columns.worker]) if columns.worker else None
    answered = np.zeros(len(items), dtype=np.bool_)
    answered[answers.rows] = True
    usable = ~(rounded_in(table.columns[columns.item]) | items.missing)
    if workers is not None:
        usable &= ~(workers.missing & answered)
    for row in np.flatnonzero(~usable).tolist():
        _note_unusable(table, columns, row)
    codes = np.full(len(items), -1, dtype=np.int64)
    codes[usable], order = factorized(items.codes[usable])
    answers = answers.kept(usable[answers.rows])
    names = [items.values[place] for place in order]
    if workers is None:
        return _Rows(names, codes, replace(answers, items=codes[answers.rows]))
    ids, used = factorized(workers.codes[answers.rows])
    annotators = tuple(str(workers.values[place]) for place in used)
    answers = replace(answers, items=codes[answers.rows], annotators=ids, annotator_ids=annotators)
    pairs = answers.items * len(annotators) + answers.annotators
    answers = united(answers, pairs) if options.multilabel else _once(table, columns, answers, items, pairs)
    return _Rows(names, codes, answers)


def _once(table: Table, columns: _Columns, answers: Answers, items: Coded, pairs: NDArray[np.int64]) -> Answers:
    """One answer of each annotator to each item: the first; another one that is not the same is a problem."""
    first = first_places(pairs)
    repeats = first != np.arange(len(pairs))
    same = repeats & (answers.codes == answers.codes[first])
    for place in np.flatnonzero(repeats & ~same).tolist():
        before, row = int(answers.rows[first[place]]), int(answers.rows[place])
        worker = answers.annotator_ids[answers.annotators[place]]
        labels = [answers.labels[answers.codes[found]] for found in (first[place], place)]
        table.add_problem(
            table.line_numbers[row],
            f"{columns.worker} '{worker}' already annotated {columns.item} '{items[row]}' with '{labels[0]}' on "
            f"{table.at(table.line_numbers[before])}, and here with '{labels[1]}'; expected one label each",
        )
    again = [table.line_numbers[row] for row in answers.rows[same].tolist()]
    if again:
        were = "row that repeats an annotator's label of the same item was"
        if len(again) > 1:
            were = "rows that repeat an annotator's label of the same item were"
        table.trace.left_out.append(f"{len(again):,} {were} left out: {_lines(table, again)}")
    return answers.kept(~repeats)


def _answers(table: Table, columns: _Columns, options: Options) -> Answers:
    """Return the answers of the rows that have one."""
    cells = single_labels(table, columns.label, options.label_names, sets=options.multilabel is not None)
    given = np.flatnonzero(~cells.missing)
    answers = Answers.of(given, cells.codes[given], [str(label) for label in cells.values])
    answers = answered(table, answers, missing=options.missing, label_names=options.label_names)
    if len(given) < len(cells):
        table.trace.count_missing(EMPTY, len(cells) - len(given))
    without = np.delete(np.arange(len(cells)), answers.rows).tolist()
    if without:
        was = "was" if len(without) == 1 else "were"
        lines = _lines(table, [table.line_numbers[row] for row in without])
        table.trace.left_out.append(f"{counted(len(without), 'row')} without a label {was} left out: {lines}")
    return answers


def _lines(table: Table, numbers: Sequence[int]) -> str:
    return table.where(numbers).removesuffix(": ")


def _note_unusable(table: Table, columns: _Columns, row: int) -> None:
    """Say why a row has no item, or no annotator."""
    line_number = table.line_numbers[row]
    if told := rounded_id(table.columns[columns.item][row]):
        table.add_problem(line_number, f"{columns.item} is {told}")
        return
    for column in filter(None, columns[:2]):
        cell = table.columns[column][row]
        if as_label(cell) is None:
            table.add_problem(line_number, f"{column} is {shown(cell)}; expected one value")


def _check_texts(table: Table, rows: _Rows, fields: Later[pd.DataFrame], options: Options) -> None:
    """Note rows whose text differs from the text of the same item before."""
    _, first_rows = np.unique(rows.codes, return_index=True)
    for column in options.text_columns or ():
        texts = fields.value[column].to_numpy(dtype=object)
        for row in np.flatnonzero(texts != texts[first_rows[rows.codes]]).tolist():
            item, first = rows.codes[row], int(first_rows[rows.codes[row]])
            table.add_problem(
                table.line_numbers[row],
                f"{column} of '{rows.items[item]}' differs from {table.at(table.line_numbers[first])}; "
                "expected one text",
            )


def _item_fields(fields: pd.DataFrame, codes: NDArray[np.int64]) -> pd.DataFrame:
    """Keep the columns that describe the item: those with one value per item."""
    import pandas as pd

    _, first_rows = np.unique(codes, return_index=True)
    values = {name: pd.factorize(fields[name])[0] for name in fields.columns}
    constant = [name for name, found in values.items() if (found == found[first_rows[codes]]).all()]
    return fields[constant].iloc[first_rows].reset_index(drop=True)


FORMAT = Format(
    name="long",
    summary="one row per annotation; columns item (or task, uid), annotator (or worker) and label (or answer)",
    options=frozenset(
        {
            *("label_names", "id_column", "text_columns", "labels_column", "worker_column", "missing"),
            *("multilabel", "bins"),
        }
    ),
    claims=frozenset({"worker_column"}),
    matches=matches,
    read=read,
)
