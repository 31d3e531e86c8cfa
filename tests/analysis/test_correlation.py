from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import rank_bootstrap as module
from contested.analysis import spearman
from contested.analysis.rank_bootstrap import bca_ends
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
    monkeypatch.setattr(module, "_BCA_CLUSTERS", 99)
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


def published():
    """Scores A of the spatial test: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, §14.2."""
    return np.array(
        [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41]
    )


def test_bca_gives_the_published_interval():
    # Given there: variance 171.5, acceleration 0.061, bias 0.146, 90 % BCa interval [115.8, 259.6] of 2,000 resamples,
    # percentile interval [100.8, 233.9]. Ends of 2,000 resamples have standard errors near 2 and 5.
    scores = published()
    drawn = scores[generator().integers(0, 26, size=(100_000, 26))].var(axis=1)
    left_out = np.array([np.delete(scores, row).var() for row in range(26)])
    assert scores.var() == pytest.approx(171.5, abs=0.05)
    low, high = bca_ends(scores.var(), drawn, left_out, 0.9)
    assert low == pytest.approx(115.8, abs=4)
    assert high == pytest.approx(259.6, abs=10)
    assert np.quantile(drawn, [0.05, 0.95]) == pytest.approx([100.8, 233.9], abs=10)


def test_bca_gives_scipys_interval():
    scores = published()
    found = stats.bootstrap((scores,), np.var, n_resamples=999, method="BCa", rng=generator(1))
    left_out = np.array([np.delete(scores, row).var() for row in range(26)])
    ends = bca_ends(scores.var(), found.bootstrap_distribution, left_out, 0.95)
    assert ends == pytest.approx(found.confidence_interval, rel=1e-12)


def test_rho_over_clusters_is_the_slow_bca_of_clusters_drawn_whole():
    sizes = generator(1).integers(1, 5, size=20)
    names = generator(2).permutation(np.repeat(np.arange(20), sizes))
    x = np.round(names / 5 + generator(3).normal(size=len(names)), 1)
    y = np.round(x + names % 3 + generator(4).normal(size=len(names)), 0)
    found = spearman(x, y, clusters=[f"premise {name}" for name in names], rng=generator(5), n_resamples=200)
    members = [np.flatnonzero(names == name) for name in dict.fromkeys(names)]

    def rho(chosen):
        rows = np.concatenate([members[index] for index in chosen])
        return stats.spearmanr(x[rows], y[rows]).statistic

    drawn = np.array([rho(chosen) for chosen in generator(5).integers(0, 20, size=(200, 20))])
    left_out = np.array([rho(np.delete(np.arange(20), index)) for index in range(20)])
    assert (found.low, found.high) == pytest.approx(bca_ends(rho(range(20)), drawn, left_out, 0.95), rel=1e-9)
    assert (found.method, found.n) == ("BCa bootstrap", len(names))


def test_p_over_clusters_is_that_of_the_infinitesimal_jackknife():
    names = generator(2).permutation(np.repeat(np.arange(20), generator(1).integers(1, 5, size=20)))
    x = np.round(names / 9 + generator(3).normal(size=len(names)), 1)
    y = np.round(x / 2 + names % 3 + generator(4).normal(size=len(names)), 0)
    found, n, copies = spearman(x, y, clusters=names, rng=generator(), n_resamples=50), len(names), 400
    # One of 400 copies of a cluster left out moves ρ by 1 / (400 n) of what its examples' influences sum up to.
    many = np.tile(np.arange(n), copies)
    whole = stats.spearmanr(x[many], y[many]).statistic
    sums = []
    for name in range(20):
        rows = np.concatenate([many[n:], np.flatnonzero(names != name)])
        sums.append((whole - stats.spearmanr(x[rows], y[rows]).statistic) * n * copies)
    error = np.sqrt(20 / 19 * np.square(sums).sum()) / n
    z = np.arctanh(found.rho) * (1 - found.rho**2) / error
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(z), 19), rel=0.05)
    assert 0.001 < found.p_value < 0.9


def test_copies_of_examples_tell_no_more_about_rho_than_the_examples():
    x, y = noisy(60)
    names = np.repeat(np.arange(60), 5)
    copied = spearman(np.repeat(x, 5), np.repeat(y, 5), clusters=names, rng=generator(1))
    once = spearman(x, y, rng=generator(1))
    assert copied.rho == pytest.approx(once.rho)
    # Monte Carlo of 2,000 resamples each: ends have a standard error near 0.006.
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=0.03)
    assert copied.p_value > 1e-10 > spearman(np.repeat(x, 5), np.repeat(y, 5), rng=generator(1)).p_value


def test_p_over_clusters_is_uniform_without_a_correlation():
    rng, p_values = generator(6), []
    names = np.repeat(np.arange(40), 3)
    for trial in range(200):
        x, y = (rng.normal(size=40)[names] + 0.3 * rng.normal(size=120) for _ in range(2))
        p_values.append(spearman(x, y, clusters=names, rng=generator(trial), n_resamples=60).p_value)
    # Binomial(200, 0.05): sd 0.0154; with each example by itself a quarter lies below 0.05.
    assert 0.004 <= np.mean(np.array(p_values) < 0.05) <= 0.096


def test_missing_values_leave_their_clusters_out():
    x, y = noisy(30)
    names = np.arange(30) // 2
    x[3], y[[2, 7]] = np.nan, np.nan
    known = np.delete(np.arange(30), [2, 3, 7])
    found = spearman(x, y, clusters=names, rng=generator(1))
    assert found._replace(n_skipped=0) == spearman(x[known], y[known], clusters=names[known], rng=generator(1))


def test_many_clusters_take_the_percentile_interval(monkeypatch):
    monkeypatch.setattr(module, "_BCA_CLUSTERS", 40)
    x, y = noisy(100)
    found = spearman(x, y, clusters=np.arange(100) // 2, rng=generator(), n_resamples=1000)
    assert found.method == "percentile bootstrap"
    assert found.low < found.rho < found.high


def test_few_clusters_have_rho_but_no_interval():
    found = spearman(*noisy(30), clusters=np.arange(30) // 6, rng=generator())
    assert np.isfinite(found.rho)
    assert np.isnan(found.p_value)
    assert found.note == "5 clusters: too few for a 95% interval (6 needed)"


def test_equal_clusters_have_a_percentile_interval_and_say_so():
    x = np.tile([1.0, 2.0, 3.0], 10)
    found = spearman(x, x**2, clusters=np.repeat(np.arange(10), 3), rng=generator())
    assert (found.low, found.high, found.p_value) == (1.0, 1.0, 0.0)
    assert "BCa is undefined" in found.note
