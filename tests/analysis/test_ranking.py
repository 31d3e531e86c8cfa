from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis.ranking import codes, mean_ranks, rank_correlation


def test_codes_keep_order_and_ties():
    assert codes(np.array([0.5, -1.0, 0.5, 7.0])).tolist() == [1, 0, 1, 2]


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
