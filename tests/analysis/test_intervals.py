from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import (
    difference_interval,
    mean_interval,
    mean_intervals,
    share_interval,
    share_intervals,
    smallest_n,
)
from contested.analysis import intervals as module
from contested.analysis.intervals import resampled_means, verdict
from contested.errors import ConfigError, DataError


def generator(seed=0):
    return np.random.default_rng(seed)


class SameRows:
    """A generator whose every draw of row numbers is fixed, so that resamples are known."""

    def __init__(self, rows):
        self.rows = np.asarray(rows)

    def integers(self, low, high, size):
        assert (low, high, size) == (0, self.rows.shape[1], self.rows.shape)
        return self.rows


def test_resampled_means_of_known_resamples():
    values = np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 90.0]])
    found = resampled_means(values, n_resamples=2, rng=SameRows([[0, 0, 1], [2, 1, 2]]))
    # rows 0, 0, 1: (1 + 1 + 2) / 3 and (10 + 10 + 20) / 3; rows 2, 1, 2: (6 + 2 + 6) / 3 and (90 + 20 + 90) / 3
    assert found == pytest.approx(np.array([[4 / 3, 40 / 3], [14 / 3, 200 / 3]]))


def test_every_column_is_taken_over_the_same_resample():
    x = generator().normal(size=40)
    found = resampled_means(np.stack([x, 2 * x + 1], axis=1), n_resamples=50, rng=generator())
    assert found[:, 1] == pytest.approx(2 * found[:, 0] + 1)


def test_resampling_in_blocks_covers_every_resample(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 70)  # 7 resamples of 10 at a time, and a last block of 2
    means = resampled_means(np.full((10, 1), 3.0), n_resamples=30, rng=generator())
    assert means.tolist() == [[3.0]] * 30


def test_mean_interval_agrees_with_scipy_for_many_examples():
    values = generator(1).exponential(size=400)
    found = mean_interval(values, rng=generator(2), n_resamples=20_000)
    bootstrap = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=3)
    # Both are Monte Carlo: the ends have a standard error near 0.0006; the widening is under 1 % here.
    assert (found.low, found.high) == pytest.approx(bootstrap.confidence_interval, abs=0.004)
    assert found.estimate == values.mean()
    assert (found.n, found.method, found.note) == (400, "percentile bootstrap", "")


def test_mean_interval_is_widened_to_student_t_for_few_examples():
    values = stats.norm.ppf((np.arange(12) + 0.5) / 12)
    found = mean_interval(values, rng=generator(), n_resamples=100_000)
    student = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    plain = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=0)
    assert (found.low, found.high) == pytest.approx(student, rel=0.05)
    assert found.high - found.low > 1.1 * np.ptp(plain.confidence_interval)


def testexpanded_quantiles_by_hand():
    # n = 10: t = 2.2622, times √(10 / 9) is 2.3845, Φ(-2.3845) = 0.00855; n = 5: 2.7764 · √(5 / 4), 0.00095
    ladder = np.linspace(0, 1, 100_001)[:, None]
    for n, tail in ((10, 0.00855), (5, 0.00095)):
        low, high = module.expanded_quantiles(ladder, n, 0.95)
        assert low[0] == pytest.approx(tail, abs=1e-5)
        assert high[0] == pytest.approx(1 - tail, abs=1e-5)


@pytest.mark.parametrize("n", [8, 60])
def test_mean_interval_covers_as_often_as_it_says(n):
    rng, hits = generator(7), 0
    for _ in range(500):
        found = mean_interval(rng.normal(0.3, 1.0, n), rng=rng, n_resamples=400)
        hits += found.low <= 0.3 <= found.high
    # Binomial(500, 0.95) has sd 4.9; the plain percentile interval covers near 440 times at n = 8.
    assert 475 - 15 <= hits <= 475 + 15


def test_difference_interval_covers_as_often_as_it_says():
    rng, hits = generator(8), 0
    for _ in range(500):
        found = difference_interval(rng.normal(1, 2, 40), rng.normal(0, 1, 25), rng=rng, n_resamples=400)
        hits += found.low <= 1 <= found.high
    assert 475 - 15 <= hits <= 475 + 15


def test_difference_interval_matches_welch():
    first, second = generator(1).normal(2, 3, 200), generator(2).normal(0, 1, 100)
    found = difference_interval(first, second, rng=generator(3), n_resamples=20_000)
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert found.estimate == pytest.approx(first.mean() - second.mean())
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high), abs=0.03)
    assert found.n == 100


def test_difference_interval_is_widened_as_for_the_smaller_group():
    # A thousand equal values add nothing to the spread of the eight: the interval is theirs alone.
    few, many = generator(1).normal(size=8), np.zeros(1000)
    alone = mean_interval(few, rng=generator(2), n_resamples=20_000)
    found = difference_interval(few, many, rng=generator(2), n_resamples=20_000)
    assert (found.low, found.high, found.n) == pytest.approx((alone.low, alone.high, 8))
    turned = difference_interval(many, few, rng=generator(2), n_resamples=20_000)
    # Monte Carlo: an end at a tail of 0.4 % of 20,000 resamples has a standard error near 0.01 of these widths.
    assert (-turned.high, -turned.low) == pytest.approx((alone.low, alone.high), abs=0.05 * (alone.high - alone.low))
    assert turned.n == 8


def test_wider_confidence_gives_a_wider_interval():
    values = generator().normal(size=50)
    ends = {c: mean_interval(values, rng=generator(), confidence=c) for c in (0.8, 0.95, 0.99)}
    widths = [found.high - found.low for found in ends.values()]
    assert widths == sorted(widths)


def test_intervals_repeat_with_the_same_generator_and_only_then():
    values = generator().normal(size=50)
    first, again, other = (mean_interval(values, rng=generator(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("confidence", "n"), [(0.5, 3), (0.95, 6), (0.99, 8)])
def test_smallest_n(confidence, n):
    # 2 · 2⁻ⁿ ≤ 1 - confidence: n ≥ 1 + log2(20) = 5.3 for 0.95, 1 + log2(100) = 7.6 for 0.99; never below 3
    assert smallest_n(confidence) == n


def test_too_few_examples_have_a_mean_and_a_note_but_no_interval():
    found = mean_interval([1.0, 2.0, 6.0], rng=generator())
    assert found.estimate == 3.0
    assert np.isnan([found.low, found.high]).all()
    assert found.note == "3 examples: too few for a 95% interval (6 needed)"
    assert found.method == "none"


def test_no_examples_have_a_note():
    found = mean_intervals(np.empty((0, 4)), rng=generator())
    assert np.isnan(found.estimate).all()
    assert found.estimate.shape == found.low.shape == (4,)
    assert (found.n, found.note) == (0, "no examples")


def test_difference_with_a_small_group_names_it():
    found = difference_interval(np.ones(50), [0.0, 1.0], rng=generator())
    assert found.estimate == 0.5
    assert np.isnan(found.low)
    assert found.note.startswith("smaller group: 2 examples: too few")
    assert np.isnan(difference_interval(np.ones(50), [], rng=generator()).estimate)


def test_constant_values_have_an_interval_of_no_width():
    found = mean_interval(np.full(20, 0.25), rng=generator())
    assert (found.estimate, found.low, found.high) == (0.25, 0.25, 0.25)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="1 of 8 values"):
        mean_interval([0.0] * 7 + [np.nan], rng=generator())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"confidence": 1.0}, "confidence: given 1.0"),
        ({"confidence": 95}, "confidence: given 95"),
        ({"n_resamples": 39}, "needs at least 40"),
        ({"n_resamples": 150, "confidence": 0.99}, "needs at least 200"),
    ],
)
def test_resampling_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        mean_interval(np.ones(10), rng=generator(), **settings)


@pytest.mark.parametrize(("rose", "n"), [(0, 9), (3, 10), (187, 296), (12, 12)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_share_interval_is_wilsons(rose, n, confidence):
    found = share_interval(np.arange(n) < rose, confidence=confidence)
    wilson = stats.binomtest(rose, n).proportion_ci(confidence, method="wilson")
    assert found.estimate == rose / n
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_share_intervals_by_column():
    flags = np.array([[True, False], [True, True], [False, False], [False, False]])
    assert share_intervals(flags).estimate.tolist() == [0.5, 0.25]
    assert share_intervals(flags).high[1] == share_interval(flags[:, 1]).high


def test_share_of_nothing_has_a_note():
    found = share_interval([])
    assert np.isnan(found.estimate)
    assert found.note == "no examples"


def test_share_intervals_want_two_dimensions():
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        share_intervals([True, False, True])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.2, "rises"),
        (-0.2, -0.1, "falls"),
        (-0.1, 0.2, "unclear"),
        (0.0, 0.2, "unclear"),
        (-0.2, 0.0, "unclear"),
        (np.nan, np.nan, "unclear"),
    ],
)
def test_verdict(low, high, expected):
    assert verdict(low, high) == expected
