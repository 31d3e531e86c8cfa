"""One example per row with every annotator's label: in one column of lists, or in one column per annotator."""

from __future__ import annotations

from contested.annotations.core import Annotations
from contested.annotations.readers._cells import as_label, as_labels, shown
from contested.annotations.readers._format import (
    ID_ALIASES,
    Format,
    Options,
    find_column,
    read_fields,
    read_ids,
    stop_on_problems,
)
from contested.annotations.readers._labels import Answer, check_classes, count_answers
from contested.rows import Table
from contested.wording import listed

ALIASES = ("annotator_labels", "labels", "annotations")


def matches(table: Table, options: Options) -> bool:
    """Whether labels are named, or a usual column of labels is there."""
    return options.labels_column is not None or any(alias in table.columns for alias in ALIASES)


def read(table: Table, options: Options) -> Annotations:
    """Read the labels of each example; empty ones are annotators who gave none."""
    id_column = find_column(table, options.id_column, ID_ALIASES, "id_column")
    named = options.labels_column or (None,)
    columns = [find_column(table, name, ALIASES, "labels_column") for name in named]
    if not (id_column and all(columns)):
        stop_on_problems(table, FORMAT.name)
    ids = read_ids(table, id_column)
    labels = _listed_labels(table, columns[0]) if len(columns) == 1 else _wide_labels(table, columns)
    answers = [Answer(table.line_numbers[i], i, label) for i, row in enumerate(labels) for label in row]
    label_names, counts = count_answers(table, answers, n_items=len(labels), label_names=options.label_names)
    fields = read_fields(table, {id_column, *columns}, options.text_columns)
    if not table.problems:
        check_classes(table, label_names)
    stop_on_problems(table, FORMAT.name)
    return Annotations(tuple(ids), counts, label_names, fields, source=str(table.path))


def _listed_labels(table: Table, column: str) -> list[list[str]]:
    rows = []
    for line_number, value in zip(table.line_numbers, table.columns[column], strict=True):
        try:
            labels = as_labels(value)
        except ValueError as error:
            table.add_problem(line_number, f"{column} is {error}")
            labels = []
        else:
            if not labels:
                table.add_problem(line_number, f"{column} is {shown(value)}; expected at least one label")
        rows.append(labels)
    return rows


def _wide_labels(table: Table, columns: list[str]) -> list[list[str]]:
    rows = []
    for i, line_number in enumerate(table.line_numbers):
        found = [as_label(table.columns[column][i]) for column in columns]
        rows.append([label for label in found if label is not None])
        if not rows[-1]:
            table.add_problem(line_number, f"no label in {listed(columns)}; expected at least one")
    return rows


FORMAT = Format(
    name="labels",
    summary="one row per example; all its labels in labels (a list, or 'a|b|b'), or one column per annotator",
    options=frozenset({"label_names", "id_column", "text_columns", "labels_column"}),
    claims=frozenset(),
    matches=matches,
    read=read,
)
