"""Items' posteriors against numerical integration, and the next vote against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import entr

from contested.analysis.items.posterior import category_changes, item_posterior
from contested.analysis.items.soft_labels import soft_labels
from contested.annotations import FIXED, Categories, categorize, entropy
from contested.annotations.certainty import category_probabilities


def _inside(counts: tuple[int, int], a: float, low: float, high: float) -> float:
    """The probability that the entropy of a share from Beta(counts + a) is in [low, high), by integration."""
    beta = stats.beta(counts[0] + a, counts[1] + a)
    grid = np.linspace(0, 1, 20_001)
    h = entr(grid) + entr(1 - grid)
    mask = (h >= low) & (h < high)
    cdf = beta.cdf(grid)
    return float(np.diff(cdf)[mask[:-1]].sum())


def test_intervals_hold_their_share_and_are_the_shortest() -> None:
    found = item_posterior([[7, 3]], FIXED, concentration=0.5)
    held = _inside((7, 3), 0.5, float(found.low[0]), float(found.high[0]))
    assert held == pytest.approx(0.95, abs=0.02)  # 1,000 draws
    # The density rises to the upper end, ln 2: the shortest interval reaches up to it, and leaves out what is lowest.
    assert _inside((7, 3), 0.5, float(found.low[0]), 1.0) == pytest.approx(0.95, abs=0.02)
    assert found.high[0] == pytest.approx(np.log(2), abs=2e-3)


def test_interval_of_the_unanimous_begins_at_zero() -> None:
    found = item_posterior([[6, 0, 0]], FIXED, concentration=0.2)
    assert found.low[0] < 1e-3
    assert 0.2 < found.high[0] < np.log(3)


def test_categories_are_those_of_runs() -> None:
    counts = np.random.default_rng(0).multinomial(5, [0.6, 0.3, 0.1], size=60)
    there = category_probabilities(counts, FIXED)
    found = item_posterior(counts, FIXED)
    np.testing.assert_array_equal(found.categories, there.probabilities)
    assert found.concentration == there.concentration


def test_information_is_the_expected_divergence_of_the_next_posterior() -> None:
    # Two classes, one bound: with c = 0, 1 the next vote, Σ_c p(c) KL(P(category | n + e_c) ‖ P(category | n)).
    bands = Categories(("agreed", "split"), (0.5,))
    for counts in ((1, 0), (3, 1), (5, 5)):
        a = 0.7
        now = np.array([_inside(counts, a, 0.0, 0.5), _inside(counts, a, 0.5, 1.0)])
        expected = 0.0
        for c in (0, 1):
            chance = (counts[c] + a) / (sum(counts) + 2 * a)
            after = (counts[0] + (c == 0), counts[1] + (c == 1))
            then = np.array([_inside(after, a, 0.0, 0.5), _inside(after, a, 0.5, 1.0)])
            expected += chance * float((then * np.log(then / now)).sum())
        found = item_posterior([counts], bands, concentration=a)
        assert found.information[0] == pytest.approx(expected, abs=0.015)


def test_one_more_vote_tells_most_where_little_is_known() -> None:
    found = item_posterior([[1, 0, 0], [4, 1, 0], [60, 40, 0]], FIXED, concentration=0.3)
    assert found.information[0] > found.information[1] > found.information[2] >= 0


def test_chance_of_another_category() -> None:
    # 3:0 stays clean with a further vote of its own, 3:1 has H = 0.562 and is ambiguous; 9:1 stays clean with any.
    chances = category_changes([[3, 0], [9, 1]], [[0.75, 0.25], [0.8, 0.2]], lambda n: categorize(entropy(n)))
    # 9:2 has H = 0.474, ambiguous; 10:1 has 0.305, clean.
    np.testing.assert_allclose(chances, [0.25, 0.2])


def test_soft_labels_are_most_likely() -> None:
    rng = np.random.default_rng(2)
    alpha = np.array([2.0, 0.5, 0.1])
    counts = np.array([rng.multinomial(6, p) for p in rng.dirichlet(alpha, 4000)])
    found = soft_labels(counts)
    np.testing.assert_allclose(found.prior, alpha, rtol=0.15)
    # The likelihood, with SciPy's own distribution, is no higher beside the maximum.
    best = stats.dirichlet_multinomial(found.prior, 6).logpmf(counts).sum()
    for step in (0.95, 1.05):
        for c in range(3):
            beside = found.prior * np.where(np.arange(3) == c, step, 1.0)
            assert stats.dirichlet_multinomial(beside, 6).logpmf(counts).sum() < best
    np.testing.assert_allclose(found.probabilities, (counts + found.prior) / (6 + found.prior.sum()))


def test_soft_label_of_few_items_is_laplace_like() -> None:
    # α = ½ each: (2 + ½) / (3 + 1).
    np.testing.assert_allclose(soft_labels([[2, 1]]).probabilities, [[0.625, 0.375]])
