from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.stats import entropy

from contested.training.objective import soft_loss

WEIGHTS = torch.tensor([0.5, 1.0, 1.5])


def logits(n: int = 6) -> torch.Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("weights", [None, WEIGHTS.double()])
def test_targets_of_one_class_give_the_weighted_cross_entropy(weights: torch.Tensor | None) -> None:
    # Weights of this batch: 0.5 + 1 + 1.5 + 1.5 + 1.5 + 0.5 = 6.5, not its 6 examples.
    labels = torch.tensor([0, 1, 2, 2, 2, 0])
    found = soft_loss(logits(), F.one_hot(labels, 3).double(), weights)
    torch.testing.assert_close(found, F.cross_entropy(logits(), labels, weight=weights).float(), check_dtype=False)


def test_without_weights_it_is_the_mean_kl_divergence() -> None:
    people = np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0], [0.9, 0.1, 0.0]])
    model = torch.softmax(logits(3), dim=1).numpy()
    found = soft_loss(logits(3), torch.from_numpy(people), None)
    assert float(found) == pytest.approx(float(entropy(people, model, axis=1).mean()), rel=1e-5)


def test_the_weights_of_the_targets_divide_the_sum_by_hand() -> None:
    # Even logits: ln q = -ln 3. Σ w p = 0.5·0.2 + 1·0.3 + 1.5·0.5 = 1.15 and 0 + 0 + 1.5 = 1.5; divided by 2.65.
    people = torch.tensor([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float64)
    ln = np.log
    first = 0.1 * ln(0.2 * 3) + 0.3 * ln(0.3 * 3) + 0.75 * ln(0.5 * 3)
    expected = (first + 1.5 * ln(3)) / 2.65
    found = soft_loss(torch.zeros(2, 3, dtype=torch.float64), people, WEIGHTS.double())
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_it_is_zero_where_the_model_answers_as_people_do() -> None:
    people = torch.softmax(logits(), dim=1)
    assert float(soft_loss(logits(), people, WEIGHTS.double())) == pytest.approx(0.0, abs=1e-6)


def test_soft_labels_move_the_model_towards_people(parts: Callable[..., Any]) -> None:
    from dataclasses import replace

    from contested.training import Classification, Recipe, track

    made = parts("bert", "full")
    people = np.tile(np.array([[0.4, 0.35, 0.25]], np.float32), (len(made.data.train), 1))
    data = replace(made.data, train_targets=people, objective=Classification())
    recipe = Recipe(learning_rate=2e-2, epochs=6, batch_size=16, seed=1)
    made._replace(data=data).loop(recipe).fit()
    logits = track(made.engine, made.model.module, data.tracked, batch_size=16)
    model = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    # On hard labels the tiny model is far surer of itself; here everyone's answer is the same distribution.
    np.testing.assert_allclose(model.mean(axis=0), [0.4, 0.35, 0.25], atol=0.05)
