"""Intervals over examples and seeds that are crossed: every example is seen under every seed, and both are random.

Resampling three seeds would show two thirds of their variance, and no resampling makes many of three. So what seeds add
is Student's t with S − 1 degrees of freedom, what examples add is their bootstrap, and :func:`crossed_ends` puts the
two together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from contested.analysis.clusters import cluster_sums

Floats = NDArray[np.float64]

_SMALLEST_P, _LARGEST_P = 1e-100, 1 - 1e-9  # below, t has no quantile for few degrees of freedom


def crossed_ends(
    estimate: Floats, ends: tuple[Floats, Floats], seeds: Sequence[Floats], share: Floats, confidence: float
) -> tuple[Floats, Floats]:
    """Ends of intervals over crossed examples and seeds, from the interval over examples and the numbers of the seeds.

    The mean of N examples under S seeds has the variance of examples, that of seeds, and that of both together: an
    example moves more under one seed than under another. The spread of the seeds' numbers holds the last two, the
    interval over examples the first and the last, of which the last is taken out here. The parts have different
    critical values, z and Student's t with S − 1 degrees of freedom, which are weighted by the variances (W. Cochran
    and G. Cox, "Experimental Designs", 1950), at each end by itself as in G. Zou and A. Donner, "Construction of
    confidence limits about effect measures", Statistics in Medicine 27, 2008. Satterthwaite's degrees of freedom make
    shorter intervals that miss too often with two or three seeds.

    Args:
        estimate: Q means over seeds, or sums or differences of the means of groups of seeds, shape ``(Q,)``.
        ends: Low and high ends of their intervals over examples, the seeds held fixed, shape ``(Q,)`` each.
        seeds: For each group the number of each of its seeds, shape ``(S, Q)``, S at least 2.
        share: The share of the variance over examples that is not of examples and seeds together, shape ``(Q,)``, as
            :func:`share_of_examples` gives it.
        confidence: Coverage wanted.

    Returns:
        Low and high, shape ``(Q,)``, in the unit of ``estimate``.
    """
    z = float(special.ndtri(0.5 + confidence / 2))
    of_seeds = [
        (group.var(axis=0, ddof=1) / len(group), float(special.stdtrit(len(group) - 1, 0.5 + confidence / 2)))
        for group in seeds
    ]
    low, high = (crossed_half([(share * ((end - estimate) / z) ** 2, z), *of_seeds]) for end in ends)
    return estimate - low, estimate + high


def crossed_half(parts: Sequence[tuple[Floats, float]]) -> Floats:
    """Half the length of an interval of independent parts.

    Args:
        parts: The variance of each, shape ``(Q,)``, and its critical value.

    Returns:
        The standard error times the mean of the critical values, weighted by the variances, and no less than any part
        has by itself (the mean falls where a little variance comes with a much lower critical value), shape ``(Q,)``.
    """
    whole = np.sqrt(sum(variance for variance, _ in parts))
    together = np.asarray(sum(variance * critical for variance, critical in parts))
    weighted = np.divide(together, whole, out=np.zeros_like(together), where=whole > 0)
    return np.asarray(np.maximum.reduce([weighted, *(np.sqrt(variance) * critical for variance, critical in parts)]))


def share_of_examples(influence: Sequence[Floats], codes: NDArray[np.intp]) -> Floats:
    """What share of the variance over examples, the seeds held fixed, is of examples that move alike under all seeds.

    The rest is of examples and seeds together, estimated by how far seeds differ in what an example adds.

    Args:
        influence: For each group of seeds how far each example moves each of Q numbers under each seed, shape
            ``(S, N, Q)``, S at least 2; of a mean it is the value less the mean. The numbers are the groups' means,
            summed.
        codes: The cluster of each example, shape ``(N,)``, from 0.

    Returns:
        From 0 to 1, shape ``(Q,)``; 0 where there is no variance.
    """
    sums = [_sums_by_seed(group, codes) for group in influence]
    alike = [group.mean(axis=1, keepdims=True) for group in sums]
    apart = sum(
        ((group - mean) ** 2).sum(axis=(0, 1)) / (group.shape[1] * (group.shape[1] - 1))
        for group, mean in zip(sums, alike, strict=True)
    )
    whole = (sum(alike)[:, 0] ** 2).sum(axis=0)
    return np.asarray(np.clip(1.0 - np.divide(apart, whole, out=np.ones_like(whole), where=whole > 0), 0.0, 1.0))


def _sums_by_seed(influence: Floats, codes: NDArray[np.intp]) -> Floats:
    """Sums within each cluster, shape (G, S, Q)."""
    n_seeds, n, width = influence.shape
    flat = influence.transpose(1, 0, 2).reshape(n, n_seeds * width)
    return cluster_sums(flat, codes).reshape(-1, n_seeds, width)


def crossed_p(estimate: float, end: float, seeds: Floats, share: float, confidence: float) -> float:
    """Two-sided p of 0: 1 − the confidence at which the interval of :func:`crossed_ends` would end at 0.

    Args:
        estimate: The mean over seeds.
        end: That end of its interval over examples which lies towards 0.
        seeds: The number of each seed, shape ``(S,)``, S at least 2.
        share: As in :func:`crossed_ends`.
        confidence: That of the interval over examples.

    Returns:
        The p-value; below 0.05 where the 95 % interval of the same parts leaves 0 out.
    """
    z = float(special.ndtri(0.5 + confidence / 2))
    of_examples, of_seeds = share * ((end - estimate) / z) ** 2, float(seeds.var(ddof=1)) / len(seeds)

    def half(p_value: float) -> float:
        critical = critical_value(p_value), critical_value(p_value, len(seeds) - 1)
        return float(crossed_half([(np.array(of_examples), critical[0]), (np.array(of_seeds), critical[1])]))

    return p_where(half, abs(estimate))


def critical_value(p_value: float, df: float = math.inf) -> float:
    """The two-sided critical value of Student's t, or of a normal variable."""
    return -float(special.ndtri(p_value / 2) if math.isinf(df) else special.stdtrit(df, p_value / 2))


def p_where(half: Callable[[float], float], distance: float) -> float:
    """1 − the confidence at which half an interval is as long as its distance from 0.

    Args:
        half: From 1 − the confidence to half the interval's length.
        distance: From 0 to the estimate.

    Returns:
        The p-value; 0 below 1e-100, and 1 where there is no distance.
    """
    if half(_LARGEST_P) >= distance:
        return 1.0
    if half(_SMALLEST_P) <= distance:
        return 0.0
    found = optimize.brentq(lambda log: half(math.exp(log)) - distance, math.log(_SMALLEST_P), math.log(_LARGEST_P))
    return math.exp(found)
