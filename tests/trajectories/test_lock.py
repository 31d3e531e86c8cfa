from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contested.errors import RunError
from contested.trajectories import RunLockedError, RunWriter, locked
from contested.trajectories.lock import check_lock, is_held


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(RunLockedError, match=r"by another process\. Wait for it, or choose")
    with locked(tmp_path), refused, locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_the_lock_goes_with_its_process_however_it_ends(tmp_path: Path) -> None:
    code = (
        "import os, pathlib; from contested.trajectories import locked; "
        f"locked(pathlib.Path({str(tmp_path)!r})).__enter__(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert (tmp_path / ".lock").exists()
    with locked(tmp_path, instead=""):
        pass


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that keeps no locks: whoever asks for one gets it."""
    monkeypatch.setattr("fcntl.flock", lambda handle, operation: None)


BLIND = """
import fcntl, os, pathlib, sys
fcntl.flock = lambda handle, operation: None
from contested.trajectories.lock import is_held, locked
run = pathlib.Path(sys.argv[1])
"""


def elsewhere(run: Path, what: str) -> int:
    """Do something in another process, which sees no locks either; gives its id."""
    process = subprocess.Popen([sys.executable, "-c", f"{BLIND}{what}", str(run)])
    assert process.wait(60) == 0
    return process.pid


def test_who_finds_that_another_one_took_the_run_stops(blind: None, tmp_path: Path) -> None:
    with locked(tmp_path):
        check_lock(tmp_path)
        other = elsewhere(tmp_path, "held = locked(run); held.__enter__(); os._exit(0)")
        with pytest.raises(RunError, match=f"Another process took .* process {other} on .*keeps no locks"):
            check_lock(tmp_path)
    # The name of the other one stays: it may still be at work.
    assert f" {other} " in (tmp_path / ".owner").read_text()
    with locked(tmp_path):
        check_lock(tmp_path)
    assert not (tmp_path / ".owner").exists()


def test_who_only_asks_whether_a_run_is_held_takes_it_from_nobody(blind: None, tmp_path: Path) -> None:
    with locked(tmp_path):
        elsewhere(tmp_path, "is_held(run)")
        elsewhere(tmp_path, "held = locked(run, signed=False); held.__enter__(); os._exit(0)")
        check_lock(tmp_path)


def test_a_run_that_another_process_took_is_neither_begun_nor_resumed_nor_reopened(blind: None, tmp_path: Path) -> None:
    run = tmp_path / "run"
    examples = pd.DataFrame({"row_key": [0, 1], "example_id": ["a", "b"], "split": ["train", "train"]})
    made = RunWriter.create(run, header={"run_id": "made"}, examples=examples, text_columns=[])
    made.write_checkpoint(step=0, epoch=0.0, losses=np.array([0.5, 0.7]), logits=None)
    made.list_checkpoint(step=0, epoch=0.0)
    with locked(run):
        elsewhere(run, "held = locked(run); held.__enter__(); os._exit(0)")
        before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
        for take in (
            lambda: RunWriter.create(run, header={"run_id": "made"}, examples=examples, text_columns=[]),
            lambda: RunWriter.resume(run, step=0),
            lambda: RunWriter.reopen(run),
        ):
            with pytest.raises(RunError, match="Another process took"):
                take()
        assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("gone", [".lock", ".owner"])
def test_a_lock_that_was_removed_stops_its_owner(gone: str, tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / gone).unlink()
        with pytest.raises(RunError, match="was removed or replaced"):
            check_lock(tmp_path)
    assert not is_held(tmp_path)
