from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contested.cli.study_outcome import exit_code
from contested.config import check_config
from contested.studies import worker
from contested.studies.execute import Job, State
from contested.studies.folder import RunState
from contested.studies.running import StudyOutcome
from contested.studies.worker import GRACE, HELD_ELSEWHERE, TOO_SHORT, RunQueue
from contested.trajectories import Holder

NOW = 1_000_000.0


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(worker, "time", made)
    return made


class Study:
    """Runs of some seconds each, named by them, whose folders are what a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.status: dict[str, str] = {}
        self.held: dict[str, bool | None] = {}
        self.silent_s = 0.0
        self.ended: list[tuple[str, State, str]] = []
        monkeypatch.setattr(worker, "state_of", self._state)
        monkeypatch.setattr(worker, "holder", self._holder)
        self._config = check_config(
            {"model": {"name": "any"}, "task": {"annotated": {"path": "/no/such/file"}}}, "of a test"
        )

    def queue(self, *seconds: float, until: float | None = None, **more: Any) -> RunQueue:
        jobs = [Job(f"{s:g}", self._config, Path(f"{s:g}"), seconds=s, **more) for s in seconds]
        return RunQueue(jobs, on_end=lambda job, *end: self.ended.append((job.run_id, *end)), until=until)

    def _state(self, config: Any, folder: Path) -> RunState:
        status = self.status.get(folder.name, "missing")
        return RunState(status, 0.0, 0, 0.0, "its reason" * (status == "failed"))

    def _holder(self, folder: Path) -> Holder | None:
        if folder.name not in self.held:
            return None
        return Holder("there", 1, datetime.now(UTC), self.silent_s, self.held[folder.name], "")


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Study:
    return Study(monkeypatch)


def take(queue: RunQueue, most: int = 1, key: str | None = None) -> list[str]:
    return [job.run_id for job in queue.take(lambda _: most, lambda _: key)]


def test_runs_are_taken_in_order_alone_or_together(study: Study, clock: Clock) -> None:
    queue = study.queue(5, 4, 3, 2, 1)
    assert [take(queue), take(queue, 2, "same"), take(queue, 9, "same"), take(queue)] == [
        ["5"],
        ["4", "3"],
        ["2", "1"],
        [],
    ]
    # What belongs to others is left for later.
    queue = study.queue(5, 4, 3)
    jobs = queue.take(lambda _: 9, lambda job: "odd" if job.seconds % 2 else "even")
    assert [job.run_id for job in jobs] == ["5", "3"]
    # Those that train alone never train together.
    assert take(study.queue(5, 4), 2, None) == ["5"]


def test_a_worker_takes_what_fits_into_what_is_left_and_not_longer_first(study: Study, clock: Clock) -> None:
    queue = study.queue(3000, 500, 100, until=NOW + 3600)
    # 3600 s, of which a minute is for saving: 3540.
    assert take(queue) == ["3000"]
    clock.now += 3000  # 540 s are left
    assert take(queue) == ["500"]
    clock.now += 441  # 99 s are left
    assert take(queue) == []
    assert [job.run_id for job in queue.waiting] == ["100"]
    assert not queue.is_over
    clock.now += 99
    assert queue.is_over


def test_runs_that_train_together_take_the_time_of_all(study: Study, clock: Clock) -> None:
    queue = study.queue(1500, 1200, 900, 800, until=NOW + 3600)
    assert take(queue, 4, "same") == ["1500", "1200", "800"]  # 3500 of 3540 s


def test_the_grace_is_a_tenth_of_a_short_time(study: Study, clock: Clock) -> None:
    queue = study.queue(54, until=NOW + 60)
    assert GRACE == 60
    clock.now += 53.9
    assert not queue.is_over
    clock.now += 0.2
    assert queue.is_over
    assert take(queue) == []


def test_a_run_longer_than_all_of_a_workers_time_is_taken_at_its_beginning_alone(study: Study, clock: Clock) -> None:
    queue = study.queue(9000, 8000, until=NOW + 3600)
    assert take(queue) == ["9000"]
    clock.now += 360  # a tenth has passed
    assert take(queue) == []
    # One whose length is not known is taken at any time.
    assert take(study.queue(float("nan"), until=clock.now + 1)) == ["nan"]


def test_what_others_did_or_hold_is_left_to_them(study: Study, clock: Clock) -> None:
    study.status = {"5": "complete", "4": "failed"}
    study.held = {"3": True}
    queue = study.queue(5, 4, 3, 2)
    assert take(queue) == ["2"]
    assert study.ended == [("5", "skipped", ""), ("4", "failed", "its reason"), ("3", "locked", "")]
    assert queue.has_to_wait
    # Its worker died: it is seen again after a while, and taken.
    study.held = {}
    assert take(queue) == []
    clock.now += 2
    assert take(queue) == ["3"]
    assert not queue.has_to_wait


def test_a_run_that_had_failed_before_is_tried_again_and_one_to_begin_again_is_not_skipped(
    study: Study, clock: Clock
) -> None:
    study.status = {"5": "failed", "4": "complete"}
    assert take(study.queue(5, failed_before=True)) == ["5"]
    assert take(study.queue(4, from_start=True)) == ["4"]


def test_with_an_end_of_its_time_a_worker_waits_until_others_have_given_a_sign_of_life(
    study: Study, clock: Clock
) -> None:
    study.held = {"5": True}
    queue = study.queue(5, until=NOW + 3600)
    assert take(queue) == []
    assert not queue.has_to_wait

    study.held = {"5": None}  # on another machine
    queue = study.queue(5, until=NOW + 3600)
    for study.silent_s in (0.0, 2.0, 4.0):  # the first look says nothing
        assert take(queue) == []
        assert queue.has_to_wait
        clock.now += 2
    study.silent_s = 0.0
    assert take(queue) == []
    assert not queue.has_to_wait


def test_a_worker_does_not_wait_for_what_it_has_no_time_for(study: Study, clock: Clock) -> None:
    study.held = {"5": None}
    queue = study.queue(5, until=NOW + 3600)
    assert take(queue) == []
    clock.now += 3536  # four seconds are left
    assert not queue.has_to_wait


def test_a_silent_holders_run_is_taken(study: Study, clock: Clock) -> None:
    study.held = {"5": None}
    queue = study.queue(5, until=NOW + 3600)
    assert take(queue) == []
    study.held = {"5": False}
    clock.now += 60
    assert take(queue) == ["5"]


def test_a_dead_holders_run_is_taken(study: Study, clock: Clock) -> None:
    study.held = {"5": False}
    assert take(study.queue(5)) == ["5"]


def test_the_state_of_one_run_is_that_of_the_studys_folder(tmp_path: Path) -> None:
    from contested.studies.folder import state_of

    config = check_config({"model": {"name": "any"}, "task": {"annotated": {"path": "/no/such/file"}}}, "of a test")
    assert state_of(config, tmp_path / "runs" / "a").status == "missing"
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "manifest.json").write_text(json.dumps({}))
    assert state_of(config, tmp_path / "runs" / "a").status == "unreadable"


@pytest.mark.parametrize(
    ("ended", "alone", "timed"),
    [
        ({"complete": ("a", "b")}, 0, 0),
        ({"complete": ("a",), "failed": {"b": "its reason"}}, 1, 1),
        ({"waiting": ("a",), "failed": {"b": "its reason"}}, 130, 130),
        ({"interrupted": ("a",), "waiting": ("b",), "advanced": False}, 130, TOO_SHORT),
        ({"interrupted": ("a", "b"), "held": ("b",)}, 130, 130),
        ({"interrupted": ("a", "b"), "held": ("b",), "advanced": False}, 130, TOO_SHORT),
        ({"interrupted": ("a",), "held": ("a",), "failed": {"b": "its reason"}}, 130, HELD_ELSEWHERE),
    ],
)
def test_how_a_worker_ended_is_its_exit_code(ended: dict[str, Any], alone: int, timed: int) -> None:
    nothing: dict[str, Any] = {"complete": (), "failed": {}, "interrupted": (), "waiting": ()}
    outcome = StudyOutcome(Path("out"), damaged=(), n_other_version=0, **(nothing | ended))
    assert (exit_code(outcome), exit_code(outcome, timed=True)) == (alone, timed)
