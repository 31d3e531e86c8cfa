"""Every statistic of one run, together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.blocks import blocks
from contested.analysis.calibration import prediction_entropy
from contested.analysis.cartography import cartography, regions
from contested.analysis.checks import category_rows, finite_checkpoints
from contested.analysis.correlation import Correlations, spearman
from contested.analysis.curves import Curves, correct, mean_curves, share_curves
from contested.analysis.dynamics import (
    aulc,
    aulc_trapezoid,
    aum,
    forgetting_events,
    learning_time,
    loss_change,
)
from contested.analysis.people import kl_human, soft_cross_entropy
from contested.analysis.results import Analysis, CategorySize
from contested.analysis.unlearning import Changes, change_by_category
from contested.annotations.measures import distributions
from contested.errors import RunError

if TYPE_CHECKING:
    from contested.trajectories import Trajectory


def analyze(
    trajectory: Trajectory,
    *,
    rng: np.random.Generator | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Analysis:
    """Compute every statistic of one run, up to its last recorded checkpoint.

    The result does not depend on the order of the examples. Each statistic draws from its own child of
    ``rng``, so that one does not move another.

    Args:
        trajectory: The run; one that is unfinished is analysed as far as it came, and ``notes`` says so.
        rng: Source of all resamples; None means ``numpy.random.default_rng(0)``, so that the same run
            gives the same numbers.
        n_resamples: Bootstrap resamples R of each interval.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        The statistics of the run.

    Raises:
        RunError: If the run has fewer than two checkpoints or no examples.
    """
    if problem := _too_short(trajectory):
        raise RunError(problem)
    run = _Measured.of(trajectory)
    parent = rng if rng is not None else np.random.default_rng(0)
    # A statistic added later takes a later child and leaves the numbers of these as they are.
    for_unlearning, for_correlation, for_people, for_curves = parent.spawn(4)
    resampling: _Resampling = {"n_resamples": n_resamples, "confidence": confidence}
    return Analysis(
        run_id=trajectory.run_id,
        status=trajectory.status,
        n_examples=len(run.order),
        n_classes=len(trajectory.label_names),
        n_checkpoints=len(run.steps),
        steps=run.steps,
        epochs=np.asarray(trajectory.epochs),
        categories=_category_sizes(run),
        unlearning=_changes(run, "loss", run.column("loss_change"), rng=for_unlearning, **resampling),
        people=_changes(run, "kl_human", run.kl_change, rng=for_people, **resampling),
        correlation=_correlations(run, rng=for_correlation, **resampling),
        curves=_curves(run, rng=for_curves, **resampling),
        examples=_example_table(run, trajectory),
        confidence=confidence,
        n_resamples=n_resamples,
        notes=_notes(trajectory),
    )


class _Resampling(TypedDict):
    n_resamples: int
    confidence: float


# Of the table of examples, in its order.
_COLUMNS = (
    *("aulc", "aulc_trapezoid", "loss_first", "loss_last", "loss_change", "rose", "kl_human_first", "kl_human_last"),
    *("learning_time", "forgetting_events", "aum", "confidence", "variability", "correctness", "region"),
    "prediction_entropy_last",
)
_CURVE = 20_000_000  # values of a measure over examples and checkpoints at once: 160 MB


@dataclass(frozen=True, eq=False)
class _Measured:
    """The run in the order of the example ids, so that no result hangs on the order given.

    Every number of an example is its own: examples are measured in blocks, and what has a value for each checkpoint
    is made for one category and some checkpoints at a time, for beside a million examples little else fits into
    memory. Only ``columns`` are in the run's own order, that of the table which they become.
    """

    trajectory: Trajectory
    order: NDArray[np.intp]
    steps: NDArray[np.int64]
    human: NDArray[np.float64]
    columns: dict[str, NDArray[Any]]
    correct: NDArray[np.bool_]
    entropy: NDArray[np.float64]
    categories: NDArray[np.object_]
    names: tuple[str, ...]

    @classmethod
    def of(cls, trajectory: Trajectory) -> Self:
        order = np.argsort(np.asarray(trajectory.example_ids, dtype=str), kind="stable")
        finite_checkpoints("losses", trajectory.required("losses"))
        finite_checkpoints("logits", trajectory.required("logits"))
        human = distributions(trajectory.required("label_counts")[order])
        columns: dict[str, NDArray[Any]] = {}
        right = np.empty(trajectory.required("losses").shape, bool)
        for rows in _blocks(trajectory, len(order)):
            block, right[:, rows] = _columns(trajectory, order[rows], human[rows])
            for name, values in block.items():
                if name not in columns:
                    columns[name] = np.empty(len(order), values.dtype)
                columns[name][order[rows]] = values
        columns["region"] = regions(columns["confidence"], columns["variability"])
        return cls(
            trajectory=trajectory,
            order=order,
            steps=np.asarray(trajectory.steps),
            human=human,
            columns=columns,
            correct=right,
            entropy=trajectory.required("entropy")[order],
            categories=trajectory.required("categories")[order],
            names=tuple(trajectory.category_names),
        )

    def column(self, name: str) -> NDArray[np.float64]:
        """One number of each example, shape (N,)."""
        return np.asarray(self.columns[name][self.order], np.float64)

    @property
    def kl_change(self) -> NDArray[np.float64]:
        """Change of KL(human ‖ model), shape (N,)."""
        return self.column("kl_human_last") - self.column("kl_human_first")

    def over_steps(self, measure: str, rows: NDArray[np.intp]) -> Iterator[NDArray[np.float64]]:
        """A measure of n examples, some checkpoints after the other: arrays of shape (t, n)."""
        for checkpoints in blocks(len(self.steps), len(rows), _CURVE):
            yield self._at(measure, rows, checkpoints)

    def _at(self, measure: str, rows: NDArray[np.intp], checkpoints: slice) -> NDArray[np.float64]:
        """A measure of n examples at t checkpoints, shape (t, n); example by example in memory."""
        given = self.order[rows]
        if measure == "loss":
            return self.trajectory.required("losses")[checkpoints, given]
        distance = {"kl_human": kl_human, "soft_cross_entropy": soft_cross_entropy}[measure]
        values = np.empty((len(rows), checkpoints.stop - checkpoints.start))
        for block in _blocks(self.trajectory, len(rows)):
            values[block] = distance(
                self.trajectory.required("logits")[checkpoints, given[block]], self.human[rows[block]]
            ).T
        return values.T


def _blocks(trajectory: Trajectory, n: int) -> Iterator[slice]:
    """Places among n examples, so many at a time that their logits are few."""
    n_checkpoints, _, n_classes = trajectory.required("logits").shape
    return blocks(n, n_checkpoints * n_classes)


def _columns(
    trajectory: Trajectory, rows: NDArray[np.intp], human: NDArray[np.float64]
) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
    """The summaries of some examples, and whether each checkpoint got them right."""
    losses, logits = trajectory.required("losses")[:, rows], trajectory.required("logits")[:, rows]
    gold = trajectory.required("gold")[rows]
    right = correct(logits, gold)
    change = loss_change(losses)
    ends = kl_human(logits[[0, -1]], human)
    map_of = cartography(logits, gold)
    columns: dict[str, NDArray[Any]] = {
        "aulc": aulc(losses),
        "aulc_trapezoid": aulc_trapezoid(losses, trajectory.steps),
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "loss_change": change,
        "rose": change > 0,
        "kl_human_first": ends[0],
        "kl_human_last": ends[1],
        "learning_time": learning_time(losses, trajectory.steps, float(np.log(len(trajectory.label_names)))),
        "forgetting_events": forgetting_events(right),
        "aum": aum(logits, gold),
        "confidence": map_of.confidence,
        "variability": map_of.variability,
        "correctness": map_of.correctness,
        "prediction_entropy_last": prediction_entropy(logits[-1]),
    }
    return columns, right


def _too_short(trajectory: Trajectory) -> str:
    n_checkpoints, n_examples = trajectory.required("losses").shape
    if n_checkpoints >= 2 and n_examples >= 1:
        return ""
    return (
        f"The run {trajectory.run_id} has {n_checkpoints} checkpoint(s) of {n_examples} tracked example(s) "
        f"(status {trajectory.status}); an analysis needs at least 2 checkpoints and 1 example. "
        "Wait until the run is further on, or track more often."
    )


def _category_sizes(run: _Measured) -> tuple[CategorySize, ...]:
    total = len(run.order)
    return tuple(
        CategorySize(name, len(rows), len(rows) / total, run.entropy[rows].mean() if len(rows) else np.nan)
        for name, rows in category_rows(run.categories, run.names).items()
    )


def _changes(
    run: _Measured,
    measure: str,
    change: NDArray[np.float64],
    *,
    rng: np.random.Generator,
    **resampling: Unpack[_Resampling],
) -> Changes:
    return change_by_category(change, run.categories, run.names, measure=measure, rng=rng, **resampling)


def _correlations(run: _Measured, *, rng: np.random.Generator, **resampling: Unpack[_Resampling]) -> Correlations:
    return Correlations(
        **{
            name: spearman(run.column(name), run.entropy, names=(name, "entropy"), rng=child, **resampling)
            for name, child in zip(("aulc", "aulc_trapezoid"), rng.spawn(2), strict=True)
        }
    )


def _curves(run: _Measured, *, rng: np.random.Generator, **resampling: Unpack[_Resampling]) -> Curves:
    means = {
        name: mean_curves(
            partial(run.over_steps, name), run.categories, run.names, measure=name, rng=child, **resampling
        )
        for name, child in zip(("loss", "kl_human", "soft_cross_entropy"), rng.spawn(3), strict=True)
    }
    accuracy = share_curves(
        run.correct, run.categories, run.names, measure="accuracy", confidence=resampling["confidence"]
    )
    return Curves(steps=run.steps, accuracy=accuracy, **means)


def _example_table(run: _Measured, trajectory: Trajectory) -> pd.DataFrame:
    labels = np.array(trajectory.label_names, dtype=object)
    return pd.DataFrame(
        {
            "example_id": trajectory.example_ids,
            "category": trajectory.categories,
            "entropy": trajectory.required("entropy").copy(),
            "gold": labels[trajectory.required("gold")],
            **{name: run.columns[name] for name in _COLUMNS},
            "prediction_last": labels[trajectory.required("logits")[-1].argmax(axis=1)],
        },
        copy=False,
    )


def _notes(trajectory: Trajectory) -> tuple[str, ...]:
    notes = []
    first, last = int(trajectory.steps[0]), int(trajectory.steps[-1])
    if trajectory.status != "complete":
        notes.append(
            f"The run is not complete (status: {trajectory.status}): the numbers cover its "
            f"{len(trajectory.steps)} recorded checkpoints, up to step {last:,}."
        )
    if first > 0:
        notes.append(f"The first checkpoint is at step {first}, not 0: changes leave out what happened before it.")
    return tuple(notes)
