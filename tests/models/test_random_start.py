"""A LoRA with a random start is saved as a plain one, which needs no chance to be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from contested import models
from contested.errors import ModelError

IDS = torch.tensor([[2, 7, 9, 5, 3]])


def built(folder: Path, seed: int = 7, **options: Any) -> Any:
    given = {"r": 2, "lora_alpha": 6, "init_lora_weights": "pissa_niter_2", **options}
    return models.build(str(folder), label_names="abc", method="lora", options=given, seed=seed)


def logits_of(module: torch.nn.Module) -> torch.Tensor:
    module.eval()
    with torch.no_grad():
        logits: torch.Tensor = module(input_ids=IDS).logits
    return logits


def train(module: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator))


@pytest.mark.parametrize(
    "options", [{}, {"use_rslora": True}, {"rank_pattern": {"query": 3}, "alpha_pattern": {"value": 4}}]
)
def test_it_gives_the_same_logits_over_the_checkpoint_as_it_is(
    checkpoint: Callable[[str], Path], tmp_path: Path, options: dict[str, Any]
) -> None:
    model = built(checkpoint("bert"), **options)
    train(model.module)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    models.save(model.module, model.tokenizer, tmp_path)
    assert model.module.peft_config["default"].r == 2
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    torch.manual_seed(99)
    base = AutoModelForSequenceClassification.from_pretrained(checkpoint("bert"), num_labels=3)
    loaded = PeftModel.from_pretrained(base, tmp_path)
    assert loaded.peft_config["default"].r == 4
    torch.testing.assert_close(logits_of(loaded), logits_of(model.module), atol=1e-5, rtol=0)


def test_its_run_finds_its_own_ranks_again(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    model = built(checkpoint("bert"))
    train(model.module)
    models.save(model.module, model.tokenizer, tmp_path)
    again = built(checkpoint("bert"))
    models.load_trained(again.module, tmp_path)
    torch.testing.assert_close(logits_of(again.module), logits_of(model.module), atol=1e-5, rtol=0)
    # Of another seed, so over other weights.
    with pytest.raises(ModelError) as caught:
        models.load_trained(built(checkpoint("bert"), seed=8).module, tmp_path)
    assert "began with another random decomposition" in caught.value.problems[0]


def test_any_other_lora_is_saved_as_it_is(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    model = built(checkpoint("bert"), init_lora_weights="pissa")
    models.save(model.module, model.tokenizer, tmp_path)
    base = AutoModelForSequenceClassification.from_pretrained(checkpoint("bert"), num_labels=3)
    assert PeftModel.from_pretrained(base, tmp_path).peft_config["default"].r == 2
