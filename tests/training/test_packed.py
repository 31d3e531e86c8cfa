from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from contested.training import DropoutKey, PackedEngine, PaddedEngine

FAMILIES = ("bert", "roberta", "distilbert", "electra", "deberta-v2", "modernbert", "qwen2", "llama", "qwen3")
KEY = DropoutKey(seed=3, step=5)


def outcome(made: Any, engine: Any, key: DropoutKey | None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Losses and all gradients of a batch in an order that is not by length, so that a misplaced logit shows."""
    rows = np.random.default_rng(0).permutation(len(made.data.train))[:24]
    made.model.module.zero_grad()
    logits = engine.logits(made.data.train, rows, key)
    losses = torch.nn.functional.cross_entropy(logits, torch.from_numpy(made.data.labels[rows]), reduction="none")
    losses.mean().backward()
    gradients = {n: p.grad.clone() for n, p in made.model.module.named_parameters() if p.grad is not None}
    return losses.detach(), gradients


def assert_same(one: Any, other: Any) -> None:
    torch.testing.assert_close(one[0], other[0], rtol=1e-5, atol=1e-6)
    assert set(one[1]) == set(other[1])
    for name, gradient in one[1].items():
        # The true gradient of a key bias is zero: softmax does not see a shift common to all keys.
        if name.endswith(("key.bias", "k_lin.bias", "key_proj.bias", "k_proj.bias")):
            continue
        expected = other[1][name]
        assert (gradient - expected).norm() <= 1e-5 * expected.norm() + 1e-9, name


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("method", ["lora", "ia3", "full"])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_equal_those_with_padding(
    parts: Callable[..., Any], family: str, method: str, dropout: bool
) -> None:
    made = parts(family, method)
    enliven(made.model.module)
    assert isinstance(made.engine, PackedEngine)
    made.model.module.train(dropout)
    packed = outcome(made, made.engine, KEY)
    inside = PackedEngine(made.model.module, device=torch.device("cpu"), single_group=True)
    assert_same(packed, outcome(made, inside, KEY))
    pad_id = made.model.tokenizer.pad_token_id
    for size in (4, 24):
        padded = PaddedEngine(made.model.module, pad_id=pad_id, device=torch.device("cpu"), piece_size=size)
        assert_same(packed, outcome(made, padded, KEY))
    if dropout:
        other = outcome(made, made.engine, KEY._replace(step=6))
        assert not torch.allclose(packed[0], other[0], rtol=1e-3)


def enliven(module: torch.nn.Module) -> None:
    """Dropout everywhere and weights large enough that logits are far from zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        if parameter.dim() > 1:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.2
        if isinstance(getattr(part, "attention_dropout", None), float):
            part.attention_dropout = 0.2
