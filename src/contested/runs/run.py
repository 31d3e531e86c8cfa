"""Run or resume one run: the rooms wired together."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from contested import tasks, training
from contested.config import Method, ProbesSection, RunConfig, check_config
from contested.errors import ConfigError, ContestedError, RunError
from contested.runs.folder import check_folder, check_same_run, identity_of, locked, open_folder, save_model
from contested.runs.prepare import Prepared, Shared, check_run, load_task, prepare, recipe
from contested.trajectories import RunWriter, Trajectory, layout, read_manifest


class Progress(NamedTuple):
    """Where a run stands, for people.

    Attributes:
        step: Optimiser steps done.
        total_steps: Steps of the whole run.
        loss: Training loss of the last step (weighted, nats).
        contested_change: Mean Δℓ so far of the category of highest entropy (nats), or None before the
            second checkpoint.
    """

    step: int
    total_steps: int
    loss: float
    contested_change: float | None


class RunResult(NamedTuple):
    """What :func:`train` leaves.

    Attributes:
        path: The run folder.
        run_id: The run's name.
        status: ``complete``.
        trained: False if the folder already held this run, complete.
    """

    path: Path
    run_id: str
    status: str
    trained: bool

    @property
    def trajectory(self) -> Trajectory:
        """The recorded trajectory, read from the folder."""
        return Trajectory.load(self.path)


def train(
    model: str,
    method: Method,
    task: tasks.TextClassificationTask,
    *,
    out: str | os.PathLike[str],
    max_length: int = 128,
    seed: int = 42,
    name: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **sections: dict[str, Any],
) -> RunResult:
    """Train one run from Python; the same folder resumes it.

    Args:
        model: A hub name or a local folder.
        method: ``LoRA(...)``, ``Full()``, ``IA3()`` or ``PEFT(...)``.
        task: What trains and what is tracked, for example from :func:`contested.NLITask`.
        out: The run folder.
        max_length: Longest input in tokens.
        seed: Decides head, adapter, data order and dropout.
        name: A readable run id; made from model, method and seed where not given.
        on_progress: Called after each step.
        **sections: ``training``, ``tracking``, ``probes`` and ``execution`` as in the YAML configuration.

    Returns:
        Where the run is.

    Raises:
        ContestedError: One of its kinds, before any long work where possible.
    """
    # The task was given as an object: the configuration records where its data came from, the fingerprint what it is.
    described = {"annotated": {"path": task.annotated.source}, "text_columns": list(task.text_columns)}
    content = {
        "model": {"name": str(model), "max_length": max_length},
        "method": method.model_dump(),
        "task": described,
        "seed": seed,
        "name": name,
        **sections,
    }
    config = check_config(content, "given to train()")
    return execute(config, task.prepare(), out=Path(out), on_progress=on_progress)


def train_config(
    config: RunConfig,
    *,
    out: str | os.PathLike[str],
    on_progress: Callable[[Progress], None] | None = None,
    shared: Shared | None = None,
) -> RunResult:
    """Train the run that a configuration describes; the same folder resumes it.

    Args:
        config: The checked configuration.
        out: The run folder.
        on_progress: Called after each step.
        shared: What the runs of this process have in common; the run is the same without.

    Returns:
        Where the run is.

    Raises:
        ContestedError: One of its kinds, before any long work where possible.
    """
    problems = check_run(config)
    if problems:
        raise ConfigError("The run cannot start:", problems)
    data = load_task(config).prepare() if shared is None else shared.data(config)
    return execute(config, data, out=Path(out), on_progress=on_progress, shared=shared)


def execute(
    config: RunConfig,
    data: tasks.TaskData,
    *,
    out: Path,
    on_progress: Callable[[Progress], None] | None,
    shared: Shared | None = None,
) -> RunResult:
    """Run or resume one run in its folder, under the folder's lock.

    Args:
        config: The checked configuration.
        data: What trains and what is tracked.
        out: The run folder.
        on_progress: Called after each step.
        shared: What the runs of this process have in common.

    Returns:
        Where the run is.

    Raises:
        RunError: If the folder is in use, holds another run, or cannot be written.
        TrainingError: If the run failed; its manifest then says why.
        training.Interrupted: On Ctrl-C, with the state saved and status ``cancelled``.
    """
    check_folder(out)
    if config.execution.threads is not None:
        torch.set_num_threads(config.execution.threads)
    prepared = prepare(config, data, shared)
    identity = identity_of(config, prepared)
    with locked(out):
        existing = read_manifest(out) if (out / layout.MANIFEST).exists() else None
        if existing is not None:
            check_same_run(out, existing, identity)
            if existing["status"] == "complete":
                return RunResult(out, existing["run_id"], "complete", trained=False)
        writer, resume = open_folder(out, config, prepared, identity)
        _train(config, prepared, writer, resume=resume, on_progress=on_progress)
        return RunResult(out, writer.manifest["run_id"], "complete", trained=True)


def _train(
    config: RunConfig,
    prepared: Prepared,
    writer: RunWriter,
    *,
    resume: bool,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    engine = engine_of(config, prepared)
    watch = _ContestedWatch(writer, prepared.task)
    if resume:
        watch.read(writer)
    trainer = training.Trainer(
        prepared.model.module,
        engine,
        prepared.encoded,
        recipe(config),
        recorder=watch,
        state=writer.path / layout.STATE,
        tracking_batch_size=config.execution.tracking_batch_size,
        observer=None if on_progress is None else lambda step: on_progress(watch.progress(step)),
        probe=gradient_probe(config.probes, prepared, engine, writer),
    )
    try:
        trainer.fit(resume=resume)
        save_model(config, prepared, writer.path)
    except (training.Interrupted, KeyboardInterrupt):
        writer.finish("cancelled")
        raise
    except ContestedError as error:
        # A full disk may refuse this last word too; what was recorded stays readable either way.
        with contextlib.suppress(RunError):
            writer.finish("failed", error=error.message)
        raise
    writer.finish("complete")
    shutil.rmtree(writer.path / layout.STATE, ignore_errors=True)


def engine_of(config: RunConfig, prepared: Prepared) -> training.Engine:
    """What computes a run's logits."""
    return training.make_engine(
        prepared.model.module,
        pad_id=int(prepared.model.tokenizer.pad_token_id),
        device=prepared.device,
        precision=config.training.precision,
    )


def gradient_probe(
    probes: ProbesSection, prepared: Prepared, engine: training.Engine, writer: RunWriter
) -> training.GradientProbe | None:
    """The probe that a run asks for, or None where it asks for none."""
    if probes.gradient_norms == "never" and probes.every is None:
        return None
    categories = prepared.task.examples["category"].to_numpy(object)[: prepared.task.n_tracked]
    return training.GradientProbe(
        prepared.model.module,
        engine,
        prepared.encoded.tracked,
        prepared.encoded.tracked_labels,
        groups=training.groups_of(categories, prepared.task.category_names),
        recorder=writer,
        norms=probes.gradient_norms,
        every=probes.every,
        head=prepared.model.head,
        with_head=probes.head,
        mode=probes.mode,
    )


class _ContestedWatch:
    """Passes checkpoints on and keeps the mean Δℓ of the most disputed category for the progress bar."""

    def __init__(self, writer: RunWriter, task: tasks.TaskData) -> None:
        self._writer = writer
        self._rows = (task.examples["category"] == task.category_names[-1]).to_numpy()[: task.n_tracked]
        self._first: NDArray[np.float64] | None = None
        self._change: float | None = None

    def read(self, writer: RunWriter) -> None:
        """Take the first and last checkpoint from a folder that is resumed."""
        if writer.manifest["checkpoints"]:
            losses = Trajectory.load(writer.path).losses
            self._first = losses[0]
            self._change = self._mean(losses[-1]) if len(losses) > 1 else None

    def progress(self, step: training.Step) -> Progress:
        return Progress(step.step, step.total_steps, step.loss, self._change)

    def write_checkpoint(
        self, *, step: int, epoch: float, losses: NDArray[np.float64], logits: NDArray[np.float32]
    ) -> None:
        self._writer.write_checkpoint(step=step, epoch=epoch, losses=losses, logits=logits)
        self._change = self._mean(losses)
        if self._first is None:
            self._first = losses

    def list_checkpoint(self, *, step: int, epoch: float) -> None:
        self._writer.list_checkpoint(step=step, epoch=epoch)

    def write_metrics(self, values: Mapping[str, Any]) -> None:
        self._writer.write_metrics(values)

    def _mean(self, losses: NDArray[np.float64]) -> float | None:
        if self._first is None or not self._rows.any():
            return None
        return float((losses - self._first)[self._rows].mean())
