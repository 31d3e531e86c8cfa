"""How far each example moves a rank correlation, to first order: its influence function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contested.analysis.ranking import mean_ranks

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
        x: Whole numbers from 0, as :func:`~contested.analysis.ranking.codes` makes them, shape ``(..., N)``: of each
            sample, none of which is constant.
        y: Another quantity of the same examples, shape ``(N,)``.

    Returns:
        Shape ``(..., N)``; the mean of each sample is 0.
    """
    u, v = _centred_ranks(x), _centred_ranks(y)
    of_x, of_y = _mean(u * u), (v * v).mean()
    scale = np.sqrt(of_x * of_y)
    rho = _mean(u * v) / scale
    together = u * v + _pushed(x, v) + _pushed(y, u)
    spread = (u * u + 2 * _pushed(x, u)) / of_x + (v * v + 2 * _pushed(y, v)) / of_y
    influence = together / scale - rho / 2 * spread
    return np.asarray(influence - _mean(influence))


def _mean(values: Floats) -> Floats:
    return np.asarray(values.mean(axis=-1, keepdims=True))


def _centred_ranks(coded: Codes) -> Floats:
    """Shares of examples below, ties half, less one half."""
    return np.asarray((mean_ranks(coded) - 0.5) / coded.shape[-1] - 0.5)


def _pushed(coded: Codes, weights: Floats) -> Floats:
    """Mean over all examples of their weight, where they lie above the example; half of it where they tie."""
    coded, weights = np.broadcast_arrays(coded, weights)
    rows = coded.reshape(-1, coded.shape[-1])
    width = int(rows.max()) + 1
    cells = rows + width * np.arange(len(rows))[:, None]
    sums = np.bincount(cells.ravel(), weights.ravel(), len(rows) * width).reshape(len(rows), width)
    above = sums[:, ::-1].cumsum(axis=1)[:, ::-1] - sums / 2
    return np.asarray((above / coded.shape[-1]).ravel()[cells].reshape(coded.shape))
