"""The measures of a group's examples, under every seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from contested.analysis import measures
from contested.analysis.study.runs import Run

_FIRST = "loss_change"


def stacked(runs: Sequence[Run]) -> dict[str, NDArray[np.float64]]:
    """The measures that are numbers and that all runs have, by name, each of shape (S, N); NaN where one is missing.

    Args:
        runs: Runs of the same examples.

    Returns:
        Name to values, in the order of :data:`~contested.analysis.measures.MEASURES` but for Δℓ, which is first.
    """
    numbers = [measure.name for measure in measures.MEASURES if measure.summary != "none"]
    return {
        name: np.array([run.columns[name] for run in runs], np.float64)
        for name in sorted(numbers, key=lambda name: name != _FIRST)
        if all(name in run.columns for run in runs)
    }


def together(values: dict[str, NDArray[np.float64]]) -> Iterable[tuple[list[str], NDArray[np.bool_]]]:
    """Measures that are known of the same examples, with these examples: what can be resampled at once.

    Args:
        values: Name to values, each of shape (S, N).

    Returns:
        Pairs of names and the examples, shape (N,), that have the measure under every seed.
    """
    by: dict[bytes, tuple[list[str], NDArray[np.bool_]]] = {}
    for name, array in values.items():
        known = np.asarray(np.isfinite(array).all(axis=0))
        by.setdefault(known.tobytes(), ([], known))[0].append(name)
    return by.values()
