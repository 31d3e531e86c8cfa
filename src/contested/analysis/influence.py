"""How far each example moves a rank correlation, to first order: its influence function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.intp]
Floats = NDArray[np.float64]


def rank_influence(x: Codes, y: Codes) -> Floats:
    """The influence of each example on Spearman's ρ, ties included.

    An example of weight ε moves ρ by ε times its influence. It does so twice: by its own ranks, and by the ranks of
    all examples above it, which it pushes up. The sum of squared influences, divided by N², is the variance of ρ over
    examples (infinitesimal jackknife; F. Hampel, "The Influence Curve and Its Role in Robust Estimation", Journal of
    the American Statistical Association 69, 1974; C. Croux and C. Dehon, "Influence Functions of the Spearman and
    Kendall Correlation Measures", Statistical Methods & Applications 19, 2010).

    Args:
        x: Whole numbers from 0, as :func:`~contested.analysis.ranking.codes` makes them, shape ``(N,)``, not constant.
        y: Another quantity of the same examples.

    Returns:
        Shape ``(N,)``; their mean is 0.
    """
    u, v = _centred_ranks(x), _centred_ranks(y)
    of_x, of_y = (u * u).mean(), (v * v).mean()
    scale = np.sqrt(of_x * of_y)
    rho = (u * v).mean() / scale
    together = u * v + _pushed(x, v) + _pushed(y, u)
    spread = (u * u + 2 * _pushed(x, u)) / of_x + (v * v + 2 * _pushed(y, v)) / of_y
    influence = together / scale - rho / 2 * spread
    return np.asarray(influence - influence.mean())


def _centred_ranks(coded: Codes) -> Floats:
    """Shares of examples below, ties half, less one half."""
    counts = np.bincount(coded)
    return np.asarray(((counts.cumsum() - counts / 2) / len(coded))[coded] - 0.5)


def _pushed(coded: Codes, weights: Floats) -> Floats:
    """Mean over all examples of their weight, where they lie above the example; half of it where they tie."""
    sums = np.bincount(coded, weights)
    above = sums[::-1].cumsum()[::-1] - sums / 2
    return np.asarray((above / len(coded))[coded])
