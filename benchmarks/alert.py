"""How often the alert is false over whole null runs, and how often it finds a rise, beside max-T over the whole run.

python benchmarks/alert.py --runs 10000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from contested.analysis import alert

Floats = NDArray[np.float64]
SIZES = (30, 100, 300, 1000, 3000)
LOOKS = 20
TIME = np.arange(1, LOOKS + 1)[:, None] / LOOKS


def walk(n: int, rng: np.random.Generator) -> Floats:
    """Each change a random walk."""
    return rng.normal(size=(LOOKS, n)).cumsum(axis=0)


def early(n: int, rng: np.random.Generator) -> Floats:
    """Each change soon made, and little beside it: looks that depend on each other strongly."""
    return rng.normal(size=n) * (1 - np.exp(-8 * TIME)) + 0.2 * rng.normal(size=(LOOKS, n))


def skewed_up(n: int, rng: np.random.Generator) -> Floats:
    """A few examples rise much, most fall a little."""
    return (rng.exponential(size=n) - 1) * np.sqrt(TIME) + 0.3 * rng.normal(size=(LOOKS, n))


def skewed_down(n: int, rng: np.random.Generator) -> Floats:
    """A few examples fall much, most rise a little."""
    return -skewed_up(n, rng)


def clustered(n: int, rng: np.random.Generator) -> Floats:
    """Examples in clusters of three, alike but for a third of their variance."""
    shared = np.repeat(walk(n // 3, rng), 3, axis=1)
    return np.sqrt(2 / 3) * shared + np.sqrt(1 / 3) * walk(n // 3 * 3, rng)


SHAPES: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    shape.__name__: shape for shape in (walk, early, skewed_up, skewed_down, clustered)
}


def alarms(changes: Floats, clusters: NDArray[Any] | None, spending: Any) -> bool:
    """Whether the alert alarms at any look."""
    losses = np.vstack([np.zeros(changes.shape[1]), changes])
    found = alert(losses, np.arange(LOOKS + 1), LOOKS, clusters=clusters, spending=spending, n_paths=2000)
    return found.first is not None


def largest(changes: Floats, rng: np.random.Generator) -> bool:
    """Whether the largest statistic of the whole run lies beyond one bound for all looks (max-T)."""
    n = changes.shape[1]
    mean = changes.mean(axis=1)
    residuals = changes - mean[:, None]
    length = np.sqrt((residuals**2).sum(axis=1))
    unit = residuals / length[:, None]
    paths = rng.multivariate_normal(np.zeros(LOOKS), unit @ unit.T, size=2000, method="eigh").max(axis=1)
    bound = stats.t.isf(stats.norm.sf(np.quantile(paths, 0.95)), n - 1)
    return bool((mean * n / length * np.sqrt((n - 1) / n) > bound).any())


def rate(run: Callable[[np.random.Generator], bool], runs: int) -> str:
    """Share of runs that alarm, and its standard error."""
    share = float(np.mean([run(np.random.default_rng([7, number])) for number in range(runs)]))
    return f"{share:.4f} ± {np.sqrt(max(share, 1 / runs) * (1 - share) / runs):.4f}"


def null_run(shape: str, n: int, spending: str, rng: np.random.Generator) -> bool:
    """One run without a rise."""
    changes = SHAPES[shape](n, rng)
    clusters = np.arange(changes.shape[1]) // 3 if shape == "clustered" else None
    return alarms(changes, clusters, spending)


def rising_run(test: str, shape: str, rise: Floats, rng: np.random.Generator) -> bool:
    """One run of 300 examples with a rise."""
    changes = SHAPES[shape](300, rng)
    changes = changes / changes[-1].std() + rise
    return largest(changes, rng) if test == "max-T" else alarms(changes, None, test)


def main() -> None:
    """Print one line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    options = parser.parse_args()
    for shape in options.shapes:
        for n in options.sizes:
            if shape == "clustered" and n < 60:
                continue
            for spending in ("linear", "obrien-fleming"):
                print(
                    "false", shape, n, spending, rate(partial(null_run, shape, n, spending), options.runs), flush=True
                )
    rises = {"ramp": 0.15 * TIME, "hump": 0.15 * np.exp(-((TIME - 0.2) ** 2) / 0.01)}
    for shape in options.shapes:
        if shape != "clustered":
            for name, rise in rises.items():
                for test in ("linear", "obrien-fleming", "max-T"):
                    found = rate(partial(rising_run, test, shape, rise), options.runs)
                    print("found", shape, 300, name, test, found, flush=True)


if __name__ == "__main__":
    main()
