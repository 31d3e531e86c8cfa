"""The explorer of a comparison: two models' answers to the same examples, at the compared checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis import Comparison
from contested.analysis.measures import measure_columns as measured_columns
from contested.report.compared_examples import KINDS
from contested.report.explorer.facts import texts_or_none
from contested.report.explorer.payload import MOST_ITEMS, Column, Explorer, ExplorerRun
from contested.report.explorer.tracked import Items, curves_of, measure_columns
from contested.trajectories import Trajectory

_LAST = "_last"
_LOSS = "loss_last"
_NOTE = (
    "The explorer shows the two compared checkpoints alone; “at the end” and “last” are of these. A report of the runs "
    "(contested report RUN RUN) shows their course over training."
)


def explorer_of_comparison(found: Comparison) -> Explorer | None:
    """The explorer of a comparison's page: the second model's loss against the first's, example by example.

    Args:
        found: The comparison.

    Returns:
        The explorer; None of more items than :data:`MOST_ITEMS`.
    """
    items = Items(found.states)
    if len(items.ids) > MOST_ITEMS:
        return None
    names = [found.first.name, found.second.name]
    if names[0] == names[1]:
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    runs = [_model(name, state, items) for name, state in zip(names, found.states, strict=True)]
    explorer = items.explorer(runs, [_NOTE, *items.notes()])
    both = all(any(column.name == _LOSS for column in run.columns) for run in runs)
    across, up = (f"{_LOSS} of {name}" for name in names) if both else (explorer.x, explorer.y)
    taken = {column.name for column in explorer.items}
    return explorer._replace(items=[*explorer.items, *_changes(found.examples, items, taken)], x=across, y=up)


def _model(name: str, state: Trajectory, items: Items) -> ExplorerRun:
    """One model at its compared checkpoint: the measures that this alone decides, and its answers."""
    measured = pd.DataFrame(measured_columns(state))
    places = items.add(state, measured)
    at_one = measured[[column for column in measured if str(column).endswith(_LAST)]]
    aligned = at_one.set_axis(places).reindex(range(len(items.ids)))
    shown: NDArray[np.intp] = np.array([0])
    columns = list(measure_columns(aligned, items.labels, state.counted_in, of_items=False))
    _, probabilities = curves_of([(state, places)], shown, items)
    return ExplorerRun(name, state.steps, state.counted_in, columns, probabilities=probabilities)


def _changes(table: pd.DataFrame, items: Items, taken: set[str]) -> Iterator[Column]:
    """What became of each answer, and how far apart the two models are."""
    aligned = table.set_index(table["example_id"].astype(str)).reindex(items.ids)
    if "change" in aligned:
        sentence = "What became of the answer: 1→0 right and then wrong, 0→1 wrong and then right."
        name = "change" if "change" not in taken else "change (comparison)"
        yield Column(name, "change", "", sentence, "category", texts_or_none(aligned["change"]), tuple(KINDS))
    if "js" in aligned:
        name = "js" if "js" not in taken else "js (comparison)"
        sentence = "Jensen–Shannon divergence of the two models' probabilities."
        yield Column(name, "JS of the two", "nats", sentence, "number", aligned["js"].to_numpy(np.float64))
