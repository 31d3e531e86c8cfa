"""What any command owes the shell it is called from: version, pipes, encodings, ``~``, Ctrl-C, progress."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import contested
from contested.analysis.live import Alarm
from contested.cli import app, main, register
from contested.cli.console import path
from contested.cli.progress import progress_bar, study_board
from contested.cli.study import study
from contested.cli.study_outcome import exit_code, tell
from contested.config import load_config
from contested.runs import Progress
from contested.studies import JobStatus, StudyOutcome, StudyStart


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"contested {contested.__version__}\n"


@pytest.mark.parametrize("command", [["study", "plan", "paper"], ["study", "plan", "paper", "--json"], ["--help"]])
def test_a_reader_that_goes_away_is_no_failure(command: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "contested", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()  # as head does, before the first line is written
    process.stdout = None
    _, told = process.communicate(timeout=120)
    assert (process.returncode, told) == (0, "")


def _with_ascii(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "contested", *command],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )


def test_what_cannot_be_encoded_is_escaped(tmp_path: Path) -> None:
    done = _with_ascii("study", "plan", "paper")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Not run: " in done.stdout
    assert "\\u2013 did not converge" in done.stdout
    # On stderr too.
    done = _with_ascii("entropy", str(tmp_path / "Gefühl–1.csv"))
    assert done.returncode == 2
    assert "Gef\\xfchl\\u20131.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_escapes_leave_the_columns_of_a_table_aligned(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("uid,a,b\nx,9,1\ny,4,6\nz,1,0\n")
    done = _with_ascii("entropy", str(file), "--count-columns", "a,b")
    assert done.returncode == 0, done.stderr
    bands = [line for line in done.stdout.splitlines() if line.split()[:1] in (["clean"], ["ambiguous"], ["contested"])]
    # One band begins with "0 ≤" and "contested" has no upper bound: the escape is twice, once and once there.
    assert [band.count("\\u2264") for band in bands] == [1, 1, 1]
    assert len({len(band) for band in bands}) == 1
    assert len({band.index("%") for band in bands}) == 1


def test_json_stays_json_in_any_encoding(tmp_path: Path) -> None:
    rows = [{"uid": str(row), "labels": ["très", "–", "×", "×"][row % 3 :][:2]} for row in range(6)]
    file = tmp_path / "items.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ("entropy", str(file), "--label-names", "très,–,×", "--json")
    plain = subprocess.run([sys.executable, "-m", "contested", *command], capture_output=True, check=True)
    done = _with_ascii(*command)
    assert json.loads(done.stdout) == json.loads(plain.stdout)


def _callbacks() -> dict[str, Callable[..., Any]]:
    register()
    registered = [*app.registered_commands, *study.registered_commands]
    return {made.callback.__name__: made.callback for made in registered if made.callback is not None}


def test_home_is_found_in_every_path_of_every_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path("~/x") == tmp_path / "x"
    commands = _callbacks()
    taking = set()
    for command, callback in commands.items():
        for name, hint in typing.get_type_hints(callback, include_extras=True).items():
            if "Path" in str(getattr(hint, "__origin__", hint)):
                assert hint.__metadata__[0].parser is path, (command, name)
                taking.add(command)
    assert taking == set(commands)


def test_home_is_found_in_settings_and_study_files(
    fails: Callable[..., str], config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    there = str(tmp_path / "home" / "people.jsonl")
    settings = load_config(config, ["task.annotated.path=~/people.jsonl", "task.bulk.path=[~/bulk.jsonl]"])
    assert settings.task.annotated.path == there
    assert settings.task.bulk is not None
    assert settings.task.bulk.path == [str(tmp_path / "home" / "bulk.jsonl")]
    content = json.loads(config.read_text())
    content["task"]["annotated"]["path"] = "~/people.jsonl"
    config.write_text(json.dumps(content))
    assert load_config(config).task.annotated.path == there
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "mine.yaml").write_text("{extends: paper-calibration, name: mine}")
    told = fails("study", "run", "~/mine.yaml", "--set", "data.dir=~/data", "--out=~/out")
    assert f"no such file: {tmp_path / 'home' / 'data'}" in told
    assert f"{tmp_path / 'home' / 'none'} is not a study's folder" in fails("study", "status", "~/none")


@pytest.mark.parametrize("module", ["contested.cli", "contested.cli.entropy", "contested.annotations"])
def test_ctrl_c_while_it_starts_ends_quietly(module: str, tmp_path: Path) -> None:
    """At the import of the command line itself, of its commands, and of what a command needs."""
    (tmp_path / "a.csv").write_text("uid,label_counts\n")
    code = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from contested.__main__ import main\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "entropy", str(tmp_path / "a.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "contested: interrupted\n")


def test_training_tells_one_line_per_checkpoint_where_nobody_watches(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(config), "--out", str(tmp_path / "run")]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "is not watched" not in line]
    # 9 steps, a checkpoint every 4 and at the end; the one before the first step tells nothing.
    assert [line.split(",")[0] for line in lines] == [f"training: step {step} of 9" for step in (4, 8, 9)]
    assert all("loss " in line and "contested Δℓ" in line for line in lines)


def test_lines_of_a_run_begin_after_what_was_told_before_it_was_resumed() -> None:
    console = Console(file=io.StringIO(), width=40)
    with progress_bar(console) as show:
        # 100 was told before the run was interrupted.
        for step, checkpoint in ((101, 0), (102, 0), (150, 0), (150, 150), (151, 150), (199, 150)):
            show(Progress(step, 1200, 0.98765, -0.25, checkpoint), "demo-[full]")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "demo-[full]: step 150 of 1,200, loss 0.988, contested Δℓ −0.250\n"


def test_alarms_are_told_once_with_the_progress_of_a_run_and_of_a_study() -> None:
    alarm = Alarm("contested", 100, 0.2, 0.1, 300, 300, 0.05, "It rose.")
    shown = []
    for terminal in (False, True):
        console = Console(file=io.StringIO(), width=60, force_terminal=terminal, color_system=None)
        with progress_bar(console) as show:
            show(Progress(99, 1200, 1.0, None, 0, (), ("Too few.",)))
            for step in (100, 101):
                show(Progress(step, 1200, 1.0, 0.2, 100, (alarm,), ("Too few.",)))
        with study_board(console) as board:
            board({"a": JobStatus("running", 99, 1200, 0, 1.0)})
            for step in (100, 101):
                board({"a": JobStatus("running", step, 1200, 100, 1.0, 0.2, ("It rose.",))})
        assert isinstance(console.file, io.StringIO)
        lines = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", console.file.getvalue()).splitlines()
        shown.append([line for line in lines if "Warning" in line])
    assert shown == [["Warning: Too few.", "Warning: It rose.", "Warning: a: It rose."]] * 2


def test_notes_are_told_once_before_the_first_step_and_once_for_all_runs_of_a_study() -> None:
    console = Console(file=io.StringIO(), width=60)
    with progress_bar(console) as show:
        for step in (0, 1, 2):
            show(Progress(step, 1200, math.nan if step == 0 else 1.0, None, notes=("It takes [longer].",)))
    with study_board(console) as board:
        first, second = (JobStatus("running", step, 1200, notes=("It takes [longer].",)) for step in (0, 1))
        board({"a": first})
        board({"a": second, "b": first})
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "Note: It takes [longer].\nNote: a: It takes [longer].\n"


def test_a_study_tells_damaged_runs_from_failed_ones(capsys: pytest.CaptureFixture[str]) -> None:
    failed = {"a": "examples.parquet is missing.", "b": "The loss is not finite."}
    outcome = StudyOutcome(Path("mine"), ("c",), failed, (), (), ("a",), 0)
    tell(outcome, json=False)
    said = capsys.readouterr().out.splitlines()
    assert said[:5] == [
        "a is damaged, and was left as it is:",
        "  examples.parquet is missing.",
        "b failed:",
        "  The loss is not finite.",
        "1 of 3 runs complete, 1 failed, 1 damaged, 0 interrupted, 0 not started: mine",
    ]
    assert "--from-start" in said[5]
    assert said[6:] == ["Fix what failed; the same command then tries it again and skips what is complete."]
    tell(outcome._replace(failed={"a": failed["a"]}), json=False)
    assert "failed;" not in capsys.readouterr().out


@pytest.mark.parametrize(("timed", "advanced", "code"), [(True, False, 4), (True, True, 130), (False, False, 130)])
def test_a_time_that_was_too_short_is_told_from_an_interruption(timed: bool, advanced: bool, code: int) -> None:
    outcome = StudyOutcome(Path("mine"), (), {}, ("a",), ("b",), (), 0, advanced=advanced)
    assert exit_code(outcome, timed=timed) == code


def test_a_study_tells_checkpoints_and_ends_where_nobody_watches() -> None:
    console = Console(file=io.StringIO(), width=40)
    cells: Any = [None] * 4
    start = StudyStart("mine", cells, {}, cells[:3], {}, 2, "2 at once", ["a is slow"])
    a, b, c = JobStatus(), JobStatus(), JobStatus()
    statuses = {"a": a, "b": b, "c": c}
    with study_board(console) as show:
        show.start(start)
        show(statuses)
        statuses["a"] = JobStatus("running", 12, 20, 10, 1.5, 0.5)
        show(statuses)
        show(statuses)
        statuses["a"] = JobStatus("running", 20, 20, 10, 1.25, 0.5)
        show(statuses)
        statuses["a"] = JobStatus("complete", 20, 20, 20, 1.25, 0.75)
        statuses["b"] = JobStatus("failed", message="Traceback (most recent call last)\n  …\nValueError: no")
        statuses["c"] = JobStatus("skipped")
        show(statuses)
        show(statuses)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "2 runs in this folder belong to another version of the study; left alone.",
        "mine: 4 runs, 1 already complete, 3 to do, 2 at once",
        "Warning: a is slow.",
        "a: step 10 of 20, loss 1.500, contested Δℓ +0.500",
        "a: step 20 of 20, loss 1.250, contested Δℓ +0.750",
        "[2/4] a complete",
        "[3/4] b failed: ValueError: no",
        "[4/4] c done by another process",
    ]
