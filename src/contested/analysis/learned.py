"""Whether a run learned anything that its trajectory could show."""

from __future__ import annotations

import numpy as np

from contested.trajectories import Trajectory

_NEAR_CHANCE = 1.15  # times the accuracy of a uniform guess
_MOVED = 0.02  # nats that an example's loss must change on average


def learned_little(trajectory: Trajectory) -> str:
    """Why a run learned next to nothing, so that its effect on examples means little; "" where it learned.

    A run stayed at chance if its last accuracy is at most 1.15/K for K classes: on its validation examples where it has
    any, otherwise on the tracked ones. It hardly moved if the loss of a tracked example changed by less than 0.02 nats
    on average, up or down, from the first checkpoint to the last.

    Args:
        trajectory: The run.

    Returns:
        The rest of a sentence that begins with the run, or "".
    """
    accuracy, whose = _last_accuracy(trajectory)
    n_classes = len(trajectory.label_names)
    if n_classes > 1 and accuracy <= _NEAR_CHANCE / n_classes:
        return (
            f"stayed at chance: its last accuracy on {whose} examples is {accuracy:.1%}, and guessing one of "
            f"{n_classes} classes reaches {1 / n_classes:.1%}"
        )
    losses = trajectory.losses
    moved = float("inf")
    if losses is not None and losses.size and len(losses) > 1:
        moved = float(np.abs(losses[-1] - losses[0]).mean())
    if moved < _MOVED:
        return f"hardly moved: the loss of a tracked example changed by {moved:.3f} nats on average, up or down"
    return ""


def _last_accuracy(trajectory: Trajectory) -> tuple[float, str]:
    """The last accuracy that is known, NaN where none is, and of which examples it is."""
    metrics, logits, gold = trajectory.metrics, trajectory.logits, trajectory.gold
    if "val_accuracy" in metrics and len(known := metrics["val_accuracy"].dropna()):
        return float(known.iloc[-1]), "validation"
    if logits is None or gold is None or not len(gold):
        return float("nan"), "tracked"
    return float(np.mean(logits[-1].argmax(axis=1) == gold)), "tracked"
