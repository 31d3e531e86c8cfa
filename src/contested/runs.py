"""One run of the line: configuration in, rooms wired together, a run folder out."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np
import torch
from numpy.typing import NDArray

from contested import models, tasks, training
from contested.annotations import Annotations, Categories, read_annotations
from contested.config import Method, RunConfig, check_config
from contested.errors import ConfigError, ContestedError, DataError, RunError
from contested.trajectories import RunWriter, Trajectory, layout, read_manifest

_PACKAGES = ("contested", "torch", "transformers", "peft", "numpy", "scipy", "pyarrow")


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


@dataclass(frozen=True)
class Prepared:
    """A run whose every part has been checked and made, right before it starts."""

    model: models.TextModel
    task: tasks.TaskData
    encoded: training.TrainingSet
    device: torch.device


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
        **sections: ``training``, ``tracking`` and ``execution`` as in the YAML configuration.

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
    return execute(config, task, out=Path(out), on_progress=on_progress)


def train_config(
    config: RunConfig, *, out: str | os.PathLike[str], on_progress: Callable[[Progress], None] | None = None
) -> RunResult:
    """Train the run that a configuration describes; the same folder resumes it.

    Args:
        config: The checked configuration.
        out: The run folder.
        on_progress: Called after each step.

    Returns:
        Where the run is.

    Raises:
        ContestedError: One of its kinds, before any long work where possible.
    """
    problems = check_run(config)
    if problems:
        raise ConfigError("The run cannot start:", problems)
    return execute(config, load_task(config), out=Path(out), on_progress=on_progress)


def check_run(config: RunConfig) -> list[str]:
    """Find what would stop a run, without loading weights or data.

    Args:
        config: The checked configuration.

    Returns:
        One sentence a problem: missing files, unavailable devices, parts that do not fit.
    """
    task = config.task
    paths = [task.annotated.path]
    if task.bulk is not None and task.bulk.path is not None:
        paths += [task.bulk.path] if isinstance(task.bulk.path, str) else task.bulk.path
    problems = [f"no such file: {path}" for path in paths if not Path(path).is_file()]
    try:
        pick_device(config.execution.device)
    except ConfigError as error:
        problems.append(str(error))
    method, options = method_parts(config.method)
    problems += models.preflight(
        config.model.name,
        n_classes=3,
        method=method,
        options=options,
        max_length=config.model.max_length,
        revision=config.model.revision,
    )
    return problems


def load_task(config: RunConfig) -> tasks.TextClassificationTask:
    """Read the files that a configuration names.

    Args:
        config: The checked configuration.

    Returns:
        The task.

    Raises:
        DataError: With the problems of all files at once.
    """
    section = config.task
    annotated: Annotations | None = None
    problems: list[str] = []
    try:
        annotated = read_annotations(
            section.annotated.path, format=section.annotated.format, **section.annotated.options
        )
    except DataError as error:
        problems += [error.message, *error.problems]
    names = annotated.label_names if annotated is not None else tasks.NLI_LABELS
    bulk = None
    if section.bulk is not None:
        try:
            bulk = _load_bulk(section.bulk, names, section.text_columns)
        except DataError as error:
            problems += [error.message, *error.problems]
    if annotated is None or problems:
        raise DataError("The task's data cannot be used:", problems)
    return tasks.TextClassificationTask(
        annotated,
        bulk,
        text_columns=tuple(section.text_columns),
        bulk_size=section.bulk.size if section.bulk else None,
        bulk_seed=section.bulk.seed if section.bulk else 42,
        validation_fraction=section.validation_fraction,
        split_seed=section.split_seed,
        categories=section.categories
        if isinstance(section.categories, str)
        else Categories.from_bounds(section.categories),
        weighted=section.class_weights,
    )


def execute(
    config: RunConfig,
    task: tasks.TextClassificationTask,
    *,
    out: Path,
    on_progress: Callable[[Progress], None] | None,
) -> RunResult:
    """Run or resume one run in its folder, under the folder's lock.

    Args:
        config: The checked configuration.
        task: What trains and what is tracked.
        out: The run folder.
        on_progress: Called after each step.

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
    prepared = prepare(config, task)
    identity = _identity(config, prepared)
    with _locked(out):
        existing = read_manifest(out) if (out / layout.MANIFEST).exists() else None
        if existing is not None:
            _check_same_run(out, existing, identity)
            if existing["status"] == "complete":
                return RunResult(out, existing["run_id"], "complete", trained=False)
        writer, resume = _open(out, config, prepared, identity)
        _train(config, prepared, writer, resume=resume, on_progress=on_progress)
        return RunResult(out, writer.manifest["run_id"], "complete", trained=True)


def prepare(config: RunConfig, task: tasks.TextClassificationTask) -> Prepared:
    """Make data, model and tokens of a run.

    Args:
        config: The checked configuration.
        task: What trains and what is tracked.

    Returns:
        Everything the loop needs.
    """
    device = pick_device(config.execution.device)
    data = task.prepare()
    method, options = method_parts(config.method)
    model = models.build(
        config.model.name,
        label_names=data.label_names,
        method=method,
        options=options,
        max_length=config.model.max_length,
        revision=config.model.revision,
        seed=config.seed,
    )
    model.module.to(device)
    encoded = encode_task(data, model, config.model.max_length)
    return Prepared(model, data, encoded, device)


def encode_task(data: tasks.TaskData, model: models.TextModel, max_length: int) -> training.TrainingSet:
    """Tokenise a task for a model.

    Args:
        data: The concrete task.
        model: Decides tokenizer and layout.
        max_length: Longest input in tokens.

    Returns:
        Token ids and labels, tracked examples first.
    """

    def tokens(texts: Any) -> tasks.EncodedTexts:
        return tasks.encode(
            model.tokenizer, texts, max_length=max_length, decoder=model.decoder, cache=tasks.cache_folder()
        )

    columns = list(data.text_columns)
    tracked, validation = data.examples[: data.n_tracked], data.examples[data.n_tracked :]
    return training.TrainingSet(
        train=tokens(data.train_texts),
        labels=data.train_labels,
        tracked=tokens(tracked[columns]),
        tracked_labels=tracked["gold"].to_numpy(np.int64),
        validation=tokens(validation[columns]),
        validation_labels=validation["gold"].to_numpy(np.int64),
        class_weights=data.class_weights,
    )


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` into a device that is there.

    Raises:
        ConfigError: If the device is unknown or not available.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is None or device.type not in available:
        raise ConfigError(f"execution.device is {name!r}; expected auto, cpu, cuda, cuda:N or mps.")
    if not available[device.type] or (device.index or 0) >= max(1, torch.cuda.device_count()):
        here = ", ".join(kind for kind, there in available.items() if there)
        raise ConfigError(f"execution.device is {name!r}, which this machine has not (it has {here}). Use auto.")
    return device


def method_parts(method: Method) -> tuple[str, dict[str, Any]]:
    """A method's name and options as plain arguments of :func:`contested.models.build`."""
    name = method.type if method.name == "peft" else method.name
    return name, dict(method.options)


def check_folder(out: Path) -> None:
    """Refuse a folder that cannot take a run, before any work.

    Raises:
        RunError: If it is a file, is not writable, or holds other things than a run.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; --out must be a folder for the run.")
    known = {layout.MANIFEST, layout.LOCK, layout.EXAMPLES, layout.CHECKPOINTS, layout.METRICS}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        content = {file.name for file in out.iterdir()}
    except OSError as error:
        raise RunError(f"Cannot write to {out}: {error.strerror or error}. Choose another --out.") from error
    foreign = sorted(name for name in content - known if not name.startswith("."))
    if foreign and layout.MANIFEST not in content:
        raise RunError(
            f"{out} is not empty and holds no run (it has {', '.join(foreign[:3])}). Give an empty or new folder."
        )


def _train(
    config: RunConfig,
    prepared: Prepared,
    writer: RunWriter,
    *,
    resume: bool,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    engine = training.make_engine(
        prepared.model.module,
        pad_id=int(prepared.model.tokenizer.pad_token_id),
        pad_left=prepared.model.decoder,
        device=prepared.device,
        precision=config.training.precision,
    )
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
    )
    try:
        trainer.fit(resume=resume)
        _save_model(config, prepared, writer.path)
    except KeyboardInterrupt:
        writer.finish("cancelled")
        raise
    except ContestedError as error:
        # A full disk may refuse this last word too; what was recorded stays readable either way.
        with contextlib.suppress(RunError):
            writer.finish("failed", error=error.message)
        raise
    writer.finish("complete")
    shutil.rmtree(writer.path / layout.STATE, ignore_errors=True)


def recipe(config: RunConfig) -> training.Recipe:
    """The recipe of a configuration as plain numbers."""
    return training.Recipe(**config.training.model_dump(), **config.tracking.model_dump(), seed=config.seed)


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
        if self._first is None:
            self._first = losses
        else:
            self._change = self._mean(losses)

    def list_checkpoint(self, *, step: int, epoch: float) -> None:
        self._writer.list_checkpoint(step=step, epoch=epoch)

    def write_metrics(self, values: Any) -> None:
        self._writer.write_metrics(values)

    def _mean(self, losses: NDArray[np.float64]) -> float | None:
        return float((losses - self._first)[self._rows].mean()) if self._rows.any() else None


def _open(out: Path, config: RunConfig, prepared: Prepared, identity: dict[str, Any]) -> tuple[RunWriter, bool]:
    """Begin the folder, or go on from its snapshot; without a snapshot nothing can be gone on from."""
    state = out / layout.STATE
    if (out / layout.MANIFEST).exists() and training.has_snapshot(state):
        return RunWriter.resume(out, step=training.snapshot_step(state)), True
    for leftover in (out / layout.CHECKPOINTS, state):
        shutil.rmtree(leftover, ignore_errors=True)
    header = {
        "run_id": run_id(config, identity),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "identity": identity,
        "config": config.model_dump(mode="json"),
        "label_names": list(prepared.task.label_names),
        "category_names": list(prepared.task.category_names),
        "counts": {
            **prepared.task.counts,
            "truncated": prepared.encoded.train.truncated,
            "trainable_params": prepared.model.trainable_params,
            "total_params": prepared.model.total_params,
        },
        "provenance": provenance(prepared),
    }
    writer = RunWriter.create(
        out, header=header, examples=prepared.task.examples, text_columns=prepared.task.text_columns
    )
    return writer, False


def _identity(config: RunConfig, prepared: Prepared) -> dict[str, Any]:
    """What makes a run this run: its configuration but for where it executes, its data and its checkpoint."""
    fixed = config.model_dump(mode="json", exclude={"execution", "name"})
    return {"config": fixed, "data": prepared.task.fingerprint, "model": prepared.model.fingerprint}


def run_id(config: RunConfig, identity: dict[str, Any]) -> str:
    """A readable name that is stable for the same configuration, data and checkpoint."""
    if config.name:
        return config.name
    backbone = re.sub(r"[^A-Za-z0-9.]+", "-", Path(config.model.name).name).strip("-").lower()
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    return f"{backbone}-{config.method.label}-s{config.seed}-{digest}"


def _check_same_run(out: Path, manifest: dict[str, Any], identity: dict[str, Any]) -> None:
    before = manifest.get("identity", {})
    if before == identity:
        return
    problems = [
        f"{key}: the folder has {old!r}, now given {new!r}" for key, old, new in _differences(before, identity, "")
    ]
    raise RunError(
        f"{out} holds another run ({manifest['run_id']}, status {manifest['status']}). Choose another --out, or give "
        "the configuration that the folder was made with:",
        problems,
    )


def _differences(old: Any, new: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            path = name if key in {"", "config"} else f"{key}.{name}"
            yield from _differences(old.get(name), new.get(name), path)
    elif old != new:
        yield key, old, new


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    lock = filelock.FileLock(out / layout.LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RunError(f"{out} is being trained by another process. Wait for it, or choose another --out.") from None
    try:
        yield
    finally:
        lock.release()


def _save_model(config: RunConfig, prepared: Prepared, out: Path) -> None:
    """Write the adapter or model beside its place, then rename the whole folder."""
    target = out / ("model" if config.method.name == "full" else "adapter")
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=out))
        models.save(prepared.model.module, prepared.model.tokenizer, temporary)
        temporary.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
    except OSError as error:
        raise RunError(
            f"Cannot save the trained model to {target}: {error.strerror or error}. The trajectory is intact; make "
            "room or mend the rights, then give the same command to go on."
        ) from error


def provenance(prepared: Prepared) -> dict[str, Any]:
    """Code, packages, device and content fingerprints of a run, for its manifest."""
    device = prepared.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "code": _code_version(),
        "packages": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device.type,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "data_fingerprint": prepared.task.fingerprint,
        "model_fingerprint": prepared.model.fingerprint,
    }


def _code_version() -> dict[str, Any]:
    """The commit of the source tree that runs, where it is a git checkout; else only the version counts."""
    source = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", source, *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    tracked = git("ls-files", "--error-unmatch", __file__)
    if not tracked:
        return {"commit": None, "dirty": None}
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", str(source)))}


def _load_bulk(section: Any, label_names: tuple[str, ...], text_columns: list[str]) -> Any:
    if section.hub is not None:
        return tasks.hub_bulk(section.hub, subset=section.subset, split=section.split, label_names=label_names)
    return tasks.read_bulk(section.path, label_names=label_names, text_columns=text_columns)
