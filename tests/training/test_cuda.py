"""What has only been seen on CPUs, on a GPU: pytest -m gpu."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from contested.training import DropoutKey, PackedEngine, PaddedEngine, Recipe, StackedEngine, TrainingLoop
from contested.training.packed import RunBatch
from contested.training.steps import CudaGraphs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
KEY = DropoutKey(3, 5)


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """float32 products as on CPUs."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


def outcome(made: Any, engine: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    rows = np.random.default_rng(0).permutation(len(made.data.train))[:24]
    made.model.module.zero_grad()
    logits = engine.logits(made.data.train, rows, KEY)
    labels = torch.from_numpy(made.data.train_targets[rows]).to(logits.device)
    torch.nn.functional.cross_entropy(logits, labels).backward()
    gradients = {n: p.grad.cpu() for n, p in made.model.module.named_parameters() if p.grad is not None}
    return logits.detach().cpu(), gradients


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "deberta-v2", "modernbert", "qwen2"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_step_gives_what_it_gives_on_a_cpu(parts: Callable[..., Any], family: str, method: str) -> None:
    made = parts(family, method)
    expected, gradients = outcome(made, made.engine)
    device = torch.device("cuda")
    made.model.module.to(device)
    pad_id = made.model.tokenizer.pad_token_id
    for engine in (
        PackedEngine(made.model.module, device=device),
        PaddedEngine(made.model.module, pad_id=pad_id, device=device),
    ):
        logits, found = outcome(made, engine)
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
        for name, gradient in gradients.items():
            if not name.endswith(("key.bias", "k_lin.bias", "key_proj.bias", "k_proj.bias")):
                assert (found[name] - gradient).norm() <= 1e-3 * gradient.norm() + 1e-7, name


def test_stacked_logits_are_those_of_single_runs(parts: Callable[..., Any]) -> None:
    device = torch.device("cuda")
    made = [parts("bert") for _ in range(3)]
    for each in made:
        each.model.module.to(device)
    rows = [np.arange(start, start + 16) for start in (0, 10, 20)]
    single = [
        PackedEngine(each.model.module, device=device).logits(each.data.train, own, KEY)
        for each, own in zip(made, rows, strict=True)
    ]
    stack = StackedEngine([each.model.module for each in made], device=device)
    found = stack.logits([RunBatch(each.data.train, own, KEY) for each, own in zip(made, rows, strict=True)])
    torch.testing.assert_close(torch.cat(found), torch.cat(single), rtol=1e-4, atol=1e-4)


def test_a_run_goes_as_on_a_cpu(parts: Callable[..., Any]) -> None:
    recipe = Recipe(learning_rate=2e-3, epochs=2, batch_size=16, every=5, seed=3)
    losses = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        made = parts("bert")
        made.model.module.to(device)
        seen: list[float] = []
        engine = PackedEngine(made.model.module, device=device)
        TrainingLoop(
            made.model.module, engine, made.data, recipe, observer=lambda step, to=seen: to.append(step.loss)
        ).fit()
        losses.append(seen)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v2", "qwen2"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_graphed_steps_are_the_eager_ones(parts: Callable[..., Any], family: str, method: str) -> None:
    recipe = Recipe(learning_rate=2e-3, epochs=6, batch_size=16, every=7, seed=3)
    losses = []
    for capture in (None, CudaGraphs()):
        made = parts(family, method)
        made.model.module.to("cuda")
        seen: list[float] = []
        engine = PackedEngine(made.model.module, device=torch.device("cuda"))
        observer = lambda step, to=seen: to.append(step.loss)  # noqa: E731
        TrainingLoop(made.model.module, engine, made.data, recipe, capture=capture, observer=observer).fit()
        losses.append(seen[:20])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
