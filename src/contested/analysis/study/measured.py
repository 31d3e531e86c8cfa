"""The measures of a group's examples, under every seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from contested.analysis import measures
from contested.analysis.study.runs import Run

_FIRST = "loss_change"


def columns_of_run(run: Run) -> dict[str, NDArray[np.float64]]:
    """Every measure of a run that is a number, by name, Δℓ first: one per example, NaN where it does not exist."""
    numbers = [measure.name for measure in measures.MEASURES if measure.summary != "none"]
    return {
        name: run.columns[name].astype(np.float64)
        for name in sorted(numbers, key=lambda name: name != _FIRST)
        if name in run.columns
    }


def stacked(runs: Sequence[Run]) -> dict[str, NDArray[np.float64]]:
    """The measures that all runs have, by name, each of shape (S, N).

    Args:
        runs: Runs of the same examples.

    Returns:
        Name to values, in the order of :data:`~contested.analysis.measures.MEASURES` but for Δℓ, which is first.
    """
    given = [columns_of_run(run) for run in runs]
    return {name: np.stack([one[name] for one in given]) for name in given[0] if all(name in one for one in given)}


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
