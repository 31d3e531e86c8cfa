"""Whether the examples annotators disagree on have larger gradients (paper App. F)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from contested.analysis.checks import OVERALL, category_rows, finite_array, same_length
from contested.analysis.correlation import Correlation, spearman
from contested.analysis.intervals import Clusters


class NormTests(NamedTuple):
    """How the examples' gradient norms go with disagreement.

    Attributes:
        rho: Spearman's ρ of norm and entropy.
        kruskal_h: Kruskal–Wallis H of the norms by category, corrected for ties (not an entropy).
        kruskal_p: Its p (χ² with one degree of freedom fewer than categories that have examples).
        note: Why the test is missing, or which categories it leaves out; empty otherwise.
    """

    rho: Correlation
    kruskal_h: float
    kruskal_p: float
    note: str


def norm_tests(
    norms: ArrayLike,
    entropy: ArrayLike,
    categories: Sequence[str] | NDArray[Any],
    names: Sequence[str],
    *,
    clusters: Clusters = None,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> NormTests:
    """Spearman's ρ of gradient norms with entropy, and the Kruskal–Wallis test of the norms by category.

    Args:
        norms: Norm of each example's gradient at one checkpoint, shape ``(N,)``.
        entropy: Annotation entropy H, shape ``(N,)`` (nats).
        categories: The category of each example, shape ``(N,)``.
        names: The categories in order of rising entropy.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself. The Kruskal–Wallis test
            takes them as independent all the same.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        ρ and test; what is missing is NaN and explained in its ``note``.
    """
    sizes = finite_array("norms", norms, 1)
    same_length(norms=len(sizes), categories=len(categories))
    groups = {name: sizes[rows] for name, rows in category_rows(categories, names).items() if name != OVERALL}
    options: dict[str, Any] = {"clusters": clusters, "n_resamples": n_resamples, "confidence": confidence}
    (for_rho,) = rng.spawn(1)
    rho = spearman(sizes, entropy, rng=for_rho, names=("norm", "entropy"), **options)
    return NormTests(rho, *_kruskal(groups))


def _kruskal(groups: dict[str, NDArray[np.float64]]) -> tuple[float, float, str]:
    filled = [group for group in groups.values() if len(group)]
    empty = [name for name, group in groups.items() if not len(group)]
    note = f"no examples in {', '.join(empty)}" if empty else ""
    if len(filled) < 2:
        return np.nan, np.nan, f"Kruskal-Wallis compares at least 2 categories with examples, given {len(filled)}"
    if np.ptp(np.concatenate(filled)) == 0:
        return np.nan, np.nan, "constant: every norm, so there are no ranks to compare"
    h, p_value = stats.kruskal(*filled)
    return float(h), float(p_value), note
