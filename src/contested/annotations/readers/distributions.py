"""One example per row with the proportion of each label, and the number of annotators behind it.

Proportions alone are refused: two annotators and two hundred give the same proportions, not the same evidence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contested.annotations.core import Annotations
from contested.annotations.readers._cells import as_count, as_number
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
from contested.annotations.readers._labels import check_classes
from contested.annotations.readers._vectors import ColumnSpec, class_columns, hold_numbers, read_vectors
from contested.errors import ConfigError
from contested.rows import Table
from contested.wording import listed

ALIASES = ("label_dist", "label_distribution", "distribution", "soft_label", "soft_labels")
ANNOTATORS_ALIASES = ("n_annotators", "num_annotators", "number of annotations")

# Published proportions are often rounded to two decimals.
_ROUNDING = 0.01


def matches(table: Table, options: Options) -> bool:
    """Whether a usual column of proportions, or a column of proportions for each class, is there."""
    columns = _columns(table, options)
    return len(columns) == 1 or hold_numbers(table, columns, as_proportion)


def _columns(table: Table, options: Options) -> tuple[str, ...]:
    if options.distribution_column:
        return options.distribution_column
    usual = alias_column(table, ALIASES)
    return (usual,) if usual is not None else class_columns(table, options.label_names)


def read(table: Table, options: Options) -> Annotations:
    """Read proportions as the counts that they come from."""
    id_column = find_ids(table, options.id_column)
    columns = _columns(table, options) or (find_column(table, None, ALIASES, "distribution_column"),)
    annotators = _read_annotators(table, options)
    if not (id_column and all(columns)):
        stop_on_problems(table, FORMAT.name)
    ids = read_ids(table, id_column)
    vectors = read_vectors(table, ColumnSpec(columns, options.label_names, as_proportion, "distribution_column"))
    if not set(columns) <= set(table.columns):
        # Without its column, every row would be a problem of its own.
        stop_on_problems(table, FORMAT.name)
    counts = _read_counts(table, vectors.values, annotators)
    used = {id_column, *columns, _annotators_column(table, options) or ""}
    fields = read_fields(table, used, options.text_columns)
    if not table.problems:
        check_classes(table, vectors.label_names)
    stop_on_problems(table, FORMAT.name)
    return Annotations(tuple(ids), counts, vectors.label_names, fields, source=str(table.path))


def as_proportion(value: object) -> float:
    """Return a proportion from 0 to 1.

    Args:
        value: A number, or its text in a CSV.

    Returns:
        The proportion.

    Raises:
        ValueError: If it is none.
    """
    number = as_number(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{value!r}; expected a proportion from 0 to 1")
    return number


def _read_annotators(table: Table, options: Options) -> NDArray[np.float64]:
    if options.annotators_column is not None and options.n_annotators is not None:
        raise ConfigError("Give annotators_column or n_annotators, not both.")
    if options.n_annotators is not None:
        if options.n_annotators < 1:
            raise ConfigError(f"n_annotators must be at least 1; given: {options.n_annotators}.")
        return np.full(len(table.line_numbers), float(options.n_annotators))
    column = _annotators_column(table, options)
    if column is None:
        table.add_problem(
            0,
            "proportions do not say how many annotators they come from, and entropy from few is biased: "
            "give annotators_column or n_annotators, or read the file's counts or labels instead",
        )
    elif find_column(table, column, (), "annotators_column"):
        return _annotators_in(table, column)
    return np.full(len(table.line_numbers), np.nan)


def _annotators_column(table: Table, options: Options) -> str | None:
    return options.annotators_column or alias_column(table, ANNOTATORS_ALIASES)


def _annotators_in(table: Table, column: str) -> NDArray[np.float64]:
    numbers = np.full(len(table.line_numbers), np.nan)
    for i, value in enumerate(table.columns[column]):
        try:
            numbers[i] = as_count(value)
        except ValueError as error:
            table.add_problem(table.line_numbers[i], f"{column} is {error}")
        if numbers[i] == 0:
            table.add_problem(table.line_numbers[i], f"{column} is 0; expected at least one annotator")
    return numbers


def _read_counts(table: Table, proportions: NDArray[np.float64], annotators: NDArray[np.float64]) -> NDArray[np.int64]:
    usable = np.isfinite(proportions).all(axis=1)
    totals = np.where(usable, proportions.sum(axis=1), 1.0)
    # Each of K rounded proportions can be off by half the rounding step.
    wrong_sum = np.abs(totals - 1) > _ROUNDING / 2 * max(2, proportions.shape[1]) + 1e-9
    for row in map(int, np.flatnonzero(wrong_sum)):
        table.add_problem(table.line_numbers[row], f"the proportions sum to {totals[row]:g}; expected 1")
    usable &= ~wrong_sum & (annotators >= 1)
    counts = to_counts(np.where(usable[:, None], proportions, 0.0), np.where(usable, annotators, 0))
    shares = counts / np.where(usable, annotators, 1)[:, None]
    off = usable & (np.abs(shares - proportions) > _ROUNDING + 1e-9).any(axis=1)
    for row in map(int, np.flatnonzero(off)):
        given = listed(f"{value:g}" for value in proportions[row])
        table.add_problem(
            table.line_numbers[row], f"{annotators[row]:g} annotators cannot give the proportions {given}"
        )
    return counts


def to_counts(proportions: NDArray[np.float64], annotators: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the whole counts nearest to proportions that add up to the number of annotators.

    The largest remainders are rounded up.

    Args:
        proportions: Shape (N, K).
        annotators: Shape (N,).

    Returns:
        Counts, shape (N, K).

    Examples:
        >>> to_counts(np.array([[0.67, 0.33]]), np.array([3.0])).tolist()
        [[2, 1]]
    """
    totals = proportions.sum(axis=1, keepdims=True)
    exact = proportions / np.where(totals > 0, totals, 1) * annotators[:, None]
    counts = np.floor(exact + 1e-9)
    missing = annotators - counts.sum(axis=1)
    order = np.argsort(-(exact - counts), axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    return np.asarray(counts + (rank < missing[:, None]), dtype=np.int64)


FORMAT = Format(
    name="distributions",
    summary="one row per example; proportions in label_dist or distribution_column, with annotator numbers",
    options=frozenset(
        {
            "label_names",
            "id_column",
            "text_columns",
            "distribution_column",
            "annotators_column",
            "n_annotators",
        }
    ),
    claims=frozenset({"distribution_column", "annotators_column", "n_annotators"}),
    matches=matches,
    read=read,
)
