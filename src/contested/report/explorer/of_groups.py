"""The explorer of a study: its groups side by side, each the mean of its runs over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.study import StudyResults
from contested.report.explorer.of_runs import (
    CURVES,
    GOLD,
    MOST_ITEMS,
    Items,
    curves_of,
    first_axes,
    measure_columns,
    most_checkpoints,
)
from contested.report.explorer.payload import Curve, Explorer, ExplorerRun
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
    runs = _runs_of_groups(results, trajectories)
    shown = dict([*runs.items()][:MOST_GROUPS])
    firsts = [own[0] for own in shown.values()]
    ids = pd.Index(list(dict.fromkeys(str(name) for first in firsts for name in first.example_ids)), dtype=object)
    if not 0 < len(ids) <= MOST_ITEMS:
        return None
    labels = tuple(dict.fromkeys(name for first in firsts for name in first.label_names))
    items, measured = Items(len(ids), labels), dict([*results.examples.groupby("group", sort=False)])
    for name, first in zip(shown, firsts, strict=True):
        own = measured[name].set_index("example_id").reindex([str(one) for one in first.example_ids])
        items.add(first, own.reset_index(drop=True), _places(ids, first))
    categories = tuple(dict.fromkeys(name for first in firsts for name in first.category_names))
    columns = items.columns(categories)
    kept, thinned = most_checkpoints([first.steps for first in firsts], len(ids), len(labels))
    groups = [_group(name, own, measured[name], ids, labels, kept) for name, own in shown.items()]
    across, up = first_axes(columns, groups)
    return Explorer(
        example_ids=list(ids),
        items=columns,
        label_names=labels,
        label_counts=items.label_counts,
        gold=items.gold,
        categories=categories,
        runs=groups,
        x=across,
        y=up,
        notes=[_MEAN, *_left_out(len(shown), len(runs)), *items.notes(), *thinned],
    )


def _left_out(shown: int, known: int) -> list[str]:
    if shown == known:
        return []
    return [
        f"The explorer shows the first {shown} of {counted(known, 'group')}; a report of runs (contested report RUN "
        "RUN) shows any others."
    ]


def _runs_of_groups(results: StudyResults, trajectories: Mapping[str, Trajectory]) -> dict[str, list[Trajectory]]:
    """The complete runs of each group whose examples the results have."""
    known = set(results.examples["group"]) if len(results.examples) else set()
    return {
        group: [trajectories[run_id] for run_id in run_ids.split(",")]
        for group, run_ids in results.frames["groups"][["group", "run_ids"]].itertuples(index=False)
        if group in known
    }


def _places(ids: pd.Index[str], trajectory: Trajectory) -> NDArray[np.intp]:
    return ids.get_indexer(pd.Index([str(own) for own in trajectory.example_ids], dtype=object))


def _group(
    name: str,
    runs: Sequence[Trajectory],
    measured: pd.DataFrame,
    ids: pd.Index[str],
    labels: tuple[str, ...],
    kept: int,
) -> ExplorerRun:
    first = runs[0]
    places = np.unique(np.linspace(0, len(first.steps) - 1, min(kept, len(first.steps))).round().astype(int))
    aligned = measured.set_index("example_id").reindex(ids).reset_index(drop=True)
    columns = [*measure_columns(aligned, labels, first.counted_in, of_items=False, of_one=False)]
    if any(not np.array_equal(run.steps, first.steps) for run in runs):  # seeds that a mean over steps would mix
        return ExplorerRun(name, first.steps[places], first.counted_in, columns)
    found = [curves_of([(run, _places(ids, run))], places, labels, len(ids)) for run in runs]
    shared = [key for key in CURVES if all(key in curves for curves, _ in found)]
    means = {key: np.mean([curves[key] for curves, _ in found], axis=0) for key in shared}
    whole = [probabilities for _, probabilities in found if probabilities is not None]
    return ExplorerRun(
        name=name,
        steps=first.steps[places],
        step_unit=first.counted_in,
        columns=columns,
        curves=[Curve(key, *CURVES[key], values, key == GOLD) for key, values in means.items()],
        probabilities=np.mean(whole, axis=0) if len(whole) == len(runs) else None,
    )
