"""Ranks and correlations of many samples at once: what every bootstrap of a rank statistic is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

BATCH = 250_000  # ranked numbers in memory at once: few enough to stay in the processor's cache


def codes(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Values along the last axis as whole numbers from 0 in the same order, equal where they are equal.

    Args:
        values: Without NaN, shape ``(..., N)``.

    Returns:
        The same shape.
    """
    order = np.argsort(values, axis=-1)
    ascending = np.take_along_axis(values, order, -1)
    rises = np.zeros(values.shape, np.intp)
    rises[..., 1:] = ascending[..., 1:] != ascending[..., :-1]
    found = np.empty(values.shape, np.intp)
    np.put_along_axis(found, order, rises.cumsum(axis=-1), -1)
    return found


def mean_ranks(coded: NDArray[np.intp]) -> NDArray[np.float64]:
    """Ranks along the last axis, ties sharing their mean: rankdata without sorting every resample again.

    Args:
        coded: Whole numbers from 0, as :func:`codes` makes them, shape ``(..., N)``.

    Returns:
        Ranks from 1 to N, shape ``(..., N)``.
    """
    rows = coded.reshape(-1, coded.shape[-1])
    width = int(rows.max()) + 1
    cells = rows + width * np.arange(len(rows))[:, None]
    counts = np.bincount(cells.ravel(), minlength=len(rows) * width).reshape(len(rows), width)
    ranks = counts.cumsum(axis=1) - (counts - 1) / 2
    return np.asarray(ranks.ravel()[cells].reshape(coded.shape))


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation of ranks along the last axis, which is ρ; NaN where a sample is constant.

    Args:
        a: Ranks, shape ``(..., N)``.
        b: Ranks, shape ``(..., N)``.

    Returns:
        Shape ``(...)``.
    """
    middle = (a.shape[-1] + 1) / 2
    a, b = a - middle, b - middle
    scale = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    missing = np.full(scale.shape, np.nan)
    return np.asarray(np.divide((a * b).sum(axis=-1), scale, out=missing, where=scale > 0))


def weighted_mean_ranks(coded: NDArray[np.intp], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks in samples that hold each example as often as its weight says; equal examples share their mean rank.

    Args:
        coded: Whole numbers from 0, as :func:`codes` makes them, shape ``(N,)``.
        weights: How often each sample holds each example, shape ``(B, N)``; whole numbers.

    Returns:
        Ranks from 1 to the size of the sample, shape ``(B, N)``, also of examples that a sample does not hold.
    """
    order = np.argsort(coded, kind="stable")
    starts = np.flatnonzero(np.diff(coded[order], prepend=-1))
    held = weights[:, order]
    if len(starts) < len(order):
        held = np.add.reduceat(held, starts, axis=1)
    return np.asarray((held.cumsum(axis=1) - (held - 1) / 2)[:, coded])


def weighted_rank_correlation(
    a: NDArray[np.float64], b: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """:func:`rank_correlation` of weighted samples.

    Args:
        a: Ranks, shape ``(B, N)``.
        b: Ranks, shape ``(B, N)``.
        weights: How often each sample holds each example, shape ``(B, N)``.

    Returns:
        Shape ``(B,)``; NaN where a sample is constant.
    """
    middle = (weights.sum(axis=1, keepdims=True) + 1) / 2
    a, b = a - middle, b - middle
    # Sums of quarters, which are exact in any order.
    shared, of_a, of_b = (np.einsum("bn,bn,bn->b", weights, *pair) for pair in ((a, b), (a, a), (b, b)))
    scale = np.sqrt(of_a * of_b)
    return np.asarray(np.divide(shared, scale, out=np.full(len(a), np.nan), where=scale > 0))


def rank_test(x: NDArray[np.intp], y: NDArray[np.intp]) -> tuple[float, float]:
    """Spearman's ρ and its two-sided p by Student's t, as ``scipy.stats.spearmanr`` has them.

    Args:
        x: Whole numbers from 0, as :func:`codes` makes them, not all equal, shape ``(N,)``.
        y: Likewise.

    Returns:
        ρ and p.
    """
    rho, freedom = np.corrcoef(mean_ranks(x), mean_ranks(y))[1, 0], len(x) - 2
    with np.errstate(divide="ignore"):
        t = rho * np.sqrt((freedom / ((rho + 1.0) * (1.0 - rho))).clip(0))
    return float(rho), float(2 * special.stdtr(freedom, -np.abs(t)))
