"""The local executor: several runs at once on this machine, in worker processes that live on for the next ones.

A worker does one run at a time, or on a GPU a stack of runs over one backbone (:func:`contested.runs.train_stacked`).
Workers share nothing but the study's folder. A run's lease decides who trains it, so that a second invocation on the
same folder takes what is left. A worker that dies (killed, out of memory) takes its run with it, not the study: the
run resumes from its last snapshot, once, and the next time where that worker dies too. A stack that breaks is retried
in halves until only the run at fault is left.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import sys
import time
import types
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from contested.config import RunConfig
from contested.studies.backbone import stacks
from contested.studies.execute import Job, JobStatus, State, Submitted
from contested.studies.local_worker import device_of, serve
from contested.studies.plan import Device, measure, slots
from contested.studies.worker import RunQueue

_PROCESSES = multiprocessing.get_context("spawn")  # a worker begins with nothing of what this process has loaded
_ON_CUDA = 8  # runs of a stack where the configuration does not say; a CPU is full with one


def stack_key(config: RunConfig) -> str | None:
    """What runs that train together have in common.

    Args:
        config: A run's configuration.

    Returns:
        Equal for runs that fit together; None where the run trains alone.
    """
    method = config.method
    if method.name != "lora" or method.extra or not stacks(config.model.name):
        return None
    return str((config.model, method.target_modules, config.training.precision, config.execution))


def stack_size(config: RunConfig, device: str | None = None) -> int:
    """How many runs like one may train together.

    Args:
        config: Its configuration.
        device: The device of its worker, for a run that leaves it open.

    Returns:
        At least 1.
    """
    if config.execution.stack is not None:
        return config.execution.stack
    return _ON_CUDA if device_of(config.execution.device, device).startswith("cuda") else 1


class _Worker(NamedTuple):
    process: Any
    pipe: Connection
    device: str | None


class LocalExecutor:
    """Does runs in worker processes on this machine.

    Args:
        workers: Runs, or stacks of runs, at once; as cores, GPUs and memory allow where not given.
        device: What this machine has; measured where not given.
        until: The end of its time, in seconds since 1970: what is trained then is saved, and nothing starts that does
            not fit into what is left. None where not given.
    """

    def __init__(self, workers: int | None = None, *, device: Device | None = None, until: float | None = None) -> None:
        self._workers = workers
        self._device = device
        self._until = until
        self._threads: int | None = None
        self._free_devices: deque[str] = deque()
        self._statuses: dict[str, JobStatus] = {}
        self._stopping = False
        self._queue = RunQueue([], on_end=self._note)
        self._died: set[str] = set()
        # Each worker with those of its runs that have not ended.
        self._busy: dict[int, tuple[_Worker, dict[str, Job]]] = {}
        self._idle: list[_Worker] = []
        self._keys: dict[str, str | None] = {}
        # What has proved to be too many at once.
        self._most: dict[str | None, int] = {}

    def submit(self, jobs: Sequence[Job]) -> Submitted:
        """Queue jobs; the workers start with :meth:`watch`.

        Args:
            jobs: The runs, in the order in which they start.

        Returns:
            How many are done at once.
        """
        device = self._device or measure(0.05)
        workers = self._workers or slots([job.cost for job in jobs], device)
        # On a CPU each run has its share of the cores, unless its configuration says otherwise.
        self._threads = None if device.on_gpu else max(1, device.slots // workers)
        self._free_devices = deque(f"cuda:{index}" for index in range(device.slots) if device.on_gpu)
        self._workers = min(workers, len(jobs))
        self._statuses = {job.run_id: JobStatus() for job in jobs}
        each = device.rate / workers
        known = [job._replace(seconds=job.cost.seconds(each)) if math.isnan(job.seconds) else job for job in jobs]
        self._queue = RunQueue(known, on_end=self._note, until=self._until)
        self._keys = {job.run_id: stack_key(job.config) for job in jobs}
        kind = "cuda" if device.on_gpu else None
        most = max((stack_size(job.config, kind) for job in jobs if self._keys[job.run_id]), default=1)
        stacked = f", each of up to {most} LoRA runs over one backbone" if most > 1 else ""
        return Submitted(f"{workers} at once{stacked}", on_cpu=not device.on_gpu)

    def watch(self) -> Generator[Mapping[str, JobStatus], None, None]:
        """Do the jobs, and report their status.

        Yields:
            Run id to status, the same object each time.
        """
        try:
            while self._advance(self._workers or 0):
                yield self._statuses
            yield self._statuses
        finally:
            self._close()

    def stop(self) -> None:
        """Start nothing more, and ask the runs at work to stop after their step."""
        self._stopping = True
        for worker, _ in self._busy.values():
            with contextlib.suppress(ProcessLookupError, AttributeError):
                os.kill(worker.process.pid, signal.SIGTERM)

    def _advance(self, workers: int) -> bool:
        """Start what can start, then listen for a moment; say whether anything is left to wait for."""
        if self._queue.is_over and not self._stopping:
            self.stop()
        while not self._stopping and len(self._busy) < workers and self._start(workers - len(self._busy)):
            pass
        if not self._busy:
            if self._stopping or not self._queue.has_to_wait:
                return False
            time.sleep(0.2)
            return True
        sources: list[Any] = []
        for worker, _ in self._busy.values():
            sources += [worker.pipe, worker.process.sentinel]
        ready = wait(sources, timeout=0.5)
        for key, (worker, left) in list(self._busy.items()):
            if worker.pipe in ready or worker.process.sentinel in ready:
                self._listen(key, worker, left)
        return True

    def _close(self) -> None:
        """End the workers."""
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            with contextlib.suppress(OSError):
                worker.pipe.send(None)
                worker.pipe.close()
        for worker in self._idle:
            worker.process.join(10)
        for worker, _ in self._busy.values():
            worker.process.terminate()
            worker.process.join(10)

    def _start(self, free: int) -> bool:
        """Start what a worker may do; say whether there was anything."""
        jobs = self._take(self._idle[-1].device if self._idle else self._next_device, free)
        if not jobs:
            return False
        worker = self._idle.pop() if self._idle else self._spawn()
        for job in jobs:
            self._statuses[job.run_id].state = "running"
        self._busy[id(worker)] = (worker, {job.run_id: job for job in jobs})
        worker.pipe.send(
            [(job.run_id, job.config.model_dump(mode="json"), str(job.out), job.from_start) for job in jobs]
        )
        return True

    def _take(self, device: str | None, free: int) -> list[Job]:
        """The next run with those that train together with it, but no more than leaves work for every free worker."""
        waiting = len(self._queue.waiting)

        def most(first: Job) -> int:
            size = stack_size(first.config, device)
            return min(size, self._most.get(self._keys[first.run_id], size), math.ceil(waiting / free))

        return self._queue.take(most, lambda job: self._keys[job.run_id])

    @property
    def _next_device(self) -> str | None:
        return self._free_devices[0] if self._free_devices else None

    def _spawn(self) -> _Worker:
        device = self._next_device
        self._free_devices.rotate(-1)
        mine, theirs = _PROCESSES.Pipe()
        # Daemons end with this process in every orderly end; after kill -9 they notice the closed pipe.
        process = _PROCESSES.Process(target=serve, args=(theirs, self._threads, device), daemon=True)
        with _without_main():
            process.start()
        theirs.close()
        return _Worker(process, mine, device)

    def _listen(self, key: int, worker: _Worker, left: dict[str, Job]) -> None:
        try:
            while left and worker.pipe.poll():
                kind, run_id, *content = worker.pipe.recv()
                if kind == "step":
                    self._statuses[run_id] = JobStatus("running", *content)
                elif run_id in left:  # A worker that is stopped as it tells of an end may tell of it twice.
                    self._end(left.pop(run_id), kind, content[0])
        except (EOFError, OSError):
            self._reap(key, worker, left)
            return
        if not left:
            del self._busy[key]
            self._idle.append(worker)
        elif not worker.process.is_alive():
            self._reap(key, worker, left)

    def _end(self, job: Job, state: Any, message: str) -> None:
        if state == "apart":
            self._try_again([job], most=int(message))
            return
        self._note(job, state, message)
        if state == "locked" and not self._stopping:
            self._queue.hold(job)

    def _note(self, job: Job, state: State, message: str) -> None:
        """Note what became of a run, also of one whose turn came when another worker had it."""
        self._statuses[job.run_id].state, self._statuses[job.run_id].message = state, message

    def _try_again(self, jobs: Sequence[Job], *, most: int) -> None:
        """Queue the runs of a broken stack again, at most so many at once."""
        for job in jobs:
            self._most[self._keys[job.run_id]] = most
            self._statuses[job.run_id].state = "interrupted" if self._stopping else "waiting"
            if not self._stopping:
                self._queue.waiting.append(job)

    def _reap(self, key: int, worker: _Worker, left: dict[str, Job]) -> None:
        worker.process.join(5)
        code = worker.process.exitcode
        del self._busy[key]
        if self._stopping or len(left) > 1:
            self._try_again(list(left.values()), most=max(1, len(left) // 2))
            return
        if again := [job for job in left.values() if job.run_id not in self._died]:
            self._died.update(job.run_id for job in again)
            self._try_again(again, most=1)
            return
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed (signal {-code}), perhaps for lack of memory (try fewer --jobs)"
        why = f"its process {how}. The same command resumes it."
        for job in left.values():
            self._note(job, "failed", why)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keep a new process from running the caller's script again, of which a worker needs nothing.

    So a script needs no ``if __name__ == "__main__"``, and may come from stdin or a notebook.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
