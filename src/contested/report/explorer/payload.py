"""What a page's explorer is given: facts of N items, and what any number of runs did with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.annotations.votes import Votes
from contested.errors import DataError

Kind = Literal["number", "integer", "flag", "category", "text"]

MOST_ITEMS = 200_000
"""Examples that a browser maps and sorts without delay."""
TOO_MANY = f"The explorer is left out: it shows at most {MOST_ITEMS:,} examples. Tables have all."


class Column(NamedTuple):
    """One fact of every item.

    Attributes:
        name: What addresses, filters and exported tables call it.
        heading: Its heading.
        unit: ``nats``, ``share``, …, or empty.
        sentence: What it is.
        kind: A ``number``; an ``integer``, kept exactly; a ``flag`` (yes or no); a ``category`` of few levels; a
            ``text``.
        values: Shape (N,): NaN is a missing number, integer or flag; None a missing category or text.
        levels: The levels of a category in their order; in order of first occurrence without it.
    """

    name: str
    heading: str
    unit: str
    sentence: str
    kind: Kind
    values: NDArray[Any] | Sequence[Any]
    levels: tuple[str, ...] = ()


class Curve(NamedTuple):
    """One number of every item at every checkpoint.

    Attributes:
        name: What addresses call it: ``loss``, ``gold_probability``, ``kl``, ….
        heading: Its heading.
        unit: ``nats``, or empty.
        sentence: What it is.
        values: Shape (T, N); NaN where it is missing.
        is_probability: Whether they are probabilities, which a byte holds to less than a line's width.
    """

    name: str
    heading: str
    unit: str
    sentence: str
    values: NDArray[np.floating[Any]]
    is_probability: bool = False


class ExplorerRun(NamedTuple):
    """What one run, or the mean of several, did with the items.

    Attributes:
        name: Its name on the page.
        steps: Optimiser steps (or epochs) of its checkpoints, shape (T,).
        step_unit: What ``steps`` counts: step, epoch or checkpoint.
        columns: Measures of every item.
        curves: Their course over the checkpoints.
        probabilities: The model's, shape (T, N, K), NaN where missing; None where they are unknown.
    """

    name: str
    steps: NDArray[np.int64]
    step_unit: str
    columns: Sequence[Column] = ()
    curves: Sequence[Curve] = ()
    probabilities: NDArray[np.floating[Any]] | None = None


class Explorer(NamedTuple):
    """Everything that a page's explorer shows.

    Attributes:
        example_ids: One id per item, all different, length N.
        items: What is known of the items, whatever any run did: texts, annotation entropy, category, ….
        label_names: Class names, length K.
        label_counts: How many annotators chose each class, shape (N, K), NaN where an item has none; None where no
            item has any.
        gold: Class index of the gold label, shape (N,), -1 where an item has none; None where no item has one.
        votes: Who chose what; None where it is unknown.
        categories: Categories in order of rising entropy, which colour the map: levels of the item column
            ``category``. Their colours are those of :func:`contested.report.style.category_colors`.
        runs: Runs that share the items' order; an item that a run does not track is missing there.
        x: The column across the map at first; ``NAME of RUN`` is one run's alone, where there are several.
        y: The column up the map at first.
        notes: What a reader must know before trusting what is shown.
    """

    example_ids: Sequence[str]
    items: Sequence[Column]
    label_names: tuple[str, ...] = ()
    label_counts: NDArray[Any] | None = None
    gold: NDArray[np.integer[Any]] | None = None
    votes: Votes | None = None
    categories: tuple[str, ...] = ()
    runs: Sequence[ExplorerRun] = ()
    x: str = ""
    y: str = ""
    notes: Sequence[str] = ()


CATEGORY = "category"
"""The item column whose levels colour the map."""


def check_explorer(explorer: Explorer) -> None:
    """Check that the parts of an explorer fit together.

    Args:
        explorer: The explorer.

    Raises:
        DataError: If they do not; all problems at once.
    """
    if problems := [*_wrong_names(explorer), *_wrong_shapes(explorer)]:
        raise DataError("The parts of this explorer do not fit together.", problems)


def _wrong_names(explorer: Explorer) -> Iterator[str]:
    n, names = len(explorer.example_ids), [column.name for column in explorer.items]
    if len(set(explorer.example_ids)) < n:
        yield f"example_ids: {n - len(set(explorer.example_ids))} of {n} ids occur again; expected different ones"
    for run in explorer.runs:
        own = [column.name for column in run.columns]
        if twice := sorted({name for name in own if own.count(name) + names.count(name) > 1}):
            yield f"columns of {run.name}: {twice} occur more than once, or are columns of the items too"
    of_runs = [(run.name, column.name) for run in explorer.runs for column in run.columns]
    known = {*names, *(name for _, name in of_runs), *(f"{name} of {run}" for run, name in of_runs)}
    for axis in ("x", "y"):
        if (name := getattr(explorer, axis)) and name not in known:
            yield f"{axis}: there is no column {name!r}; there are {sorted(known)}"
    if explorer.categories and CATEGORY not in names:
        yield f"categories: {list(explorer.categories)} are given, and the items have no column {CATEGORY!r}"


def _wrong_shapes(explorer: Explorer) -> Iterator[str]:
    n, k = len(explorer.example_ids), len(explorer.label_names)
    expected: list[tuple[str, Any, tuple[int, ...]]] = [
        *((f"column {column.name}", column.values, (n,)) for column in explorer.items),
        ("label_counts", explorer.label_counts, (n, k)),
        ("gold", explorer.gold, (n,)),
    ]
    for run in explorer.runs:
        t = len(run.steps)
        expected += [(f"{run.name}: column {column.name}", column.values, (n,)) for column in run.columns]
        expected += [(f"{run.name}: curve {curve.name}", curve.values, (t, n)) for curve in run.curves]
        expected.append((f"{run.name}: probabilities", run.probabilities, (t, n, k)))
    for name, values, shape in expected:
        if values is None:
            continue
        found = values.shape if isinstance(values, np.ndarray) else (len(values),)
        if found != shape:
            yield f"{name}: shape {found}; expected {shape}"
