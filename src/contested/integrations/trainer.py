"""A callback of ``transformers.Trainer`` that records the tracked examples' logits while the Trainer trains."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import TrainerCallback

from contested.annotations import Annotations
from contested.errors import ConfigError, RunError
from contested.integrations.tracked import TrackedExamples, read_tracked
from contested.training import tracking_pass
from contested.training.objective import cross_entropy
from contested.training.passes import packing_problem
from contested.trajectories import RunWriter, Trajectory, layout, locked, read_manifest
from contested.trajectories.identity import IDENTITY_VERSION, differences, digest
from contested.trajectories.provenance import PACKAGES, run_provenance

DECISIVE = (
    *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio"),
    *("optim", "optim_args", "optim_target_modules", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon"),
    *("max_grad_norm", "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("label_smoothing_factor", "neftune_noise_alpha", "seed", "data_seed", "bf16", "fp16", "dataloader_drop_last"),
    *("train_sampling_strategy", "group_by_length", "ignore_data_skip"),
)
"""Arguments of a Trainer that decide what it trains, and so identify a run."""

_HELD: dict[Path, contextlib.ExitStack] = {}
"""Locks that this process holds: training that failed here never says so, and may be started again."""


class TrajectoryCallback(TrainerCallback):  # type: ignore[misc]
    """Records every tracked example's logits while ``transformers.Trainer`` trains, as a run folder.

    At step 0, every N optimiser steps, at the ends of epochs and at the end, each step once. Training ends with the
    same bits as without it. A Trainer that resumes from a checkpoint resumes the folder: what was recorded beyond the
    checkpoint's step is dropped. One process on one device; anything else is refused.

    Args:
        tracked: The examples to follow, as your own processing made them: a ``datasets.Dataset``, columns by name or
            a list of rows, with ``input_ids``, ``labels`` (class indices) and an id each; ``attention_mask`` and
            ``token_type_ids`` where there are any.
        out: The run folder, new or of this same run.
        every: Optimiser steps from one pass to the next.
        annotations: Annotators' labels, joined by id; tracked examples without are left out, with a warning.
        id_column: The column of ``tracked`` with ids.
        text_columns: Columns of ``tracked`` with texts to show in reports.
        label_names: Class names in the order of the model's logits; those of the model's configuration without it.
        batch_size: Tracked examples at work at once.
        name: The run's name; made of model, seed and identity without it.

    Examples:
        >>> callback = ct.TrajectoryCallback(tracked, out="runs/mine", every=100)  # doctest: +SKIP
        >>> Trainer(model, args, train_dataset=train, callbacks=[callback]).train()  # doctest: +SKIP
    """

    def __init__(
        self,
        tracked: Any,
        out: str | os.PathLike[str],
        *,
        every: int = 100,
        annotations: Annotations | None = None,
        id_column: str = "id",
        text_columns: Sequence[str] = (),
        label_names: Sequence[str] | None = None,
        batch_size: int = 64,
        name: str | None = None,
    ) -> None:
        for option, value in (("every", every), ("batch_size", batch_size)):
            if value < 1:
                raise ConfigError(f"{option} is {value}; expected a whole number from 1.")
        self._tracked = read_tracked(tracked, annotations, id_column=id_column, text_columns=text_columns)
        self._out = Path(out).expanduser()
        self._every = every
        self._label_names = None if label_names is None else tuple(label_names)
        self._batch_size = batch_size
        self._name = name
        # What has been recorded is in the folder alone; this writes it, once training has begun.
        self._writer: RunWriter | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begin the folder or resume it, and record step 0."""
        model: nn.Module = given["model"]
        check_supported(args)
        names = label_names(model, self._label_names, self._tracked)
        identity = self._identity(args, model, given.get("train_dataloader"))
        self._writer = None
        with self._lock() as lock:
            self._open(args, state, identity, names=names, **given)
            _HELD[self._out.resolve()] = lock.pop_all()

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Record a step that is due: before the Trainer saves a checkpoint of it."""
        if self._due(state):
            self._record(state, **given)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Record the end of an epoch, also of one that was cut short."""
        self._record(state, **given)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Say in the manifest that the run is complete; the model may be another one by now (the best)."""
        if self._writer is not None:
            self._writer.finish("complete")
            self._writer = None
        _release(self._out)

    def _due(self, state: Any) -> bool:
        step, epoch = state.global_step, float(state.epoch or 0)
        return step % self._every == 0 or step >= state.max_steps or epoch.is_integer()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[contextlib.ExitStack]:
        if self._out.exists() and not self._out.is_dir():
            raise RunError(f"{self._out} is a file; out must be a folder for the run.")
        _release(self._out)
        try:
            self._out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"Cannot write to {self._out}: {error.strerror or error}. Give another out.") from error
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(self._out, instead=", or give another out"))
            yield stack

    def _open(self, args: Any, state: Any, identity: dict[str, Any], *, names: tuple[str, ...], **given: Any) -> None:
        """Resume the folder where training resumes, else begin it."""
        existing = read_manifest(self._out) if (self._out / layout.MANIFEST).exists() else None
        if existing is not None:
            check_same_run(self._out, existing, identity)
        if state.global_step == 0:
            self._check_free(existing)
            self._writer = self._begin(args, identity, names=names, **given)
            return
        if existing is None or not existing["checkpoints"]:
            raise RunError(
                f"Training resumes at step {state.global_step:,}, but {self._out} holds no run. Give the folder of "
                "the training that is resumed as out, or train from the start."
            )
        self._writer = RunWriter.resume(self._out, step=state.global_step)
        if self._due(state):
            self._record(state, **given)

    def _check_free(self, existing: Mapping[str, Any] | None) -> None:
        if existing is not None and existing["status"] == "complete":
            raise RunError(
                f"{self._out} holds this run already, complete. Give another out, or remove the folder to train again."
            )
        foreign = sorted(file.name for file in self._out.iterdir() if not file.name.startswith("."))
        if existing is None and foreign:
            raise RunError(
                f"{self._out} is not empty and holds no run (it has {', '.join(foreign[:3])}). Give a new folder."
            )

    def _begin(self, args: Any, identity: dict[str, Any], *, names: tuple[str, ...], **given: Any) -> RunWriter:
        """Record step 0 in a folder without checkpoints, whatever an earlier start left there."""
        model, tracked = given["model"], self._tracked
        logits = self._logits(model, given.get("processing_class"))
        run = Trajectory.from_arrays(
            logits=logits[None],
            ids=tracked.ids,
            gold=tracked.gold,
            label_counts=_in_order(tracked, names),
            label_names=names,
            texts=dict(tracked.texts) or None,
            steps=[0],
            check_label_order=False,  # An untrained head may contradict the labels.
        )
        shutil.rmtree(self._out / layout.CHECKPOINTS, ignore_errors=True)
        header = {
            "run_id": self._name or _run_id(args, model, identity),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "origin": {"kind": "transformers.Trainer", "every": self._every},
            "identity": identity,
            "label_names": list(run.label_names),
            "category_names": list(run.category_names),
            "counts": dict(tracked.counts),
            "provenance": _provenance(args, model, identity),
        }
        writer = RunWriter.create(self._out, header=header, examples=run.examples, text_columns=run.text_columns)
        self._write(writer, 0, 0.0, logits)
        return writer

    def _record(self, state: Any, **given: Any) -> None:
        step, writer = state.global_step, self._writer
        if writer is None or (writer.manifest["checkpoints"] and writer.manifest["checkpoints"][-1]["step"] >= step):
            return
        logits = self._logits(given["model"], given.get("processing_class"))
        broken = [self._tracked.ids[row] for row in np.flatnonzero(~np.isfinite(logits).all(axis=1))]
        if broken:
            # Training is its owner's affair, and goes on.
            told = f"At step {step:,} the logits of {len(broken):,} of {len(logits):,} tracked examples are not finite"
            writer.finish("failed", error=f"{told}, the first of {broken[0]!r}.")
            warnings.warn(f"{told} ({', '.join(broken[:10])}); recording into {self._out} ends here.", stacklevel=2)
            self._writer = None
            return
        self._write(writer, step, float(state.epoch or 0), logits)

    def _write(self, writer: RunWriter, step: int, epoch: float, logits: NDArray[np.float32]) -> None:
        losses = cross_entropy(logits, self._tracked.gold)
        writer.write_checkpoint(step=step, epoch=epoch, losses=losses, logits=logits)
        writer.list_checkpoint(step=step, epoch=epoch)

    def _logits(self, model: nn.Module, tokenizer: Any) -> NDArray[np.float32]:
        pad_id = getattr(tokenizer, "pad_token_id", None)
        return tracking_pass(model, self._tracked.encoded, pad_id=pad_id, batch_size=self._batch_size)

    def _identity(self, args: Any, model: nn.Module, loader: Any) -> dict[str, Any]:
        dataset: Any = getattr(loader, "dataset", None)
        size = {"train_examples": len(dataset)} if hasattr(dataset, "__len__") else {}
        config = {"arguments": decisive(args), "every": self._every, **size}
        data = self._tracked.fingerprint
        return {"version": IDENTITY_VERSION, "config": config, "data": data, "model": _structure(model)}


def check_supported(args: Any) -> None:
    """Refuse training that is spread over processes or devices.

    Args:
        args: The Trainer's arguments.

    Raises:
        ConfigError: If more than one process or device trains.
    """
    spread = {
        f"{args.world_size} processes": args.world_size > 1,
        f"{args.n_gpu} GPUs in one process (DataParallel)": args.n_gpu > 1,
        "FSDP": bool(getattr(args, "fsdp", None)),
        "DeepSpeed": bool(getattr(args, "deepspeed", None)),
    }
    found = [name for name, there in spread.items() if there]
    if found:
        raise ConfigError(
            f"TrajectoryCallback does not yet support training with {' and '.join(found)}. Train with one process on "
            "one device (for several GPUs, show it one: CUDA_VISIBLE_DEVICES=0), or without the callback."
        )


def label_names(model: nn.Module, given: tuple[str, ...] | None, tracked: TrackedExamples) -> tuple[str, ...]:
    """The classes in the order of the model's logits; an order that nobody stated is asked for, not guessed.

    Args:
        model: The model, whose configuration may name them.
        given: What the user says.
        tracked: The tracked examples, whose annotations may name them in another order.

    Returns:
        K names.

    Raises:
        ConfigError: If they are unknown, or do not fit the annotations or the labels.
    """
    configured = getattr(getattr(model, "config", None), "id2label", None) or {}
    names = given or tuple(str(configured[key]) for key in sorted(configured))
    unnamed = given is None and all(name == f"LABEL_{index}" for index, name in enumerate(names))
    if not names or (unnamed and tracked.label_names):
        raise ConfigError(
            "The model's configuration does not name its classes, so that their order is unknown. Give label_names, "
            "the class names in the order of the logits"
            + (f" (the annotations have {', '.join(tracked.label_names)})." if tracked.label_names else ".")
        )
    if tracked.label_names and sorted(names) != sorted(tracked.label_names):
        raise ConfigError(
            f"The model's classes are {', '.join(names)}, those of the annotations {', '.join(tracked.label_names)}. "
            "Give label_names, the names of the annotations in the order of the logits."
        )
    if tracked.gold.max() >= len(names):
        raise ConfigError(
            f"A tracked example has the label {tracked.gold.max()}, but the classes are 0 to {len(names) - 1} "
            f"({', '.join(names)})."
        )
    return names


def decisive(args: Any) -> dict[str, Any]:
    """What of a Trainer's arguments decides what it trains.

    Args:
        args: The Trainer's arguments.

    Returns:
        Arguments by name, ready for JSON; a batch size that the Trainer looks for itself is left out.
    """
    given = json.loads(json.dumps(args.to_dict(), default=str))
    chosen = {name: given[name] for name in DECISIVE if given.get(name) is not None}
    if args.auto_find_batch_size:
        chosen.pop("per_device_train_batch_size", None)
    return chosen


def check_same_run(out: Path, manifest: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Refuse a folder that holds another run, naming all that differs.

    Args:
        out: The folder.
        manifest: Its manifest.
        identity: What is to be recorded now.

    Raises:
        RunError: If it is another run.
    """
    problems = [
        f"{key}: the folder has {old!r}, now given {new!r}"
        for key, old, new in differences(manifest.get("identity", {}), dict(identity))
    ]
    if problems:
        raise RunError(
            f"{out} holds another run ({manifest['run_id']}, status {manifest['status']}). Give another out, or "
            "train as the folder was made:",
            problems,
        )


def _release(out: Path) -> None:
    lock = _HELD.pop(out.resolve(), None)
    if lock is not None:
        lock.close()


def _in_order(tracked: TrackedExamples, names: tuple[str, ...]) -> NDArray[np.int64] | None:
    if tracked.label_counts is None:
        return None
    return tracked.label_counts[:, [tracked.label_names.index(name) for name in names]]


def _structure(model: nn.Module) -> str:
    """A fingerprint of what trains: resumed weights are other ones, their names and shapes are not."""
    parameters = [(name, list(value.shape), value.requires_grad) for name, value in model.named_parameters()]
    return hashlib.sha256(json.dumps([type(model).__name__, parameters]).encode()).hexdigest()[:16]


def _run_id(args: Any, model: nn.Module, identity: Mapping[str, Any]) -> str:
    named = str(getattr(getattr(model, "config", None), "_name_or_path", "") or type(model).__name__)
    backbone = re.sub(r"[^A-Za-z0-9.]+", "-", Path(named).name).strip("-").lower()
    return f"{backbone}-s{args.seed}-{digest(identity)}"


def _provenance(args: Any, model: nn.Module, identity: Mapping[str, Any]) -> dict[str, Any]:
    return run_provenance(
        (*PACKAGES, "accelerate", "datasets"),
        device=args.device.type,
        threads=torch.get_num_threads(),
        batches="padded" if packing_problem(model) else "packed",
        data_fingerprint=identity["data"],
        model_fingerprint=identity["model"],
    )
