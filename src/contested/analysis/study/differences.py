"""Groups that differ in one axis alone, compared example by example."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.seeds import ONE_SEED
from contested.analysis.study.cells import Axis, StudyRuns
from contested.analysis.study.columns import columns_of, frame_of
from contested.analysis.study.group_frames import means
from contested.analysis.study.groups import (
    Resampling,
    SeedGroup,
    categories_of,
    contradiction,
    rows_by_category,
)
from contested.analysis.study.measured import stacked
from contested.naming import Part, label, value_name
from contested.wording import joined

_APART = "the groups share fewer than two seeds: the seeds of each count by themselves, not in pairs"
_ONE_SEED = (
    "one seed on a side: no interval, for another seed would give another difference (contested compare says how sure "
    "that of two runs is)"
)


class Pair(NamedTuple):
    """Two groups that differ in one axis alone.

    Attributes:
        axis: The axis.
        first: The group that is subtracted.
        second: The group that it is subtracted from.
    """

    axis: Axis
    first: SeedGroup
    second: SeedGroup


def differences(study: StudyRuns, draw: Resampling) -> pd.DataFrame:
    """How the examples' measures differ between two groups that differ in one axis alone.

    Along a numeric axis neighbouring values are compared, and the last with the first; along another one every value
    with the first that is there. Both groups are taken on the examples that they share, in pairs of seeds where they
    share two, with intervals over examples and seeds. From one seed on a side nothing follows of what differs between
    the two settings: there is no interval.

    Args:
        study: The study.
        draw: How intervals are made.

    Returns:
        One row a pair, measure and category.
    """
    child = draw.named("differences")
    rows = [row for pair in pairs(study) for row in _rows(study, pair, child)]
    return frame_of("differences", columns_of("differences", ()), rows)


def pairs(study: StudyRuns) -> Iterator[Pair]:
    """The pairs of groups that are compared, by axis.

    Args:
        study: The study.

    Yields:
        The pairs, in the order of the axes and of their values.
    """
    for axis in study.varying:
        lines: dict[tuple[Any, ...], dict[Any, SeedGroup]] = {}
        for group in study.seed_groups:
            held = tuple(value for name, value in group.key.items() if name != axis.name)
            lines.setdefault(held, {})[group.key[axis.name]] = group
        for line in lines.values():
            values = sorted(line) if axis.numeric else [value for value in axis.values if value in line]
            yield from (Pair(axis, line[first], line[second]) for first, second in compared(values, axis.numeric))


def compared(values: Sequence[Any], numeric: bool) -> list[tuple[Any, Any]]:
    """Which values of an axis are compared.

    >>> compared([1, 2, 3], numeric=True)
    [(1, 2), (2, 3), (1, 3)]
    >>> compared(["a", "b", "c"], numeric=False)
    [('a', 'b'), ('a', 'c')]
    """
    if not numeric:
        return [(values[0], value) for value in values[1:]]
    ends = [(values[0], values[-1])] if len(values) > 2 else []
    return [*itertools.pairwise(values), *ends]


def _rows(study: StudyRuns, pair: Pair, draw: Resampling) -> Iterator[dict[str, Any]]:
    shared = _shared_columns(study, pair)
    found = _paired(pair)
    if isinstance(found, str):
        yield {**shared, "measure": "", "category": "", "n": 0, "note": found}
        return
    categories = rows_by_category(found.categories, found.category_names)
    for mean in means(found.values, categories, draw, clusters=found.clusters, n_first=found.n_first):
        alone = ONE_SEED in mean.note
        yield {
            **shared,
            "measure": mean.measure,
            "category": mean.category,
            "n": mean.n,
            "difference": mean.mean,
            "low": np.nan if alone else mean.low,
            "high": np.nan if alone else mean.high,
            "note": joined(found.note, mean.note.replace(ONE_SEED, _ONE_SEED)),
            "caution": "" if alone else mean.caution,
        }


def _shared_columns(study: StudyRuns, pair: Pair) -> dict[str, Any]:
    name, first, second = pair.axis.name, pair.first, pair.second
    held = [Part(axis.name, first.key[axis.name], axis.plain, axis.key) for axis in study.varying if axis.name != name]
    provenance = [group.provenance for group in (first, second)]
    return {
        "axis": name,
        "from": value_name(first.key[name], name, pair.axis.key),
        "to": value_name(second.key[name], name, pair.axis.key),
        "held": label(held) if held else "",
        "group_from": study.label(first.key),
        "group_to": study.label(second.key),
        **{key: ",".join(filter(None, (one[key] for one in provenance))) for key in ("run_ids", "missing")},
        "n_seeds": len(_shared_seeds(pair)) or min(len(first.seeds), len(second.seeds)),
        "n_expected": max(one["n_expected"] for one in provenance),
    }


class _Paired(NamedTuple):
    """The differences of two groups on the examples that they share.

    Attributes:
        values: Measures by name: their differences, shape (S, N); or where seeds are no pairs, those of the first
            group's seeds and then of the second's, shape (S₁ + S₂, N).
        categories: Shape (N,).
        category_names: In order of rising entropy.
        clusters: The number of each example's cluster, shape (N,); None where each stands for itself.
        n_first: S₁; 0 where seeds are pairs.
        note: What is left out; empty otherwise.
    """

    values: dict[str, NDArray[np.float64]]
    categories: NDArray[np.object_]
    category_names: tuple[str, ...]
    clusters: NDArray[np.intp] | None
    n_first: int
    note: str


def _shared_seeds(pair: Pair) -> list[int]:
    """The seeds that are compared in pairs: those that both groups have; none where more can be said without pairs."""
    first, second = pair.first.seeds, pair.second.seeds
    shared = [seed for seed in first if seed in second]
    return shared if len(shared) > 1 or min(len(first), len(second)) < 2 else []


def _paired(pair: Pair) -> _Paired | str:
    """The differences, or why there are none."""
    for group in (pair.first, pair.second):
        if group.problem:
            return group.problem
    seeds = _shared_seeds(pair)
    sides = [_with_seeds(group, seeds) for group in (pair.first, pair.second)]
    ids = np.intersect1d(sides[0].first.example_ids, sides[1].first.example_ids)
    if not len(ids):
        return "the two groups track different examples, so there is nothing to compare example by example"
    rows = [np.isin(group.first.example_ids, ids) for group in sides]
    if problem := contradiction(sides[0].first, sides[1].first, rows):
        return problem
    first, second = (
        {name: array[:, own] for name, array in stacked(group.usable).items()}
        for group, own in zip(sides, rows, strict=True)
    )
    values = {
        name: second[name] - first[name] if seeds else np.concatenate([first[name], second[name]])
        for name in first
        if name in second
    }
    most = max(len(group.first.example_ids) for group in sides)
    if not values:
        return "the two groups have no measure in common"
    categories, names = _categories(sides, rows)
    return _Paired(
        values,
        categories,
        names,
        _clusters(sides, rows),
        0 if seeds else len(sides[0].runs),
        joined(_left_out(pair, seeds), f"only the {len(ids):,} examples that both track" if len(ids) < most else ""),
    )


def _categories(
    sides: Sequence[SeedGroup], rows: Sequence[NDArray[np.bool_]]
) -> tuple[NDArray[np.object_], tuple[str, ...]]:
    """The categories of the shared examples, of whichever group knows them."""
    for group, own in zip(sides, rows, strict=True):
        found, names = categories_of(group.usable, len(own))
        if names:
            return found[own], names
    return np.full(int(rows[0].sum()), "", dtype=object), ()


def _clusters(sides: Sequence[SeedGroup], rows: Sequence[NDArray[np.bool_]]) -> NDArray[np.intp] | None:
    """The clusters of the shared examples, of whichever group knows them."""
    known = [group.clusters[own] for group, own in zip(sides, rows, strict=True) if group.clusters is not None]
    return known[0] if known else None


def _with_seeds(group: SeedGroup, seeds: Sequence[int]) -> SeedGroup:
    """The runs of some seeds; all where there is none."""
    if not seeds or set(group.seeds) <= set(seeds):
        return group
    kept = [(run, seed) for run, seed in zip(group.runs, group.seeds, strict=True) if seed in seeds]
    return replace(group, runs=tuple(run for run, _ in kept), seeds=tuple(seed for _, seed in kept))


def _left_out(pair: Pair, seeds: Sequence[int]) -> str:
    if not seeds:
        return _APART if min(len(pair.first.seeds), len(pair.second.seeds)) > 1 else ""
    alone = sorted(set(pair.first.seeds) ^ set(pair.second.seeds))
    return f"left out: seed {', '.join(map(str, alone))}, which only one group has" if alone else ""
