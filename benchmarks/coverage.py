"""How often intervals cover the truth and verdicts are false, simulated: the figures of docs/statistics.md.

python benchmarks/coverage.py [--only NAME …] [--sets 2000] [--out docs/statistics.json]; then: make docs

A case is an entry of CASES. What is found is merged into the file, so that a part can be run again by itself.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import populations as of
from numpy.typing import NDArray
from scipy import stats

from contested.analysis import (
    calibration_error,
    difference_interval,
    mean_intervals,
    mixed_effect,
    nested_mean_intervals,
    share_interval,
    spearman,
)
from contested.analysis.clusters import cluster_codes, cluster_sums
from contested.analysis.first_loss import at_equal_first_loss
from contested.analysis.intervals import Interval, resampled_rows, row_counts, verdict
from contested.analysis.least_squares import least_squares
from contested.analysis.matched import matched_difference, shared_levels
from contested.analysis.progress import at_levels, reached_at, training_progress
from contested.analysis.splits import split_contrasts
from contested.analysis.studentised import Tails, expanded_quantiles, means_of, resampled_means, studentised_ends

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TOGETHER = 50  # samples over the same resamples
RESAMPLES = 1000
ALONE = 400  # resamples where each sample has its own, which cost the most
OUT = Path(__file__).parents[1] / "docs" / "statistics.json"


class Found(NamedTuple):
    """What a method gave for each of some samples, shape ``(sets,)``.

    Attributes:
        below: The interval lies below the truth; of a verdict: it is "falls", and nothing falls.
        above: The interval lies above the truth; of a verdict: it is "rises", and nothing rises.
        length: Length of the interval; NaN for a verdict.
    """

    below: Flags
    above: Flags
    length: Floats


Simulation = Callable[[np.random.Generator, int], Mapping[str, Found]]
"""From a generator and a number of samples to what each method gives: "now", and "before" where another was used."""


class Case(NamedTuple):
    """One row of a table.

    Attributes:
        what: The interval or verdict: the heading of its table, and a NAME of ``--only``.
        population: What samples are drawn from.
        n: Examples of a sample, and what else it has (``"100, 3 seeds"``).
        simulate: Draws samples and makes their intervals.
        before: What "before" was; empty without one.
    """

    what: str
    population: str
    n: str
    simulate: Simulation
    before: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What names the case."""
        return self.what, self.population, self.n


def found(low: Floats, high: Floats, truth: float) -> Found:
    """Of intervals; one that is missing (NaN) covers nothing and lies nowhere: refused."""
    if np.isnan([low, high]).any():
        raise ValueError("A sample has no interval: simulate samples that have one.")
    return Found(high < truth, low > truth, high - low)


def each(
    draw: Callable[[np.random.Generator], Any],
    methods: Mapping[str, Callable[[Any, np.random.Generator], Interval]],
    truth: float,
) -> Simulation:
    """A simulation of one sample after the other.

    Args:
        draw: From a generator to a sample of any kind.
        methods: From a sample and a generator to what has ``low`` and ``high``.
        truth: What is estimated.

    Returns:
        The simulation.
    """

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        ends: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
        for _ in range(sets):
            sample = draw(rng)
            for name, method in methods.items():
                interval = method(sample, rng)
                ends[name].append((interval.low, interval.high))
        return {name: found(*np.array(values).T, truth) for name, values in ends.items()}

    return simulate


def verdicts(low: Floats, high: Floats) -> Found:
    """Of verdicts on changes, from their intervals: which are "falls", and which "rises"."""
    array = np.array([verdict(*ends) for ends in zip(low, high, strict=True)])
    return Found(array == "falls", array == "rises", np.full(len(array), np.nan))


def percentile(values: Floats, clusters: NDArray[np.intp] | None, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The expanded percentile intervals of means, which were used before: ends of shape ``(S,)``."""
    codes = cluster_codes(clusters, len(values))
    sums, sizes = cluster_sums(values, codes), np.bincount(codes)
    blocks = map(row_counts, resampled_rows(len(sizes), n_resamples=RESAMPLES, rng=rng))
    means = np.concatenate([counts @ sums / (counts @ sizes)[:, None] for counts in blocks])
    return expanded_quantiles(means, len(sizes), 0.95)


def even(values: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Bootstrap-t intervals of means whose ends have the same level, whatever the sample: ends of shape ``(S,)``."""
    n, width = values.shape
    found = means_of(values, np.arange(n), n)
    drawn = resampled_means(found, map(row_counts, resampled_rows(n, n_resamples=RESAMPLES, rng=rng)))
    none = Tails(np.zeros(width), np.zeros(width))
    return studentised_ends(found.estimate, found.error, none, drawn, n, 0.95)[:2]


def means(population: of.Population, n: int) -> Simulation:
    """Intervals of means; samples are columns over the same resamples, some at a time."""

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        values = population.draw(n, sets, rng)
        clusters = None if population.clusters is None else population.clusters(n)
        if population is of.TIED:  # a sample of zeros alone has no spread to tell of
            values = values[:, values.any(axis=0)]
        now = mean_intervals(values, clusters=clusters, rng=rng, n_resamples=RESAMPLES)
        old = percentile(values, clusters, rng)
        return {"now": found(now.low, now.high, population.mean), "before": found(*old, population.mean)}

    return simulate


def alone(population: of.Population, n: int) -> Simulation:
    """Intervals of means in clusters, beside those that take every example as independent."""

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        values = population.draw(n, sets, rng)
        assert population.clusters is not None
        now = mean_intervals(values, clusters=population.clusters(n), rng=rng, n_resamples=RESAMPLES)
        old = percentile(values, None, rng)
        return {"now": found(now.low, now.high, population.mean), "before": found(*old, population.mean)}

    return simulate


def difference(first: of.Population, second: of.Population, n: int) -> Simulation:
    """Intervals of the difference of two groups of n examples each."""

    def draw(rng: np.random.Generator) -> tuple[Floats, Floats]:
        return first.draw(n, 1, rng)[:, 0], second.draw(n, 1, rng)[:, 0]

    def now(sample: tuple[Floats, Floats], rng: np.random.Generator) -> Interval:
        return difference_interval(*sample, rng=rng, n_resamples=RESAMPLES)

    def before(sample: tuple[Floats, Floats], rng: np.random.Generator) -> Interval:
        drawn = [values[rng.integers(0, n, size=(RESAMPLES, n))].mean(axis=1) for values in sample]
        low, high = expanded_quantiles(drawn[0] - drawn[1], n, 0.95)
        return Interval(np.nan, float(low), float(high), n, "", "")

    return each(draw, {"now": now, "before": before}, first.mean - second.mean)


def shares(n: int) -> Simulation:
    """Intervals of a share of 0.3 in clusters, beside those that take every example as independent."""
    clusters = of.cluster_sizes(n)

    def draw(rng: np.random.Generator) -> Flags:
        return np.asarray(rng.random(n) < rng.beta(0.6, 1.4, size=n)[clusters])

    return each(
        draw,
        {
            "now": lambda sample, _: share_interval(sample, clusters=clusters),
            "before": lambda sample, _: share_interval(sample),
        },
        0.3,
    )


def correlation(pairs: of.Pairs, n: int) -> Simulation:
    """BCa intervals of Spearman's ρ, in clusters beside those that take every example as independent."""
    clusters = None if pairs.clusters is None else pairs.clusters(n)

    def by(given: NDArray[np.intp] | None) -> Callable[[Any, np.random.Generator], Any]:
        return lambda sample, rng: spearman(*sample, clusters=given, rng=rng, n_resamples=ALONE)

    methods = {"now": by(clusters)} | ({} if clusters is None else {"before": by(None)})
    return each(lambda rng: pairs.draw(n, rng), methods, pairs.rho)


def unlearned(population: of.Population, n: int, rise: float = 0.0) -> Simulation:
    """The verdict on changes of loss: "rises" is un-learned, "falls" is not un-learned.

    Args:
        population: Of the changes, but for their mean.
        n: Examples.
        rise: The mean, in standard deviations; of 0 both verdicts are false.
    """
    scale = 0.0 if not rise else float(population.draw(1000, 200, np.random.default_rng(0)).std())

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        changes = population.draw(n, sets, rng) - population.mean + rise * scale
        now = mean_intervals(changes, rng=rng, n_resamples=RESAMPLES)
        before = even(changes, rng)
        return {"now": verdicts(now.low, now.high), "before": verdicts(*before)}

    return simulate


def splits(n: int) -> Simulation:
    """Training minus validation examples, drawn at random from the same ones, 3 to 1; premises have some in both."""

    def now(sample: Floats, rng: np.random.Generator) -> Any:
        own = rng.permutation(n) < n * 3 // 4
        names = np.arange(n).astype(str)
        rows = pd.DataFrame({"example_id": names, "category": "", "loss_change": sample})
        (row,) = split_contrasts(
            rows[own], rows[~own], [], clusters=(of.cluster_sizes(n)[own], of.cluster_sizes(n)[~own]),
            rng=np.random.default_rng(rng.integers(2**32)), n_resamples=RESAMPLES,
        )  # fmt: skip
        return row

    return each(lambda rng: of.CLUSTERED.draw(n, 1, rng)[:, 0], {"now": now}, 0.0)


def slope(n: int) -> Simulation:
    """Robust intervals of a slope, beside those of ordinary least squares."""

    def now(sample: tuple[Floats, Floats], _: np.random.Generator) -> Interval:
        fit = least_squares(sample[1], [sample[0]])
        return Interval(fit.coefficients[1], fit.low[1], fit.high[1], n, "", fit.note)

    def before(sample: tuple[Floats, Floats], _: np.random.Generator) -> Interval:
        fit = stats.linregress(*sample)
        half = stats.t.ppf(0.975, n - 2) * fit.stderr
        return Interval(fit.slope, fit.slope - half, fit.slope + half, n, "", "")

    return each(lambda rng: of.rising_spread(n, rng), {"now": now, "before": before}, of.SLOPE)


def calibration(n: int, gap: float) -> Simulation:
    """Intervals of the debiased calibration error of a model of two classes that is right less often, by a gap."""

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        samples = (of.answers(n, gap, rng) for _ in range(sets))
        intervals = [calibration_error(logits, gold) for logits, gold in samples]
        # The gap is the same everywhere, so that it is the error of any bins.
        ends = np.array([(each.low, each.high) for each in intervals])
        return {"now": found(ends[:, 0], ends[:, 1], gap)}

    return simulate


def at_first_loss(n: int, seeds: int, agree: float, number: str) -> Simulation:
    """A number of the second category's line on the first loss of other seeds; samples without one are drawn again."""
    truth, names = {"slope": 0.0, "difference": of.APART}[number], ("clean", "contested")

    def one(rng: np.random.Generator) -> tuple[Floats, Floats]:
        while True:
            rows = at_equal_first_loss(*of.first_losses(n, seeds, agree, rng), names)
            covariate, instrument = rows[[f"{number}_low", f"{number}_high"]].to_numpy()[[1, 3]]
            if np.isfinite(instrument).all():
                return instrument, covariate

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        ends = np.array([one(rng) for _ in range(sets)])
        return {name: found(*ends[:, way].T, truth) for way, name in enumerate(("now", "before"))}

    return simulate


def own_first_loss(n: int) -> Simulation:
    """The difference at the same first loss, which has no noise, in one run."""

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        rows = [
            at_equal_first_loss(*of.first_losses(n, 1, 1.0, rng), ("clean", "contested")).iloc[1] for _ in range(sets)
        ]
        ends = np.array([[row["difference_low"], row["difference_high"]] for row in rows])
        return {"now": found(*ends.T, of.APART)}

    return simulate


def matched(n: int, seeds: int, spread: float) -> Simulation:
    """Simultaneous bands of the difference of two methods at matched loss, which differ in speed alone."""

    def one(rng: np.random.Generator) -> tuple[bool, bool, float]:
        sides = of.phase(n, seeds, spread, rng)
        reached = [[reached_at(training_progress(run.steps, run.means), run.steps) for run in side] for side in sides]
        levels = shared_levels(*reached)
        values = [
            np.stack([at_levels(by, run.losses - run.losses[0], levels) for by, run in zip(own, side, strict=True)])
            for own, side in zip(reached, sides, strict=True)
        ]
        fresh = np.random.default_rng(rng.integers(2**32))
        band = matched_difference(*values, of.cluster_sizes(n), rng=fresh, n_resamples=ALONE)
        below, above = bool((band.high < 0).any()), bool((band.low > 0).any())
        return below, above and not below, float(np.nanmean(band.high - band.low))

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        below, above, length = zip(*(one(rng) for _ in range(sets)), strict=True)
        return {"now": Found(np.array(below), np.array(above), np.array(length))}

    return simulate


INDEPENDENT = "examples taken as independent"
ORDINARY = "ordinary standard errors"
PERCENTILE = "expanded percentile"
EVEN = "by ends of one level"


def over_seeds(n: int, n_seeds: int, spread: float) -> Simulation:
    """The mean of skewed examples under seeds that differ by ``spread`` standard errors of the mean over examples."""

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        examples = rng.gamma(1.0, 1.0, size=(n, sets)) - 1.0
        seeds = spread / np.sqrt(n) * rng.normal(size=(n_seeds, 1, sets))
        values = examples + 0.5 * rng.normal(size=(n_seeds, n, sets)) + seeds
        now = nested_mean_intervals(values, rng=rng.spawn(1)[0], n_resamples=RESAMPLES)
        return {"now": found(now.low, now.high, 0.0)}

    return simulate


def equal_recipes(n: int, n_seeds: int) -> Simulation:
    """The difference of two groups of seeds of the same recipe: they share what examples add, and no seed is alike."""

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        examples, seeds = rng.gamma(1.0, 1.0, size=(n, sets)), 3 / np.sqrt(n)
        first, second = (
            examples + 0.5 * rng.normal(size=(n_seeds, n, sets)) + seeds * rng.normal(size=(n_seeds, 1, sets))
            for _ in range(2)
        )
        now = nested_mean_intervals(second - first, rng=rng.spawn(1)[0], n_resamples=RESAMPLES)
        return {"now": found(now.low, now.high, 0.0)}

    return simulate


def slopes_by_seed(n: int, n_seeds: int) -> Simulation:
    """The mixed-effects slope of seeds whose own slopes are 0.5 ± 0.1."""

    def simulate(rng: np.random.Generator, sets: int) -> Mapping[str, Found]:
        ends = []
        for _ in range(sets):
            slopes, entropy = 0.5 + 0.1 * rng.normal(size=(n_seeds, 1)), rng.normal(size=n)
            rest = 0.8 * rng.normal(size=n) + 0.6 * rng.normal(size=(n_seeds, n))
            slope = mixed_effect(slopes * entropy + np.sqrt(1 - slopes**2) * rest, entropy)
            ends.append((slope.low, slope.high))
        low, high = np.array(ends).T
        return {"now": found(low, high, 0.5)}

    return simulate


CASES: list[Case] = [
    *(
        Case("interval of a mean", population.name, str(n), means(population, n), PERCENTILE)
        for population in of.MEANS
        for n in (30, 100, 300)
    ),
    Case(
        "interval of a mean", of.CLUSTERED.name + ", against no clusters", "100", alone(of.CLUSTERED, 100),
        f"{PERCENTILE}, {INDEPENDENT}",
    ),
    *(
        Case("interval of a difference", f"{a.name} − {b.name}", f"{n} + {n}", difference(a, b, n), PERCENTILE)
        for a, b in ((of.GAMMA, of.MIXTURE), (of.LOGNORMAL, of.NORMAL))
        for n in (30, 100)
    ),
    Case(
        "training against validation examples", "exponential, in clusters of 1 to 3 that both have examples of",
        "120 + 40", splits(160),
    ),
    *(Case("interval of a share", "0.3, in clusters of 1 to 3", str(n), shares(n), INDEPENDENT) for n in (30, 100)),
    *(
        Case("interval of ρ", pairs.name, "100", correlation(pairs, 100), INDEPENDENT if pairs.clusters else "")
        for pairs in of.PAIRS
    ),
    *(
        Case(
            "interval over examples and seeds", f"exponential, seeds' sd {spread} standard errors", f"{n}, 3 seeds",
            over_seeds(n, 3, spread),
        )
        for spread in (2, 5)
        for n in (30, 100)
    ),
    *(
        Case("difference of two groups of seeds", "equal recipes", f"60, {n_seeds} seeds", equal_recipes(60, n_seeds))
        for n_seeds in (2, 3, 10)
    ),
    Case("mixed-effects slope", "slopes that differ by seed", "300, 3 seeds", slopes_by_seed(300, 3)),
    *(
        Case("interval of a slope", "spread and skew rise with x", str(n), slope(n), ORDINARY)
        for n in (30, 100, 300)
    ),
    *(
        Case(
            "interval of the calibration error", f"two classes, {named}", str(n),
            calibration(n, gap),
        )
        for gap, named in ((0.0, "calibrated"), (0.1, "right 0.1 less often than said"))
        for n in (30, 94, 370)
    ),
    *(
        Case("verdict on a change whose mean is 0", population.name, str(n), unlearned(population, n), EVEN)
        for population in (of.NORMAL, of.MIXTURE, of.RARE, of.GAMMA, of.LOGNORMAL)
        for n in (30, 100, 300)
    ),
    *(
        Case(
            "verdict on a change whose mean is not 0", f"{population.name}, mean {rise:+g} standard deviations", "100",
            unlearned(population, 100, rise), EVEN,
        )
        for population in (of.NORMAL, of.MIXTURE, of.GAMMA, of.LOGNORMAL)
        for rise in (-0.25, 0.25)
    ),
    *(
        Case(
            "difference at the same first loss, one run", "skewed, spread of one category twice that of the other",
            f"{n} + {n}", own_first_loss(n),
        )
        for n in (30, 100)
    ),
    *(
        Case(
            f"{number} at the same first loss, by that of other seeds", "first losses of seeds correlate by 0.5",
            f"100 + 100, {seeds} seeds", at_first_loss(100, seeds, 0.5, number), "the first loss itself as a covariate",
        )
        for number, seeds in (("difference", 2), ("difference", 3), ("slope", 3))
    ),
    *(
        Case(
            "band of the difference of two methods at matched loss, which differ in speed alone",
            f"runs {spread:g} nats apart", f"100, {3 * seeds} runs a side", matched(100, seeds, spread),
        )
        for seeds, spread in ((2, 0.03), (2, 0.1))
    ),
]  # fmt: skip


def simulated(case: Case, sets: int, seed: int = 0) -> dict[str, Any]:
    """One case, in parts whose samples share resamples.

    Args:
        case: What is simulated.
        sets: Samples.
        seed: Of all that is drawn.

    Returns:
        Its row: shares of samples, and lengths.
    """
    started = time.perf_counter()
    parts = [
        case.simulate(np.random.default_rng([seed, part]), min(TOGETHER, sets - start))
        for part, start in enumerate(range(0, sets, TOGETHER))
    ]
    row: dict[str, Any] = {"what": case.what, "population": case.population, "n": case.n, "before_is": case.before}
    for method in parts[0]:
        below, above, length = (
            np.concatenate(values) for values in zip(*(part[method] for part in parts), strict=True)
        )
        row[method] = {
            "sets": len(below),
            "covers": round(float(1 - (below | above).mean()), 4),
            "below": round(float(below.mean()), 4),
            "above": round(float(above.mean()), 4),
            "length": None if np.isnan(length).all() else round(float(length.mean()), 4),
        }
    return row | {"seconds": round(time.perf_counter() - started, 1)}


def chosen(only: list[str] | None) -> Iterator[Case]:
    """The cases that are asked for, by any part of what they are."""
    yield from (case for case in CASES if not only or any(name in " · ".join(case.key) for name in only))


def merged(old: list[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows with one put in its place, in the order of the cases; rows of cases that are no more are left out."""
    rows = {(row["what"], row["population"], row["n"]): row for row in [*old, new]}
    return [rows[case.key] for case in CASES if case.key in rows]


def main() -> None:
    """Simulate cases and write each as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="cases whose name holds one of these")
    parser.add_argument("--sets", type=int, default=2000, help="samples of each case")
    parser.add_argument("--out", type=Path, default=OUT, help="file of all rows, into which these are merged")
    options = parser.parse_args()
    for case in chosen(options.only):
        row = simulated(case, options.sets)
        print(json.dumps(row, ensure_ascii=False), flush=True)
        old = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else []
        text = json.dumps(merged(old, row), ensure_ascii=False, indent=1)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
