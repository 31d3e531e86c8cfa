"""A recording and annotations put together by the examples' ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from contested.annotations import Annotations
from contested.errors import DataError
from contested.exchange.collect import Recording, first

_ERRORS_APART = 3  # standard errors between two orders of the classes


def counts_of(recording: Recording, annotations: Annotations) -> tuple[NDArray[np.int64], list[str]]:
    """Find the annotators' counts of each recorded example.

    Args:
        recording: Of the annotated examples alone.
        annotations: Of any examples.

    Returns:
        The counts, shape (N, K), and what was missing on either side, a sentence each.

    Raises:
        DataError: If no id is on both sides.
    """
    if not recording.ids:
        raise DataError(
            f"No recorded example has annotations: recorded are {first(recording.left_out)}; annotated in "
            f"{annotations.source} are {first(annotations.example_ids)}. The ids must be the same text on both sides."
        )
    rows = {name: row for row, name in enumerate(annotations.example_ids)}
    recorded = set(recording.ids)
    unrecorded = [name for name in annotations.example_ids if name not in recorded]
    notes = []
    if recording.left_out:
        n_left = len(recording.left_out)
        notes.append(
            f"{n_left:,} of {n_left + len(recorded):,} recorded examples have no annotations and are left out: "
            f"{first(recording.left_out)}"
        )
    if unrecorded:
        notes.append(f"{len(unrecorded):,} of {len(rows):,} annotated examples were not recorded: {first(unrecorded)}")
    return annotations.label_counts[[rows[name] for name in recording.ids]], notes


def contradicted_order(gold: NDArray[np.int64], counts: NDArray[np.int64], label_names: tuple[str, ...]) -> str:
    """Say that gold labels and annotators only agree with the classes in another order.

    They do if with another order more than half of the examples agree, and more than three standard errors more
    than with the one given.

    Args:
        gold: Class index of each example, shape (N,).
        counts: Annotators' counts with the classes in the order given, shape (N, K).
        label_names: The order given.

    Returns:
        A sentence or two; empty where nothing is wrong.
    """
    n_examples, n_classes = counts.shape
    pairs = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(pairs, (gold, counts.argmax(axis=1)), 1)
    of_gold, of_annotators = optimize.linear_sum_assignment(pairs, maximize=True)
    given, best = float(np.trace(pairs)), float(pairs[of_gold, of_annotators].sum())
    if best <= n_examples / 2 or best - given <= _ERRORS_APART * np.sqrt(best + given):
        return ""
    names = ",".join(label_names[index] for index in of_annotators)
    return (
        f"label names {','.join(label_names)}: gold labels and the annotators' majority agree for "
        f"{given / n_examples:.0%} of {n_examples:,} examples in this order, and for {best / n_examples:.0%} in the "
        f"order {names}. Give the order in which the classes are numbered in the recording"
    )
