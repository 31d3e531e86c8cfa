from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import mean_interval
from contested.errors import DataError
from contested.paper.noise import noise_shift, wilcoxon


def generator(seed=0):
    return np.random.default_rng(seed)


def pairs(n=60, shift=0.1):
    clean = generator().gamma(2.0, 0.3, n)
    return clean, clean + generator(1).normal(shift, 0.2, n)


def slow_wilcoxon(change):
    """Exact two-sided p of few differences without ties: the rank sum under all 2ⁿ signs."""
    ranks = stats.rankdata(np.abs(change))
    observed = ranks[change > 0].sum()
    sums = [sum(r for bit, r in enumerate(ranks) if signs >> bit & 1) for signs in range(2 ** len(change))]
    return min(1.0, 2 * min(np.mean(np.array(sums) >= observed), np.mean(np.array(sums) <= observed)))


def test_shift_by_hand():
    # differences 1, 0, 2, 1: mean 1, sample variance (0 + 1 + 1 + 0) / 3
    found = noise_shift([1, 2, 3, 4], [2, 2, 5, 5], rng=generator())
    assert (found.mean_baseline, found.mean_noised, found.shift) == (2.5, 3.5, 1.0)
    assert found.cohens_d == pytest.approx(np.sqrt(3 / 2))
    assert found.n == 4
    assert found.note == "4 examples: too few for a 95% interval (6 needed)"


def test_wilcoxon_of_few_examples_is_exact():
    clean, noised = pairs(10)
    assert noise_shift(clean, noised, rng=generator()).wilcoxon_p == pytest.approx(slow_wilcoxon(noised - clean))


def test_wilcoxon_of_many_examples_is_the_normal_approximation_without_unchanged_ones():
    clean, noised = pairs()
    noised = np.round(clean + np.round(noised - clean, 1), 6)
    change = np.round(noised - clean, 6)
    moved = change[change != 0]
    n, ranks = len(moved), stats.rankdata(np.abs(moved))
    assert n < 60
    # Mean n (n + 1) / 4 and variance n (n + 1)(2n + 1) / 24 - Σ (t³ - t) / 48 over groups of t tied differences.
    ties = sum(t**3 - t for t in np.unique(np.abs(moved), return_counts=True)[1])
    z = (ranks[moved > 0].sum() - n * (n + 1) / 4) / np.sqrt(n * (n + 1) * (2 * n + 1) / 24 - ties / 48)
    found = noise_shift(np.zeros(60), change, rng=generator())
    assert found.wilcoxon_p == pytest.approx(2 * stats.norm.sf(abs(z)))


def test_the_signs_of_a_cluster_change_together():
    # Signed ranks 1, 2, −3 and 4 (0 has none) of clusters a, a, b, b: sums 3 and 1, so z = 4 / √(9 + 1).
    change = np.array([0.1, 0.2, -0.3, 0.4, 0.0])
    p, note = wilcoxon(change, ["a", "a", "b", "b", "c"])
    assert (p, note) == (pytest.approx(2 * stats.norm.sf(4 / np.sqrt(10))), "")
    assert noise_shift(change * 0, change, clusters=["a", "a", "b", "b", "c"], rng=generator()).wilcoxon_p == p
    # Clusters of one are the test of scipy.
    many = generator(3).normal(0.1, 1, 40)
    assert wilcoxon(many, np.arange(40)) == wilcoxon(many)


def test_cohens_d_is_the_paired_t_over_root_n():
    clean, noised = pairs()
    found = noise_shift(clean, noised, rng=generator())
    assert found.cohens_d == pytest.approx(stats.ttest_rel(noised, clean).statistic / np.sqrt(60))
    assert found.note == ""


def test_interval_is_that_of_the_mean_difference():
    clean, noised = pairs()
    found = noise_shift(clean, noised, rng=generator(), n_resamples=4000)
    student = stats.ttest_rel(noised, clean).confidence_interval()
    assert (found.low, found.high) == pytest.approx((student.low, student.high), abs=0.01)
    alone = mean_interval(noised - clean, rng=generator(), n_resamples=4000)
    assert (found.low, found.high) == (alone.low, alone.high)


def test_swapping_the_runs_turns_the_sign():
    clean, noised = pairs()
    found, turned = noise_shift(clean, noised, rng=generator()), noise_shift(noised, clean, rng=generator())
    assert (turned.shift, turned.cohens_d) == pytest.approx((-found.shift, -found.cohens_d))
    assert turned.wilcoxon_p == pytest.approx(found.wilcoxon_p)
    assert found.shift > 0


def test_order_of_examples_does_not_change_the_numbers():
    clean, noised = pairs()
    order = generator(2).permutation(60)
    first, again = (
        noise_shift(clean, noised, rng=generator()),
        noise_shift(clean[order], noised[order], rng=generator()),
    )
    assert (*again[:3], *again[5:8]) == pytest.approx((*first[:3], *first[5:8]))
    assert (again.low, again.high) == pytest.approx((first.low, first.high), abs=0.02)


@pytest.mark.filterwarnings("error")
def test_runs_that_are_alike_have_no_test_and_no_effect_size():
    found = noise_shift(np.arange(20), np.arange(20), rng=generator())
    assert (found.shift, found.low, found.high) == (0.0, 0.0, 0.0)
    assert np.isnan([found.wilcoxon_p, found.cohens_d]).all()
    assert found.note.startswith("no example changes")


@pytest.mark.filterwarnings("error")
def test_a_constant_shift_has_a_test_and_no_effect_size():
    found = noise_shift(np.arange(20), np.arange(20) + 1.0, rng=generator())
    assert found.wilcoxon_p < 0.001
    assert np.isnan(found.cohens_d)
    assert found.note == "all differences are equal, so Cohen's d is undefined"


@pytest.mark.filterwarnings("error")
def test_no_examples_have_a_note():
    found = noise_shift([], [], rng=generator())
    assert np.isnan(found[:7]).all()
    assert (found.n, found.note) == (0, "no examples")


def test_input_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match="clean 2, noised 3"):
        noise_shift([1, 2], [1, 2, 3], rng=generator())
    with pytest.raises(DataError, match="noised: 1 of 2"):
        noise_shift([1, 2], [1, np.nan], rng=generator())
