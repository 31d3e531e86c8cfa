"""Run a study or resume it: what is to be done, who does it, how it ended."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from contested.files import user_path
from contested.studies.cells import Cell, expand
from contested.studies.checks import check_cells, slow_cells
from contested.studies.execute import Executor, Job, JobStatus, carry_out
from contested.studies.file import Study
from contested.studies.folder import DAMAGED, RunState, StudyFolder, begin
from contested.studies.health import repair_run
from contested.studies.index import UNREADABLE
from contested.studies.local import LocalExecutor
from contested.studies.plan import cost
from contested.studies.times import Times, learn, left

_NOT_WHOLE = frozenset({DAMAGED, UNREADABLE})
_OTHER = "its folder holds a run of another configuration; move it away"


class StudyStart(NamedTuple):
    """What a study finds as it starts.

    Attributes:
        study: Its name.
        cells: Its runs.
        found: Run id to the state of the run's folder.
        todo: The runs that were handed to the executor.
        refused: Run id to why its folder is left alone: it holds a run of another configuration, or a damaged one.
        n_other_version: Runs in the folder that belong to another version of the study.
        how: How runs are done, as a phrase: "2 at once".
        warnings: What makes runs slower than they need be.
    """

    study: str
    cells: Sequence[Cell]
    found: Mapping[str, RunState]
    todo: Sequence[Cell]
    refused: Mapping[str, str]
    n_other_version: int
    how: str
    warnings: Sequence[str]

    @property
    def n_complete(self) -> int:
        """Runs that were already complete."""
        return len(self.cells) - len(self.todo) - len(self.refused)


class StudyOutcome(NamedTuple):
    """How a study's runs ended.

    Attributes:
        out: The study's folder.
        complete: Runs that are complete, those of earlier invocations included.
        failed: Run id to why it failed, or could not be done.
        interrupted: Runs that were stopped, or are held by another process; the same call resumes them.
        waiting: Runs that were not started.
        damaged: The failed runs that were left alone because their folders are not as they were written.
        n_other_version: Runs in the folder that belong to another version of the study.
        held: The interrupted runs that another process held at the end.
        advanced: Whether any run took a step in this call, or ended in it.
    """

    out: Path
    complete: tuple[str, ...]
    failed: Mapping[str, str]
    interrupted: tuple[str, ...]
    waiting: tuple[str, ...]
    damaged: tuple[str, ...]
    n_other_version: int
    held: tuple[str, ...] = ()
    advanced: bool = True

    @property
    def n_runs(self) -> int:
        """All runs of the study."""
        return len(self.complete) + len(self.failed) + len(self.interrupted) + len(self.waiting)


def run_study(
    study: Study,
    out: str | os.PathLike[str],
    *,
    executor: Executor | None = None,
    on_start: Callable[[StudyStart], None] | None = None,
    on_change: Callable[[Mapping[str, JobStatus]], None] | None = None,
    from_start: bool = False,
) -> StudyOutcome:
    """Run a study, or resume it.

    Complete runs are skipped if they are as they were written, interrupted ones resumed, failed ones tried again. A
    failed or damaged run does not stop the others. Ctrl-C saves the state of every running run. Two invocations on the
    same folder share the work.

    Args:
        study: The study, from :func:`contested.studies.load_study`.
        out: Its folder; the same folder resumes.
        executor: Where runs are done; on this machine, as many at once as it can take, where not given.
        on_start: Called once, before the first run starts.
        on_change: Called with the runs' statuses a few times a second, and once at the end.
        from_start: Whether damaged runs begin again; whole ones stay.

    Returns:
        How each run ended.

    Raises:
        ConfigError: With everything that would stop runs that are to be done, before the first one starts.
        RunError: If the folder cannot be written, or holds other things than a study.
    """
    folder = user_path(out)
    cells = [cell for cell in expand(study) if not cell.excluded]
    executor = LocalExecutor() if executor is None else executor
    held = StudyFolder(folder, cells, verify=True)
    found = held.states
    refused = _refused(found, from_start=from_start)
    todo = [cell for cell in cells if found[cell.run_id].status != "complete" and cell.run_id not in refused]
    check_cells(todo, here=getattr(executor, "is_here", True))
    begin(study, folder)
    for run in held.untidy:
        repair_run(run)
    jobs = _jobs(todo, held, learn(held, cells), from_start=from_start)
    submitted = executor.submit(jobs)
    start = StudyStart(
        study=study.name,
        cells=cells,
        found=found,
        todo=todo,
        refused=refused,
        n_other_version=held.others,
        how=submitted.how,
        warnings=slow_cells(todo, on_cpu=submitted.on_cpu),
    )
    if on_start is not None:
        on_start(start)
    return _outcome(start, folder, carry_out(executor, jobs, on_change=on_change))


def _jobs(todo: Sequence[Cell], folder: StudyFolder, times: Times, *, from_start: bool) -> list[Job]:
    """The runs to be done, longest first: a long one that starts last would end alone."""
    jobs = []
    for cell in todo:
        state, needed = folder.states[cell.run_id], cost(cell)
        jobs.append(
            Job(
                cell.run_id,
                cell.config,
                folder.folder(cell),
                needed._replace(flops=left(cell, state.epoch, needed.flops)),
                from_start,
                seconds=left(cell, state.epoch, times.seconds_of(cell)),
                failed_before=state.status == "failed",
            )
        )
    return sorted(jobs, key=lambda job: (_unless_nan(job.seconds), _unless_nan(job.cost.flops)), reverse=True)


def _unless_nan(value: float) -> float:
    """What is not known comes first: it may be long."""
    return math.inf if math.isnan(value) else value


def _refused(found: Mapping[str, RunState], *, from_start: bool) -> dict[str, str]:
    """Why runs are not to be done, of those that are not complete either."""
    damaged = frozenset() if from_start else _NOT_WHOLE
    refused = {name: _OTHER for name, state in found.items() if state.status == "other"}
    return refused | {name: state.error for name, state in found.items() if state.status in damaged}


def _outcome(start: StudyStart, out: Path, statuses: Mapping[str, JobStatus]) -> StudyOutcome:
    def those(*wanted: str) -> tuple[str, ...]:
        return tuple(name for name, status in statuses.items() if status.state in wanted)

    failed = {name: statuses[name].message for name in those("failed")} | {**start.refused}
    done = {name for name, state in start.found.items() if state.status == "complete"} | {*those("complete", "skipped")}
    interrupted = those("running", "interrupted", "locked")
    names = [cell.run_id for cell in start.cells]
    # What the executor did not speak of was not started.
    waiting = tuple(name for name in names if name not in {*failed, *done, *interrupted})
    damaged = tuple(name for name in start.refused if start.found[name].status in _NOT_WHOLE)
    complete = tuple(name for name in names if name in done)
    advanced = any(status.step > 0 or status.state in {"complete", "failed"} for status in statuses.values())
    return StudyOutcome(
        out,
        complete,
        failed,
        interrupted,
        waiting,
        damaged,
        start.n_other_version,
        held=those("locked"),
        advanced=advanced,
    )
