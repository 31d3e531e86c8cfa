"""Whether the process that holds a run is alive, where that can be known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from contested.trajectories import lease_owner
from contested.trajectories.lease_owner import is_alive, read_owner, same_kernel, this_process

OWN = this_process("0" * 16, 60.0)
LISTED = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not list processes")


def test_a_process_elsewhere_is_not_judged() -> None:
    assert is_alive(OWN) is True
    for there in ({"host": "far"}, {"machine": "other"}, {"space": "pid:[1]"}):
        assert is_alive(OWN._replace(**there)) is None


@LISTED
def test_an_id_that_another_process_has_by_now_is_not_its() -> None:
    assert is_alive(OWN._replace(started=OWN.started + 1)) is False


@LISTED
def test_a_process_that_has_ended_is_dead_before_anybody_asks_for_its_end() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        other = OWN._replace(pid=process.pid, started=lease_owner._started(process.pid) or 0)
        assert is_alive(other) is True
        process.kill()
        while is_alive(other):
            pass
        assert process.returncode is None
    assert is_alive(other) is False


def test_where_processes_are_not_listed_one_that_may_exist_is_not_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lease_owner, "_PROC", tmp_path)
    assert is_alive(OWN._replace(space="")) is None
    with subprocess.Popen(["true"]) as process:
        pass
    assert is_alive(OWN._replace(space="", pid=process.pid)) is False


@pytest.mark.parametrize(
    ("here", "owner", "alive"),
    [
        (("h", "m", "now"), ("h", "m", "before"), False),
        (("h", "m", "now"), ("h", "other", "before"), None),  # another machine of the same name
        (("h", "", "now"), ("h", "", "before"), None),  # as two containers may be called
        (("h", "m", ""), ("h", "m", "before"), None),
        (("h", "m", "now"), ("h", "m", ""), None),
        (("h", "m", ""), ("h", "m", ""), None),
    ],
)
def test_a_machine_that_was_started_again_is_known_by_its_identity(
    here: tuple[str, str, str], owner: tuple[str, str, str], alive: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_owner, "_machine", lambda: here)
    found = OWN._replace(host=owner[0], machine=owner[1], boot=owner[2])
    assert is_alive(found) is alive
    assert not same_kernel(found)


@pytest.mark.parametrize(
    "change", [{"period_s": 0}, {"period_s": "60"}, {"pid": True}, {"host": None}, {"since": "2026-01-01T00:00:00"}]
)
def test_what_is_no_owner_is_not_read_as_one(change: dict[str, object]) -> None:
    assert read_owner(OWN.to_json().encode()) == OWN
    assert read_owner(OWN._replace(**change).to_json().encode()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variables", "job"),
    [
        ({"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_ID": "15"}, "slurm 12_3"),
        ({"SLURM_ARRAY_JOB_ID": "12", "SLURM_JOB_ID": "15"}, "slurm 15"),
        ({"RAY_JOB_ID": "7"}, "ray"),
        ({}, ""),
    ],
)
def test_the_job_of_a_scheduler_is_told(variables: dict[str, str], job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID", "RAY_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert this_process("0" * 16, 60.0).job == job
