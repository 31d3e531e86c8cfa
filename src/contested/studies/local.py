"""The local executor: several runs at once on this machine, in worker processes that live on for the next ones.

A worker does one run at a time, or on a GPU a stack of runs over one backbone (:func:`contested.runs.train_stacked`).
Workers share nothing but the study's folder. A run's lock decides who trains it, so that a second invocation on the
same folder takes what is left instead of the same again. A worker that dies (killed, out of memory) takes its run
with it, not the study: the run resumes from its last snapshot the next time. A stack that breaks is tried again in
halves, which ends with the one run that is to blame.
"""

from __future__ import annotations

import contextlib
import gc
import math
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from contested.config import RunConfig, check_config
from contested.errors import ContestedError
from contested.studies.backbone import stacks
from contested.studies.folder import forget_failure, note_failure

if TYPE_CHECKING:
    from contested.runs import DataCache, Progress, RunResult

State = Literal["waiting", "running", "complete", "skipped", "failed", "interrupted", "elsewhere"]

_POLL = 2.0  # seconds between looks at a run that another invocation holds
_TOLD = 0.5  # seconds between two reports of where a run stands
_ON_CUDA = 8  # runs of a stack where the configuration does not say; a CPU is full with one


class Job(NamedTuple):
    """A run to be done.

    Attributes:
        run_id: Its name and its folder's.
        config: Its configuration.
        out: Its folder.
    """

    run_id: str
    config: RunConfig
    out: Path


@dataclass
class Standing:
    """Where a run stands in this invocation.

    Attributes:
        state: What happens with it now.
        step: Optimiser steps done.
        total_steps: Steps of the whole run; 0 before it starts.
        contested_change: Mean Δℓ so far of the most disputed category (nats).
        message: Why it failed; empty otherwise.
    """

    state: State = "waiting"
    step: int = 0
    total_steps: int = 0
    contested_change: float | None = None
    message: str = ""


def run_jobs(
    jobs: Sequence[Job],
    *,
    workers: int,
    threads: int | None = None,
    devices: Sequence[str] = (),
    on_change: Callable[[Mapping[str, Standing]], None] | None = None,
) -> dict[str, Standing]:
    """Do every run, several at once; a failed one does not stop the others.

    Ctrl-C stops after the step at hand of every run at work, with their states saved; a second one at once.

    Args:
        jobs: The runs, in the order in which they start.
        workers: Runs or stacks of runs at once.
        threads: CPU threads of a run whose configuration does not say how many.
        devices: Device of each worker in turn, such as ``cuda:0``; as configured where empty.
        on_change: Called with the standings whenever one changed, and about twice a second.

    Returns:
        Run id to standing, ``failed`` and ``interrupted`` ones included.
    """
    standings = {job.run_id: Standing() for job in jobs}
    pool = _Pool(jobs, standings, threads=threads, devices=devices)
    shown = 0.0
    try:
        with _Signals(pool):
            while pool.advance(min(workers, len(jobs))):
                if on_change is not None and time.monotonic() - shown > 0.2:
                    on_change(standings)
                    shown = time.monotonic()
    finally:
        pool.close()
    if on_change is not None:
        on_change(standings)
    return standings


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
    return _ON_CUDA if _place(config.execution.device, device).startswith("cuda") else 1


def _place(asked: str, device: str | None) -> str:
    """Where a run trains: on its worker's device, unless it asks for another kind or for one of them."""
    return device if device is not None and asked in {"auto", "cuda"} else asked


class _Worker(NamedTuple):
    process: Any
    pipe: Connection
    device: str | None


class _Pool:
    """The parent's side: hands out runs, listens, replaces workers that died."""

    def __init__(
        self, jobs: Sequence[Job], standings: dict[str, Standing], *, threads: int | None, devices: Sequence[str]
    ) -> None:
        self.standings = standings
        self.threads = threads
        self.stopping = False
        self._free_devices: deque[str] = deque(devices)
        self._waiting = deque(jobs)
        self._elsewhere: deque[tuple[float, Job]] = deque()
        # Each worker with those of its runs that have not ended.
        self._busy: dict[int, tuple[_Worker, dict[str, Job]]] = {}
        self._idle: list[_Worker] = []
        self._keys = {job.run_id: stack_key(job.config) for job in jobs}
        # What has proved to be too many at once.
        self._most: dict[str | None, int] = {}
        self._context = multiprocessing.get_context("spawn")

    def advance(self, workers: int) -> bool:
        """Start what can start, then listen for a moment.

        Args:
            workers: Most runs or stacks at once.

        Returns:
            Whether anything is left to wait for.
        """
        self._retry_elsewhere()
        while self._waiting and not self.stopping and len(self._busy) < workers:
            self._start(workers - len(self._busy))
        if not self._busy:
            if self.stopping or not self._elsewhere:
                return bool(self._waiting) and not self.stopping
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

    def stop(self) -> None:
        """Start nothing more, and ask the runs at work to stop after their step."""
        self.stopping = True
        for worker, _ in self._busy.values():
            with contextlib.suppress(ProcessLookupError, AttributeError):
                os.kill(worker.process.pid, signal.SIGTERM)

    def close(self) -> None:
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

    def _start(self, free: int) -> None:
        worker = self._idle.pop() if self._idle else self._spawn()
        jobs = self._take(worker.device, free)
        for job in jobs:
            self.standings[job.run_id].state = "running"
            forget_failure(job.out)
        self._busy[id(worker)] = (worker, {job.run_id: job for job in jobs})
        worker.pipe.send([(job.run_id, job.config.model_dump(mode="json"), str(job.out)) for job in jobs])

    def _take(self, device: str | None, free: int) -> list[Job]:
        """The next run with those that train together with it, but no more than leaves work for every free worker."""
        first = self._waiting[0]
        key = self._keys[first.run_id]
        size = stack_size(first.config, device)
        size = min(size, self._most.get(key, size), math.ceil(len(self._waiting) / free))
        fitting = [job for job in self._waiting if self._keys[job.run_id] == key]
        taken = [first] if key is None else fitting[:size]
        for job in taken:
            self._waiting.remove(job)
        return taken

    def _spawn(self) -> _Worker:
        device = self._free_devices[0] if self._free_devices else None
        self._free_devices.rotate(-1)
        mine, theirs = self._context.Pipe()
        # Daemons end with this process in every orderly end; after kill -9 they notice the closed pipe.
        process = self._context.Process(target=_work, args=(theirs, self.threads, device), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, mine, device)

    def _listen(self, key: int, worker: _Worker, left: dict[str, Job]) -> None:
        try:
            while left and worker.pipe.poll():
                kind, run_id, *content = worker.pipe.recv()
                if kind == "step":
                    standing = self.standings[run_id]
                    standing.step, standing.total_steps, standing.contested_change = content
                elif run_id in left:  # A worker that is stopped as it tells of an end may tell of it twice.
                    self._end(left.pop(run_id), kind, content[0])
        except (EOFError, OSError):
            self._bury(key, worker, left)
            return
        if not left:
            del self._busy[key]
            self._idle.append(worker)
        elif not worker.process.is_alive():
            self._bury(key, worker, left)

    def _end(self, job: Job, state: Any, message: str) -> None:
        standing = self.standings[job.run_id]
        if state == "apart":
            self._try_again([job], most=int(message))
            return
        standing.state, standing.message = state, message
        if state == "failed":
            note_failure(job.out, message)
        if state == "elsewhere" and not self.stopping:
            self._elsewhere.append((time.monotonic() + _POLL, job))

    def _try_again(self, jobs: Sequence[Job], *, most: int) -> None:
        """Go on with runs of a broken stack, at most so many at once."""
        for job in jobs:
            self._most[self._keys[job.run_id]] = most
            self.standings[job.run_id].state = "interrupted" if self.stopping else "waiting"
            if not self.stopping:
                self._waiting.append(job)

    def _bury(self, key: int, worker: _Worker, left: dict[str, Job]) -> None:
        worker.process.join(5)
        code = worker.process.exitcode
        del self._busy[key]
        if self.stopping or len(left) > 1:
            self._try_again(list(left.values()), most=max(1, len(left) // 2))
            return
        how = f"was killed (signal {-code})" if code is not None and code < 0 else f"ended with exit code {code}"
        why = f"its process {how}; perhaps the memory did not suffice (try fewer --jobs). The same command resumes it."
        for run_id in left:
            self.standings[run_id].state, self.standings[run_id].message = "failed", why

    def _retry_elsewhere(self) -> None:
        """Look again at runs that another invocation held: complete by now, or left for us."""
        for _ in range(len(self._elsewhere)):
            due, job = self._elsewhere.popleft()
            if time.monotonic() >= due:
                self._waiting.append(job)
            else:
                self._elsewhere.append((due, job))


class _Signals:
    """Ctrl-C and SIGTERM stop the pool in good order the first time, at once the second time."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._former: dict[int, Any] = {}

    def __enter__(self) -> None:
        def handle(number: int, frame: Any) -> None:
            if self._pool.stopping:
                raise KeyboardInterrupt
            self._pool.stop()

        with contextlib.suppress(ValueError):  # not the main thread: whoever started it decides
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, handle)

    def __exit__(self, *error: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)


def _work(pipe: Connection, threads: int | None, device: str | None) -> None:
    """A worker's life: run after run, until the pipe brings None or breaks."""
    # Ctrl-C reaches the whole process group; the parent passes it on once, as SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from contested.runs import DataCache

    cache = DataCache()
    while True:
        try:
            order = pipe.recv()
        except (EOFError, OSError):
            return
        if order is None:
            return
        jobs = []
        for run_id, content, out in order:
            execution = content["execution"]
            execution["threads"] = execution["threads"] or threads
            execution["device"] = _place(execution["device"], device)
            jobs.append(Job(run_id, check_config(content, out), Path(out)))
        _Orders(jobs, pipe).do(cache)
        if len(jobs) > 1:
            gc.collect()  # Modules refer to each other in circles, and a stack's fill a device.


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


class _Orders:
    """The worker's side: does the runs it was given and tells how each stands and ends."""

    def __init__(self, jobs: Sequence[Job], pipe: Connection) -> None:
        self._jobs = jobs
        self._pipe = pipe
        self._left = {job.run_id: job for job in jobs}
        self._told: dict[int, float] = {}

    def do(self, cache: DataCache) -> None:
        """Do all of them, whatever happens.

        Args:
            cache: What the runs of this process have in common.
        """
        from contested.runs import IncompatibleRunsError, train_stacked

        # The loop has a handler of its own; before and after it a request to stop ends the runs where they are.
        former = signal.signal(signal.SIGTERM, _interrupt)
        state, message = "failed", ""
        try:
            runs = [(job.config, job.out) for job in self._jobs]
            train_stacked(runs, on_progress=self._tell, on_end=self._tell_end, cache=cache)
        except KeyboardInterrupt:
            state = "interrupted"
        except IncompatibleRunsError:
            state, message = "apart", "1"
        except BrokenPipeError:
            raise SystemExit(1) from None
        except Exception:
            # Whatever else breaks one run is shown in full and does not stop the others.
            message = traceback.format_exc().strip()
            if len(self._left) > 1:
                state, message = "apart", str(len(self._left) // 2)
        finally:
            signal.signal(signal.SIGTERM, former)
        with contextlib.suppress(OSError):
            for run_id in self._left:
                self._pipe.send((state, run_id, message))

    def _tell(self, index: int, progress: Progress) -> None:
        last = self._told.get(index, 0.0)
        if time.monotonic() - last > _TOLD or progress.step == progress.total_steps:
            self._told[index] = time.monotonic()
            where = (progress.step, progress.total_steps, progress.contested_change)
            # A parent that is gone breaks the pipe, which ends this run where its snapshot stands.
            self._pipe.send(("step", self._jobs[index].run_id, *where))

    def _tell_end(self, index: int, end: RunResult | ContestedError) -> None:
        run_id = self._jobs[index].run_id
        failed = isinstance(end, ContestedError) and _state(end) == "failed"
        self._pipe.send((_state(end), run_id, str(end) if failed else ""))
        del self._left[run_id]


def _state(end: RunResult | ContestedError) -> State:
    from contested.runs import Interrupted, RunLockedError

    if isinstance(end, Interrupted):
        return "interrupted"
    if isinstance(end, RunLockedError):
        return "elsewhere"
    if isinstance(end, ContestedError):
        return "failed"
    return "complete" if end.trained else "skipped"
