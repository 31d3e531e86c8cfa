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
_GOLD = "gold_probability"
_CURVES = {
    "loss": ("loss", "nats", "Loss on the gold label."),
    _GOLD: ("gold probability", "", "Probability that the model gives the gold label."),
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
    items, categories = _Items(len(ids), labels), tuple(all_categories(runs))
    for run, places in (part for entry in entries for part in entry.parts):
        items.add(run, places)
    columns = items.columns(categories)
    kept, thinned = _kept(entries, len(ids), len(labels))
    shown = [_run(entry, labels, len(ids), kept) for entry in entries]
    across, up = _axes(columns, shown)
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


class _Items:
    """What is known of N items, gathered run by run: the first that tracks an item says what it is."""

    def __init__(self, n: int, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._seen, self._differ = np.zeros(n, bool), np.zeros(n, bool)
        self._counts, self._gold = np.full((n, len(labels)), np.nan), np.full(n, -1)
        self._tables: list[pd.DataFrame] = []
        self._measured: list[pd.DataFrame] = []
        self._text_columns: dict[str, None] = {}

    def add(self, run: ReportRun, places: NDArray[np.intp]) -> None:
        """Take what a run knows of the items at some places."""
        trajectory, new = run.trajectory, ~self._seen[places]
        self._tables.append(trajectory.examples[new])
        self._measured.append(run.analysis.examples[new])
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
        own = _measures(pd.concat(self._measured, ignore_index=True), self._labels, "", of_items=True)
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


def _measures(measured: pd.DataFrame, labels: tuple[str, ...], counted_in: str, *, of_items: bool) -> Iterator[Column]:
    """The declared measures among a table's columns: those that no training decides, or the others."""
    for measure in MEASURES:
        if measure.name in measured and of_items == _OF_ITEMS.issuperset(measure.needs):
            values = measured[measure.name]
            kind, unit = _kind(measure), f"{counted_in}s" if measure.unit == "steps" else measure.unit
            heading, unit = measure.of_one or measure.heading, "" if kind == "flag" else unit
            found = texts_or_none(values) if kind == "category" else values.to_numpy(np.float64)
            levels = {"region": REGIONS, "prediction_last": labels}.get(measure.name, ())
            yield Column(measure.name, heading, unit, measure.sentence, kind, found, levels)


def _kind(measure: Measure) -> Kind:
    if measure.summary == "none":
        return "category"
    if measure.summary == "share":
        return "flag"
    return "integer" if measure.unit in {"steps", "events"} else "number"


def _kept(entries: Sequence[_Entry], n: int, k: int) -> tuple[int, list[str]]:
    """How many checkpoints of each run are shown, so that the page stays small; and what to say of it."""
    longest = max(len(entry.parts[0][0].trajectory.steps) for entry in entries)
    most = max(2, _MOST_NUMBERS // (max(1, n) * len(entries) * (len(_CURVES) + k)))
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
    curves, probabilities = _curves(entry, shown, labels, n)
    return ExplorerRun(
        name=entry.name,
        steps=trajectory.steps[shown],
        step_unit=trajectory.counted_in,
        columns=list(_measures(aligned, labels, trajectory.counted_in, of_items=False)),
        curves=[Curve(name, *_CURVES[name], values, name == _GOLD) for name, values in curves.items()],
        probabilities=probabilities,
    )


def _curves(
    entry: _Entry, shown: NDArray[np.intp], labels: tuple[str, ...], n: int
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32] | None]:
    """What a run has of the curves, shape (T, N) each, and the probabilities, shape (T, N, K)."""
    curves: dict[str, NDArray[np.float32]] = {}
    whole = np.full((len(shown), n, len(labels)), np.nan, np.float32)
    for run, places in entry.parts:
        own = [labels.index(name) for name in run.trajectory.label_names]
        for rows, found in _in_blocks(run.trajectory, shown):
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
                found[_GOLD] = found["probabilities"][:, np.arange(len(own[0])), gold[rows]]
            if counts is not None:
                found["kl"] = kl_divergence(own, distributions(counts[rows]))
        yield rows, found


def _axes(items: Sequence[Column], runs: Sequence[ExplorerRun]) -> tuple[str, str]:
    """The columns that the map shows at first: those of dataset cartography where the runs have them."""
    columns = [*items, *(column for run in runs for column in run.columns)]
    numbers = list(dict.fromkeys(column.name for column in columns if column.kind in {"number", "integer"}))
    for pair in _AXES:
        if set(pair) <= set(numbers):
            return pair
    return (numbers[0], numbers[1]) if len(numbers) > 1 else ("", "")
