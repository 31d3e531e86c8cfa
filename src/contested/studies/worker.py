"""A worker of a study: it takes a run that nobody holds, longest first, trains it, and takes the next.

The study's folder is the queue, so workers need not know of each other: who holds a run says the run's folder, what is
complete its manifest. A worker with an end of its time takes nothing that does not fit into what is left.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from contested.errors import RunError
from contested.studies.execute import Job, State
from contested.studies.folder import state_of
from contested.trajectories import RunLockedError, held, holder

GRACE = 60.0
"""Seconds before the end of a worker's time at which it saves what it trains; a tenth of its time if that is less."""
HELD_ELSEWHERE = 3
"""Exit code of a worker with an end of its time that leaves to others what they hold."""
TOO_SHORT = 4
"""Exit code of a worker whose time ended before it had taken a step."""

_POLL = 2.0  # seconds between looks at a run that another worker holds
_WHOLE = 0.9  # what is left at least of a worker's time as it takes a run that is longer than all of it


class RunQueue:
    """The runs that a worker may take: longest first, none that another worker holds, none that does not fit.

    Args:
        jobs: The runs, longest first.
        on_end: Told of each run that needs no training here any more, or not now: its state and why.
        until: The end of the worker's time, in seconds since 1970; none where not given.

    Attributes:
        waiting: Runs that have not been taken.
    """

    def __init__(
        self, jobs: list[Job], *, on_end: Callable[[Job, State, str], None], until: float | None = None
    ) -> None:
        self.waiting = jobs
        self._held: deque[tuple[float, Job]] = deque()
        self._seen: set[str] = set()
        self._alive: set[str] = set()
        self._on_end = on_end
        span = math.inf if until is None else until - time.time()
        self._until = math.inf if until is None else until - min(GRACE, span / 10)
        self._span = self._until - time.time()

    @property
    def is_over(self) -> bool:
        """Whether the worker's time is: what it trains is to be saved now."""
        return time.time() >= self._until

    @property
    def has_to_wait(self) -> bool:
        """Whether to wait for a run that somebody else holds.

        With an end of its time a worker waits only until each of the others has given a sign of life.
        """
        if self._until == math.inf:
            return bool(self._held)
        return any(self.fits(job) and job.run_id not in self._alive for _, job in self._held)

    def take(self, most: Callable[[Job], int], key: Callable[[Job], str | None]) -> list[Job]:
        """Take the first run that is free and fits, and those that train together with it.

        Args:
            most: How many runs one trains together with at most, itself included.
            key: What runs that train together have in common; None for one that trains alone.

        Returns:
            The runs; none where there is none.
        """
        self._look_again()
        taken: list[Job] = []
        for job in list(self.waiting):
            if taken and not (key(job) == key(taken[0]) and self._fit([*taken, job])):
                continue
            if self.fits(job) and self._is_free(job):
                self.waiting.remove(job)
                taken.append(job)
                if key(job) is None or len(taken) >= most(taken[0]):
                    break
        return taken

    def fits(self, job: Job) -> bool:
        """Whether a run ends before the worker's time does, as far as is known.

        One that is longer than all of a worker's time is taken at its beginning: it is saved at the end, and resumed by
        the next worker.

        Args:
            job: The run.

        Returns:
            True also where it is not known how long it takes.
        """
        remaining = self._until - time.time()
        if not job.seconds > remaining:
            return remaining > 0
        return job.seconds > self._span and remaining > _WHOLE * self._span

    def _fit(self, jobs: list[Job]) -> bool:
        """Whether runs that train together end in time: each has its share of the steps' time, so shares add up."""
        return not sum(job.seconds for job in jobs) > self._until - time.time()

    def hold(self, job: Job) -> None:
        """Look at a run again later, which another worker holds."""
        self._held.append((time.monotonic() + _POLL, job))

    def _look_again(self) -> None:
        """Queue runs that another worker held: complete by now, or left for us."""
        for _ in range(len(self._held)):
            due, job = self._held.popleft()
            if time.monotonic() >= due:
                self.waiting.insert(0, job)
            else:
                self._held.append((due, job))

    def _is_free(self, job: Job) -> bool:
        """Whether a run is to be trained here; one that somebody else holds or has ended is taken out."""
        found = state_of(job.config, job.out)
        ended: State | None = None
        if found.status == "complete" and not job.from_start:
            ended = "skipped"
        elif found.status == "failed" and not job.failed_before:
            ended = "failed"  # by another worker, since this one began
        elif self._is_held(job):
            ended = "locked"
            self.hold(job)
        if ended is None:
            return True
        self.waiting.remove(job)
        self._on_end(job, ended, found.error if ended == "failed" else "")
        return False

    def _is_held(self, job: Job) -> bool:
        """Whether somebody else holds a run, dead or alive as far as is known."""
        try:
            found = holder(job.out)
            if found is not None and found.alive is False:
                # The process that is to train it here has not watched the dead one for as long.
                with held(job.out):
                    return False
        except RunLockedError:
            return True
        except RunError:
            return False  # What is wrong with its folder is said when it is to be trained.
        if found is None:
            return False
        # Of a process elsewhere a first look says nothing; at a second one it may have given a sign of life.
        if found.alive or (found.silent_s == 0 and job.run_id in self._seen):
            self._alive.add(job.run_id)
        self._seen.add(job.run_id)
        return True
