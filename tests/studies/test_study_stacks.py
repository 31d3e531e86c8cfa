"""Studies whose runs over one backbone train together."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contested.config import RunConfig, check_config, identifying
from contested.studies import local
from contested.studies.execute import Job, JobStatus, carry_out
from contested.studies.local import LocalExecutor, stack_key, stack_size
from contested.studies.plan import Device
from contested.trajectories import Trajectory, read_manifest

Watch = Callable[[Mapping[str, JobStatus]], None]
Run = Callable[..., tuple[list[str], list[list[str]]]]


@pytest.fixture
def config(checkpoint: Callable[[str], Path], write_task: Any, tmp_path: Path) -> Callable[..., RunConfig]:
    """Gives the configuration of a small run of files: three together on a CPU where not told otherwise."""
    task = write_task(tmp_path, absolute=True)

    def make(seed: int = 1, *, kind: str = "bert", stack: int | None = 3, **sections: Any) -> RunConfig:
        content = {
            "model": {"name": str(checkpoint(kind)), "max_length": 64, **sections.pop("model", {})},
            "method": {"name": "lora", "r": 2},
            "task": task,
            "training": {"learning_rate": 5e-3, "epochs": 2, "batch_size": 8, **sections.pop("training", {})},
            "tracking": {"every": 5},
            "execution": {"threads": 1, "device": "cpu", "stack": stack, **sections.pop("execution", {})},
            "seed": seed,
            **sections,
        }
        return check_config(content, "of a test")

    return make


CPU = Device("CPU, 2 cores", 1e10, 2, 8e9)


def jobs_of(configs: Sequence[RunConfig], out: Path) -> list[Job]:
    return [Job(str(index), config, out / "runs" / str(index)) for index, config in enumerate(configs)]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a study in one worker: how each run ended, and what the worker was given in turn."""
    given: list[list[str]] = []
    take = LocalExecutor._take

    def watched(pool: LocalExecutor, device: str | None, free: int) -> list[Job]:
        jobs = take(pool, device, free)
        given.extend([[job.run_id for job in jobs]] if jobs else [])
        return jobs

    monkeypatch.setattr(LocalExecutor, "_take", watched)

    def study(configs: Sequence[RunConfig], out: Path, watch: Watch | None = None) -> tuple[list[str], list[list[str]]]:
        given.clear()
        jobs, executor = jobs_of(configs, out), LocalExecutor(1)
        executor.submit(jobs)
        statuses = carry_out(executor, jobs, on_change=watch)
        return [status.state for status in statuses.values()], list(given)

    return study


def test_a_stacked_study_is_the_study_run_by_run(config: Callable[..., RunConfig], run: Run, tmp_path: Path) -> None:
    def cells(stack: int) -> list[RunConfig]:
        loras = [config(seed, stack=stack, method={"r": 2 * seed}) for seed in (1, 2, 3)]
        return [loras[0], config(9, stack=stack, method="full"), *loras[1:]]

    states, given = run(cells(2), tmp_path / "stacked")
    assert states == ["complete"] * 4
    # Full fine-tuning runs alone, and so does the third where two fit.
    assert given == [["0", "2"], ["1"], ["3"]]
    states, given = run(cells(1), tmp_path / "apart")
    assert states == ["complete"] * 4
    assert given == [["0"], ["1"], ["2"], ["3"]]
    for index in range(4):
        one, other = (tmp_path / name / "runs" / str(index) for name in ("apart", "stacked"))
        a, b = Trajectory.load(one), Trajectory.load(other)
        assert list(a.manifest) == list(b.manifest)
        assert a.manifest["checkpoints"] == b.manifest["checkpoints"]
        assert a.run_id == b.run_id
        np.testing.assert_allclose(a.losses, b.losses, rtol=1e-4, atol=1e-5)


def test_a_failing_run_of_a_stack_does_not_take_the_others_down(
    config: Callable[..., RunConfig], run: Run, tmp_path: Path
) -> None:
    # At this rate the loss overflows.
    states, given = run([config(1), config(2, training={"learning_rate": 1e30}), config(3)], tmp_path)
    assert states == ["complete", "failed", "complete"]
    assert given == [["0", "1", "2"]]
    assert "Lower the learning rate" in (tmp_path / "failures" / "1.txt").read_text()


def test_an_interrupted_stack_is_resumed(config: Callable[..., RunConfig], run: Run, tmp_path: Path) -> None:
    # Long enough that no machine is done before it is stopped.
    more: dict[str, Any] = {"training": {"epochs": 20}, "tracking": {"every": 50, "epoch_ends": False}}
    configs = [config(seed, **more) for seed in (1, 2, 3)]

    def stop(statuses: Mapping[str, JobStatus]) -> bool:
        under_way = all(status.step for status in statuses.values())
        if under_way:
            signal.raise_signal(signal.SIGINT)
        return under_way

    states, _ = run(configs, tmp_path, once(stop))
    assert states == ["interrupted"] * 3
    stopped = [read_manifest(tmp_path / "runs" / str(index)) for index in range(3)]
    assert {manifest["status"] for manifest in stopped} == {"interrupted"}
    states, given = run(configs, tmp_path)
    assert states == ["complete"] * 3
    assert given == [["0", "1", "2"]]
    for index, before in enumerate(stopped):
        manifest = read_manifest(tmp_path / "runs" / str(index))
        assert manifest["created_at"] == before["created_at"]
        assert [listed["step"] for listed in manifest["checkpoints"]] == [0, 50, 100, 150, 180]


def test_a_stack_whose_worker_dies_is_tried_again_in_halves(
    config: Callable[..., RunConfig], run: Run, tmp_path: Path
) -> None:
    def kill(statuses: Mapping[str, JobStatus]) -> bool:
        under_way = len(list(tmp_path.glob("runs/*/manifest.json"))) == 3
        if under_way:
            (child,) = multiprocessing.active_children()
            child.kill()
        return under_way

    configs = [config(seed, training={"epochs": 6}) for seed in (1, 2, 3)]
    states, given = run(configs, tmp_path, once(kill))
    assert states == ["complete"] * 3
    assert given == [["0", "1", "2"], ["0"], ["1"], ["2"]]


def test_runs_that_prove_not_to_fit_together_run_alone(
    config: Callable[..., RunConfig], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a backbone from the hub, of which nothing is known before it is loaded."""
    monkeypatch.setattr(local, "stacks", lambda name: True)
    states, given = run([config(seed, kind="deberta-v2") for seed in (1, 2, 3)], tmp_path)
    assert states == ["complete"] * 3
    assert given == [["0", "1", "2"], ["0"], ["1"], ["2"]]


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "roberta"},
        {"model": {"revision": "main"}},
        {"model": {"max_length": 32}},
        {"method": {"target_modules": ["key"]}},
        {"training": {"precision": "bfloat16"}},
        {"execution": {"device": "cuda"}},
    ],
)
def test_what_trains_together_is_alike(config: Callable[..., RunConfig], other: dict[str, Any]) -> None:
    key = stack_key(config())
    assert key == stack_key(config(2, method={"r": 8, "dropout": 0.0}, training={"learning_rate": 1.0, "epochs": 1}))
    assert stack_key(config(**other)) not in {key, None}


@pytest.mark.parametrize(
    "alone",
    [
        {"method": "full"},
        {"method": "ia3"},
        {"method": {"extra": {"use_dora": True}}},
        {"kind": "deberta-v2"},
        {"kind": "albert"},
    ],
)
def test_what_cannot_train_together_runs_alone(config: Callable[..., RunConfig], alone: dict[str, Any]) -> None:
    assert stack_key(config()) is not None
    assert stack_key(config(**alone)) is None


@pytest.mark.parametrize(
    ("stack", "configured", "device", "size"),
    [
        (None, "auto", None, 1),
        (None, "cpu", None, 1),
        (None, "cpu", "cuda:0", 1),
        (None, "mps", None, 1),
        (None, "auto", "cuda:1", 8),
        (None, "cuda", None, 8),
        (1, "cuda", "cuda:0", 1),
        (3, "cpu", None, 3),
    ],
)
def test_stacks_are_for_gpus_unless_the_configuration_says_otherwise(
    config: Callable[..., RunConfig], stack: int | None, configured: str, device: str | None, size: int
) -> None:
    assert stack_size(config(stack=stack, execution={"device": configured}), device) == size


def test_every_free_worker_gets_runs(config: Callable[..., RunConfig], tmp_path: Path) -> None:
    jobs = jobs_of([config(seed, stack=8) for seed in range(8)], tmp_path)
    pool = LocalExecutor(3, device=CPU)
    pool.submit(jobs)
    assert [len(pool._take(None, free)) for free in (3, 2, 1)] == [3, 3, 2]
    # Another backbone's runs are work too.
    others = jobs_of([config(seed, stack=8, kind="roberta") for seed in range(8)], tmp_path / "others")
    others = [job._replace(run_id=f"other-{job.run_id}") for job in others]
    pool = LocalExecutor(2, device=CPU)
    pool.submit([*jobs, *others])
    assert [{job.run_id[:5] for job in pool._take(None, free)} for free in (2, 1)] == [set("01234567"), {"other"}]


def test_how_many_train_together_is_no_part_of_a_run(config: Callable[..., RunConfig]) -> None:
    assert identifying(config(stack=3)) == identifying(config(stack=None))


def once(act: Callable[[Mapping[str, JobStatus]], bool]) -> Watch:
    """Try until it is done."""
    done = False

    def watch(statuses: Mapping[str, JobStatus]) -> None:
        nonlocal done
        done = done or act(statuses)

    return watch
