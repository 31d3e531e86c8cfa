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
from contested.analysis.intervals import verdict
from contested.analysis.studentised import (
    expanded_quantiles,
    long_tails,
    means_of,
    resampled_means,
    skewed,
    student_isf,
)
from contested.errors import ConfigError, DataError


def generator(seed=0):
    return np.random.default_rng(seed)


def slow_ends(estimate, error, distances, thirds, confidence):
    """The level of the end on a side is exp(−2.5 g) of the other's, g the third moments of the parts towards it."""
    tail = 0.5 - confidence / 2
    below, above = (tail * np.exp(-2.5 * sum(max(side * third, 0) for third in thirds)) for side in (-1, 1))
    lower, upper = np.quantile(distances, [above, 1 - below])
    return estimate - upper * error, estimate - lower * error


def slow_bootstrap_t(values, clusters, rng, n_resamples, confidence=0.95):
    """Bootstrap-t of a mean over clusters, one resample at a time; its draws are those of the library."""
    names = list(dict.fromkeys(clusters))
    members = [values[np.asarray(clusters) == name] for name in names]

    def of(groups):
        examples = np.concatenate(groups)
        sums = np.array([(group - examples.mean()).sum() for group in groups])
        error = np.sqrt(len(groups) / (len(groups) - 1) * (sums**2).sum()) / len(examples)
        return examples.mean(), error, stats.skew(sums) / np.sqrt(len(sums))

    mean, error, skew = of(members)
    distances = []
    for drawn in rng.integers(0, len(members), size=(n_resamples, len(members))):
        resampled, its_error, _ = of([members[index] for index in drawn])
        distances.append((resampled - mean) / its_error)
    return slow_ends(mean, error, distances, [skew], confidence)


def test_mean_interval_is_the_slow_bootstrap_t():
    values = generator(1).exponential(size=40)
    found = mean_interval(values, rng=generator(2), n_resamples=300, confidence=0.9)
    slow = slow_bootstrap_t(values, range(40), generator(2), 300, 0.9)
    assert (found.low, found.high) == pytest.approx(slow, rel=1e-9)
    assert (found.estimate, found.n) == (values.mean(), 40)
    assert (found.method, found.note) == ("studentised bootstrap", "")


def test_mean_interval_over_clusters_is_the_slow_bootstrap_t_of_clusters_drawn_whole():
    sizes = generator(3).integers(1, 6, size=25)
    clusters = generator(4).permutation(np.repeat(np.arange(25), sizes))
    values = clusters % 7 + generator(5).exponential(size=len(clusters))
    found = mean_interval(values, clusters=clusters, rng=generator(6), n_resamples=200)
    slow = slow_bootstrap_t(values, clusters, generator(6), 200)
    assert (found.low, found.high) == pytest.approx(slow, rel=1e-9)
    assert found.n == len(values)


def test_error_of_a_mean_by_hand():
    # Clusters {1, 3}, {8}, {4}: mean 16 / 4 = 4; residual sums -4, 4, 0; √(3 / 2 · 32) / 4 = 1.7321
    means = means_of(np.array([[1.0], [8.0], [3.0], [4.0]]), np.array([0, 1, 0, 2]), 3)
    assert means.residuals[:, 0].tolist() == [-4.0, 4.0, 0.0]
    assert (means.estimate[0], means.error[0]) == pytest.approx((4.0, np.sqrt(48) / 4))
    # Drawn: the first cluster twice and the third. Mean (4 + 4 + 4) / 5 = 2.4, so the shift is -1.6; residual sums
    # 4 - 4.8 = -0.8 twice and 4 - 2.4 = 1.6: √(3 / 2 · (0.64 + 0.64 + 2.56)) / 5 = 0.48
    drawn = resampled_means(means, [np.array([[2.0, 0.0, 1.0]])])
    assert (drawn.shift[0, 0], drawn.error[0, 0]) == pytest.approx((-1.6, 0.48))


def test_every_column_is_taken_over_the_same_resample():
    x = generator().exponential(size=40)
    found = mean_intervals(np.stack([x, 2 * x + 1, -x], axis=1), rng=generator(), n_resamples=50)
    assert (found.low[1], found.high[1]) == pytest.approx((2 * found.low[0] + 1, 2 * found.high[0] + 1))
    assert (found.low[2], found.high[2]) == pytest.approx((-found.high[0], -found.low[0]))


def test_resampling_in_blocks_covers_every_resample(monkeypatch):
    values = generator(1).normal(size=10)
    whole = mean_interval(values, rng=generator(), n_resamples=44)
    monkeypatch.setattr(module, "_BLOCK", 70)  # 7 resamples of 10 at a time, and a last block of 2
    assert mean_interval(values, rng=generator(), n_resamples=44) == pytest.approx(whole)


def test_many_skewed_values_have_the_ends_of_scipys_bca_at_their_levels():
    # Both are second-order correct. Ends are Monte Carlo, with a standard error near 0.001; between the methods there
    # is a difference of the third order. The plain interval, 1.96 errors either way, lies 0.009 lower.
    values = generator(1).exponential(size=400)
    found = mean_interval(values, rng=generator(2), n_resamples=20_000)
    lowered = 0.05 * np.exp(-2.5 * stats.skew(values) / 20)
    low, high = (
        stats.bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=3, confidence_level=1 - level)
        for level in (0.05, lowered)
    )
    assert found.low == pytest.approx(low.confidence_interval.low, abs=0.004)
    assert found.high == pytest.approx(high.confidence_interval.high, abs=0.004)


def test_few_normal_values_have_the_interval_of_student():
    values = stats.norm.ppf((np.arange(30) + 0.5) / 30)
    found = mean_interval(values, rng=generator(), n_resamples=50_000)
    student = stats.t.interval(0.95, 29, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(student, rel=0.03)


def test_expanded_quantiles_by_hand():
    # n = 10: t = 2.2622, times √(10 / 9) is 2.3845, Φ(-2.3845) = 0.00855; n = 5: 2.7764 · √(5 / 4), 0.00095
    ladder = np.linspace(0, 1, 100_001)[:, None]
    for n, tail in ((10, 0.00855), (5, 0.00095)):
        low, high = expanded_quantiles(ladder, n, 0.95)
        assert low[0] == pytest.approx(tail, abs=1e-5)
        assert high[0] == pytest.approx(1 - tail, abs=1e-5)


def test_where_equal_values_decide_an_end_the_percentile_interval_may_be_wider():
    """One example of thirty differs: a third of all resamples are zeros alone and have no standard error."""
    values = np.zeros(30)
    values[0] = 1.0
    found = mean_interval(values, rng=generator(), n_resamples=20_000)
    # The percentile interval: of binomial counts, 30 draws with 1 / 30, P(≥ 4) = 0.0177 lies below the expanded tail,
    # Φ(-√(30 / 29) · 2.045) = 0.0188, and P(≥ 3) = 0.077 does not: 3 of 30.
    assert found.high == pytest.approx(3 / 30)
    assert found.low <= 0.0
    assert "equal values only" in found.caution
    assert "equal values" not in mean_interval(np.arange(30) % 4, rng=generator()).caution


def test_nearly_equal_values_put_no_end_hundreds_of_errors_away():
    values = np.array([0.0, 1e-4, 2e-4, 3e-4, 4e-4, 1.0])
    found = mean_interval(values, rng=generator())
    # A third of all resamples miss the 1: they lie 1 / 6 below the mean, and their error counts as 0.05 of the
    # sample's, so that the upper end is 20 / 6 above it; with their own errors it would be hundreds.
    assert found.high == pytest.approx(values.mean() + 20 / 6, rel=0.01)


def test_skewed_values_have_a_caution_by_cochrans_rule():
    # k ones among n zeros have the skewness (1 - 2p) / √(p (1 - p)), p = k / n. n = 400, k = 20: 4.13, 25 · 4.13² = 426
    # examples are needed; k = 24: 3.79, 25 · 3.79² = 359 are.
    for ones, few in ((20, True), (24, False)):
        found = mean_interval(np.arange(400) < ones, rng=generator(), n_resamples=100)
        assert ("too skewed for so few examples" in found.caution) is few
    clustered = mean_interval(np.arange(100) < 5, clusters=np.arange(100) // 2, rng=generator(), n_resamples=100)
    assert "too skewed for so few clusters" in clustered.caution
    assert skewed(long_tails(np.zeros((9, 1)))).tolist() == [False]


def test_tails_by_hand():
    # Cubes of −1, −1, 2: 6; squares 6. With −2, 1, 1 of another group the third moment is 0, squares are 12, and
    # each group stretches its own side.
    first = np.array([[-1.0], [-1.0], [2.0]])
    alone, both = long_tails(first), long_tails(first, -first)
    assert (alone.low[0], alone.high[0]) == pytest.approx((0, 6 / 6**1.5))
    assert (both.low[0], both.high[0]) == pytest.approx((6 / 12**1.5, 6 / 12**1.5))


@pytest.mark.parametrize("n", [8, 60])
def test_mean_interval_covers_as_often_as_it_says(n):
    rng, hits = generator(7), 0
    for _ in range(500):
        found = mean_interval(rng.normal(0.3, 1.0, n), rng=rng, n_resamples=400)
        hits += found.low <= 0.3 <= found.high
    # Binomial(500, 0.95) has sd 4.9; the plain percentile interval covers near 440 times at n = 8.
    assert 475 - 15 <= hits <= 475 + 15


def test_mean_interval_covers_skewed_means_more_often_than_the_percentile_interval_did():
    # A gamma distribution with the skewness of real changes of loss, 5.5: of 2,000 sets of 100, bootstrap-t covers
    # 94.9 %, the percentile interval 91.0 % (benchmarks/coverage.py). All sets are columns over the same resamples.
    shape, hits, before = 4 / 5.5**2, 0, 0
    for batch in range(20):
        sets = generator(batch).gamma(shape, size=(100, 50))
        found = mean_intervals(sets, rng=generator(batch + 100), n_resamples=400)
        hits += int(((found.low <= shape) & (shape <= found.high)).sum())
        means = sets[generator(batch + 100).integers(0, 100, size=(400, 100))].mean(axis=1)
        low, high = expanded_quantiles(means, 100, 0.95)
        before += int(((low <= shape) & (shape <= high)).sum())
    # Binomial(1000, 0.949) has sd 7.0.
    assert 949 - 21 <= hits <= 949 + 21
    assert hits - before > 21


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


def test_a_group_without_spread_adds_nothing_to_the_interval_of_the_other():
    few, many = generator(1).normal(size=8), np.zeros(1000)
    alone = mean_interval(few, rng=generator(2), n_resamples=20_000)
    found = difference_interval(few, many, rng=generator(2), n_resamples=20_000)
    assert (found.low, found.high, found.n) == pytest.approx((alone.low, alone.high, 8), abs=0.02)
    turned = difference_interval(many, few, rng=generator(2), n_resamples=20_000)
    # Monte Carlo: an end has a standard error near 0.02 of these widths.
    assert (-turned.high, -turned.low) == pytest.approx((alone.low, alone.high), abs=0.05 * (alone.high - alone.low))
    assert turned.n == 8


def slow_difference(groups, clusters, drawn_clusters, confidence=0.95):
    """Bootstrap-t of a difference of means, one resample of clusters at a time."""

    def of(chosen):
        means, errors = [], []
        for values, names in zip(groups, clusters, strict=True):
            rows = [np.flatnonzero(names == name) for name in chosen]
            n, mean = sum(map(len, rows)), np.concatenate([values[own] for own in rows]).mean()
            g = sum(len(own) > 0 for own in rows)
            errors.append([np.sqrt(g / (g - 1)) * (values[own] - mean).sum() / n for own in rows])
            means.append(mean)
        return means[0] - means[1], np.array(errors[0]) - np.array(errors[1])

    every = np.unique(np.concatenate(clusters))
    estimate, added = of(every)
    error = np.sqrt((added**2).sum())
    distances = []
    for drawn in drawn_clusters:
        difference, its_added = of(drawn)
        distances.append((difference - estimate) / np.sqrt((its_added**2).sum()))
    inside = [np.isin(every, own) for own in clusters]
    strata = inside[0] & ~inside[1], inside[1] & ~inside[0], inside[0] & inside[1]
    return slow_ends(estimate, error, distances, [(added[own] ** 3).sum() / error**3 for own in strata], confidence)


def test_difference_interval_is_the_slow_bootstrap_t_of_clusters_that_both_groups_may_share():
    # Clusters 0 to 7 belong to the first group alone, 8 to 19 to both, 20 to 29 to the second alone.
    rng = generator(1)
    clusters = np.repeat(np.arange(20), 2), np.repeat(np.arange(8, 30), 3)
    shared = rng.exponential(size=30)
    groups = [shared[names] + rng.normal(size=len(names)) for names in clusters]
    found = difference_interval(*groups, clusters=clusters, rng=generator(2), n_resamples=200)
    draws = generator(2)
    parts = [draws.integers(0, size, size=(200, size)) for size in (8, 10, 12)]
    drawn = np.hstack([parts[0], 20 + parts[1], 8 + parts[2]])
    slow = slow_difference(groups, clusters, drawn)
    assert (found.low, found.high) == pytest.approx(slow, rel=1e-9)


def test_what_two_groups_share_is_not_taken_as_independent():
    """The same premise in both groups cancels out of their difference: half the variance and more."""
    rng, names = generator(1), np.arange(60)
    premise = 3 * rng.normal(size=60)
    first, second = premise + rng.normal(size=60), premise + rng.normal(size=60)
    joint = difference_interval(first, second, clusters=(names, names), rng=generator(2))
    apart = difference_interval(first, second, rng=generator(2))
    paired = stats.ttest_rel(first, second).confidence_interval()
    # Student's interval knows nothing of the sample's skewness, 0.4 here, which lowers one end.
    assert (joint.low, joint.high) == pytest.approx((paired.low, paired.high), abs=0.05)
    assert apart.high - apart.low > 2 * (joint.high - joint.low)


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


def test_too_few_clusters_have_a_mean_and_a_note_but_no_interval():
    found = mean_interval(np.arange(9), clusters=list("aabbccdde"), rng=generator())
    assert (found.estimate, found.n) == (4.0, 9)
    assert found.note == "5 clusters: too few for a 95% interval (6 needed)"
    names = (np.arange(40), np.repeat(np.arange(50, 54), 10))
    both = difference_interval(np.ones(40), np.zeros(40), clusters=names, rng=generator())
    assert both.note == "smaller group: 4 clusters: too few for a 95% interval (6 needed)"


def test_clusters_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="examples 9, clusters 8"):
        mean_interval(np.arange(9), clusters=range(8), rng=generator())
    with pytest.raises(DataError, match="reference 9, its clusters 8"):
        difference_interval(np.arange(9), np.arange(9), clusters=(range(9), range(8)), rng=generator())


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


def test_shares_of_clusters_count_examples_as_many_as_they_are_worth():
    # Pairs that always agree: 40 examples are worth 20, but for the sample's 20 / 19.
    flags = np.repeat(np.arange(20) < 6, 2)
    found = share_interval(flags, clusters=np.repeat(np.arange(20), 2))
    worth = 20 * 19 / 20
    t = stats.t.ppf(0.975, 19)
    for end in (found.low, found.high):
        assert (0.3 - end) ** 2 == pytest.approx(t**2 * end * (1 - end) / worth)
    assert (found.n, found.estimate) == (40, 0.3)
    # One flag of each kind in every cluster: less spread than independent examples have, and taken as independent.
    balanced = share_interval(np.tile([True, False], 20), clusters=np.repeat(np.arange(20), 2))
    for end in (balanced.low, balanced.high):
        assert (0.5 - end) ** 2 == pytest.approx(t**2 * end * (1 - end) / 40)


def test_a_share_of_0_in_clusters_counts_each_cluster_once():
    found = share_interval(np.zeros(40), clusters=np.repeat(np.arange(20), 2))
    # Wilson's upper end of 0 of n: z² / (n + z²), here with n = 20 clusters and t of 19 degrees of freedom.
    t = stats.t.ppf(0.975, 19)
    assert (found.low, found.high) == pytest.approx((0.0, t**2 / (20 + t**2)))


def test_shares_of_clusters_cover_as_often_as_they_say():
    rng, hits, apart = generator(9), 0, 0
    names = np.repeat(np.arange(60), 3)
    for _ in range(1000):
        flags = rng.random(180) < np.repeat(rng.beta(0.6, 1.4, size=60), 3)
        found, alone = share_interval(flags, clusters=names), share_interval(flags)
        hits += found.low <= 0.3 <= found.high
        apart += alone.low <= 0.3 <= alone.high
    # Binomial(1000, 0.95) has sd 6.9; without the clusters 87 % cover.
    assert abs(hits - 950) <= 21
    assert apart < 910


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


def test_student_isf_is_scipys_also_where_nothing_is_left_of_the_tail():
    tails = np.array([0.0, 1e-300, 0.025, 0.5, 1.0])
    for freedom in (1, 2, 40):
        assert np.array_equal(student_isf(tails, freedom), stats.t.isf(tails, freedom))
