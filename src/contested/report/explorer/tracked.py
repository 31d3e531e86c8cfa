"""The items that runs track, with their measures and their course over training: what runs and groups are shown by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from contested.analysis import REGIONS, Measure
from contested.analysis.blocks import blocks
from contested.analysis.divergence import kl_divergence
from contested.analysis.measures import MEASURES
from contested.annotations.measures import distributions
from contested.report.explorer.facts import facts, texts_or_none
from contested.report.explorer.payload import Column, Curve, Explorer, ExplorerRun, Kind
from contested.trajectories import Trajectory
from contested.wording import counted

_MOST_NUMBERS = 60_000_000  # of all curves and probabilities together: about 80 MB of the page
_OF_ITEMS = frozenset({"gold", "annotators", "bands"})
"""Needs of measures that no training decides."""
_ITEM_MEASURES = tuple(measure.name for measure in MEASURES if _OF_ITEMS.issuperset(measure.needs))
_AXES = (("variability", "confidence"), ("loss_first", "loss_change"), ("entropy", "loss_last"))
_GOLD = "gold_probability"
_CURVES = {
    "loss": ("loss", "nats", "Loss on the gold label."),
    _GOLD: ("gold probability", "", "Probability that the model gives the gold label."),
    "kl": ("KL", "nats", "KL(annotators ‖ model): 0 where the model answers as the annotators do."),
}


class Items:
    """The items that any of some runs tracks, in the order in which they first occur.

    What is known of an item is what the first run that knows it says, in the order in which they are added.

    Args:
        trajectories: The runs.

    Attributes:
        ids: One id per item, length N.
        labels: Class names of all runs, length K.
        categories: Category names of all runs, in order of rising entropy.
    """

    def __init__(self, trajectories: Sequence[Trajectory]) -> None:
        self.ids = pd.Index(dict.fromkeys(str(own) for run in trajectories for own in run.example_ids), dtype=object)
        self.labels = tuple(dict.fromkeys(name for run in trajectories for name in run.label_names))
        self.categories = tuple(dict.fromkeys(name for run in trajectories for name in run.category_names))
        n = len(self.ids)
        self._counts, self._gold = np.full((n, len(self.labels)), np.nan), np.full(n, -1)
        self._differ = np.zeros(n, bool)
        self._tables: list[pd.DataFrame] = []
        self._measured: list[pd.DataFrame] = []
        self._text_columns: dict[str, None] = {}

    def places(self, trajectory: Trajectory) -> NDArray[np.intp]:
        """Where a run's examples are among the items."""
        return self.ids.get_indexer(pd.Index([str(own) for own in trajectory.example_ids], dtype=object))

    def add(self, trajectory: Trajectory, measured: pd.DataFrame) -> NDArray[np.intp]:
        """Take what a run, and the measures of its examples, say of its items; return their places."""
        places = self.places(trajectory)
        self._tables.append(trajectory.examples.set_axis(places))
        self._measured.append(measured[[name for name in _ITEM_MEASURES if name in measured]].set_axis(places))
        self._text_columns.update(dict.fromkeys(trajectory.text_columns))
        own = [self.labels.index(name) for name in trajectory.label_names]
        if trajectory.label_counts is not None:
            counts = np.zeros((len(places), len(self.labels)))
            counts[:, own] = trajectory.label_counts
            known = ~np.isnan(self._counts[places]).any(axis=1)
            self._differ[places[known]] |= (self._counts[places] != counts)[known].any(axis=1)
            self._counts[places[~known]] = counts[~known]
        if trajectory.gold is not None and own:
            gold = np.array(own)[trajectory.gold]
            known = self._gold[places] >= 0
            self._differ[places[known]] |= (self._gold[places] != gold)[known]
            self._gold[places[~known]] = gold[~known]
        return places

    def explorer(self, runs: Sequence[ExplorerRun], notes: Sequence[str]) -> Explorer:
        """What a page shows of the items and of what runs did with them, beside some notes."""
        table = _first_known(self._tables)
        own = measure_columns(_first_known(self._measured), self.labels, "", of_items=True)
        known = {measure.name for measure in MEASURES}
        columns = [*facts(table, self._text_columns, self.categories, known), *own]
        across, up = _first_axes(columns, runs)
        return Explorer(
            example_ids=list(self.ids),
            items=columns,
            label_names=self.labels,
            label_counts=None if np.isnan(self._counts).all() else self._counts,
            gold=None if (self._gold < 0).all() else self._gold,
            categories=self.categories,
            runs=runs,
            x=across,
            y=up,
            notes=notes,
        )

    def notes(self) -> list[str]:
        """How often runs contradict each other."""
        if not self._differ.any():
            return []
        n = counted(int(self._differ.sum()), "example")
        return [
            f"Runs differ in the gold label or the annotations of {n}: shown is what the first run that tracks it says."
        ]


def _first_known(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """A row per item, in each column the first value that is not missing, from tables with items' places as index."""
    rows = pd.concat(tables)
    return (rows if rows.index.is_unique else rows.groupby(level=0).first()).reset_index(drop=True)


def measure_columns(
    measured: pd.DataFrame, labels: tuple[str, ...], counted_in: str, *, of_items: bool, of_one: bool = True
) -> Iterator[Column]:
    """The declared measures among a table's columns.

    Args:
        measured: One row per item.
        labels: Class names.
        counted_in: What steps count.
        of_items: Whether those that no training decides are wanted, or the others.
        of_one: Whether the numbers are of one run, and not means, which have shares where a run has yes or no.

    Yields:
        The columns.
    """
    for measure in MEASURES:
        if measure.name in measured and of_items == (measure.name in _ITEM_MEASURES):
            values = measured[measure.name]
            unit = f"{counted_in}s" if measure.unit == "steps" else measure.unit
            kind: Kind = _kind(measure) if of_one else "number"
            heading = (of_one and measure.of_one) or measure.heading
            unit = "" if kind == "flag" else unit
            found = texts_or_none(values) if kind == "category" else values.to_numpy(np.float64)
            levels = {"region": REGIONS, "prediction_last": labels}.get(measure.name, ())
            yield Column(measure.name, heading, unit, measure.sentence, kind, found, levels)


def _kind(measure: Measure) -> Kind:
    if measure.summary == "none":
        return "category"
    if measure.summary == "share":
        return "flag"
    return "integer" if measure.unit in {"steps", "events"} else "number"


def shown_checkpoints(steps: Sequence[NDArray[np.int64]], items: Items) -> tuple[list[NDArray[np.intp]], list[str]]:
    """Which checkpoints of each run are shown, so that the page stays small; and what to say of it.

    Args:
        steps: Those of each run, shape (T,).
        items: The items.

    Returns:
        Their places among each run's steps, evenly spread, and a sentence where some run has more.
    """
    numbers = max(1, len(items.ids)) * len(steps) * (len(_CURVES) + len(items.labels))
    most = max(2, _MOST_NUMBERS // numbers)
    shown = [np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(np.intp)) for own in steps]
    if max(map(len, steps)) <= most:
        return shown, []
    return shown, [f"Curves show at most {most} checkpoints of each run, so that this page stays small."]


def curves_of(
    parts: Sequence[tuple[Trajectory, NDArray[np.intp]]], shown: NDArray[np.intp], items: Items
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32] | None]:
    """The course of a run's examples over training.

    Args:
        parts: Its examples, and their places among the items.
        shown: The checkpoints that are shown.
        items: All items.

    Returns:
        What the run has of loss, gold probability and KL by name, shape (T, N) each, and the probabilities,
        shape (T, N, K).
    """
    curves: dict[str, NDArray[np.float32]] = {}
    n = len(items.ids)
    whole = np.full((len(shown), n, len(items.labels)), np.nan, np.float32)
    for trajectory, places in parts:
        own = [items.labels.index(name) for name in trajectory.label_names]
        for rows, found in _in_blocks(trajectory, shown):
            if (probabilities := found.pop("probabilities", None)) is not None:
                whole[:, places[rows][:, None], own] = probabilities
            for name, values in found.items():
                curve = curves.setdefault(name, np.full((len(shown), n), np.nan, np.float32))
                curve[:, places[rows]] = values
    return curves, None if np.isnan(whole).all() else whole


def as_curves(values: Mapping[str, NDArray[np.floating[Any]]]) -> list[Curve]:
    """Courses by name, shape (T, N) each, as the explorer shows them; in the order in which it does."""
    return [Curve(name, *said, values[name], name == _GOLD) for name, said in _CURVES.items() if name in values]


def _in_blocks(
    trajectory: Trajectory, shown: NDArray[np.intp]
) -> Iterator[tuple[slice, dict[str, NDArray[np.float64]]]]:
    """Some rows after the other: their curves at some checkpoints, and the probabilities that they follow from."""
    losses, logits, gold, counts = trajectory.losses, trajectory.logits, trajectory.gold, trajectory.label_counts
    for rows in blocks(len(trajectory.example_ids), len(shown) * max(1, len(trajectory.label_names))):
        found = {} if losses is None else {"loss": losses[shown, rows]}
        if logits is not None:
            own = logits[shown, rows].astype(np.float64)
            found["probabilities"] = softmax(own, axis=2)
            if gold is not None:
                found[_GOLD] = found["probabilities"][:, np.arange(len(own[0])), gold[rows]]
            if counts is not None:
                found["kl"] = kl_divergence(own, distributions(counts[rows]))
        yield rows, found


def _first_axes(items: Sequence[Column], runs: Sequence[ExplorerRun]) -> tuple[str, str]:
    """The columns that the map shows at first: those of dataset cartography where the runs have them."""
    columns = [*items, *(column for run in runs for column in run.columns)]
    numbers = list(dict.fromkeys(column.name for column in columns if column.kind in {"number", "integer"}))
    for pair in _AXES:
        if set(pair) <= set(numbers):
            return pair
    return (numbers[0], numbers[1]) if len(numbers) > 1 else ("", "")
