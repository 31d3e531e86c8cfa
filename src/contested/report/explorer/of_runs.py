"""The explorer of runs: their examples side by side, with every measure and its course over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.report.explorer.payload import MOST_ITEMS, Explorer, ExplorerRun
from contested.report.explorer.tracked import Items, as_curves, curves_of, measure_columns, shown_checkpoints
from contested.report.runs import ReportRun
from contested.trajectories import Trajectory


class _Entry(NamedTuple):
    """One run as the explorer shows it: its examples of either split, and their places among all items."""

    name: str
    parts: list[tuple[ReportRun, NDArray[np.intp]]]

    @property
    def trajectory(self) -> Trajectory:
        """The run, of the examples of one split."""
        return self.parts[0][0].trajectory


def explorer_of_runs(runs: Sequence[ReportRun]) -> Explorer | None:
    """The explorer of a report of runs.

    The items are those that any run tracks, in the order in which they first occur; what is known of an item is what
    the first run that knows it says.

    Args:
        runs: The runs of the report; validation examples of a run follow its training examples.

    Returns:
        The explorer; None of more items than :data:`MOST_ITEMS`.
    """
    items = Items([run.trajectory for run in runs])
    if len(items.ids) > MOST_ITEMS:
        return None
    entries = _entries(runs, items)
    shown, thinned = shown_checkpoints([entry.trajectory.steps for entry in entries], items)
    found = [_run(entry, items, own) for entry, own in zip(entries, shown, strict=True)]
    return items.explorer(found, [*items.notes(), *thinned])


def _entries(runs: Sequence[ReportRun], items: Items) -> list[_Entry]:
    entries: list[_Entry] = []
    for run in runs:
        part = (run, items.add(run.trajectory, run.analysis.examples))
        if run.held_out:
            entries[-1].parts.append(part)
        else:
            entries.append(_Entry(run.name, [part]))
    return entries


def _run(entry: _Entry, items: Items, shown: NDArray[np.intp]) -> ExplorerRun:
    trajectory = entry.trajectory
    measured = pd.concat([run.analysis.examples.set_axis(places) for run, places in entry.parts])
    # A row without values stands for what the run does not track.
    aligned = measured.reindex(range(len(items.ids)))
    curves, probabilities = curves_of([(run.trajectory, places) for run, places in entry.parts], shown, items)
    return ExplorerRun(
        name=entry.name,
        steps=trajectory.steps[shown],
        step_unit=trajectory.counted_in,
        columns=list(measure_columns(aligned, items.labels, trajectory.counted_in, of_items=False)),
        curves=as_curves(curves),
        probabilities=probabilities,
    )
