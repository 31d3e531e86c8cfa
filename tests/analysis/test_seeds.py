from __future__ import annotations

import cProfile
import pstats

import numpy as np
import pytest
from scipy import stats

from contested.analysis import (
    mixed_effect,
    nested_difference_intervals,
    nested_mean_interval,
    nested_mean_intervals,
    nested_mean_test,
    nested_spearman_difference,
    nested_spearman_interval,
    over_seeds,
    paired_intervals,
    seed_interval,
    spearman,
)
from contested.analysis.crossed import crossed_ends, share_of_examples
from contested.errors import ConfigError, DataError


def generator(seed=0):
    return np.random.default_rng(seed)


def crossed(n_seeds=3, n=60, slope=0.5, seed=0):
    """AULC of the same examples under several seeds, and their entropy with ties."""
    rng = generator(seed)
    entropy = np.round(rng.normal(size=n), 1)
    example = slope * entropy + 0.6 * rng.normal(size=n)
    return example + 0.5 * rng.normal(size=(n_seeds, 1)) + 0.4 * rng.normal(size=(n_seeds, n)), entropy


def rhos(aulc, entropy):
    return np.array([stats.spearmanr(row, entropy).statistic for row in aulc])


def two_way(n_sets, n_seeds, n, *, seeds, together, skewed=True, seed=0):
    """Sets of values of crossed seeds and examples with a mean of 0, shape (S, N, sets).

    Examples have a standard deviation of 1, ``together`` is that of an example under a seed, and ``seeds`` that of a
    seed in standard errors of the mean over examples.
    """
    rng = generator(seed)
    example = rng.gamma(1.0, 1.0, size=(n, n_sets)) - 1.0 if skewed else rng.normal(size=(n, n_sets))
    own = together * rng.normal(size=(n_seeds, n, n_sets))
    return example + own + seeds / np.sqrt(n) * rng.normal(size=(n_seeds, 1, n_sets))


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


def test_seeds_that_agree_say_nothing_of_how_much_others_differ():
    found = seed_interval([0.275, 0.275])
    assert (found.mean, found.sd) == (0.275, 0)
    assert np.isnan([found.low, found.high]).all()
    assert "all seeds gave the same value" in found.note


def test_mean_rho_of_two_unlike_seeds_ends_where_rho_ends():
    # ρ of 1 and −1: Student's t with one degree of freedom, 12.7 · 1, would reach far beyond both; so would that of
    # the difference, whose seeds give 2 and −2.
    entropy = np.linspace(0.1, 1, 40)
    aulc = np.stack([entropy, -entropy])
    found = nested_spearman_interval(aulc, entropy, rng=generator(), n_resamples=200)
    assert (found.estimate, found.low, found.high) == (0, -1, 1)
    found = nested_spearman_difference(-aulc, aulc, entropy, rng=generator(), n_resamples=200)
    assert (found.estimate, found.low, found.high) == (0, -2, 2)


def test_one_seed_has_no_interval_over_seeds():
    found = seed_interval([0.5, np.nan])
    assert (found.mean, found.n) == (0.5, 1)
    assert np.isnan([found.sd, found.low, found.high]).all()
    assert "1 of 2 seeds left out" in found.note


# means


@pytest.mark.parametrize(
    ("seeds", "together", "n_seeds", "most"),
    [(2.0, 0.0, 3, 0.98), (5.0, 0.0, 3, 0.97), (2.0, 0.7, 3, 0.98), (2.0, 0.7, 10, 0.97)],
)
def test_means_of_skewed_examples_under_few_seeds_are_covered(seeds, together, n_seeds, most):
    values = two_way(2000, n_seeds, 100, seeds=seeds, together=together)
    found = nested_mean_intervals(values, rng=generator(1), n_resamples=400)
    # Binomial(2000, 0.95): sd 0.5 %. Resampling seeds, and that alone, covers 91 and 83 % of the first two.
    assert 0.94 < np.mean((found.low <= 0) & (found.high >= 0)) < most


@pytest.mark.parametrize("n_seeds", [2, 3, 6])
def test_equal_recipes_are_told_apart_in_one_of_twenty_pairs(n_seeds):
    # Two groups of the same recipe share what is each example's own; seeds differ by 3 standard errors.
    rng, shape = generator(n_seeds), (n_seeds, 60, 2000)
    example = rng.gamma(1.0, 1.0, size=(60, 2000))
    first, second = (
        example + 0.5 * rng.normal(size=shape) + 3 / np.sqrt(60) * rng.normal(size=(n_seeds, 1, 2000)) for _ in range(2)
    )
    found = nested_mean_intervals(second - first, rng=generator(1), n_resamples=100)
    # Binomial(2000, 0.05): sd 0.5 %.
    assert np.mean((found.low > 0) | (found.high < 0)) < 0.06
    examples = paired_intervals((second - first).mean(axis=0), rng=generator(1), n_resamples=100)
    assert np.mean((examples.low > 0) | (examples.high < 0)) > 0.5


@pytest.mark.parametrize("n_seeds", [(2, 2), (3, 5)])
def test_equal_recipes_whose_seeds_are_no_pairs_are_told_apart_in_one_of_twenty_pairs(n_seeds):
    rng = generator(sum(n_seeds))
    example = rng.gamma(1.0, 1.0, size=(60, 2000))
    first, second = (
        example + 0.5 * rng.normal(size=(n, 60, 2000)) + 3 / np.sqrt(60) * rng.normal(size=(n, 1, 2000))
        for n in n_seeds
    )
    found = nested_difference_intervals(first, second, rng=generator(1), n_resamples=100)
    assert np.mean((found.low > 0) | (found.high < 0)) < 0.06
    assert found.method.endswith("Student t over seeds")
    assert found.estimate == pytest.approx(second.mean(axis=(0, 1)) - first.mean(axis=(0, 1)))


def test_a_difference_of_one_seed_is_over_examples_alone_and_says_so():
    first, second = two_way(1, 1, 30, seeds=0, together=0), two_way(1, 3, 30, seeds=0, together=1, seed=1)
    found = nested_difference_intervals(first, second, rng=generator(1))
    examples = paired_intervals(second.mean(axis=0) - first[0], rng=generator(1))
    assert (found.low, found.high) == (examples.low, examples.high)
    assert found.note.startswith("one seed")
    with pytest.raises(DataError, match="examples_of_first 30, examples_of_second 29"):
        nested_difference_intervals(first, second[:, :29], rng=generator())


def test_what_examples_add_to_a_difference_is_how_they_move_apart():
    rng = np.random.default_rng(5)
    # Examples move a lot, and mostly alike in both groups: that part goes out of the difference.
    shared, own = 3 * rng.normal(size=40), 1.5 * rng.normal(size=40)
    first, second = (shared + part + rng.normal(size=(3, 40)) for part in (0.0, own))
    residuals = [group - group.mean(axis=1, keepdims=True) for group in (first, second)]
    whole = ((residuals[1].mean(axis=0) - residuals[0].mean(axis=0)) ** 2).sum()
    apart = sum(((group - group.mean(axis=0)) ** 2).sum() / (3 * 2) for group in residuals)
    share = np.array([1 - apart / whole])
    assert 0.5 < share[0] < 0.95
    alone = paired_intervals((second.mean(axis=0) - first.mean(axis=0))[:, None], rng=generator())
    seeds = [group.mean(axis=1)[:, None] for group in (first, second)]
    expected = crossed_ends(alone.estimate, (alone.low, alone.high), seeds, share, 0.95)
    found = nested_difference_intervals(first[:, :, None], second[:, :, None], rng=generator())
    assert (found.low, found.high) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


def test_clusters_widen_as_if_each_were_one_example():
    values = two_way(1, 3, 60, seeds=0.0, together=0.2)[:, :, 0]
    once = nested_mean_interval(values, rng=generator(), n_resamples=4000)
    thrice = np.repeat(values, 3, axis=1)
    again = nested_mean_interval(
        thrice, rng=generator(), n_resamples=4000, clusters=np.repeat([f"premise {row}" for row in range(60)], 3)
    )
    assert again[:3] == pytest.approx(once[:3], abs=0.03)
    naive = nested_mean_interval(thrice, rng=generator(), n_resamples=4000)
    assert naive.high - naive.low < 0.9 * (once.high - once.low)


def test_one_seed_is_the_interval_of_one_run_and_says_so():
    values = generator(3).normal(size=(1, 8, 2))
    found = nested_mean_intervals(values, rng=generator(1))
    single = paired_intervals(values[0], rng=generator(1))
    assert found.low.tolist() == single.low.tolist()
    assert found.high.tolist() == single.high.tolist()
    assert found.method == single.method
    assert found.note == "one seed: the interval is over examples alone, and says nothing of other seeds"


@pytest.mark.parametrize("shift", [-0.1, 0.02, 0.5])
def test_the_p_of_a_mean_is_one_minus_the_confidence_whose_interval_ends_at_0(shift):
    values = two_way(1, 3, 2000, seeds=1.0, together=0.5, skewed=False)[:, :, 0] + shift
    interval, p_value = nested_mean_test(values, rng=generator(1), n_resamples=2000)
    assert interval == nested_mean_interval(values, rng=generator(1), n_resamples=2000)
    assert (p_value < 0.05) == (interval.low > 0 or interval.high < 0)
    # Of many examples the bootstrap's ends are where a normal variable's are, so another confidence gives the same.
    if shift == 0.02:
        at_zero = nested_mean_interval(values, rng=generator(1), n_resamples=20_000, confidence=1 - p_value)
        assert (at_zero.low if interval.estimate > 0 else at_zero.high) == pytest.approx(0.0, abs=0.01)


def test_one_seed_has_no_test():
    assert np.isnan(nested_mean_test(generator().normal(size=(1, 40)), rng=generator()).p_value)
    assert np.isnan(nested_mean_test(generator().normal(size=(3, 4)), rng=generator()).p_value)


def test_means_with_several_quantities_are_those_of_each():
    values = two_way(3, 3, 50, seeds=1.0, together=0.5)
    found = nested_mean_intervals(values, rng=generator(2), n_resamples=90, confidence=0.9)
    assert found.method.endswith("over examples, Student t over seeds")
    for column in range(3):
        one = nested_mean_interval(values[:, :, column], rng=generator(2), n_resamples=90, confidence=0.9)
        assert (found.estimate[column], found.low[column], found.high[column]) == pytest.approx(one[:3])
        assert one.estimate == pytest.approx(values[:, :, column].mean())


# ρ


def test_rho_of_one_seed_is_that_of_one_run():
    aulc, entropy = crossed(1)
    found = nested_spearman_interval(aulc, entropy, rng=generator(4), n_resamples=500)
    single = spearman(aulc[0], entropy, rng=generator(4), n_resamples=500)
    assert (found.estimate, found.low, found.high) == pytest.approx((single.rho, single.low, single.high))
    assert found.note == "one seed: the interval is over examples alone, and says nothing of other seeds"


def test_rho_over_seeds_is_its_parts_put_together():
    aulc, entropy = crossed(3, 60, seed=2)
    found = nested_spearman_interval(aulc, entropy, rng=generator(4), n_resamples=3000)
    each = rhos(aulc, entropy)
    assert found.estimate == pytest.approx(each.mean())

    def slow(*samples, axis):
        ranks = [stats.zscore(stats.rankdata(one, axis=axis), axis=axis) for one in samples]
        return np.mean([(one * ranks[-1]).mean(axis=axis) for one in ranks[:-1]], axis=0)

    examples = stats.bootstrap(
        (*aulc, entropy), slow, paired=True, vectorized=True, n_resamples=3000, rng=1
    ).confidence_interval
    # The slow jackknife of each seed's ρ takes the place of its influence.
    left = np.array([rhos(np.delete(aulc, row, axis=1), np.delete(entropy, row)) for row in range(60)]).T
    share = share_of_examples([(left - left.mean(axis=1, keepdims=True))[:, :, None]], np.arange(60))
    ends = np.array([examples.low]), np.array([examples.high])
    low, high = crossed_ends(np.array([each.mean()]), ends, [each[:, None]], share, 0.95)
    assert (found.low, found.high) == pytest.approx((low[0], high[0]), abs=0.02)
    assert (found.n, found.method, found.note) == (60, "BCa bootstrap over examples, Student t over seeds", "")


def test_difference_of_rhos_of_the_same_seeds():
    first, entropy = crossed(3, 60, slope=0.1, seed=1)
    second, _ = crossed(3, 60, slope=0.9, seed=1)
    found = nested_spearman_difference(first, second, entropy, rng=generator(), n_resamples=500)
    each = rhos(second, entropy) - rhos(first, entropy)
    assert found.estimate == pytest.approx(each.mean())
    assert 0 < found.low < found.estimate < found.high
    turned = nested_spearman_difference(second, first, entropy, rng=generator(), n_resamples=500)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=0.05)
    same = nested_spearman_difference(first, first, entropy, rng=generator())
    assert same[:3] == pytest.approx((0.0, 0.0, 0.0))
    with pytest.raises(DataError, match="seeds_of_first 3, seeds_of_second 2"):
        nested_spearman_difference(first, second[:2], entropy, rng=generator())
    one = nested_spearman_difference(first[:1], second[:1], entropy, rng=generator())
    assert one.note.startswith("one seed")


def test_clusters_of_rho_count_as_one_example():
    aulc, entropy = crossed(3, 40)
    once = nested_spearman_interval(aulc, entropy, rng=generator(), n_resamples=1000)
    thrice = np.repeat(aulc, 3, axis=1), np.repeat(entropy, 3)
    clusters = np.repeat(np.arange(40), 3)
    again = nested_spearman_interval(*thrice, rng=generator(), n_resamples=1000, clusters=clusters)
    assert again[:3] == pytest.approx(once[:3], abs=0.03)
    naive = nested_spearman_interval(*thrice, rng=generator(), n_resamples=1000)
    assert naive.high - naive.low < 0.8 * (once.high - once.low)
    few = nested_spearman_interval(*thrice, rng=generator(), clusters=np.repeat(np.arange(5), 24))
    assert few.note == "5 clusters: too few for a 95% interval (6 needed)"


def test_rho_that_differs_by_seed_is_covered():
    rng, hits = generator(11), 0
    for _ in range(100):
        # Pearson's correlation of each seed with H is 0.5 ± 0.15 and that of their mean ranks nearly 6/π asin(r/2).
        slopes = np.clip(0.5 + 0.15 * rng.normal(size=(3, 1)), -0.99, 0.99)
        entropy = rng.normal(size=80)
        own = 0.6 * rng.normal(size=80) + 0.8 * rng.normal(size=(3, 80))
        found = nested_spearman_interval(
            slopes * entropy + np.sqrt(1 - slopes**2) * own, entropy, rng=rng, n_resamples=200
        )
        hits += found.low <= 6 / np.pi * np.arcsin(0.25) <= found.high
    # Binomial(100, 0.95): mean 95, sd 2.2. Resampling three seeds covers some 85.
    assert hits >= 91


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


def test_resamples_are_ranked_in_blocks_and_not_one_by_one():
    # 2,000 resamples of 1,211 examples under 3 seeds: a loop over resamples makes a dozen calls for each.
    aulc, entropy = crossed(3, 1211)
    profile = cProfile.Profile()
    profile.runcall(nested_spearman_interval, aulc, entropy, rng=generator(), n_resamples=2000)
    assert pstats.Stats(profile).total_calls < 8000


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
    assert np.isnan([*rho[:3], *slope[:6]]).all()
    assert rho.note.startswith(note)
    assert slope.note.startswith(note)


@pytest.mark.filterwarnings("error")
def test_too_few_examples_have_an_estimate_and_no_interval():
    aulc, entropy = crossed(2, 5)
    for found in (
        nested_spearman_interval(aulc, entropy, rng=generator()),
        nested_mean_interval(aulc, rng=generator()),
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
