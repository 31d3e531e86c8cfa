from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.errors import ConfigError, DataError
from contested.paper.multiple import adjust


def test_by_hand():
    found = adjust([0.01, 0.04, 0.03, 0.5])
    # Bonferroni: times 4, at most 1
    assert found.p_bonferroni == pytest.approx([0.04, 0.16, 0.12, 1.0])
    # Sorted 0.01 0.03 0.04 0.5 times 4/1, 4/2, 4/3, 4/4: 0.04 0.06 0.0533 0.5; the running minimum from the end
    # makes the second 0.0533.
    assert found.p_bh == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert found.significant_bonferroni.tolist() == [True, False, False, False]
    assert found.significant_bh.tolist() == [True, False, False, False]


def test_benjamini_hochberg_is_scipys():
    p_values = np.random.default_rng(0).beta(0.3, 2, 25)
    assert adjust(p_values).p_bh == pytest.approx(stats.false_discovery_control(p_values))


def test_missing_tests_are_no_part_of_the_family():
    found, without = adjust([0.01, np.nan, 0.02]), adjust([0.01, 0.02])
    for some, all_of_them in zip(found, without, strict=True):
        assert some[[0, 2]].tolist() == all_of_them.tolist()
    assert np.isnan([found.p_bonferroni[1], found.p_bh[1]]).all()
    assert not found.significant_bonferroni[1]
    assert not found.significant_bh[1]


def test_order_moves_with_the_tests():
    p_values = np.random.default_rng(1).random(9) / 10
    order = np.random.default_rng(2).permutation(9)
    for shuffled, straight in zip(adjust(p_values[order]), adjust(p_values), strict=True):
        assert shuffled.tolist() == pytest.approx(straight[order].tolist())


def test_alpha_is_the_level_of_the_decision():
    # 0.02 · 2 = 0.04 and 0.5
    assert adjust([0.02, 0.25]).significant_bonferroni.tolist() == [True, False]
    assert adjust([0.02, 0.25], alpha=0.03).significant_bonferroni.tolist() == [False, False]
    assert adjust([0.025, 1.0]).significant_bonferroni.tolist() == [True, False]  # at most alpha


@pytest.mark.parametrize("p_values", [[], [np.nan, np.nan]])
def test_an_empty_family_decides_nothing(p_values):
    found = adjust(p_values)
    assert np.isnan(found.p_bh).all()
    assert found.significant_bh.tolist() == [False] * len(p_values)


@pytest.mark.parametrize("p_values", [[0.5, 1.5], [-0.1], [[0.5]], 0.5])
def test_what_is_no_p_value_is_refused(p_values):
    with pytest.raises(DataError, match="p_values: given"):
        adjust(p_values)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(ConfigError, match="alpha: given"):
        adjust([0.5], alpha=alpha)
