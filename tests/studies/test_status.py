from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from contested.cli import main
from contested.cli import study as command
from contested.studies import expand, folder, open_study, slurm, status
from contested.studies.folder import StudyFolder
from contested.studies.status import Progress, progress
from contested.studies.times import Times
from contested.trajectories import Holder

SINCE = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)


def held(alive: bool | None = True, job: str = "slurm 12_3", pid: int = 4711) -> Holder:
    return Holder("node7", pid, SINCE, 5.0, alive, job)


def test_what_is_left_is_shared_by_those_at_work_and_no_less_than_the_longest() -> None:
    both = {"a": held(), "b": held(alive=None, pid=5)}
    # 60 s of work for two workers are 30 s, but one run alone takes 50.
    assert Progress(both, {"a": 50.0, "b": 5.0, "c": 5.0}).seconds == 50
    assert Progress(both, {"a": 20.0, "b": 20.0, "c": 20.0}).seconds == 30
    # One that has given no sign does not work.
    assert Progress({"a": held(), "b": held(alive=False)}, {"a": 20.0, "b": 20.0}).seconds == 40
    # Two runs that train together, each of which has its share of the time, are one worker's.
    assert Progress({"a": held(), "b": held()}, {"a": 20.0, "b": 20.0}).seconds == 40
    assert math.isnan(Progress({}, {"a": 20.0}).seconds)
    assert math.isnan(Progress(both, {"a": math.nan}).seconds)
    assert Progress({}, {}).seconds == 0


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a study of two seeds, of which one is trained on a cluster."""
    content = {
        "name": "toy",
        "facts": {"params": 2e6, "body": 1e6},
        "defaults": {"model": {"name": "some/encoder"}, "task": {"annotated": {"path": "a.csv"}}},
        "axes": {"seed": [1, 2]},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(status, "holder", lambda run: held() if "-s1-" in run.name else None)
    monkeypatch.setattr(Times, "seconds_of", lambda self, cell, rate=math.nan: 3600.0)
    return tmp_path


def test_progress_speaks_of_runs_that_are_not_complete(study: Path) -> None:
    cells = expand(open_study(study))
    found = progress(StudyFolder(study, cells), cells)
    assert found.holders == {cells[0].run_id: held()}
    assert found.left == dict.fromkeys([cell.run_id for cell in cells], 3600.0)
    folder: Any = StudyFolder(study, cells)
    folder.states[cells[1].run_id] = folder.states[cells[1].run_id]._replace(status="complete")
    assert [*progress(folder, cells).left] == [cells[0].run_id]


def test_the_command_says_who_trains_what_and_what_is_left(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "status", str(study)]) == 0
    said = capsys.readouterr().out
    first, second = (line for line in said.splitlines() if "missing  " in line)
    assert "60 minutes" in first
    assert f"node7 (slurm 12_3)  {SINCE.astimezone():%m-%d %H:%M}" in first
    assert "node7" not in second
    assert "2 missing, 1 worker now, about 2 hours left" in said
    assert main(["study", "status", str(study), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["workers"], found["seconds_left"], found["submitted"]) == (1, 7200, [])
    assert [run["seconds_left"] for run in found["runs"]] == [3600, 3600]
    assert found["runs"][0]["holder"] == {
        "host": "node7", "pid": 4711, "since": "2026-11-30T10:00:00+00:00", "silent_s": 5.0, "alive": True,
        "job": "slurm 12_3",
    }  # fmt: skip
    assert found["runs"][1]["holder"] is None


def test_on_a_terminal_the_table_stays_up_to_date_until_all_is_complete(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    screen = Console(file=written, force_terminal=True, width=160, height=30)
    looked: list[bool] = []
    asked: list[tuple[int, bool]] = []
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now, sleep=lambda s: setattr(clock, "now", clock.now + s))

    class Folder(StudyFolder):
        def __init__(self, out: Path, cells: Any, *, verify: bool = False) -> None:
            super().__init__(out, cells)
            looked.append(verify)
            if clock.now > 40:
                self.states = {name: state._replace(status="complete") for name, state in self.states.items()}

    def queue_lines(out: Path, *, training: int, is_left: bool) -> list[str]:
        asked.append((training, is_left))
        return ["SLURM job 77 (1 worker): 1 running"]

    monkeypatch.setattr(command, "time", clock)
    monkeypatch.setattr(command, "console", lambda **_: screen)
    monkeypatch.setattr(folder, "StudyFolder", Folder)
    monkeypatch.setattr(slurm, "queue_lines", queue_lines)
    assert main(["study", "status", str(study)]) == 0
    said = written.getvalue()
    parts = ("2 missing, 1 worker now, about 2 hours left", "SLURM job 77", "2 complete")
    assert [said.find(part) for part in parts] == sorted(said.index(part) for part in parts)
    # SLURM is asked at 0 and 30 seconds, and as the study is complete; complete runs are held against their files.
    assert asked == [(1, True), (1, True), (0, False)]
    assert looked == [False] * 22 + [True]
