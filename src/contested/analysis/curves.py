"""Means by category at every checkpoint, with intervals: the lines of the trajectory figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.analysis.checks import category_rows, class_indices, finite_array, same_length
from contested.analysis.clusters import cluster_codes
from contested.analysis.intervals import Clusters, Intervals, mean_intervals
from contested.analysis.shares import share_intervals


class Curve(NamedTuple):
    """The mean of one measure over one category's examples at each checkpoint.

    Attributes:
        measure: ``"loss"``, ``"accuracy"``, ``"kl"`` or ``"soft_cross_entropy"``.
        unit: ``"nats"`` or ``"share"``.
        category: The category, or ``"overall"``.
        n: Examples it rests on.
        mean: Shape ``(T,)``.
        low: Lower ends of the intervals, shape ``(T,)``.
        high: Upper ends of the intervals, shape ``(T,)``.
        note: Why numbers are missing; empty otherwise.
        caution: For each checkpoint why its interval may cover the truth less often than it says, or empty.
    """

    measure: str
    unit: str
    category: str
    n: int
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    note: str
    caution: tuple[str, ...] = ()


class Curves(NamedTuple):
    """Every measure by category over checkpoints; each tuple is by rising entropy, ``"overall"`` last.

    A tuple is empty where the run lacks what the measure needs.

    Attributes:
        steps: Optimiser steps, shape ``(T,)``.
        loss: Mean loss against the gold label (nats).
        accuracy: Share of examples whose highest logit is the gold label's.
        kl: Mean KL(annotators ‖ model) (nats): 0 when the model answers as the annotators do.
        soft_cross_entropy: Mean cross-entropy under the annotators' labels (nats): KL plus their own entropy.
    """

    steps: NDArray[np.int64]
    loss: tuple[Curve, ...]
    accuracy: tuple[Curve, ...]
    kl: tuple[Curve, ...]
    soft_cross_entropy: tuple[Curve, ...]


def mean_curves(
    values: ArrayLike | Callable[[NDArray[np.intp]], Iterable[NDArray[np.float64]]],
    categories: Sequence[str] | NDArray[Any],
    names: Sequence[str],
    *,
    measure: str,
    clusters: Clusters = None,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[Curve, ...]:
    """Means over each category's examples at each checkpoint, with bootstrap intervals.

    Args:
        values: Shape ``(T, N)`` (nats); or, where all at once are too many, what gives those of n rows, some
            checkpoints after the other: arrays of shape ``(t, n)``.
        categories: The category of each example, shape ``(N,)``.
        names: The categories in order of rising entropy.
        measure: Name of what is averaged.
        clusters: What examples share, shape ``(N,)``; intervals are then over clusters. None where each stands for
            itself.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted at each checkpoint by itself.

    Returns:
        One curve for each category in the order of ``names``, then ``"overall"``.
    """
    if callable(values):
        of_rows = values
    else:
        array = finite_array(measure, values, 2)
        same_length(values=array.shape[1], categories=len(categories))
        of_rows = partial(_chosen, array)
    codes, curves = _codes(clusters, len(categories)), []
    for name, rows in category_rows(categories, names).items():
        own = None if codes is None else codes[rows]
        found = _intervals(of_rows(rows), own, rng=rng, n_resamples=n_resamples, confidence=confidence)
        curves.append(Curve(measure, "nats", name, found.n, *found[:3], found.note, _cautions(found)))
    return tuple(curves)


def _chosen(array: NDArray[np.float64], rows: NDArray[np.intp]) -> list[NDArray[np.float64]]:
    return [array[:, rows]]


def _codes(clusters: Clusters, n: int) -> NDArray[np.intp] | None:
    return None if clusters is None else cluster_codes(clusters, n)


def _intervals(
    parts: Iterable[NDArray[np.float64]],
    clusters: NDArray[np.intp] | None,
    *,
    rng: np.random.Generator,
    n_resamples: int,
    confidence: float,
) -> Intervals:
    """Means of parts of the checkpoints, all over the same resamples, which each part draws again."""
    before = rng.bit_generator.state
    found: list[Intervals] = []
    for part in parts:
        rng.bit_generator.state = before
        found.append(mean_intervals(part.T, clusters=clusters, rng=rng, n_resamples=n_resamples, confidence=confidence))
        del part  # the next one is made while this name would hold it
    return found[0]._replace(
        estimate=np.concatenate([one.estimate for one in found]),
        low=np.concatenate([one.low for one in found]),
        high=np.concatenate([one.high for one in found]),
        cautions=tuple(chain.from_iterable(one.cautions for one in found)),
    )


def _cautions(found: Intervals) -> tuple[str, ...]:
    return found.cautions or ("",) * len(found.estimate)


def share_curves(
    flags: ArrayLike,
    categories: Sequence[str] | NDArray[Any],
    names: Sequence[str],
    *,
    measure: str,
    clusters: Clusters = None,
    confidence: float = 0.95,
) -> tuple[Curve, ...]:
    """Shares of each category's examples at each checkpoint, with Wilson intervals.

    Args:
        flags: Shape ``(T, N)``, boolean.
        categories: The category of each example, shape ``(N,)``.
        names: The categories in order of rising entropy.
        measure: Name of what is counted.
        clusters: As in :func:`mean_curves`.
        confidence: Coverage wanted at each checkpoint by itself.

    Returns:
        One curve for each category in the order of ``names``, then ``"overall"``.
    """
    array = np.asarray(flags, dtype=bool)
    same_length(flags=array.shape[1], categories=len(categories))
    codes, curves = _codes(clusters, len(categories)), []
    for name, rows in category_rows(categories, names).items():
        own = None if codes is None else codes[rows]
        found = share_intervals(array[:, rows].T, clusters=own, confidence=confidence)
        curves.append(Curve(measure, "share", name, found.n, *found[:3], found.note, _cautions(found)))
    return tuple(curves)


def correct(logits: ArrayLike, gold: ArrayLike) -> NDArray[np.bool_]:
    """Whether the highest logit is the gold label's; the first class wins a tie.

    Args:
        logits: Shape ``(T, N, K)``.
        gold: Class index of each example, shape ``(N,)``.

    Returns:
        Shape ``(T, N)``.
    """
    scores = finite_array("logits", logits, 3)
    labels = class_indices(gold, scores.shape[2])
    same_length(logits=scores.shape[1], gold=len(labels))
    return np.asarray(scores.argmax(axis=2) == labels)
