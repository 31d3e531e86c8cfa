from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis.influence import rank_influence
from contested.analysis.ranking import codes


def tied(n):
    rng = np.random.default_rng(n)
    x = np.round(rng.gamma(1.0, 1.0, n), 1)
    return x, np.round(x + 2 * rng.normal(size=n))


def weighted_rho(x, y, weights):
    """ρ of examples of unequal weight, whose ranks are the weight below them and half that of their ties."""
    u, v = (weights @ ((z[:, None] < z) + 0.5 * (z[:, None] == z)) - 0.5 for z in (x, y))
    return weights @ (u * v) / np.sqrt((weights @ u**2) * (weights @ v**2))


def test_influence_is_the_derivative_by_the_weight_of_an_example():
    x, y = tied(40)
    even, step = np.full(40, 1 / 40), 1e-6
    assert weighted_rho(x, y, even) == pytest.approx(stats.spearmanr(x, y).statistic)
    slow = [
        (weighted_rho(x, y, (1 - step) * even + step * unit) - weighted_rho(x, y, even)) / step for unit in np.eye(40)
    ]
    found = rank_influence(codes(x), codes(y))
    assert found == pytest.approx(slow, abs=1e-4)
    assert found.mean() == pytest.approx(0.0, abs=1e-12)


def test_influence_is_the_jackknife_of_many_examples():
    x, y = tied(500)
    left = [stats.spearmanr(np.delete(x, row), np.delete(y, row)).statistic for row in range(20)]
    slow = 499 * (stats.spearmanr(x, y).statistic - np.array(left))
    assert rank_influence(codes(x), codes(y))[:20] == pytest.approx(slow, abs=0.01)


def test_influences_of_many_samples_are_those_of_each():
    rows, y = np.stack([tied(n)[0][:30] for n in range(40, 46)]).reshape(2, 3, 30), codes(tied(30)[1])
    found = rank_influence(codes(rows), y)
    assert found.shape == (2, 3, 30)
    for place in np.ndindex(2, 3):
        assert found[place].tolist() == rank_influence(codes(rows[place]), y).tolist()
