"""A worker process of the local executor: does the runs that it is sent, one or a stack at a time."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contested.beside import import_to_stay
from contested.config import check_config
from contested.errors import ContestedError
from contested.stopping import STOP_SIGNALS
from contested.studies.execute import Job, State

if TYPE_CHECKING:
    from contested.runs import DataCache, Progress, RunResult

_TOLD = 0.5  # seconds between two reports of where a run stands


def device_of(asked: str, device: str | None) -> str:
    """Where a run trains: on its worker's device, unless its options name another kind or a particular one.

    Args:
        asked: What its options name.
        device: The worker's device; None for the CPU.

    Returns:
        The device.
    """
    return device if device is not None and asked in {"auto", "cuda"} else asked


def serve(pipe: Connection, threads: int | None, device: str | None) -> None:
    """Do run after run, until the pipe brings None or breaks.

    Args:
        pipe: Brings lists of runs, and takes what is told of them: ``(kind, run id, ...)``.
        threads: Threads of each run that does not say; None as torch has it.
        device: The worker's device; None for the CPU.
    """
    # What a terminal sends reaches the whole process group; the parent passes it on once, as SIGTERM.
    for number in {*STOP_SIGNALS} - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import_to_stay("contested.runs")
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
        for run_id, content, out, from_start in order:
            execution = content["execution"]
            execution["threads"] = execution["threads"] or threads
            execution["device"] = device_of(execution["device"], device)
            jobs.append(Job(run_id, check_config(content, out), Path(out), from_start=from_start))
        _Runs(jobs, pipe).do(cache)
        if len(jobs) > 1:
            gc.collect()  # Modules refer to each other in circles, and a stack's fill a device.


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


class _Runs:
    """The runs that a worker was sent at once; reports the status of each."""

    def __init__(self, jobs: Sequence[Job], pipe: Connection) -> None:
        self._jobs = jobs
        self._pipe = pipe
        self._left = {job.run_id: job for job in jobs}
        self._told: dict[int, tuple[float, int]] = {}

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
            train_stacked(
                runs,
                on_progress=self._tell,
                on_end=self._tell_end,
                cache=cache,
                from_start="damaged" if any(job.from_start for job in self._jobs) else False,
            )
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
        last, checkpoint = self._told.get(index, (0.0, 0))
        due = time.monotonic() - last > _TOLD or progress.step == progress.total_steps
        if due or progress.checkpoint > checkpoint:
            self._told[index] = (time.monotonic(), progress.checkpoint)
            alarms = tuple(alarm.message for alarm in progress.alarms)
            said = (alarms, progress.notes)
            where = (*progress[:2], progress.checkpoint, progress.loss, progress.contested_change, *said)
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
        return "locked"
    if isinstance(end, ContestedError):
        return "failed"
    return "complete" if end.trained else "skipped"
