"""A study's workers as tasks of Ray, one for each GPU or core, on this machine or a cluster.

Each works on the study as any other (:func:`contested.studies.run_study`): it takes runs out of the folder. Ray only
places the workers, and starts one that is lost with its node again elsewhere; the run that it trained resumes from its
last snapshot, by whoever takes it first. What the workers say of their runs comes back by an actor.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from contested.beside import cores
from contested.errors import ConfigError, ContestedError
from contested.studies.execute import Job, JobStatus, Submitted
from contested.studies.file import open_study
from contested.studies.local import LocalExecutor
from contested.studies.plan import Device, measure
from contested.studies.ray_board import LIVES, Board
from contested.studies.running import run_study
from contested.wording import counted

_LISTEN = 0.5  # seconds between two looks at what the workers say
_OWN = frozenset({"running", "complete", "failed", "interrupted"})  # what a worker says of runs that it takes
_LEFT = frozenset({"waiting", "running", "interrupted"})
_NEEDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {"--num-cpus": ("cpus", int), "--num-gpus": ("gpus", float)}
_LONGEST = 107 - len("/ray/session_2026-11-30_00-00-00_000000_0000000/sockets/plasma_store.00")
"""Bytes of a folder in which Ray can make its sockets."""


class RayError(ContestedError):
    """Ray is not there, cannot be reached, or could not do what it was asked for."""


class Needs(NamedTuple):
    """What a worker asks Ray for.

    Attributes:
        cpus: Cores.
        gpus: A GPU, or a share of one, or 0; None for one where the cluster has any.
    """

    cpus: int = 1
    gpus: float | None = None


def parse_needs(options: Sequence[str]) -> Needs:
    """Read what each worker asks for.

    Args:
        options: ``--num-cpus=4`` and ``--num-gpus=1``, the values also apart.

    Returns:
        What that is.

    Raises:
        ConfigError: If it is anything else.
    """
    needs, parts = Needs(), [part for option in options for part in option.split("=", 1)]
    try:
        for name, value in zip(parts[::2], parts[1::2], strict=True):
            field, read = _NEEDS[name]
            needs = needs._replace(**{field: read(value)})
    except (KeyError, ValueError):
        needs = Needs(0)
    if needs.cpus < 1 or not 0 <= (needs.gpus or 0) <= 1:
        raise ConfigError(
            f"{' '.join(options)!r} is nothing that a worker could ask Ray for. After -- give --num-cpus N (1 or more) "
            "and --num-gpus N (1, 0 or a share: a worker trains on one)."
        )
    return needs


class _Worker(LocalExecutor):
    """Leaves alone what was lost with its workers again and again, and trains by itself what was lost with one."""

    def __init__(self, deaths: Mapping[str, int], *, device: Device) -> None:
        super().__init__(1, device=device)
        self._deaths = deaths

    def submit(self, jobs: Sequence[Job]) -> Submitted:
        """Queue jobs; see :class:`~contested.studies.LocalExecutor`.

        Args:
            jobs: The runs.

        Returns:
            How many are done at once.
        """
        left = [job for job in jobs if self._deaths.get(job.run_id, 0) < LIVES]
        return super().submit([_apart(job) if job.run_id in self._deaths else job for job in left])


def _apart(job: Job) -> Job:
    execution = job.config.execution.model_copy(update={"stack": 1})
    return job._replace(config=job.config.model_copy(update={"execution": execution}))


class RayExecutor:
    """Does runs by workers on Ray.

    Args:
        out: The study's folder, on a disk that all of them see.
        workers: How many at most; as many as the cluster has GPUs or cores for where not given.
        address: The cluster's, such as ``auto`` or ``10.0.0.1:6379``; that of ``RAY_ADDRESS`` where not given, and
            without it one that begins on this machine and ends with the study.
        needs: What each worker asks for; a core, and a GPU where the cluster has any, where not given.
        warn: Told of workers that were lost or could not work.

    Raises:
        RayError: If Ray is not installed.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        *,
        workers: int | None = None,
        address: str | None = None,
        needs: Needs | None = None,
        warn: Callable[[str], object] = warnings.warn,
    ) -> None:
        self._ray = _ray()
        self._out = os.path.abspath(out)
        self._workers = workers
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._needs = needs or Needs()
        self._warn = warn
        self._is_ours = False
        self._board: Any = None
        self._tasks: dict[Any, int] = {}
        self._statuses: dict[str, JobStatus] = {}
        self._from_start = False
        self._stopping = self._told_to_stop = False
        self._errors: list[str] = []

    @property
    def is_here(self) -> bool:
        """Whether the workers are on this machine, which then needs the runs' devices."""
        return self._address == "local" and not self._ray.is_initialized()

    def submit(self, jobs: Sequence[Job]) -> Submitted:
        """Find the cluster, or begin one; the workers start with :meth:`watch`.

        Args:
            jobs: The runs.

        Returns:
            How many workers there are.

        Raises:
            RayError: If the cluster cannot be reached, or has no place for a worker.
        """
        self._statuses = {job.run_id: JobStatus() for job in jobs}
        self._from_start = any(job.from_start for job in jobs)
        if not jobs:
            return Submitted("by nobody")
        self._connect()
        has = self._ray.cluster_resources()
        cpus, gpus = self._needs
        gpus = float("GPU" in has) if gpus is None else gpus
        places = int(min(has.get("CPU", 0) / cpus, has.get("GPU", 0) / gpus if gpus else math.inf))
        if not places and not self._workers:
            self._close()
            raise RayError(
                f"Each worker asks for {counted(cpus, 'core')} and {gpus:g} GPU, and the cluster has "
                f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}. Ask for less after --, or give --workers where the "
                "cluster grows as it is asked."
            )
        self._needs, self._workers = Needs(cpus, gpus), min(self._workers or places, len(jobs))
        each = f"{gpus:g} GPU" if gpus else counted(cpus, "core")
        return Submitted(f"by {counted(self._workers, 'worker')} on Ray with {each} each", on_cpu=not gpus)

    def watch(self) -> Generator[Mapping[str, JobStatus], None, None]:
        """Start the workers, and report what they say.

        Yields:
            Run id to status, the same object each time.

        Raises:
            RayError: If the cluster is gone, or all workers ended before the runs did.
        """
        try:
            if self._statuses:
                self._start()
            while self._advance():
                yield self._statuses
            self._finish()
            yield self._statuses
        except self._ray.exceptions.RayError as error:
            raise RayError(f"The cluster does not answer: {_sentence(error)}. The same command resumes.") from error
        finally:
            self._close()

    def stop(self) -> None:
        """Start nothing more, and ask the workers to save what they train."""
        self._stopping = True  # Ray is asked by watch: not within a signal's handler.

    def _connect(self) -> None:
        """Reach the cluster; one that is already connected to stays as it is."""
        if self._ray.is_initialized():
            return
        own = {"num_cpus": cores(), "include_dashboard": False, **_short_folder()} if self._address == "local" else {}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray.init(self._address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except (OSError, RuntimeError, ValueError) as error:
            raise RayError(f"There is no Ray cluster at {self._address!r} that can be reached: {error}") from error
        self._is_ours = True

    def _start(self) -> None:
        here = self._ray.get_runtime_context().get_node_id()
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        # The board is where this process is, so that no other node takes it along.
        self._board = self._ray.remote(Board).options(num_cpus=0, scheduling_strategy=strategy).remote()
        for worker in range(self._workers or 0):
            self._put(worker)

    def _put(self, worker: int) -> None:
        """Have Ray start a worker, and start it again as often as it is lost."""
        task = self._ray.remote(_work).options(
            num_cpus=self._needs.cpus,
            num_gpus=self._needs.gpus,
            max_retries=-1,
            retry_exceptions=False,
            scheduling_strategy="SPREAD",
        )
        made = task.remote(worker, self._out, self._needs, self._board, from_start=self._from_start)
        self._tasks[made] = worker

    def _advance(self) -> bool:
        """Listen for a moment; say whether anything is left to wait for."""
        if self._stopping and not self._told_to_stop:
            self._told_to_stop = True
            for task in self._tasks:
                self._ray.cancel(task)
        if not self._tasks:
            return False
        ended, _ = self._ray.wait(list(self._tasks), timeout=_LISTEN)
        for task in ended:
            self._end(task, self._tasks.pop(task))
        self._listen()
        # A worker that has no place, or none again, need not begin once nothing is left.
        return bool(self._tasks) and (self._stopping or bool(self._left))

    @property
    def _left(self) -> list[str]:
        return [run_id for run_id, status in self._statuses.items() if status.state in _LEFT]

    def _listen(self) -> None:
        news, lost = self._ray.get(self._board.news.remote())
        for worker in lost:
            self._warn(
                f"Worker {worker} on Ray was lost and has begun again; its runs resume from their last snapshots"
            )
        self._statuses |= {run_id: status for run_id, status in news.items() if run_id in self._statuses}

    def _end(self, task: Any, worker: int) -> None:
        """Note how a worker ended; one that somebody else asked to stop, such as a node that goes, begins again."""
        try:
            if self._ray.get(task) and not self._stopping:
                self._put(worker)
        except self._ray.exceptions.TaskCancelledError:
            return
        except self._ray.exceptions.RayTaskError as error:
            self._errors.append(_sentence(error))
            self._warn(f"Worker {worker} on Ray ended: {self._errors[-1].rstrip('.')}")

    def _finish(self) -> None:
        """Say what is left as nobody is at work any more."""
        for run_id in self._left:
            if self._statuses[run_id].state == "running":
                self._statuses[run_id].state = "interrupted"
        if self._left and not self._stopping:
            raise RayError("The workers on Ray ended before the study was done:", sorted({*self._errors}))

    def _close(self) -> None:
        """End the workers that are left, and the cluster where it is ours."""
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._tasks, self._board = {}, None
        if self._is_ours:
            self._ray.shutdown()


def _work(worker: int, out: str, needs: Needs, board: Any, *, from_start: bool) -> bool:
    """A worker's life, as a task of Ray; says whether it was asked to stop."""
    get = _ray().get
    deaths = get(board.begin.remote(worker))
    told: dict[str, JobStatus] = {}

    def tell(statuses: Mapping[str, JobStatus]) -> None:
        news = {run_id: replace(status) for run_id, status in statuses.items() if told.get(run_id) != status}
        told.update(news)
        board.tell.remote(worker, {run_id: status for run_id, status in news.items() if status.state in _OWN})

    study, executor = open_study(Path(out)), _Worker(deaths, device=_device(needs))
    outcome = run_study(study, out, executor=executor, on_change=tell, from_start=from_start)
    # Of runs that another one did before it was lost, nothing may have been heard.
    ends = {run_id: JobStatus("complete") for run_id in outcome.complete}
    ends |= {run_id: JobStatus("failed", message=why) for run_id, why in outcome.failed.items()}
    get(board.end.remote(worker, ends))
    return any(deaths.get(run_id, 0) < LIVES for run_id in (*outcome.interrupted, *outcome.waiting))


def _device(needs: Needs) -> Device:
    """What a worker may use of its node."""
    if not needs.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    found = measure(0.05)
    return found if found.on_gpu else found._replace(slots=needs.cpus)


def _ray() -> Any:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ModuleNotFoundError as error:
        raise RayError(
            "Ray is not installed: pip install 'contested[ray]', or '.[ray]' in a checkout, here and on every node."
        ) from error
    return ray


def _short_folder() -> dict[str, str]:
    """Where a cluster of one's own has its files, if the usual folder's path is too long for sockets in it."""
    usual = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    return {"_temp_dir": "/tmp/ray"} if len(os.fsencode(usual)) > _LONGEST else {}


def _sentence(error: Any) -> str:
    """What went wrong, without the traceback that Ray adds."""
    cause = getattr(error, "cause", None) or error
    return str(cause) if isinstance(cause, ContestedError) else f"{type(cause).__name__}: {cause}".splitlines()[-1]
