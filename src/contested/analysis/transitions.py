"""Which answers turned from right to wrong and back between two models, by category, against what guessing explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.analysis.checks import category_rows, same_length
from contested.analysis.clusters import cluster_codes
from contested.analysis.intervals import keyed
from contested.analysis.paired import paired_intervals
from contested.errors import DataError


class Transition(NamedTuple):
    """Answers of one category (or ``"overall"``) in the first and the second model.

    Attributes:
        category: The category, or ``"overall"``.
        n: Examples in it.
        both_right: Right in both.
        both_wrong: Wrong in both.
        lost: 1→0: right in the first, wrong in the second.
        gained: 0→1: wrong in the first, right in the second.
        by_guessing: How many of either kind lucky guesses explain: ``both_wrong / (K − 1)``.
        lost_beyond: Share of the examples that is lost beyond guessing: ``(lost − by_guessing) / n``.
        lost_low: Lower end of its interval.
        lost_high: Upper end of its interval.
        lost_p_value: One-sided p of so many or more lost by guessing alone.
        gained_beyond: Share of the examples that is gained beyond guessing.
        gained_low: Lower end of its interval.
        gained_high: Upper end of its interval.
        gained_p_value: One-sided p of so many or more gained by guessing alone.
        note: Why a number is missing; empty otherwise.
        lost_q_value: ``lost_p_value`` adjusted for the tests of a comparison; NaN outside one.
        gained_q_value: ``gained_p_value`` likewise.
        n_clusters: Independent clusters of its examples.
    """

    category: str
    n: int
    both_right: int
    both_wrong: int
    lost: int
    gained: int
    by_guessing: float
    lost_beyond: float
    lost_low: float
    lost_high: float
    lost_p_value: float
    gained_beyond: float
    gained_low: float
    gained_high: float
    gained_p_value: float
    note: str
    lost_q_value: float = float("nan")
    gained_q_value: float = float("nan")
    n_clusters: int = 0


def transitions(
    first: ArrayLike,
    second: ArrayLike,
    n_classes: int,
    categories: Sequence[str] | NDArray[Any],
    names: Sequence[str],
    *,
    rng: np.random.Generator,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[Transition, ...]:
    """Count answers that turned from right to wrong (1→0) and from wrong to right (0→1), against guessing.

    After Harmon et al. 2025 (arXiv 2510.17776), who take off what guessing explains under a model in which an example
    is known, and answered right, or guessed among the K classes. Here the estimate needs no independence of what the
    two models know: of the examples that one of them guesses while the other is wrong, 1 in K is a lucky guess, and
    the others are wrong in both. So ``both_wrong / (K − 1)`` are expected in either direction, and among the examples
    that the second gets wrong, ``lost`` is binomial with 1/K if the first knew none of them.

    Args:
        first: Whether each example is right in the first model, shape ``(N,)``.
        second: Whether it is in the second, shape ``(N,)``.
        n_classes: Classes K, at least 2.
        categories: The category of each example, shape ``(N,)``.
        names: The categories in order of rising entropy.
        rng: Source of the resamples, made from a seed; nothing is drawn from it.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself. Lucky guesses are independent
            even within a cluster, so that the tests do without them.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval.

    Returns:
        One row for each category, ``"overall"`` last.

    Raises:
        DataError: If the answers are not booleans of one length, or there is only one class.
    """
    answers = [np.asarray(given) for given in (first, second)]
    if any(given.dtype != bool or given.ndim != 1 for given in answers):
        shown = " and ".join(f"{given.dtype} of shape {given.shape}" for given in answers)
        raise DataError(f"first, second: given {shown}, expected booleans of shape (N,).")
    if n_classes < 2:
        raise DataError(f"n_classes: given {n_classes}, expected at least 2: with one class nothing is guessed.")
    before, after = answers
    same_length(first=len(before), second=len(after), categories=len(categories))
    together = cluster_codes(clusters, len(before))
    return tuple(
        _row(
            name,
            before[rows],
            after[rows],
            n_classes,
            together[rows],
            rng=keyed(rng, "transitions", name),
            n_resamples=n_resamples,
            confidence=confidence,
        )
        for name, rows in category_rows(categories, names).items()
    )


def _row(
    name: str,
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    n_classes: int,
    clusters: NDArray[np.intp],
    *,
    rng: np.random.Generator,
    n_resamples: int,
    confidence: float,
) -> Transition:
    lucky = 1.0 / (n_classes - 1) * (~before & ~after)
    kinds = before & ~after, ~before & after
    found = paired_intervals(
        np.stack([kind - lucky for kind in kinds], axis=1),
        clusters,
        rng=rng,
        n_resamples=n_resamples,
        confidence=confidence,
    )
    lost, gained = (int(kind.sum()) for kind in kinds)
    both_wrong = int((~before & ~after).sum())
    beyond, low, high = (part.tolist() for part in found[:3])
    p_values = [
        float(_by_guessing(count, both_wrong, n_classes)) if len(before) else np.nan for count in (lost, gained)
    ]
    return Transition(
        name,
        len(before),
        int((before & after).sum()),
        both_wrong,
        lost,
        gained,
        both_wrong / (n_classes - 1),
        *(beyond[0], low[0], high[0], p_values[0]),
        *(beyond[1], low[1], high[1], p_values[1]),
        found.note,
        n_clusters=len(np.unique(clusters)),
    )


def _by_guessing(count: int, both_wrong: int, n_classes: int) -> float:
    """How likely so many lucky guesses or more are among examples that the other model gets wrong."""
    from scipy import stats

    return float(stats.binom.sf(count - 1, count + both_wrong, 1.0 / n_classes))
