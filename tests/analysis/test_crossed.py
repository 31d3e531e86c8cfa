from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from contested.analysis.crossed import crossed_ends, crossed_half, crossed_p, share_of_examples


def two_way(n_sets, n_seeds, n, together):
    """Sets of values of crossed seeds and examples, shape (S, N, sets)."""
    rng = np.random.default_rng(0)
    own = together * rng.normal(size=(n_seeds, n, n_sets)) + 0.2 * rng.normal(size=(n_seeds, 1, n_sets))
    return rng.gamma(1.0, 1.0, size=(n, n_sets)) + own


def test_half_a_length_by_hand():
    # √(9 + 16) = 5 times (9 · 2 + 16 · 4) / 25.
    assert crossed_half([(np.array([9.0]), 2.0), (np.array([16.0]), 4.0)]).tolist() == [16.4]
    assert crossed_half([(np.zeros(1), 2.0), (np.zeros(1), 4.0)]).tolist() == [0.0]
    # √(1 + 16) times (2 + 16 · 12) / 17 is 47.05: less than 4 · 12 of the second part alone.
    assert crossed_half([(np.array([1.0]), 2.0), (np.array([16.0]), 12.0)]).tolist() == [48.0]


def test_ends_by_hand():
    # Seeds 1, 2, 3: variance 1, of their mean 1/3. Examples: ends 1.96 and 3.92 away are standard errors of 1 and 2, of
    # whose squares 3/4 are the examples' own: 0.75 and 3. t(0.975, 2) = 4.30265.
    # Lower half: (0.75 · 1.95996 + 4.30265 / 3) / √(0.75 + 1/3), upper (3 · 1.95996 + 4.30265 / 3) / √(3 + 1/3).
    low, high = crossed_ends(
        np.array([2.0]), (np.array([0.040036]), np.array([5.919928])), [np.array([[1.0], [2.0], [3.0]])],
        np.array([0.75]), 0.95,
    )  # fmt: skip
    # 1.469973 + 1.434217 = 2.904190 over 1.040833; 5.879892 + 1.434217 = 7.314109 over 1.825742.
    assert (2.0 - low[0], high[0] - 2.0) == pytest.approx((2.790254, 4.006102), abs=1e-5)


def test_seeds_that_do_not_differ_leave_the_interval_over_examples_and_examples_that_do_not_leave_students():
    seeds = np.array([[0.1], [0.2], [0.6]])
    low, high = crossed_ends(np.array([0.3]), (np.array([0.3]), np.array([0.3])), [seeds], np.array([1.0]), 0.9)
    assert (low[0], high[0]) == pytest.approx(stats.t.interval(0.9, 2, loc=0.3, scale=stats.sem(seeds[:, 0])))
    ends = np.array([-1.0]), np.array([4.0])
    same = crossed_ends(np.array([0.3]), ends, [np.full((3, 1), 0.3)], np.array([1.0]), 0.9)
    assert np.concatenate(same) == pytest.approx([-1.0, 4.0])


def test_the_share_of_examples_is_that_of_a_two_way_analysis_of_variance():
    values = two_way(2, 3, 40, 0.7)
    model = [
        sm.OLS.from_formula(
            "y ~ C(seed) + C(example)",
            pd.DataFrame({"y": one.ravel(), "seed": np.repeat(range(3), 40), "example": np.tile(range(40), 3)}),
        ).fit()
        for one in np.moveaxis(values, 2, 0)
    ]
    # The variance of the mean over fixed seeds is MS(examples) / SN, of which MS(residual) / SN is of both together.
    table = [sm.stats.anova_lm(fit)["mean_sq"] for fit in model]
    expected = [1 - one["Residual"] / one["C(example)"] for one in table]
    influence = values - values.mean(axis=1, keepdims=True)
    assert share_of_examples([influence], np.arange(40)) == pytest.approx(expected)


def test_the_share_of_examples_is_over_clusters():
    # Each example twice, once with the opposite interaction: what differs by seed cancels within each pair.
    values = two_way(1, 3, 40, 0.7)
    alike, influence = values.mean(axis=0), values - values.mean(axis=1, keepdims=True)
    mirrored = np.concatenate([influence, 2 * (alike - alike.mean()) - influence], axis=1)
    pairs = np.tile(np.arange(40), 2)
    assert share_of_examples([mirrored], pairs) == pytest.approx(1.0)
    assert share_of_examples([mirrored], np.arange(80)) < 0.95
    assert share_of_examples([np.zeros((3, 5, 1))], np.arange(5)).tolist() == [0.0]


@pytest.mark.parametrize("estimate", [-2.0, 0.4, 3.0])
def test_p_by_hand_and_by_the_confidence_whose_interval_ends_at_0(estimate):
    seeds, share = estimate + np.array([-0.4, 0.1, 0.3]), np.array([0.7])
    end = estimate - np.sign(estimate) * 1.959964 * 0.5  # a standard error of 0.5 over examples
    found = crossed_p(estimate, end, seeds, 0.7, 0.95)
    z = stats.norm.isf(found / 2)
    ends = np.array([estimate - 0.5 * z]), np.array([estimate + 0.5 * z])
    low, high = crossed_ends(np.array([estimate]), ends, [seeds[:, None]], share, 1 - found)
    assert (low if estimate > 0 else high)[0] == pytest.approx(0.0, abs=1e-6)
    # Examples alone: a z test; seeds alone: Student's.
    assert crossed_p(estimate, end, np.full(3, estimate), 1.0, 0.95) == pytest.approx(
        2 * stats.norm.sf(abs(estimate) / 0.5), rel=1e-5
    )
    assert crossed_p(estimate, end, seeds, 0.0, 0.95) == pytest.approx(stats.ttest_1samp(seeds, 0).pvalue)


def test_p_of_no_distance_is_1():
    assert crossed_p(0.0, 1.0, np.array([-0.1, 0.1]), 0.5, 0.95) == 1.0
