from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import contested as ct
from contested.cli import main
from contested.errors import DataError, RunError
from contested.runs import Interrupted, Progress, run_id, session

RECIPE: dict[str, Any] = {
    "training": {"learning_rate": 5e-3, "epochs": 2, "batch_size": 8},
    "tracking": {"every": 5},
    "execution": {"threads": 1},
}


@pytest.fixture
def task(annotated: Any, bulk: Any) -> Any:
    return ct.NLITask(annotated=annotated, bulk=bulk, bulk_size=40)


@pytest.fixture
def train(checkpoint: Callable[[str], Path], task: Any, tmp_path: Path) -> Callable[..., Any]:
    def run(kind: str = "bert", method: Any = None, *, out: str = "run", **options: Any) -> Any:
        method = ct.LoRA(r=2) if method is None else method
        return ct.train(
            str(checkpoint(kind)), method, task, out=tmp_path / out, **{"max_length": 60, **RECIPE, **options}
        )

    return run


@pytest.fixture
def config_file(checkpoint: Callable[[str], Path], write_task: Any, tmp_path: Path) -> Path:
    """The same small run as files: what the command line reads."""
    config = {
        "model": {"name": str(checkpoint("bert")), "max_length": 64},
        "method": {"name": "lora", "r": 2},
        "task": write_task(tmp_path, size=60),
        **RECIPE,
    }
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps(config))  # JSON is YAML
    return file


def state(run: Path) -> dict[str, Any]:
    """Everything a run leaves that must not depend on whether it was interrupted."""
    weights = next(run.glob("*/*model.safetensors"))
    shards = {file.name: file.read_bytes() for file in sorted((run / "checkpoints").iterdir())}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metrics = [{key: value for key, value in line.items() if "seconds" not in key} for line in lines]
    manifest = json.loads((run / "manifest.json").read_text())
    listed = {key: manifest[key] for key in ("run_id", "status", "checkpoints", "identity", "counts")}
    gradients = {file.name: file.read_bytes() for file in sorted((run / "gradients").glob("*"))}
    return {"weights": weights.read_bytes(), "shards": shards, "metrics": metrics, "gradients": gradients, **listed}


def test_a_run_folder_holds_what_the_contract_says(train: Callable[..., Any]) -> None:
    result = train()
    run = result.path
    manifest = json.loads((run / "manifest.json").read_text())
    assert (result.status, manifest["status"], result.trained) == ("complete", "complete", True)
    assert {"config", "provenance", "schema_version", "run_id", "label_names"} <= set(manifest)
    assert {"commit", "dirty"} == set(manifest["provenance"]["code"])
    assert manifest["planned_steps"] == manifest["checkpoints"][-1]["step"]
    assert not (run / "state").exists()
    # 32 tracked + 40 bulk = 72 examples: 9 steps per epoch, 18 in all; every 5 and epoch ends: 0 5 9 10 15 18.
    trajectory = result.trajectory
    assert trajectory.steps.tolist() == [0, 5, 9, 10, 15, 18]
    assert trajectory.logits.shape == (6, 32, 3)
    assert (trajectory.examples["split"] == "train").all()
    assert "genre" in trajectory.examples
    assert trajectory.metrics["step"].tolist() == trajectory.steps.tolist()
    named = [file.name for file in run.iterdir() if not file.name.startswith(".")]
    assert sorted(named) == ["adapter", "checkpoints", "examples.parquet", "manifest.json", "metrics.jsonl"]


def test_recorded_losses_follow_from_recorded_logits(train: Callable[..., Any]) -> None:
    trajectory = train().trajectory
    shifted = trajectory.logits - trajectory.logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    expected = -np.take_along_axis(log_p, trajectory.gold[None, :, None], -1)[..., 0]
    np.testing.assert_allclose(trajectory.losses, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "deberta-v2", "qwen2"])
@pytest.mark.parametrize("method", [ct.LoRA(r=2), ct.IA3(), ct.Full()], ids=["lora", "ia3", "full"])
def test_every_family_trains_tracks_and_reloads(
    train: Callable[..., Any], checkpoint: Callable[[str], Path], family: str, method: Any
) -> None:
    """The saved adapter or model, loaded with the public tools alone, gives the last recorded logits."""
    result = train(family, method, training={**RECIPE["training"], "epochs": 1})
    trajectory = result.trajectory
    folder = result.path / ("model" if method.name == "full" else "adapter")
    source = folder if method.name == "full" else checkpoint(family)
    torch.manual_seed(12345)  # a head that was not saved would come out of this
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=3)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model.config.pad_token_id = tokenizer.pad_token_id
    if method.name != "full":
        model = PeftModel.from_pretrained(model, folder)
    model.eval()
    decoder = family == "qwen2"
    for index in (0, 5, 31):
        premise, hypothesis = trajectory.examples.loc[index, ["premise", "hypothesis"]]
        text = (f"premise: {premise} hypothesis: {hypothesis}",) if decoder else (premise, hypothesis)
        with torch.no_grad():
            logits = model(**tokenizer(*text, return_tensors="pt")).logits[0].numpy()
        np.testing.assert_allclose(logits, trajectory.logits[-1, index], rtol=1e-4, atol=1e-4)
    assert not np.allclose(trajectory.logits[0], trajectory.logits[-1], atol=1e-4)


def test_a_peft_tuner_by_its_name_trains(train: Callable[..., Any]) -> None:
    result = train("bert", ct.PEFT(type="VERA", options={"r": 4}))
    assert "-vera-" in result.run_id
    assert result.trajectory.losses[-1].mean() != result.trajectory.losses[0].mean()


def test_the_same_command_again_does_nothing(train: Callable[..., Any]) -> None:
    first = train()
    before = state(first.path)
    again = train()
    assert not again.trained
    assert state(again.path) == before


def test_a_folder_with_another_run_is_refused_by_name_of_key(train: Callable[..., Any]) -> None:
    result = train()
    before = state(result.path)
    with pytest.raises(RunError, match=r"holds another run .*\n.*method\.r: the folder has 2, now given 8"):
        train(method=ct.LoRA(r=8))
    assert state(result.path) == before


def test_execution_is_no_part_of_a_runs_identity(train: Callable[..., Any]) -> None:
    train()
    assert not train(execution={"threads": 1, "tracking_batch_size": 3}).trained


def test_a_folder_with_other_things_is_refused(train: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("")
    with pytest.raises(RunError, match=r"is not empty and holds no run \(it has thesis\.tex\)"):
        train()


def test_a_link_to_nowhere_is_no_folder(train: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "gone")
    with pytest.raises(RunError, match=r"run is a link to .*gone, which does not exist\. Make that folder"):
        train()


def test_two_processes_do_not_share_a_folder(train: Callable[..., Any], tmp_path: Path) -> None:
    import filelock

    (tmp_path / "run").mkdir()
    with filelock.FileLock(tmp_path / "run" / ".lock"), pytest.raises(RunError, match="trained by another process"):
        train()


PROBES = {"gradient_norms": "every", "every": 3}  # at 0, 3, 6, …: few of them at checkpoints


def test_a_run_with_probes_is_the_same_run_with_gradients(train: Callable[..., Any]) -> None:
    plain, probed = train(out="plain"), train(out="probed", probes=PROBES)
    assert plain.trajectory.gradients is None
    before, after = state(plain.path), state(probed.path)
    assert (after["weights"], after["shards"]) == (before["weights"], before["shards"])
    found = probed.trajectory.gradients
    assert found.steps.tolist() == [0, 3, 6, 9, 12, 15, 18]
    assert found.norms.shape == (7, 32)
    assert (found.norms > 0).all()
    pairs = [("ambiguous", "clean"), ("contested", "clean"), ("contested", "ambiguous")]
    assert set(zip(found.alignment["group"], found.alignment["reference"], strict=True)) == set(pairs)
    assert found.alignment["cosine"].between(-1, 1).all()
    assert probed.trajectory.metrics["probe_seconds"].sum() > 0


def test_norms_at_every_probe_need_a_distance_between_probes(train: Callable[..., Any]) -> None:
    with pytest.raises(ct.ConfigError, match="probes: gradient_norms: every needs every, the steps between probes"):
        train(probes={"gradient_norms": "every"})


@pytest.mark.parametrize(
    ("family", "method", "mode"),
    [
        ("bert", ct.LoRA(r=2), "eval"),
        ("bert", ct.LoRA(r=2), "train"),
        ("bert", ct.Full(), "eval"),
        ("deberta-v2", ct.Full(), "eval"),
        ("roberta", ct.IA3(), "eval"),
        ("qwen2", ct.LoRA(r=2), "eval"),
        ("bert", ct.PEFT(type="PROMPT_TUNING", options={"num_virtual_tokens": 2}), "eval"),
    ],
    ids=lambda value: getattr(value, "label", value),
)
def test_a_finished_run_probed_afterwards_has_the_gradients_of_one_that_was_probed_at_its_end(
    train: Callable[..., Any], task: Any, family: str, method: Any, mode: Any
) -> None:
    short = {"training": {**RECIPE["training"], "epochs": 1}}
    kind = {"head": mode == "eval", "mode": mode}
    probed = train(family, method, out="probed", probes={"gradient_norms": "end", "every": 100, **kind}, **short)
    plain = train(family, method, out="plain", **short)
    before = state(plain.path)
    torch.manual_seed(1)
    drawn = torch.random.get_rng_state()
    result = ct.probe(plain.path, task=task, **kind)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert (result.run_id, result.step, result.added) == (plain.run_id, 9, ("norms", "alignment"))
    expected, found = probed.trajectory.gradients, result.trajectory.gradients
    assert (found.head, found.mode) == (expected.head, expected.mode) == (kind["head"], mode)
    assert (expected.steps.tolist(), found.steps.tolist()) == ([0, 9], [9])
    np.testing.assert_allclose(found.norms[-1], expected.norms[-1], rtol=1e-4, atol=1e-6)
    last = expected.alignment[expected.alignment["step"] == 9].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.alignment, last, rtol=1e-4, atol=1e-6)
    name = "gradients/step-00000009.parquet"
    assert pq.read_schema(plain.path / name).equals(pq.read_schema(probed.path / name), check_metadata=True)
    # Neither the run nor what it is taken for has changed.
    assert {**state(plain.path), "gradients": {}} == before
    assert not train(family, method, out="plain", **short).trained
    assert ct.probe(plain.path, task=task, **kind).added == ()


def test_a_probe_that_broke_off_is_finished(train: Callable[..., Any], task: Any) -> None:
    run = train().path
    assert ct.probe(run, task=task, alignment=False).added == ("norms",)
    (run / "gradients" / "alignment.jsonl").write_text('{"step": 18, "gro')
    assert ct.probe(run, task=task).added == ("alignment",)
    found = ct.Trajectory.load(run).gradients
    assert found.steps.tolist() == [18]
    assert len(found.alignment) == 3


def test_norms_join_the_alignment_that_a_run_took(train: Callable[..., Any], task: Any) -> None:
    run = train(probes={"every": 6}).path
    assert ct.probe(run, task=task).added == ("norms",)
    found = ct.Trajectory.load(run).gradients
    assert found.steps.tolist() == [0, 6, 12, 18]
    assert np.isnan(found.norms[:-1]).all()
    assert np.isfinite(found.norms[-1]).all()
    with pytest.raises(
        RunError, match="holds gradients with the head in mode eval, and these would be without the head"
    ):
        ct.probe(run, task=task, head=False)


def test_a_run_of_a_task_object_is_not_probed_without_it(train: Callable[..., Any], annotated: Any) -> None:
    run = train().path
    with pytest.raises(RunError, match=r"needs that object \(task=\)(.|\n)*data: the run has "):
        ct.probe(run, task=ct.NLITask(annotated=annotated))
    with pytest.raises(ct.ConfigError, match="given in memory, from Python"):
        ct.probe(run)
    assert not (run / "gradients").exists()


def test_a_run_that_is_held_is_not_probed(train: Callable[..., Any], task: Any) -> None:
    import filelock

    run = train().path
    with filelock.FileLock(run / ".lock"), pytest.raises(RunError, match=r"by another process\. Wait for it\.$"):
        ct.probe(run, task=task)


def contested_changes(run: Path) -> list[float]:
    """Mean Δℓ of the contested examples at each checkpoint but the first."""
    trajectory = ct.Trajectory.load(run)
    losses = trajectory.losses[:, trajectory.categories == "contested"]
    return [(later - losses[0]).mean() for later in losses[1:]]


def test_progress_tells_how_far_the_contested_examples_have_moved(train: Callable[..., Any]) -> None:
    told: list[float | None] = []

    def watch(progress: Progress) -> None:
        if not told or told[-1] != progress.contested_change:
            told.append(progress.contested_change)

    changes = contested_changes(train(on_progress=watch).path)
    assert told[0] is None  # before the second checkpoint
    assert len(told) >= 5  # checkpoints at 0 5 9 10 15 18; what is measured after the last step may be told or not
    assert told[1:] == pytest.approx(changes[: len(told) - 1], rel=1e-4, abs=1e-6)
    assert min(abs(one - other) for one, other in itertools.pairwise(changes)) > 1e-5


@pytest.mark.parametrize("probes", [{}, PROBES], ids=["plain", "probes"])
def test_ctrl_c_is_resumed_to_the_same_end(train: Callable[..., Any], probes: dict[str, Any]) -> None:
    whole = train(out="whole", probes=probes)

    def stop(progress: Progress) -> None:
        if progress.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train(on_progress=stop, probes=probes)
    run = whole.path.parent / "run"
    assert json.loads((run / "manifest.json").read_text())["status"] == "interrupted"
    assert ct.Trajectory.load(run).steps.tolist() == [0, 5]
    (change,) = contested_changes(run)
    seen: list[Progress] = []
    train(on_progress=seen.append, probes=probes)
    assert seen[0].step == 8
    assert seen[0].contested_change == pytest.approx(change, rel=1e-4, abs=1e-6)
    assert state(run) == state(whole.path)


def test_a_failed_run_says_so_and_keeps_its_record(train: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ct.TrainingError, match=r"became nan|not finite|became inf"):
        train(method=ct.Full(), training={**RECIPE["training"], "learning_rate": 1e38, "warmup_fraction": 0.5})
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "failed"
    assert "Lower the learning rate" in manifest["error"]
    assert ct.Trajectory.load(tmp_path / "run").steps[0] == 0


@pytest.mark.parametrize("method", [ct.LoRA(r=2), ct.Full()], ids=["lora", "full"])
def test_a_full_disk_while_the_model_is_saved_loses_nothing(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any
) -> None:
    """Files that end after 1,000 bytes stand for the full disk: the weights' own writer meets it."""
    import resource

    from contested import models

    save = models.save

    def on_a_full_disk(*given: Any) -> None:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            save(*given)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with monkeypatch.context() as patch:
        patch.setattr(models, "save", on_a_full_disk)
        with pytest.raises(RunError, match=r"Cannot save the trained model to .*File too large.* The trajectory is"):
            train(method=method)
    run = tmp_path / "run"
    assert ct.Trajectory.load(run).status == "failed"
    assert ct.Trajectory.load(run).steps[-1] == 18
    assert not list(run.glob("**/*.safetensors"))
    assert not [path.name for path in run.iterdir() if path.name.startswith((".adapter", ".model"))]
    # Made room: the same call takes no step again and saves.
    seen: list[Progress] = []
    assert train(method=method, on_progress=seen.append).status == "complete"
    assert not [progress for progress in seen if progress.step < 18]
    assert list(run.glob("*/*.safetensors"))


def test_run_ids_are_stable_readable_and_differ_by_seed(train: Callable[..., Any]) -> None:
    first, second = train(out="a"), train(out="b", seed=1)
    assert first.run_id.rsplit("-", 1)[0].endswith("lora-r2-s42")
    assert second.run_id.rsplit("-", 1)[0].endswith("lora-r2-s1")
    assert train(out="c").run_id == first.run_id
    assert run_id(ct.RunConfig.model_validate({**CONFIG, "name": "mine"}), {}) == "mine"


CONFIG = {"model": {"name": "m"}, "task": {"annotated": {"path": "a"}}}


def test_seeds_change_head_and_data_order_but_not_the_split(train: Callable[..., Any]) -> None:
    first, second = train(out="a").trajectory, train(out="b", seed=1).trajectory
    assert first.example_ids.tolist() == second.example_ids.tolist()
    assert not np.allclose(first.losses[0], second.losses[0])


OVERRIDES = ["training.epochs=12", "probes.gradient_norms=every", "probes.every=3"]


def spawn(config: Path, out: Path) -> subprocess.Popen[bytes]:
    code = "import sys; from contested.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", str(config), "--out", str(out), *OVERRIDES],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_kill_9_at_any_moment_is_resumed_to_the_same_bits(config_file: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(["train", str(config_file), "--out", str(whole), *OVERRIDES]) == 0
    delays = np.random.default_rng(0)
    kills = 0
    while kills < 1:
        process = spawn(config_file, killed)
        before = len(list((killed / "checkpoints").glob("*.parquet")))
        deadline = time.monotonic() + 120
        while len(list((killed / "checkpoints").glob("*.parquet"))) <= before + 1:
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(delays.uniform(0, 0.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        partial = ct.Trajectory.load(killed)  # readable as it lies there
        assert partial.status == "running"
        assert len(partial.steps) >= 1
    assert main(["train", str(config_file), "--out", str(killed), *OVERRIDES]) == 0
    assert state(killed) == state(whole)
    first, second = (load_file(run / "adapter" / "adapter_model.safetensors") for run in (killed, whole))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_text_longer_than_the_model_reads_is_refused_before_training(train: Callable[..., Any]) -> None:
    with pytest.raises(ct.ModelError, match=r"max_length is 65, but .* reads at most 64 tokens"):
        train(max_length=65)


def test_problems_of_all_files_are_reported_at_once(config_file: Path, tmp_path: Path) -> None:
    lines = (tmp_path / "people.jsonl").read_text().splitlines()
    broken = json.loads(lines[2])
    broken["label_counts"] = [-1, 50, 51]
    lines[2] = json.dumps(broken)
    (tmp_path / "people.jsonl").write_text("\n".join(lines) + "\n")
    with (tmp_path / "bulk.jsonl").open("a") as file:
        file.write('{"premise": "a dog", "hypothesis": "a cat", "label": "perhaps"}\n')
    with pytest.raises(DataError) as caught:
        ct.train_config(ct.load_config(config_file), out=tmp_path / "run")
    assert "line 3" in str(caught.value)
    assert "bulk.jsonl, line 101: unknown label 'perhaps'" in str(caught.value)
    assert not (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("device", "graphs", "captured"), [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)]
)
def test_steps_are_captured_on_cuda_unless_told_otherwise(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, device: str, *, graphs: bool, captured: bool
) -> None:
    monkeypatch.setattr(session.training, "CudaGraphs", lambda: "graphs")
    config = ct.load_config(config_file, [f"execution.graphs={str(graphs).lower()}"])
    found = session.capture_of(config, torch.device(device))
    assert found == ("graphs" if captured else None)
