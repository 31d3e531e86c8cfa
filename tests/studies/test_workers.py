"""What the workers of a study are given, and what becomes of a study whose workers break: seen from the command."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from contested.cli import main
from contested.studies import local, plan, worker
from contested.studies.worker import HELD_ELSEWHERE
from contested.trajectories import Holder

# Python runs this at the start of a worker: a stand-in for the package that trains, which takes seconds to import.
# Instead of training, a run notes what it was given, or breaks.
FAULTS = """
import collections, functools, json, os, signal, sys, time, types
if "spawn_main" in " ".join(sys.orig_argv):
    Result = collections.namedtuple("Result", "path trained")

    def train(given, *, on_end, **_):
        faults = json.loads(os.environ["FAULTS"])
        for config, out in given:
            fault = faults.get(str(config.seed), "")
            once = out.parent / f"{config.seed}.died"
            if fault == "killed" or fault == "killed once" and not once.exists():
                once.parent.mkdir(parents=True, exist_ok=True)
                once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "takes long":
                time.sleep(4)
            if fault == "exits":
                os._exit(3)
            if fault == "raises":
                raise ZeroDivisionError("of a test")
        for index, (config, out) in enumerate(given):
            out.parent.mkdir(parents=True, exist_ok=True)
            execution = config.execution
            seen = {"device": execution.device, "threads": execution.threads, "omp": os.environ.get("OMP_NUM_THREADS")}
            (out.parent / f"{config.seed}.json").write_text(json.dumps({**seen, "beside": len(given)}))
            on_end(index, Result(out, True))

    @functools.cache
    def error(name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})

    runs = types.ModuleType("contested.runs")
    runs.train_stacked, runs.__getattr__ = train, error
    sys.modules["contested.runs"] = runs
"""


@pytest.fixture
def study(
    checkpoint: Callable[[str], Path], write_task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, Path]]:
    """Runs a study of two seeds on a machine that has what is said: the exit code, and the study's folder."""
    task = write_task(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FAULTS)
    monkeypatch.setattr(local, "_PROCESSES", multiprocessing.get_context("spawn"))  # only such a worker reads it
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    content = {
        "name": "tiny",
        "defaults": {"task": {"bulk": task["bulk"]}, "training": {"epochs": 1}},
        "axes": {
            "backbone": {"tiny": {"model": {"name": str(checkpoint("bert")), "max_length": 64}}},
            "method": {"lora": {"method": {"name": "lora", "r": 2}}},
            "dataset": {"made": {"task": {"annotated": task["annotated"]}}},
            "seed": [1, 2],
        },
        "groups": {"main": {"conditions": True, "where": {"seed": "*"}}},
    }

    def run(
        *more: str,
        slots: int = 1,
        on_gpu: bool = False,
        rate: float = 1e12,
        faults: dict[int, str] | None = None,
        **execution: Any,
    ) -> tuple[int, Path]:
        device = plan.Device("CPU of a test", rate, slots, 1e12, on_gpu=on_gpu)
        for module in (plan, local):  # wherever it is asked
            monkeypatch.setattr(module, "measure", lambda *_: device, raising=False)
        monkeypatch.setenv("FAULTS", json.dumps(faults or {}))
        content["defaults"]["execution"] = execution
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        out = tmp_path / "out"
        return main(["study", "run", str(tmp_path / "tiny.yaml"), "--out", str(out), *more]), out

    return run


def given(out: Path) -> list[dict[str, Any]]:
    return [json.loads((out / "runs" / f"{seed}.json").read_text()) for seed in (1, 2)]


def test_workers_take_the_gpus_in_turn(study: Callable[..., tuple[int, Path]]) -> None:
    _, out = study(slots=2, on_gpu=True)
    assert sorted(run["device"] for run in given(out)) == ["cuda:0", "cuda:1"]


def test_workers_share_the_cores_unless_the_configuration_says_otherwise(
    study: Callable[..., tuple[int, Path]],
) -> None:
    _, out = study("--jobs", "2", slots=6)
    # Six cores, two runs at once: three threads each, for torch and for what reads the environment.
    assert [(run["threads"], run["omp"]) for run in given(out)] == [(3, "3")] * 2
    _, out = study("--jobs", "2", slots=6, threads=1)
    assert [run["threads"] for run in given(out)] == [1, 1]


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        ("killed", "its process was killed (signal 9)"),
        ("exits", "its process ended with exit code 3"),
        ("raises", "ZeroDivisionError: of a test"),
    ],
)
def test_a_worker_that_breaks_fails_its_run_and_not_the_study(
    study: Callable[..., tuple[int, Path]], capsys: pytest.CaptureFixture[str], fault: str, wanted: str
) -> None:
    code, out = study("--jobs", "1", "--json", faults={1: fault})
    assert code == 1
    ((name, why),) = json.loads(capsys.readouterr().out)["failed"].items()
    assert "-s1-" in name
    assert wanted in why
    assert (out / "runs" / "2.json").exists()
    assert not (out / "runs" / "1.json").exists()
    # Whatever is not foreseen is shown in full.
    assert ("Traceback" in why) == (fault == "raises")


def test_a_run_whose_worker_was_killed_is_tried_again_once(
    study: Callable[..., tuple[int, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = study("--jobs", "1", "--json", faults={1: "killed once"})
    found = json.loads(capsys.readouterr().out)
    assert (code, found["complete"], found["failed"]) == (0, 2, {})
    assert (out / "runs" / "1.died").exists()


def test_nothing_starts_that_does_not_fit_and_the_rest_is_left(
    study: Callable[..., tuple[int, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    # At this rate a run takes days: it is taken while nine tenths of the worker's time (36 seconds) are left.
    code, out = study("--jobs", "1", "--json", "--until", str(time.time() + 40), faults={1: "takes long"}, rate=1.0)
    found = json.loads(capsys.readouterr().out)
    assert (code, found["complete"], len(found["waiting"])) == (130, 1, 1)
    assert (out / "runs" / "1.json").exists()


def test_what_others_hold_is_left_to_them(
    study: Callable[..., tuple[int, Path]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Holder("there", 1, datetime.now(UTC), 0.0, True, "slurm 1_0")
    monkeypatch.setattr(worker, "holder", lambda run: held if "-s2-" in run.name else None)
    code, out = study("--jobs", "1", "--until", str(time.time() + 3600))
    assert code == HELD_ELSEWHERE
    said = capsys.readouterr().out
    assert "1 of 2 runs complete, 0 failed, 0 interrupted, 0 not started, 1 with other workers: " in said
    assert "Other workers train the rest" in said
    assert not (out / "runs" / "2.json").exists()


def test_a_run_that_breaks_a_stack_is_found_and_fails_alone(
    study: Callable[..., tuple[int, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = study("--jobs", "1", "--json", faults={2: "raises"}, stack=2)
    assert code == 1
    ((name, why),) = json.loads(capsys.readouterr().out)["failed"].items()
    assert "-s2-" in name
    assert "ZeroDivisionError" in why
    assert json.loads((out / "runs" / "1.json").read_text())["beside"] == 1
