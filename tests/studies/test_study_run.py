from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from contested.cli import main
from contested.studies import expand, open_study
from contested.studies.folder import StudyFolder
from contested.trajectories import Trajectory


@pytest.fixture(scope="module")
def study_file(checkpoint: Callable[[str], Path], write_task: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tiny runs: LoRA and full fine-tuning at two seeds."""
    tmp_path = tmp_path_factory.mktemp("study")
    task = write_task(tmp_path, size=60)
    study = {
        "name": "tiny",
        "defaults": {
            "task": {"bulk": task["bulk"]},
            "training": {"learning_rate": 5e-3, "epochs": 2, "batch_size": 8},
            "tracking": {"every": 5},
            "execution": {"threads": 1},
        },
        "axes": {
            "backbone": {"tiny": {"model": {"name": str(checkpoint("bert")), "max_length": 64}}},
            "method": {"lora": {"method": {"name": "lora", "r": 2}}, "full": {"method": {"name": "full"}}},
            "dataset": {"made": {"task": {"annotated": task["annotated"]}}},
            "seed": [1, 2],
        },
        "groups": {"main": {"conditions": True, "where": {"method": "*", "seed": "*"}}},
    }
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(study, sort_keys=False))
    return file


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def run(file: Path, out: Path, *more: str) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "contested", "study", "run", str(file), "--out", str(out), *more],
        capture_output=True,
        text=True,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def half(study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with the runs of seed 1 done."""
    out = tmp_path_factory.mktemp("half") / "out"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(["study", "run", str(study_file), "--out", str(out), "--jobs", "2", "--set", "seeds=[1]"]) == 0
    assert "2 of 2 runs complete, 0 failed" in said.getvalue()
    return out


@pytest.fixture
def started(half: Path, tmp_path: Path) -> Path:
    """A copy of the half-done study, which has taken in nothing of what a test does to it."""
    return Path(shutil.copytree(half, tmp_path / "out"))


def test_finished_runs_are_skipped_and_a_failed_one_does_not_stop_the_others(
    study_file: Path, started: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = {folder.name: (folder / "manifest.json").stat().st_mtime_ns for folder in (started / "runs").iterdir()}
    content = yaml.safe_load(study_file.read_text())
    # At this rate the loss overflows.
    content["overrides"] = [{"where": {"method": "full", "seed": 2}, "set": {"training": {"learning_rate": 1e30}}}]
    changed = study_file.with_name("changed.yaml")
    changed.write_text(yaml.safe_dump(content, sort_keys=False))
    assert main(["study", "run", str(changed), "--out", str(started), "--jobs", "1", "--json"]) == 1
    found = capsys.readouterr()
    assert "4 runs, 2 already complete, 2 to do" in found.err
    outcome = json.loads(found.out)
    assert outcome["complete"] == 3
    (failed,) = outcome["failed"].items()
    assert failed[0].startswith("tiny-full-made-s2-")
    assert "became" in failed[1] or "not finite" in failed[1]
    for name, stamp in written.items():
        assert (started / "runs" / name / "manifest.json").stat().st_mtime_ns == stamp
    states_now = StudyFolder(started, expand(open_study(started))).states
    assert sorted(state.status for state in states_now.values()) == ["complete"] * 3 + ["failed"]
    # Single runs and runs of a study are the same thing: the name is the folder's.
    complete = [name for name, state in states_now.items() if state.status == "complete"]
    assert {Trajectory.load(started / "runs" / name).run_id for name in complete} == set(complete)


def test_what_would_stop_every_run_is_said_before_the_first(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "moved.yaml"
    file.write_text(study_file.read_text())
    assert main(["study", "run", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "no such file" in (said := capsys.readouterr().err)
    assert "(4 runs, such as tiny-lora-made-s1-" in said
    assert not (tmp_path / "out" / "runs").exists()


def test_a_folder_with_another_configuration_is_refused(
    study_file: Path, started: Path, capsys: pytest.CaptureFixture[str], reseal: Any
) -> None:
    folder = next(path for path in (started / "runs").iterdir() if "lora" in path.name)
    identity = json.loads((folder / "manifest.json").read_text())["identity"]
    identity["config"]["training"]["epochs"] = 9
    reseal(folder, identity=identity)
    assert main(["study", "run", str(study_file), "--out", str(started), "--set", "seeds=[1]"]) == 1
    said = capsys.readouterr().out
    assert f"{folder.name} failed" in said
    assert "holds a run of another configuration" in said


def test_status_counts_and_never_needs_a_run(
    study_file: Path, started: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "status", str(study_file), "--out", str(started), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"complete": 2, "missing": 2}
    assert main(["study", "status", str(started)]) == 0
    assert "2 complete" in capsys.readouterr().out
    assert main(["study", "status", str(study_file.parent)]) == 2
    assert "has no study.yaml" in capsys.readouterr().err


def test_the_report_shows_the_analyses_that_the_study_asks_for(study_file: Path, started: Path) -> None:
    command = ["study", "run", str(study_file), "--out", str(started), "--set", "seeds=[1]"]
    assert main([*command, "--set", "analyses=[runs]"]) == 0
    for made in ("analyze", "report"):
        assert main([made, str(started), "--resamples", "50"]) == 0
        tables = {file.name for file in (started / "results" / "tables").glob("*.md")}
        assert tables == {"runs.md"}
    # The picture at the top of the page belongs to no section.
    assert {file.stem for file in (started / "results" / "figures").iterdir()} <= {"loss_change"}
    page = (started / "results" / "report.html").read_text()
    assert "Not selected by the study: groups, axes, matched, annotators, differences." in page
    assert main(command) == 0
    assert main(["analyze", str(started), "--resamples", "50"]) == 0
    assert (started / "results" / "tables" / "groups.md").exists()


def test_two_invocations_share_the_work(study_file: Path, started: Path) -> None:
    command = [sys.executable, "-m", "contested", "study", "run", str(study_file), "--out", str(started), "--jobs", "1"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    found = StudyFolder(started, expand(open_study(started))).states
    assert {state.status for state in found.values()} == {"complete"}


def results(out: Path) -> bytes:
    assert main(["analyze", str(out), "--resamples", "50"]) == 0
    return (out / "results" / "results.json").read_bytes()


def test_ctrl_c_saves_every_run_and_the_same_command_resumes(study_file: Path, started: Path) -> None:
    # Long enough that no machine is done before it is stopped.
    more = ["--jobs", "2", "--set", "defaults.training.epochs=40"]
    command = [sys.executable, "-m", "contested", "study", "run", str(study_file), "--out", str(started), *more]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=_default
    )
    _wait_for(lambda: len({state.parent for state in (started / "runs").glob("*/state/*")}) > 1)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "The same command resumes the study" in said[0]
    statuses = [state.status for state in StudyFolder(started, expand(open_study(started))).states.values()]
    assert "interrupted" in statuses
    assert "running" not in statuses


@pytest.mark.slow
def test_kill_9_three_times_ends_in_the_same_results(study_file: Path, tmp_path: Path) -> None:
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    found = run(study_file, alone, "--jobs", "2")
    assert found.code == 0, found
    rng = random.Random(0)
    command = [sys.executable, "-m", "contested", "study", "run", str(study_file), "--out", str(killed), "--jobs", "2"]
    for _ in range(3):
        before = len(list((killed / "runs").glob("*/checkpoints/*")))
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        # From start-up to mid-run: after so many checkpoints more, and a random moment.
        more = rng.randrange(0, 4)
        _wait_for(
            lambda before=before, more=more, process=process: (  # type: ignore[misc]
                len(list((killed / "runs").glob("*/checkpoints/*"))) >= before + more or process.poll() is not None
            )
        )
        time.sleep(rng.uniform(0, 0.5))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    found = run(study_file, killed, "--jobs", "2")
    assert found.code == 0, found
    assert results(killed) == results(alone)


def _wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def _default() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
