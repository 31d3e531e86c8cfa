"""Where a study's runs are done: the executor protocol, and what every executor's runs have in common.

An executor takes jobs in, reports their status until none is left, and stops cleanly. It decides nothing
about a study: which runs are to be done is known before it is asked (:func:`contested.studies.run_study`), and a run's
folder says by itself how far it came. :class:`contested.studies.local.LocalExecutor` does the runs on this machine.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal, NamedTuple, Protocol

from contested.config import RunConfig
from contested.stopping import stop_signals
from contested.studies.folder import forget_failure, note_failure
from contested.studies.plan import UNKNOWN, Cost

State = Literal["waiting", "running", "complete", "skipped", "failed", "interrupted", "locked"]

_TOLD = 0.2  # seconds between two calls of on_change


class Job(NamedTuple):
    """A run to be done.

    Attributes:
        run_id: Its name.
        config: Its configuration.
        out: Its folder.
        cost: What it is expected to take.
        from_start: Whether it begins again where its folder has lost something: ``from_start="damaged"`` of
            :func:`contested.runs.train_config`.
        seconds: What is left of it, as far as that is learned from finished runs; NaN where none is finished.
        failed_before: Whether it had failed when the study was resumed, and is tried again.
    """

    run_id: str
    config: RunConfig
    out: Path
    cost: Cost = UNKNOWN
    from_start: bool = False
    seconds: float = math.nan
    failed_before: bool = False


@dataclass
class JobStatus:
    """The status of a run in this invocation.

    Attributes:
        state: What happens with it now: ``waiting``, ``running``, ``complete``, ``skipped`` (found complete when its
            turn came), ``failed``, ``interrupted`` or ``locked`` (another process trains it).
        step: Optimiser steps done.
        total_steps: Steps of the whole run; 0 before it starts.
        checkpoint: Step of the last checkpoint recorded in this invocation; 0 before the first.
        loss: Training loss of the last step (nats); None before it.
        contested_change: Mean Δℓ so far of the category of highest entropy (nats); None before the second checkpoint.
        alarms: Sentences of alarms that were raised.
        notes: Sentences about how the run is computed.
        message: Why it failed; empty otherwise.
    """

    state: State = "waiting"
    step: int = 0
    total_steps: int = 0
    checkpoint: int = 0
    loss: float | None = None
    contested_change: float | None = None
    alarms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    message: str = ""


class Submitted(NamedTuple):
    """What an executor answers when it has taken jobs in.

    Attributes:
        how: How they are done, as a phrase: "2 at once".
        on_cpu: Whether runs that leave the device open train on a CPU.
    """

    how: str
    on_cpu: bool = True


class Executor(Protocol):
    """Does runs, on this machine or elsewhere; used once.

    One whose ``is_here`` is false does them on other machines: this one need not have the devices that runs name.
    """

    def submit(self, jobs: Sequence[Job]) -> Submitted:
        """Take jobs in, in the order in which they should start; return without waiting for them.

        Args:
            jobs: The runs.

        Returns:
            How they are done.
        """

    def watch(self) -> Generator[Mapping[str, JobStatus], None, None]:
        """Report the status of the submitted jobs.

        It ends when no job is ``waiting``, ``running`` or ``locked`` any more or, after :meth:`stop`, when none is
        ``running``. Closing it early ends what it holds.

        Returns:
            Gives run id to status, several times a second at most; the mapping may be the same object each time.
        """

    def stop(self) -> None:
        """Start nothing more, and ask running jobs to save their state and stop; signal handlers call it."""


def carry_out(
    executor: Executor, jobs: Sequence[Job], *, on_change: Callable[[Mapping[str, JobStatus]], None] | None = None
) -> dict[str, JobStatus]:
    """Watch submitted jobs to their ends; a failed one does not stop the others.

    Ctrl-C and other signals that ask to stop do so in good order the first time, and at once the second time. Why a job
    failed is kept in the study's folder.

    Args:
        executor: What the jobs were submitted to.
        jobs: The jobs.
        on_change: Called with the statuses a few times a second, and once at the end.

    Returns:
        Run id to its last status, ``failed`` and ``interrupted`` ones included.
    """
    found: Mapping[str, JobStatus] = {}
    notes, told = _Notes(jobs), 0.0
    with _stopped_by_signals(executor), contextlib.closing(executor.watch()) as watched:
        for found in watched:
            notes.keep(found)
            if on_change is not None and time.monotonic() - told > _TOLD:
                on_change(found)
                told = time.monotonic()
    notes.keep(found)
    if on_change is not None:
        on_change(found)
    return dict(found)


class _Notes:
    """Keeps in the study's folder why runs failed, also of those that failed before they had a manifest."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._folders = {job.run_id: job.out for job in jobs}
        self._seen: dict[str, State] = {}

    def keep(self, statuses: Mapping[str, JobStatus]) -> None:
        for run_id, status in statuses.items():
            before, self._seen[run_id] = self._seen.get(run_id, "waiting"), status.state
            if status.state == before:
                continue
            if status.state == "failed":
                note_failure(self._folders[run_id], status.message)
            else:  # It began again: what an earlier invocation noted no longer holds.
                forget_failure(self._folders[run_id])


@contextlib.contextmanager
def _stopped_by_signals(executor: Executor) -> Iterator[None]:
    """Let signals stop an executor in good order the first time, and raise KeyboardInterrupt the second time."""
    stopping = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            raise KeyboardInterrupt
        stopping = True
        executor.stop()

    with stop_signals(handle):
        yield
