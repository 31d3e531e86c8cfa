"""Measurements on a scale, such as a slider's, cut into intervals that are classes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from contested.annotations.readers._votes import Answers
from contested.errors import ConfigError
from contested.rows import Table
from contested.wording import counted, listed

_TO = " to "
_BEYOND = 1e-3  # of the range: a slider at its end is written as 50.0001, too


def as_bins(given: float | str | Sequence[float | str] | None) -> tuple[float, ...] | None:
    """Return the option as one number, that of equal intervals, or as the bounds of intervals.

    Args:
        given: A whole number from 2, or two bounds or more that rise; None where not given.

    Returns:
        The number or the bounds.

    Raises:
        ConfigError: If it is neither.

    Examples:
        >>> as_bins(3), as_bins("3"), as_bins([-50, 0, 50])
        ((3.0,), (3.0,), (-50.0, 0.0, 50.0))
    """
    if given is None:
        return None
    texts = [given] if isinstance(given, str | int | float) else [*given]
    try:
        bins = tuple(float(text) for text in texts)
    except ValueError:
        bins = ()
    number = len(bins) == 1 and bins[0] == round(bins[0]) and bins[0] >= 2
    if not number and not (len(bins) > 2 and np.isfinite(bins).all() and (np.diff(bins) > 0).all()):
        raise ConfigError(
            f"bins must be a number of intervals from 2, or three bounds or more that rise, such as -50,-16,17,50; "
            f"given: {listed(map(str, texts)) or 'nothing'}."
        )
    return bins


def binned(table: Table, answers: Answers, bins: Sequence[float]) -> tuple[Answers, tuple[str, ...]]:
    """Name the interval that each measurement is in.

    Args:
        table: The file; a label that is no number or outside the bounds becomes a problem.
        answers: The measurements.
        bins: From `as_bins`; intervals of equal width are those of the range that occurs.

    Returns:
        The answers by interval, and the intervals from the lowest to the highest: each holds its lower bound, and the
        last one both.
    """
    values = np.array([*map(_number, answers.labels)])
    bounds = _bounds(values, bins)
    slack = _BEYOND * (bounds[-1] - bounds[0])
    known = (values >= bounds[0] - slack) & (values <= bounds[-1] + slack)
    for row, code in zip(*(found[~known[answers.codes]] for found in (answers.rows, answers.codes)), strict=True):
        told = "is no number" if np.isnan(values[code]) else f"is outside the bins, {bounds[0]:g} to {bounds[-1]:g}"
        table.add_problem(table.line_numbers[int(row)], f"the label '{answers.labels[code]}' {told}")
    places = np.clip(np.searchsorted(bounds, values, side="right") - 1, 0, len(bounds) - 2)
    names = tuple(f"{low:.6g}{_TO}{high:.6g}" for low, high in pairwise(bounds))
    beyond = known & ((values < bounds[0]) | (values > bounds[-1]))
    table.add_note(
        f"Labels are measurements, cut into {len(names)} intervals: {listed(names)}; each holds its lower bound."
        + (f" {counted(int(beyond.sum()), 'number')} just beyond the ends are in them." if beyond.any() else "")
    )
    renamed = answers.kept(known[answers.codes]).renamed(
        {label: names[place] for label, place, inside in zip(answers.labels, places, known, strict=True) if inside}
    )
    return renamed, names


def _number(label: str) -> float:
    try:
        return float(label)
    except ValueError:
        return float("nan")


def _bounds(values: NDArray[np.float64], bins: Sequence[float]) -> NDArray[np.float64]:
    if len(bins) > 1:
        return np.asarray(bins)
    known = values[np.isfinite(values)]
    lowest, highest = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return np.linspace(lowest, highest if highest > lowest else lowest + 1, int(bins[0]) + 1)


def midpoints(names: Sequence[str]) -> tuple[float, ...]:
    """Return the middle of each interval of `binned`, by its name.

    Args:
        names: The intervals.

    Returns:
        Their middles.

    Examples:
        >>> midpoints(["-50 to -16", "-16 to 50"])
        (-33.0, 17.0)
    """
    return tuple(sum(map(float, name.split(_TO))) / 2 for name in names)
