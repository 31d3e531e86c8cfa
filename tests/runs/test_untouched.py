"""The model without its adapters, recorded beside step 0 where adapters change it from the start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import contested as ct
from contested.runs import RunResult, session, untouched
from contested.runs.untouched import Untouched

RECIPE: dict[str, Any] = {
    "training": {"learning_rate": 1e-2, "epochs": 1, "batch_size": 8},
    "tracking": {"every": 4},
    "execution": {"threads": 1},
}
PROMPTS = ct.PEFT(type="PROMPT_TUNING", options={"num_virtual_tokens": 2})


@pytest.fixture
def train(
    checkpoint: Callable[[str], Path], annotated_of: Callable[[int], ct.Annotations], bulk: Any, tmp_path: Path
) -> Callable[..., RunResult]:
    task = ct.NLITask(annotated=annotated_of(24), bulk=bulk, bulk_size=16)

    def run(method: Any, out: str, **options: Any) -> RunResult:
        given = {**RECIPE, "training": {**RECIPE["training"], **options}}
        return ct.train(str(checkpoint("bert")), method, task, out=tmp_path / out, max_length=60, **given)

    return run


@pytest.mark.parametrize("method", [PROMPTS, ct.LoRA(r=2, extra={"init_lora_weights": False})], ids=["prompts", "lora"])
def test_adapters_that_change_the_model_at_once_have_the_untouched_one_beside_them(
    train: Callable[..., RunResult], method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = train(method, "adapted")
    run = result.trajectory
    assert run.manifest["baseline"] == untouched.RECORDED
    # The same seed draws the same head, and full fine-tuning begins with it and nothing else.
    whole = train(ct.Full(), "whole").trajectory
    assert "no adapters" in whole.manifest["baseline"]
    assert whole.baseline_losses is None
    np.testing.assert_allclose(run.baseline_logits, whole.required("logits")[0], atol=1e-5)
    assert np.abs(run.required("logits")[0] - whole.required("logits")[0]).max() > 1e-3
    found = ct.analyze(run, n_resamples=50).examples["loss_change_baseline"]
    np.testing.assert_allclose(found, run.required("losses")[-1] - whole.required("losses")[0], atol=1e-5)
    # Training ends in the same bits as without.
    monkeypatch.setattr(session, "untouched", lambda *components, batch_size: Untouched(None, ""))
    without = train(method, "without").path
    for file in without.glob("adapter/*.safetensors"):
        assert file.read_bytes() == (result.path / "adapter" / file.name).read_bytes()


def test_adapters_that_begin_as_nothing_need_no_other_pass(
    train: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(ct.LoRA(r=2), "lora").trajectory
    assert (run.manifest["baseline"], run.baseline_losses) == (untouched.NO_CHANGE, None)

    def fails(module: Any) -> Any:
        raise NotImplementedError("this tuner cannot be disabled")

    monkeypatch.setattr(untouched, "without_adapters", fails)
    said = train(ct.LoRA(r=2), "other").trajectory.manifest["baseline"]
    assert said == "the model fails with its adapters disabled (NotImplementedError: this tuner cannot be disabled)"


def test_it_is_asked_in_float32_before_an_engine_of_half_precision_changes_the_module(
    train: Callable[..., RunResult],
) -> None:
    plain, half = (train(PROMPTS, kind, precision=kind).trajectory for kind in ("float32", "bfloat16"))
    np.testing.assert_array_equal(half.baseline_logits, plain.baseline_logits)
    assert train(ct.LoRA(r=2), "lora", precision="bfloat16").trajectory.manifest["baseline"] == untouched.NO_CHANGE
