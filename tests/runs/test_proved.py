"""What a run of a process has proven counts for the next one of its kind, and for no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from contested import models, training
from contested.config import RunConfig, check_config
from contested.errors import TrainingError
from contested.runs import DataCache, train_config
from contested.runs.prepare import prepare
from contested.runs.proved import Kind
from contested.training import PackedEngine


@pytest.fixture
def config(checkpoint: Callable[[str], Path], write_task: Any, tmp_path: Path) -> Callable[..., RunConfig]:
    """Gives the configuration of a small run of files, with changes."""
    task = write_task(tmp_path, size=20, absolute=True)

    def make(kind: str = "bert", **changes: Any) -> RunConfig:
        content: dict[str, Any] = {
            "model": {"name": str(checkpoint(kind)), "max_length": 64},
            "task": task,
            "training": {"learning_rate": 5e-3, "epochs": 1, "batch_size": 16},
            "tracking": {"every": 100},
            "alert": {"level": None},
            "execution": {"threads": 1},
            "seed": 1,
        }
        for key, value in changes.items():
            content[key] = {**content[key], **value} if key in content and isinstance(value, dict) else value
        return check_config(content, "of a test")

    return make


def checks_of(run: Path) -> dict[str, Any]:
    checks: dict[str, Any] = json.loads((run / "manifest.json").read_text())["checks"]
    return checks


@pytest.mark.parametrize("method", ["lora", "full", "ia3"])
def test_the_next_run_of_a_kind_says_which_one_has_proven_it(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    loaded: list[Path] = []
    original = models.load_saved
    monkeypatch.setattr(models, "load_saved", lambda *a, **k: (loaded.append(a[0]), original(*a, **k))[1])
    cache = DataCache()
    first = train_config(config(method={"name": method}), out=tmp_path / "first", cache=cache)
    assert len(loaded) == 2  # before step 0 and in the end
    later = config(method={"name": method}, seed=2, training={"learning_rate": 1e-3})
    train_config(later, out=tmp_path / "next", cache=cache)
    assert len(loaded) == 2
    own, found = checks_of(first.path), checks_of(tmp_path / "next")
    assert found["engine"] == {**own["engine"], "proven_by": first.run_id}
    assert found["weights"].pop("loading_proven_by") == first.run_id
    assert 0 <= found["weights"]["largest_difference"] < 1e-5
    # Without what a process has in common each proves for itself.
    train_config(later, out=tmp_path / "alone")
    assert checks_of(tmp_path / "alone")["engine"].keys() == own["engine"].keys()


def with_dropout(module: Any) -> None:
    module.base_model.model.bert.encoder.layer[0].attention.output.dropout.p = 0.3


def with_classes(module: Any) -> None:
    module.base_model.model.classifier = torch.nn.Linear(4, 7)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"seed": 2}, True),
        ({"training": {"learning_rate": 1e-3, "epochs": 2}}, True),
        ({"method": {"name": "ia3"}}, False),
        ({"method": {"name": "lora", "r": 2}}, False),
        ({"kind": "distilbert"}, False),
        ({"training": {"precision": "bfloat16"}}, False),
        ({"model": {"max_length": 6}}, False),  # other texts are the longest
        ({"execution": {"threads": 2}}, False),
        ({"before": {"checks": {"engine": {"name": "padded"}}}}, False),
        ({"changed": with_dropout}, False),
        ({"changed": with_classes}, False),
        ({"matmul": "medium"}, False),
    ],
)
def test_a_kind_is_all_that_a_proof_depends_on(
    config: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, changes: dict[str, Any], same: bool
) -> None:
    request.addfinalizer(lambda: torch.set_num_threads(1))
    cache = DataCache()

    def kind(before: Any = None, changed: Any = None, matmul: str = "highest", **changes: Any) -> str:
        settings = config(**changes)
        parts = prepare(settings, cache.data(settings), cache)
        if changed is not None:
            changed(parts.model.module)
        monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: matmul)
        return Kind.of(settings, parts, {}, before).name

    assert (kind() == kind(**changes)) is same


def test_an_engine_that_breaks_for_another_kind_is_found_in_the_second_run(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, original = DataCache(), PackedEngine.forward

    def forward(engine: Any, batch: Any) -> list[torch.Tensor]:
        # Once an adapter of rank 2 is moved or trains; until then nothing shows.
        adapted = [p for n, p in engine._model.named_parameters() if ".lora_B." in n and p.shape[1] == 2]
        return [logits + sum(p.abs().sum() for p in adapted) for logits in original(engine, batch)]

    monkeypatch.setattr(PackedEngine, "forward", forward)
    for rank, name in ((4, "packed"), (2, "padded"), (4, "packed")):
        out = tmp_path / f"{rank} {name}"
        train_config(config(method={"name": "lora", "r": rank}, seed=rank), out=out, cache=cache)
        assert checks_of(out)["engine"]["name"] == name


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_engine_that_breaks_for_everything_is_found_in_the_second_run(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    cache, original = DataCache(), PackedEngine.forward
    settings = {"training": {"precision": precision}}
    train_config(config(**settings), out=tmp_path / "first", cache=cache)

    def across(engine: Any, batch: Any) -> list[torch.Tensor]:
        return [logits + 0.01 * (logits - logits.mean(0)) for logits in original(engine, batch)]

    monkeypatch.setattr(PackedEngine, "forward", across)
    train_config(config(seed=2, **settings), out=tmp_path / "next", cache=cache)
    engine = checks_of(tmp_path / "next")["engine"]
    assert (engine["name"], engine["examples"], "proven_by" in engine) == ("padded", 8, False)
    assert engine["because"].startswith("packed its logits differ")


def grown(folder: Path, module: Any) -> None:
    with torch.no_grad():
        module.base_model.model.classifier.modules_to_save["default"].weight.add_(0.01)


def in_the_file(folder: Path, module: Any) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "adapter_model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if "classifier" in name)
    save_file({**weights, name: weights[name] + 0.1}, file)


def in_the_settings(folder: Path, module: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "lora_alpha": 5000}))


@pytest.mark.parametrize("damage", [grown, in_the_file, in_the_settings])
def test_weights_that_are_saved_wrong_in_the_second_run_fail_it(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path, Any], None]
) -> None:
    cache, original = DataCache(), models.save
    train_config(config(), out=tmp_path / "first", cache=cache)

    def save(module: Any, tokenizer: Any, folder: Path) -> None:
        if damage is grown:
            damage(folder, module)
        original(module, tokenizer, folder)
        if damage is not grown:
            damage(folder, module)

    monkeypatch.setattr(models, "save", save)
    with pytest.raises(TrainingError, match="not those of the last checkpoint: loaded by PeftModel"):
        train_config(config(seed=2), out=tmp_path / "next", cache=cache)
    assert not (tmp_path / "next" / "adapter").exists()


def test_what_could_not_be_proven_is_tried_again(config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DataCache()
    monkeypatch.setattr("contested.runs.proving._has_room", lambda device, size: False)
    with pytest.warns(UserWarning, match="not checked"):
        train_config(config(), out=tmp_path / "first", cache=cache)
    monkeypatch.undo()
    train_config(config(seed=2), out=tmp_path / "next", cache=cache)
    found = checks_of(tmp_path / "next")
    assert "proven_by" not in found["engine"]
    assert found["weights"].keys() == {"largest_difference"}


def test_what_is_kept_holds_no_module(config: Any, tmp_path: Path) -> None:
    cache = DataCache()
    train_config(config(), out=tmp_path / "run", cache=cache)
    (kept,) = cache.proofs.values()
    assert set(kept.engine) == {*training.Proven._fields} - {"engine"}
