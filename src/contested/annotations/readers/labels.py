"""One example per row with every annotator's label: in one column of lists, or in one column per annotator."""

from __future__ import annotations

import re

from contested.annotations.core import Annotations
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
from contested.annotations.readers._labels import check_classes, count_answers
from contested.annotations.readers._printed import as_structure
from contested.annotations.readers._votes import check_sets, column_answers, left_out, listed_answers
from contested.rows import Table
from contested.wording import listed

ALIASES = ("annotator_labels", "labels", "annotations")

# Keys that name annotators: "w1", "Ann3", "annotator", "17".
_ANNOTATOR = re.compile(r"\d|annot|worker|rater|coder|judge|user|expert", re.IGNORECASE)
_FEWEST_ITEMS = 2
_MOST_ASPECTS = 12


def matches(table: Table, options: Options) -> bool:
    """Whether labels are named, or a usual column of labels is there."""
    return options.labels_column is not None or alias_column(table, ALIASES) is not None


def read(table: Table, options: Options) -> Annotations:
    """Read the labels of each example; items without any are left out."""
    id_column = find_ids(table, options.id_column)
    columns = [find_column(table, name, ALIASES, "labels_column") for name in options.labels_column or (None,)]
    if not (id_column and all(columns)):
        stop_on_problems(table, FORMAT.name)
    ids = read_ids(table, id_column)
    one = len(columns) == 1
    answers = listed_answers(table, columns[0], options.label_names) if one else column_answers(table, columns)
    found = count_answers(table, answers, n_items=len(ids), label_names=options.label_names, missing=options.missing)
    if one and not _note_keys(table, columns[0]) and not (options.by_name or table.problems):
        check_sets(table, found.answers, columns[0])
    rows = left_out(table, ids, {answer.item for answer in found.answers})
    fields = read_fields(table, {id_column, *columns}, options.text_columns)
    if not table.problems:
        check_classes(table, found.label_names)
    stop_on_problems(table, FORMAT.name)
    kept = [ids[row] for row in rows]
    return Annotations(tuple(kept), found.counts[rows], found.label_names, fields.iloc[rows], source=str(table.path))


def _note_keys(table: Table, column: str) -> bool:
    """Whether labels are given by annotator; a note says so where the keys look like aspects of the item instead."""
    cells = [_as_object(value) for value in table.columns[column]]
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
    try:
        found = as_structure(value)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


FORMAT = Format(
    name="labels",
    summary="one row per example; all its labels in labels (a list, or 'a|b|b'), or one column per annotator",
    options=frozenset({"label_names", "id_column", "text_columns", "labels_column", "missing"}),
    claims=frozenset(),
    matches=matches,
    read=read,
)
