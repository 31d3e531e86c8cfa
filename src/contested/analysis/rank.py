"""Rank statistics beside Spearman's ρ: Kendall's τ-b and W, and the trend of ρ with LoRA rank."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.correlation import known_pairs, no_rho
from contested.analysis.ranking import codes, mean_ranks, rank_correlation, rank_test
from contested.errors import DataError

_MOST_PERMUTED = 8  # 8! = 40,320 orders; one point more makes 362,880


class KendallTau(NamedTuple):
    """Kendall's τ-b of two quantities of the same examples.

    Attributes:
        tau: Kendall's τ-b.
        p_value: Two-sided p of τ-b = 0.
        n: Examples it rests on.
        note: Why a number is missing; empty otherwise.
    """

    tau: float
    p_value: float
    n: int
    note: str


class KendallW(NamedTuple):
    """How far m orders of N examples agree.

    Attributes:
        w: Kendall's coefficient of concordance: 0 for none, 1 for the same order each time.
        chi2: m (N − 1) W, under no agreement close to χ² with N − 1 degrees of freedom.
        p_value: p of no agreement (χ² approximation).
        m: Orders, such as one for each seed.
        n: Examples N.
        note: Why a number is missing; empty otherwise.
    """

    w: float
    chi2: float
    p_value: float
    m: int
    n: int
    note: str


class RankTrend(NamedTuple):
    """Spearman's ρ of LoRA rank with ρ(AULC, H).

    Attributes:
        rho: Spearman's ρ of rank with ρ(AULC, H).
        p_value: Its two-sided p.
        n: Runs it rests on.
        note: Why a number is missing, or p an approximation; empty otherwise.
    """

    rho: float
    p_value: float
    n: int
    note: str


def kendall_tau(x: ArrayLike, y: ArrayLike) -> KendallTau:
    """Kendall's τ-b of two quantities of the same examples, which counts tied pairs out.

    Examples with a missing value (NaN) are left out, and the note counts them.

    Args:
        x: Shape ``(N,)``.
        y: Shape ``(N,)``.

    Returns:
        τ-b and SciPy's p (exact for few examples without ties, otherwise normal).
    """
    a, b, n_skipped = known_pairs(x, y, ("x", "y"))
    if note := no_rho(a, b, ("x", "y")):
        return KendallTau(np.nan, np.nan, len(a), note)
    from scipy import stats

    tau, p_value = (float(part) for part in stats.kendalltau(a, b))
    note = f"{n_skipped} examples left out: a value is missing" if n_skipped else ""
    return KendallTau(tau, p_value, len(a), note)


def kendall_w(orders: ArrayLike) -> KendallW:
    """Kendall's W of m orders of the same N examples, corrected for ties.

    With R_i the sum of example i's ranks over the m orders, S = Σ (R_i − R̄)² and T_j = Σ (t³ − t) over the
    groups of t tied values of order j: W = 12 S / (m² (N³ − N) − m Σ T_j) (M. G. Kendall and B. Babington
    Smith, "The Problem of m Rankings", 1939; ties as in Kendall, "Rank Correlation Methods").

    Args:
        orders: What the examples are ordered by, shape ``(m, N)``: AULC or learning time under each seed. They
            are ranked here. Infinity is the last rank, as for examples that are never learned.

    Returns:
        W with its χ² test; NaN, explained in ``note``, for one order, fewer than 2 examples or constant orders.

    Raises:
        DataError: If the shape is another, or a value is NaN.
    """
    array = np.asarray(orders, dtype=np.float64)
    if array.ndim != 2:
        raise DataError(f"orders: given an array of shape {array.shape}, expected (m, N).")
    if np.isnan(array).any():
        raise DataError(
            f"orders: {int(np.isnan(array).sum())} of {array.size} values are NaN; give infinity for never."
        )
    m, n = array.shape
    if m < 2 or n < 2:
        note = f"{m} order(s) of {n} example(s): agreement needs at least 2 of each"
        return KendallW(np.nan, np.nan, np.nan, m, n, note)
    sums = np.sum([mean_ranks(codes(row)) for row in array], axis=0)
    spread = float(((sums - sums.mean()) ** 2).sum())
    tied = sum(float((counts**3 - counts).sum()) for counts in map(_tie_counts, array))
    largest = m**2 * (n**3 - n) - m * tied
    if largest == 0:
        return KendallW(np.nan, np.nan, np.nan, m, n, "constant: every order, so there are no ranks to compare")
    w = 12 * spread / largest
    chi2 = m * (n - 1) * w
    return KendallW(w, chi2, float(special.chdtrc(n - 1, chi2)), m, n, "")


def _tie_counts(row: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.unique(row, return_counts=True)[1].astype(np.float64)


def rank_trend(ranks: ArrayLike, rhos: ArrayLike) -> RankTrend:
    r"""Spearman's ρ of LoRA rank with ρ(AULC, H) over runs, with an exact p for few runs.

    Up to 8 points, p is the share of all orders of ``rhos`` whose \\|ρ\\| is at least the one found; the smallest
    possible is 2 / n! without ties, 0.0028 for the six ranks of the sweep. Beyond, it is Student's t approximation.

    Args:
        ranks: LoRA rank of each run, shape ``(n,)``.
        rhos: ρ(AULC, H) of each run, shape ``(n,)``; a missing one (NaN) is left out.

    Returns:
        ρ and its two-sided p; NaN, explained in ``note``, below 3 points or where one side is constant.
    """
    a, b, n_skipped = known_pairs(ranks, rhos, ("rank", "rho"))
    n = len(a)
    if note := no_rho(a, b, ("rank", "rho")):
        return RankTrend(np.nan, np.nan, n, note.replace("examples", "runs"))
    notes = [f"{n_skipped} runs left out: a value is missing"] if n_skipped else []
    rho, p_value = rank_test(codes(a), codes(b))
    if n <= _MOST_PERMUTED:
        orders = np.array(list(permutations(mean_ranks(codes(b)))))
        drawn = rank_correlation(mean_ranks(codes(a)), orders)
        p_value = float(np.mean(np.abs(drawn) >= abs(rho) - 1e-9))
    else:
        notes.append(f"{n} runs: p is Student's t approximation")
    return RankTrend(rho, p_value, n, "; ".join(notes))
