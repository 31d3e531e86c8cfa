"""Runs that train stacked leave what each would leave alone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
from safetensors.numpy import load_file

from contested.config import RunConfig, check_config
from contested.errors import ContestedError, TrainingError
from contested.runs import (
    DataCache,
    IncompatibleRunsError,
    Interrupted,
    Progress,
    RunLockedError,
    RunResult,
    stacked_runs,
    train_config,
    train_stacked,
)
from contested.training import stacked
from contested.trajectories import Trajectory, read_manifest


@pytest.fixture
def config(checkpoint: Callable[[str], Path], annotated: Any, bulk: Any, tmp_path: Path) -> Callable[..., RunConfig]:
    """Gives the configuration of a small run of files."""
    people = annotated.fields.assign(uid=annotated.example_ids, label_counts=annotated.label_counts.tolist())
    people.to_json(tmp_path / "people.jsonl", orient="records", lines=True)
    bulk.to_json(tmp_path / "bulk.jsonl", orient="records", lines=True)

    def make(
        seed: int, *, kind: str = "bert", method: Any = "lora", rate: float = 5e-3, epochs: int = 2, **more: Any
    ) -> RunConfig:
        options = {"label_names": list(annotated.label_names)}
        content = {
            "model": {"name": str(checkpoint(kind)), "max_length": 64},
            "method": method,
            "task": {
                "annotated": {"path": str(tmp_path / "people.jsonl"), "options": options},
                "bulk": {"path": str(tmp_path / "bulk.jsonl"), "size": 40},
                **more.pop("task", {}),
            },
            "training": {"learning_rate": rate, "epochs": epochs, "batch_size": 8},
            "tracking": {"every": 5},
            "execution": {"threads": 1},
            "seed": seed,
            **more,
        }
        return check_config(content, "of a test")

    return make


@pytest.fixture
def configs(config: Callable[..., RunConfig]) -> list[RunConfig]:
    """Runs of another seed, rank, rate, data, length and probes each: 18, 18 and 9 steps."""
    return [
        config(1, method={"r": 4}, probes={"gradient_norms": "end", "every": 6}),
        config(2, method={"r": 2}, rate=1e-3, task={"noise": {"share": 0.5}}),
        config(3, method={"r": 8, "dropout": 0.2}, epochs=1),
    ]


End = RunResult | ContestedError


def train_all(
    configs: list[RunConfig], out: Path, on_progress: Callable[[int, Progress], None] | None = None
) -> dict[int, End]:
    ends: dict[int, End] = {}
    runs = [(config, out / str(index)) for index, config in enumerate(configs)]
    train_stacked(runs, on_progress=on_progress, on_end=ends.__setitem__, cache=DataCache())
    return ends


def same(one: Path, other: Path) -> None:
    """Assert that two folders hold the same run, up to rounding."""
    files = [
        sorted(str(file.relative_to(run)) for file in run.rglob("*") if "/." not in str(file)) for run in (one, other)
    ]
    assert files[0] == files[1]
    manifests = [read_manifest(run) for run in (one, other)]
    assert list(manifests[0]) == list(manifests[1])
    for key in set(manifests[0]) - {"created_at", "finished_at", "lease", "files", "digest", "checks"}:
        assert manifests[0][key] == manifests[1][key], key
    # How near the saved weights are to what was recorded is rounding.
    assert manifests[0]["checks"]["engine"] == manifests[1]["checks"]["engine"]
    assert list(manifests[0]["files"]) == list(manifests[1]["files"])
    a, b = Trajectory.load(one), Trajectory.load(other)
    np.testing.assert_allclose(a.losses, b.losses, rtol=1e-4, atol=1e-5)
    assert list(a.metrics) == list(b.metrics)
    np.testing.assert_allclose(a.metrics["train_loss"], b.metrics["train_loss"], rtol=1e-4)
    assert a.metrics["val_accuracy"].tolist() == b.metrics["val_accuracy"].tolist()
    for file in one.glob("adapter/*.safetensors"):
        before, after = load_file(file), load_file(other / "adapter" / file.name)
        for name, weight in before.items():
            np.testing.assert_allclose(after[name], weight, rtol=1e-2, atol=1e-4, err_msg=name)


def test_runs_that_train_together_leave_what_each_leaves_alone(configs: list[RunConfig], tmp_path: Path) -> None:
    last: dict[int, Progress] = {}
    ends = train_all(configs, tmp_path / "stack", on_progress=last.__setitem__)
    for index, config in enumerate(configs):
        alone = train_config(config, out=tmp_path / "alone" / str(index))
        end = ends[index]
        assert isinstance(end, RunResult)
        assert end._replace(path=alone.path) == alone
        same(alone.path, end.path)
        assert (last[index].step, last[index].total_steps) == ((9, 9) if index == 2 else (18, 18))
        assert last[index].contested_change is not None


def test_what_is_complete_or_in_use_is_left_out(configs: list[RunConfig], tmp_path: Path) -> None:
    train_config(configs[0], out=tmp_path / "0")
    written = (tmp_path / "0" / "manifest.json").stat().st_mtime_ns
    (tmp_path / "1").mkdir()
    with filelock.FileLock(tmp_path / "1" / ".lock"):
        ends = train_all(configs, tmp_path)
    assert isinstance(ends[0], RunResult)
    assert not ends[0].trained
    assert (tmp_path / "0" / "manifest.json").stat().st_mtime_ns == written
    assert isinstance(ends[1], RunLockedError)
    assert isinstance(ends[2], RunResult)
    assert ends[2].trained
    # The run that is left over is trained as any single run.
    train_config(configs[2], out=tmp_path / "alone")
    for file in (tmp_path / "alone" / "checkpoints").iterdir():
        assert file.read_bytes() == (tmp_path / "2" / "checkpoints" / file.name).read_bytes()


def test_an_interrupted_stack_goes_on_where_it_was(configs: list[RunConfig], tmp_path: Path) -> None:
    def interrupt(index: int, progress: Progress) -> None:
        if index == 0 and progress.step == 12:
            os.kill(os.getpid(), signal.SIGINT)

    train_all(configs, tmp_path / "whole")
    ends = train_all(configs, tmp_path / "broken", on_progress=interrupt)
    assert isinstance(ends[0], Interrupted)
    assert isinstance(ends[1], Interrupted)
    assert isinstance(ends[2], RunResult)  # it had taken its 9 steps
    statuses = [read_manifest(tmp_path / "broken" / str(index))["status"] for index in range(3)]
    assert statuses == ["interrupted", "interrupted", "complete"]
    seen: list[int] = []
    train_config(configs[0], out=tmp_path / "broken" / "0", on_progress=lambda progress: seen.append(progress.step))
    assert list(dict.fromkeys(seen)) == list(range(13, 19))  # a checkpoint's step is told once more
    ends = train_all(configs, tmp_path / "broken")
    assert [end.trained for _, end in sorted(ends.items()) if isinstance(end, RunResult)] == [False, True, False]
    for index in range(3):
        same(tmp_path / "whole" / str(index), tmp_path / "broken" / str(index))


def test_a_run_that_fails_leaves_the_others_to_go_on(
    configs: list[RunConfig], config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    # At this rate the loss overflows.
    ends = train_all([configs[0], config(5, rate=1e30), configs[2]], tmp_path / "stack")
    assert isinstance(ends[1], TrainingError)
    failed = read_manifest(tmp_path / "stack" / "1")
    assert failed["status"] == "failed"
    assert failed["error"] == ends[1].message
    for index in (0, 2):
        same(train_config(configs[index], out=tmp_path / f"alone-{index}").path, tmp_path / "stack" / str(index))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_what_stops_all_runs_leaves_them_to_be_gone_on_with(
    configs: list[RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def fit(*unused: Any) -> None:
        raise stop

    monkeypatch.setattr(stacked_runs, "_fit_stacked", fit)
    with pytest.raises(stop):
        train_all(configs, tmp_path)
    assert {read_manifest(tmp_path / str(index))["status"] for index in range(3)} == {"interrupted"}
    monkeypatch.undo()
    assert isinstance(train_all(configs[:1], tmp_path)[0], RunResult)


def test_a_run_that_has_ended_stays_as_it_ended_where_the_others_are_stopped(
    configs: list[RunConfig], tmp_path: Path
) -> None:
    def stop(index: int, end: RunResult | ContestedError) -> None:
        raise KeyboardInterrupt

    runs = [(config, tmp_path / str(index)) for index, config in enumerate(configs[:2])]
    with pytest.raises(KeyboardInterrupt):
        train_stacked(runs, on_end=stop)
    assert [read_manifest(out)["status"] for _, out in runs] == ["complete", "interrupted"]


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([{"method": "full"}, {"method": "full"}], "neither LoRA's nor the head's"),
        ([{"kind": "deberta-v2"}, {"kind": "deberta-v2"}], "relative positions"),
        ([{}, {"method": {"target_modules": ["key"]}}], "is not the same in all models"),
    ],
)
def test_runs_that_do_not_fit_together_say_why(
    config: Callable[..., RunConfig], tmp_path: Path, others: list[dict[str, Any]], why: str
) -> None:
    runs = [config(seed, **options) for seed, options in enumerate(others)]
    with pytest.raises(IncompatibleRunsError, match=why):
        train_all(runs, tmp_path)
    for index, run in enumerate(runs):
        assert json.loads((tmp_path / str(index) / "manifest.json").read_text())["status"] == "interrupted"
        assert isinstance(train_all([run], tmp_path / f"alone-{index}")[0], RunResult)


def test_runs_that_would_not_be_what_they_are_alone_are_not_stacked(
    config: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = stacked._StackedLora.forward
    # Adapters begin as if they were not there, so that a stack without them is the same at step 0.
    monkeypatch.setattr(stacked._StackedLora, "forward", lambda self, rows: self._base(rows))
    with pytest.raises(IncompatibleRunsError, match="together their logits differ by up to"):
        train_all([config(1, epochs=1), config(2, epochs=1)], tmp_path)
    monkeypatch.setattr(stacked._StackedLora, "forward", original)
    assert isinstance(train_all([config(1, epochs=1), config(2, epochs=1)], tmp_path)[1], RunResult)


def test_stacked_runs_in_bfloat16_stay_near_each_alone(config: Callable[..., RunConfig], tmp_path: Path) -> None:
    training = {"learning_rate": 5e-3, "epochs": 1, "batch_size": 8, "precision": "bfloat16"}
    configs = [config(seed, method={"r": 2 * seed}, training=training) for seed in (1, 2)]
    ends = train_all(configs, tmp_path / "stack")
    for index, each in enumerate(configs):
        end = ends[index]
        assert isinstance(end, RunResult)
        alone = train_config(each, out=tmp_path / "alone" / str(index)).trajectory
        assert end.trajectory.steps.tolist() == alone.steps.tolist() == [0, 5, 9]
        # bf16 keeps 8 bits; nothing has trained at step 0, so that only the layout of the products differs.
        np.testing.assert_allclose(end.trajectory.losses[0], alone.losses[0], rtol=0.02, atol=0.02)
        np.testing.assert_allclose(end.trajectory.losses[-1].mean(), alone.losses[-1].mean(), rtol=0.02)
        assert np.abs(alone.losses[-1] - alone.losses[0]).mean() > 0.02
