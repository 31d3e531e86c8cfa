from __future__ import annotations

import cProfile
import pstats

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from contested.analysis import intervals as intervals_module
from contested.analysis import (
    mean_interval,
    mixed_effect,
    nested_interval,
    nested_mean_interval,
    nested_mean_intervals,
    nested_spearman_interval,
    over_seeds,
    seed_interval,
)
from contested.errors import ConfigError, DataError


def generator(seed=0):
    return np.random.default_rng(seed)


def crossed(n_seeds=3, n=60, slope=0.5, seed=0):
    """AULC of the same examples under several seeds, and their entropy with ties."""
    rng = generator(seed)
    entropy = np.round(rng.normal(size=n), 1)
    example = slope * entropy + 0.6 * rng.normal(size=n)
    return example + 0.5 * rng.normal(size=(n_seeds, 1)) + 0.4 * rng.normal(size=(n_seeds, n)), entropy


def mean_rho(aulc, entropy):
    return np.mean([stats.spearmanr(row, entropy).statistic for row in aulc])


# over_seeds


def test_mean_and_sample_sd_by_hand():
    # deviations -1, 0, 1: (1 + 0 + 1) / (3 - 1) = 1
    assert over_seeds([0.3, 1.3, 2.3]) == (pytest.approx(1.3), pytest.approx(1.0), 3, "")


def test_one_seed_has_a_mean_and_no_sd():
    found = over_seeds([0.3])
    assert (found.mean, found.n, found.note) == (0.3, 1, "one seed: no standard deviation")
    assert np.isnan(found.sd)


def test_seeds_without_a_value_are_left_out_and_counted():
    found = over_seeds([0.1, np.nan, 0.3])
    assert (found.mean, found.n) == (pytest.approx(0.2), 2)
    assert found.note == "1 of 3 seeds left out: the value is missing"
    assert over_seeds([np.nan, 0.5]).note.endswith("missing; one seed: no standard deviation")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_no_seeds_have_a_note(values):
    found = over_seeds(values)
    assert np.isnan([found.mean, found.sd]).all()
    assert found.n == 0
    assert found.note.endswith("no seeds")


def test_an_infinite_value_is_refused():
    with pytest.raises(DataError, match="values: 1 of 2"):
        over_seeds([1.0, np.inf])


# seed_interval


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_an_interval_over_seeds_is_students(confidence):
    values = [0.61, 0.72, 0.66, 0.9]
    found = seed_interval(values, confidence=confidence)
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(confidence, 3, loc=np.mean(values), scale=stats.sem(values))
    )
    assert (found.mean, found.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (found.n, found.note) == (4, "")


def test_an_interval_over_seeds_ends_where_values_end():
    # Half width 12.7062 · 0.1 on both sides of 0.7 without bounds.
    free, share = seed_interval([0.6, 0.8]), seed_interval([0.6, 0.8], bounds=(0, 1))
    assert (free.low, free.high) == pytest.approx((0.7 - 1.27062, 0.7 + 1.27062), abs=1e-5)
    assert (share.mean, share.low, share.high) == (free.mean, 0, 1)
    assert seed_interval([0.6, 0.8], bounds=(-1, 3)).low == free.low


def test_one_seed_has_no_interval_over_seeds():
    found = seed_interval([0.5, np.nan])
    assert (found.mean, found.n) == (0.5, 1)
    assert np.isnan([found.sd, found.low, found.high]).all()
    assert "1 of 2 seeds left out" in found.note


# nested intervals


def test_nested_rho_is_the_slow_statistic_on_the_same_resamples():
    aulc, entropy = crossed()
    both = np.stack([aulc, np.broadcast_to(entropy, aulc.shape)], axis=2)

    def slow(sample):
        return mean_rho(sample[:, :, 0], sample[0, :, 1])

    found = nested_spearman_interval(aulc, entropy, rng=generator(4), n_resamples=200)
    reference = nested_interval(slow, both, rng=generator(4), n_resamples=200)
    assert found[:3] == pytest.approx(reference[:3])
    assert found[3:] == reference[3:] == (60, "nested percentile bootstrap", "")
    assert found.estimate == pytest.approx(mean_rho(aulc, entropy))


def test_nested_resamples_are_the_same_examples_of_resampled_seeds():
    # Example i of seed s is 1000 s + i, so that a resample says what it drew.
    values = 1000 * np.arange(3)[:, None] + np.arange(50)
    drawn = []
    nested_interval(lambda sample: drawn.append(sample) or 0.0, values, rng=generator(), n_resamples=500)
    assert drawn[0].tolist() == values.tolist()  # the estimate is of the data themselves
    seeds = np.array([sample[:, 0] // 1000 for sample in drawn[1:]]).astype(int)
    examples = np.array([sample[0] % 1000 for sample in drawn[1:]]).astype(int)
    for sample in drawn[1:]:
        assert (sample % 1000 == sample[0] % 1000).all()
        assert (sample // 1000 == sample[:, :1] // 1000).all()
    # Uniform draws: 1,500 seeds and 25,000 examples; sd of a count 18 and 22.
    assert np.bincount(seeds.ravel()) == pytest.approx(500, abs=75)
    assert np.bincount(examples.ravel()) == pytest.approx(500, abs=100)
    # With replacement: 3 of 3 seeds differ in 3! / 27 of the resamples, sd 0.02.
    assert np.mean([len(set(row)) == 3 for row in seeds]) == pytest.approx(6 / 27, abs=0.07)


def test_nested_mean_has_the_spread_of_a_two_way_layout():
    # values = seed + example + rest: seeds drawn in S and examples in N give a bootstrap variance of
    # var(seed means) / S + var(example means) / N + var(rest) / (S N), each var with its plain mean of squares.
    rng = generator(1)
    seeds, examples = np.array([-0.1, 0.0, 0.3]), rng.normal(size=300)
    rest = rng.normal(size=(3, 300))
    rest -= rest.mean(axis=0) + rest.mean(axis=1, keepdims=True) - rest.mean()
    variance = seeds.var() / 3 + examples.var() / 300 + rest.var() / 900
    drawn = []
    values = seeds[:, None] + examples + rest
    nested_interval(lambda sample: drawn.append(sample.mean()) or drawn[-1], values, rng=rng, n_resamples=4000)
    assert np.var(drawn[1:]) == pytest.approx(variance, rel=0.1)
    found = nested_mean_interval(values, rng=rng, n_resamples=20_000)
    low, high = np.quantile(drawn[1:], [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)


def test_nested_means_are_the_slow_statistic_but_for_the_widening(monkeypatch):
    aulc, _ = crossed()
    stacked = np.stack([aulc, -3 * aulc, aulc**2], axis=2)

    def plain(resampled, n, confidence):
        return np.quantile(resampled, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)

    monkeypatch.setattr("contested.analysis.seeds.expanded_quantiles", plain)
    monkeypatch.setattr(intervals_module, "_BLOCK", 700)  # 11 resamples of 60 at a time, and a last block of 2
    found = nested_mean_intervals(stacked, rng=generator(2), n_resamples=90, confidence=0.9)
    for column in range(3):
        slow = nested_interval(np.mean, stacked[:, :, column], rng=generator(2), n_resamples=90, confidence=0.9)
        parts = found.estimate[column], found.low[column], found.high[column]
        assert parts == pytest.approx(slow[:3])


def test_nested_mean_is_widened_as_the_mean_of_one_run_is():
    values = generator(3).normal(size=(1, 8))
    found = nested_mean_interval(values, rng=generator(1), n_resamples=20_000)
    single = mean_interval(values[0], rng=generator(2), n_resamples=20_000)
    assert found[:3] == pytest.approx(single[:3], abs=0.05)
    assert found.note == "one seed: only examples are resampled"


def test_one_seed_is_scipys_percentile_bootstrap_of_rho():
    aulc, entropy = crossed(1, 100)
    found = nested_spearman_interval(aulc, entropy, rng=generator(), n_resamples=1500)
    reference = stats.bootstrap(
        (aulc[0], entropy), lambda a, b: stats.spearmanr(a, b).statistic, paired=True, vectorized=False,
        n_resamples=1500, method="percentile", rng=1,
    )  # fmt: skip
    # Both are Monte Carlo, with a standard error of the ends near 0.005.
    assert (found.low, found.high) == pytest.approx(reference.confidence_interval, abs=0.03)
    assert found.note == "one seed: only examples are resampled"


def test_seeds_that_agree_add_nothing_and_seeds_that_differ_widen():
    aulc, entropy = crossed(1, 100)
    width = {}
    for name, runs in {"one": aulc, "alike": np.repeat(aulc, 3, axis=0), "differ": np.vstack([aulc, -aulc])}.items():
        found = nested_spearman_interval(runs, entropy, rng=generator(), n_resamples=1000)
        width[name] = found.high - found.low
    assert width["alike"] == pytest.approx(width["one"], abs=0.02)
    assert width["differ"] > 3 * width["one"]


def test_order_of_seeds_and_examples_does_not_change_the_numbers():
    aulc, entropy = crossed()
    order = generator(5).permutation(60)
    first = nested_spearman_interval(aulc, entropy, rng=generator(), n_resamples=4000)
    again = nested_spearman_interval(aulc[[1, 2, 0]][:, order], entropy[order], rng=generator(), n_resamples=4000)
    assert again.estimate == pytest.approx(first.estimate)
    assert (again.low, again.high) == pytest.approx((first.low, first.high), abs=0.03)


def test_nested_rho_covers_as_often_as_it_says_when_seeds_hardly_differ():
    rng, hits = generator(11), 0
    for _ in range(300):
        example = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=80).T
        aulc = example[0] + 1e-3 * rng.normal(size=(3, 80))
        found = nested_spearman_interval(aulc, example[1], rng=rng, n_resamples=300)
        hits += found.low <= 6 / np.pi * np.arcsin(0.25) <= found.high
    # Binomial(300, 0.95): mean 285, sd 3.8; the percentile interval covers a little less.
    assert 268 <= hits <= 298


def test_resamples_are_ranked_in_blocks_and_not_one_by_one():
    # 2,000 resamples of 1,211 examples under 3 seeds: a loop over resamples makes several calls for each.
    aulc, entropy = crossed(3, 1211)
    profile = cProfile.Profile()
    profile.runcall(nested_spearman_interval, aulc, entropy, rng=generator(), n_resamples=2000)
    assert pstats.Stats(profile).total_calls < 2000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("aulc", "entropy", "note"),
    [
        (np.ones((2, 9)), np.arange(9), "constant: aulc of 2 of 2 seeds"),
        (np.vstack([np.arange(9), np.ones(9)]), np.arange(9), "constant: aulc of 1 of 2 seeds"),
        (np.arange(18).reshape(2, 9), np.ones(9), "constant: entropy"),
        (np.ones((2, 0)), [], "0 examples: too few"),
        (np.ones((2, 2)), [0, 1], "2 examples: too few"),
    ],
)
def test_what_has_no_rho_and_no_slope_says_why(aulc, entropy, note):
    rho, slope = nested_spearman_interval(aulc, entropy, rng=generator()), mixed_effect(aulc, entropy)
    assert np.isnan([*rho[:3], *slope[:5]]).all()
    assert rho.note.startswith(note)
    assert slope.note.startswith(note)


@pytest.mark.filterwarnings("error")
def test_too_few_examples_have_an_estimate_and_no_interval():
    aulc, entropy = crossed(2, 5)
    for found in (
        nested_spearman_interval(aulc, entropy, rng=generator()),
        nested_mean_interval(aulc, rng=generator()),
        nested_interval(np.mean, aulc, rng=generator()),
    ):
        assert np.isfinite(found.estimate)
        assert np.isnan([found.low, found.high]).all()
        assert found.note == "5 examples: too few for a 95% interval (6 needed)"
    assert nested_mean_interval(np.empty((2, 0)), rng=generator()).note == "no examples"


@pytest.mark.filterwarnings("error")
def test_resamples_of_one_value_count_as_no_correlation():
    found = nested_spearman_interval([[1, 2, 3, 4, 5, 6]], [0, 0, 0, 0, 0, 1], rng=generator())
    assert found.low == 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda values: nested_mean_interval(values, rng=generator()),
        lambda values: nested_interval(np.mean, values, rng=generator()),
        lambda values: nested_spearman_interval(values, np.arange(9), rng=generator()),
        lambda values: mixed_effect(values, np.arange(9)),
    ],
)
def test_values_that_do_not_fit_are_refused(call):
    with pytest.raises(DataError, match="given no seed"):
        call(np.empty((0, 9)))
    with pytest.raises(DataError, match="1 of 18 values"):
        call(np.where(np.arange(18).reshape(2, 9) == 4, np.nan, 1.0))
    with pytest.raises(DataError, match=r"shape \(9,\)"):
        call(np.arange(9))


def test_lengths_and_settings_must_fit():
    with pytest.raises(DataError, match="aulc 9, entropy 8"):
        nested_spearman_interval(np.ones((2, 9)), range(8), rng=generator())
    with pytest.raises(DataError, match="aulc 9, entropy 8"):
        mixed_effect(np.ones((2, 9)), range(8))
    with pytest.raises(ConfigError, match="n_resamples"):
        nested_spearman_interval(*crossed(), rng=generator(), n_resamples=3)
    with pytest.raises(ConfigError, match="confidence"):
        mixed_effect(*crossed(), confidence=95)


# mixed_effect


def mixedlm(aulc, entropy):
    """statsmodels' REML fit of the same model: seeds as dummies, examples as random intercepts."""
    n_seeds, n = aulc.shape
    frame = pd.DataFrame(
        {
            "aulc": stats.zscore(aulc, axis=1, ddof=1).ravel(),
            "entropy": np.tile(stats.zscore(entropy, ddof=1), n_seeds),
            "seed": np.repeat(np.arange(n_seeds), n),
            "example": np.tile(np.arange(n), n_seeds),
        }
    )
    return sm.MixedLM.from_formula("aulc ~ entropy + C(seed)", frame, groups="example").fit(reml=True)


@pytest.mark.parametrize(("n_seeds", "n"), [(2, 40), (3, 60), (5, 25)])
def test_mixed_effect_is_statsmodels_mixedlm(n_seeds, n):
    aulc, entropy = crossed(n_seeds, n, seed=n)
    found, reference = mixed_effect(aulc, entropy), mixedlm(aulc, entropy)
    assert reference.converged
    assert reference.cov_re.iloc[0, 0] > 0.01
    assert found.slope == pytest.approx(reference.params["entropy"], rel=1e-6)
    assert found.se == pytest.approx(reference.bse["entropy"], rel=1e-3)  # REML is found by iteration
    assert (found.n_examples, found.n_seeds, found.note) == (n, n_seeds, "")


def test_mixed_effect_uses_students_t_with_n_minus_2():
    aulc, entropy = crossed(3, 12, slope=0.2)
    found = mixed_effect(aulc, entropy, confidence=0.9)
    half = stats.t.ppf(0.95, 10) * found.se
    assert (found.low, found.high) == pytest.approx((found.slope - half, found.slope + half))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.slope / found.se), 10))


def test_slope_is_the_mean_correlation_over_seeds_whatever_their_level_and_scale():
    aulc, entropy = crossed()
    aulc = aulc * np.array([[1.0], [10.0], [0.1]]) + np.array([[0.0], [5.0], [-2.0]])
    expected = np.mean([stats.pearsonr(row, entropy).statistic for row in aulc])
    assert mixed_effect(aulc, entropy).slope == pytest.approx(expected)


def test_one_seed_is_an_ordinary_regression_and_says_so():
    aulc, entropy = crossed(1)
    z = [stats.zscore(values, ddof=1) for values in (aulc[0], entropy)]
    reference = sm.OLS(z[0], sm.add_constant(z[1])).fit()
    found = mixed_effect(aulc, entropy)
    assert (found.slope, found.se, found.p_value) == pytest.approx(
        (reference.params[1], reference.bse[1], reference.pvalues[1])
    )
    assert (found.low, found.high) == pytest.approx(tuple(reference.conf_int()[1]))
    assert found.note == "one seed: an ordinary regression over examples"


def test_more_seeds_of_the_same_examples_are_not_more_examples():
    aulc, entropy = crossed(1)
    once, often = mixed_effect(aulc, entropy), mixed_effect(np.repeat(aulc, 10, axis=0), entropy)
    assert often.se == pytest.approx(once.se)


def test_mixed_effect_does_not_depend_on_order():
    aulc, entropy = crossed()
    order = generator().permutation(60)
    again = mixed_effect(aulc[[2, 0, 1]][:, order], entropy[order])
    assert again[:5] == pytest.approx(mixed_effect(aulc, entropy)[:5])


def test_mixed_effect_covers_as_often_as_it_says():
    rng, hits = generator(3), 0
    for _ in range(500):
        entropy = rng.normal(size=30)
        example = 0.5 * entropy + 0.5 * rng.normal(size=30)
        aulc = example + rng.normal(size=(3, 1)) + 0.5 * rng.normal(size=(3, 30))
        # Pearson's correlation of one seed with H: 0.5 / √(0.25 + 0.25 + 0.25)
        found = mixed_effect(aulc, entropy)
        hits += found.low <= 0.5 / np.sqrt(0.75) <= found.high
    assert 455 <= hits <= 495  # of 500; z-scoring by the sample's own spread makes it conservative here
