"""The explorer of a study: its groups side by side, each the mean of its runs over seeds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.study import StudyResults
from contested.analysis.study.examples import compared
from contested.beside import beside
from contested.report.explorer.payload import MOST_ITEMS, Explorer, ExplorerRun
from contested.report.explorer.tracked import Items, as_curves, curves_of, measure_columns, shown_checkpoints
from contested.trajectories import Trajectory
from contested.wording import counted

MOST_GROUPS = 12
"""Groups that menus of measures can still be read with."""
_MEAN = "Every number of a group is the mean of its runs over seeds."


def explorer_of_groups(results: StudyResults, trajectories: Mapping[str, Trajectory]) -> Explorer | None:
    """The explorer of a study's report.

    Args:
        results: The results of the study.
        trajectories: Its complete runs by run id.

    Returns:
        The explorer; None where no group has a complete run, or of more items than :data:`MOST_ITEMS`.
    """
    runs = _runs_of_groups(results)
    shown = dict(itertools.islice(runs.items(), MOST_GROUPS))
    firsts = [compared(trajectories[run_ids[0]]) for run_ids in shown.values()]
    items = Items(firsts)
    if not 0 < len(items.ids) <= MOST_ITEMS:
        return None
    measured = {str(name): rows.set_index("example_id") for name, rows in results.examples.groupby("group", sort=False)}
    for name, first in zip(shown, firsts, strict=True):
        items.add(first, measured[name].reindex([str(own) for own in first.example_ids]).reset_index(drop=True))
    checkpoints, thinned = shown_checkpoints([first.steps for first in firsts], items)

    def group(given: tuple[str, NDArray[np.intp]]) -> ExplorerRun:
        name, places = given
        own = [compared(trajectories[run_id]) for run_id in shown[name]]
        return _group(name, own, measured[name], items, places)

    with beside(group, list(zip(shown, checkpoints, strict=True))) as groups:
        found = groups()
    return items.explorer(found, [_MEAN, *_left_out(len(shown), len(runs)), *items.notes(), *thinned])


def _left_out(shown: int, known: int) -> list[str]:
    if shown == known:
        return []
    return [
        f"The explorer shows the first {shown} of {counted(known, 'group')}; a report of runs (contested report RUN "
        "RUN) shows any others."
    ]


def _runs_of_groups(results: StudyResults) -> dict[str, list[str]]:
    """The ids of the complete runs of each group whose examples the results have."""
    known = set(results.examples["group"]) if len(results.examples) else set()
    return {
        group: run_ids.split(",")
        for group, run_ids in results.frames["groups"][["group", "run_ids"]].itertuples(index=False)
        if group in known
    }


def _group(
    name: str, runs: Sequence[Trajectory], measured: pd.DataFrame, items: Items, shown: NDArray[np.intp]
) -> ExplorerRun:
    first = runs[0]
    aligned = measured.reindex(items.ids).reset_index(drop=True)
    columns = [*measure_columns(aligned, items.labels, first.counted_in, of_items=False, of_one=False)]
    if any(not np.array_equal(run.steps, first.steps) for run in runs):  # seeds that a mean over steps would mix
        return ExplorerRun(name, first.steps[shown], first.counted_in, columns)
    found = [curves_of([(run, items.places(run))], shown, items) for run in runs]
    shared = set.intersection(*(set(curves) for curves, _ in found))
    whole = [probabilities for _, probabilities in found if probabilities is not None]
    return ExplorerRun(
        name=name,
        steps=first.steps[shown],
        step_unit=first.counted_in,
        columns=columns,
        curves=as_curves({key: np.mean([curves[key] for curves, _ in found], axis=0) for key in shared}),
        probabilities=np.mean(whole, axis=0) if len(whole) == len(runs) else None,
    )
