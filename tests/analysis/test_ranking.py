from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis.ranking import codes, mean_ranks, rank_correlation, rank_test, weighted_mean_ranks


def test_codes_keep_order_and_ties():
    assert codes(np.array([0.5, -1.0, 0.5, 7.0])).tolist() == [1, 0, 1, 2]
    assert codes(np.array([[2.0, 1.0, 2.0], [7.0, 8.0, np.inf]])).tolist() == [[1, 0, 1], [0, 1, 2]]


def test_mean_ranks_are_rankdata():
    coded = np.random.default_rng(0).integers(0, 5, size=(3, 4, 9))
    assert mean_ranks(coded) == pytest.approx(stats.rankdata(coded, axis=-1))


def test_rank_correlation_is_spearman_of_each_row_and_missing_where_one_is_constant():
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, size=(5, 20)), rng.integers(0, 6, size=(5, 20))
    x[2] = 3
    found = rank_correlation(mean_ranks(x), mean_ranks(y))
    for row in (0, 1, 3, 4):
        assert found[row] == pytest.approx(stats.spearmanr(x[row], y[row]).statistic)
    assert np.isnan(found[2])


@pytest.mark.parametrize("ties", [True, False])
def test_weighted_ranks_are_those_of_the_sample_that_weights_stand_for(ties: bool):
    rng = np.random.default_rng(2)
    values = rng.integers(0, 6, 20) if ties else rng.permutation(20)
    weights = rng.integers(0, 3, size=(4, 20)).astype(float)
    found = weighted_mean_ranks(codes(values), weights)
    for ranks, times in zip(found, weights.astype(int), strict=True):
        expected = stats.rankdata(np.repeat(values, times))
        assert np.array_equal(np.repeat(ranks, times), expected)


@pytest.mark.parametrize("n", [3, 4, 50])
def test_rank_test_is_spearmanr_to_the_last_bit(n: int):
    rng = np.random.default_rng(n)
    x = rng.normal(size=n)
    for y in (x, rng.normal(size=n), rng.integers(0, 3, n) + np.eye(n)[0]):
        expected = stats.spearmanr(x, y)
        assert rank_test(codes(x), codes(y)) == (expected.statistic, expected.pvalue)
