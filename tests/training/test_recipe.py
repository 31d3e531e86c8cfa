from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from contested.training import Recipe, checkpoint_steps, learning_rate, steps_per_epoch
from contested.training.recipe import data_order


def test_the_papers_checkpoints() -> None:
    # 21,211 examples / 32 = 662.8 -> 663 steps per epoch, 3,315 in five. Every 100 steps from 0: 34 checkpoints
    # (0 … 3,300); epoch ends at 663, 1,326, 1,989, 2,652, 3,315, none of them a multiple of 100: 39.
    steps = checkpoint_steps(Recipe(), 21_211)
    assert len(steps) == 39
    assert steps[0] == 0
    assert steps[-1] == 3_315 == 5 * steps_per_epoch(21_211, 32)
    assert {663, 1_326, 1_989, 2_652} <= set(steps)


def test_a_step_that_is_both_is_one_checkpoint() -> None:
    # 40 examples / 4 = 10 steps per epoch; every 5: 0, 5, 10, 15, 20, and the epoch ends 10 and 20 are among them.
    assert checkpoint_steps(Recipe(batch_size=4, epochs=2, every=5), 40) == [0, 5, 10, 15, 20]


def test_the_last_step_is_a_checkpoint_without_epoch_ends() -> None:
    assert checkpoint_steps(Recipe(batch_size=4, epochs=1, every=4, epoch_ends=False), 40) == [0, 4, 8, 10]


@pytest.mark.parametrize(
    ("schedule", "oracle"), [("cosine", get_cosine_schedule_with_warmup), ("linear", get_linear_schedule_with_warmup)]
)
def test_schedule_is_that_of_transformers_above_the_floor(schedule: str, oracle: object) -> None:
    recipe = Recipe(learning_rate=3e-4, schedule=schedule)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=3e-4)
    expected = oracle(optimizer, 6, 100)  # type: ignore[operator]
    for step in range(100):
        wanted = expected.get_last_lr()[0]
        if step >= 6:
            wanted = max(wanted, 3e-5)
        assert learning_rate(recipe, step, 100) == pytest.approx(wanted, rel=1e-12)
        optimizer.step()
        expected.step()


def test_data_order_is_a_permutation_of_its_own_for_each_seed_and_epoch() -> None:
    orders = [data_order(50, seed=seed, epoch=epoch) for seed in (1, 2) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert np.array_equal(orders[0], data_order(50, seed=1, epoch=0))
