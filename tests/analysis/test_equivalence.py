from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from contested.analysis.equivalence import ratio_equivalence
from contested.analysis.intervals import Interval, mean_interval
from contested.errors import ConfigError, DataError


def student(values, confidence=0.95):
    """The interval of Student's t of all values, whatever their shape."""
    flat = np.ravel(values)
    low, high = DescrStatsW(flat).tconfint_mean(alpha=1 - confidence)
    return Interval(float(flat.mean()), low, high, len(flat), "t", "")


def test_a_ratio_by_hand():
    # Reference 1 throughout: least is the mean of values − 0.8, most that of 1.25 − values.
    values = np.array([0.9, 1.1, 1.0, 1.0])
    found = ratio_equivalence(values, np.ones(4), student)
    own = student(values)
    assert (found.ratio, found.least, found.most) == pytest.approx((1.0, 0.2, 0.25))
    assert (found.least_low, found.most_low) == pytest.approx((own.low - 0.8, 1.25 - own.high))
    assert (found.least_high, found.most_high) == pytest.approx((own.high - 0.8, 1.25 - own.low))
    assert found.verdict == "same"


@pytest.mark.parametrize(
    ("ratio", "spread", "verdict"),
    [
        (1.0, 0.01, "same"),
        (0.85, 0.01, "same"),
        (0.75, 0.01, "different"),
        (1.3, 0.01, "different"),
        (1.0, 3.0, "inconclusive"),
        (0.8, 0.2, "inconclusive"),
    ],
)
def test_same_different_or_too_few_to_tell(ratio, spread, verdict):
    wobble = np.random.default_rng(0).normal(0, spread, 50)
    reference = np.full(50, 0.4)
    assert ratio_equivalence(ratio * reference + wobble - wobble.mean(), reference, student).verdict == verdict


def test_which_of_the_two_comes_first_is_all_the_same():
    rng = np.random.default_rng(1)
    for ratio in (0.7, 0.82, 1.0, 1.2, 1.4):
        first = rng.normal(0.5, 0.1, 40)
        second = ratio * first + rng.normal(0, 0.02, 40)
        assert ratio_equivalence(first, second, student).verdict == ratio_equivalence(second, first, student).verdict


def test_without_an_effect_nothing_is_the_same():
    # Both change by nothing: there is no effect to be the same as another.
    rng = np.random.default_rng(2)
    found = ratio_equivalence(rng.normal(0, 0.01, 60), rng.normal(0, 0.01, 60), student)
    assert found.verdict != "same"


@pytest.mark.parametrize("ratio", [0.8, 1.25])
def test_at_the_margin_sameness_is_rarely_said(ratio):
    """Skewed effects, one of which is exactly as much less or more as is still the same: 2.5 % wanted."""
    said = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        reference = rng.exponential(0.4, 80)
        values = ratio * reference + rng.normal(0, 0.1, 80)
        found = ratio_equivalence(values, reference, lambda one, rng=rng: mean_interval(one, rng=rng, n_resamples=200))
        said += found.verdict == "same"
    # 300 sets: 2.5 % ± 0.9 (standard error), and skewness and few resamples may cost a little.
    assert said <= 17


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ConfigError, match="bounds: given"):
        ratio_equivalence([1.0], [1.0], student, bounds=(1.1, 1.2))
    with pytest.raises(DataError, match="given shape"):
        ratio_equivalence([1.0, 2.0], [1.0], student)
