"""One example per row and one column per annotator, as cleanlab's ``labels_multiannotator`` has them."""

from __future__ import annotations

import re

from contested.annotations.core import Annotations
from contested.annotations.readers._format import (
    Format,
    Options,
    fields_later,
    find_ids,
    read_ids,
    stop_on_problems,
)
from contested.annotations.readers._labels import check_classes, count_answers
from contested.annotations.readers._votes import Answers, column_answers, left_out, unified, without_missing
from contested.rows import Table

_COLUMN = re.compile(r"(annotator|worker)_\d+")
_LABEL_OF = re.compile(rf"{_COLUMN.pattern}_(?:label|answer|annotation|rating|score|vote|choice|response)s?")


def matches(table: Table, options: Options) -> bool:
    """Whether there are two columns ``annotator_<number>`` or more, and none ``annotator_<number>_label``."""
    return len(_columns(table)) > 1 and not any(map(_LABEL_OF.fullmatch, table.columns))


def _columns(table: Table) -> list[str]:
    return [name for name in table.columns if _COLUMN.fullmatch(name)]


def read(table: Table, options: Options) -> Annotations:
    """Read the labels of each example; an empty cell is an annotator who gave none, and items without any are left out.

    Labels are class names, or the indices of ``label_names`` where none of them is a name. A gold label and a model's
    probabilities (``label``, ``prob_<class>``), as an export for cleanlab has them in the same file, describe no
    example and are no fields.
    """
    id_column, columns = find_ids(table, options.id_column), _columns(table)
    if not columns:
        table.add_problem(0, "there is no column annotator_1, annotator_2, …")
    kinds = {name.partition("_")[0]: name for name in columns}
    if len(kinds) > 1:
        table.add_problem(
            0,
            f"there are columns such as {' and '.join(sorted(kinds.values()))}, only one kind of which can hold the "
            "labels: name these with labels_column",
        )
    if table.problems:
        stop_on_problems(table, FORMAT.name)
    for column in columns:
        table.trace.read_from("labels", column)
    ids = read_ids(table, id_column)
    answers = column_answers(table, columns, options.label_names, sets=options.multilabel is not None)
    answers = answers.renamed({label: _whole(label) for label in answers.labels})
    answers = without_missing(table, answers, missing=options.missing, label_names=options.label_names)
    answers = unified(table, _named(answers, options.label_names), options.label_names)
    found = count_answers(
        table,
        answers,
        n_items=len(ids),
        label_names=options.label_names,
        multilabel=options.multilabel,
        bins=options.bins,
    )
    rows = left_out(table, ids, found.answers)
    predicted = [name for name in table.columns if name == "label" or name.startswith("prob_")]
    fields = fields_later(table, {id_column, *columns, *predicted}, options.text_columns)
    if not table.problems:
        check_classes(table, found.label_names)
    stop_on_problems(table, FORMAT.name)
    return found.annotations(ids, rows, fields, source=str(table.path))


def _whole(label: str) -> str:
    """A whole number that pandas wrote as ``2.0``, because its column has gaps."""
    return label.removesuffix(".0") if re.fullmatch(r"\d+\.0", label) else label


def _named(answers: Answers, label_names: tuple[str, ...] | None) -> Answers:
    """Answers by class name where all of them are indices of the names given."""
    names = {str(index): name for index, name in enumerate(label_names or ())}
    found = set(answers.labels)
    return answers if not found <= names.keys() or found & set(names.values()) else answers.renamed(names)


FORMAT = Format(
    name="annotators",
    summary="one row per example; a column annotator_1, annotator_2, … for each annotator, empty where there is none",
    options=frozenset({"label_names", "id_column", "text_columns", "missing", "multilabel", "bins"}),
    claims=frozenset(),
    matches=matches,
    read=read,
)
