"""Validation examples that are tracked like the others: recorded apart, and training as if they were not there."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import contested as ct
from contested.analysis import run_alerts
from contested.analysis.study.runs import measure
from contested.config import check_config, identifying
from contested.errors import ConfigError, RunError
from contested.runs import Interrupted, Progress, RunResult, train_stacked

# 32 tracked + 40 bulk = 72 examples: 9 steps an epoch; 8 of 40 annotated examples validate.
RECIPE: dict[str, Any] = {
    "training": {"learning_rate": 5e-3, "epochs": 1, "batch_size": 8},
    "tracking": {"every": 4},
    "probes": {"gradient_norms": "end", "every": 9},
    "execution": {"threads": 1},
}
TRACKED: dict[str, Any] = {"tracking": {"every": 4, "validation": True}}
Train = Callable[..., RunResult]


@pytest.fixture(scope="module")
def train(
    checkpoint: Callable[[str], Path], annotated: Any, bulk: Any, tmp_path_factory: pytest.TempPathFactory
) -> Train:
    task = ct.NLITask(annotated=annotated, bulk=bulk, bulk_size=40, validation_fraction=0.2)
    cache = str(tmp_path_factory.mktemp("cache"))

    def run(*, stop_at: int | None = None, out: Path | None = None, **options: Any) -> RunResult:
        def stop(progress: Progress) -> None:
            if progress.step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CONTESTED_CACHE", cache)
            folder = out or tmp_path_factory.mktemp("run") / "run"
            given: dict[str, Any] = {**RECIPE, **options}
            return ct.train(
                str(checkpoint("bert")), ct.LoRA(r=2), task, out=folder, max_length=60, on_progress=stop, **given
            )

    return run


@pytest.fixture(scope="module")
def plain(train: Train) -> RunResult:
    return train()


@pytest.fixture(scope="module")
def tracked(train: Train) -> RunResult:
    return train(**TRACKED)


def weights(result: RunResult) -> bytes:
    return (result.path / "adapter" / "adapter_model.safetensors").read_bytes()


def files(result: RunResult) -> dict[str, bytes]:
    """What must not depend on whether the run was stopped: checkpoints, gradients, weights."""
    names = [*result.path.glob("checkpoints/*"), *result.path.glob("gradients/*"), *result.path.glob("adapter/*.safe*")]
    return {file.name: file.read_bytes() for file in names}


def test_training_ends_in_the_same_bits(plain: RunResult, tracked: RunResult) -> None:
    assert weights(plain) == weights(tracked)
    assert plain.run_id != tracked.run_id  # it decides what the folder holds
    without, both = plain.trajectory, tracked.trajectory
    assert (without.splits, both.splits) == (("train",), ("train", "validation"))
    own = both.of_split("train")
    assert own.example_ids.tolist() == without.example_ids.tolist()
    # Batches of other examples are summed in another order; nothing else differs.
    np.testing.assert_allclose(own.required("logits"), without.required("logits"), atol=1e-5)
    # Mean gradients of categories are of the examples that train; each example has a norm of its own.
    compared, others = own.gradients, both.of_split("validation").gradients
    assert compared is not None
    assert others is not None
    assert (len(compared.alignment) > 0, len(others.alignment)) == (True, 0)
    assert [part.norms.shape[1] for part in (compared, others)] == [len(own.example_ids), 8]
    metrics = ["step", "train_loss", "lr", "val_accuracy"]
    np.testing.assert_array_equal(both.metrics[metrics], without.metrics[metrics])


def test_validation_examples_have_the_losses_of_the_librarys_own_forward(
    tracked: RunResult, checkpoint: Callable[[str], Path]
) -> None:
    run = tracked.trajectory.of_split("validation")
    assert (len(run.example_ids), set(run.examples["split"])) == (8, {"validation"})
    folder = tracked.path / "adapter"
    torch.manual_seed(12345)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint("bert"), num_labels=3)
    model = PeftModel.from_pretrained(model, folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for row, (premise, hypothesis, gold) in enumerate(run.examples[["premise", "hypothesis", "gold"]].to_numpy()):
        with torch.no_grad():
            logits = model(**tokenizer(premise, hypothesis, return_tensors="pt")).logits[0]
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor(gold)).item()
        assert run.required("losses")[-1, row] == pytest.approx(expected, abs=1e-4)
    right = (run.required("logits")[-1].argmax(axis=1) == run.required("gold")).mean()
    assert tracked.trajectory.metrics["val_accuracy"].iloc[-1] == pytest.approx(right)


def test_gradients_have_norms_of_all_and_directions_of_what_trains(plain: RunResult, tracked: RunResult) -> None:
    one, both = plain.trajectory.gradients, tracked.trajectory.gradients
    assert one is not None
    assert both is not None
    assert (one.norms.shape, both.norms.shape) == ((2, 32), (2, 40))
    np.testing.assert_allclose(both.norms[-1, :32], one.norms[-1], rtol=1e-4)
    assert np.isfinite(both.norms[-1, 32:]).all()
    counted = ["group", "reference", "n", "n_reference"]
    assert both.alignment[counted].equals(one.alignment[counted])


def test_a_stopped_run_resumes_to_the_same_files(train: Train, tracked: RunResult, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(stop_at=6, out=tmp_path / "run", **TRACKED)
    assert files(train(out=tmp_path / "run", **TRACKED)) == files(tracked)


def test_a_saved_copy_knows_its_splits(tracked: RunResult, tmp_path: Path) -> None:
    run = tracked.trajectory
    run.save(tmp_path / "both")
    run.of_split("validation").save(tmp_path / "apart")
    both, apart = (ct.Trajectory.load(tmp_path / name) for name in ("both", "apart"))
    assert (both.splits, apart.splits) == (("train", "validation"), ("validation",))
    np.testing.assert_array_equal(both.of_split("validation").required("losses"), apart.required("losses"))
    with pytest.raises(RunError, match=r"tracks no examples of the split train \(it has validation\)"):
        apart.of_split("train")


def test_the_alert_asks_of_both_apart(tracked: RunResult) -> None:
    manifest = json.loads((tracked.path / "manifest.json").read_text())
    assert manifest["tracked_splits"] == ["train", "validation"]
    groups = run_alerts(tracked.trajectory)
    assert {name: found.n for name, found in groups.items() if "clean" in name} == {
        "clean": int((tracked.trajectory.of_split("train").categories == "clean").sum()),
        "clean (validation)": int((tracked.trajectory.of_split("validation").categories == "clean").sum()),
    }


def test_stacked_runs_track_them_as_each_does_alone(
    checkpoint: Callable[[str], Path], annotated: Any, bulk: Any, tmp_path: Path
) -> None:
    people = annotated.fields.assign(uid=annotated.example_ids, label_counts=annotated.label_counts.tolist())
    people.to_json(tmp_path / "people.jsonl", orient="records", lines=True)
    options = {"label_names": list(annotated.label_names)}
    task = {"annotated": {"path": str(tmp_path / "people.jsonl"), "options": options}, "validation_fraction": 0.2}

    def config(seed: int, validation: bool) -> Any:
        model = {"name": str(checkpoint("bert")), "max_length": 60}
        tracking = {"every": 4, "validation": validation}
        content = {"model": model, "task": task, **RECIPE, "tracking": tracking, "seed": seed}
        return check_config(content, "of a test")

    ends: dict[int, Any] = {}
    train_stacked([(config(1, True), tmp_path / "a"), (config(2, False), tmp_path / "b")], on_end=ends.__setitem__)
    alone = ct.train_config(config(1, True), out=tmp_path / "alone").trajectory
    assert [len(ends[index].trajectory.example_ids) for index in (0, 1)] == [40, 32]
    np.testing.assert_allclose(ends[0].trajectory.required("losses"), alone.required("losses"), atol=1e-4)


def test_it_is_part_of_the_identity_only_where_it_is_on_and_needs_validation_examples() -> None:
    content = {"model": {"name": "m"}, "task": {"annotated": {"path": "a.jsonl"}}}
    assert "tracking" not in identifying(check_config(content, "of a test"))
    on = {**content, "tracking": {"validation": True}}
    assert identifying(check_config(on, "of a test"))["tracking"] == {"validation": True}
    none = {**on, "task": {**content["task"], "validation_fraction": 0}}
    with pytest.raises(ConfigError) as refused:
        check_config(none, "of a test")
    assert "tracking.validation: true needs task.validation_fraction above 0" in str(refused.value)


def test_a_study_measures_what_trains(plain: RunResult, tracked: RunResult) -> None:
    one, both = (measure(run.run_id, run.trajectory) for run in (plain, tracked))
    assert both.example_ids.tolist() == one.example_ids.tolist()
    assert both.n_trained == 32
    np.testing.assert_allclose(both.change, one.change, atol=1e-5)
