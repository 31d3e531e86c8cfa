"""Two processes that train together record what one records."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

import contested as ct
from contested.annotations import Annotations

WORKER = Path(__file__).with_name("ddp_worker.py")


def run_together(jobs: list[dict[str, Any]], folder: Path, where: dict[str, str]) -> None:
    """Start the worker in two processes that meet, and wait for both."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    shared = {**os.environ, **where, "OMP_NUM_THREADS": "1"}
    started = []
    for rank in range(2):
        given = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        command = [sys.executable, str(WORKER), str(folder / "jobs.json")]
        started.append(subprocess.Popen(command, env={**shared, **given}, stderr=subprocess.PIPE, text=True))
    told = [process.communicate(timeout=180)[1] for process in started]
    assert started[0].returncode == 0, told[0]


@pytest.fixture(scope="module")
def job(checkpoint: Callable[[str], Path], annotated: Annotations) -> dict[str, Any]:
    texts = [list(annotated.fields[name]) for name in ("premise", "hypothesis")]
    encoded = AutoTokenizer.from_pretrained(checkpoint("bert"))(*texts)
    rows = {name: encoded[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    rows["labels"] = annotated.majority.tolist()
    # 29 tracked examples on two processes: one has 15, the other 14.
    tracked = {name: values[:29] for name, values in {**rows, "id": list(annotated.example_ids)}.items()}
    names = list(annotated.label_names)
    return {"model": str(checkpoint("bert")), "train": rows, "tracked": tracked, "label_names": names}


@pytest.fixture(scope="module")
def trained(
    job: dict[str, Any], meeting: Callable[[int], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the same two processes did, one training after the other: they are seconds in starting."""
    out = tmp_path_factory.mktemp("trained")
    for name in ("sharded", "two", "ended", "lost"):
        (out / name).mkdir()
    killed = {**job, "out": str(out / "two"), "ends": 6}
    resumed = {**job, "out": str(out / "two"), "resume": str(out / "two" / "trainer" / "checkpoint-3")}
    # Trained towards one class; unless all processes end where the first one's alarm is raised, one waits in vain.
    unlearned = {**job["train"], "labels": [1] * len(job["train"]["labels"])}
    stopped = {**job, "out": str(out / "ended"), "train": unlearned, "rate": 0.3, "options": {"stop": True}}
    lost = {**job, "out": str(out / "lost"), "ends": 8, "lost": True}
    jobs = [{**job, "out": str(out / "sharded"), "sharded": True}, killed, resumed, stopped, lost]
    run_together(jobs, out, meeting(2))
    return out


def test_two_processes_record_what_one_records_also_resumed_and_a_lost_one_is_told(
    job: dict[str, Any], trained: Path, tmp_path: Path
) -> None:
    two, ended, lost = (trained / name for name in ("two", "ended", "lost"))
    runpy.run_path(str(WORKER))["train"]({**job, "out": str(tmp_path)})
    assert (two / "error-1.txt").read_text() == "RuntimeError: killed"
    alone, together = ct.Trajectory.load(tmp_path / "run"), ct.Trajectory.load(two / "run")
    assert (together.status, together.steps.tolist()) == ("complete", [0, 4, 8, 10])
    assert list(together.example_ids) == list(alone.example_ids) == job["tracked"]["id"]
    np.testing.assert_allclose(together.required("logits"), alone.required("logits"), atol=1e-6, rtol=1e-6)
    assert np.abs(alone.required("logits")[-1] - alone.required("logits")[0]).max() > 0.05
    assert sorted(file.name for file in ended.glob("error*")) == []
    assert ct.Trajectory.load(ended / "run").steps.tolist() == [0, 4]
    # The lost process had no share in the pass at step 8; what was recorded before is there.
    assert "RunError: Process 0 of 2 (counted from 0) waited in vain" in (lost / "error-0.txt").read_text()
    rest = ct.Trajectory.load(lost / "run")
    assert (rest.status, rest.steps.tolist()) == ("running", [0, 4])


def test_processes_that_share_the_weights_record_what_one_records(
    job: dict[str, Any], trained: Path, tmp_path: Path
) -> None:
    runpy.run_path(str(WORKER))["train_sharded"]({**job, "out": str(tmp_path)})
    assert "attach it" in (trained / "sharded" / "refused-1.txt").read_text()
    alone, together = ct.Trajectory.load(tmp_path / "run"), ct.Trajectory.load(trained / "sharded" / "run")
    assert (together.status, together.steps.tolist()) == ("complete", [0, 1, 2, 3])
    np.testing.assert_allclose(together.required("logits"), alone.required("logits"), atol=2e-6, rtol=1e-6)
    assert np.abs(alone.required("logits")[-1] - alone.required("logits")[0]).max() > 0.01
