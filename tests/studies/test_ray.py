"""Workers on Ray, with a stand-in for Ray that starts them in this process; tests/cluster has a real one."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from contested.cli import main
from contested.config import check_config
from contested.errors import ConfigError
from contested.studies import expand, open_study
from contested.studies import ray as on_ray
from contested.studies.execute import Job, JobStatus
from contested.studies.plan import Device
from contested.studies.ray import Needs, RayError, RayExecutor, parse_needs
from contested.studies.ray_board import Board
from contested.studies.running import StudyOutcome

DONE, RUNNING, FAILED = JobStatus("complete"), JobStatus("running", 3, 9), JobStatus("failed", message="no reason")


class LostError(Exception):
    """A node is lost."""


class Task(NamedTuple):
    """What a worker was asked to do, and with what."""

    call: Callable[[], Any]
    options: dict[str, Any]


class Ray(types.ModuleType):
    """Ray, whose tasks are done as they are waited for, one each time; a lost one begins again."""

    def __init__(self) -> None:
        super().__init__("ray")
        errors = {name: type(name, (Exception,), {"cause": None}) for name in ("RayTaskError", "TaskCancelledError")}
        self.exceptions = types.SimpleNamespace(RayError=OSError, **errors)
        self.util = types.ModuleType("ray.util")
        self.util.scheduling_strategies = types.ModuleType("ray.util.scheduling_strategies")  # type: ignore[attr-defined]
        self.util.scheduling_strategies.NodeAffinitySchedulingStrategy = lambda node, soft: node  # type: ignore[attr-defined]
        self.has: dict[str, float] = {"CPU": 2.0}
        self.begun: dict[str, Any] | None = None
        self.tasks: list[Task] = []
        self.results: dict[int, Any] = {}
        self.cancelled: list[tuple[int, bool]] = []
        self.is_down = False

    def is_initialized(self) -> bool:
        return self.begun is not None

    def init(self, address: str, **options: Any) -> None:
        self.begun = {"address": address, **options}

    def shutdown(self) -> None:
        self.is_down = True

    def cluster_resources(self) -> dict[str, float]:
        return self.has

    def get_runtime_context(self) -> Any:
        return types.SimpleNamespace(get_node_id=lambda: "here")

    def remote(self, what: Any) -> Any:
        def put(*args: Any, options: dict[str, Any], **more: Any) -> Any:
            if isinstance(what, type):
                assert options == {"num_cpus": 0, "scheduling_strategy": "here"}
                made = what()
                names = ("begin", "tell", "end", "news")
                return types.SimpleNamespace(
                    **{name: types.SimpleNamespace(remote=getattr(made, name)) for name in names}
                )
            self.tasks.append(Task(lambda: what(*args, **more), options))
            return len(self.tasks) - 1

        return types.SimpleNamespace(
            options=lambda **options: types.SimpleNamespace(
                remote=lambda *args, **more: put(*args, options=options, **more)
            )
        )

    def wait(self, tasks: list[int], timeout: float) -> tuple[list[int], list[int]]:
        first = next((task for task in tasks if task in self.results), tasks[0])
        if first not in self.results:
            try:
                self.results[first] = self.tasks[first].call()
            except LostError:
                return [], tasks
            except Exception as error:
                self.results[first] = self.exceptions.RayTaskError(str(error))
                self.results[first].cause = error
        return [first], [task for task in tasks if task != first]

    def get(self, what: Any) -> Any:
        found = self.results[what] if type(what) is int else what
        if isinstance(found, Exception):
            raise found
        return found

    def cancel(self, task: int, force: bool = False) -> None:
        self.cancelled.append((task, force))
        self.results.setdefault(task, self.exceptions.TaskCancelledError())


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    made = Ray()
    for name, module in (("ray", made), ("ray.util", made.util)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", made.util.scheduling_strategies)  # type: ignore[attr-defined]
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    return made


Life = Callable[[Callable[[Mapping[str, JobStatus]], None]], StudyOutcome]


@pytest.fixture
def lives(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what becomes of the workers, in the order in which they begin."""

    def put(*each: Life) -> None:
        waiting = list(each)

        def work(study: Any, out: Path, *, executor: Any, on_change: Any, from_start: bool) -> StudyOutcome:
            return waiting.pop(0)(on_change)

        monkeypatch.setattr(on_ray, "run_study", work)
        monkeypatch.setattr(on_ray, "open_study", lambda _: None)

    return put


def outcome(*complete: str, failed: dict[str, str] | None = None, interrupted: tuple[str, ...] = ()) -> StudyOutcome:
    return StudyOutcome(Path("out"), complete, failed or {}, interrupted, (), (), 0)


def jobs(*names: str) -> list[Job]:
    config = check_config({"model": {"name": "any"}, "task": {"annotated": {"path": "/no/such/file"}}}, "of a test")
    return [Job(name, config, Path(name)) for name in names]


def follow(executor: RayExecutor) -> list[dict[str, tuple[str, int, str]]]:
    """Every report, each run as its state, its step and why it failed."""
    return [
        {name: (status.state, status.step, status.message) for name, status in found.items()}
        for found in executor.watch()
    ]


def test_what_workers_say_comes_back(ray: Ray, lives: Callable[..., None]) -> None:
    def first(tell: Any) -> StudyOutcome:
        tell({"a": RUNNING, "b": JobStatus("locked"), "of another study": RUNNING})
        tell({"a": DONE, "b": JobStatus("locked")})
        return outcome("a")

    def second(tell: Any) -> StudyOutcome:
        tell({"a": JobStatus("locked"), "b": RUNNING})
        tell({"a": JobStatus("skipped"), "b": FAILED})
        return outcome("a", "c", failed={"b": "no reason"})

    lives(first, second)
    executor = RayExecutor("out")
    submitted = executor.submit(jobs("a", "b", "c"))
    assert submitted == ("by 2 workers on Ray with 1 core each", True)
    assert ray.begun is not None
    assert ray.begun["address"] == "local"
    reports = follow(executor)
    waiting = ("waiting", 0, "")
    assert reports[0] == {"a": ("complete", 0, ""), "b": waiting, "c": waiting}
    # Of c, which somebody did before he was lost, the second worker found that it is complete.
    assert reports[-1] == {"a": ("complete", 0, ""), "b": ("failed", 0, "no reason"), "c": ("complete", 0, "")}
    wanted = {"num_cpus": 1, "num_gpus": 0.0, "max_retries": -1, "retry_exceptions": False}
    assert all(task.options.items() >= wanted.items() for task in ray.tasks)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert ray.is_down


def test_a_lost_workers_run_waits_until_somebody_takes_it(ray: Ray, lives: Callable[..., None]) -> None:
    def lost(tell: Any) -> StudyOutcome:
        tell({"a": RUNNING})
        raise LostError

    def again(tell: Any) -> StudyOutcome:
        raise LostError

    def other(tell: Any) -> StudyOutcome:
        tell({"a": RUNNING})
        return outcome("a")

    lives(lost, again, other)
    warned: list[str] = []
    executor = RayExecutor("out", workers=1, warn=warned.append)
    executor.submit(jobs("a"))
    assert [report["a"][0] for report in follow(executor)][:3] == ["running", "waiting", "complete"]
    assert warned == ["Worker 0 on Ray was lost and has begun again; its runs resume from their last snapshots"] * 2


def test_a_run_that_is_lost_with_its_worker_again_has_failed(ray: Ray, lives: Callable[..., None]) -> None:
    def lost(tell: Any) -> StudyOutcome:
        tell({"a": RUNNING})
        raise LostError

    def last(tell: Any) -> StudyOutcome:
        tell({"b": RUNNING})
        return outcome("b", interrupted=("a",))

    lives(lost, lost, last)
    warned: list[str] = []
    executor = RayExecutor("out", workers=1, warn=warned.append)
    executor.submit(jobs("a", "b"))
    found = follow(executor)[-1]
    assert found["b"][0] == "complete"
    assert found["a"][0] == "failed"
    assert "its worker on Ray was lost twice at the same place, perhaps for lack of memory" in found["a"][2]
    assert len(warned) == 2
    # The worker that leaves it alone was not asked to stop, and need not begin again.
    lives(lost, lost, last)
    board = ray.remote(Board).options(num_cpus=0, scheduling_strategy="here").remote()
    for _ in range(2):
        with pytest.raises(LostError):
            on_ray._work(0, "out", Needs(), board, from_start=False)
    assert not on_ray._work(0, "out", Needs(), board, from_start=False)


def test_a_run_that_comes_further_each_time_is_not_given_up() -> None:
    board, further = Board(), JobStatus("running", 3, checkpoint=3)
    for status, deaths, state in (
        (RUNNING, 1, "waiting"),
        (further, 1, "waiting"),
        (further, 1, "waiting"),
        (RUNNING, 2, "failed"),
    ):
        board.begin(0)
        board.tell(0, {"a": status})
        assert board.begin(0) == {"a": deaths}
        assert board.news()[0]["a"].state == state
    # Who was lost with it may not have begun again as somebody else takes it.
    board = Board()
    for worker in (0, 1):
        board.begin(worker)
        board.tell(worker, {"a": RUNNING})
    assert board.begin(2) == {"a": 1}
    assert board.begin(1) == {"a": 2}
    assert board.news()[0]["a"].state == "failed"


def test_what_was_lost_with_a_worker_is_done_by_itself_and_then_left_alone() -> None:
    device = Device("a GPU", 1e12, 1, 1e12, on_gpu=True)
    worker = on_ray._Worker({"a": 2, "b": 1}, device=device)
    worker.submit(jobs("a", "b", "c"))
    waiting = worker._queue.waiting
    assert [(job.run_id, job.config.execution.stack) for job in waiting] == [("b", 1), ("c", None)]


def test_a_worker_that_finds_no_place_ends_with_the_study(ray: Ray, lives: Callable[..., None]) -> None:
    lives(lambda tell: outcome("a", "b"))
    executor = RayExecutor("out")
    executor.submit(jobs("a", "b"))
    assert follow(executor)[-1] == {"a": ("complete", 0, ""), "b": ("complete", 0, "")}
    assert ray.cancelled == [(1, True)]


def test_stopping_cancels_the_workers_and_waits_for_them(ray: Ray, lives: Callable[..., None]) -> None:
    def life(tell: Any) -> StudyOutcome:
        tell({"a": RUNNING})
        executor.stop()
        raise LostError

    lives(life)
    executor = RayExecutor("out")
    executor.submit(jobs("a", "b"))
    assert follow(executor)[-1] == {"a": ("interrupted", 3, ""), "b": ("waiting", 0, "")}
    assert ray.cancelled == [(0, False), (1, False)]


def test_a_worker_that_its_node_stops_begins_again(ray: Ray, lives: Callable[..., None]) -> None:
    def stopped(tell: Any) -> StudyOutcome:
        tell({"a": JobStatus("interrupted")})
        return outcome(interrupted=("a",))

    lives(stopped, lambda tell: outcome("a"))
    warned: list[str] = []
    executor = RayExecutor("out", workers=1, warn=warned.append)
    executor.submit(jobs("a"))
    assert [report["a"][0] for report in follow(executor)][:2] == ["interrupted", "complete"]
    assert not warned


def test_where_no_worker_can_work_the_reason_is_said(ray: Ray, lives: Callable[..., None]) -> None:
    def broken(tell: Any) -> StudyOutcome:
        raise ConfigError("There is no folder /shared here.")

    lives(broken, broken)
    warned: list[str] = []
    executor = RayExecutor("out", warn=warned.append)
    executor.submit(jobs("a", "b"))
    with pytest.raises(RayError, match=r"ended before the study was done:\n  - There is no folder /shared here\.$"):
        follow(executor)
    assert warned == [f"Worker {worker} on Ray ended: There is no folder /shared here" for worker in (0, 1)]
    assert ray.is_down


@pytest.mark.parametrize(
    ("has", "needs", "workers"),
    [
        ({"CPU": 8.0}, Needs(3), "2 workers on Ray with 3 cores"),
        ({"CPU": 8.0, "GPU": 3.0}, Needs(), "3 workers on Ray with 1 GPU"),
        ({"CPU": 8.0, "GPU": 3.0}, Needs(1, 0.5), "6 workers on Ray with 0.5 GPU"),
        ({"CPU": 4.0, "GPU": 3.0}, Needs(2), "2 workers on Ray with 1 GPU"),
        ({"CPU": 8.0, "GPU": 3.0}, Needs(1, 0), "8 workers on Ray with 1 core"),
    ],
)
def test_there_are_as_many_workers_as_have_a_place(ray: Ray, has: dict[str, float], needs: Needs, workers: str) -> None:
    ray.has = has
    submitted = RayExecutor("out", needs=needs).submit(jobs(*"abcdefghij"))
    assert submitted == (f"by {workers} each", "core" in workers)


def test_a_cluster_without_a_place_is_refused_unless_it_may_grow(ray: Ray) -> None:
    with pytest.raises(RayError, match="asks for 4 cores and 0 GPU, and the cluster has 2 and 0"):
        RayExecutor("out", needs=Needs(4)).submit(jobs("a"))
    assert RayExecutor("out", needs=Needs(4), workers=3).submit(jobs("a", "b")).how.startswith("by 2 workers")


def test_a_study_that_is_complete_begins_no_cluster(ray: Ray) -> None:
    executor = RayExecutor("out")
    executor.submit([])
    assert follow(executor) == [{}]
    assert ray.begun is None


def test_the_cluster_is_the_one_that_is_named(ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "there:1")
    RayExecutor("out").submit(jobs("a"))
    assert ray.begun is not None
    assert (ray.begun["address"], "num_cpus" in ray.begun) == ("there:1", False)
    ray.begun = None
    RayExecutor("out", address="auto").submit(jobs("a"))
    assert ray.begun is not None
    assert ray.begun["address"] == "auto"


def test_a_folder_too_long_for_sockets_is_not_used(ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, instead in (("/tmp/short", None), ("/tmp/" + "long" * 20, "/tmp/ray")):
        monkeypatch.setenv("RAY_TMPDIR", folder)
        ray.begun = None
        RayExecutor("out").submit(jobs("a"))
        assert ray.begun is not None
        assert ray.begun.get("_temp_dir") == instead


def test_a_failure_of_another_worker_does_not_hide_who_tries_again() -> None:
    board = Board()
    board.tell(0, {"a": FAILED})
    board.tell(1, {"a": RUNNING})
    board.tell(0, {"a": FAILED})
    assert board.news() == ({"a": RUNNING}, [])
    board.tell(1, {"a": FAILED})
    assert board.news() == ({"a": FAILED}, [])
    assert board.news() == ({}, [])


def test_what_workers_ask_for() -> None:
    assert parse_needs([]) == Needs(1, None)
    assert parse_needs(["--num-cpus=4", "--num-gpus", "0.5"]) == Needs(4, 0.5)
    for wrong in (
        ["--num-gpus=2"],
        ["--num-cpus", "0"],
        ["--num-cpus"],
        ["--gres=gpu:1"],
        ["--num-gpus=nan"],
        ["x", "y"],
    ):
        with pytest.raises(ConfigError, match=f"^'{' '.join(wrong)}' is nothing that a worker could ask Ray for"):
            parse_needs(wrong)


@pytest.fixture
def study(checkpoint: Callable[[str], Path], write_task: Any, tmp_path: Path) -> Path:
    task = write_task(tmp_path)
    content = {
        "name": "one",
        "defaults": {"model": {"name": str(checkpoint("bert")), "max_length": 64}, "task": task},
        "axes": {"seed": [1, 2]},
    }
    file = tmp_path / "one.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_submit(
    ray: Ray, lives: Callable[..., None], study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def life(tell: Any) -> StudyOutcome:
        return outcome(*(cell.run_id for cell in expand(open_study(tmp_path / "out"))))

    lives(life)
    given = ["study", "submit", str(study), "--out", str(tmp_path / "out"), "--to", "ray"]
    assert main([*given, "--workers", "1", "--", "--num-cpus", "2"]) == 0
    said = capsys.readouterr()
    assert "2 to do, by 1 worker on Ray with 2 cores each" in said.err
    assert "2 of 2 runs complete" in said.out


def test_only_where_the_workers_are_here_has_this_machine_to_have_the_devices(
    ray: Ray, lives: Callable[..., None], study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lives(lambda tell: outcome(*(cell.run_id for cell in expand(open_study(tmp_path / "out")))))
    given = ["study", "submit", str(study), "--out", str(tmp_path / "out"), "--to", "ray", "--workers", "1"]
    given += ["--set", "defaults.execution.device=cuda:99"]
    assert main(given) == 2
    assert "cuda:99" in capsys.readouterr().err
    assert ray.begun is None
    assert main([*given, "--address", "auto"]) == 0
    assert "2 of 2 runs complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (["--to", "ray", "--time", "4h"], "--time and --dry-run are for SLURM"),
        (["--to", "ray", "--dry-run"], "--time and --dry-run are for SLURM"),
        (["--to", "slurm", "--time", "4h", "--address", "auto"], "--address is for Ray"),
        (["--to", "mars"], "--to is 'mars'; expected: slurm or ray."),
        (["--to", "ray", "--", "--gres=gpu:1"], "'--gres=gpu:1' is nothing that a worker could ask Ray for"),
    ],
)
def test_what_is_given_wrong(
    ray: Ray, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], wanted: str
) -> None:
    assert main(["study", "submit", str(study), "--out", str(tmp_path / "out"), *more]) == 2
    assert wanted in capsys.readouterr().err
    assert ray.begun is None


def test_without_ray_it_is_said_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["study", "submit", str(study), "--out", str(tmp_path / "out"), "--to", "ray"]) == 2
    assert "pip install 'contested[ray]'" in capsys.readouterr().err
