from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import kendall_tau, kendall_w, rank_trend
from contested.errors import DataError


def generator(seed=0):
    return np.random.default_rng(seed)


def slow_tau_b(x, y):
    """(concordant - discordant) / √((pairs - tied in x)(pairs - tied in y)), pair by pair."""
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i in range(len(x)) for j in range(i)]
    return sum(a * b for a, b in signs) / np.sqrt(sum(a * a for a, _ in signs) * sum(b * b for _, b in signs))


def test_tau_by_hand():
    # pairs of (1, 2, 3, 4) with (1, 3, 2, 4): 5 concordant, 1 discordant, τ = 4 / 6
    assert kendall_tau([1, 2, 3, 4], [1, 3, 2, 4]).tau == pytest.approx(4 / 6)


def test_tau_b_counts_ties_pair_by_pair():
    x, y = generator().integers(0, 5, 40), generator(1).integers(0, 4, 40)
    found = kendall_tau(x, y)
    assert found.tau == pytest.approx(slow_tau_b(x, y))
    assert abs(found.tau - stats.kendalltau(x, y, variant="c").statistic) > 1e-4
    assert (found.n, found.note) == (40, "")


def test_small_tau_has_the_exact_p():
    # 5 points in perfect order: of 5! = 120 orders 1 is as concordant and 1 as discordant
    assert kendall_tau(range(5), range(5)).p_value == pytest.approx(2 / 120)


def test_tau_leaves_missing_values_out_and_says_so():
    found = kendall_tau([1, 2, np.nan, 3, 4], [1, 2, 9, 4, 3])
    assert (found.n, found.tau) == (4, pytest.approx(4 / 6))
    assert found.note == "1 examples left out: a value is missing"


@pytest.mark.parametrize(
    ("x", "note"), [([1, 1, 1, 1], "constant: x, so there are no ranks"), ([], "0 examples: too few")]
)
def test_tau_that_does_not_exist_says_why(x, note):
    found = kendall_tau(x, range(len(x)))
    assert np.isnan([found.tau, found.p_value]).all()
    assert found.note.startswith(note)


def test_tau_does_not_depend_on_order():
    x, y = generator().normal(size=30), generator(1).normal(size=30)
    order = generator(2).permutation(30)
    assert kendall_tau(x[order], y[order])[:2] == pytest.approx(kendall_tau(x, y)[:2])


def test_w_by_hand():
    # Three judges of three: ranks 1 2 3, 1 3 2, 2 1 3. Sums 4 6 8, mean 6, S = 8; W = 12 · 8 / (9 · 24) = 4 / 9
    found = kendall_w([[10, 20, 30], [10, 30, 20], [0.2, 0.1, 0.3]])
    assert found.w == pytest.approx(4 / 9)
    # χ² = 3 · 2 · 4 / 9 with 2 degrees of freedom, where sf(x) = exp(-x / 2)
    assert (found.chi2, found.p_value) == pytest.approx((24 / 9, np.exp(-12 / 9)))
    assert (found.m, found.n, found.note) == (3, 3, "")


@pytest.mark.parametrize("ties", [False, True])
def test_w_is_friedmans_test(ties):
    # Friedman's χ² of N treatments in m blocks is m (N - 1) W, with the same correction for ties.
    orders = generator().normal(size=(4, 12)) + np.arange(12) / 8
    orders = np.round(orders) if ties else orders
    found, friedman = kendall_w(orders), stats.friedmanchisquare(*orders.T)
    assert (found.chi2, found.p_value) == pytest.approx((friedman.statistic, friedman.pvalue))
    assert found.w == pytest.approx(friedman.statistic / (4 * 11))


def test_w_is_the_mean_correlation_between_seeds():
    # Without ties W = (1 + (m - 1) mean ρ) / m
    orders = generator(3).normal(size=(3, 50)) + generator(4).normal(size=50)
    rho = np.mean([stats.spearmanr(orders[i], orders[j]).statistic for i in range(3) for j in range(i)])
    assert kendall_w(orders).w == pytest.approx((1 + 2 * rho) / 3)


def test_w_of_the_same_order_is_one_and_infinity_is_the_last_rank():
    assert kendall_w([[1, 2, 3, 9], [10, 20, 30, 40]]).w == pytest.approx(1.0)
    never = kendall_w([[100, np.inf, 200, np.inf], [1, 3, 2, 3]])
    assert never.w == pytest.approx(1.0)


def test_w_does_not_depend_on_the_order_of_seeds_or_examples():
    orders = generator().integers(0, 6, size=(3, 20))
    shuffled = orders[[2, 0, 1]][:, generator(1).permutation(20)]
    assert kendall_w(shuffled).w == pytest.approx(kendall_w(orders).w)


@pytest.mark.parametrize(
    ("orders", "note"),
    [
        ([[1, 2, 3]], "1 order(s) of 3 example(s): agreement needs at least 2"),
        ([[1], [2]], "2 order(s) of 1 example(s)"),
        (np.empty((0, 5)), "0 order(s) of 5"),
        (np.ones((3, 4)), "constant: every order"),
    ],
)
def test_w_that_does_not_exist_says_why(orders, note):
    found = kendall_w(orders)
    assert np.isnan([found.w, found.chi2, found.p_value]).all()
    assert found.note.startswith(note)


def test_w_refuses_missing_values_and_other_shapes():
    with pytest.raises(DataError, match="1 of 4 values are NaN; give infinity"):
        kendall_w([[1, np.nan], [1, 2]])
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        kendall_w([1, 2, 3])


def test_trend_of_six_ranks_has_the_exact_p():
    # In perfect order 1 of 6! = 720 orders rises as much, and 1 falls as much.
    found = rank_trend([1, 2, 4, 8, 16, 32], [0.1, 0.2, 0.25, 0.3, 0.31, 0.4])
    assert (found.rho, found.p_value, found.n, found.note) == (pytest.approx(1.0), pytest.approx(2 / 720), 6, "")


def test_trend_with_ties_counts_every_order_by_scipy():
    ranks, rhos = [1, 2, 4, 4, 8], [0.1, 0.3, 0.2, 0.3, 0.5]
    observed = stats.spearmanr(ranks, rhos).statistic
    drawn = [stats.spearmanr(ranks, order).statistic for order in permutations(rhos)]
    found = rank_trend(ranks, rhos)
    assert found.rho == pytest.approx(observed)
    assert found.p_value == np.mean([abs(rho) >= abs(observed) - 1e-9 for rho in drawn])


def test_trend_of_six_is_scipys_permutation_test():
    ranks, rhos = [1, 2, 4, 8, 16, 32], [0.3, 0.1, 0.2, 0.5, 0.4, 0.6]
    reference = stats.permutation_test(
        (rhos,), lambda y: stats.spearmanr(ranks, y).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    assert rank_trend(ranks, rhos).p_value == pytest.approx(reference.pvalue)


def test_trend_of_many_runs_is_approximate_and_says_so():
    ranks, rhos = np.arange(9), [1, 0, 2, 4, 3, 6, 5, 8, 7]
    found = rank_trend(ranks, rhos)
    assert found.p_value == pytest.approx(stats.spearmanr(ranks, rhos).pvalue)
    assert found.note == "9 runs: p is Student's t approximation"


@pytest.mark.parametrize(
    ("ranks", "rhos", "note"),
    [
        ([1, 2], [0.1, 0.2], "2 runs: too few"),
        ([4, 4, 4], [0.1, 0.2, 0.3], "constant: rank"),
        ([1, 2, 4], [0.1, np.nan, 0.3], "2 runs: too few"),
    ],
)
def test_trend_that_does_not_exist_says_why(ranks, rhos, note):
    found = rank_trend(ranks, rhos)
    assert np.isnan([found.rho, found.p_value]).all()
    assert found.note.startswith(note)


def test_trend_leaves_missing_runs_out_and_says_so():
    found = rank_trend([1, 2, 4, 8], [0.1, np.nan, 0.3, 0.2])
    assert (found.n, found.rho, found.note) == (3, pytest.approx(0.5), "1 runs left out: a value is missing")
