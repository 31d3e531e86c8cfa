"""The paper's recipe as plain numbers, and the schedules that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from contested import schedule
from contested.schedule import steps_per_epoch

Precision = Literal["float32", "bfloat16"]
Schedule = Literal["cosine", "linear", "constant"]


@dataclass(frozen=True)
class Recipe:
    """How a run trains and when it is tracked; the defaults are the paper's (§3.3).

    Attributes:
        learning_rate: Peak of the schedule.
        epochs: Passes over the training set.
        batch_size: Examples a step; the last batch of an epoch may be smaller.
        weight_decay: AdamW's, on every trained weight.
        warmup_fraction: Share of all steps over which the rate rises linearly from 0.
        schedule: What the rate does after the warm-up.
        min_lr_fraction: The rate never falls below this share of its peak after the warm-up.
        max_grad_norm: Gradients are clipped to this norm over all trained weights.
        precision: Of the forward and backward; weights and optimiser stay in float32.
        every: Steps between two checkpoints.
        epoch_ends: Whether the end of each epoch is a checkpoint too.
        seed: Decides data order and dropout (the model's own seed decides head and adapter).
    """

    learning_rate: float = 2e-5
    epochs: int = 5
    batch_size: int = 32
    weight_decay: float = 0.01
    warmup_fraction: float = 0.06
    schedule: Schedule = "cosine"
    min_lr_fraction: float = 0.1
    max_grad_norm: float = 1.0
    precision: Precision = "float32"
    every: int = 100
    epoch_ends: bool = True
    seed: int = 42


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
