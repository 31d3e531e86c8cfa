"""Every statistic of one run, together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self, TypedDict, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.calibration import prediction_entropy
from contested.analysis.cartography import cartography, regions
from contested.analysis.checks import category_rows, finite_array
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
        unlearning=_changes(run, "loss", loss_change(run.losses), rng=for_unlearning, **resampling),
        people=_changes(run, "kl_human", run.kl[-1] - run.kl[0], rng=for_people, **resampling),
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


class _Measured(NamedTuple):
    """The run's arrays in the order of the example ids, so that no result hangs on the order given."""

    order: NDArray[np.intp]
    steps: NDArray[np.int64]
    losses: NDArray[np.float64]
    kl: NDArray[np.float64]
    cross_entropy: NDArray[np.float64]
    correct: NDArray[np.bool_]
    entropy: NDArray[np.float64]
    categories: NDArray[np.object_]
    names: tuple[str, ...]

    @classmethod
    def of(cls, trajectory: Trajectory) -> Self:
        order = np.argsort(np.asarray(trajectory.example_ids, dtype=str), kind="stable")
        logits = trajectory.logits[:, order]
        human = distributions(trajectory.label_counts[order])
        return cls(
            order=order,
            steps=np.asarray(trajectory.steps),
            losses=finite_array("losses", trajectory.losses[:, order], 2),
            kl=kl_human(logits, human),
            cross_entropy=soft_cross_entropy(logits, human),
            correct=correct(logits, trajectory.gold[order]),
            entropy=trajectory.entropy[order],
            categories=trajectory.categories[order],
            names=tuple(trajectory.category_names),
        )


def _too_short(trajectory: Trajectory) -> str:
    n_checkpoints, n_examples = trajectory.losses.shape
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
    summaries = {"aulc": aulc(run.losses), "aulc_trapezoid": aulc_trapezoid(run.losses, run.steps)}
    return Correlations(
        **{
            name: spearman(values, run.entropy, names=(name, "entropy"), rng=child, **resampling)
            for (name, values), child in zip(summaries.items(), rng.spawn(2), strict=True)
        }
    )


def _curves(run: _Measured, *, rng: np.random.Generator, **resampling: Unpack[_Resampling]) -> Curves:
    measured = {"loss": run.losses, "kl_human": run.kl, "soft_cross_entropy": run.cross_entropy}
    means = {
        name: mean_curves(values, run.categories, run.names, measure=name, rng=child, **resampling)
        for (name, values), child in zip(measured.items(), rng.spawn(3), strict=True)
    }
    accuracy = share_curves(
        run.correct, run.categories, run.names, measure="accuracy", confidence=resampling["confidence"]
    )
    return Curves(steps=run.steps, accuracy=accuracy, **means)


def _example_table(run: _Measured, trajectory: Trajectory) -> pd.DataFrame:
    labels = np.array(trajectory.label_names, dtype=object)
    change = loss_change(run.losses)
    gold = trajectory.gold[run.order]
    logits = trajectory.logits[:, run.order]
    map_of = cartography(logits, gold)
    sorted_rows = {
        "aulc": aulc(run.losses),
        "aulc_trapezoid": aulc_trapezoid(run.losses, run.steps),
        "loss_first": run.losses[0],
        "loss_last": run.losses[-1],
        "loss_change": change,
        "rose": change > 0,
        "kl_human_first": run.kl[0],
        "kl_human_last": run.kl[-1],
        "learning_time": learning_time(run.losses, run.steps, float(np.log(len(labels)))),
        "forgetting_events": forgetting_events(run.correct),
        "aum": aum(logits, gold),
        "confidence": map_of.confidence,
        "variability": map_of.variability,
        "correctness": map_of.correctness,
        "region": regions(map_of.confidence, map_of.variability),
        "prediction_entropy_last": prediction_entropy(logits[-1]),
    }
    given_order = np.argsort(run.order)
    return pd.DataFrame(
        {
            "example_id": trajectory.example_ids,
            "category": trajectory.categories,
            "entropy": trajectory.entropy,
            "gold": labels[trajectory.gold],
            **{name: values[given_order] for name, values in sorted_rows.items()},
            "prediction_last": labels[trajectory.logits[-1].argmax(axis=1)],
        }
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
