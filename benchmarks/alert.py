"""How often the alert is false over whole null runs, and how often it finds a rise, beside max-T over the whole run.

python benchmarks/alert.py --runs 10000 --recorded RUN --out alert.jsonl
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

import contested as ct
from contested.analysis import alert, watched
from contested.analysis.alert import SPENDING, Spending, unskewed

Floats = NDArray[np.float64]
LEVEL = 0.05
SIZES = (30, 100, 300, 1000, 3000)
LOOKS = 20
TIME = np.arange(1, LOOKS + 1)[:, None] / LOOKS
N_PATHS = 1000
TESTS: tuple[Spending, ...] = ("linear", "obrien-fleming")
CATEGORIES = "three categories"


class Changes(NamedTuple):
    """Changes of n examples since the start of a run without a rise, shape ``(L, n)``, and their clusters."""

    values: Floats
    clusters: NDArray[np.int64] | None = None


Shape = Callable[[int, np.random.Generator], Changes]


def walk(n: int, rng: np.random.Generator) -> Changes:
    """Each change a random walk."""
    return Changes(rng.normal(size=(LOOKS, n)).cumsum(axis=0))


def early(n: int, rng: np.random.Generator) -> Changes:
    """Each change soon made, and little beside it: looks that depend on each other strongly."""
    return Changes(rng.normal(size=n) * (1 - np.exp(-8 * TIME)) + 0.2 * rng.normal(size=(LOOKS, n)))


def restless(n: int, rng: np.random.Generator) -> Changes:
    """Changes that are soon forgotten: looks that depend on each other little."""
    return Changes(rng.normal(size=(LOOKS, n)) + 0.5 * rng.normal(size=n))


def skewed_up(n: int, rng: np.random.Generator) -> Changes:
    """A few examples rise much, most fall a little."""
    return Changes((rng.exponential(size=n) - 1) * np.sqrt(TIME) + 0.3 * rng.normal(size=(LOOKS, n)))


def skewed_down(n: int, rng: np.random.Generator) -> Changes:
    """A few examples fall much, most rise a little."""
    return Changes(-skewed_up(n, rng).values)


def clustered(n: int, rng: np.random.Generator) -> Changes:
    """Examples in clusters of one to three, alike but for a third of their variance."""
    member = np.repeat(np.arange(n), rng.integers(1, 4, size=n))[:n]
    shared = walk(n, rng).values[:, member]
    return Changes(np.sqrt(2 / 3) * shared + np.sqrt(1 / 3) * walk(n, rng).values, member)


SHAPES: dict[str, Shape] = {
    shape.__name__: shape for shape in (walk, early, restless, skewed_up, skewed_down, clustered)
}


def recorded(run: str, category: str) -> Shape:
    """Examples of a recorded run drawn again, cluster by cluster, each look centred on its mean."""
    trajectory = ct.Trajectory.load(run)
    groups, clusters = watched(trajectory.examples, trajectory.category_names, trajectory.text_columns)
    losses = trajectory.required("losses")[:, groups[category]]
    every = LOOKS / (len(losses) - 1)
    at = np.unique(np.linspace(1, len(losses) - 1, LOOKS).round().astype(int)) if every < 1 else slice(1, None)
    changes = (losses - losses[0])[at]
    changes = changes - changes.mean(axis=1, keepdims=True)
    given = np.arange(len(groups[category])) if clusters is None else clusters
    numbers = pd.factorize(given[groups[category]])[0]
    members = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]

    def shape(n: int, rng: np.random.Generator) -> Changes:
        drawn = [members[cluster] for cluster in rng.integers(len(members), size=n)]
        sizes = [len(rows) for rows in drawn]
        rows, of = np.concatenate(drawn)[:n], np.repeat(np.arange(n), sizes)[:n]
        return Changes(changes[:, rows], of)

    return shape


def steps_of(changes: Floats) -> NDArray[np.int64]:
    """Looks at equal distances."""
    return np.arange(len(changes) + 1)


def sums(changes: Changes) -> Floats:
    """Residuals of each look, summed within clusters."""
    residuals = changes.values - changes.values.mean(axis=1, keepdims=True)
    if changes.clusters is None:
        return residuals
    starts = np.flatnonzero(np.diff(changes.clusters, prepend=-1))  # clusters lie side by side
    return np.asarray(np.add.reduceat(residuals, starts, axis=1))


def statistics(changes: Changes) -> tuple[Floats, Floats]:
    """Statistic of each look, and the cluster sums of residuals of length 1."""
    totals = sums(changes)
    length = np.sqrt((totals**2).sum(axis=1))
    c = totals.shape[1]
    return changes.values.sum(axis=1) / length * np.sqrt((c - 1) / c), totals / length[:, None]


@functools.cache
def least(looks: int, n_clusters: int, test: Spending, level: float) -> Floats:
    """What each look's statistic must exceed at least: the quantile of all that is spent by then."""
    due = SPENDING[test](np.arange(1, looks + 1) / looks, level)
    return np.asarray(stats.t.isf(1.05 * due, n_clusters - 1))


def alarms(changes: Changes, test: Spending, level: float = LEVEL) -> bool:
    """Whether the alert alarms at any look.

    A run none of whose looks exceeds what it must at least needs no boundaries.
    """
    statistic, unit = statistics(changes)
    may = np.flatnonzero(statistic > least(len(statistic), unit.shape[1], test, level))
    if not len(may):
        return False
    seen = may[-1] + 1  # A boundary depends on no later look.
    losses = np.vstack([np.zeros(changes.values.shape[1]), changes.values[:seen]])
    found = alert(
        losses, np.arange(seen + 1), len(statistic), clusters=changes.clusters, level=level, spending=test,
        n_paths=N_PATHS,
    )  # fmt: skip
    return found.first is not None


def largest(changes: Changes, rng: np.random.Generator) -> bool:
    """Max-T: whether any statistic lies beyond the bound of the largest of all looks, corrected as the alert is."""
    statistic, unit = statistics(changes)
    c = unit.shape[1]
    if not (statistic > stats.t.isf(1.05 * LEVEL, c - 1)).any():
        return False
    paths = rng.multivariate_normal(np.zeros(len(unit)), unit @ unit.T, size=4096, method="eigh").max(axis=1)
    bound = stats.t.isf(stats.norm.sf(np.quantile(paths, 1 - LEVEL)), c - 1)
    return bool((statistic > unskewed(np.full(len(unit), bound), unit)).any())


RISES: dict[str, Callable[[Floats], Floats]] = {
    "ramp": lambda time: time,
    "early, lasting": lambda time: 1 - np.exp(-8 * time),
    "late": lambda time: np.clip(4 * (time - 0.75), 0, None),
    "early hump": lambda time: np.exp(-(((time - 0.2) / 0.1) ** 2)),
    "late hump": lambda time: np.exp(-(((time - 0.7) / 0.1) ** 2)),
}
"""Course of the expected rise over the share of the run; its highest is 1."""


def risen(changes: Changes, rise: str, height: float) -> Changes:
    """With a rise of so many standard errors of an example's change at the end by the root of n."""
    values = changes.values
    time = np.arange(1, len(values) + 1)[:, None] / len(values)
    error = np.sqrt((sums(changes) ** 2).sum(axis=1).mean()) / values.shape[1]
    return changes._replace(values=values + height * error * RISES[rise](time))


def false_alarms(shape: Shape, n: int, runs: int, tests: list[str]) -> Iterator[dict[str, Any]]:
    """Share of null runs that alarm, of one category or in any of three."""
    for test in tests:
        groups, spending = (3, TESTS[0]) if test == CATEGORIES else (1, test)
        found = [
            any(
                alarms(shape(n, np.random.default_rng([7, run, group])), cast(Spending, spending), LEVEL / groups)
                for group in range(groups)
            )
            for run in range(runs)
        ]
        yield {"kind": "false", "test": test, "share": float(np.mean(found))}


def found_rises(shape: Shape, n: int, runs: int, height: float) -> Iterator[dict[str, Any]]:
    """Share of runs with a rise in which it is found."""
    for rise in RISES:
        found = np.zeros((runs, len(TESTS) + 1), dtype=bool)
        for run in range(runs):
            rng = np.random.default_rng([8, run])
            changes = risen(shape(n, rng), rise, height)
            found[run] = [*(alarms(changes, test) for test in TESTS), largest(changes, rng)]
        for test, share in zip((*TESTS, "max-T"), found.mean(axis=0), strict=True):
            yield {"kind": "found", "rise": rise, "height": height, "test": test, "share": float(share)}


def main() -> None:
    """Write one line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="null runs of each case")
    parser.add_argument("--power-runs", type=int, default=1000, help="runs with a rise of each case; 0: none")
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--recorded", nargs="*", default=[], help="run folders, whose examples are drawn again")
    parser.add_argument("--category", default="contested", help="category of the recorded runs that is drawn from")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--tests", nargs="+", default=["linear"], choices=[*TESTS, CATEGORIES], help="of null runs")
    parser.add_argument("--power-sizes", nargs="+", type=int, default=[300])
    parser.add_argument("--height", type=float, default=3.0, help="highest point of a rise in standard errors")
    parser.add_argument("--out", type=Path, help="file to which each case is added as it is done, a JSON object a line")
    options = parser.parse_args()
    shapes = {name: SHAPES[name] for name in options.shapes}
    shapes |= {Path(run).name: recorded(run, options.category) for run in options.recorded}

    def tell(shape: str, n: int, runs: int, cases: Iterator[dict[str, Any]]) -> None:
        for case in cases:
            line = json.dumps({"shape": shape, "n": n, "runs": runs, **case})
            print(line, flush=True)
            if options.out:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")

    for name, n in product(shapes, options.power_sizes if options.power_runs else ()):
        tell(name, n, options.power_runs, found_rises(shapes[name], n, options.power_runs, options.height))
    for n, name in product(options.sizes, shapes):
        if options.runs:
            tell(name, n, options.runs, false_alarms(shapes[name], n, options.runs, options.tests))


if __name__ == "__main__":
    main()
