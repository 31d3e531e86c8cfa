from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.errors import DataError
from contested.paper.gradient_norms import norm_tests

NAMES = ("clean", "ambiguous", "contested")


def generator(seed=0):
    return np.random.default_rng(seed)


def sample(n=120):
    entropy = generator().random(n)
    categories = np.array(NAMES)[np.digitize(entropy, [0.4, 0.7])]
    return np.round(generator(1).gamma(2, 1, n) + 2 * entropy, 1), entropy, categories


def slow_kruskal(groups):
    """12 / (N (N + 1)) Σ n_g (R̄_g - (N + 1) / 2)², over 1 - Σ (t³ - t) / (N³ - N) for ties."""
    values = np.concatenate(groups)
    ranks, n = stats.rankdata(values), len(values)
    h, start = 0.0, 0
    for group in groups:
        h += len(group) * (ranks[start : start + len(group)].mean() - (n + 1) / 2) ** 2
        start += len(group)
    ties = sum(t**3 - t for t in np.unique(values, return_counts=True)[1])
    return 12 * h / (n * (n + 1)) / (1 - ties / (n**3 - n))


def test_kruskal_is_the_textbook_formula_with_ties():
    norms, entropy, categories = sample()
    found = norm_tests(norms, entropy, categories, NAMES, rng=generator())
    h = slow_kruskal([norms[categories == name] for name in NAMES])
    assert found.kruskal_h == pytest.approx(h)
    assert found.kruskal_p == pytest.approx(np.exp(-h / 2))  # χ² with 2 degrees of freedom
    assert found.note == ""


def test_rho_is_scipys():
    norms, entropy, categories = sample()
    found = norm_tests(norms, entropy, categories, NAMES, rng=generator())
    reference = stats.spearmanr(norms, entropy)
    assert (found.rho.rho, found.rho.p_value) == pytest.approx((reference.statistic, reference.pvalue))
    assert (found.rho.x, found.rho.y) == ("norm", "entropy")


def test_order_of_examples_does_not_change_the_numbers():
    norms, entropy, categories = sample()
    order = generator(2).permutation(120)
    first = norm_tests(norms, entropy, categories, NAMES, rng=generator())
    again = norm_tests(norms[order], entropy[order], categories[order], NAMES, rng=generator())
    assert (again.kruskal_h, again.rho.rho) == pytest.approx((first.kruskal_h, first.rho.rho))


def test_an_empty_category_is_left_out_of_the_test_and_named():
    norms, entropy, _ = sample()
    categories = np.where(entropy < 0.4, "clean", "contested")
    found = norm_tests(norms, entropy, categories, NAMES, rng=generator())
    # Two groups: Kruskal-Wallis is the two-sided Mann-Whitney test without continuity correction.
    reference = stats.mannwhitneyu(
        norms[entropy < 0.4], norms[entropy >= 0.4], use_continuity=False, method="asymptotic"
    )
    assert found.kruskal_p == pytest.approx(reference.pvalue)
    assert found.note == "no examples in ambiguous"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("norms", "categories", "note"),
    [
        (np.arange(9), ["clean"] * 9, "Kruskal-Wallis compares at least 2 categories with examples, given 1"),
        (np.ones(9), ["clean", "contested", "contested"] * 3, "constant: every norm"),
        ([], [], "Kruskal-Wallis compares at least 2 categories with examples, given 0"),
    ],
)
def test_what_has_no_test_says_why(norms, categories, note):
    found = norm_tests(norms, np.arange(len(norms)), categories, NAMES, rng=generator())
    assert np.isnan([found.kruskal_h, found.kruskal_p]).all()
    assert found.note.startswith(note)


def test_input_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match="norms: 1 of 2"):
        norm_tests([1, np.nan], [0, 1], ["clean"] * 2, NAMES, rng=generator())
    with pytest.raises(DataError, match="norms 2, categories 1"):
        norm_tests([1, 2], [0, 1], ["clean"], NAMES, rng=generator())
    with pytest.raises(DataError, match="norm 2, entropy 3"):
        norm_tests([1, 2], [0, 1, 1], ["clean"] * 2, NAMES, rng=generator())
