"""A study on a real Ray: a cluster of two nodes on this machine, of which one is lost with all that runs on it.

make ray-test
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from contested.studies import expand, open_study
from contested.studies.folder import StudyFolder
from contested.trajectories import holder

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="not installed: ray"),
]


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster whose head and other node have two cores each."""
    # Who comes from elsewhere needs no token.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        yield cluster, cluster.add_node(num_cpus=2)
    finally:
        cluster.shutdown()


@pytest.fixture
def study_file(write_study: Callable[..., Path]) -> Path:
    return write_study("six", epochs=4, seeds=[42])


def submit(out: Path, file: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    """``study submit --to ray``, which has a process group of its own as in a shell."""
    return subprocess.Popen(
        [sys.executable, "-m", "contested", "study", "submit", str(file), "--out", str(out), "--to", "ray", *options],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def until(true: Callable[[], Any], submitted: subprocess.Popen[str], seconds: float = 200) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert submitted.poll() is None, submitted.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def training(out: Path) -> dict[int, Path]:
    """Processes that train a run now, of which a checkpoint is recorded."""
    runs = [run for run in (out / "runs").glob("*") if list(run.glob("checkpoints/*"))]
    return {held.pid: run for run in runs if (held := holder(run)) is not None and held.pid}


def lose(cluster: Any, node: Any) -> None:
    """Take a node away as a power failure does: all its processes at once."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in [raylet, *raylet.children(recursive=True)]:
        process.kill()
    cluster.remove_node(node, allow_graceful=False)


def test_a_study_completes_though_a_node_is_lost_with_its_worker(
    nodes: Any, study_file: Path, tmp_path: Path, begin_alone: Callable[[Path], Callable[[Path], None]]
) -> None:
    (cluster, node), out = nodes, tmp_path / "out"
    submitted = submit(out, study_file, "--address", cluster.address, "--workers", "2")
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)

    def on_node() -> list[Path]:
        there = {process.pid for process in raylet.children(recursive=True)}
        return [run for pid, run in training(out).items() if pid in there]

    (lost,) = until(on_node, submitted)
    lose(cluster, node)
    assert_same_as_alone = begin_alone(study_file)
    said = submitted.communicate(timeout=240)[0]
    assert submitted.returncode == 0, said
    assert "6 of 6 runs complete, 0 failed, 0 interrupted, 0 not started" in said
    assert "by 2 workers on Ray with 1 core each" in said
    assert re.search(r"Warning: Worker \d on Ray was lost and has begun again", said), said
    assert f"{lost.name} complete" in said

    assert_same_as_alone(out)


def test_ctrl_c_saves_what_is_trained_on_a_cluster_of_ones_own(study_file: Path, tmp_path: Path) -> None:
    out, deep = tmp_path / "out", tmp_path / ("long" * 20)
    deep.mkdir()
    # Sockets have no place in such a folder.
    submitted = submit(out, study_file, "--workers", "1", RAY_TMPDIR=str(deep))
    until(lambda: training(out), submitted)
    os.killpg(submitted.pid, signal.SIGINT)
    said = submitted.communicate(timeout=60)[0]
    assert submitted.returncode == 130, said
    assert "0 of 6 runs complete, 0 failed, 1 interrupted, 5 not started" in said
    assert not training(out)
    cells = expand(open_study(out))
    stopped = [state for state in StudyFolder(out, cells).states.values() if state.status == "interrupted"]
    assert len(stopped) == 1


def test_a_run_that_is_lost_with_its_worker_again_has_failed(study_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    one = ["--set", "axes.method=[full]", "--set", "axes.training.learning_rate=[0.001]"]
    submitted = submit(out, study_file, "--workers", "1", *one)
    killed: set[int] = set()

    def trains() -> int | None:
        """The process that trains the run, as soon as it has taken it: no checkpoint is recorded in between."""
        holders = [holder(run) for run in (out / "runs").glob("*")]
        return next((held.pid for held in holders if held is not None and held.pid and held.pid not in killed), None)

    for _ in range(2):
        process = until(trains, submitted)
        psutil.Process(process).parent().kill()
        killed.add(process)
    said = submitted.communicate(timeout=200)[0]
    assert submitted.returncode == 1, said
    assert "0 of 1 runs complete, 1 failed, 0 interrupted, 0 not started" in said
    (state,) = StudyFolder(out, expand(open_study(out))).states.values()
    assert state.status == "failed"
    assert "its worker on Ray was lost twice at the same place" in state.error
