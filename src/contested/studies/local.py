"""The local executor: several runs at once on this machine, each in a worker process that lives on for the next.

Workers share nothing but the study's folder. A run's lock decides who trains it, so that a second invocation on the
same folder takes what is left instead of the same again. A worker that dies (killed, out of memory) takes its run
with it, not the study: the run resumes from its last snapshot the next time.
"""

from __future__ import annotations

import contextlib
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
from contested.studies.folder import forget_failure, note_failure

if TYPE_CHECKING:
    from contested.runs import Shared

State = Literal["waiting", "running", "complete", "skipped", "failed", "interrupted", "elsewhere"]

_POLL = 2.0  # seconds between looks at a run that another invocation holds


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
        workers: Runs at once.
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
        self._busy: dict[int, tuple[_Worker, Job]] = {}
        self._idle: list[_Worker] = []
        self._context = multiprocessing.get_context("spawn")

    def advance(self, workers: int) -> bool:
        """Start what can start, then listen for a moment.

        Args:
            workers: Most runs at once.

        Returns:
            Whether anything is left to wait for.
        """
        self._retry_elsewhere()
        while self._waiting and not self.stopping and len(self._busy) < workers:
            self._start(self._waiting.popleft())
        if not self._busy:
            if self.stopping or not self._elsewhere:
                return bool(self._waiting) and not self.stopping
            time.sleep(0.2)
            return True
        sources: list[Any] = []
        for worker, _ in self._busy.values():
            sources += [worker.pipe, worker.process.sentinel]
        ready = wait(sources, timeout=0.5)
        for key, (worker, job) in list(self._busy.items()):
            if worker.pipe in ready or worker.process.sentinel in ready:
                self._listen(key, worker, job)
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

    def _start(self, job: Job) -> None:
        worker = self._idle.pop() if self._idle else self._spawn()
        self.standings[job.run_id].state = "running"
        forget_failure(job.out)
        self._busy[id(worker)] = (worker, job)
        worker.pipe.send((job.config.model_dump(mode="json"), str(job.out)))

    def _spawn(self) -> _Worker:
        device = self._free_devices[0] if self._free_devices else None
        self._free_devices.rotate(-1)
        mine, theirs = self._context.Pipe()
        # Daemons end with this process in every orderly end; after kill -9 they notice the closed pipe.
        process = self._context.Process(target=_work, args=(theirs, self.threads, device), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, mine, device)

    def _listen(self, key: int, worker: _Worker, job: Job) -> None:
        standing = self.standings[job.run_id]
        try:
            while worker.pipe.poll():
                kind, *content = worker.pipe.recv()
                if kind == "step":
                    standing.step, standing.total_steps, standing.contested_change = content
                    continue
                standing.state, standing.message = kind, content[0]
                if kind == "failed":
                    note_failure(job.out, standing.message)
                del self._busy[key]
                self._idle.append(worker)
                if kind == "elsewhere" and not self.stopping:
                    self._elsewhere.append((time.monotonic() + _POLL, job))
                return
        except (EOFError, OSError):
            self._bury(key, worker, standing)
            return
        if not worker.process.is_alive():
            self._bury(key, worker, standing)

    def _bury(self, key: int, worker: _Worker, standing: Standing) -> None:
        worker.process.join(5)
        code = worker.process.exitcode
        del self._busy[key]
        if self.stopping:
            standing.state = "interrupted"
            return
        how = f"was killed (signal {-code})" if code is not None and code < 0 else f"ended with exit code {code}"
        standing.state = "failed"
        standing.message = (
            f"its process {how}; perhaps the memory did not suffice (try fewer --jobs). The same command resumes it."
        )

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
    from contested.runs import Shared

    shared = Shared()
    while True:
        try:
            order = pipe.recv()
        except (EOFError, OSError):
            return
        if order is None:
            return
        content, out = order
        execution = content["execution"]
        execution["threads"] = execution["threads"] or threads
        execution["device"] = device or execution["device"]
        config = check_config(content, out)
        answer = _run(config, Path(out), pipe, shared)
        with contextlib.suppress(OSError):
            pipe.send(answer)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _run(config: RunConfig, out: Path, pipe: Connection, shared: Shared) -> tuple[str, str]:
    from contested.runs import FolderInUse, Interrupted, Progress, train_config

    told = 0.0

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told > 0.5 or progress.step == progress.total_steps:
            told = time.monotonic()
            # A parent that is gone breaks the pipe, which ends this run where its snapshot stands.
            pipe.send(("step", progress.step, progress.total_steps, progress.contested_change))

    # The loop has a handler of its own; before and after it a request to stop ends the run where it is.
    former = signal.signal(signal.SIGTERM, _interrupt)
    try:
        result = train_config(config, out=out, on_progress=tell, shared=shared)
    except (Interrupted, KeyboardInterrupt):
        return "interrupted", ""
    except FolderInUse:
        return "elsewhere", ""
    except ContestedError as error:
        return "failed", str(error)
    except BrokenPipeError:
        raise SystemExit(1) from None
    except Exception:
        # Whatever else breaks one run is shown in full and does not stop the others.
        return "failed", traceback.format_exc().strip()
    finally:
        signal.signal(signal.SIGTERM, former)
    return ("complete" if result.trained else "skipped"), ""
