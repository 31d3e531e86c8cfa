"""The loop: recipe -> steps, with tracking passes, snapshots and exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from contested.errors import TrainingError
from contested.schedule import steps_per_epoch
from contested.tasks import EncodedTexts
from contested.training.dropout import DropoutKey
from contested.training.engine import Engine, PackedEngine
from contested.training.fitting import fit_together
from contested.training.interruption import Interrupted, StopRequest
from contested.training.objective import Classification, Objective
from contested.training.packed import RunBatch
from contested.training.probes import Probe
from contested.training.processes import ALONE, Processes
from contested.training.recipe import Recipe, checkpoint_steps, data_order, learning_rate
from contested.training.snapshots import load_snapshot, save_snapshot
from contested.training.steps import Capture, Steps
from contested.training.tracking import track


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
    """What an observer gets after each optimiser step.

    Attributes:
        step: Optimiser steps done.
        total_steps: Steps of the whole run.
        loss: Training loss of the step (weighted, nats).
        learning_rate: Its learning rate.
    """

    step: int
    total_steps: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What the loop needs of a task.

    Attributes:
        train: The M training texts.
        train_targets: What the objective trains each of them towards, shape (M, …).
        tracked: The N tracked texts.
        tracked_targets: What their recorded losses are against, shape (N, …): the gold labels of a classification.
        validation: Validation texts, possibly none.
        validation_targets: What their metric is against.
        validation_is_tracked: Whether the last of the tracked texts are the validation texts.
        objective: Losses and metric.
    """

    train: EncodedTexts
    train_targets: NDArray[Any]
    tracked: EncodedTexts
    tracked_targets: NDArray[Any]
    validation: EncodedTexts
    validation_targets: NDArray[Any]
    validation_is_tracked: bool = False
    objective: Objective = field(default_factory=Classification)


# eq=False: a loop is itself and no other.
@dataclass(eq=False, repr=False)
class TrainingLoop:
    """One run of a recipe over a training set.

    Attributes:
        module: The module to train, on its device.
        engine: Computes logits with it.
        data: Encoded texts and labels.
        recipe: The numbers.
        recorder: Where checkpoints go, or None to train without tracking.
        state: Folder of the snapshot, or None to keep none.
        tracking_batch_size: Examples per forward pass in tracking and validation passes.
        observer: Called after each step.
        probe: Called at step 0 and after each step, before the step's snapshot.
        capture: Captures whole steps on packed batches, such as :class:`contested.training.steps.CudaGraphs`; None:
            every step is started piece by piece.
        merge: Whether adapters are merged into the weights that they adapt while examples are tracked.
        before_saving: Called before a snapshot is written; what it raises ends training there.
        processes: Those that train together, each with a loop of its own and the same probe; the first one's alone
            needs a recorder, and writes snapshots, which all of them read.
    """

    module: nn.Module
    engine: Engine
    data: TrainingSet
    recipe: Recipe
    _: KW_ONLY
    recorder: Recorder | None = None
    state: Path | None = None
    tracking_batch_size: int = 64
    observer: Callable[[Step], None] | None = None
    probe: Probe | None = None
    capture: Capture | None = None
    merge: bool = True
    before_saving: Callable[[], None] | None = None
    processes: Processes = ALONE

    def __post_init__(self) -> None:
        recipe, n = self.recipe, len(self.data.train)
        self.per_epoch = steps_per_epoch(n, recipe.batch_size)
        self.total_steps = self.per_epoch * recipe.epochs
        self.checkpoints = frozenset(checkpoint_steps(recipe, n))
        self.device = next(self.module.parameters()).device
        self._trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self._trained,
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=self.device.type in {"cpu", "cuda", "mps"},
            capturable=self.device.type == "cuda",
        )
        # A captured step reads its rate from memory; CUDA's kernel wants it in float32.
        self._rate_now: torch.Tensor | None = None
        if self.device.type in {"cpu", "cuda"}:
            dtype = torch.float32 if self.device.type == "cuda" else torch.float64
            self._rate_now = torch.tensor(recipe.learning_rate, dtype=dtype, device=self.device)
        self._targets = torch.tensor(self.data.train_targets).to(self.device)
        self._objective = self.data.objective.to(self.device)
        # Sums since the last line of metrics; in the snapshot so that a resumed run writes the same lines.
        self._sums = {"loss": 0.0, "steps": 0.0, "seconds": 0.0}
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))
        self._records = False
        self._ended = False

    def fit(self, *, resume: bool = False) -> None:
        """Train to the end, or until interrupted.

        Args:
            resume: Resume from the snapshot instead of starting.

        Raises:
            TrainingError: If a loss is not finite; what was recorded before stays.
            Interrupted: On a request to stop, after the step at hand, with the state saved.
        """
        fit_together([self], lambda _: self._steps(), resume=[resume])

    def _steps(self) -> Callable[[Sequence[int]], torch.Tensor]:
        if isinstance(self.engine, PackedEngine) and self.processes.size == 1:
            return Steps([self], self.engine, device=self.device, capture=self.capture)
        return lambda steps: self._eager_step(steps[0])

    def _eager_step(self, step: int) -> torch.Tensor:
        texts, rows, key = self.run_batch(step)
        self.set_learning_rate(step)
        outputs = self.processes.outputs(texts.lengths[rows], lambda mine: self.engine.logits(texts, rows[mine], key))
        loss = self.loss(outputs, torch.from_numpy(rows).to(self.device))
        torch.autograd.backward(loss)
        self.update()
        return loss.detach()[None]

    def begin(self, *, resume: bool) -> int:
        """Put the state of a snapshot back, or measure step 0.

        Args:
            resume: Whether to resume from the snapshot.

        Returns:
            Optimiser steps done.
        """
        self.module.train()
        self._records, self._ended = self.processes.first(lambda: (self.recorder is not None, self._ended))
        if resume and self.state is not None:
            first, self._sums = load_snapshot(self.state, module=self.module, optimizer=self.optimizer)
            self.processes.check_alike(self._trained, f"at the snapshot of step {first}")
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

    def run_batch(self, step: int) -> RunBatch:
        """The training rows of a step with what decides their dropout, whatever their layout."""
        return RunBatch(self.data.train, self.batch(step), DropoutKey(self.recipe.seed, step))

    def loss(self, outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Training loss of a batch.

        Args:
            outputs: What the engine gives, shape (B, …).
            rows: The batch's training rows, shape (B,).

        Returns:
            The objective's loss, a scalar.
        """
        return self._objective.training_loss(outputs, self._targets[rows])

    def set_learning_rate(self, step: int) -> None:
        """Set the learning rate of a step."""
        rate = self._rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate if self._rate_now is None else self._rate_now.fill_(rate)

    def update(self) -> None:
        """Add up the processes' gradients, clip them, take the optimiser's step, drop them."""
        self.processes.sum_gradients(self._trained)
        nn.utils.clip_grad_norm_(self._trained, self.recipe.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def end(self) -> None:
        """Take no further step; what is recorded of the step at hand is the run's last."""
        self._ended = True

    def done(self, step: int) -> bool:
        """Whether nothing is left to train after ``step`` steps."""
        return self._ended or step >= self.total_steps

    def needs_weights(self, step: int) -> bool:
        """Whether something needs the weights as they are after ``step`` steps."""
        return self.probe is not None or step in self.checkpoints or step == self.total_steps

    def record_loss(self, step: int, loss: float, seconds: float) -> None:
        """Take a step into account.

        Args:
            step: Optimiser steps done before it.
            loss: Its training loss.
            seconds: What it took.

        Raises:
            TrainingError: If the loss is not finite.
        """
        if not math.isfinite(loss):
            raise TrainingError(
                f"The training loss became {loss} at step {step + 1} of {self.total_steps} (learning rate "
                f"{self._rate(step):.3g}, precision {self.recipe.precision}). Everything recorded before is intact. "
                "Lower the learning rate, lengthen the warm-up or use float32."
            )
        self._sums["loss"] += loss
        self._sums["steps"] += 1
        self._sums["seconds"] += seconds
        if self.observer is not None:
            self.observer(Step(step + 1, self.total_steps, loss, self._rate(step)))

    def arrive(self, step: int, stop: StopRequest) -> None:
        """Do what the weights after ``step`` steps are needed for: probe, checkpoint, and the end on request.

        Args:
            step: Optimiser steps done.
            stop: Whether to stop now.

        Raises:
            TrainingError: If a tracked loss is not finite.
            Interrupted: If a stop was requested, with the state saved.
        """
        self._probe(step)
        if step in self.checkpoints:
            self._checkpoint(step)
        elif stop.requested:
            self._save(step)
        if stop.requested and not self.done(step):
            raise Interrupted(step)

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
        if not self._records:
            return
        started = time.perf_counter()
        self.processes.check_alike(self._trained, f"after step {step}")
        logits = self._track(self.data.tracked)
        losses = self.data.objective.recorded_losses(logits, self.data.tracked_targets)
        if not np.isfinite(losses).all():
            raise TrainingError(
                f"After step {step} the losses of {int((~np.isfinite(losses)).sum())} tracked examples are not finite. "
                "Everything recorded before is intact. Lower the learning rate or use float32."
            )
        metric = self._metric(logits)
        if self.recorder is not None:
            epoch = step / self.per_epoch
            self.recorder.write_checkpoint(step=step, epoch=epoch, losses=losses, logits=logits)
            self.recorder.write_metrics(self._metrics(step, epoch, started, metric))
            self._sums = {"loss": 0.0, "steps": 0.0, "seconds": self._sums["seconds"] + time.perf_counter() - started}
            self._save(step)
            self.recorder.list_checkpoint(step=step, epoch=epoch)
        self._ended = self.processes.first(lambda: self._ended)

    def _track(self, texts: EncodedTexts) -> NDArray[np.float32]:
        return track(
            self.engine,
            self.module,
            texts,
            batch_size=self.tracking_batch_size,
            merge=self.merge,
            processes=self.processes,
        )

    def _metric(self, tracked: NDArray[np.float32]) -> float | None:
        """How well the validation examples are answered, if there are any."""
        n_apart = len(self.data.validation)
        if not n_apart:
            return None
        outputs = tracked[-n_apart:] if self.data.validation_is_tracked else self._track(self.data.validation)
        return self.data.objective.metric(outputs, self.data.validation_targets)

    def _metrics(self, step: int, epoch: float, started: float, metric: float | None) -> dict[str, Any]:
        steps = self._sums["steps"]
        return {
            "step": step,
            "epoch": round(epoch, 6),
            "train_loss": self._sums["loss"] / steps if steps else None,
            "lr": learning_rate(self.recipe, max(step - 1, 0), self.total_steps),
            f"val_{self.data.objective.metric_name}": metric,
            "seconds": round(self._sums["seconds"] + time.perf_counter() - started, 3),
            "tracking_seconds": round(time.perf_counter() - started, 3),
            **({} if self.probe is None else {"probe_seconds": round(self._sums["probe_seconds"], 3)}),
        }

    def _save(self, step: int) -> None:
        if self.state is not None and self.processes.rank == 0:
            if self.before_saving is not None:
                self.before_saving()
            save_snapshot(
                self.state, step=step, module=self.module, optimizer=self.optimizer, progress=dict(self._sums)
            )


Trainer = TrainingLoop
"""The loop's former name."""
