"""Folders of earlier versions are resumed where their content says they are this run, and recorded tasks are true."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import contested as ct
from contested.config import RunConfig, check_config, identified
from contested.errors import RunError
from contested.runs import Interrupted, train_config


@pytest.fixture
def config(checkpoint: Callable[[str], Path], write_task: Any, tmp_path: Path) -> Callable[..., RunConfig]:
    """Gives the configuration of a small run of files."""
    task = write_task(tmp_path, absolute=True)

    def make(**changes: Any) -> RunConfig:
        content = {
            "model": {"name": str(checkpoint("bert")), "max_length": 64},
            "task": task,
            "training": {"learning_rate": 5e-3, "epochs": 1, "batch_size": 8},
            "tracking": {"every": 3},
            "execution": {"threads": 1},
            **changes,
        }
        return check_config(content, "of a test")

    return make


def age(run: Path, **task: Any) -> dict[str, Any]:
    """Write a run's manifest as version 1 did: every option, no version, and the words of its time."""
    file = run / "manifest.json"
    manifest = json.loads(file.read_text())
    config = check_config(manifest["config"], "of a test")
    full = identified(config)
    for section in (full["task"]["annotated"], full["task"]["bulk"]):
        section.pop("in_memory")
    full["task"] |= task
    manifest["identity"] = {
        "config": full,
        "data": manifest["identity"]["data"],
        "model": manifest["identity"]["model"],
    }
    manifest["schema_version"] = 1
    for key in ("files", "digest"):
        manifest.pop(key, None)
    manifest["run_id"] = "bert-lora-r4-s42-0ld1d000"
    if manifest["status"] == "interrupted":
        manifest["status"] = "cancelled"
    file.write_text(json.dumps(manifest))
    return manifest


def test_a_complete_run_of_version_1_is_this_run(config: Callable[..., RunConfig], tmp_path: Path) -> None:
    run = tmp_path / "run"
    made = train_config(config(), out=run)
    assert json.loads((run / "manifest.json").read_text())["identity"]["version"] == 2
    age(run)
    again = train_config(config(), out=run)
    assert (made.trained, again.trained) == (True, False)
    assert again.run_id == "bert-lora-r4-s42-0ld1d000"
    with pytest.raises(RunError) as refused:
        train_config(config(seed=3, method="ia3"), out=run)
    assert refused.value.problems == (
        "method: the folder has 'lora', now given 'ia3'",
        "seed: the folder has 42, now given 3",
    )


def test_an_interrupted_run_of_version_1_is_resumed_under_its_id(
    config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    import os
    import signal

    def stop(progress: Any) -> None:
        if progress.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        train_config(config(), out=run, on_progress=stop)
    assert age(run)["status"] == "cancelled"
    seen: list[int] = []
    result = train_config(config(), out=run, on_progress=lambda progress: seen.append(progress.step))
    assert seen[0] == 5
    assert result.run_id == "bert-lora-r4-s42-0ld1d000"
    whole = train_config(config(), out=tmp_path / "whole").trajectory
    assert result.trajectory.losses.tolist() == whole.losses.tolist()


def test_a_task_object_of_version_1_is_known_by_its_data(
    checkpoint: Callable[[str], Path], annotated: Any, bulk: Any, tmp_path: Path
) -> None:
    """Version 1 wrote defaults over the options of a task that it was given: the fingerprint decides."""

    def train(**options: Any) -> Any:
        task = ct.NLITask(annotated, bulk, bulk_size=30, **options)
        return ct.train(
            str(checkpoint("bert")),
            ct.LoRA(r=2),
            task,
            out=tmp_path / "run",
            max_length=60,
            training={"epochs": 1, "batch_size": 16, "learning_rate": 5e-3},
            execution={"threads": 1},
        )

    noisy = {"noise": {"share": 0.5}, "validation_fraction": 0.3}
    train(**noisy)
    plain = {"noise": None, "validation_fraction": 0.2, "bulk": None, "categories": "fixed", "class_weights": True}
    age(tmp_path / "run", annotated={"path": "made"}, **plain)
    assert not train(**noisy).trained
    with pytest.raises(RunError, match="data: the folder has"):
        train(**noisy, split_seed=1)
    with pytest.raises(RunError, match=r"task\.class_weights: the folder has True, now given False"):
        train(**noisy, class_weights=False)


def test_a_folder_whose_configuration_nobody_knows_is_refused(config: Callable[..., RunConfig], tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_config(config(), out=run)
    manifest = age(run)
    manifest["identity"]["config"]["of_the_future"] = 1
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="of_the_future: the folder has 1, now given None"):
        train_config(config(), out=run)
