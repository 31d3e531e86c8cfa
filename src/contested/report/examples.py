"""The examples a reader should see: those of each category whose loss rose most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from contested.formats import NATS
from contested.trajectories import Trajectory

_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_MARGIN = 132.0, 36.0, 3.0
ALL = "all"


class Shares(NamedTuple):
    """One distribution over the K classes.

    Attributes:
        who: Who answered.
        shares: The share of each class, length K.
        human: Whether these are the annotators' answers.
    """

    who: str
    shares: tuple[float, ...]
    human: bool = False


class Spark(NamedTuple):
    """A loss curve as an SVG path in a box of 132 × 36, zero at the bottom line.

    Attributes:
        path: The path.
        end_x: Where it ends, from the left.
        end_y: Where it ends, from the top.
    """

    path: str
    end_x: float
    end_y: float


class Example(NamedTuple):
    """One tracked example as the page shows it; what the run does not know of it is empty.

    Attributes:
        example_id: Its id in the data.
        texts: Text columns by name; the parts of the input.
        gold: Index of the gold label; -1 where it is unknown.
        entropy: Annotation entropy (nats); 0 where it is unknown.
        change: Δℓ (nats).
        loss: Loss at the first and the last checkpoint (nats).
        facts: What else is known of it, in words.
        answers: What annotators chose, and the model at the first and the last checkpoint.
        spark: The loss over training.
    """

    example_id: str
    texts: tuple[tuple[str, str], ...]
    gold: int
    entropy: float
    change: float
    loss: tuple[float, float]
    facts: tuple[str, ...]
    answers: tuple[Shares, ...]
    spark: Spark


def examples_by_category(trajectory: Trajectory, measured: pd.DataFrame, limit: int) -> dict[str, list[Example]]:
    """The examples of each category whose loss rose most; of all together where a run has no categories.

    Args:
        trajectory: The run.
        measured: The analysis' example table, whose rows are in the order of the trajectory.
        limit: Most examples of a category.

    Returns:
        Category to examples, in order of rising entropy; nothing where the run has no losses, or one checkpoint.
    """
    if "loss_change" not in measured:
        return {}
    names = trajectory.category_names or (ALL,)
    return {name: most_unlearned(trajectory, measured, category=name, limit=limit) for name in names}


def most_unlearned(trajectory: Trajectory, measured: pd.DataFrame, *, category: str, limit: int) -> list[Example]:
    """The examples of a category whose loss rose most from the first to the last checkpoint.

    Args:
        trajectory: The run.
        measured: The analysis' example table, whose rows are in the order of the trajectory.
        category: One of its categories, or :data:`ALL`.
        limit: Most examples to give.

    Returns:
        The examples, largest Δℓ first; equal ones in the order of the data. Those whose loss did not rise are left out
        where that of another one did; where it rose in none, those whose loss fell least.
    """
    change = measured["loss_change"].to_numpy(np.float64)
    categories = trajectory.categories
    rows = np.arange(len(change)) if categories is None else np.flatnonzero(categories == category)
    # Examples whose loss fell are shown only where none rose.
    rows = rose if len(rose := rows[change[rows] > 0]) else rows
    chosen = rows[np.argsort(-change[rows], kind="stable")][:limit]
    # One scale for a whole list: a flat line and a steep one must not look alike.
    top = float(trajectory.required("losses")[:, chosen].max(initial=0.0))
    return [_example(trajectory, measured.iloc[row], row=int(row), top=top) for row in chosen]


def _example(trajectory: Trajectory, measured: pd.Series[Any], *, row: int, top: float) -> Example:
    losses = trajectory.required("losses")[:, row]
    gold, entropy = trajectory.gold, trajectory.entropy
    return Example(
        example_id=str(trajectory.example_ids[row]),
        texts=tuple((name, str(trajectory.examples[name].iloc[row])) for name in trajectory.text_columns),
        gold=-1 if gold is None else int(gold[row]),
        entropy=0.0 if entropy is None else float(np.nan_to_num(entropy[row])),
        change=float(measured["loss_change"]),
        loss=(float(losses[0]), float(losses[-1])),
        facts=tuple(_facts(measured, entropy, row)),
        answers=tuple(_answers(trajectory, row)),
        spark=spark(trajectory.steps, losses, top),
    )


def _facts(measured: pd.Series[Any], entropy: NDArray[np.float64] | None, row: int) -> Iterator[str]:
    if entropy is not None and not np.isnan(entropy[row]):
        yield f"H {NATS(float(entropy[row]))} nats"
    if "kl_first" in measured:
        yield f"KL(annotators ‖ model) {NATS(measured['kl_first'])} → {NATS(measured['kl_last'])}"


def _answers(trajectory: Trajectory, row: int) -> Iterator[Shares]:
    if "label_counts" in trajectory.examples:
        counts = np.asarray(trajectory.examples["label_counts"].iloc[row], np.float64)
        total = int(counts.sum())
        yield Shares(f"{total:,} annotators", tuple((counts / max(total, 1)).tolist()), human=True)
    if trajectory.logits is not None:
        ends = softmax(trajectory.logits[[0, -1], row].astype(np.float64), axis=1)
        for step, shares in zip((trajectory.steps[0], trajectory.steps[-1]), ends, strict=True):
            yield Shares(f"{trajectory.counted_in} {step:,}", tuple(shares.tolist()))


def spark(steps: NDArray[np.int64], losses: NDArray[np.float64], top: float) -> Spark:
    """Draw a loss curve small.

    Args:
        steps: Optimiser steps, shape (T,).
        losses: Shape (T,), nats.
        top: The loss at the upper edge.

    Returns:
        The path, and where it ends.
    """
    span = max(float(steps[-1] - steps[0]), 1.0)
    across = _SPARK_MARGIN + (steps - steps[0]) / span * (_SPARK_WIDTH - 2 * _SPARK_MARGIN)
    up = np.nan_to_num(losses, nan=0.0, posinf=top) / (top or 1.0) * (_SPARK_HEIGHT - 2 * _SPARK_MARGIN)
    down = _SPARK_HEIGHT - _SPARK_MARGIN - up
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    return Spark(f"M{points}", round(float(across[-1]), 1), round(float(down[-1]), 1))
