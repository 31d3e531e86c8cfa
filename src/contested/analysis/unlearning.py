"""Whether examples are un-learned: change from the first to the last checkpoint, by category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.analysis.checks import category_rows, finite_array, same_length
from contested.analysis.clusters import cluster_codes
from contested.analysis.intervals import Clusters, Verdict, difference_interval, mean_interval, verdict
from contested.analysis.shares import share_interval


class ChangeRow(NamedTuple):
    """The change of one category (or ``"overall"``) from the first to the last checkpoint, in nats.

    Attributes:
        category: The category, or ``"overall"``.
        n: Examples in it that the numbers rest on.
        mean: Mean change, last minus first (nats).
        low: Lower end of the interval of the mean (nats).
        high: Upper end of the interval of the mean (nats).
        rose: How many examples rose (change > 0).
        rose_share: ``rose / n``.
        rose_low: Lower end of the Wilson interval of the share.
        rose_high: Upper end of the Wilson interval of the share.
        verdict: "rises" (interval above 0), "falls" (below 0) or "unclear".
        note: Why a number is missing; empty otherwise.
        caution: Why the interval of the mean may cover the truth less often than it says; empty otherwise.
    """

    category: str
    n: int
    mean: float
    low: float
    high: float
    rose: int
    rose_share: float
    rose_low: float
    rose_high: float
    verdict: Verdict
    note: str
    caution: str = ""


class Contrast(NamedTuple):
    """Mean change of one category minus that of another (nats).

    Attributes:
        category: The category with the highest entropy.
        reference: The category with the lowest entropy.
        n: Examples in ``category``.
        n_reference: Examples in ``reference``.
        difference: Mean change of ``category`` minus mean change of ``reference`` (nats).
        low: Lower end of its interval.
        high: Upper end of its interval.
        verdict: "rises" (``category`` rises more, or falls less), "falls" or "unclear".
        note: Why a number is missing; empty otherwise.
        caution: Why the interval may cover the truth less often than it says; empty otherwise.
    """

    category: str
    reference: str
    n: int
    n_reference: int
    difference: float
    low: float
    high: float
    verdict: Verdict
    note: str
    caution: str = ""


class Changes(NamedTuple):
    """Change by category in order of rising entropy, over all examples, and highest minus lowest.

    Attributes:
        measure: What changes: ``"loss"`` or ``"kl"``.
        rows: One row for each category.
        overall: The row of all examples.
        contrast: Highest-entropy minus lowest-entropy category; None without categories.
    """

    measure: str
    rows: tuple[ChangeRow, ...]
    overall: ChangeRow
    contrast: Contrast | None

    @property
    def every(self) -> tuple[ChangeRow, ...]:
        """The rows of the categories, then that of all examples."""
        return (*self.rows, self.overall)


def change_by_category(
    change: ArrayLike,
    categories: Sequence[str] | NDArray[Any],
    names: Sequence[str],
    *,
    rng: np.random.Generator,
    measure: str = "loss",
    clusters: Clusters = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Changes:
    """Mean change and share of examples that rose, by category, with intervals over examples.

    With ``change`` from :func:`~contested.analysis.dynamics.loss_change` this is the paper's
    un-learning (§4.2, Table 2). Intervals are for each row by itself.

    Args:
        change: Last minus first value of each example, shape ``(N,)`` (nats).
        categories: The category of each example, shape ``(N,)``.
        names: The categories in order of rising entropy; one without examples keeps its row. Without any there is
            the row of all examples alone.
        rng: Source of the resamples.
        measure: Name of what changes.
        clusters: What examples share, shape ``(N,)``; intervals are then over clusters. None where each stands for
            itself.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval.

    Returns:
        One row for each category, the row of all examples, and highest minus lowest category.
    """
    values = finite_array(f"change of {measure}", change, 1)
    same_length(change=len(values), categories=len(categories))
    codes = None if clusters is None else cluster_codes(clusters, len(values))
    groups = {
        name: _Group(values[rows], None if codes is None else codes[rows])
        for name, rows in category_rows(categories, names).items()
    }
    settings = _Settings(rng, n_resamples, confidence)
    *rows, overall = (_row(name, group, settings) for name, group in groups.items())
    contrast = _contrast(names[-1], names[0], groups, settings) if names else None
    return Changes(measure, tuple(rows), overall, contrast)


class _Group(NamedTuple):
    values: NDArray[np.float64]
    clusters: NDArray[np.intp] | None


class _Settings(NamedTuple):
    rng: np.random.Generator
    n_resamples: int
    confidence: float


def _row(name: str, group: _Group, settings: _Settings) -> ChangeRow:
    rng, n_resamples, confidence = settings
    values, clusters = group
    mean = mean_interval(values, clusters=clusters, rng=rng, n_resamples=n_resamples, confidence=confidence)
    rose = share_interval(values > 0, clusters=clusters, confidence=confidence)
    return ChangeRow(
        category=name,
        n=mean.n,
        mean=mean.estimate,
        low=mean.low,
        high=mean.high,
        rose=int((values > 0).sum()),
        rose_share=rose.estimate,
        rose_low=rose.low,
        rose_high=rose.high,
        verdict=verdict(mean.low, mean.high),
        note=mean.note,
        caution=mean.caution,
    )


def _contrast(name: str, reference: str, groups: dict[str, _Group], settings: _Settings) -> Contrast:
    rng, n_resamples, confidence = settings
    first, second = groups[name], groups[reference]
    sizes = len(first.values), len(second.values)
    if name == reference:
        nothing = float("nan")
        note = "only one category: nothing to compare it with"
        return Contrast(name, reference, *sizes, nothing, nothing, nothing, "unclear", note)
    found = difference_interval(
        first.values,
        second.values,
        clusters=None if first.clusters is None or second.clusters is None else (first.clusters, second.clusters),
        rng=rng,
        n_resamples=n_resamples,
        confidence=confidence,
    )
    ends = found.estimate, found.low, found.high
    return Contrast(name, reference, *sizes, *ends, verdict(found.low, found.high), found.note, found.caution)
