"""The examples a reader should see: those of each category whose loss rose most."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from contested.trajectories import Trajectory

_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_MARGIN = 132.0, 36.0, 3.0


class Shares(NamedTuple):
    """One distribution over the classes: who answered, and the share of each class, length K."""

    who: str
    shares: tuple[float, ...]


class Spark(NamedTuple):
    """A loss curve as an SVG path in a box of 132 × 36, zero at the bottom line."""

    path: str
    end_x: float
    end_y: float


class Example(NamedTuple):
    """One tracked example as the page shows it.

    Attributes:
        example_id: Its id in the data.
        texts: Text columns by name; the parts of the input.
        gold: Index of the gold label.
        entropy: Annotation entropy (nats).
        change: Δℓ (nats).
        loss: Loss at the first and the last checkpoint (nats).
        kl: KL(annotators ‖ model) at the first and the last checkpoint (nats).
        answers: What people chose, and the model at the first and the last checkpoint.
        spark: The loss over training.
    """

    example_id: str
    texts: tuple[tuple[str, str], ...]
    gold: int
    entropy: float
    change: float
    loss: tuple[float, float]
    kl: tuple[float, float]
    answers: tuple[Shares, ...]
    spark: Spark


def most_unlearned(trajectory: Trajectory, measured: pd.DataFrame, *, category: str, limit: int) -> list[Example]:
    """The examples of a category whose loss rose most from the first to the last checkpoint.

    Args:
        trajectory: The run.
        measured: The analysis' example table, whose rows are in the order of the trajectory.
        category: One of its categories.
        limit: Most examples to give.

    Returns:
        The examples, largest Δℓ first; equal ones in the order of the data.
    """
    change = measured["loss_change"].to_numpy(np.float64)
    rows = np.flatnonzero(trajectory.required("categories") == category)
    chosen = rows[np.argsort(-change[rows], kind="stable")][:limit]
    # One scale for a whole list: a flat line and a steep one must not look alike.
    top = float(trajectory.required("losses")[:, chosen].max(initial=0.0))
    return [_example(trajectory, measured.iloc[row], row=int(row), top=top) for row in chosen]


def _example(trajectory: Trajectory, measured: pd.Series[Any], *, row: int, top: float) -> Example:
    losses = trajectory.required("losses")[:, row]
    counts = trajectory.examples["label_counts"].iloc[row]
    total = int(np.sum(counts))
    people = np.asarray(counts, np.float64) / max(total, 1)
    first, last = softmax(trajectory.required("logits")[[0, -1], row].astype(np.float64), axis=1)
    steps = trajectory.steps
    return Example(
        example_id=str(trajectory.example_ids[row]),
        texts=tuple((name, str(trajectory.examples[name].iloc[row])) for name in trajectory.text_columns),
        gold=int(trajectory.required("gold")[row]),
        entropy=float(trajectory.required("entropy")[row]),
        change=float(measured["loss_change"]),
        loss=(float(losses[0]), float(losses[-1])),
        kl=(float(measured["kl_first"]), float(measured["kl_last"])),
        answers=(
            Shares(f"{total:,} people", tuple(people.tolist())),
            Shares(f"model, step {steps[0]:,}", tuple(first.tolist())),
            Shares(f"model, step {steps[-1]:,}", tuple(last.tolist())),
        ),
        spark=spark(steps, losses, top),
    )


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
