"""One session of a run: in its folder and under its lease, from its last snapshot to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from contested import tasks, training
from contested.config import RunConfig
from contested.errors import ContestedError, DamagedRunError, RunError
from contested.runs.folder import (
    FromStart,
    check_folder,
    check_same_run,
    identity_of,
    open_folder,
    run_id,
    save_model,
)
from contested.runs.following import Lead, loop_of
from contested.runs.prepare import DataCache, RunComponents, prepare
from contested.runs.proved import Kind
from contested.runs.proving import Proof, beginning, check_engines, check_weights, prove
from contested.runs.untouched import record_untouched, untouched
from contested.runs.watching import Progress, RunWatch
from contested.trajectories import RunWriter, Trajectory, layout, read_manifest
from contested.trajectories.lease import check_lease, held
from contested.trajectories.leftovers import drop_unlisted
from contested.trajectories.resuming import check_whole
from contested.trajectories.writer import disk_errors


class RunResult(NamedTuple):
    """The result of a complete run.

    Attributes:
        path: The run folder.
        run_id: The run's name.
        status: ``complete``.
        trained: False if the folder already held this run, complete.
        ended_by: ``alert`` where an alarm ended training before its planned steps; empty otherwise.
    """

    path: Path
    run_id: str
    status: str
    trained: bool
    ended_by: str = ""

    @property
    def trajectory(self) -> Trajectory:
        """The recorded trajectory, read from the folder."""
        return Trajectory.load(self.path)


@contextlib.contextmanager
def open_run(
    config: RunConfig,
    data: tasks.TaskData,
    *,
    out: Path,
    on_progress: Callable[[Progress], None] | None = None,
    cache: DataCache | None = None,
    from_start: FromStart = False,
    processes: training.Processes = training.ALONE,
    wait: bool = False,
) -> Iterator[RunSession | RunResult]:
    """Begin a run in its folder, or resume it; the folder's lease is held until the context ends.

    Of several processes the first one calls this; the others follow (:func:`contested.runs.following.follow`).

    Args:
        config: The checked configuration.
        data: What trains and what is tracked.
        out: The run folder.
        on_progress: Called after each step.
        cache: What the runs of this process have in common.
        from_start: Whether to remove what the folder holds of this run and begin again; ``damaged``: where it is
            complete and not whole, or cannot be resumed for what it has lost.
        processes: Those that train it together.
        wait: Whether to watch a process of another machine that holds the folder until it shows that it is alive.

    Yields:
        What is to be done, or the run's result where the folder holds it complete.

    Raises:
        ModelError: If no engine gives the logits of the library's own forward.
        RunError: If the folder is in use, holds another run, has lost something that was recorded, or cannot be
            written.
    """
    check_folder(out)
    with held(out, wait=wait):
        components = prepare(config, data, cache, processes)
        identity = identity_of(config, components)
        existing = _existing(out, from_start=from_start)
        if existing is not None:
            check_same_run(out, existing, identity)
            if existing["status"] == "complete" and from_start is not True:
                from_start = not _is_whole(out, begin_damaged=bool(from_start))
                if not from_start:
                    # What a process left that died between the last manifest and its end.
                    with disk_errors(out):
                        drop_unlisted(out, existing)
                    found = _result(out, existing, trained=False)
                    yield processes.first(lambda: found)
                    return
        before = None if from_start is True else existing
        processes.first(lambda: Lead(identity, before))
        begins = bool(from_start) or existing is None or not existing["checkpoints"]
        proofs = {} if cache is None else cache.proofs
        kind = Kind.of(config, components, proofs, before)
        begun = beginning(components, kind.shown)
        baseline = untouched(components, begun, batch_size=config.execution.tracking_batch_size) if begins else None
        proof = prove(config, components, begun, before, kind)
        kind.keep(proof, proofs, run_id(config, identity))
        writer, resume = open_folder(out, config, components, identity, proof, from_start=from_start)
        with _interruption_noted(writer):
            if baseline is not None and not resume:
                record_untouched(baseline, components, writer)
            session = RunSession(config, components, writer, proof, resume=resume, on_progress=on_progress)
            processes.first(lambda: resume)
            check_engines(config, components, proof.engine)
            yield session


@contextlib.contextmanager
def _interruption_noted(writer: RunWriter) -> Iterator[None]:
    """Write into the manifest that something else stopped a run that has begun; it resumes from its snapshot."""
    try:
        yield
    except BaseException:
        if writer.manifest["status"] == "running":  # else it has said itself how it ended
            # A full disk may refuse this last word; what was recorded stays readable either way.
            with contextlib.suppress(RunError):
                writer.finish("interrupted")
        raise


def _existing(out: Path, *, from_start: FromStart) -> dict[str, Any] | None:
    """The manifest that is there; a damaged one is none where the run begins again."""
    try:
        return read_manifest(out) if (out / layout.MANIFEST).exists() else None
    except DamagedRunError:
        if from_start:
            return None
        raise


def _is_whole(out: Path, *, begin_damaged: bool) -> bool:
    """Whether a complete run is as it was written; an error where it is not and does not begin again either."""
    try:
        check_whole(out)
    except DamagedRunError:
        if begin_damaged:
            return False
        raise
    return True


class RunSession:
    """A run that is begun or resumed.

    Args:
        config: The checked configuration.
        components: The run's parts.
        writer: Writes its folder.
        proof: What it has proven.
        resume: Whether it resumes from its snapshot.
        on_progress: Called after each step and each checkpoint.

    Attributes:
        config: The checked configuration.
        resume: Whether it resumes from its snapshot.
        loop: Takes its steps.
    """

    def __init__(
        self,
        config: RunConfig,
        components: RunComponents,
        writer: RunWriter,
        proof: Proof,
        *,
        resume: bool,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.config = config
        self.resume = resume
        self._components = components
        self._writer = writer
        self._proof = proof
        self._watch = watch = RunWatch(
            writer, components, config.alert, end=lambda: self.loop.end(), on_progress=on_progress
        )
        self.loop = loop_of(
            config,
            components,
            proof.engine,
            state=writer.path / layout.STATE,
            gradients=writer,
            recorder=watch,
            observer=None if on_progress is None else watch.on_step,
            capture=capture_of(config, components.device),
            before_saving=lambda: check_lease(writer.path),
        )
        watch.say_notes()
        if resume:
            watch.read()

    def run(self) -> RunResult:
        """Train alone to the end.

        Returns:
            Where the run is.

        Raises:
            TrainingError: If the run failed; its manifest then says why.
            training.Interrupted: On Ctrl-C, with the state saved and status ``interrupted``.
        """
        with self._ending():
            self.loop.fit(resume=self.resume)
        return self._components.processes.first(lambda: self._result)

    def close(self, error: ContestedError | None = None) -> RunResult | ContestedError:
        """End a run whose steps were taken together with others'.

        Args:
            error: What stopped it; it does not count where every step was taken and recorded before.

        Returns:
            Where the run is, or what stopped it.
        """
        try:
            with self._ending():
                if error is not None and not self._through:
                    raise error
        except ContestedError as reason:
            return reason
        return self._result

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """Save the model after what is done inside, and write into the manifest how it ended."""
        try:
            yield
            weights = save_model(self.config, self._components, self._writer.path, check=self._check_weights)
            self._writer.list_weights(weights)
        except training.Interrupted:
            self._writer.finish("interrupted")
            raise
        except ContestedError as error:
            with contextlib.suppress(RunError):  # as where it is interrupted
                self._writer.finish("failed", error=error.message)
            raise
        self._writer.finish("complete")

    def _check_weights(self, folder: Path) -> None:
        logits = self._watch.last_logits
        assert logits is not None, "a run ends with a checkpoint"
        checks = self._writer.manifest["checks"]
        if "weights" not in checks:
            checks["weights"] = check_weights(self.config, self._components, folder, logits, self._proof)

    @property
    def _through(self) -> bool:
        listed = self._writer.manifest["checkpoints"]
        return bool(listed) and self.loop.done(listed[-1]["step"])

    @property
    def _result(self) -> RunResult:
        return _result(self._writer.path, self._writer.manifest, trained=True)


def _result(out: Path, manifest: Mapping[str, Any], *, trained: bool) -> RunResult:
    return RunResult(out, manifest["run_id"], "complete", trained, manifest.get("ended_by", ""))


def capture_of(config: RunConfig, device: torch.device) -> training.Capture | None:
    """How whole steps are captured, or None where each is started piece by piece."""
    return training.CudaGraphs() if config.execution.graphs and device.type == "cuda" else None
