"""One number per class on each row: in a column of lists or objects, or in one column per class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.annotations.readers._cells import NOTHING, canonical, shown
from contested.annotations.readers._classes import note_classes
from contested.annotations.readers._format import find_column
from contested.annotations.readers._labels import note_other_names, order_labels, unknown_label
from contested.annotations.readers._printed import as_structure
from contested.annotations.receipt import EMPTY
from contested.errors import ConfigError
from contested.rows import Table
from contested.wording import listed

ParseNumber = Callable[[object], float]


# Classes that are recognised as columns without being named.
_USUAL_COLUMNS = ("entailment", "neutral", "contradiction")


def class_columns(table: Table, label_names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the columns named as the classes, one each, or nothing where one is absent."""
    classes = label_names or _USUAL_COLUMNS
    return classes if set(classes) <= table.columns.keys() else ()


def hold_numbers(table: Table, columns: tuple[str, ...], parse: ParseNumber) -> bool:
    """Return whether most rows hold a number in each column: wrong rows must not hide the format."""
    if not columns or not table.columns.keys() >= set(columns):
        return False
    rows = zip(*(table.columns[column] for column in columns), strict=True)
    return sum(_all_parse(row, parse) for row in rows) * 2 > len(table.line_numbers)


def _all_parse(row: tuple[object, ...], parse: ParseNumber) -> bool:
    try:
        return all(parse(value) >= 0 for value in row)
    except ValueError:
        return False


class Vectors(NamedTuple):
    """The numbers, and what their columns mean.

    Attributes:
        label_names: The classes in label order.
        values: Shape (N, K); a row with a problem holds nan.
    """

    label_names: tuple[str, ...]
    values: NDArray[np.float64]


class ColumnSpec(NamedTuple):
    """What to read.

    Attributes:
        columns: One column of lists or objects, or one column per class.
        label_names: The classes in label order; None where not given.
        parse: Reads one number; raises ValueError with the rest of the sentence "<name> is …".
        option: The option that names the columns.
        given: Whether whoever reads the file gave the label names, in place of the format.
    """

    columns: tuple[str, ...]
    label_names: tuple[str, ...] | None
    parse: ParseNumber
    option: str
    given: bool = True


def read_vectors(table: Table, spec: ColumnSpec) -> Vectors:
    """Read one number per class on each row.

    Args:
        table: The file; whatever cannot be read becomes a problem.
        spec: The columns, the classes if known, and how to read a number.

    Returns:
        The classes and the numbers; empty where a column is absent.
    """
    present = [find_column(table, column, (), spec.option) for column in spec.columns]
    if "" in present:
        return Vectors(spec.label_names or (), np.empty((len(table.line_numbers), 0)))
    if len(spec.columns) == 1:
        return _read_structured(table, spec)
    return _read_wide(table, spec)


def _read_wide(table: Table, spec: ColumnSpec) -> Vectors:
    names = spec.label_names or spec.columns
    if spec.label_names is None:
        note_classes(table, names)
    if len(names) != len(spec.columns):
        raise ConfigError(
            f"{spec.option} names {len(spec.columns)} columns ({listed(spec.columns)}) and label_names "
            f"{len(names)} classes ({listed(names)}); give one name per column, in the same order."
        )
    values = np.full((len(table.line_numbers), len(names)), np.nan)
    for k, column in enumerate(spec.columns):
        for i, value in enumerate(table.columns[column]):
            values[i, k] = _parsed(table, i, column, value, spec.parse)
    return Vectors(names, values)


def _read_structured(table: Table, spec: ColumnSpec) -> Vectors:
    column = spec.columns[0]
    cells, unread = _structures(table, column)
    keyed = _is_keyed(cells)
    names = spec.label_names or (_names_of_objects(table, cells) if keyed else _names_of_lists(cells))
    if keyed and spec.given and spec.label_names:
        note_other_names(table, names, Counter(str(key) for cell in cells if isinstance(cell, dict) for key in cell))
    values = np.full((len(cells), len(names)), np.nan)
    for i, cell in enumerate(cells):
        if i in unread:
            continue
        row = _named_row(table, cell, names) if keyed else _listed_row(cell, names)
        if isinstance(row, str):
            table.add_problem(table.line_numbers[i], f"{column} {row}")
            continue
        for k, value in enumerate(row):
            values[i, k] = _parsed(table, i, f"{column}[{names[k]!r}]", value, spec.parse)
    return Vectors(names, values)


def _structures(table: Table, column: str) -> tuple[list[object], set[int]]:
    """The lists or objects of a column, and the rows that hold neither: their problem is noted."""
    cells: list[object] = []
    unread = set()
    for i, value in enumerate(table.columns[column]):
        try:
            cells.append(_pairs(value) or as_structure(value))
        except ValueError as error:
            table.add_problem(table.line_numbers[i], f"{column} is {error}")
            cells.append(None)
            unread.add(i)
    return cells, unread


_PAIR = re.compile(r"\s*(?P<name>[^:=;|]*[^:=;|\s])\s*[:=]\s*(?P<number>[-+.\deE]+)\s*")


def _pairs(value: object) -> dict[str, object] | None:
    """The object that a text such as ``cause:0.7; contrast:0.3`` writes without brackets; None where it is none."""
    if not isinstance(value, str) or value.lstrip()[:1] in ("{", "[", ""):
        return None
    separator = next((character for character in ";|" if character in value), ",")
    found = [_PAIR.fullmatch(part) for part in value.strip().strip(separator).split(separator)]
    pairs = {pair["name"]: pair["number"] for pair in found if pair is not None}
    return {**pairs} if len(pairs) == len(found) else None


def _parsed(table: Table, row: int, name: str, value: object, parse: ParseNumber) -> float:
    try:
        return parse(value)
    except ValueError as error:
        table.add_problem(table.line_numbers[row], f"{name} is {error}")
        return float("nan")


def _is_keyed(cells: Sequence[object]) -> bool:
    """Return whether the first list or object is an object: the file's way of writing."""
    return next((isinstance(cell, dict) for cell in cells if isinstance(cell, dict | list)), True)


def _names_of_objects(table: Table, cells: Sequence[object]) -> tuple[str, ...]:
    keys = {str(key).strip() for cell in cells if isinstance(cell, dict) for key in cell} - NOTHING - {""}
    names = order_labels({canonical(key) or key for key in keys})
    note_classes(table, names)
    return names


def _class_of(key: str, names: tuple[str, ...], by_number: Mapping[str, str]) -> str:
    """The class that a key names; 1.0 names the class 1."""
    plain = key.strip()
    return key if key in names else plain if plain in names else by_number.get(canonical(plain) or "", plain)


def _names_of_lists(cells: Sequence[object]) -> tuple[str, ...]:
    lengths = [len(cell) for cell in cells if isinstance(cell, list)]
    return tuple(str(k) for k in range(max(set(lengths), key=lengths.count)))


def _named_row(table: Table, cell: object, names: tuple[str, ...]) -> list[object] | str:
    if not isinstance(cell, dict):
        return f"is {shown(cell)}; expected an object from label to number"
    by_number = {number: name for name in names if (number := canonical(name)) is not None}
    by_name = {_class_of(str(key), names, by_number): value for key, value in cell.items()}
    if len(by_name) < len(cell):
        return f"is {shown(cell)}, in which two keys are one class; expected one number per class"
    for key in [key for key in by_name if (key in NOTHING or not key) and key not in names]:
        table.trace.count_missing(key or EMPTY)
        del by_name[key]
    unknown = [key for key in by_name if key not in names]
    if unknown:
        return "has the " + "; and the ".join(unknown_label(key, names) for key in unknown)
    # An absent class, and the null or nan that is written for it, has no annotation.
    return [0 if (value := by_name.get(name)) is None or _is_nothing(value) else value for name in names]


def _is_nothing(value: object) -> bool:
    return isinstance(value, str) and value in NOTHING


def _listed_row(cell: object, names: tuple[str, ...]) -> list[object] | str:
    if not isinstance(cell, list):
        return f"is {shown(cell)}; expected a list of {len(names)} numbers"
    if len(cell) != len(names):
        return f"has {len(cell)} numbers; expected {len(names)} ({listed(names)})"
    return cell


def check_totals(table: Table, counts: NDArray[np.float64]) -> None:
    """Note each row whose counts are all zero (rows with nan have their problem already)."""
    for row in map(int, np.flatnonzero(counts.sum(axis=1) == 0)) if counts.shape[1] else ():
        table.add_problem(table.line_numbers[row], "has no annotation: all counts are 0; expected at least one")
