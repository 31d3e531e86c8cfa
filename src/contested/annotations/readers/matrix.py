"""Numbers alone, one example per row: the votes of each class, or each annotator's label (crowdlayer, CIFAR-10H)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from contested.annotations.core import Annotations
from contested.annotations.readers import counts, distributions, labels
from contested.annotations.readers._cells import as_number
from contested.annotations.readers._format import Format, Options, refuse
from contested.rows import TEXT, Table
from contested.rows.array_rows import ARRAY

_NO_ANSWER = -1.0
_FEWEST_COUNTED = 3  # rows whose equal sums are no accident
_HIGHEST_LABEL = 20
_SUM_OFF = 0.01


def matches(table: Table, options: Options) -> bool:
    """Whether the file is an array, or lines of as many numbers each."""
    return ARRAY in table.columns or bool(_numbers(table))


def _numbers(table: Table) -> list[list[object]]:
    """The numbers of a file of lines; nothing where it is something else, or its lines differ in length."""
    if table.kind != TEXT:
        return []
    rows: list[list[object]] = [[*str(line).split()] for line in table.columns["line"] if str(line).strip()]
    widths = {len(row) for row in rows}
    try:
        return rows if len(widths) == 1 and max(widths) > 1 and all([as_number(c) for c in row] for row in rows) else []
    except ValueError:
        return []


def read(table: Table, options: Options) -> Annotations:
    """Read rows of numbers: as labels where -1 marks who gave none, as counts or proportions where rows add up.

    Where neither is the case, the file is refused: counts and labels would both be possible, and differ.
    """
    array = _as_array(table)
    rows = [row for row in array.columns.get(ARRAY, ()) if isinstance(row, list)]
    if not rows or len(rows) < len(array.line_numbers):
        refuse(table, FORMAT.name, "expected lines of as many numbers each, or an array with one row per item")
    wanted = _wanted(options) or _looks_like(rows)
    if wanted == "labels":
        return _read_labels(array, rows, options)
    if wanted == "counts":
        return counts.read(array, dataclasses.replace(options, count_columns=(ARRAY,)))
    if wanted == "":
        refuse(
            array,
            FORMAT.name,
            "each row may hold the votes of each class or the label of each annotator, which are different data: give "
            f"count_columns={ARRAY} or labels_column={ARRAY}",
        )
    return distributions.read(array, dataclasses.replace(options, distribution_column=(ARRAY,)))


def _as_array(table: Table) -> Table:
    found = _numbers(table)
    if not found:
        return table
    lines = zip(table.line_numbers, table.columns["line"], strict=True)
    numbers = [number for number, line in lines if str(line).strip()]
    return dataclasses.replace(table, kind="matrix", columns={ARRAY: [*found]}, line_numbers=numbers)


def _wanted(options: Options) -> str:
    named = {"labels": options.labels_column, "counts": options.count_columns, "shares": options.distribution_column}
    return next((what for what, columns in named.items() if columns), "")


def _looks_like(rows: Sequence[Sequence[object]]) -> str:
    cells = [[float("nan") if cell is None else as_number(cell) for cell in row] for row in rows]
    flat = [cell for row in cells for cell in row]
    if any(cell != cell or cell < 0 for cell in flat):
        return "labels"
    sums = {sum(row) for row in cells}
    if not all(cell.is_integer() for cell in flat):
        return "shares" if all(abs(total - 1) <= _SUM_OFF for total in sums) else ""
    same = len(sums) == 1 and len(cells) >= _FEWEST_COUNTED
    return "counts" if same or max(flat) > _HIGHEST_LABEL else ""


def _read_labels(array: Table, rows: Sequence[Sequence[object]], options: Options) -> Annotations:
    missing = options.missing
    negative = {number for row in rows for cell in row if cell is not None and (number := as_number(cell)) < 0}
    if missing is None and negative == {_NO_ANSWER} and "-1" not in (options.label_names or ()):
        missing = ("-1",)
        array.add_note(
            "-1, the only number below 0, was read as no answer, as files of this kind write it; name it in "
            "label_names if it is a class."
        )
    answers: list[object] = [{f"column {j}": cell for j, cell in enumerate(row, start=1)} for row in rows]
    array = dataclasses.replace(array, columns={**array.columns, ARRAY: answers})
    return labels.read(array, dataclasses.replace(options, labels_column=(ARRAY,), missing=missing, by_name=True))


FORMAT = Format(
    name="matrix",
    summary="one row of numbers per example: votes by class, or a label by annotator with -1 for none (.txt, .npy)",
    options=frozenset(
        {
            *("label_names", "id_column", "text_columns", "labels_column", "count_columns", "distribution_column"),
            *("annotators_column", "n_annotators", "missing"),
        }
    ),
    claims=frozenset(),
    matches=matches,
    read=read,
    is_layout=True,
)
