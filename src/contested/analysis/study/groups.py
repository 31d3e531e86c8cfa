"""Which runs belong together: groups of cells that differ in the seed alone, and what is missing of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contested.analysis.checks import OVERALL, category_rows
from contested.analysis.intervals import keyed
from contested.analysis.study.runs import Run
from contested.wording import joined

ALL = slice(None)
_APART = "so they are not averaged or compared example by example"


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        rng: The source of resamples.
        n_resamples: How many.
        confidence: The coverage wanted.
    """

    rng: np.random.Generator
    n_resamples: int
    confidence: float

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that every interval takes."""
        return {"rng": self.rng, "n_resamples": self.n_resamples, "confidence": self.confidence}

    def spawn(self, n: int) -> list[Resampling]:
        """``n`` children, so that one number's resamples do not move another's."""
        return [Resampling(child, self.n_resamples, self.confidence) for child in self.rng.spawn(n)]

    def named(self, *names: str) -> Resampling:
        """The child of this name, which neither moves other children nor is moved by them."""
        return Resampling(keyed(self.rng, *names), self.n_resamples, self.confidence)


@dataclass(frozen=True, eq=False)
class SeedGroup:
    """Runs that differ only in their seed, as planned and as far as they are complete.

    Attributes:
        key: What the runs have in common, by column.
        asked: Planned run ids, by seed.
        runs: The complete ones, by seed.
        seeds: The seed of each complete run.
        mixed: Why seeds are not averaged although every run is usable by itself; empty otherwise.
    """

    key: dict[str, Any]
    asked: tuple[str, ...]
    runs: tuple[Run, ...]
    seeds: tuple[int, ...]
    mixed: str = ""

    @cached_property
    def problem(self) -> str:
        """Why no number over seeds exists; empty where one does."""
        if not self.runs:
            return "no complete run"
        return self.mixed or different_examples(self.runs)

    @cached_property
    def usable(self) -> tuple[Run, ...]:
        """The runs whose seeds may be averaged: all complete ones, or none."""
        return () if self.problem else self.runs

    @property
    def first(self) -> Run:
        """The run of the first seed; its examples are those of every usable run."""
        return self.runs[0]

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """The columns that say which runs a row rests on."""
        complete = [run.run_id for run in self.runs]
        return {
            "run_ids": ",".join(complete),
            "missing": ",".join(run_id for run_id in self.asked if run_id not in complete),
            "n_seeds": len(complete),
            "n_expected": len(self.asked),
        }

    @cached_property
    def clusters(self) -> NDArray[np.intp] | None:
        """The number of each example's cluster, shape (N,); None where no run knows a text that examples share."""
        return clusters_of(self.usable)

    @cached_property
    def caution(self) -> str:
        """What to know of the seeds' mean although it exists; empty otherwise."""
        if any(not np.array_equal(self.first.steps, run.steps) for run in self.usable[1:]):
            return "the seeds were tracked at different steps"
        return ""

    def categories(self) -> dict[str, NDArray[np.intp]]:
        """Row numbers of each category by rising entropy, then of all examples as ``"overall"``."""
        return rows_by_category(*categories_of(self.usable, len(self.first.example_ids)))

    def row(self, *notes: str, **values: Any) -> dict[str, Any]:
        """A row of this group: its key, its runs, a note, and ``values``.

        Args:
            *notes: What the note says besides the group's own problem.
            **values: Further columns.

        Returns:
            Columns by name.
        """
        return {**self.key, **self.provenance, "note": joined(self.problem, self.caution, *notes), **values}


def different_examples(runs: Sequence[Run]) -> str:
    """Why runs cannot be compared example by example; empty where they can."""
    first = runs[0]
    for other in runs[1:]:
        if first.example_ids is not other.example_ids and not np.array_equal(first.example_ids, other.example_ids):
            what = f"track different examples ({len(first.example_ids):,} and {len(other.example_ids):,})"
            return f"{first.run_id} and {other.run_id} {what}, {_APART}"
        if problem := contradiction(first, other):
            return problem
    return ""


def categories_of(runs: Sequence[Run], n: int) -> tuple[NDArray[np.object_], tuple[str, ...]]:
    """The categories of runs' examples, as far as one of them knows any, and their names.

    Args:
        runs: Runs of the same examples.
        n: How many.

    Returns:
        Shape (N,), and the names in order of rising entropy; no names where no run knows categories.
    """
    for run in runs:
        if run.categories is not None:
            return run.categories, run.category_names
    return np.full(n, "", dtype=object), ()


def clusters_of(runs: Sequence[Run]) -> NDArray[np.intp] | None:
    """The clusters of runs' examples, as far as one of them knows a text that examples share.

    Args:
        runs: Runs of the same examples.

    Returns:
        The number of each example's cluster, shape (N,); None where each example stands for itself.
    """
    return next((run.clusters for run in runs if run.clusters is not None), None)


def of_rows(clusters: NDArray[np.intp] | None, rows: NDArray[Any]) -> NDArray[np.intp] | None:
    """The clusters of some examples; None where there are none."""
    return None if clusters is None else clusters[rows]


def independent(what: str, clusters: NDArray[np.intp] | None) -> str:
    """That a test takes examples as independent although they share something; empty where they do not."""
    return "" if clusters is None else f"{what} takes examples as independent, although some belong together"


def rows_by_category(categories: NDArray[np.object_], names: tuple[str, ...]) -> dict[str, NDArray[np.intp]]:
    """Row numbers of each category, then of all examples as ``"overall"``."""
    return category_rows(categories, names) if names else {OVERALL: np.arange(len(categories))}


def contradiction(first: Run, second: Run, rows: Sequence[NDArray[np.bool_] | slice] = (ALL, ALL)) -> str:
    """Why two runs do not mean the same by the same examples; empty where they do.

    Args:
        first: A run.
        second: Another.
        rows: The examples that both have, of each in the same order.

    Returns:
        A sentence without a full stop, or nothing. What one of them does not know contradicts nothing.
    """
    pairs = {
        name: [getattr(run, name)[own] for run, own in zip((first, second), rows, strict=True)]
        for name in ("gold", "entropy", "categories")
        if getattr(first, name) is not None
        and getattr(second, name) is not None
        # Runs with the same table of examples share what is known of them.
        and not (rows[0] is rows[1] and getattr(first, name) is getattr(second, name))
    }
    same = [
        np.allclose(pair[0], pair[1], equal_nan=True) if name == "entropy" else np.array_equal(*pair)
        for name, pair in pairs.items()
    ]
    for name in ("label_names", "category_names"):
        known = [getattr(run, name) for run in (first, second) if getattr(run, name)]
        same.append(len(set(known)) <= 1)
    what = "disagree about the labels, entropies or categories of the same examples"
    return "" if all(same) else f"{first.run_id} and {second.run_id} {what}, {_APART}"
