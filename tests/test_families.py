"""The table of model families, held against the library's own models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import model_type_to_module_name
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from contested import families, models
from contested.training import packs
from contested.training.families import FORWARDS


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "distilbert", "deberta-v2", "modernbert", "qwen2"])
def test_the_token_that_the_table_names_is_the_one_that_the_head_reads(
    checkpoint: Callable[[str], Path], kind: str
) -> None:
    """The logits depend on the last layer's state of the pooled token, and on no other token's."""
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint(kind), num_labels=3).eval()
    model.config.pad_token_id = 0
    backbone, kept = model.base_model, []

    def keep(_: Any, __: Any, output: Any) -> Any:
        kept.append(output[0])
        output[0].retain_grad()
        return output

    backbone.register_forward_hook(keep)
    ids = torch.tensor([[2, 7, 9, 11, 3]])
    model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum().backward()
    read = [row for row in range(5) if kept[0].grad[0, row].abs().sum() > 0]
    assert read == [4 if families.family_of(kind).pools_last_token else 0]


@pytest.mark.parametrize(("kind", "limit"), [("bert", 64), ("roberta", 63), ("distilbert", 64)])
def test_positions_that_start_behind_the_pad_token_leave_less_room(
    checkpoint: Callable[[str], Path], kind: str, limit: int
) -> None:
    # Of 64 positions RoBERTa never uses those up to its pad token's, here 0: 63 are left.
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint(kind)).eval()
    model(input_ids=torch.full((1, limit), 7))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, limit + 1), 7))
    assert not models.preflight(str(checkpoint(kind)), n_classes=3, method="full", options={}, max_length=limit)
    (problem,) = models.preflight(str(checkpoint(kind)), n_classes=3, method="full", options={}, max_length=limit + 1)
    assert f"reads at most {limit} tokens" in problem


@pytest.mark.parametrize(
    ("config", "forward"),
    [
        ({"model_type": "bert"}, "bert"),
        ({"model_type": "bert", "is_decoder": True}, None),
        ({"model_type": "bert", "chunk_size_feed_forward": 64}, None),
        ({"model_type": "deberta-v2", "conv_kernel_size": 3}, None),
        ({"model_type": "deberta-v2", "conv_kernel_size": 0}, "deberta"),
        ({"model_type": "deberta-v2", "conv_kernel_size": None}, "deberta"),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, None),
        ({"model_type": "gemma3", "text_config": {"use_bidirectional_attention": True}}, None),
        ({"model_type": "gemma3", "text_config": {"use_bidirectional_attention": False}}, "llama"),
        ({"model_type": "of-tomorrow"}, None),
        ({}, None),
    ],
)
def test_a_configuration_decides_whether_batches_are_packed(config: dict[str, Any], forward: str | None) -> None:
    assert families.packed_forward_name(config) == forward


def test_a_family_of_ones_own_is_an_entry_of_the_table(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CamemBERT makes RoBERTa's calls under another name: with an entry it trains packed, with targets of its own."""
    config = json.loads((checkpoint("roberta") / "config.json").read_text())
    config = {**config, "model_type": "camembert", "architectures": ["CamembertModel"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for file in checkpoint("roberta").iterdir():
        if file.name != "config.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    # Whether or not the table has it by now.
    monkeypatch.delitem(families.FAMILIES, "camembert", raising=False)
    (problem,) = models.preflight(str(tmp_path), n_classes=3, method="lora", options={}, max_length=8)
    assert "'camembert' has no entry in contested.families; give target_modules" in problem
    monkeypatch.setitem(
        families.FAMILIES, "camembert", replace(families.family_of("roberta"), lora_targets=("key",), ia3_targets=())
    )
    built = models.build(str(tmp_path), label_names=("yes", "no"), method="lora", options={"r": 2})
    assert packs(built.module)
    assert {
        name.split(".lora_")[0].rsplit(".", 1)[-1] for name, _ in built.module.named_parameters() if "lora_" in name
    } == {"key"}


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"model_type": "xlnet", "max_position_embeddings": -1}, None),
        ({"model_type": "camembert", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "gemma3", "text_config": {"max_position_embeddings": 131072}}, 131072),
        ({"model_type": "canine"}, None),
    ],
)
def test_how_many_tokens_a_configuration_allows(config: dict[str, Any], limit: int | None) -> None:
    assert families.input_limit(config) == limit


def test_every_family_that_counts_positions_from_its_pad_token_is_in_the_table() -> None:
    """Without an entry the longest texts that it seems to allow would find no position."""
    folder = Path(transformers.__file__).parent / "models"
    for model_type in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        files = (folder / model_type_to_module_name(model_type)).glob("modeling_*.py")
        source = "".join(file.read_text() for file in files)
        counts = re.search(r"position_ids = (self\.)?create_position_ids_from_input_ids\(", source) is not None
        assert counts == families.family_of(model_type).positions_after_pad, model_type


def test_the_table_is_of_architectures_and_forwards_that_are_there() -> None:
    for model_type, family in families.FAMILIES.items():
        assert AutoConfig.for_model(model_type).model_type == model_type
        assert family.forward is None or family.forward in FORWARDS
