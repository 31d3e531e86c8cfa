"""What every statistic requires of its arrays: finite numbers, matching lengths, known categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.annotations.categories import UNKNOWN
from contested.errors import ConfigError, DataError
from contested.wording import counted

OVERALL = "overall"
"""The row that holds all examples, beside one row for each category."""


def finite_array(name: str, values: ArrayLike, ndim: int) -> NDArray[np.float64]:
    """Take ``values`` as a float array of ``ndim`` dimensions, refusing NaN and infinity.

    Args:
        name: What the values are, for the message.
        values: Array-like of numbers.
        ndim: The number of dimensions expected.

    Returns:
        The same numbers as float64.

    Raises:
        DataError: If the dimensions differ, or any value is not finite; the message counts them.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim:
        raise DataError(f"{name}: given an array of shape {array.shape}, expected {ndim} dimension(s).")
    _refuse(name, array.size - int(np.isfinite(array).sum()), array.size)
    return array


def finite_checkpoints(name: str, values: NDArray[np.floating[Any]]) -> None:
    """Refuse NaN and infinity in a trajectory, looked at one checkpoint at a time and without a copy.

    Args:
        name: What the values are, for the message.
        values: Shape ``(T, ...)``.

    Raises:
        DataError: If any value is not finite; the message counts them.
    """
    _refuse(name, values.size - sum(int(np.isfinite(checkpoint).sum()) for checkpoint in values), values.size)


def _refuse(name: str, wrong: int, total: int) -> None:
    if wrong:
        raise DataError(
            f"{name}: {wrong} of {total} values are NaN or infinite, expected finite numbers. "
            "A run that diverged has no trajectory to analyse; leave out its broken checkpoints first."
        )


def same_length(**lengths: int) -> None:
    """Refuse arrays that should describe the same examples and do not.

    Args:
        **lengths: The number of examples in each array, by its name.

    Raises:
        DataError: If the lengths differ; the message gives all of them.
    """
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"The arrays describe different numbers of examples: {given}. Expected one for each.")


def class_indices(gold: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """Take ``gold`` as class indices, refusing any that is not a class.

    Args:
        gold: Class index of each example, shape ``(N,)``.
        n_classes: The number of classes K.

    Returns:
        The same indices as int64.

    Raises:
        DataError: If they are not whole numbers from 0 to K − 1.
    """
    labels = np.asarray(gold)
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
        raise DataError(f"gold: given {labels.dtype} of shape {labels.shape}, expected class indices of shape (N,).")
    if labels.size and not (labels.min() >= 0 and labels.max() < n_classes):
        raise DataError(f"gold: given indices {labels.min()} to {labels.max()}, expected 0 to {n_classes - 1}.")
    return labels.astype(np.int64)


def category_rows(categories: Sequence[Any] | NDArray[Any], names: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """The row numbers of each category, then of all examples under ``"overall"``.

    Args:
        categories: The category of each example, shape ``(N,)``; ``unknown`` is none of them.
        names: Every category, in order of rising entropy; one without examples gets no rows. Without any, what
            ``categories`` holds does not matter.

    Returns:
        Name to row numbers, in the order of ``names``, the overall group last.

    Raises:
        DataError: If an example's category is not among ``names``, or a category is called "overall".
    """
    array = np.asarray(categories, dtype=object)
    # An example with one annotation is in no category, and among all examples.
    unknown = sorted({str(category) for category in set(array.tolist()).difference([*names, UNKNOWN])})
    if unknown and len(names):
        raise DataError(f"Unknown categories {unknown}; the categories given are {list(names)}.")
    if OVERALL in names:
        raise DataError(f'A category may not be called "{OVERALL}": that row holds all examples. Rename it.')
    rows = {name: np.flatnonzero(array == name) for name in names}
    return rows | {OVERALL: np.arange(len(array))}


class KnownEntropy(NamedTuple):
    """The examples whose annotation entropy is known: with one annotation it is not.

    Attributes:
        entropy: Their entropies in nats, shape ``(n,)``.
        rows: Which examples they are, shape ``(N,)``.
        note: How many are left out; empty without one.
    """

    entropy: NDArray[np.float64]
    rows: NDArray[np.bool_]
    note: str


def known_entropy(entropy: ArrayLike) -> KnownEntropy:
    """Take the annotation entropies that are known.

    Args:
        entropy: In nats, shape ``(N,)``; NaN where an example has one annotation.

    Returns:
        What is known, and a note on what is not.

    Raises:
        DataError: If the dimensions differ, or a value is infinite.
    """
    values = np.asarray(entropy, dtype=np.float64)
    rows = ~np.isnan(values)
    left_out = values.size - int(rows.sum())
    note = f"{left_out} of {counted(values.size, 'example')} left out: with one annotation, so without entropy"
    return KnownEntropy(finite_array("entropy", values[rows], 1), rows, note if left_out else "")


def check_confidence(confidence: float) -> None:
    """Refuse a confidence outside (0, 1).

    Args:
        confidence: The coverage wanted, such as 0.95.

    Raises:
        ConfigError: If it is out of range.
    """
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence: given {confidence}, expected a number between 0 and 1, such as 0.95.")


def check_resampling(n_resamples: int, confidence: float) -> None:
    """Refuse a confidence outside (0, 1), and too few resamples to reach its quantiles.

    Args:
        n_resamples: The number of bootstrap resamples R.
        confidence: The coverage wanted, such as 0.95.

    Raises:
        ConfigError: If either is out of range.
    """
    check_confidence(confidence)
    needed = int(np.ceil(np.round(2.0 / (1.0 - confidence), 6)))
    if n_resamples < needed:
        raise ConfigError(
            f"n_resamples: given {n_resamples}, but confidence {confidence} needs at least {needed}; 2000 is usual."
        )
