"""The alert by category: which examples of a run are watched, what shares a chance of error, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from contested.analysis.alert import MIN_CLUSTERS, Alert, Spending, alert
from contested.analysis.checks import OVERALL, category_rows, same_length
from contested.analysis.clusters import cluster_codes, example_clusters
from contested.analysis.sentences import examples_of
from contested.errors import DataError, RunError
from contested.formats import number, percent
from contested.wording import counted

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

LEVEL = 0.05
"""Probability of a false alarm in any category over a whole run, where nobody says otherwise."""

MARGIN = 0.02
"""A rise up to this (nats) is none: a warm-up shifts the classes by as much, seen in every example alike."""

_VALIDATION = "validation"
amount = number(".2f")
"""How nats are told."""


class Watched(NamedTuple):
    """What of a run is watched.

    Attributes:
        groups: Which examples each alert is about, by its name: masks of shape ``(N,)``.
        clusters: What the examples share, shape ``(N,)``; None where each stands for itself.
    """

    groups: dict[str, NDArray[np.bool_]]
    clusters: NDArray[Any] | None


def alerts(
    losses: ArrayLike,
    steps: ArrayLike,
    planned_steps: int,
    *,
    groups: Mapping[str, NDArray[np.bool_]],
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    margin: float = MARGIN,
    level: float = LEVEL,
    spending: Spending = "linear",
    seed: int = 0,
) -> dict[str, Alert]:
    """Test each group as :func:`~contested.analysis.alert.alert` does, with one error rate for all of them together.

    The level is shared equally (Bonferroni) by the groups that have enough independent examples to be tested; which
    those are is known at the start of a run, so that answers during a run and after it are the same.

    Args:
        losses: Shape ``(T, N)``, the first checkpoint being the start.
        steps: Steps of the checkpoints, rising, shape ``(T,)``.
        planned_steps: The step at which the run is to end.
        groups: Which examples each alert is about, by its name: masks of shape ``(N,)``.
        clusters: What examples share, such as their premise, shape ``(N,)``; by default each stands for itself.
        margin: A rise up to this is none (nats).
        level: Probability of a false alarm in any group over the whole run.
        spending: How the level is spent along the steps.
        seed: Seed of the paths.

    Returns:
        An alert for each group, in the same order.

    Raises:
        DataError: If a mask or the clusters do not fit the losses.
    """
    values = np.asarray(losses, dtype=np.float64)
    if values.ndim != 2:
        raise DataError(f"losses: given an array of shape {values.shape}, expected (T, N).")
    same_length(losses=values.shape[1], **{f"group {name}": len(mask) for name, mask in groups.items()})
    if clusters is not None:
        same_length(losses=values.shape[1], clusters=len(clusters))
    every = cluster_codes(clusters, values.shape[1])
    masks = {name: np.asarray(mask, dtype=bool) for name, mask in groups.items()}
    tested = sum(len(np.unique(every[mask])) >= MIN_CLUSTERS for mask in masks.values())
    shared = max(tested, 1)
    return {
        name: alert(
            values[:, mask],
            steps,
            planned_steps,
            clusters=None if clusters is None else every[mask],
            margin=margin,
            level=level / shared,
            spending=spending,
            seed=seed,
        )._replace(shared_by=shared)
        for name, mask in masks.items()
    }


def run_alerts(
    trajectory: Trajectory, *, level: float | None = None, margin: float | None = None, clusters: str | None = None
) -> dict[str, Alert]:
    """The alerts of a recorded run: what they said while it ran, or would have said.

    Args:
        trajectory: The run, complete or not.
        level: Probability of a false alarm in any category over the whole run; what the run was watched with without
            it, else 0.05.
        margin: A rise up to this is none (nats); likewise, else 0.02.
        clusters: The column of the examples that says which belong together; likewise, else those that share a text.

    Returns:
        An alert for each category, for validation examples and others apart where the run has both; for all examples
        (``"overall"``) where it has no categories.

    Raises:
        RunError: If the run has no losses, or is not complete and does not say how many steps are planned.
    """
    losses = trajectory.required("losses")
    planned = planned_steps(trajectory)
    if planned is None:
        raise RunError(
            f"The run {trajectory.run_id} is not complete (status: {trajectory.status}) and its manifest does not say "
            "how many steps are planned (planned_steps), so that its share of them is unknown. Wait for its end."
        )
    known = watched_with(trajectory)
    columns, texts = trajectory.examples, trajectory.text_columns
    groups, shared = watched(columns, trajectory.category_names, texts, clusters=clusters or known.clusters)
    return alerts(
        losses,
        trajectory.steps,
        planned,
        groups=groups,
        clusters=shared,
        margin=known.margin if margin is None else margin,
        level=known.level if level is None else level,
    )


class WatchedWith(NamedTuple):
    """What decides the alarms of a run: level, margin (nats) and the column of clusters."""

    level: float
    margin: float
    clusters: str | None


def watched_with(trajectory: Trajectory) -> WatchedWith:
    """What a run was watched with while it was recorded; what is usual where nothing is known of that."""
    said = trajectory.manifest.get("alert") or {}
    clusters = said.get("clusters")
    # Saved elsewhere, a run may have lost the column.
    known = clusters if clusters in trajectory.examples else None
    return WatchedWith(said.get("level") or LEVEL, said.get("margin", MARGIN), known)


def planned_steps(trajectory: Trajectory) -> int | None:
    """The step at which a run is to end; that at which it did where it does not say; None where neither is known."""
    planned, last = trajectory.manifest.get("planned_steps"), int(trajectory.steps[-1])
    if planned is not None:
        return int(planned)
    # A single checkpoint at the start has no step to be the last.
    return last if trajectory.status == "complete" and len(trajectory.steps) > 1 else None


def ended_by_alert(trajectory: Trajectory) -> str:
    """Where an alarm ended a run, such as "at step 4 of 40"; "" where none did."""
    if trajectory.manifest.get("ended_by") != "alert":
        return ""
    last, planned = int(trajectory.steps[-1]), planned_steps(trajectory)
    return f"at {trajectory.counted_in} {last:,}" + (f" of {planned:,}" if planned not in {None, last} else "")


def watched(
    examples: pd.DataFrame, category_names: Sequence[str], text_columns: Sequence[str], *, clusters: str | None = None
) -> Watched:
    """Which examples of a run are watched together, and which belong to one cluster.

    Args:
        examples: The tracked examples, as the run folder has them: category, split, texts and covariates.
        category_names: The categories in order of rising entropy; all examples are one group without any.
        text_columns: Which columns hold texts.
        clusters: The column that says which examples belong together; those that share a text without it.

    Returns:
        Groups by name (``contested``, or ``contested (validation)`` where validation examples are among others), and
        the clusters.

    Raises:
        DataError: If there is no such column.
    """
    shared = example_clusters(examples, text_columns, clusters)
    n = len(examples)
    rows = category_rows(examples["category"].to_numpy(object) if category_names else [""] * n, category_names)
    validation = (examples["split"] == _VALIDATION).to_numpy() if "split" in examples else np.zeros(n, dtype=bool)
    groups = {name: np.isin(np.arange(n), rows[name]) for name in category_names or (OVERALL,)}
    if validation.any() and not validation.all():
        groups = {name: mask & ~validation for name, mask in groups.items()} | {
            f"{name} ({_VALIDATION})": mask & validation for name, mask in groups.items()
        }
    return Watched(groups, shared)


def alert_settings(
    found: Watched, text_columns: Sequence[str], *, level: float | None, margin: float, clusters: str | None
) -> dict[str, Any]:
    """What decides the alarms of a run, for its manifest.

    Args:
        found: What is watched.
        text_columns: Which columns hold texts.
        level: Probability of a false alarm in any category over the whole run; None where nothing is asked.
        margin: A rise up to this is none (nats).
        clusters: The column that says which examples belong together, or None.

    Returns:
        These settings, the text columns by which examples were found to belong together (``shared_texts``; none where
        a column says it or no two share a text), and how many clusters there are.
    """
    own = next(iter(found.groups.values())).size
    return {
        "level": level,
        "margin": margin,
        "clusters": clusters,
        "shared_texts": [] if clusters is not None or found.clusters is None else list(text_columns),
        "n_clusters": len(np.unique(cluster_codes(found.clusters, own))),
    }


def alert_sentence(name: str, found: Alert, *, unit: str = "step", planned: int) -> str:
    """Say in plain words what the looks at a group found.

    Args:
        name: The group's name, as :func:`watched` gives it.
        found: Its alert.
        unit: What steps count.
        planned: The step at which the run is to end.

    Returns:
        One sentence or two: whether the mean loss rose above its start, from which step, by how much, on how many
        examples, and how often such a sentence is false; also where it lies below its start again.
    """
    examples = group_examples(name)
    if found.note and not np.isfinite(found.statistic).any():
        return f"The loss of {examples} is not watched: {found.note}."
    if not len(found.steps):
        return f"The loss of {examples} is watched from the second checkpoint on."
    size = counted(found.n, "example")
    size += "" if found.n == found.n_clusters else f" in {counted(found.n_clusters, 'cluster')}"
    told = _none_found(examples, found) if found.first is None else _rise(examples, found, unit)
    return f"{told}. {size}; {_rate(found, unit, planned)}."


def rise_sentence(name: str, found: Alert, *, unit: str = "step") -> str:
    """How far the mean loss of a group that raised an alarm rose, and where it lies in the end, in one sentence."""
    return f"{_rise(group_examples(name), found, unit)}."


def group_examples(name: str) -> str:
    """What the examples of a group are called.

    >>> group_examples("clean"), group_examples("overall (validation)")
    ('clean examples', 'all examples of the validation set')
    """
    category, split, _ = name.partition(f" ({_VALIDATION})")
    words = "all examples" if category == OVERALL else examples_of(category)
    return f"{words} of the validation set" if split else words


def _none_found(examples: str, found: Alert) -> str:
    return f"At none of {counted(len(found.steps), 'look')} was mean loss of {examples} found above its start"


def _rise(examples: str, found: Alert, unit: str) -> str:
    first, last = int(np.flatnonzero(found.steps == found.first)[0]), len(found.steps) - 1
    highest = first + int(np.nanargmax(found.estimate[first:]))
    at = [f"{unit} {step:,}" for step in found.steps.tolist()]
    amounts = [amount(abs(value)) for value in found.estimate.tolist()]
    told = f"Mean loss of {examples} rose above its start: at {at[first]} by {amounts[first]} nats"
    told += f" (at least {amount(found.low[first])})"
    if highest > first:
        told += f", at its highest by {amounts[highest]} at {at[highest]}"
    below = bool(found.estimate[last] < 0)
    if last > highest:
        told += f"; at {at[last]} it lies {amounts[last]} {'below it again' if below else 'above it'}"
    return told


def _rate(found: Alert, unit: str, planned: int) -> str:
    whole = f"an alarm is false in at most {percent(found.level * found.shared_by)} of runs of {counted(planned, unit)}"
    return whole + (f", {counted(found.shared_by, 'group')} together" if found.shared_by > 1 else "")
