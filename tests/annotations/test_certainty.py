from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from contested.annotations import certainty
from contested.annotations.categories import FIXED, Categories, categorize
from contested.annotations.certainty import JEFFREYS, category_probabilities, own_probability
from contested.annotations.measures import entropy


def drawn(n, annotators, concentration, seed=0, classes=3):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([concentration] * classes, n)
    return rng.multinomial(annotators, shares), shares


def test_two_classes_have_the_probabilities_of_a_beta_distribution():
    bands = Categories(("agreed", "split"), (0.5,))
    counts = [[3, 1], [5, 0], [2, 2], [60, 40], [95, 5]]
    found = category_probabilities(counts, bands)
    assert found.concentration == JEFFREYS
    # H(p) < 0.5 outside of (p0, 1 - p0)
    p0 = optimize.brentq(lambda p: stats.entropy([p, 1 - p]) - 0.5, 1e-9, 0.5)
    for (a, b), row in zip(counts, found.probabilities, strict=True):
        exact = stats.beta(a + 0.5, b + 0.5)
        outside = exact.cdf(p0) + exact.sf(1 - p0)
        assert row == pytest.approx([outside, 1 - outside], abs=0.06)  # four standard errors of 1,000 draws


def test_the_prior_is_the_most_likely_one():
    counts, _ = drawn(400, 7, 0.4)
    found = category_probabilities(counts, FIXED).concentration
    likelihood = [
        stats.dirichlet_multinomial.logpmf(counts, np.full(3, a), 7).sum() for a in (0.98 * found, found, 1.02 * found)
    ]
    assert likelihood[1] == max(likelihood)
    assert found == pytest.approx(0.4, abs=0.08)


@pytest.mark.parametrize("annotators", [3, 5, 20])
def test_what_is_said_is_how_often_it_is_right(annotators):
    counts, shares = drawn(3000, annotators, 0.35)
    truth = categorize(stats.entropy(shares, axis=1))
    given = categorize(entropy(counts))
    found = category_probabilities(counts, FIXED)
    assert own_probability(found.probabilities, given, FIXED).mean() == pytest.approx((given == truth).mean(), abs=0.04)
    for place, name in enumerate(FIXED.names):
        assert found.probabilities[:, place].mean() == pytest.approx((truth == name).mean(), abs=0.04)


def test_permutations_and_repeated_calls_agree_and_one_annotation_says_nothing():
    counts = [[4, 1, 0], [0, 1, 4], [1, 0, 0], [5, 0, 0]]
    found = category_probabilities(counts, FIXED).probabilities
    assert found[0].tolist() == found[1].tolist()
    assert np.isnan(found[2]).all()
    assert found[[0, 1, 3]].sum(axis=1) == pytest.approx([1, 1, 1])
    np.testing.assert_array_equal(found, category_probabilities(counts, FIXED).probabilities)
    own = own_probability(found, categorize(entropy(counts)), FIXED)
    assert own[:2].tolist() == found[:2, 1].tolist()
    assert np.isnan(own[2])


def test_the_same_annotations_are_computed_once_and_cannot_be_written_to(monkeypatch):
    asked, original = [], certainty._shares
    monkeypatch.setattr(certainty, "_shares", lambda *given: asked.append(given) or original(*given))
    counts = np.random.default_rng(5).multinomial(7, [0.5, 0.3, 0.2], 40)
    first = category_probabilities(counts, FIXED)
    assert category_probabilities(counts.copy(), FIXED).probabilities is first.probabilities
    with pytest.raises(ValueError, match="read-only"):
        first.probabilities[0] = 0
    # Other annotations, categories or another concentration are something else.
    others = [(counts[::-1], FIXED, None), (counts, Categories(("a", "b"), (0.5,)), None), (counts, FIXED, 0.5)]
    for label_counts, bands, concentration in others:
        category_probabilities(label_counts, bands, concentration=concentration)
    assert len(asked) == 4


def test_no_example_with_two_annotations_has_no_probabilities():
    assert np.isnan(category_probabilities([[1, 0], [0, 1]], Categories(("a", "b"), (0.3,))).probabilities).all()
