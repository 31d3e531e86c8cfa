from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import matched_parts
from contested.analysis.matched import ONE_RUN, matched_curve, matched_difference, shared_levels
from contested.errors import ConfigError, DataError

Floats = np.ndarray


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_levels_are_those_that_two_runs_of_each_side_reached() -> None:
    first = [np.array([np.nan, 1.0, 0.2]), np.array([0.9, 0.4]), np.array([0.8, 0.6])]
    second = [np.array([1.1, 0.1]), np.array([1.0, 0.3])]
    # Two of the first reached 0.4 (0.2 and 0.4) and began at 0.9 or above; both of the second reached 0.3, from 1.0.
    assert shared_levels(first, second, n_levels=3).tolist() == pytest.approx([0.9, 0.65, 0.4])
    assert shared_levels(first[:1], second, n_levels=2).tolist() == [1.0, 0.2]
    assert not len(shared_levels([np.array([1.0, 0.9])], [np.array([0.5, 0.4])]))
    assert not len(shared_levels([np.full(2, np.nan)], second))


def test_runs_alone_give_the_two_sample_t_test() -> None:
    # Examples do not differ, so only runs do: ±0.1 about 0 and about 0.3. The residuals are alike in size, so that the
    # wild bootstrap is Student's t with 2 + 2 − 2 degrees of freedom: SciPy's interval of the pooled test.
    first, second = (np.broadcast_to(np.array(m)[:, None, None], (2, 1, 10)) for m in ([-0.1, 0.1], [0.2, 0.4]))
    found = matched_difference(first, second, rng=rng(), n_resamples=40_000)
    expected = stats.ttest_ind([0.2, 0.4], [-0.1, 0.1]).confidence_interval(0.95)
    assert found.estimate == pytest.approx([0.3])
    assert (found.low[0], found.high[0]) == pytest.approx((expected.low, expected.high), rel=0.05)
    at_90 = stats.ttest_ind([0.2, 0.4], [-0.1, 0.1]).confidence_interval(0.90)
    assert (found.low_each[0], found.high_each[0]) == pytest.approx((at_90.low, at_90.high), rel=0.03)
    assert found.verdict == "inconclusive"


def test_examples_alone_give_a_clustered_bootstrap_t() -> None:
    values, clusters = rng(1).gamma(0.5, 1.0, 40), np.repeat(np.arange(20), 2)[rng(2).permutation(40)]
    found = matched_curve(values[None, None, :], clusters, rng=rng(), n_resamples=8000)
    assert found.note == ONE_RUN

    def ratio(rows: Floats) -> tuple[float, float]:
        sums = np.array([values[clusters == row].sum() for row in rows])
        mean = sums.sum() / (2 * len(rows))
        return mean, float(np.sqrt(((sums - 2 * mean) ** 2).sum() * 20 / 19) / (2 * len(rows)))

    mean, error = ratio(np.arange(20))
    generator, t = rng(5), []
    for _ in range(8000):
        drawn = ratio(generator.integers(0, 20, 20))
        t.append(abs(drawn[0] - mean) / drawn[1])
    half = np.quantile(t, 0.95) * error
    assert (found.low[0], found.high[0]) == pytest.approx((mean - half, mean + half), rel=0.04)


def half(first: Floats, second: Floats) -> float:
    """Half the width of the band at the first loss."""
    found = matched_difference(first, second, rng=rng(), n_resamples=4000)
    return float(found.high[0] - found.low[0]) / 2


def test_the_parts_of_examples_and_runs_add_up_as_variances_do() -> None:
    runs = [np.array(means)[:, None, None] for means in ([-0.1, 0.1], [-0.02, 0.02])]
    examples = [rng(seed).normal(size=(1, 1, 40)) for seed in (1, 2)]
    alone = half(*(np.broadcast_to(own, (2, 1, 40)) for own in runs))
    without = half(*(np.broadcast_to(own, (2, 1, 40)) for own in examples))
    # One quantile for both together would be that of the 40 examples wherever so few runs lie close together.
    assert half(*(own + other for own, other in zip(runs, examples, strict=True))) == pytest.approx(
        np.sqrt(alone**2 + without**2)
    )


def test_few_runs_are_not_taken_to_vary_alike_at_all_losses() -> None:
    first, second = (np.array(means)[:, None, None] for means in ([-0.1, 0.1], [0.2, 0.4]))
    one, many = (half(*(np.broadcast_to(own, (2, losses, 10)) for own in (first, second))) for losses in (1, 12))
    # Of two runs a side the residuals are the same at every loss, whatever the runs that were not made would do.
    assert many > 1.2 * one


def test_the_band_is_wider_than_each_interval_and_holds_the_curve() -> None:
    values = [rng(seed).normal(size=(5, 8, 60)) for seed in (1, 2)]
    found = matched_difference(*values, rng=rng(), n_resamples=1000)
    assert (found.low < found.low_each).all()
    assert (found.high > found.high_each).all()
    assert found.estimate == pytest.approx(values[1].mean(axis=(0, 2)) - values[0].mean(axis=(0, 2)))
    assert (found.n, found.n_clusters) == (60, 60)


@pytest.mark.parametrize(("shift", "expected"), [(0.0, "phase"), (0.05, "phase"), (0.3, "differs"), (0.1, "differs")])
def test_a_difference_within_the_margin_is_none(shift: float, expected: str) -> None:
    first, second = (rng(seed).normal(0, 0.02, (4, 3, 50)) for seed in (1, 2))
    found = matched_difference(first, second + shift, rng=rng(), n_resamples=500)
    assert found.verdict == expected
    if shift == 0.05:
        # Distinguishable from 0, and yet smaller than what counts.
        assert (found.low > 0).any()


def test_runs_that_did_not_reach_a_loss_do_not_count_there() -> None:
    first, second = rng(1).normal(size=(3, 2, 30)), rng(2).normal(size=(3, 2, 30))
    first[2, 1] = np.nan
    second[1:, 1] = np.nan
    found = matched_difference(first, second, rng=rng(), n_resamples=300)
    assert found.n_first.tolist() == [3, 2]
    assert found.n_second.tolist() == [3, 1]
    assert found.estimate[1] == pytest.approx(second[0, 1].mean() - first[:2, 1].mean())
    # With one run left on a side nothing is known there of how runs vary.
    assert np.isnan(found.low[1])
    assert np.isfinite(found.low[0])


def test_one_run_a_side_says_nothing_of_methods() -> None:
    first, second = (rng(seed).normal(0, 0.01, (1, 2, 30)) for seed in (1, 2))
    found = matched_difference(first, second + 1.0, rng=rng(), n_resamples=300)
    assert (found.low > 0.9).all()
    assert (found.verdict, found.note) == ("inconclusive", ONE_RUN)


def test_too_few_examples_or_losses_are_said() -> None:
    few = matched_difference(np.zeros((2, 1, 4)), np.zeros((2, 1, 4)), rng=rng())
    assert few.verdict == "inconclusive"
    assert few.note == "4 examples: too few for a 95% interval (6 needed)"
    clustered = matched_curve(np.zeros((2, 1, 10)), np.arange(10) // 5, rng=rng())
    assert clustered.note == "2 clusters: too few for a 95% interval (6 needed)"
    nothing = matched_difference(np.full((2, 1, 9), np.nan), np.zeros((2, 1, 9)), rng=rng())
    assert nothing.note == "no loss that the runs of each side reached"
    assert np.isnan(nothing.estimate).all()
    same = matched_difference(np.ones((2, 1, 9)), np.ones((2, 1, 9)), rng=rng())
    assert (same.low.tolist(), same.high.tolist(), same.verdict) == ([0.0], [0.0], "phase")


def test_runs_of_a_side_may_come_in_parts() -> None:
    first, second = rng(1).normal(size=(7, 3, 20)), rng(2).normal(size=(4, 3, 20))
    first[5, 2] = np.nan
    parts = matched_parts.together([matched_parts.side_of(first[start : start + 3]) for start in (0, 3, 6)])
    whole, found = (matched_difference(one, second, rng=rng(), n_resamples=300) for one in (first, parts))
    for values, expected in zip(found[:7], whole[:7], strict=True):
        assert values == pytest.approx(expected, rel=1e-12)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(2, 1, 9\) and \(2, 3, 9\)"):
        matched_difference(np.zeros((2, 1, 9)), np.zeros((2, 3, 9)), rng=rng())
    with pytest.raises(ConfigError, match="margin: given 0"):
        matched_difference(np.zeros((2, 1, 9)), np.zeros((2, 1, 9)), rng=rng(), margin=0)
    with pytest.raises(DataError, match="2 of 18 values"):
        matched_difference(np.where(np.arange(9) == 3, np.inf, np.zeros((2, 1, 9))), np.zeros((2, 1, 9)), rng=rng())


def test_chance_alone_seldom_makes_a_method() -> None:
    """Runs and examples of one population: at most 5 % of the bands leave 0 out, but for 2.5 standard errors."""
    left_out = 0
    for number in range(200):
        generator = rng(1000 + number)
        clusters = generator.integers(0, 30, 40)
        of_example = generator.gamma(0.5, 0.4, 40) + 0.3 * generator.normal(size=30)[clusters]
        sides = []
        for _ in range(2):
            of_run = 0.05 * generator.normal(size=(3, 1, 1)) * np.array([0.5, 1.0, 1.0])[:, None]
            sides.append(
                np.array([0.3, 0.6, 1.0])[:, None] * of_example + of_run + 0.2 * generator.normal(size=(3, 1, 40))
            )
        found = matched_difference(*sides, clusters, rng=rng(number), n_resamples=200)
        left_out += bool((found.low > 0).any() or (found.high < 0).any())
    assert left_out <= 200 * 0.05 + 2.5 * np.sqrt(200 * 0.05 * 0.95)


def test_many_runs_are_as_sure_as_if_each_were_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    # Curves of 60 runs a side over five losses, the last of which a third of the first side did not reach, and the
    # first four runs a side alone: there it is Student's t with 6 degrees of freedom, elsewhere with about 100.
    generator = rng(3)
    first, second = (
        generator.normal(size=(60, 5)).cumsum(axis=1)[:, :, None] + generator.normal(size=(5, 30)) for _ in range(2)
    )
    first[:20, 4] = first[4:, 0] = second[4:, 0] = np.nan
    found = {}
    for most in (30, 1000):
        monkeypatch.setattr(matched_parts, "_MANY_RUNS", most)
        found[most] = matched_difference(first, second, rng=rng(), n_resamples=20_000)
    for ends in (("low", "high"), ("low_each", "high_each")):
        halves = [getattr(one, ends[1]) - getattr(one, ends[0]) for one in (found[30], found[1000])]
        assert halves[0] == pytest.approx(halves[1], rel=0.02)
    assert (found[30].low != found[1000].low).all()
    # No array has runs by runs for each resample: these would be 64 GB.
    many = [np.tile(side[:, 1:, :10], (17, 1, 1)) for side in (first[20:], second)]
    assert np.isfinite(matched_difference(many[0], many[1], rng=rng(), n_resamples=2000).low).all()
