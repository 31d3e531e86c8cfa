from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from contested.training import DropoutKey, PackedEngine, PaddedEngine
from contested.training.packed import RunBatch

FAMILIES = ("bert", "roberta", "distilbert", "electra", "deberta-v2", "modernbert", "qwen2", "llama", "qwen3")
FAMILIES += ("gemma2", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("mistral", "gemma3_text")))
KEY = DropoutKey(seed=3, step=5)


def outcome(made: Any, engine: Any, key: DropoutKey | None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Losses and all gradients of a batch in an order that is not by length, so that a misplaced logit shows."""
    rows = np.random.default_rng(0).permutation(len(made.data.train))[:24]
    made.model.module.zero_grad()
    logits = engine.logits(made.data.train, rows, key)
    losses = torch.nn.functional.cross_entropy(
        logits, torch.from_numpy(made.data.train_targets[rows]), reduction="none"
    )
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
        # Under whatever name a family has it, that gradient is rounding alone.
        if max(gradient.norm(), expected.norm()) < 1e-7:
            continue
        assert (gradient - expected).norm() <= 1e-5 * expected.norm() + 1e-9, name


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("method", ["lora", "ia3", "full"])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_and_gradients_equal_those_with_padding(
    parts: Callable[..., Any], enliven: Callable[..., None], family: str, method: str, dropout: bool
) -> None:
    made = parts(family, method)
    enliven(made.model.module)
    assert isinstance(made.engine, PackedEngine)
    made.model.module.train(dropout)
    packed = outcome(made, made.engine, KEY)
    for layout in ({"single_group": True}, {"single_group": True, "bucket": 32}, {"bucket": 64}):
        other = PackedEngine(made.model.module, device=torch.device("cpu"), **layout)
        assert_same(packed, outcome(made, other, KEY))
    pad_id = made.model.tokenizer.pad_token_id
    for size in (4, 24):
        padded = PaddedEngine(made.model.module, pad_id=pad_id, device=torch.device("cpu"), piece_size=size)
        assert_same(packed, outcome(made, padded, KEY))
    if not dropout:
        with torch.no_grad():
            rows = np.random.default_rng(0).permutation(len(made.data.train))[:24]
            logits = made.engine.logits(made.data.train, rows)
        labels = torch.from_numpy(made.data.train_targets[rows])
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        torch.testing.assert_close(losses, packed[0], rtol=1e-5, atol=1e-6)
    if dropout:
        other = outcome(made, made.engine, KEY._replace(step=6))
        assert not torch.allclose(packed[0], other[0], rtol=1e-3)


def test_buckets_bring_few_shapes(parts: Callable[..., Any]) -> None:
    made = parts("bert")
    engine = PackedEngine(made.model.module, device=torch.device("cpu"), single_group=True, bucket=64)
    shapes = set()
    for seed in range(20):
        rows = np.random.default_rng(seed).permutation(len(made.data.train))[:16]
        shape = engine.collate([RunBatch(made.data.train, rows, KEY)]).shape
        assert shape.tokens[0] % 64 == 0
        assert shape.width % 16 == 0
        shapes.add(shape)
    assert len(shapes) < 10


@pytest.mark.parametrize("family", FAMILIES)
def test_biases_that_train_beside_lora_have_their_gradients(
    parts: Callable[..., Any], enliven: Callable[..., None], family: str
) -> None:
    """As with LoRA's option bias: the short way through frozen layers is not theirs."""
    made = parts(family)
    enliven(made.model.module)
    biases = {name: p for name, p in made.model.module.named_parameters() if name.endswith(".bias")}
    for bias in biases.values():
        bias.requires_grad_(True)
    pad_id = made.model.tokenizer.pad_token_id
    padded = PaddedEngine(made.model.module, pad_id=pad_id, device=torch.device("cpu"))
    packed = outcome(made, made.engine, KEY)
    assert_same(packed, outcome(made, padded, KEY))
    assert {name for name in biases if "query" in name or "q_lin" in name} <= set(packed[1])
