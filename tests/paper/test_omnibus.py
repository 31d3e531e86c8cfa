from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import spearman as spearman_of
from contested.errors import ConfigError, DataError
from contested.paper.omnibus import SharedExamples, mean_rho, omnibus

RNG = np.random.default_rng


def spearman(a, b):
    return stats.spearmanr(a, b).statistic


def made(seed, n=40, slope=0.0, seeds=3):
    """AULC of seeds that share most of what examples differ in, and entropies with ties."""
    rng = RNG(seed)
    entropy = np.round(rng.random(n), 1)
    shared = slope * entropy + rng.normal(0, 1, n)
    return shared + rng.normal(0, 0.5, (seeds, n)), entropy


def test_the_mean_of_the_seeds_rho_and_its_permutation_test():
    aulc, entropy = made(1, slope=1.2)
    found = mean_rho(aulc, entropy)
    mean = np.mean([spearman(row, entropy) for row in aulc])
    assert found.rho == pytest.approx(mean)
    # The same statistic under permutations of H: a p close to Student's t, and the standard deviation.
    draws = [
        np.mean([spearman(row, rng) for row in aulc]) for rng in (RNG(s).permutation(entropy) for s in range(2000))
    ]
    assert found.se == pytest.approx(np.std(draws), rel=0.06)
    assert found.p_value == pytest.approx((np.abs(draws) >= abs(mean)).mean(), abs=0.012)


def test_one_seed_is_the_usual_test_of_rho():
    aulc, entropy = made(2, seeds=1)
    usual = stats.spearmanr(aulc[0], entropy)
    assert mean_rho(aulc, entropy)[:2] == pytest.approx((usual.statistic, usual.pvalue))


def test_the_mean_over_clusters_counts_clusters():
    aulc, entropy = made(2, slope=1.5)
    names = np.repeat(np.arange(40), 3)
    copied = mean_rho(np.repeat(aulc, 3, axis=1), np.repeat(entropy, 3), names)
    # Three copies of each example tell what one does, but for Student's t against Fisher's z.
    assert copied.p_value == pytest.approx(mean_rho(aulc, entropy, np.arange(40)).p_value, rel=1e-6)
    assert copied.p_value == pytest.approx(mean_rho(aulc, entropy).p_value, abs=0.01)
    assert mean_rho(np.repeat(aulc, 3, axis=1), np.repeat(entropy, 3)).p_value < copied.p_value / 20
    # One seed is the test of ρ over clusters; below six clusters there is none.
    own = np.arange(40) // 2
    one = spearman_of(aulc[0], entropy, clusters=own, rng=RNG(0), n_resamples=100)
    assert mean_rho(aulc[:1], entropy, own).p_value == pytest.approx(one.p_value)
    assert np.isnan(mean_rho(aulc, entropy, np.arange(40) // 10).p_value)


def test_examples_without_an_entropy_are_left_out():
    aulc, entropy = made(3)
    entropy[:5] = np.nan
    assert mean_rho(aulc, entropy) == mean_rho(aulc[:, 5:], entropy[5:])


@pytest.mark.parametrize(
    ("aulc", "entropy"),
    [([[1.0, 2.0]], [0.1, 0.2]), ([[1.0, 1.0, 1.0]], [0.1, 0.2, 0.3]), ([[1.0, 2.0, 3.0]], [0.1, 0.1, 0.1])],
)
def test_nothing_to_correlate_has_no_test(aulc, entropy):
    assert np.isnan(mean_rho(aulc, entropy)).all()
    found = omnibus([SharedExamples([aulc], entropy)], rng=RNG(0), n_permutations=99)
    assert np.isnan([found.rho, found.p_value, *found.p_conditions]).all()


def test_perfect_agreement_has_the_smallest_p():
    entropy = np.arange(9.0)
    assert mean_rho([entropy, entropy], entropy).p_value == 0.0
    found = omnibus([SharedExamples([[entropy]], entropy)], rng=RNG(0), n_permutations=999)
    assert found.p_value == found.p_conditions[0] == 1 / 1000


def test_every_permutation_of_few_examples_against_the_drawn_ones():
    """Two conditions of six examples: all 720 orders of H, statistic by statistic."""
    first, entropy = made(4, n=6, slope=3.0)
    second, _ = made(5, n=6, seeds=2)
    found = omnibus([SharedExamples([first, second], entropy)], rng=RNG(0), n_permutations=20_000)

    def rhos(h):
        return np.array([np.mean([spearman(row, h) for row in one]) for one in (first, second)])

    drawn = np.array([rhos(np.array(order)) for order in permutations(entropy)])
    seen, scale = rhos(entropy), drawn.std(axis=0)
    assert found.rho == pytest.approx(seen.mean())
    assert found.p_value == pytest.approx((np.abs(drawn.mean(axis=1)) >= abs(seen.mean()) - 1e-9).mean(), abs=0.012)
    highest = np.abs(drawn / scale).max(axis=1)
    for p, own in zip(found.p_conditions, np.abs(seen / scale), strict=True):
        assert p == pytest.approx((highest >= own - 1e-9).mean(), abs=0.012)


def test_data_sets_are_permuted_by_themselves_and_missing_conditions_left_out():
    aulc, entropy = made(6, slope=2.0)
    other, human = made(7, n=25)
    constant = np.ones((2, 25))
    found = omnibus([SharedExamples([aulc], entropy), SharedExamples([constant, other], human)], rng=RNG(0))
    assert np.isnan(found.p_conditions[1])
    assert found.rho == pytest.approx((mean_rho(aulc, entropy).rho + mean_rho(other, human).rho) / 2)
    assert found.p_conditions[0] < 0.05 < found.p_conditions[2]
    # Adjusted for two conditions: no smaller than a test of its own, and at most Bonferroni's but for the draws.
    alone = mean_rho(other, human).p_value
    assert alone - 0.02 < found.p_conditions[2] < 2 * alone + 0.02


def test_max_t_allows_for_what_conditions_share():
    # Ten times the same condition is one test; Bonferroni would take it ten times.
    aulc, entropy = made(8, slope=1.0)
    once = omnibus([SharedExamples([aulc], entropy)], rng=RNG(0))
    ten = omnibus([SharedExamples([aulc] * 10, entropy)], rng=RNG(0))
    assert ten.p_conditions.tolist() == pytest.approx([once.p_conditions[0]] * 10)


def test_clusters_of_one_size_change_places_as_wholes():
    # Pairs with one entropy and one AULC each: as many examples say no more than half of them.
    half, entropy = made(9, n=20, slope=1.0)
    twice = SharedExamples([np.repeat(half, 2, axis=1)], np.repeat(entropy, 2), np.repeat(np.arange(20), 2))
    pairs = omnibus([twice], rng=RNG(0))
    single = omnibus([SharedExamples([half], entropy)], rng=RNG(0))
    assert pairs.p_value == pytest.approx(single.p_value, abs=0.015)
    alone = omnibus([twice._replace(clusters=None)], rng=RNG(0))
    assert alone.p_value < single.p_value / 2
    # A cluster of another size has nothing to change places with: with one pair and two singles H has two orders.
    few = SharedExamples([[[1.0, 2.0, 3.0, 4.0]]], [0.1, 0.2, 0.3, 0.4], ["a", "a", "b", "c"])
    assert omnibus([few], rng=RNG(0)).p_value == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("correlated", [False, True])
def test_false_alarms_are_at_most_the_level(correlated):
    alarms = np.zeros(2)
    for seed in range(400):
        rng = RNG(seed)
        shared = rng.exponential(1, 30) if correlated else 0.0
        conditions = [shared + rng.exponential(1, (2, 30)) for _ in range(4)]
        found = omnibus([SharedExamples(conditions, rng.random(30))], rng=rng, n_permutations=199)
        alarms += found.p_value <= 0.05, found.p_conditions.min() <= 0.05
    # 400 sets: 5 % ± 1.1 (standard error).
    assert (alarms / 400 < 0.083).all()
    assert (alarms / 400 > 0.02).all()


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ConfigError, match="n_permutations: given 9"):
        omnibus([], rng=RNG(0), n_permutations=9)
    with pytest.raises(DataError, match="given no seed"):
        mean_rho(np.empty((0, 3)), [0.1, 0.2, 0.3])
