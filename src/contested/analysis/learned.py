"""Whether a run learned anything that its trajectory could show."""

from __future__ import annotations

import numpy as np

from contested.analysis.watch_run import watch_run
from contested.trajectories import Trajectory

_NEAR_CHANCE = 1.15  # times the accuracy of a uniform guess
_MOVED = 0.02  # nats that an example's loss must change on average
_CLEARLY = 3  # standard errors of a mean change


def learned_little(trajectory: Trajectory) -> str:
    """Why a run learned next to nothing, so that its effect on examples means little; "" where it learned.

    A run stayed at chance if its last accuracy is at most 1.15/K for K classes: on its validation examples where it has
    any, otherwise on the tracked ones. It hardly moved if the loss of a tracked example changed by less than 0.02 nats
    on average, up or down, from the first checkpoint to the last. A run that raised an alarm did neither, nor one
    in which the mean loss of all tracked examples rose by more than 0.02 nats and three standard errors: whatever it
    learned, it did something to them.

    Args:
        trajectory: The run.

    Returns:
        The rest of a sentence that begins with the run, or "".
    """
    chance = at_chance(trajectory)
    why = f"stayed at chance: its {chance}" if chance else _hardly_moved(trajectory)
    # Asked of few runs, for each answer takes a while.
    return "" if why and _rose(trajectory) else why


def at_chance(trajectory: Trajectory) -> str:
    """That a run's last accuracy is at most 1.15/K for K classes, and which it is; "" where it is higher or unknown.

    Args:
        trajectory: The run.

    Returns:
        A sentence without its first word, "Its".
    """
    accuracy, whose = _last_accuracy(trajectory)
    n_classes = len(trajectory.label_names)
    if n_classes < 2 or not accuracy <= _NEAR_CHANCE / n_classes:
        return ""
    return (
        f"last accuracy on {whose} examples is {accuracy:.1%}, and guessing one of "
        f"{n_classes} classes reaches {1 / n_classes:.1%}"
    )


def _hardly_moved(trajectory: Trajectory) -> str:
    losses = trajectory.losses
    if losses is None or not losses.size or len(losses) < 2:
        return ""
    moved = float(np.abs(losses[-1] - losses[0]).mean())
    if moved >= _MOVED:
        return ""
    return f"hardly moved: the loss of a tracked example changed by {moved:.3f} nats on average, up or down"


def _rose(trajectory: Trajectory) -> bool:
    losses = trajectory.losses
    if losses is None or len(losses) < 2:
        return False
    change = losses[-1] - losses[0]
    if len(change) > 1 and change.mean() > _MOVED + _CLEARLY * change.std(ddof=1) / np.sqrt(len(change)):
        return True
    watch = watch_run(trajectory)
    return watch is not None and bool(watch.alarms)


def _last_accuracy(trajectory: Trajectory) -> tuple[float, str]:
    """The last accuracy that is known, NaN where none is, and of which examples it is."""
    metrics, logits, gold = trajectory.metrics, trajectory.logits, trajectory.gold
    if "val_accuracy" in metrics and len(known := metrics["val_accuracy"].dropna()):
        return float(known.iloc[-1]), "validation"
    if logits is None or gold is None or not len(gold):
        return float("nan"), "tracked"
    return float(np.mean(logits[-1].argmax(axis=1) == gold)), "tracked"
