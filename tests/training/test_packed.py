from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from contested import models
from contested.training import PackedEngine, PaddedEngine, packs


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("method", ["lora", "ia3", "full"])
def test_losses_and_gradients_equal_those_with_padding(parts: Callable[..., Any], family: str, method: str) -> None:
    results = []
    for padded in (False, True):
        made = parts(family, method, padded=padded)
        made.model.module.eval()  # dropout masks differ between layouts
        # In an order that is not by length, so that a logit at the wrong place shows.
        rows = np.random.default_rng(0).permutation(len(made.data.train))[:24]
        logits = made.engine.logits(made.data.train, rows)
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(made.data.labels[rows])).backward()
        gradients = {n: p.grad for n, p in made.model.module.named_parameters() if p.grad is not None}
        results.append((logits.detach(), gradients))
    (packed, packed_gradients), (padded_logits, padded_gradients) = results
    torch.testing.assert_close(packed, padded_logits, rtol=1e-5, atol=1e-6)
    assert set(packed_gradients) == set(padded_gradients)
    for name, gradient in packed_gradients.items():
        # The true gradient of a key bias is zero: softmax does not see a shift common to all keys.
        if "key.bias" not in name:
            scale = padded_gradients[name].norm()
            assert (gradient - padded_gradients[name]).norm() <= 1e-5 * scale + 1e-9, name


def test_dropout_is_applied_in_training_mode_only(parts: Callable[..., Any]) -> None:
    made = parts("bert", "full")
    rows = np.arange(8)
    assert isinstance(made.engine, PackedEngine)
    twice = [made.engine.logits(made.data.train, rows) for _ in range(2)]
    assert not torch.equal(*twice)
    made.model.module.eval()
    assert torch.equal(*[made.engine.logits(made.data.train, rows) for _ in range(2)])


def test_other_families_and_prompt_learning_are_padded(
    parts: Callable[..., Any], checkpoint: Callable[[str], Any]
) -> None:
    assert isinstance(parts("bert").engine, PackedEngine)
    for family in ("distilbert", "deberta-v2", "qwen2"):
        assert isinstance(parts(family).engine, PaddedEngine)
    prompted = models.build(
        str(checkpoint("bert")),
        label_names=("e", "n", "c"),
        method="prompt_tuning",
        options={"num_virtual_tokens": 2},
    )
    assert not packs(prompted.module)
