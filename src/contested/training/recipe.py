"""The paper's recipe as plain numbers, and the schedules that follow from it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from contested import schedule
from contested.options import SEED, TrackingSection, TrainingSection
from contested.schedule import steps_per_epoch


class Recipe(TrainingSection, TrackingSection):
    """How a run trains and when it is tracked; the defaults are the paper's (§3.3)."""

    seed: int = SEED
    """Decides data order and dropout (the model's own seed decides head and adapter)."""


def checkpoint_steps(recipe: Recipe, n_examples: int) -> list[int]:
    """The checkpoints of a recipe over so many training examples (see :mod:`contested.schedule`).

    >>> len(checkpoint_steps(Recipe(), 21_211))
    39
    """
    per_epoch = steps_per_epoch(n_examples, recipe.batch_size)
    return schedule.checkpoint_steps(per_epoch, epochs=recipe.epochs, every=recipe.every, epoch_ends=recipe.epoch_ends)


def learning_rate(recipe: Recipe, step: int, total_steps: int) -> float:
    """The rate used by the optimiser step number ``step`` (from 0): a pure function, so nothing needs saving.

    Linear warm-up, then the schedule, floored at ``min_lr_fraction`` of the peak.

    >>> recipe = Recipe(learning_rate=1.0)
    >>> [round(learning_rate(recipe, step, 100), 3) for step in (0, 3, 6, 53, 99)]
    [0.0, 0.5, 1.0, 0.5, 0.1]
    """
    warmup = int(recipe.warmup_fraction * total_steps)
    if step < warmup:
        return recipe.learning_rate * step / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    factors = {
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
        "linear": 1.0 - progress,
        "constant": 1.0,
    }
    return recipe.learning_rate * max(recipe.min_lr_fraction, factors[recipe.schedule])


def data_order(n_examples: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of an epoch, a function of seed and epoch alone; shape (n_examples,)."""
    return np.random.default_rng([seed, epoch]).permutation(n_examples)
