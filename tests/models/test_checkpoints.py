"""Folders that hold something else than one whole model, and models that give their outputs in another form."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification

from contested import models
from contested.errors import ModelError

LABELS = ("entailment", "neutral", "contradiction")


def build(folder: Path, method: str = "full") -> models.TextModel:
    return models.build(str(folder), label_names=LABELS, method=method)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("beside", ["nothing", "a whole model"])
def test_an_adapter_is_no_checkpoint(
    checkpoint: Callable[[str], Path], tmp_path: Path, method: str, beside: str
) -> None:
    # transformers puts an adapter that lies beside a model into it: a run would begin with both.
    folder = tmp_path / "adapter"
    if beside == "a whole model":
        shutil.copytree(checkpoint("bert"), folder)
    whole = AutoModelForSequenceClassification.from_pretrained(checkpoint("bert"), num_labels=3)
    get_peft_model(whole, LoraConfig(task_type="SEQ_CLS", target_modules=["query"])).save_pretrained(folder)
    with pytest.raises(ModelError, match=r"holds a PEFT adapter \(adapter_config\.json\).* merge the two"):
        build(folder, method)


def test_an_adapter_that_the_library_finds_is_none_either(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As of a hub repository, of which no folder is seen before.
    monkeypatch.setattr("transformers.BertForSequenceClassification._hf_peft_config_loaded", True)
    with pytest.raises(ModelError, match="holds a PEFT adapter"):
        build(checkpoint("bert"))


def test_a_folder_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"bert does not exist\. Give a folder"):
        build(tmp_path / "bert")


@pytest.mark.parametrize("key", ["return_dict", "torchscript"])
def test_a_model_that_gives_tuples_gives_its_outputs_by_name(
    checkpoint: Callable[[str], Path], tmp_path: Path, key: str
) -> None:
    folder = shutil.copytree(checkpoint("bert"), tmp_path / "bert")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, key: key == "torchscript"}))
    built = build(folder, "lora")
    models.save(built.module, built.tokenizer, tmp_path / "saved")
    loaded = models.load_saved(tmp_path / "saved", backbone=str(folder), n_classes=3, pad_id=0)
    ids = torch.tensor([[2, 6, 7, 3]])
    assert torch.allclose(built.module.eval()(input_ids=ids).logits, loaded(input_ids=ids).logits, atol=1e-6)
