from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import correlation as module
from contested.analysis import spearman
from contested.errors import DataError


def generator(seed=0):
    return np.random.default_rng(seed)


def noisy(n, slope=0.5, seed=0):
    x = generator(seed).normal(size=n)
    return x, slope * x + generator(seed + 1).normal(size=n)


def test_rho_by_hand():
    # ranks 1 2 3 4 5 6 against 2 1 4 3 6 5: all d² = 1, ρ = 1 - 6 · 6 / (6 · 35) = 29 / 35
    found = spearman([1, 2, 3, 4, 5, 6], [20, 10, 40, 30, 60, 50], rng=generator())
    assert found.rho == pytest.approx(29 / 35)


def test_rho_and_p_are_scipys_with_ties():
    x, y = (np.round(values, 1) for values in noisy(80))
    found, reference = spearman(x, y, rng=generator()), stats.spearmanr(x, y)
    assert (found.rho, found.p_value) == pytest.approx((reference.statistic, reference.pvalue))


def test_interval_is_scipys_bca_of_spearmanr():
    # The same draws through an obvious, slow statistic: the ends must agree to rounding.
    x, y = (np.round(values, 1) for values in noisy(40))
    found = spearman(x, y, rng=generator(4), n_resamples=300)
    slow = stats.bootstrap(
        (x, y),
        lambda a, b: stats.spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=300,
        method="BCa",
        rng=generator(4),
    )
    assert (found.low, found.high) == pytest.approx(slow.confidence_interval, rel=1e-9)
    assert (found.method, found.direction, found.note) == ("BCa bootstrap", "positive", "")


def test_interval_covers_as_often_as_it_says():
    rng, hits = generator(11), 0
    truth = 6 / np.pi * np.arcsin(0.5 / 2)  # Spearman's ρ of a bivariate normal with r = 0.5
    for _ in range(300):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=60).T
        found = spearman(x, y, rng=rng, n_resamples=400)
        hits += found.low <= truth <= found.high
    # Binomial(300, 0.95): mean 285, sd 3.8
    assert 273 <= hits <= 297


def test_order_of_examples_does_not_change_rho():
    x, y = noisy(50)
    order = generator().permutation(50)
    first, again = spearman(x, y, rng=generator()), spearman(x[order], y[order], rng=generator())
    assert again.rho == pytest.approx(first.rho)
    assert (again.low, again.high) == pytest.approx((first.low, first.high), abs=0.04)


def test_missing_values_are_left_out_and_counted():
    x, y = noisy(30)
    x[3], y[[3, 7]] = np.nan, np.nan
    known = np.delete(np.arange(30), [3, 7])
    found = spearman(x, y, rng=generator(1))
    assert (found.n, found.n_skipped) == (28, 2)
    assert found._replace(n_skipped=0) == spearman(x[known], y[known], rng=generator(1))


def test_infinite_values_are_refused():
    with pytest.raises(DataError, match="aulc: 1 of 10"):
        spearman([np.inf, *range(9)], range(10), rng=generator(), names=("aulc", "entropy"))


def test_constant_input_has_no_rho_and_says_which():
    found = spearman(np.arange(20), np.ones(20), rng=generator(), names=("aulc", "entropy"))
    assert np.isnan([found.rho, found.p_value, found.low, found.high]).all()
    assert found.note == "constant: entropy, so there are no ranks to compare"
    assert found.direction == "unclear"


@pytest.mark.parametrize("n", [0, 1, 2])
def test_two_examples_have_no_rho(n):
    found = spearman(np.arange(n), np.arange(n), rng=generator())
    assert np.isnan(found.rho)
    count = "1 example" if n == 1 else f"{n} examples"
    assert found.note == f"{count}: too few for a rank correlation (3 needed)"


def test_five_examples_have_rho_but_no_interval():
    found = spearman([1, 2, 3, 4, 5], [1, 2, 3, 5, 4], rng=generator())
    assert found.rho == pytest.approx(0.9)
    assert np.isnan(found.low)
    assert found.direction == "unclear"
    assert "6 needed" in found.note


@pytest.mark.filterwarnings("error")
def test_perfect_order_has_a_percentile_interval_and_says_so():
    found = spearman(np.arange(20), np.arange(20) ** 3, rng=generator())
    assert (found.rho, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
    assert found.method == "percentile bootstrap"
    assert "BCa is undefined" in found.note


@pytest.mark.filterwarnings("error")
def test_one_odd_example_supports_no_direction():
    # A third of the resamples miss the only 1 and are constant; the others all have ρ > 0.
    found = spearman([1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 1], rng=generator())
    assert found.low == 0.0
    assert found.direction == "unclear"


def test_many_examples_take_the_percentile_interval(monkeypatch):
    monkeypatch.setattr(module, "_BCA_EXAMPLES", 99)
    x, y = noisy(100)
    found = spearman(x, y, rng=generator(), n_resamples=1000)
    reference = stats.bootstrap(
        (x, y),
        lambda a, b: stats.spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=generator(),
    )
    assert found.method == "percentile bootstrap"
    assert (found.low, found.high) == pytest.approx(reference.confidence_interval)


def test_negative_and_unclear_directions():
    x, y = noisy(100)
    assert spearman(x, -y, rng=generator()).direction == "negative"
    assert spearman(x, generator(5).normal(size=100), rng=generator()).direction == "unclear"


def test_lengths_must_match():
    with pytest.raises(DataError, match="aulc 4, entropy 5"):
        spearman(range(4), range(5), rng=generator(), names=("aulc", "entropy"))
