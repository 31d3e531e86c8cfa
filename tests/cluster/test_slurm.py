"""A study on a real SLURM: a worker preempted, all past their time, one killed, one lost with what watched over it.

make slurm-test
"""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contested.studies import expand, open_study
from contested.studies.folder import StudyFolder
from contested.trajectories import holder

pytestmark = pytest.mark.cluster

LOOPBACK = runpy.run_path(str(Path(__file__).with_name("loopback.py")), run_name="loopback")
MISSING = LOOPBACK["missing"]()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cluster of three nodes on loopback, for which SLURM's commands speak meanwhile."""
    folder = tmp_path / "slurm"
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    try:
        LOOPBACK["start"](folder)
        yield folder
    finally:
        LOOPBACK["stop"](folder)


@pytest.fixture
def study_file(write_study: Callable[..., Path]) -> Path:
    return write_study("twelve", epochs=3, seeds=[42, 123])


def limit() -> str:
    """The time of a worker: a minute, which is not enough for the study; more where a worker takes long to begin."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import contested.runs"], check=True)
    # Within a minute a worker and the process that trains each load this, and ten seconds or more are left for the end.
    return "1m" if (took := time.monotonic() - began) < 10 else f"{1 + int(took / 10)}m"


def until(true: Callable[[], Any], seconds: float = 900) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, subprocess.run(["squeue"], capture_output=True, text=True).stdout
        time.sleep(0.2)
    return found


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (Debian: slurm-wlm, munge)")
def test_a_study_completes_by_itself_whatever_becomes_of_its_workers(
    slurm: Path,
    study_file: Path,
    tmp_path: Path,
    contested: Callable[..., str],
    begin_alone: Callable[[Path], Callable[[Path], None]],
) -> None:
    out = tmp_path / "a study"  # as a folder may be called
    said = contested(
        "study", "submit", str(study_file), "--out", str(out), "--to", "slurm", "--workers", "3", "--time", limit()
    )
    job = re.findall(r"SLURM job (\d+)", said)[0]
    cells = expand(open_study(out))

    def training() -> dict[int, Path]:
        """Processes that train a run now, of which a checkpoint is recorded."""
        runs = [run for run in (out / "runs").glob("*") if list(run.glob("checkpoints/*"))]
        return {held.pid: run for run in runs if (held := holder(run)) is not None and held.alive}

    def log() -> str:
        return "".join(file.read_text() for file in sorted((out / "submit").glob("*.log")))

    # Preempted: SLURM queues the task again, whatever it does.
    until(lambda: len(training()) >= 2)
    subprocess.run(["scontrol", "requeue", f"{job}_1"], check=True)
    # Killed: what trains, as by a lack of memory.
    until(lambda: "interrupted" in log())
    killed = next(iter(until(training)))
    os.kill(killed, signal.SIGKILL)
    # Lost: what watches over a task for SLURM, with the worker and the script.
    lost = next(iter(until(lambda: training().keys() - {killed})))
    step = _step_of(lost)
    for process in (*step, lost):
        os.kill(process, signal.SIGKILL)
    # SLURM queues again after seconds, and hears of the lost task as its time ends: a core has time for another study.
    assert_same_as_alone = begin_alone(study_file)
    # Past its time: the others are warned ten seconds or more before its end.
    until(lambda: all(state.status == "complete" for state in StudyFolder(out, cells).states.values()))
    saved = re.findall(r"\] \S+ interrupted$", log(), re.MULTILINE)
    assert len(saved) > 1, "the study was complete before the time of its workers ended: only the preempted one saved"
    assert_same_as_alone(out)
    # Workers that were queued again have nothing left to do.
    until(lambda: not _tasks(job))
    assert "(attempt" not in log()


def _tasks(job: str) -> list[str]:
    return subprocess.run(
        ["squeue", "--noheader", f"--job={job}"], capture_output=True, text=True, check=False
    ).stdout.splitlines()


def _step_of(process: int) -> list[int]:
    """The processes above a worker's, up to slurmstepd."""
    found: list[int] = []
    while "slurmstepd" not in _command(process):
        process = _parent(process)
        assert process > 1
        found.append(process)
    return found[::-1]


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def _command(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
