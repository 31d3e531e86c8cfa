from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from contested.training import PackedEngine, Recipe, TrainingLoop

CPU = torch.device("cpu")
RECIPE = Recipe(learning_rate=5e-3, epochs=3, batch_size=16, every=7, seed=3)


def losses(made: Any, capture: Any) -> list[float]:
    seen: list[float] = []
    engine = PackedEngine(made.model.module, device=CPU, bucket=64)
    loop = TrainingLoop(
        made.model.module, engine, made.data, RECIPE, capture=capture, observer=lambda step: seen.append(step.loss)
    )
    loop.fit()
    return seen


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize(
    "family",
    [
        "bert",
        "deberta-v2",
        "modernbert",
        "qwen2",
        *(pytest.param(family, marks=pytest.mark.slow) for family in ("roberta", "gemma2")),
    ],
)
def test_replayed_steps_are_the_eager_ones(
    parts: Callable[..., Any], enliven: Callable[..., None], tapes: Any, family: str, method: str
) -> None:
    """Rate, rows, dropout and moments change from step to step; a value that a capture kept would show."""
    found = []
    for capture in (tapes, None):
        made = parts(family, method)
        enliven(made.model.module)
        found.append(losses(made, capture))
    assert tapes.replayed >= 10
    assert tapes.recorded < tapes.replayed
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_tape_refuses_what_a_graph_cannot_hold(tapes: Any) -> None:
    weight = torch.ones(3)
    tapes.record(lambda: weight * 2)
    with pytest.raises(AssertionError, match="waits for the device"):
        tapes.record(lambda: weight * weight.sum().item())
    with pytest.raises(AssertionError, match="from the host"):
        tapes.record(lambda: weight * torch.from_numpy(np.ones(3, np.float32)))
