"""Whole runs of models that differ from most: what is recorded is what the saved model gives when a user loads it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

import contested as ct
from contested.families import family_of
from contested.runs import Interrupted, Progress
from contested.tasks.encoding import single_texts
from contested.training import TrainingLoop

RECIPE: dict[str, Any] = {
    "training": {"learning_rate": 1e-2, "epochs": 1, "batch_size": 8},
    "tracking": {"every": 3},
    "execution": {"threads": 1},
}


@pytest.fixture
def train(annotated_of: Callable[[int], Any], bulk: Any, tmp_path: Path) -> Callable[..., Any]:
    def run(folder: Path, method: Any = None, *, out: str = "run", prefix: str = "", **options: Any) -> Any:
        annotated = annotated_of(24)
        fields = annotated.fields.assign(premise=prefix + annotated.fields["premise"])
        task = ct.NLITask(annotated=dataclasses.replace(annotated, fields=fields), bulk=bulk, bulk_size=16)
        method = ct.LoRA(r=2) if method is None else method
        return ct.train(str(folder), method, task, out=tmp_path / out, max_length=60, **{**RECIPE, **options})

    return run


def reloaded_logits(folder: Path, run: Any) -> np.ndarray[Any, Any]:
    """What the adapter gives for each tracked text alone, loaded on the checkpoint as anybody would."""
    tokenizer = AutoTokenizer.from_pretrained(run.path / "adapter")
    base = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    model = PeftModel.from_pretrained(base, run.path / "adapter").eval()
    texts = run.trajectory.examples[["premise", "hypothesis"]]
    template = family_of(AutoConfig.from_pretrained(folder).model_type).template
    columns = [texts["premise"], texts["hypothesis"]] if template is None else [single_texts(texts, template)]
    with torch.no_grad():
        rows = [model(**tokenizer(*row, return_tensors="pt")).logits[0] for row in zip(*columns, strict=True)]
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("kind", ["gemma2", "gemma3_text", "mistral", "xlnet", "roberta"])
def test_what_is_recorded_last_is_what_the_saved_model_gives(
    checkpoint: Callable[[str], Path], train: Callable[..., Any], kind: str
) -> None:
    # Nothing of XLNet's attention is a linear layer that an adapter could go to.
    method = ct.LoRA(r=2, target_modules=["layer_1", "layer_2"]) if kind == "xlnet" else None
    run = train(checkpoint(kind), method, prefix="red [PAD] " if kind == "roberta" else "")
    found = reloaded_logits(checkpoint(kind), run)
    np.testing.assert_allclose(run.trajectory.logits[-1], found, rtol=1e-5, atol=1e-5)
    assert np.abs(run.trajectory.logits[-1] - run.trajectory.logits[0]).max() > 1e-2


def test_a_tokenizer_that_pads_with_another_token_moves_no_position(
    checkpoint: Callable[[str], Path], train: Callable[..., Any], tmp_path: Path
) -> None:
    """RoBERTa counts positions from the pad token of its configuration, with which it was trained."""
    folder = shutil.copytree(checkpoint("roberta"), tmp_path / "other")
    AutoTokenizer.from_pretrained(folder, pad_token="[MASK]").save_pretrained(folder)
    run = train(folder)
    np.testing.assert_allclose(run.trajectory.logits[-1], reloaded_logits(folder, run), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(run.trajectory.logits, train(checkpoint("roberta"), out="same").trajectory.logits)


def test_layers_that_share_weights_keep_their_own_adapters_in_tracking_passes(
    checkpoint: Callable[[str], Path], train: Callable[..., Any]
) -> None:
    method = ct.LoRA(r=2, extra={"layer_replication": [[0, 2], [1, 2]]})
    run = train(checkpoint("bert"), method)
    np.testing.assert_allclose(
        run.trajectory.logits[-1], reloaded_logits(checkpoint("bert"), run), rtol=1e-5, atol=1e-5
    )


def test_bigbird_drops_in_training_and_resumes_to_the_same_bits(
    checkpoint: Callable[[str], Path], train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: dict[str, bool] = {}

    def arrive(self: TrainingLoop, step: int, stop: Any, *, own: Any = TrainingLoop.arrive) -> None:
        modes.update({name: part.training for name, part in self.module.named_modules() if "dropout" in name})
        own(self, step, stop)

    def stop(progress: Progress) -> None:
        if progress.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TrainingLoop, "arrive", arrive)
    folder = checkpoint("big_bird")
    whole = train(folder, ct.Full(), out="whole")
    assert any("read with full attention" in note for note in whole.trajectory.manifest["notes"])
    assert modes
    assert all(modes.values()), modes
    with pytest.raises(Interrupted):
        train(folder, ct.Full(), out="broken", on_progress=stop)
    broken = train(folder, ct.Full(), out="broken", on_progress=lambda progress: None)
    np.testing.assert_array_equal(broken.trajectory.logits, whole.trajectory.logits)
    saved = AutoModelForSequenceClassification.from_pretrained(whole.path / "model")
    assert saved.config.attention_type == "original_full"
