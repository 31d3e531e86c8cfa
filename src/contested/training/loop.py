"""The loop: recipe -> steps, with tracking passes, snapshots and exact resume."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import nn

from contested.errors import ContestedError, TrainingError
from contested.tasks import EncodedTexts
from contested.training.dropout import DropoutKey
from contested.training.engine import Engine
from contested.training.probes import Probe
from contested.training.recipe import Recipe, checkpoint_steps, data_order, learning_rate, steps_per_epoch
from contested.training.snapshots import load_snapshot, save_snapshot
from contested.training.tracking import cross_entropy, track


class Recorder(Protocol):
    """Where checkpoints go. A checkpoint counts from :meth:`list_checkpoint` on, after its snapshot."""

    def write_checkpoint(
        self, *, step: int, epoch: float, losses: NDArray[np.float64], logits: NDArray[np.float32]
    ) -> None:
        """Keep one tracking pass: losses (N,), logits (N, K)."""

    def list_checkpoint(self, *, step: int, epoch: float) -> None:
        """Make the checkpoint part of the run."""

    def write_metrics(self, values: Mapping[str, Any]) -> None:
        """Keep one line of run-level figures."""


class Step(NamedTuple):
    """What an observer is told after each optimiser step."""

    step: int
    total_steps: int
    loss: float
    learning_rate: float


class Interrupted(ContestedError):  # noqa: N818 - asked for, not an error, but ends the command all the same
    """Training stopped on request after a whole step, with its state saved."""

    exit_code = 130

    def __init__(self, step: int) -> None:
        super().__init__(f"interrupted after step {step}; the same command goes on from there")
        self.step = step


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What the loop needs of a task.

    Attributes:
        train: The M training texts.
        labels: Class index of each, shape (M,).
        tracked: The N tracked texts.
        tracked_labels: Gold class index of each, shape (N,).
        validation: Validation texts, possibly none.
        validation_labels: Class index of each.
        class_weights: Shape (K,), or None.
        targets: Target distribution of each training example, shape (M, K), instead of ``labels``; or None.
    """

    train: EncodedTexts
    labels: NDArray[np.int64]
    tracked: EncodedTexts
    tracked_labels: NDArray[np.int64]
    validation: EncodedTexts
    validation_labels: NDArray[np.int64]
    class_weights: NDArray[np.float64] | None
    targets: NDArray[np.float32] | None = None


class Trainer:
    """One run of a recipe over a training set.

    Args:
        module: The module to train, on its device.
        engine: Computes logits with it.
        data: Encoded texts and labels.
        recipe: The numbers.
        recorder: Where checkpoints go, or None to train without tracking.
        state: Folder of the snapshot, or None to keep none.
        tracking_batch_size: Examples a forward in tracking and validation passes.
        observer: Called after each step.
        probe: Called at step 0 and after each step, before the step's snapshot.
    """

    def __init__(
        self,
        module: nn.Module,
        engine: Engine,
        data: TrainingSet,
        recipe: Recipe,
        *,
        recorder: Recorder | None = None,
        state: Path | None = None,
        tracking_batch_size: int = 64,
        observer: Callable[[Step], None] | None = None,
        probe: Probe | None = None,
    ) -> None:
        self.module = module
        self.engine = engine
        self.data = data
        self.recipe = recipe
        self.recorder = recorder
        self.state = state
        self.tracking_batch_size = tracking_batch_size
        self.observer = observer
        self.probe = probe
        self.per_epoch = steps_per_epoch(len(data.train), recipe.batch_size)
        self.total_steps = self.per_epoch * recipe.epochs
        self.checkpoints = frozenset(checkpoint_steps(recipe, len(data.train)))
        self.device = next(module.parameters()).device
        self._trained = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self._trained,
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=self.device.type in {"cpu", "cuda", "mps"},
        )
        self._labels = torch.tensor(data.labels).to(self.device)
        self._targets = None if data.targets is None else torch.from_numpy(data.targets).to(self.device)
        weights = data.class_weights
        self._class_weights = None if weights is None else torch.tensor(weights, dtype=torch.float32).to(self.device)
        # Sums since the last line of metrics; in the snapshot so that a resumed run writes the same lines.
        self._sums = {"loss": 0.0, "steps": 0.0, "seconds": 0.0}
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def fit(self, *, resume: bool = False) -> None:
        """Train to the end, or until interrupted.

        Args:
            resume: Go on from the snapshot instead of starting.

        Raises:
            TrainingError: If a loss is not finite; what was recorded before stays.
            Interrupted: On Ctrl-C or SIGTERM, after the step at hand, with the state saved.
        """
        first = self.begin(resume=resume)
        with StopRequest() as stop:
            for step in range(first, self.total_steps):
                started = time.perf_counter()
                rows = self.batch(step)
                logits = self.engine.logits(self.data.train, rows, self.dropout_key(step))
                loss = self.loss(logits, rows)
                value = self.checked(loss.item(), step)
                torch.autograd.backward(loss)
                self.update(step)
                self.after(step, value, time.perf_counter() - started, stop=stop)

    def begin(self, *, resume: bool) -> int:
        """Put the state of a snapshot back, or measure step 0.

        Args:
            resume: Whether to go on from the snapshot.

        Returns:
            Optimiser steps done.
        """
        self.module.train()
        if resume and self.state is not None:
            first, self._sums = load_snapshot(self.state, module=self.module, optimizer=self.optimizer)
            return first
        torch.manual_seed(self.recipe.seed)
        self._probe(0)
        self._checkpoint(0)
        return 0

    def batch(self, step: int) -> NDArray[np.int64]:
        """Training rows of a step, shape (B,)."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, data_order(len(self.data.train), seed=self.recipe.seed, epoch=epoch))
        size = self.recipe.batch_size
        return self._order[1][position * size : (position + 1) * size]

    def dropout_key(self, step: int) -> DropoutKey:
        """What decides the dropout of a step, whatever its layout."""
        return DropoutKey(self.recipe.seed, step)

    def loss(self, logits: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
        """Training loss of a batch.

        Args:
            logits: Shape (B, K).
            rows: The batch's training rows, shape (B,).

        Returns:
            Class-weighted mean in nats.
        """
        chosen = torch.from_numpy(rows).to(self.device)
        if self._targets is None:
            return F.cross_entropy(logits, self._labels[chosen], weight=self._class_weights)
        return soft_loss(logits, self._targets[chosen], self._class_weights)

    def checked(self, value: float, step: int) -> float:
        """Refuse a loss that is not finite.

        Args:
            value: The training loss of ``step``.
            step: Optimiser steps done before it.

        Returns:
            The loss.

        Raises:
            TrainingError: If it is not finite.
        """
        if not math.isfinite(value):
            raise TrainingError(
                f"The training loss became {value} at step {step + 1} of {self.total_steps} (learning rate "
                f"{self._rate(step):.3g}, precision {self.recipe.precision}). Everything recorded before is intact. "
                "Lower the learning rate, lengthen the warm-up or use float32."
            )
        return value

    def update(self, step: int) -> None:
        """Clip the gradients and take the optimiser's step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        nn.utils.clip_grad_norm_(self._trained, self.recipe.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def after(self, step: int, loss: float, seconds: float, *, stop: StopRequest) -> None:
        """What follows an update: observer, probe, checkpoint, and the end on request.

        Args:
            step: Optimiser steps done before the update.
            loss: Its training loss.
            seconds: What it took.
            stop: Whether to stop after it.

        Raises:
            Interrupted: If a stop was asked for, with the state saved.
        """
        self._sums["loss"] += loss
        self._sums["steps"] += 1
        self._sums["seconds"] += seconds
        if self.observer is not None:
            self.observer(Step(step + 1, self.total_steps, loss, self._rate(step)))
        self._probe(step + 1)
        if step + 1 in self.checkpoints:
            self._checkpoint(step + 1)
        elif stop.requested:
            self._save(step + 1)
        if stop.requested and step + 1 < self.total_steps:
            raise Interrupted(step + 1)

    def _rate(self, step: int) -> float:
        return learning_rate(self.recipe, step, self.total_steps)

    def _probe(self, step: int) -> None:
        if self.probe is not None:
            started = time.perf_counter()
            self.probe(step, self.total_steps)
            # Absent from the snapshots of earlier versions and from the sums right after a checkpoint.
            self._sums["probe_seconds"] = self._sums.get("probe_seconds", 0.0) + time.perf_counter() - started

    def _checkpoint(self, step: int) -> None:
        """Payload, then snapshot, then the listing: a crash in between loses nothing and repeats exactly."""
        if self.recorder is None:
            return
        started = time.perf_counter()
        epoch = step / self.per_epoch
        logits = track(self.engine, self.module, self.data.tracked, batch_size=self.tracking_batch_size)
        losses = cross_entropy(logits, self.data.tracked_labels)
        if not np.isfinite(losses).all():
            raise TrainingError(
                f"After step {step} the losses of {int((~np.isfinite(losses)).sum())} tracked examples are not finite. "
                "Everything recorded before is intact. Lower the learning rate or use float32."
            )
        self.recorder.write_checkpoint(step=step, epoch=epoch, losses=losses, logits=logits)
        self.recorder.write_metrics(self._metrics(step, epoch, started))
        self._sums = {"loss": 0.0, "steps": 0.0, "seconds": self._sums["seconds"] + time.perf_counter() - started}
        self._save(step)
        self.recorder.list_checkpoint(step=step, epoch=epoch)

    def _metrics(self, step: int, epoch: float, started: float) -> dict[str, Any]:
        accuracy = None
        if len(self.data.validation):
            logits = track(self.engine, self.module, self.data.validation, batch_size=self.tracking_batch_size)
            accuracy = float((logits.argmax(axis=1) == self.data.validation_labels).mean())
        steps = self._sums["steps"]
        return {
            "step": step,
            "epoch": round(epoch, 6),
            "train_loss": self._sums["loss"] / steps if steps else None,
            "lr": learning_rate(self.recipe, max(step - 1, 0), self.total_steps),
            "val_accuracy": accuracy,
            "seconds": round(self._sums["seconds"] + time.perf_counter() - started, 3),
            "tracking_seconds": round(time.perf_counter() - started, 3),
            **({} if self.probe is None else {"probe_seconds": round(self._sums["probe_seconds"], 3)}),
        }

    def _save(self, step: int) -> None:
        if self.state is not None:
            save_snapshot(
                self.state, step=step, module=self.module, optimizer=self.optimizer, progress=dict(self._sums)
            )


def soft_loss(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Weighted KL divergence from the model to target distributions: Σᵢ Σ_c w_c p_ic ln(p_ic / q_ic) / Σᵢ Σ_c w_c p_ic.

    For a target of one class this is the class-weighted cross-entropy of ``F.cross_entropy``, mean over the batch
    included, so that hard and soft examples weigh alike in one batch (paper §5, soft labels).

    Args:
        logits: Shape (B, K).
        targets: Shape (B, K); rows sum to 1.
        weights: Class weights, shape (K,), or None.

    Returns:
        The loss in nats.
    """
    weighted = targets if weights is None else targets * weights
    divergence = torch.xlogy(weighted, targets) - weighted * F.log_softmax(logits.float(), dim=-1)
    return divergence.sum() / weighted.sum()


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a request that is met between two steps; a second one acts at once."""

    def __init__(self) -> None:
        self.requested = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread may handle signals; elsewhere whoever started the thread decides.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
