"""1→0 and 0→1 by category: counted by hand, and against simulated guesses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import paired_interval, transitions
from contested.analysis.intervals import keyed
from contested.errors import DataError

NAMES = ("clean", "contested")


def rng(seed=0):
    return np.random.default_rng(seed)


def answers(both_right, lost, gained, both_wrong):
    first = np.repeat([True, True, False, False], [both_right, lost, gained, both_wrong])
    second = np.repeat([True, False, True, False], [both_right, lost, gained, both_wrong])
    return first, second


def test_counted_by_hand():
    first, second = answers(10, 6, 3, 8)
    names = np.array(["clean"] * 13 + ["contested"] * 14, object)
    clean, contested, overall = transitions(first, second, 3, names, NAMES, rng=rng())
    # The first 13 are right in both 10 times, then 3 of the lost.
    assert clean[:6] == ("clean", 13, 10, 0, 3, 0)
    assert contested[:6] == ("contested", 14, 0, 8, 3, 3)
    assert overall[:6] == ("overall", 27, 10, 8, 6, 3)
    # Three classes: of guesses where the other is wrong one in three is right, so half as many as are wrong in both.
    assert overall.by_guessing == 4.0
    assert overall.lost_beyond == pytest.approx((6 - 4) / 27)
    assert overall.gained_beyond == pytest.approx((3 - 4) / 27)
    assert overall.lost_p_value == pytest.approx(stats.binomtest(6, 14, 1 / 3, alternative="greater").pvalue)
    assert overall.gained_p_value == pytest.approx(stats.binomtest(3, 11, 1 / 3, alternative="greater").pvalue)


def test_intervals_are_those_of_a_mean_over_clusters():
    first, second = answers(30, 12, 9, 20)
    clusters = np.arange(71) // 2
    (overall,) = transitions(first, second, 4, [""] * 71, (), rng=rng(), clusters=clusters)
    each = (first & ~second) - (~first & ~second) / 3
    found = paired_interval(each, clusters, rng=keyed(rng(), "transitions", "overall"))
    assert (overall.lost_low, overall.lost_high) == pytest.approx((found.low, found.high))
    (apart,) = transitions(first, second, 4, [""] * 71, (), rng=rng())
    assert apart.lost_low != overall.lost_low
    assert apart.lost_p_value == overall.lost_p_value


@pytest.mark.parametrize("nested", [True, False])
def test_what_two_guessing_models_would_do_is_taken_off(nested):
    """Each knows its share of the examples, the second a part of the first's or others, and guesses the rest."""
    draw, n, k = rng(2), 60_000, 3
    known = draw.random(n) < 0.5
    also = known & (draw.random(n) < 0.8) if nested else draw.random(n) < 0.4
    first = known | (draw.random(n) < 1 / k)
    second = also | (draw.random(n) < 1 / k)
    (found,) = transitions(first, second, k, [""] * n, (), rng=rng(), n_resamples=100)
    # Lost beyond guessing: known to the first and wrong in the second. Three standard errors of a share.
    assert found.lost_beyond == pytest.approx((known & ~second).mean(), abs=3 * np.sqrt(0.25 / n))
    assert found.gained_beyond == pytest.approx((also & ~first).mean(), abs=3 * np.sqrt(0.25 / n))
    if nested:
        assert found.gained_p_value > 0.001
    assert found.lost_p_value < 1e-6


def test_pure_guessing_alarms_as_rarely_as_the_level():
    draw = rng(4)
    p_values = []
    for _ in range(300):
        first, second = draw.random(200) < 0.25, draw.random(200) < 0.6
        (found,) = transitions(first, second, 4, [""] * 200, (), rng=rng(), n_resamples=40, confidence=0.95)
        p_values.append(found.lost_p_value)
    # An exact test is at most as loud as its level: 5 % and three standard errors of 300 trials.
    assert np.mean(np.array(p_values) <= 0.05) <= 0.088


def test_empty_categories_and_few_examples_say_so():
    first, second = answers(1, 1, 1, 0)
    clean, contested, _ = transitions(first, second, 3, ["clean"] * 3, NAMES, rng=rng())
    assert clean.note == "3 examples: too few for a 95% interval (6 needed)"
    assert (contested.n, contested.note) == (0, "no examples")
    assert np.isnan(contested.lost_p_value)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(DataError, match="expected booleans"):
        transitions([1, 0], [True, False], 3, ["", ""], (), rng=rng())
    with pytest.raises(DataError, match="with one class nothing is guessed"):
        transitions([True], [True], 1, [""], (), rng=rng())
    with pytest.raises(DataError, match="first 1, second 2"):
        transitions([True], [True, False], 2, [""], (), rng=rng())
