from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from contested.analysis import mixed_effect
from contested.errors import ConfigError


def generator(seed=0):
    return np.random.default_rng(seed)


def crossed(n_seeds=3, n=60, slope=0.5, seed=0, slope_sd=0.0):
    """AULC of the same examples under several seeds, each with a slope of its own, and their entropy with ties."""
    rng = generator(seed)
    entropy = np.round(rng.normal(size=n), 1)
    slopes = slope + slope_sd * rng.normal(size=(n_seeds, 1))
    example = slopes * entropy + 0.6 * rng.normal(size=n)
    return example + 0.5 * rng.normal(size=(n_seeds, 1)) + 0.4 * rng.normal(size=(n_seeds, n)), entropy


def mixedlm(aulc, entropy):
    """statsmodels' REML fit of crossed random examples and seeds' random slopes."""
    n_seeds, n = aulc.shape
    frame = pd.DataFrame(
        {
            "aulc": stats.zscore(aulc, axis=1).ravel(),
            "entropy": np.tile(stats.zscore(entropy), n_seeds),
            "seed": np.repeat(np.arange(n_seeds), n),
            "example": np.tile(np.arange(n), n_seeds),
            "all": 1,
        }
    )
    parts = {"example": "0 + C(example)", "slope": "0 + C(seed):entropy"}
    model = sm.MixedLM.from_formula("aulc ~ entropy", frame, groups="all", re_formula="0", vc_formula=parts)
    return model.fit(reml=True)


@pytest.mark.parametrize(("n_seeds", "n"), [(4, 40), (6, 60)])
def test_slope_and_its_spread_are_those_of_statsmodels_mixedlm(n_seeds, n):
    aulc, entropy = crossed(n_seeds, n, seed=n, slope_sd=0.3)
    found, reference = mixed_effect(aulc, entropy), mixedlm(aulc, entropy)
    assert reference.converged
    of_example, of_slope = reference.vcomp
    assert min(of_example, of_slope) > 0.01  # neither at its bound
    assert found.slope == pytest.approx(reference.params["entropy"], rel=1e-6)
    # The seeds' own slopes vary by the slopes' variance and by that of a slope over n examples with Σ z² = n.
    assert found.slope_sd**2 == pytest.approx(of_slope + reference.scale / n, rel=1e-3)
    # Examples are as far from the line at every H here, and the scale of AULC is estimated, which REML does not know.
    assert found.se == pytest.approx(reference.bse["entropy"], rel=0.2)
    assert (found.n_examples, found.n_seeds, found.note) == (n, n_seeds, "")


def test_one_seed_is_the_jackknife_of_fishers_z():
    aulc, entropy = crossed(1, 30)
    left = [np.arctanh(np.corrcoef(np.delete(aulc[0], row), np.delete(entropy, row))[0, 1]) for row in range(30)]
    slope, se = np.corrcoef(aulc[0], entropy)[0, 1], np.sqrt(29 * np.var(left))
    found = mixed_effect(aulc, entropy, confidence=0.9)
    half = stats.t.ppf(0.95, 28) * se
    assert found.slope == pytest.approx(slope)
    assert (found.low, found.high) == pytest.approx(tuple(np.tanh(np.arctanh(slope) + np.array([-half, half]))))
    assert found.se == pytest.approx(se * (1 - slope**2))
    assert found.p_value == pytest.approx(2 * stats.t.sf(np.arctanh(slope) / se, 28))
    assert np.isnan(found.slope_sd)
    assert found.note == "one seed: the slope's interval is over examples alone, and says nothing of other seeds"


def test_slope_is_the_mean_correlation_over_seeds_whatever_their_level_and_scale():
    aulc, entropy = crossed()
    aulc = aulc * np.array([[1.0], [10.0], [0.1]]) + np.array([[0.0], [5.0], [-2.0]])
    expected = [stats.pearsonr(row, entropy).statistic for row in aulc]
    found = mixed_effect(aulc, entropy)
    assert (found.slope, found.slope_sd) == pytest.approx((np.mean(expected), np.std(expected, ddof=1)))


@pytest.mark.parametrize("slope", [0.0, 0.2, 0.6])
def test_p_is_one_minus_the_confidence_whose_interval_ends_at_0(slope):
    aulc, entropy = crossed(3, 40, slope=slope, slope_sd=0.1)
    found = mixed_effect(aulc, entropy)
    at_zero = mixed_effect(aulc, entropy, confidence=1 - found.p_value)
    end = at_zero.low if found.slope > 0 else at_zero.high
    assert end == pytest.approx(0.0, abs=1e-6)
    assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)


def test_a_slope_of_0_has_a_p_of_1_and_a_line_one_of_0():
    # Each AULC beside its negative: the correlation is 0.
    entropy = np.repeat(np.arange(20.0), 2)
    zero = mixed_effect([np.tile([1.0, -1.0], 20) * entropy], entropy)
    assert (zero.slope, zero.p_value) == pytest.approx((0.0, 1.0))
    line = mixed_effect([entropy, 2 * entropy + 1], entropy)
    assert line[:5] == pytest.approx((1.0, 0.0, 1.0, 1.0, 0.0))
    assert line.note.startswith("AULC is a straight line of H")


def test_more_seeds_of_the_same_examples_are_not_more_examples():
    aulc, entropy = crossed(1)
    once, often = mixed_effect(aulc, entropy), mixed_effect(np.repeat(aulc, 10, axis=0), entropy)
    assert often[:5] == pytest.approx(once[:5])


def test_clusters_count_as_one_example():
    aulc, entropy = crossed(3, 40)
    once = mixed_effect(aulc, entropy)
    thrice = np.repeat(aulc, 3, axis=1), np.repeat(entropy, 3)
    again = mixed_effect(*thrice, clusters=np.repeat(np.arange(40), 3))
    assert again[:6] == pytest.approx(once[:6])
    assert mixed_effect(*thrice).se < 0.8 * once.se


def test_clusters_of_examples_without_entropy_are_left_out():
    aulc, entropy = crossed(3, 40)
    entropy = np.where(np.arange(40) < 4, np.nan, entropy)
    clusters = np.repeat(np.arange(20), 2)
    found, rest = (
        mixed_effect(aulc, entropy, clusters=clusters),
        mixed_effect(aulc[:, 4:], entropy[4:], clusters=clusters[4:]),
    )
    assert found[:6] == pytest.approx(rest[:6])
    assert found.note.startswith("4 of 40 examples left out")


@pytest.mark.filterwarnings("error")
def test_what_has_a_slope_and_no_interval_says_why():
    few = mixed_effect([[1.0, 3.0, 2.0, 5.0]], [0, 1, 2, 3])
    assert few.note == "4 examples: too few for a 95% interval (6 needed)"
    clusters = mixed_effect(crossed(2, 10)[0], crossed(2, 10)[1], clusters=np.repeat(range(5), 2))
    assert clusters.note == "5 clusters: too few for a 95% interval (6 needed)"
    alone = mixed_effect([[0.0, 0.1, 0.2, 0.4, 0.3, 0.9]], [0, 0, 0, 0, 0, 1])
    assert alone.note == "without one of the examples there is no slope, or a straight line: no interval"
    for found in (few, clusters, alone):
        assert np.isfinite(found.slope)
        assert np.isnan([found.se, found.low, found.high, found.p_value]).all()


def test_mixed_effect_does_not_depend_on_order():
    aulc, entropy = crossed()
    order = generator().permutation(60)
    again = mixed_effect(aulc[[2, 0, 1]][:, order], entropy[order])
    assert again[:6] == pytest.approx(mixed_effect(aulc, entropy)[:6])


def test_a_confidence_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="confidence"):
        mixed_effect(*crossed(), confidence=95)


def covered(make, truth, n_sets=200):
    rng, hits = generator(3), 0
    for _ in range(n_sets):
        found = mixed_effect(*make(rng))
        hits += found.low <= truth <= found.high
    return hits / n_sets


def test_a_slope_with_a_spread_that_rises_with_entropy_is_covered():
    def make(rng):
        entropy = rng.exponential(size=(100,))
        noise = entropy * (rng.gamma(0.7, 1.0, size=100) - 0.7)
        return 0.5 * entropy + 1.5 * noise + 0.1 * rng.normal(size=(3, 100)), entropy

    # cov(AULC, H) = 0.5; var = 0.25 + 2.25 · E(H²) · 0.7 + 0.01, E(H²) = 2. Least squares covers some 65 %.
    assert 0.90 <= covered(make, 0.5 / np.sqrt(0.25 + 2.25 * 2 * 0.7 + 0.01)) <= 0.98


def test_a_slope_that_differs_by_seed_is_covered():
    def make(rng):
        entropy = rng.normal(size=300)
        slopes = 0.5 + 0.1 * rng.normal(size=(3, 1))
        own = np.sqrt(1 - slopes**2) * (0.8 * rng.normal(size=300) + 0.6 * rng.normal(size=(3, 300)))
        return slopes * entropy + own, entropy

    # A seed's correlation is its slope. An interval over examples alone covers some 87 %.
    assert 0.93 <= covered(make, 0.5) <= 0.99
