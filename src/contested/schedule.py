"""The steps of a run and its checkpoints, from plain numbers: plans and training agree on them."""

from __future__ import annotations

import math


def steps_per_epoch(n_examples: int, batch_size: int) -> int:
    """Batches in a pass over the training set, the last one possibly smaller.

    >>> steps_per_epoch(21_211, 32)
    663
    """
    return math.ceil(n_examples / batch_size)


def checkpoint_steps(per_epoch: int, *, epochs: int, every: int, epoch_ends: bool) -> list[int]:
    """Steps after which the tracked examples are measured: 0, every so many steps, epoch ends, the last.

    Args:
        per_epoch: Optimiser steps per epoch.
        epochs: Passes over the training set.
        every: Steps between two checkpoints.
        epoch_ends: Whether the end of each epoch is a checkpoint too.

    Returns:
        The steps in rising order, each once.

    >>> len(checkpoint_steps(663, epochs=5, every=100, epoch_ends=True))
    39
    """
    total = per_epoch * epochs
    steps = {*range(0, total + 1, every), total}
    if epoch_ends:
        steps.update(range(per_epoch, total + 1, per_epoch))
    return sorted(steps)
