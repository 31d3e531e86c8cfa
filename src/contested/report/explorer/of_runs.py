"""The explorer of runs: their examples side by side, with every measure and its course over training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

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
from contested.report.runs import ReportRun, all_categories
from contested.trajectories import Trajectory
from contested.wording import counted

MOST_ITEMS = 200_000
"""Examples that a browser maps and sorts without delay."""
TOO_MANY = f"The explorer is left out: it shows at most {MOST_ITEMS:,} examples. Tables have all."
_MOST_NUMBERS = 60_000_000  # of all curves and probabilities together: about 80 MB of the page
_OF_ITEMS = frozenset({"gold", "annotators", "bands"})
"""Needs of measures that no training decides."""
_AXES = (("variability", "confidence"), ("loss_first", "loss_change"), ("entropy", "loss_last"))
GOLD = "gold_probability"
CURVES = {
    "loss": ("loss", "nats", "Loss on the gold label."),
    GOLD: ("gold probability", "", "Probability that the model gives the gold label."),
    "kl": ("KL", "nats", "KL(annotators ‖ model): 0 where the model answers as the annotators do."),
}


class _Entry(NamedTuple):
    """One run as the explorer shows it: its examples of either split, and their places among all items."""

    name: str
    parts: list[tuple[ReportRun, NDArray[np.intp]]]


def explorer_of_runs(runs: Sequence[ReportRun]) -> Explorer | None:
    """The explorer of a report of runs.

    The items are those that any run tracks, in the order in which they first occur; what is known of an item is what
    the first run that tracks it says.

    Args:
        runs: The runs of the report; validation examples of a run follow its training examples.

    Returns:
        The explorer; None of more items than :data:`MOST_ITEMS`.
    """
    ids = pd.Index(list(dict.fromkeys(str(own) for run in runs for own in run.trajectory.example_ids)), dtype=object)
    if len(ids) > MOST_ITEMS:
        return None
    entries = _entries(runs, ids)
    labels = tuple(dict.fromkeys(name for run in runs for name in run.trajectory.label_names))
    items, categories = Items(len(ids), labels), tuple(all_categories(runs))
    for run, places in (part for entry in entries for part in entry.parts):
        items.add(run.trajectory, run.analysis.examples, places)
    columns = items.columns(categories)
    kept, thinned = most_checkpoints([entry.parts[0][0].trajectory.steps for entry in entries], len(ids), len(labels))
    shown = [_run(entry, labels, len(ids), kept) for entry in entries]
    across, up = first_axes(columns, shown)
    return Explorer(
        example_ids=list(ids),
        items=columns,
        label_names=labels,
        label_counts=items.label_counts,
        gold=items.gold,
        categories=categories,
        runs=shown,
        x=across,
        y=up,
        notes=[*items.notes(), *thinned],
    )


def _entries(runs: Sequence[ReportRun], ids: pd.Index[Any]) -> list[_Entry]:
    entries: list[_Entry] = []
    for run in runs:
        part = (run, ids.get_indexer(pd.Index([str(own) for own in run.trajectory.example_ids], dtype=object)))
        if run.held_out:
            entries[-1].parts.append(part)
        else:
            entries.append(_Entry(run.name, [part]))
    return entries


class Items:
    """What is known of N items, gathered run by run: the first that tracks an item says what it is."""

    def __init__(self, n: int, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._seen, self._differ = np.zeros(n, bool), np.zeros(n, bool)
        self._counts, self._gold = np.full((n, len(labels)), np.nan), np.full(n, -1)
        self._tables: list[pd.DataFrame] = []
        self._measured: list[pd.DataFrame] = []
        self._text_columns: dict[str, None] = {}

    def add(self, trajectory: Trajectory, measured: pd.DataFrame, places: NDArray[np.intp]) -> None:
        """Take what a run, and the measures of its examples, say of the items at some places."""
        new = ~self._seen[places]
        self._tables.append(trajectory.examples[new])
        self._measured.append(measured[new])
        self._text_columns.update(dict.fromkeys(trajectory.text_columns))
        own = [self._labels.index(name) for name in trajectory.label_names]
        if trajectory.label_counts is not None:
            counts = np.zeros((len(places), len(self._labels)))
            counts[:, own] = trajectory.label_counts
            self._differ[places[~new]] |= (self._counts[places] != counts)[~new].any(axis=1)
            self._counts[places[new]] = counts[new]
        if trajectory.gold is not None and own:
            gold = np.array(own)[trajectory.gold]
            self._differ[places[~new]] |= (self._gold[places] != gold)[~new]
            self._gold[places[new]] = gold[new]
        self._seen[places] = True

    def columns(self, categories: tuple[str, ...]) -> list[Column]:
        """Facts of the items, and the measures that no training decides."""
        table = pd.concat(self._tables, ignore_index=True)
        own = measure_columns(pd.concat(self._measured, ignore_index=True), self._labels, "", of_items=True)
        return [*facts(table, self._text_columns, categories, {measure.name for measure in MEASURES}), *own]

    @property
    def label_counts(self) -> NDArray[np.float64] | None:
        """How many annotators chose each class, shape (N, K), NaN where unknown; None where no item has any."""
        return None if np.isnan(self._counts).all() else self._counts

    @property
    def gold(self) -> NDArray[np.int64] | None:
        """Class index, shape (N,), -1 where unknown; None where no item has any."""
        return None if (self._gold < 0).all() else self._gold

    def notes(self) -> list[str]:
        """How often runs contradict each other."""
        if not self._differ.any():
            return []
        n = counted(int(self._differ.sum()), "example")
        return [
            f"Runs differ in the gold label or the annotations of {n}: shown is what the first run that tracks it says."
        ]


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
        if measure.name in measured and of_items == _OF_ITEMS.issuperset(measure.needs):
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


def most_checkpoints(steps: Sequence[NDArray[np.int64]], n: int, k: int) -> tuple[int, list[str]]:
    """How many checkpoints of each run are shown, so that the page stays small; and what to say of it.

    Args:
        steps: Those of each run, shape (T,).
        n: Items.
        k: Classes.

    Returns:
        The number, and a sentence where it is less than some run has.
    """
    longest = max(map(len, steps))
    most = max(2, _MOST_NUMBERS // (max(1, n) * len(steps) * (len(CURVES) + k)))
    if longest <= most:
        return longest, []
    return most, [f"Curves show at most {most} checkpoints of each run, so that this page stays small."]


def _run(entry: _Entry, labels: tuple[str, ...], n: int, kept: int) -> ExplorerRun:
    trajectory = entry.parts[0][0].trajectory
    shown = np.unique(np.linspace(0, len(trajectory.steps) - 1, min(kept, len(trajectory.steps))).round().astype(int))
    measured = pd.concat([run.analysis.examples for run, _ in entry.parts], ignore_index=True)
    order = np.full(n, -1)
    order[np.concatenate([places for _, places in entry.parts])] = np.arange(len(measured))
    # A row without values stands for what the run does not track.
    aligned = measured.reindex(order)
    curves, probabilities = curves_of([(run.trajectory, places) for run, places in entry.parts], shown, labels, n)
    return ExplorerRun(
        name=entry.name,
        steps=trajectory.steps[shown],
        step_unit=trajectory.counted_in,
        columns=list(measure_columns(aligned, labels, trajectory.counted_in, of_items=False)),
        curves=[Curve(name, *CURVES[name], values, name == GOLD) for name, values in curves.items()],
        probabilities=probabilities,
    )


def curves_of(
    parts: Sequence[tuple[Trajectory, NDArray[np.intp]]], shown: NDArray[np.intp], labels: tuple[str, ...], n: int
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32] | None]:
    """The course of a run's examples over training.

    Args:
        parts: Its examples, and their places among the items.
        shown: The checkpoints that are shown.
        labels: Class names of all runs, length K.
        n: Items.

    Returns:
        What the run has of :data:`CURVES`, shape (T, N) each, and the probabilities, shape (T, N, K).
    """
    curves: dict[str, NDArray[np.float32]] = {}
    whole = np.full((len(shown), n, len(labels)), np.nan, np.float32)
    for trajectory, places in parts:
        own = [labels.index(name) for name in trajectory.label_names]
        for rows, found in _in_blocks(trajectory, shown):
            if (probabilities := found.pop("probabilities", None)) is not None:
                whole[:, places[rows][:, None], own] = probabilities
            for name, values in found.items():
                curve = curves.setdefault(name, np.full((len(shown), n), np.nan, np.float32))
                curve[:, places[rows]] = values
    return curves, None if np.isnan(whole).all() else whole


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
                found[GOLD] = found["probabilities"][:, np.arange(len(own[0])), gold[rows]]
            if counts is not None:
                found["kl"] = kl_divergence(own, distributions(counts[rows]))
        yield rows, found


def first_axes(items: Sequence[Column], runs: Sequence[ExplorerRun]) -> tuple[str, str]:
    """The columns that the map shows at first: those of dataset cartography where the runs have them."""
    columns = [*items, *(column for run in runs for column in run.columns)]
    numbers = list(dict.fromkeys(column.name for column in columns if column.kind in {"number", "integer"}))
    for pair in _AXES:
        if set(pair) <= set(numbers):
            return pair
    return (numbers[0], numbers[1]) if len(numbers) > 1 else ("", "")
