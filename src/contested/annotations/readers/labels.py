"""One example per row with every annotator's label: in one column of lists, or in one column per annotator."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from contested.annotations.core import Annotations
from contested.annotations.readers import annotators
from contested.annotations.readers._cells import split_labels
from contested.annotations.readers._classes import note_unsplit
from contested.annotations.readers._format import (
    PERSON_WORDS,
    ROW_NUMBER,
    WORKER_ALIASES,
    Format,
    Options,
    alias_column,
    fields_later,
    find_column,
    find_ids,
    read_ids,
    stop_on_problems,
)
from contested.annotations.readers._labels import check_classes, count_answers
from contested.annotations.readers._pairs import with_annotators
from contested.annotations.readers._printed import structure
from contested.annotations.readers._sets import set_parts
from contested.annotations.readers._votes import (
    Answers,
    answered,
    check_sets,
    column_answers,
    left_out,
    listed_answers,
)
from contested.rows import Coded, Table
from contested.wording import listed

ALIASES = ("annotator_labels", "labels", "annotations")

# Keys that name annotators: "w1", "Ann3", "annotator", "17".
_ANNOTATOR = re.compile(rf"\d|{PERSON_WORDS}", re.IGNORECASE)
_FEWEST_ITEMS = 2
_MOST_ASPECTS = 12


def matches(table: Table, options: Options) -> bool:
    """Whether labels are named, or a usual column of labels is there: beside a column per annotator, one of lists."""
    if options.labels_column is not None:
        return True
    usual = alias_column(table, ALIASES)
    return usual is not None and (
        not annotators.matches(table, options) or any(map(_several, Coded.of(table.columns[usual]).values))
    )


def _several(value: object) -> bool:
    """Whether a cell holds labels of several annotators."""
    return isinstance(value, list | dict) or (isinstance(value, str) and len(split_labels(value)) > 1)


def read(table: Table, options: Options) -> Annotations:
    """Read the labels of each example; items without any are left out."""
    id_column = find_ids(table, options.id_column)
    columns = [find_column(table, name, ALIASES, "labels_column") for name in options.labels_column or (None,)]
    if not (id_column and all(columns)):
        stop_on_problems(table, FORMAT.name)
    ids = read_ids(table, id_column)
    one, sets = len(columns) == 1, options.multilabel is not None
    names = options.label_names
    table, beside = with_annotators(table, columns[0], names) if one else (table, None)
    answers = (
        listed_answers(table, columns[0], names, sets=sets) if one else column_answers(table, columns, names, sets=sets)
    )
    answers = answered(table, answers, missing=options.missing, label_names=names)
    found = count_answers(
        table,
        answers,
        n_items=len(ids),
        label_names=names,
        multilabel=options.multilabel,
        bins=options.bins,
    )
    if one and not (options.bins or table.problems):
        _check_cells(table, columns[0], answers, options, named=beside is not None)
    _check_rows(table, id_column, found.counts)
    rows = left_out(table, ids, found.answers)
    fields = fields_later(table, {id_column, *columns, beside or id_column}, options.text_columns)
    if not table.problems:
        check_classes(table, found.label_names)
    stop_on_problems(table, FORMAT.name)
    return found.annotations(ids, rows, fields, source=str(table.path))


def _check_cells(table: Table, column: str, answers: Answers, options: Options, *, named: bool) -> None:
    """Note a problem where the cells of a column hold something else than the answers of several annotators."""
    whole = options.label_names or ()
    if options.multilabel is None and not whole:
        note_unsplit(table, answers.times(), column)
    # Annotators who chose several labels each are no question; an item that has several may be.
    each = options.multilabel and any(len(parts) != 1 for parts in set_parts(answers.labels, whole).values())
    if not (named or each or _note_keys(table, column) or options.by_name or table.problems):
        check_sets(table, answers, column)


def _check_rows(table: Table, id_column: str, counts: NDArray[np.int64]) -> None:
    """Note a problem where rows without an id, each with one label and an annotator, are annotations and no items."""
    worker = alias_column(table, WORKER_ALIASES)
    if id_column == ROW_NUMBER and worker is not None and len(counts) > 1 and (counts.sum(axis=1) <= 1).all():
        table.add_problem(
            0,
            f"every row has one label and its annotator in {worker}, and no column is called as ids are: name the "
            "column that says which item a row annotates with id_column",
        )


def _note_keys(table: Table, column: str) -> bool:
    """Whether labels are given by annotator; a note says so where the keys look like aspects of the item instead."""
    cells = [*Coded.of(table.columns[column]).mapped(_as_object)]
    keyed = [cell for cell in cells if cell]
    if not keyed:
        return False
    keys = list(keyed[0])
    same = len(keyed) >= _FEWEST_ITEMS and all(list(cell) == keys for cell in keyed)
    if same and 1 < len(keys) <= _MOST_ASPECTS and not any(_ANNOTATOR.search(key) for key in keys):
        table.add_note(
            f"The annotators are the keys of the objects in {column}, the same for every item: {listed(keys)}. If they "
            "are aspects that were rated, they are no annotators: read one aspect at a time."
        )
    return True


def _as_object(value: object) -> dict[str, object] | None:
    found = structure(value)
    return found if isinstance(found, dict) else None


FORMAT = Format(
    name="labels",
    summary="one row per example; all its labels in labels (a list, or 'a|b|b'), or one column per annotator",
    options=frozenset({"label_names", "id_column", "text_columns", "labels_column", "missing", "multilabel", "bins"}),
    claims=frozenset(),
    matches=matches,
    read=read,
)
