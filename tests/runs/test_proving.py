"""A run proves its engine and what it saves: before step 0, and in the end by what was saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from contested import models
from contested.config import RunConfig, check_config
from contested.errors import ModelError, TrainingError
from contested.runs import proving, train_config
from contested.runs.free_memory import free_memory
from contested.runs.prepare import load_data, prepare
from contested.runs.session import RunSession, open_run
from contested.training import PaddedEngine
from contested.trajectories import Trajectory


@pytest.fixture
def config(checkpoint: Callable[[str], Path], write_task: Any, tmp_path: Path) -> Callable[..., RunConfig]:
    """Gives the configuration of a small run of files."""
    task = write_task(tmp_path, size=20, absolute=True)

    def make(kind: str | Path = "bert", **changes: Any) -> RunConfig:
        content = {
            "model": {"name": str(checkpoint(kind) if isinstance(kind, str) else kind), "max_length": 64},
            "task": task,
            "training": {"learning_rate": 5e-3, "epochs": 1, "batch_size": 16},
            "tracking": {"every": 100},
            "alert": {"level": None},
            "execution": {"threads": 1},
            **changes,
        }
        return check_config(content, "of a test")

    return make


def manifest_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return found


@pytest.mark.parametrize("method", ["lora", "full", "ia3"])
def test_the_manifest_says_what_was_checked(config: Any, tmp_path: Path, method: str) -> None:
    train_config(config(method={"name": method}), out=tmp_path / "run")
    manifest = manifest_of(tmp_path / "run")
    engine = manifest["checks"]["engine"]
    assert (engine["name"], engine["because"], engine["examples"]) == ("packed", "", 8)
    assert engine["largest_difference"] < 1e-5
    assert manifest["checks"]["weights"]["largest_difference"] < 1e-5
    assert (manifest["notes"], manifest["provenance"]["batches"]) == ([], "packed")


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ({"checks": {"engine": {"name": "one by one"}}, "provenance": {"batches": "packed"}}, "one by one"),
        ({"provenance": {"batches": "padded"}}, "padded"),  # of a version without checks
        ({"provenance": {"batches": "of another time"}}, "packed"),
    ],
)
def test_a_run_that_resumes_keeps_its_engine(config: Any, before: dict[str, Any], name: str) -> None:
    settings = config()
    components = prepare(settings, load_data(settings))
    assert proving.prove_engine(settings, components, proving.beginning(components), before).name == name


def test_before_step_0_the_model_s_own_forward_gives_no_logits_twice(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, bool]] = []
    original = PaddedEngine.logits

    def logits(engine: Any, *given: Any) -> torch.Tensor:
        asked.append((id(engine._module), torch.is_grad_enabled()))
        return original(engine, *given)

    monkeypatch.setattr(PaddedEngine, "logits", logits)
    settings = config()
    with open_run(settings, load_data(settings), out=tmp_path / "run") as session:
        assert isinstance(session, RunSession)
        module = session.loop.module
    # Without gradients as it was built, without its adapters, and moved for what is saved and for the engine; the copy
    # that was saved and loaded once; and with gradients each of the 8 examples alone.
    assert [gradients for of, gradients in asked if of == id(module)] == [False] * 4 + [True] * 8
    assert [gradients for of, gradients in asked if of != id(module)] == [False]


def test_what_is_slower_is_said_before_the_first_step(config: Any, tmp_path: Path) -> None:
    told = []
    train_config(config(method={"name": "lily", "r": 4}), out=tmp_path / "run", on_progress=told.append)
    note = (
        "Batches are computed one example at a time, which takes longer: Lily's router averages over all tokens of a "
        "batch."
    )
    assert (told[0].step, told[0].total_steps, told[0].notes) == (0, told[1].total_steps, (note,))
    manifest = manifest_of(tmp_path / "run")
    assert (manifest["notes"], manifest["checks"]["engine"]["name"]) == ([note], "one by one")
    with pytest.warns(UserWarning, match="Batches are computed one example at a time"):
        train_config(config(method={"name": "lily", "r": 4}), out=tmp_path / "silent")


def test_weights_that_are_not_the_last_checkpoint_s_fail_the_run_and_are_not_kept(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, saved = config(), []
    original = models.save

    def damaged(module: Any, tokenizer: Any, folder: Path) -> None:
        # Only what is saved in the end: one that was never as it should be is refused before step 0.
        with torch.no_grad():
            head = module.base_model.model.classifier.modules_to_save["default"].weight
            saved.append(folder)
            head.add_(0.01 * (len(saved) > 1))
        original(module, tokenizer, folder)

    monkeypatch.setattr(models, "save", damaged)
    with pytest.raises(TrainingError, match="not those of the last checkpoint: loaded by PeftModel"):
        train_config(settings, out=tmp_path / "run")
    run = Trajectory.load(tmp_path / "run")
    assert run.status == "failed"
    assert run.manifest["error"].startswith("The weights that were saved are not those of the last checkpoint")
    assert not (tmp_path / "run" / "adapter").exists()
    # What was recorded is intact, and once the cause is gone the same command ends the run.
    monkeypatch.setattr(models, "save", lambda module, tokenizer, folder: original(module, tokenizer, folder))
    result = train_config(settings, out=tmp_path / "run")
    assert result.status == "complete"
    np.testing.assert_array_equal(result.trajectory.logits, run.logits)


def test_a_model_that_cannot_be_given_to_others_is_refused_before_there_is_a_folder(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = models.load_saved

    def drawn(*args: Any, **options: Any) -> Any:
        module = original(*args, **options)
        with torch.no_grad():
            module.base_model.model.bert.encoder.layer[0].intermediate.dense.bias[0].add_(0.5)
        return module

    monkeypatch.setattr(models, "load_saved", drawn)
    with pytest.raises(ModelError, match="What method lora-r4 trains cannot be given to others"):
        train_config(config(), out=tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir() if not file.name.startswith(".")] == []


def test_what_the_library_cannot_load_is_said_and_not_checked(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise KeyError("no such weight")

    monkeypatch.setattr(models, "load_saved", broken)
    train_config(config(), out=tmp_path / "run")
    manifest = manifest_of(tmp_path / "run")
    reason = "PeftModel.from_pretrained cannot load them (KeyError: 'no such weight')"
    assert manifest["checks"]["weights"] == {"not_checked": reason}
    assert manifest["notes"] == [f"Whether the saved weights are right is not checked: {reason}."]


def test_a_second_copy_is_not_made_where_there_is_no_room(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "free_memory", lambda device: 1000)
    train_config(config(), out=tmp_path / "run")
    (reason,) = manifest_of(tmp_path / "run")["checks"]["weights"].values()
    assert reason == "a second copy of the model takes 0.0 GB of memory, which are not free"


def test_saved_weights_are_the_run_s_for_their_user(config: Any, checkpoint: Any, tmp_path: Path) -> None:
    # The check is right about what it says: loaded by hand, text by text.
    train_config(config(), out=tmp_path / "run")
    run = Trajectory.load(tmp_path / "run")
    base = AutoModelForSequenceClassification.from_pretrained(checkpoint("bert"), num_labels=3)
    model = PeftModel.from_pretrained(base, tmp_path / "run" / "adapter").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "adapter")
    pairs = run.examples[["premise", "hypothesis"]].itertuples(index=False)
    with torch.no_grad():
        logits = [model(**tokenizer(*pair, return_tensors="pt")).logits[0].numpy() for pair in pairs]
    assert run.logits is not None
    np.testing.assert_allclose(run.logits[-1], logits, atol=1e-5)


def test_memory_is_what_the_system_and_the_container_leave(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  99 kB\nMemFree:  1 kB\nMemAvailable:    64 kB\n")
    nowhere = tmp_path / "nowhere"
    assert free_memory(cpu, meminfo=meminfo, cgroup=nowhere) == 64 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert free_memory(cpu, meminfo=meminfo, cgroup=tmp_path) == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(cpu, meminfo=meminfo, cgroup=tmp_path) == 64 * 1024
    assert free_memory(cpu, meminfo=nowhere, cgroup=nowhere) is None
