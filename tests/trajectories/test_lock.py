from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contested.trajectories import RunLockedError, locked


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
