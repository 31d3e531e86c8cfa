"""What a new user gets wrong: one clear text, no traceback, the right exit code, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contested.cli import main
from contested.studies import backbone
from contested.trajectories import Trajectory


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("training.learningrate=1e-3", "training.learningrate: unknown key; did you mean 'learning_rate'?"),
        ("task.annotated.path=nowhere.jsonl", "no such file: "),
        ("model.name=no-such-model", "Cannot load the backbone 'no-such-model'"),
        ("execution.device=cuda:7", "not available on this machine"),
        ("execution.device=gpu", "expected auto, cpu, cuda, cuda:N or mps"),
        ("method.r=0", "method.r: input should be greater than or equal to 1, got 0"),
        ("method.target_modules=[q_proj]", "'q_proj' does not exist in 'bert'"),
        ("model.max_length=999", "max_length is 999"),
        ("task.text_columns=[text]", "no column text"),
        ("task.text_columns=[claim]", ". Name the columns of the text as task.text_columns"),
        ("task.bulk.size=5000", "5000 bulk examples were requested, but there are 100"),
        ("seed", "expected key=value"),
    ],
)
def test_wrong_settings(fails: Callable[..., str], config: Path, tmp_path: Path, override: str, wanted: str) -> None:
    assert wanted in fails("train", config, override, "--out", tmp_path / "run")
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_no_configuration_and_no_such_command(fails: Callable[..., str], tmp_path: Path) -> None:
    assert "Cannot read the configuration" in fails("train", tmp_path / "none.yaml", "--out", tmp_path / "run")
    assert "No such command 'trian'" in fails("trian")
    assert "Missing argument" in fails("train")


def test_a_wrong_column_and_wrong_rows_in_the_annotated_file(fails: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uid,text,votes\n1,hello,3\n")
    assert "a.csv" in fails("entropy", tmp_path / "a.csv")
    (tmp_path / "b.jsonl").write_text(
        '{"uid": "1", "label_counts": [1, 2]}\n{"uid": "1", "label_counts": [-1, 2]}\n{"uid": "3"\n'
    )
    text = fails("entropy", tmp_path / "b.jsonl")
    assert "line 3" in text
    assert "does not exist (did you mean 'b.jsonl'?)" in fails("entropy", tmp_path / "c.jsonl")


def test_a_folder_that_is_no_run(fails: Callable[..., str], config: Path, tmp_path: Path) -> None:
    for command in ("analyze", "report"):
        assert "run" in fails(command, tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    assert "is not empty and holds no run (it has thesis.tex)" in fails("train", config, "--out", tmp_path / "full")
    assert "is a file; --out must be a folder" in fails("train", config, "--out", config)
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_another_run_in_the_folder(fails: Callable[..., str], config: Path, tmp_path: Path, capsys: Any) -> None:
    run = tmp_path / "run"
    assert main(["train", str(config), "--out", str(run)]) == 0
    assert "contested report" in capsys.readouterr().out
    before = (run / "manifest.json").read_bytes()
    text = fails("train", config, "method.r=8", "seed=1", "--out", run)
    assert "method.r: the folder has 4, now given 8" in text
    assert "seed: the folder has 42, now given 1" in text
    assert (run / "manifest.json").read_bytes() == before
    assert main(["train", str(config), "--out", str(run)]) == 0
    assert "was already complete" in capsys.readouterr().out


def test_ctrl_c_saves_the_state_and_says_how_to_resume(fails: Callable[..., str], config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = threading.Event()

    def interrupt() -> None:
        # A daemon, and not for ever: where the file never comes, the test fails instead of hanging.
        end = time.monotonic() + 120
        while not done.wait(0.01) and time.monotonic() < end:
            if (run / "checkpoints" / "step-00000004.parquet").exists():
                break
        if not done.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        text = fails("train", config, "training.epochs=400", "--out", run, code=130)
    finally:
        done.set()
    assert "the same command resumes from there" in text
    assert Trajectory.load(run).status == "interrupted"
    assert list((run / "state").glob("step-*.pt"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(fails: Callable[..., str], config: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    assert "Permission denied. Choose another --out" in fails("train", config, "--out", tmp_path / "locked" / "run")


def test_a_failed_run_ends_in_1(fails: Callable[..., str], config: Path, tmp_path: Path) -> None:
    overrides = ["method=full", "training.learning_rate=1e38", "training.warmup_fraction=0.5"]
    text = fails("train", config, *overrides, "--out", tmp_path / "run", code=1)
    assert "Everything recorded before is intact. Lower the learning rate" in text
    assert Trajectory.load(tmp_path / "run").status == "failed"


def test_a_full_disk_ends_a_run_in_1(
    fails: Callable[..., str], config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = pq.write_table

    def full(table: Any, file: Path, **options: Any) -> None:
        if "step-00000004" in Path(file).name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(table, file, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        text = fails("train", config, "--out", tmp_path / "run", code=1)
    assert "No space left on device. Everything recorded so far is intact; make room" in text
    assert Trajectory.load(tmp_path / "run").steps.tolist() == [0]
    assert main(["train", str(config), "--out", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 1), (errno.EIO, 1), (errno.EACCES, 2), (errno.EROFS, 2)])
def test_a_place_that_cannot_take_a_study_is_bad_input_and_a_full_disk_is_not(
    number: int, code: int, fails: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(study: Any, out: Path) -> None:
        raise OSError(number, os.strerror(number), str(out))

    monkeypatch.setattr("contested.studies.mini_world.make_parts", refused)
    said = fails("study", "run", "paper", "--scale", "mini", "--out", tmp_path / "mini", code=code)
    assert f"Cannot write to {tmp_path / 'mini'}: {os.strerror(number)}" in said


def test_what_the_system_refuses_is_one_line(
    fails: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path / "examples.parquet"))

    monkeypatch.setattr(Trajectory, "load", refused)
    (tmp_path / "manifest.json").write_text("{}")
    said = fails("report", tmp_path, code=1)
    assert said == (
        f"contested: the system refused to read or write (Input/output error: {tmp_path / 'examples.parquet'}). "
        "Mend that, then repeat the command.\n"
    )


def test_a_run_without_a_second_checkpoint_says_what_is_absent(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], reseal: Callable[..., dict[str, Any]]
) -> None:
    run = tmp_path / "run"
    assert main(["train", str(config), "--out", str(run)]) == 0
    capsys.readouterr()
    reseal(run, checkpoints=json.loads((run / "manifest.json").read_text())["checkpoints"][:1])
    assert main(["analyze", str(run)]) == 0
    assert "The run has no second checkpoint, so these are not computed" in capsys.readouterr().out


def test_training_without_the_train_extra_names_the_install_command(config: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from contested.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", str(config), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Training needs the package torch" in done.stderr
    assert "pip install 'contested[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_precision_that_is_slow_here_is_told_and_used(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backbone, "computes_bfloat16", lambda: False)
    command = [
        "train",
        str(config),
        "execution.device=cpu",
        "training.precision=bfloat16",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(command) == 0
    assert "Warning: training.precision is bfloat16, for which this CPU has no instructions" in capsys.readouterr().err
