"""Whether logits, gold labels and annotators number the classes alike: the mistake that no shape can show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

TOLERANCE = 1e-3
"""How far given losses may lie from those of the logits, in nats and per nat above 1."""

_BLOCK = 1_000_000  # logits at work at once
_ERRORS_APART = 3  # standard errors between two orders of the classes


class Mismatch(NamedTuple):
    """How losses and logits contradict each other.

    Attributes:
        n_wrong: Losses that differ by more than the tolerance.
        checkpoint: Index of the first such checkpoint.
        example: Index of the first such example at it.
        from_logits: Cross-entropy there from the logits (nats).
        order: The column of each class, with which they would agree; None if no order does.
    """

    n_wrong: int
    checkpoint: int
    example: int
    from_logits: float
    order: tuple[int, ...] | None


def mismatch(losses: NDArray[np.float64], logits: NDArray[np.floating], gold: NDArray[np.int64]) -> Mismatch | None:
    """Compare given losses with the cross-entropy of the logits against the gold labels.

    Args:
        losses: Shape (T, N), nats.
        logits: Shape (T, N, K).
        gold: Class index of each example, shape (N,).

    Returns:
        What is wrong, or None where they agree.
    """
    n_classes = logits.shape[2]
    # Whether reading class g's logit from column c agrees with every loss of an example of class g.
    fits = np.ones((n_classes, n_classes), bool)
    wrong = np.zeros(len(losses), np.int64)
    first: tuple[int, int, float] | None = None
    for rows in _blocks(logits):
        entropies = -special.log_softmax(logits[:, rows].astype(np.float64), axis=2)
        given = losses[:, rows, None]
        close = np.abs(entropies - given) <= TOLERANCE * np.maximum(1.0, np.abs(given))
        np.logical_and.at(fits, gold[rows], close.all(axis=0))
        bad = ~close[:, np.arange(close.shape[1]), gold[rows]]
        wrong += bad.sum(axis=1)
        if bad.any() and (first is None or bad[: first[0]].any()):
            checkpoint = int(bad.any(axis=1).argmax())
            example = int(bad[checkpoint].argmax())
            label = gold[rows][example]
            first = checkpoint, rows.start + example, float(entropies[checkpoint, example, label])
    if first is None:
        return None
    return Mismatch(int(wrong.sum()), *first, _order(fits))


def far_below_chance(
    logits: NDArray[np.floating], gold: NDArray[np.int64]
) -> tuple[float, float, tuple[int, ...]] | None:
    """Find logits that only make sense with their classes in another order.

    They do if at the last checkpoint less than half as many answers are right as by chance, no checkpoint is above
    chance, and with another order of the classes the last checkpoint is at least halfway between chance and all right.

    Args:
        logits: Shape (T, N, K).
        gold: Class index of each example, shape (N,).

    Returns:
        Accuracy at the last checkpoint as given and in the other order, and that order (the column of each class);
        None where nothing is wrong.
    """
    n_checkpoints, n_examples, n_classes = logits.shape
    answers = np.zeros((n_checkpoints, n_classes, n_classes), np.int64)
    for rows in _blocks(logits):
        for checkpoint, found in enumerate(logits[:, rows].argmax(axis=2)):
            np.add.at(answers[checkpoint], (gold[rows], found), 1)
    chance = 1 / n_classes
    noise = 3 * np.sqrt(chance * (1 - chance) / n_examples)
    accuracy = np.trace(answers, axis1=1, axis2=2) / n_examples
    of_class, column = optimize.linear_sum_assignment(answers[-1], maximize=True)
    best = float(answers[-1][of_class, column].sum() / n_examples)
    below = accuracy[-1] < min(chance / 2, chance - noise) and (accuracy <= chance + noise).all()
    if not below or best < (1 + chance) / 2:
        return None
    return float(accuracy[-1]), best, tuple(column.tolist())


def contradiction(
    losses: NDArray[np.float64],
    logits: NDArray[np.floating],
    gold: NDArray[np.int64],
    *,
    label_names: Sequence[str],
    where: Callable[[int, int], str],
) -> str:
    """Say how losses and logits contradict each other, and which order of the classes would resolve it.

    Args:
        losses: Shape (T, N), nats.
        logits: Shape (T, N, K).
        gold: Class index of each example, shape (N,).
        label_names: Class names, length K.
        where: Index of a checkpoint and of an example to what they are called.

    Returns:
        A sentence or two; empty where they agree.
    """
    found = mismatch(losses, logits, gold)
    if found is None:
        return ""
    at = found.checkpoint, found.example
    advice = (
        "No order of the classes makes them agree. Losses are expected as plain cross-entropy in nats, without "
        "class weights or smoothing: give either losses or logits, or fix the one that is wrong"
        if found.order is None
        else f"They agree if the classes of the logits are in the order {shown_order(found.order, label_names)}: "
        "reorder the logits, or the label_names, gold labels and counts"
    )
    return (
        f"logits and losses contradict each other: {found.n_wrong:,} of {losses.size:,} losses are further than "
        f"{TOLERANCE:g} from the logits' cross-entropy against the gold label, the first of {where(*at)} "
        f"({losses[at]:.4g} given, {found.from_logits:.4g} from the logits). {advice}"
    )


def wrong_order(
    logits: NDArray[np.floating], expected: NDArray[np.int64], against: str, label_names: Sequence[str]
) -> str:
    """Say that logits only make sense with their classes in another order.

    Args:
        logits: Shape (T, N, K).
        expected: Class index of each example, shape (N,).
        against: Whose labels these are.
        label_names: Class names, length K.

    Returns:
        A sentence or two; empty where nothing is wrong.
    """
    found = far_below_chance(logits, expected)
    if found is None:
        return ""
    accuracy, best, order = found
    return (
        f"logits: {accuracy:.0%} right against {against} at the last checkpoint and never above chance, but {best:.0%} "
        f"if their classes are in the order {shown_order(order, label_names)}. Reorder the logits or the label_names; "
        "if the labels are wrong on purpose, give check_label_order=False"
    )


def agreement(gold: NDArray[np.int64], counts: NDArray[np.int64]) -> float:
    """How often the gold label is what most annotators chose.

    Args:
        gold: Class index of each example, shape (N,).
        counts: Annotators' counts with the classes in the same order, shape (N, K).

    Returns:
        The share of the examples; of several classes chosen equally often, any counts.
    """
    return float((counts[np.arange(len(gold)), gold] == counts.max(axis=1)).mean())


def contradicted_order(gold: NDArray[np.int64], counts: NDArray[np.int64], label_names: Sequence[str]) -> str:
    """Say that gold labels and annotators only agree with the classes in another order.

    They do if with another order more than half of the examples agree, and more than three standard errors more
    than with the one given.

    Args:
        gold: Class index of each example, shape (N,).
        counts: Annotators' counts with the classes in the order given, shape (N, K).
        label_names: The order given.

    Returns:
        A sentence or two without the last full stop; empty where nothing is wrong.
    """
    n_examples, n_classes = counts.shape
    pairs = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(pairs, (gold, counts.argmax(axis=1)), 1)
    of_gold, of_annotators = optimize.linear_sum_assignment(pairs, maximize=True)
    given, best = float(np.trace(pairs)), float(pairs[of_gold, of_annotators].sum())
    if best <= n_examples / 2 or best - given <= _ERRORS_APART * np.sqrt(best + given):
        return ""
    names = ",".join(label_names[index] for index in of_annotators.tolist())
    return (
        f"label names {','.join(label_names)}: gold labels and the annotators' majority agree for "
        f"{given / n_examples:.0%} of {n_examples:,} examples in this order, and for {best / n_examples:.0%} in the "
        f"order {names}. Give the order in which the classes are numbered"
    )


def shown_order(order: Sequence[int], label_names: Sequence[str]) -> str:
    """An order of the classes as words and as code.

    >>> shown_order((1, 0), ("yes", "no"))
    'no, yes (logits[:, :, [1, 0]])'
    """
    # The classes in the order of the columns, which is the inverse of the column of each class.
    columns = np.argsort(order)
    return f"{', '.join(label_names[index] for index in columns)} (logits[:, :, {list(order)}])"


def _order(fits: NDArray[np.bool_]) -> tuple[int, ...] | None:
    # A class without examples fits everywhere and stays in its place if it can.
    cost = (~fits).astype(np.float64) - 0.5 / len(fits) * np.eye(len(fits))
    of_class, column = optimize.linear_sum_assignment(cost)
    return tuple(column.tolist()) if fits[of_class, column].all() else None


def _blocks(logits: NDArray[np.floating]) -> Iterator[slice]:
    n_checkpoints, n_examples, n_classes = logits.shape
    size = max(1, _BLOCK // (n_checkpoints * n_classes))
    return (slice(start, min(start + size, n_examples)) for start in range(0, n_examples, size))
