"""Every statistic of one run, together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from contested.analysis.absent import absent
from contested.analysis.block import Source
from contested.analysis.blocks import blocks
from contested.analysis.by_category import measures_by_category
from contested.analysis.cartography import overlap
from contested.analysis.checks import OVERALL, category_rows
from contested.analysis.clusters import run_clusters
from contested.analysis.correlation import Correlation, Correlations, spearman
from contested.analysis.curves import Curve, Curves, mean_curves, share_curves
from contested.analysis.decomposition import decomposition
from contested.analysis.divergence import kl_divergence, soft_cross_entropy
from contested.analysis.few_annotators import FewAnnotators, few_annotators
from contested.analysis.first_loss import lines_of_run
from contested.analysis.intervals import keyed
from contested.analysis.measures import measure_columns, measures_of
from contested.analysis.notes import clusters_note, run_notes, split_note
from contested.analysis.ranking import codes, mean_ranks
from contested.analysis.results import Analysis, CategorySize
from contested.analysis.run_examples import measure_of_run
from contested.analysis.splits import split_contrasts
from contested.analysis.unlearning import Changes, change_by_category
from contested.analysis.watch_run import watch_run
from contested.beside import at_once
from contested.errors import RunError
from contested.wording import counted, joined

if TYPE_CHECKING:
    from contested.trajectories import Trajectory


def analyze(
    trajectory: Trajectory,
    *,
    clusters: str | None = None,
    rng: np.random.Generator | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Analysis:
    """Compute every statistic that a run's data allow, up to its last recorded checkpoint.

    The result does not depend on the order of the examples. Each statistic draws from its own child of
    ``rng``, so that one does not move another.

    Args:
        trajectory: The run; one that is incomplete is analysed as far as it came, and ``notes`` says so.
        clusters: The column of the examples that says which belong together, so that intervals are over clusters of
            them, or ``"none"``; without it those that share a text, such as a premise.
        rng: Source of all resamples; None means ``numpy.random.default_rng(0)``, so that the same run
            gives the same numbers.
        n_resamples: Bootstrap resamples R of each interval.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        The statistics of the run; what its data do not allow is None or left out, and ``absent`` says why. Of a run
        that tracks validation examples beside others they are of these others; ``validation`` has the same of the
        validation examples, and ``splits`` what sets the two apart.

    Raises:
        RunError: If the run has no checkpoint or no example.
        DataError: If a loss or a logit is not finite, or there is no such column.
    """
    if problem := _empty(trajectory):
        raise RunError(problem)
    if len(trajectory.splits) > 1:
        return _both_splits(trajectory, clusters=clusters, rng=rng, n_resamples=n_resamples, confidence=confidence)
    run = _Measured(trajectory, clusters)
    generator = rng if rng is not None else np.random.default_rng(0)
    drawn = _drawn(run, generator, n_resamples=n_resamples, confidence=confidence)
    return Analysis(
        run_id=trajectory.run_id,
        status=trajectory.status,
        n_examples=len(run.source),
        n_classes=len(trajectory.label_names),
        n_checkpoints=len(run.source.steps),
        steps=run.source.steps,
        step_unit=trajectory.counted_in,
        epochs=None if np.isnan(trajectory.epochs).all() else np.asarray(trajectory.epochs),
        categories=_category_sizes(run),
        first_loss=lines_of_run(run.columns, run.source.order, run.categories, run.names, run.clusters, confidence),
        regions=_regions(run),
        examples=_example_table(run, trajectory),
        clusters=run.shared.name,
        n_clusters=run.shared.n,
        confidence=confidence,
        n_resamples=n_resamples,
        notes=(*run_notes(trajectory), *measure_of_run(trajectory), *clusters_note(run.shared)),
        absent=absent(trajectory, run.source.examples),
        **drawn,
    )


def _drawn(run: _Measured, rng: np.random.Generator, **resampling: Unpack[_Resampling]) -> dict[str, Any]:
    """What takes resamples, and so most of the time, by the name that it has in the analysis."""
    # A statistic added later takes a keyed child (intervals.keyed) and leaves the numbers of these as they are.
    for_unlearning, for_correlation, for_kl, for_curves = rng.spawn(4)
    unlearning = _changes(run, "loss", "loss_change", rng=for_unlearning, **resampling)
    kl = _changes(run, "kl", "kl_change", rng=for_kl, **resampling)
    # Each has its own children of the generator, so that none moves the numbers of another.
    names = ("correlation", "decomposition", "curves", "annotators", "measures", "alert")
    found = at_once(
        lambda: _correlations(run, rng=for_correlation, **resampling),
        lambda: decomposition(
            run.source, run.columns, run.categories, run.names, clusters=run.clusters, rng=rng, **resampling
        ),
        lambda: _curves(run, rng=for_curves, **resampling),
        lambda: _few_annotators(run, rng=rng),
        lambda: _measures(run, {"loss_change": unlearning, "kl_change": kl}, rng=rng, **resampling),
        lambda: watch_run(run.source.trajectory),
    )
    return {"unlearning": unlearning, "kl": kl, **dict(zip(names, found, strict=True))}


def _both_splits(
    trajectory: Trajectory,
    *,
    clusters: str | None,
    rng: np.random.Generator | None,
    **resampling: Unpack[_Resampling],
) -> Analysis:
    parent = rng if rng is not None else np.random.default_rng(0)
    trained, apart = (
        analyze(trajectory.of_split(split), clusters=clusters, rng=parent, **resampling)
        for split in ("train", "validation")
    )
    names = tuple(size.category for size in trained.categories if size.category != OVERALL)
    shared = run_clusters(trajectory, clusters).codes
    held_out = (trajectory.examples["split"] == "validation").to_numpy()
    codes = None if shared is None else (shared[~held_out], shared[held_out])
    contrasts = split_contrasts(
        trained.examples, apart.examples, names, clusters=codes, rng=keyed(parent, "splits"), **resampling
    )
    return replace(
        trained,
        alert=watch_run(trajectory),
        # The alert has one error rate for the groups of both.
        validation=replace(apart, alert=None),
        splits=contrasts,
        notes=(split_note(trajectory.examples, held_out), *trained.notes),
    )


class _Resampling(TypedDict):
    n_resamples: int
    confidence: float


_CURVE = 20_000_000  # values of a measure over examples and checkpoints at once: 160 MB


class _Measured:
    """The run in the order of the example ids, and its columns in its own, that of the table which they become.

    What has a value for each checkpoint is made for one category and some checkpoints at a time.
    """

    def __init__(self, trajectory: Trajectory, clusters: str | None) -> None:
        self.source = Source(trajectory)
        self.columns = measure_columns(trajectory, self.source)
        self.shared = run_clusters(trajectory, clusters)
        order, categories, entropy = self.source.order, trajectory.categories, trajectory.entropy
        self.entropy = None if entropy is None else entropy[order]
        self.names = tuple(trajectory.category_names) if categories is not None else ()
        # Without names every example is of one nameless category, which is overall alone.
        self.given_categories = np.full(len(order), None) if categories is None else categories
        self.categories = self.given_categories[order]
        self.clusters = None if self.shared.codes is None else self.shared.codes[order]

    def column(self, name: str) -> NDArray[np.float64] | None:
        """One number of each example, shape (N,); None where the run lacks it."""
        return np.asarray(self.columns[name][self.source.order], np.float64) if name in self.columns else None

    def losses(self, rows: NDArray[np.intp]) -> Iterator[NDArray[np.float64]]:
        """Losses of n examples, some checkpoints after the other: arrays of shape (t, n)."""
        losses = self.source.trajectory.required("losses")
        for checkpoints in blocks(len(losses), len(rows), _CURVE):
            yield losses[checkpoints, self.source.order[rows]]

    def distances(
        self, distance: Callable[[ArrayLike, ArrayLike], NDArray[np.float64]], rows: NDArray[np.intp]
    ) -> Iterator[NDArray[np.float64]]:
        """The model's distance to the annotators, likewise."""
        for checkpoints in blocks(len(self.source.steps), len(rows), _CURVE):
            yield self._distances_at(checkpoints, distance, rows)

    def _distances_at(
        self,
        checkpoints: slice,
        distance: Callable[[ArrayLike, ArrayLike], NDArray[np.float64]],
        rows: NDArray[np.intp],
    ) -> NDArray[np.float64]:
        """Shape (t, n); example by example in memory."""
        logits, given = self.source.trajectory.required("logits"), self.source.order[rows]
        values = np.empty((len(rows), checkpoints.stop - checkpoints.start))
        for block in self.source.blocks(len(rows)):
            shares = self.source.distributions[rows[block]]
            values[block] = distance(logits[checkpoints, given[block]], shares).T
        return values.T


def _empty(trajectory: Trajectory) -> str:
    n_checkpoints, n_examples = len(trajectory.steps), len(trajectory.example_ids)
    if n_checkpoints >= 1 and n_examples >= 1:
        return ""
    return (
        f"The run {trajectory.run_id} has {counted(n_checkpoints, 'checkpoint')} of {counted(n_examples, 'example')} "
        f"(status {trajectory.status}); an analysis needs at least 1 of each."
    )


def _category_sizes(run: _Measured) -> tuple[CategorySize, ...]:
    total = len(run.source)
    return tuple(
        _category_size(run, name, rows, total) for name, rows in category_rows(run.categories, run.names).items()
    )


def _category_size(run: _Measured, name: str, rows: NDArray[np.intp], total: int) -> CategorySize:
    share = len(rows) / total
    if run.entropy is None or not len(rows):
        return CategorySize(name, len(rows), share, np.nan, "no annotators" if len(rows) else "no examples")
    return CategorySize(name, len(rows), share, _mean(run.entropy[rows]), "")


def _mean(entropy: NDArray[np.float64]) -> float:
    known = entropy[~np.isnan(entropy)]
    return float(known.mean()) if len(known) else math.nan


def _changes(
    run: _Measured, measure: str, column: str, *, rng: np.random.Generator, **resampling: Unpack[_Resampling]
) -> Changes | None:
    change = run.column(column)
    if change is None:
        return None
    return change_by_category(
        change, run.categories, run.names, measure=measure, clusters=run.clusters, rng=rng, **resampling
    )


def _regions(run: _Measured) -> pd.DataFrame | None:
    if "region" not in run.columns or not run.names:
        return None
    return overlap(run.given_categories, run.columns["region"], run.names)


def _correlations(
    run: _Measured, *, rng: np.random.Generator, **resampling: Unpack[_Resampling]
) -> Correlations | None:
    if run.entropy is None or run.column("aulc") is None:
        return None
    plain, weighted = rng.spawn(2)
    draws = {"aulc": plain, "aulc_trapezoid": weighted}
    draws |= {name: keyed(rng, name) for name in ("confidence", "variability") if name in run.columns}
    found = {}
    for name, child in draws.items():
        values = run.columns[name][run.source.order]
        names = (name, "entropy")
        found[name] = spearman(values, run.entropy, names=names, clusters=run.clusters, rng=child, **resampling)
    if (times := run.column("learning_time")) is not None:
        found["learning_time"] = _learning_time(
            times, run.entropy, run.clusters, rng=keyed(rng, "learning_time"), **resampling
        )
    return Correlations(**found)


def _learning_time(
    times: NDArray[np.float64],
    entropy: NDArray[np.float64],
    clusters: NDArray[np.intp] | None,
    *,
    rng: np.random.Generator,
    **resampling: Unpack[_Resampling],
) -> Correlation:
    """ρ of learning time and entropy, examples that are never learned as the last of all."""
    ranks = mean_ranks(codes(np.where(np.isnan(times), np.inf, times)))
    names = ("learning_time", "entropy")
    found = spearman(ranks, entropy, names=names, clusters=clusters, rng=rng, **resampling)
    never = int(np.isnan(times).sum())
    said = f"{counted(never, 'example')} never learned: ranked above all others" if never else ""
    return found._replace(note=joined(found.note, said))


def _few_annotators(run: _Measured, *, rng: np.random.Generator) -> FewAnnotators | None:
    bands, aulc, change = run.source.examples.bands, run.column("aulc"), run.column("loss_change")
    if bands is None or aulc is None or change is None:
        return None
    source = run.source
    return few_annotators(source.label_counts, aulc, change, bands, certainty=source.certainty, rng=rng)


def _curves(run: _Measured, *, rng: np.random.Generator, **resampling: Unpack[_Resampling]) -> Curves:
    has = run.source.trajectory.has if len(run.source.steps) > 1 else frozenset()
    distances = {"logits", "annotators"} <= has
    of_rows: dict[str, tuple[Callable[[NDArray[np.intp]], Iterator[NDArray[np.float64]]], bool]] = {
        "loss": (run.losses, "losses" in has),
        "kl": (partial(run.distances, kl_divergence), distances),
        "soft_cross_entropy": (partial(run.distances, soft_cross_entropy), distances),
    }
    curves: dict[str, tuple[Curve, ...]] = {}
    for (name, (values, known)), child in zip(of_rows.items(), rng.spawn(3), strict=True):
        groups = (run.categories, run.names)
        curves[name] = (
            mean_curves(values, *groups, measure=name, clusters=run.clusters, rng=child, **resampling) if known else ()
        )
    accuracy: tuple[Curve, ...] = ()
    if {"logits", "gold"} <= has:
        accuracy = share_curves(
            run.source.correct,
            run.categories,
            run.names,
            measure="accuracy",
            clusters=run.clusters,
            confidence=resampling["confidence"],
        )
    return Curves(steps=run.source.steps, accuracy=accuracy, **curves)


def _measures(
    run: _Measured,
    changes: dict[str, Changes | None],
    *,
    rng: np.random.Generator,
    **resampling: Unpack[_Resampling],
) -> pd.DataFrame:
    return measures_by_category(
        measures_of(run.source.trajectory, run.source.examples),
        run.columns,
        run.given_categories,
        run.names,
        order=run.source.order,
        clusters=run.shared.codes,
        rng=rng,
        known={name: found.every for name, found in changes.items() if found is not None},
        step_unit=run.source.trajectory.counted_in,
        **resampling,
    )


def _example_table(run: _Measured, trajectory: Trajectory) -> pd.DataFrame:
    columns: dict[str, NDArray[Any]] = {"example_id": trajectory.example_ids}
    if trajectory.categories is not None:
        columns["category"] = trajectory.categories
    if trajectory.entropy is not None:
        columns["entropy"] = trajectory.entropy.copy()
    if trajectory.gold is not None:
        labels = np.array(trajectory.label_names, dtype=object)
        columns["gold"] = labels[trajectory.gold] if len(labels) else trajectory.gold
    return pd.DataFrame({**columns, **run.columns}, copy=False)
