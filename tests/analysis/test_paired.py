"""Intervals and tests of paired differences, against SciPy, statsmodels and counting everything out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from contested.analysis import (
    false_discovery_rate,
    mean_interval,
    mean_intervals,
    paired_interval,
    paired_intervals,
    paired_test,
    paired_tests,
)
from contested.analysis.clusters import cluster_codes
from contested.errors import ConfigError, DataError


def rng(seed=0):
    return np.random.default_rng(seed)


def test_without_clusters_intervals_are_those_of_means():
    values = rng(1).normal(size=(40, 3))
    found = paired_intervals(values, rng=rng())
    expected = mean_intervals(values, rng=rng())
    for got, wanted in zip(found[:3], expected[:3], strict=True):
        assert got == pytest.approx(wanted)
    one = paired_interval(values[:, 1], rng=rng())
    assert one[:3] == pytest.approx((found.estimate[1], found.low[1], found.high[1]))


def test_the_same_example_many_times_is_one_cluster():
    """Each example copied five times tells no more than once: the interval of the clusters is that of the originals."""
    values = rng(1).normal(size=60)
    copied = paired_interval(np.repeat(values, 5), np.repeat(np.arange(60), 5), rng=rng())
    assert copied[:3] == pytest.approx(paired_interval(values, rng=rng())[:3])
    assert copied.n == 300
    apart = paired_interval(np.repeat(values, 5), rng=rng())
    assert apart.high - apart.low < 0.6 * (copied.high - copied.low)


def test_intervals_of_clusters_are_those_of_means():
    names = np.repeat(np.arange(8), [1, 6, 2, 1, 9, 3, 1, 2])
    values = names + rng(2).normal(size=25)
    assert paired_interval(values, names, rng=rng()) == mean_interval(values, clusters=names, rng=rng())


def test_clustered_intervals_cover_the_mean_as_often_as_they_say():
    draw, hits = rng(7), 0
    sizes = np.array([1, 1, 2, 3] * 10)
    names = np.repeat(np.arange(40), sizes)
    for trial in range(400):
        values = np.repeat(draw.normal(size=40), sizes) + 0.5 * draw.normal(size=len(names))
        found = paired_interval(values, names, rng=rng(trial), n_resamples=400)
        hits += found.low <= 0 <= found.high
    # 0.95 within three standard errors of 400 trials; ignoring the clusters, 0.845.
    assert 0.917 <= hits / 400 <= 0.983


@pytest.mark.parametrize(
    ("values", "clusters", "note"),
    [
        (np.zeros((0, 2)), None, "no examples"),
        (np.ones((3, 1)), None, "3 examples: too few for a 95% interval (6 needed)"),
        (np.ones((9, 1)), list("aabbccdde"), "5 clusters: too few for a 95% interval (6 needed)"),
    ],
)
def test_too_few_examples_or_clusters_have_no_interval(values, clusters, note):
    found = paired_intervals(values, clusters, rng=rng())
    assert found.note == note
    assert np.isnan(found.low).all()
    assert len(values) == 0 or found.estimate == pytest.approx(1.0)


@pytest.mark.parametrize(("lost", "gained", "same"), [(3, 11, 40), (0, 1, 5), (7, 7, 0), (40, 90, 1000)])
def test_right_and_wrong_answers_give_mcnemars_exact_test(lost, gained, same):
    change = np.repeat([-1.0, 1.0, 0.0], [lost, gained, same])
    found = paired_test(change, rng=rng())
    assert found.p_value == pytest.approx(mcnemar([[5, lost], [gained, 5]], exact=True).pvalue)
    assert (found.method, found.n, found.n_clusters) == ("exact", lost + gained + same, lost + gained + same)


def every_sign(sums):
    """The share of all sign flips whose sum is as far from zero."""
    seen = abs(sum(sums)) - 1e-9
    flips = list(itertools.product([-1, 1], repeat=len(sums)))
    return sum(abs(sum(s * x for s, x in zip(flip, sums, strict=True))) >= seen for flip in flips) / len(flips)


def test_whole_numbers_in_clusters_are_counted_out():
    change = rng(3).integers(-1, 2, size=24).astype(float)
    clusters = rng(4).integers(0, 9, size=24)
    sums = [change[clusters == name].sum() for name in range(9)]
    assert max(map(abs, sums)) > 1
    found = paired_test(change, clusters, rng=rng())
    assert found.p_value == pytest.approx(every_sign(sums))
    assert (found.method, found.n_clusters) == ("exact", len(set(clusters)))


def test_real_differences_agree_with_scipy_and_with_every_sign():
    change = rng(5).normal(0.4, 1.0, size=12)
    found = paired_test(change, rng=rng(), n_flips=40_000)
    exact = every_sign(change.tolist())
    assert found.p_value == pytest.approx(exact, abs=3 * np.sqrt(exact * (1 - exact) / 40_000))
    other = stats.permutation_test(
        (change, np.zeros(12)), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert exact == pytest.approx(other.pvalue)
    assert found.method == "sign flips"


def test_many_clusters_are_taken_as_normal():
    change = rng(6).exponential(size=6000) - 0.98
    found = paired_test(change, rng=rng())
    assert found.method == "normal"
    drawn = [abs((rng(seed).choice([-1, 1], 6000) * change).sum()) >= abs(change.sum()) for seed in range(4000)]
    assert found.p_value == pytest.approx(np.mean(drawn), abs=0.025)


def test_false_alarms_with_clusters_are_as_rare_as_the_level():
    """Skewed differences of mean zero, which flips of signs do not promise to handle, in clusters of three."""
    draw = rng(8)
    names = np.repeat(np.arange(60), 3)
    alarms = [
        paired_test(
            np.repeat(draw.exponential(size=60) - 1, 3) + draw.normal(size=180), names, rng=rng(trial), n_flips=400
        )
        for trial in range(400)
    ]
    # Three standard errors of 400 trials at 5 %; ignoring the clusters, 20 %.
    assert np.mean([alarm.p_value <= 0.05 for alarm in alarms]) <= 0.083


def test_where_nothing_differs_nothing_is_significant():
    assert paired_test(np.zeros(20), rng=rng()).p_value == 1.0
    assert np.isnan(paired_test(np.zeros(0), rng=rng()).p_value)
    whole, half = paired_tests(np.stack([np.zeros(20), np.full(20, 0.5)], axis=1), rng=rng())
    assert (whole.p_value, whole.method) == (1.0, "exact")
    assert half.p_value == pytest.approx(1 / 10_001)


def test_adjusted_p_values_are_those_of_statsmodels_and_missing_ones_are_no_tests():
    p_values = np.array([0.01, np.nan, 0.2, 0.03, 0.004, np.nan])
    found = false_discovery_rate(p_values)
    known = ~np.isnan(p_values)
    assert found[known] == pytest.approx(multipletests(p_values[known], method="fdr_bh")[1])
    assert np.isnan(found[~known]).all()
    assert false_discovery_rate([np.nan]).tolist() == pytest.approx([np.nan], nan_ok=True)


def test_clusters_are_numbered_as_they_occur():
    assert cluster_codes(["b", "a", "b"], 3).tolist() == [0, 1, 0]
    assert cluster_codes(None, 3).tolist() == [0, 1, 2]
    assert cluster_codes([np.nan, "a", float("nan"), None], 4).tolist() == [0, 1, 0, 0]
    with pytest.raises(DataError, match="examples 3, clusters 2"):
        cluster_codes(["a", "b"], 3)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ConfigError, match="n_flips: given 10, expected at least 100"):
        paired_test(np.zeros(3), rng=rng(), n_flips=10)
    with pytest.raises(DataError, match="between 0 and 1"):
        false_discovery_rate([1.2])
    with pytest.raises(DataError, match="NaN or infinite"):
        paired_test([np.nan, 1.0], rng=rng())
