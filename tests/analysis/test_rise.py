from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import highest_rise
from contested.errors import ConfigError, DataError

STEPS = np.arange(0, 60, 10)


def walks(n, *, looks=6, seed=0):
    return np.random.default_rng(seed).normal(size=(looks, n)).cumsum(axis=0)


def test_two_checkpoints_are_students_t():
    losses = np.vstack([np.zeros(40), np.tile([0.0, 1.0], 20)])
    found = highest_rise(losses, [0, 10], margin=0.1, n_paths=2**16)
    # Changes are 0 and 1, twenty times each: mean 1/2, standard error √(10/39/40). One pair: t at 5 %.
    error, bound = np.sqrt(10 / 39 / 40), stats.t.isf(0.05, 39)
    assert (found.start, found.end, found.n, found.n_clusters, found.note) == (0, 10, 40, 40, "")
    assert found.bound == pytest.approx(bound, abs=1e-3)
    assert (found.estimate, found.statistic) == pytest.approx((0.5, 0.4 / error))
    assert found.low == pytest.approx(0.5 - found.bound * error)
    assert found.rose


def test_the_pair_and_its_bound_are_those_of_a_slow_search():
    losses = walks(60, seed=3)
    losses[2] -= 1.5  # a minimum, from which it rises
    found = highest_rise(losses, STEPS, n_paths=2**14)
    rng, draws, pairs = np.random.default_rng(9), [], [(s, t) for t in range(6) for s in range(t)]
    units = []
    for s, t in pairs:
        change = losses[t] - losses[s]
        units.append((change - change.mean()) / np.sqrt(((change - change.mean()) ** 2).sum()))
    for _ in range(4000):  # a Gaussian multiplier for each example
        draws.append((np.array(units) @ rng.normal(size=60)).max())
    quantile = np.quantile(draws, 0.95)
    bound = stats.t.isf(stats.norm.sf(quantile), 59)
    lows = [
        (losses[t] - losses[s]).mean() - bound * (losses[t] - losses[s]).std(ddof=1) / np.sqrt(60) for s, t in pairs
    ]
    best = pairs[int(np.argmax(lows))]
    assert (found.start, found.end) == (10 * best[0], 10 * best[1])
    assert found.start == 20
    # Of the two quantiles, 4,000 draws have a standard error of 0.03; skewness raises this one by as little.
    assert found.low == pytest.approx(max(lows), abs=0.1 * (losses[5] - losses[2]).std() / np.sqrt(60) * 2)


def test_doubled_examples_in_clusters_are_as_good_as_each_once():
    losses = walks(60)
    once, doubled = (
        highest_rise(losses, STEPS),
        highest_rise(np.hstack([losses, losses]), STEPS, clusters=[i % 60 for i in range(120)]),
    )
    assert (doubled.n, doubled.n_clusters) == (120, 60)
    assert doubled[:6] == pytest.approx(once[:6])


def test_a_checkpoint_without_a_finite_loss_is_left_out():
    losses = walks(60)
    broken = losses.copy()
    broken[2, 7] = np.nan
    assert highest_rise(broken, STEPS) == highest_rise(np.delete(losses, 2, 0), np.delete(STEPS, 2))


@pytest.mark.parametrize(
    ("losses", "note"),
    [
        (np.zeros((6, 0)), "0 independent examples: too few to test (20 needed)"),
        (np.zeros((6, 5)), "5 independent examples: too few to test (20 needed)"),
        (np.ones((6, 40)) * np.arange(6)[:, None], "no two checkpoints differ in more than one amount"),
        (np.vstack([walks(40)[:1], np.full((5, 40), np.nan)]), "fewer than two checkpoints with finite losses"),
    ],
)
def test_what_cannot_be_tested_says_so(losses, note):
    found = highest_rise(losses, STEPS)
    assert (found.start, found.rose, found.note) == (None, False, note)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ConfigError, match="level"):
        highest_rise(walks(30), STEPS, level=0.0)
    with pytest.raises(DataError, match="steps"):
        highest_rise(walks(30), STEPS[:3])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_rise_is_found_by_chance_as_rarely_as_said(sign):
    rng, runs, found = np.random.default_rng(4), 300, 0
    for _ in range(runs):
        skewed = rng.exponential(size=(8, 60)) - 1
        found += highest_rise(sign * skewed.cumsum(axis=0), np.arange(8), n_paths=1000).rose
    # 300 runs at 5 %: two standard errors are 2 · √(0.05 · 0.95 / 300) = 0.025; with upward skewness it is cautious.
    assert found / runs <= 0.05 + 0.025
