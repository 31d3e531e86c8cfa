"""The measures of a run's examples by category, with intervals over examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.checks import category_rows
from contested.analysis.intervals import Interval, keyed, mean_intervals
from contested.analysis.measures import Columns, Measure
from contested.analysis.shares import share_interval
from contested.analysis.unlearning import ChangeRow

_MATRIX = 10_000_000  # values of measures in memory at once: 80 MB
MEASURE_COLUMNS = ("measure", "unit", "category", "n", "n_skipped", "mean", "low", "high", "note", "caution")


def measures_by_category(
    measures: Sequence[Measure],
    columns: Columns,
    categories: NDArray[Any],
    names: Sequence[str],
    *,
    order: NDArray[np.intp],
    clusters: NDArray[np.intp] | None = None,
    rng: np.random.Generator,
    known: Mapping[str, Sequence[ChangeRow]] | None = None,
    step_unit: str = "step",
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Means and shares of each category's examples.

    All means of one category are taken over the same resamples, which depend on the category's name alone: a further
    measure or category leaves the numbers of the others as they are.

    Args:
        measures: What is summarised.
        columns: Their values, shape (N,); NaN where an example has none.
        categories: The category of each example, shape (N,).
        names: The categories in order of rising entropy.
        order: In which order the examples are resampled, shape (N,): that of their ids, say.
        clusters: The number of each example's cluster, shape (N,); None where each stands for itself.
        rng: Source of the resamples, made from a seed; nothing is drawn from it.
        known: Rows that another table of the run shows already, by measure: one number has one interval.
        step_unit: What the run's steps count.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        One row for each measure and category, ``"overall"`` last: ``measure``, ``unit``, ``category``, ``n``,
        ``n_skipped`` (examples without a value), ``mean`` (or share), ``low``, ``high``, ``note``, ``caution``.
    """
    found: dict[tuple[str, str], Interval] = {
        (measure, row.category): Interval(row.mean, row.low, row.high, row.n, "", row.note, row.caution)
        for measure, rows in (known or {}).items()
        for row in rows
    }
    shown = [measure for measure in measures if measure.summary != "none"]
    means = [measure for measure in shown if measure.summary == "mean" and measure.name not in (known or {})]
    groups = {name: order[rows] for name, rows in category_rows(categories[order], names).items()}
    for category, rows in groups.items():
        for names_together, members in _same_examples(means, columns, rows):
            intervals = mean_intervals(
                _matrix(names_together, columns, members),
                clusters=None if clusters is None else clusters[members],
                rng=keyed(rng, "measures", category),
                n_resamples=n_resamples,
                confidence=confidence,
            )
            for index, name in enumerate(names_together):
                found[name, category] = intervals.one(index)
        for measure in shown:
            if measure.summary == "share":
                flags = np.asarray(columns[measure.name][rows], bool)
                own = None if clusters is None else clusters[rows]
                found[measure.name, category] = share_interval(flags, clusters=own, confidence=confidence)
    return _frame(shown, groups, found, step_unit)


def _same_examples(
    measures: Sequence[Measure], columns: Columns, rows: NDArray[np.intp]
) -> Iterator[tuple[list[str], NDArray[np.intp]]]:
    """Measures that exist for the same of these examples, so that they share resamples; few where examples are many."""
    together: dict[bytes, tuple[list[str], NDArray[np.intp]]] = {}
    for measure in measures:
        there = np.isfinite(columns[measure.name][rows])
        together.setdefault(np.packbits(there).tobytes(), ([], rows[there]))[0].append(measure.name)
    for names, members in together.values():
        size = max(1, _MATRIX // max(1, len(members)))
        yield from ((names[start : start + size], members) for start in range(0, len(names), size))


def _matrix(names: Sequence[str], columns: Columns, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    values = np.empty((len(rows), len(names)))
    for index, name in enumerate(names):
        values[:, index] = columns[name][rows]
    return values


def _frame(
    measures: Sequence[Measure],
    groups: Mapping[str, NDArray[np.intp]],
    found: Mapping[tuple[str, str], Interval],
    step_unit: str,
) -> pd.DataFrame:
    rows = []
    for measure in measures:
        unit = f"{step_unit}s" if measure.unit == "steps" else measure.unit
        for category, members in groups.items():
            interval = found[measure.name, category]
            skipped = len(members) - interval.n
            note = "no example has a value" if members.size and not interval.n else interval.note
            numbers = (interval.n, skipped, interval.estimate, interval.low, interval.high, note, interval.caution)
            rows.append((measure.name, unit, category, *numbers))
    return pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))
