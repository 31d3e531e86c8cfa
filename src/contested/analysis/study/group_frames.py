"""The results of each group of seeds: ρ, accuracy and training loss, every measure by category, and its curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis import measures
from contested.analysis.seeds import (
    nested_difference_intervals,
    nested_mean_intervals,
    nested_spearman_interval,
    over_seeds,
    seed_interval,
)
from contested.analysis.study.cells import StudyRuns
from contested.analysis.study.columns import columns_of, frame_of
from contested.analysis.study.groups import Resampling, SeedGroup, of_rows
from contested.analysis.study.measured import stacked, together
from contested.analysis.study.runs import Run, rank_correlation_of
from contested.wording import joined

OTHER_STEPS = "the seeds were tracked at different steps: only the shared steps are shown"


def group_frames(study: StudyRuns, draw: Resampling) -> dict[str, pd.DataFrame]:
    """The frames of a study that have rows of groups.

    Every group resamples the same examples of a category, so that no number depends on which other groups there are.

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        ``groups``, ``group_measures`` and ``group_curves``.
    """
    names = [axis.name for axis in study.axes]
    child = draw.named("groups")
    makers = {"groups": _group_rows, "group_measures": _measure_rows, "group_curves": _curve_rows}
    return {
        name: frame_of(
            name,
            columns_of(name, names),
            [{"group": study.label(group.key), **row} for group in study.seed_groups for row in make(group, child)],
        )
        for name, make in makers.items()
    }


def _group_rows(group: SeedGroup, draw: Resampling) -> Iterator[dict[str, Any]]:
    if group.problem:
        yield group.row()
        return
    found_rho, *notes = _rho(group, draw.named("rho"))
    reached: dict[str, float] = {}
    for name, bounds in (("val_accuracy", (0.0, 1.0)), ("train_loss", (0.0, np.inf))):
        values = [getattr(run, name) for run in group.usable]
        found = seed_interval(values, confidence=draw.confidence, bounds=bounds)
        reached |= {f"{name}_{part}": getattr(found, part) for part in ("mean", "sd", "low", "high")}
        notes.append(f"{name.replace('_', ' ')}: {found.note}" if found.note and not one_seed(group) else "")
    yield group.row(*notes, **found_rho, **reached)


def _rho(group: SeedGroup, draw: Resampling) -> tuple[dict[str, float], str]:
    """ρ(AULC, H) as columns, and a note."""
    entropy = next((run.entropy for run in group.usable if run.entropy is not None), None)
    if entropy is None or any("aulc" not in run.columns for run in group.usable):
        return {}, "no ρ: the runs do not have both losses and annotators"
    aulc = np.stack([run.aulc for run in group.usable])
    interval = nested_spearman_interval(aulc, entropy, clusters=group.clusters, **draw.options)
    by_seed = over_seeds([rank_correlation_of(values, entropy)[0] for values in aulc])
    columns = {"mean": by_seed.mean, "sd": by_seed.sd, "low": interval.low, "high": interval.high}
    return {f"rho_{name}": value for name, value in columns.items()}, interval.note


def one_seed(group: SeedGroup) -> bool:
    """Whether a group has one seed, which its row already says."""
    return len(group.usable) == 1


class MeanOf(NamedTuple):
    """The mean of one measure over seeds and the examples of a category.

    Attributes:
        measure: Its name.
        category: The category.
        n: Examples that have it.
        mean: The mean.
        sd: Standard deviation over seeds; NaN with one.
        low: Lower end of its interval.
        high: Upper end of its interval.
        rose_share: Of a change, the share of examples and seeds in which it is above 0; NaN of other measures.
        note: Why a number is missing, or what the interval leaves out; empty otherwise.
        caution: Why the interval may cover the truth less often than it says; empty otherwise.
    """

    measure: str
    category: str
    n: int
    mean: float
    sd: float
    low: float
    high: float
    rose_share: float
    note: str
    caution: str


def means(
    values: Mapping[str, NDArray[np.float64]],
    categories: Mapping[str, NDArray[np.intp]],
    draw: Resampling,
    *,
    clusters: NDArray[np.intp] | None = None,
    n_first: int = 0,
) -> Iterator[MeanOf]:
    """The mean of each measure in each category, with its interval over examples and seeds.

    Args:
        values: Measures by name, each of shape (S, N); NaN where an example has none.
        categories: Name to row numbers.
        draw: How intervals are made.
        clusters: The number of each example's cluster, shape (N,); None where each stands for itself.
        n_first: How many of the seeds belong to a first group, which is subtracted from the others' mean; 0 where all
            are one group.

    Yields:
        The means by measure, then by category.
    """
    found = {
        (mean.measure, category): mean
        for category, rows in categories.items()
        for mean in _of_category(
            {name: array[:, rows] for name, array in values.items()},
            category,
            draw,
            of_rows(clusters, rows),
            n_first,
        )
    }
    yield from (found[measure, category] for measure in values for category in categories)


def _of_category(
    values: dict[str, NDArray[np.float64]],
    category: str,
    draw: Resampling,
    clusters: NDArray[np.intp] | None,
    n_first: int,
) -> Iterator[MeanOf]:
    for names, known in together(values):
        skipped = int((~known).sum())
        left_out = f"{skipped} of {len(known)} examples left out: no value under every seed"
        array = np.stack([values[name][:, known] for name in names], axis=-1)
        options = draw.named(category).options | {"clusters": of_rows(clusters, known)}
        if n_first:
            intervals = nested_difference_intervals(array[:n_first], array[n_first:], **options)
        else:
            intervals = nested_mean_intervals(array, **options)
        note = joined(left_out if skipped else "", intervals.note)
        for index, name in enumerate(names):
            found, own = intervals.one(index), array[:, :, index]
            alone = bool(intervals.n and not n_first)
            sd = over_seeds(own.mean(axis=1) if alone else []).sd
            rose = float((own > 0).mean()) if alone and name.endswith("_change") else np.nan
            yield MeanOf(name, category, found.n, found.estimate, sd, found.low, found.high, rose, note, found.caution)


def _measure_rows(group: SeedGroup, draw: Resampling) -> Iterator[dict[str, Any]]:
    if group.problem:
        yield group.row(measure="", category="")
        return
    values = stacked(group.usable)
    if not values:
        yield group.row("no measure: the runs lack what each of them needs", measure="", category="")
        return
    units = {measure.name: measure.unit for measure in measures.MEASURES}
    for mean in means(values, group.categories(), draw, clusters=group.clusters):
        columns = mean._asdict()
        yield group.row(columns.pop("note"), unit=units[mean.measure], **columns)


def _curve_rows(group: SeedGroup, draw: Resampling) -> Iterator[dict[str, Any]]:
    if group.problem:
        yield group.row(category="")
        return
    steps = shared_steps(group.usable)
    if not len(steps):
        yield group.row("the seeds share no step", category="")
        return
    note = OTHER_STEPS if group.caution else ""
    given = [run.losses[np.isin(run.steps, steps)].T for run in group.usable if run.losses is not None]
    if len(given) < len(group.usable):
        yield group.row("no curves: the runs have no losses", category="")
        return
    losses = np.stack(given)
    for category, members in group.categories().items():
        options = draw.named(category).options | {"clusters": of_rows(group.clusters, members)}
        found = nested_mean_intervals(losses[:, members], **options)
        for index, step in enumerate(steps.tolist()):
            own = found.one(index)
            values = {"step": step, "mean": own.estimate, "low": own.low, "high": own.high, "caution": own.caution}
            yield group.row(note, found.note, category=category, n=found.n, **values)


def shared_steps(runs: tuple[Run, ...]) -> NDArray[np.int64]:
    """The steps at which all runs were tracked."""
    shared = runs[0].steps
    for run in runs[1:]:
        shared = np.intersect1d(shared, run.steps)
    return shared
