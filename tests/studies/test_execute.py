"""The seam between a study and whatever does its runs: executors that are none of ours fit behind it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from contested.config import check_config
from contested.errors import RunError
from contested.runs import train_config
from contested.studies import (
    Job,
    JobStatus,
    LocalExecutor,
    StudyStart,
    Submitted,
    expand,
    load_study,
    run_study,
)
from contested.studies.execute import State, carry_out
from contested.studies.folder import StudyFolder
from contested.trajectories import Trajectory, read_manifest

ANOTHER = "its folder holds a run of another configuration; move it away"


class InProcess:
    """Does one run after another in this process."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def submit(self, jobs: Sequence[Job]) -> Submitted:
        self.jobs = list(jobs)
        return Submitted("one after another, here")

    def watch(self) -> Generator[Mapping[str, JobStatus], None, None]:
        statuses = {job.run_id: JobStatus() for job in self.jobs}
        for job in self.jobs:
            train_config(job.config, out=job.out, from_start="damaged" if job.from_start else False)
            statuses[job.run_id] = JobStatus("complete")
            yield statuses

    def stop(self) -> None:
        raise AssertionError("nobody asked for that")


class Scripted:
    """Runs nothing; its jobs end as they are told to, and those of whom nothing is said are never spoken of."""

    def __init__(self, *ends: State, stop_at: int | None = None) -> None:
        self.ends = ends
        self.stop_at = stop_at
        self.stopped = 0
        self.closed = False
        self.names: list[str] = []

    def submit(self, jobs: Sequence[Job]) -> Submitted:
        self.names = [job.run_id for job in jobs]
        return Submitted("in theory", on_cpu=False)

    def watch(self) -> Generator[Mapping[str, JobStatus], None, None]:
        found: dict[str, JobStatus] = {}
        try:
            for index, (name, end) in enumerate(zip(self.names, self.ends, strict=False)):
                if index == self.stop_at:
                    signal.raise_signal(signal.SIGTERM)
                found[name] = JobStatus("interrupted" if self.stopped else end, message="lost" * (end == "failed"))
                yield found
        finally:
            self.closed = True

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def study(checkpoint: Any, write_task: Any, tmp_path: Path) -> Any:
    """Two methods at two seeds, eight steps each."""
    task = write_task(tmp_path, size=20)
    lora, full = {"method": {"name": "lora", "r": 2}}, {"method": {"name": "full"}}
    content = {
        "name": "toy",
        "defaults": {
            "task": {"bulk": task["bulk"]},
            "training": {"epochs": 1, "batch_size": 8},
            "tracking": {"every": 4},
            "execution": {"threads": 1},
        },
        "axes": {
            "backbone": {"tiny": {"model": {"name": str(checkpoint("bert")), "max_length": 64}}},
            "method": {"lora": lora, "full": full},
            "dataset": {"made": {"task": {"annotated": task["annotated"]}}},
            "seed": [1, 2],
        },
        "groups": {"main": {"where": {"method": "*", "seed": "*"}}},
    }
    import yaml

    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return load_study(str(tmp_path / "toy.yaml"))


def test_runs_done_in_this_process_are_the_studys_runs(study: Any, tmp_path: Path) -> None:
    executor, started = InProcess(), list[StudyStart]()
    outcome = run_study(study, tmp_path / "out", executor=executor, on_start=started.append)
    names = tuple(cell.run_id for cell in expand(study))
    assert outcome.complete == names
    assert outcome.n_runs == 4
    assert (outcome.failed, outcome.interrupted, outcome.waiting) == ({}, (), ())
    (start,) = started
    assert (start.study, start.how, start.n_complete, len(start.todo)) == ("toy", "one after another, here", 0, 4)
    assert {Trajectory.load(tmp_path / "out" / "runs" / name).status for name in names} == {"complete"}
    # Nothing is left for a second call, of which an executor hears nothing, and which needs no data.
    (tmp_path / "people.jsonl").unlink()
    again = InProcess()
    assert run_study(study, tmp_path / "out", executor=again).complete == names
    assert again.jobs == []


def test_each_end_is_told_apart_and_failures_are_kept(study: Any, tmp_path: Path) -> None:
    changes: list[dict[str, State]] = []

    def note(statuses: Mapping[str, JobStatus]) -> None:
        changes.append({name: status.state for name, status in statuses.items()})

    executor = Scripted("failed", "locked", "skipped")
    outcome = run_study(study, tmp_path / "out", executor=executor, on_change=note)
    first, second, third, last = executor.names
    # The longest come first: full fine-tuning takes more than LoRA.
    assert [*executor.names] == [cell.run_id for cell in expand(study)[2:] + expand(study)[:2]]
    assert outcome.failed == {first: "lost"}
    assert outcome.interrupted == outcome.held == (second,)
    assert outcome.complete == (third,)
    # Nobody said what became of the last one: it is not taken for done.
    assert outcome.waiting == (last,)
    assert outcome.n_runs == 4
    assert changes[-1] == {first: "failed", second: "locked", third: "skipped"}
    assert executor.closed
    # The reason outlives the process, and goes when the run begins again.
    assert StudyFolder(tmp_path / "out", expand(study)).states[first].error == "lost"
    again = run_study(study, tmp_path / "out", executor=Scripted("interrupted", "waiting"))
    assert (outcome.advanced, again.advanced) == (True, False)
    assert StudyFolder(tmp_path / "out", expand(study)).states[first].status == "missing"


def test_a_signal_stops_the_executor_in_good_order_once(study: Any, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    executor = Scripted("complete", "complete", "complete", "complete", stop_at=2)
    outcome = run_study(study, tmp_path / "out", executor=executor)
    assert executor.stopped == 1
    assert (len(outcome.complete), len(outcome.interrupted)) == (2, 2)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    executor = Scripted("complete", "complete")
    jobs = [Job(name, _config(tmp_path), tmp_path / "runs" / name) for name in "ab"]
    executor.submit(jobs)

    def impatient(statuses: Mapping[str, JobStatus]) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        carry_out(executor, jobs, on_change=impatient)
    assert (executor.stopped, executor.closed) == (1, True)


def test_folders_of_other_configurations_are_left_alone(study: Any, tmp_path: Path, reseal: Any) -> None:
    run_study(study, tmp_path / "out", executor=InProcess())
    name = expand(study)[0].run_id
    run = tmp_path / "out" / "runs" / name
    identity = read_manifest(run)["identity"]
    identity["config"]["seed"] = 9
    reseal(run, identity=identity)
    outcome = run_study(study, tmp_path / "out", executor=InProcess())
    assert outcome.failed == {name: ANOTHER}
    assert len(outcome.complete) == 3


def files(run: Path) -> dict[str, bytes]:
    """What a run recorded, and its weights; times and processes aside."""
    found = {file.relative_to(run).as_posix(): file for file in sorted(run.rglob("*")) if file.is_file()}
    aside = ("manifest.json", "metrics.jsonl", ".lock", ".lease")
    return {name: file.read_bytes() for name, file in found.items() if not name.startswith(aside)}


def test_damaged_runs_are_not_skipped_and_begin_again_when_told(study: Any, tmp_path: Path, reseal: Any) -> None:
    out, cells = tmp_path / "out", expand(study)
    run_study(study, out, executor=InProcess())
    names = [cell.run_id for cell in cells]
    flipped, manifest, stopped, whole = (out / "runs" / name for name in names)
    before = {run: files(run) for run in (flipped, manifest, stopped, whole)}
    checkpoint = flipped / "checkpoints" / "step-00000004.parquet"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9] + b"x" + checkpoint.read_bytes()[-8:])
    (manifest / "manifest.json").write_text("{")
    reseal(stopped, status="interrupted")  # and it has no snapshot
    left = {run: (files(run), (run / "manifest.json").read_bytes()) for run in before}

    (whole / "state").mkdir()  # of a process that was killed at the run's very end
    (whole / "state" / "step-00000004.pt").write_bytes(b"no longer listed")
    executor = InProcess()
    with pytest.raises(RunError, match="no snapshot of it is left"):  # an executor that ends with its first failure
        run_study(study, out, executor=executor)
    assert [job.run_id for job in executor.jobs] == [stopped.name]
    assert not (whole / "state").exists()
    outcome = run_study(study, out, executor=Scripted("failed"))
    assert outcome.complete == (whole.name,)
    assert outcome.damaged == (flipped.name, manifest.name)
    assert outcome.failed.keys() == {flipped.name, manifest.name, stopped.name}
    assert "checkpoints/step-00000004.parquet is not what was written" in outcome.failed[flipped.name]
    assert "manifest.json is damaged" in outcome.failed[manifest.name]
    assert {run: (files(run), (run / "manifest.json").read_bytes()) for run in before} == left

    outcome = run_study(study, out, executor=LocalExecutor(1), from_start=True)
    assert (outcome.complete, outcome.failed, outcome.damaged) == (tuple(names), {}, ())
    assert {run: files(run) for run in before} == before
    assert (whole / "manifest.json").read_bytes() == left[whole][1]


def test_a_complete_run_whose_weights_are_gone_is_damaged(study: Any, tmp_path: Path) -> None:
    run_study(study, tmp_path / "out", executor=InProcess())
    cells = expand(study)
    lora, full = StudyFolder(tmp_path / "out", cells).folder(cells[0]), tmp_path / "out" / "runs" / cells[2].run_id
    (lora / "adapter" / "adapter_model.safetensors").unlink()
    weights = full / "model" / "model.safetensors"
    content = weights.read_bytes()
    # Of weights the size is looked at; that is why a bit of them is not noticed here.
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    states = StudyFolder(tmp_path / "out", cells, verify=True).states
    assert [states[cell.run_id].status for cell in cells] == ["damaged", "complete", "complete", "complete"]
    assert "adapter/adapter_model.safetensors is missing" in states[cells[0].run_id].error
    weights.write_bytes(content[:-1])
    assert StudyFolder(tmp_path / "out", cells, verify=True).states[cells[2].run_id].status == "damaged"


def test_a_script_from_stdin_without_a_guard_runs_a_study(study: Any, tmp_path: Path) -> None:
    script = (
        "from contested.studies import load_study, run_study\n"
        f"study = load_study({str(tmp_path / 'toy.yaml')!r}, ['seeds=[1]'])\n"
        f"outcome = run_study(study, {str(tmp_path / 'out')!r})\n"
        "print(len(outcome.complete), dict(outcome.failed))"
    )
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "2 {}\n"), done


def _config(tmp_path: Path) -> Any:
    return check_config({"model": {"name": "any"}, "task": {"annotated": {"path": str(tmp_path)}}}, "of a test")
