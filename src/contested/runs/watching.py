"""What a run's checkpoints go through before they count: its folder, the alert, and the progress that others see."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested import training
from contested.analysis import watched
from contested.analysis.live import Alarm, LiveAlert, warn
from contested.analysis.watch import alert_settings
from contested.options import AlertSection
from contested.runs.prepare import RunComponents
from contested.trajectories import RunWriter, Trajectory


class Progress(NamedTuple):
    """The progress of a run.

    Attributes:
        step: Optimiser steps done.
        total_steps: Steps of the whole run.
        loss: Training loss of the last step (weighted, nats); NaN before the first.
        contested_change: Mean Δℓ so far of the category of highest entropy (nats), or None before the
            second checkpoint.
        checkpoint: Step of the last checkpoint that was recorded since the run began or resumed; 0 before the first.
        alarms: Alarms raised so far, also before it resumed.
        unwatched: Sentences about categories that the alert cannot test.
        notes: Sentences about how the run is computed that its reader should know (``notes`` of the manifest).
    """

    step: int
    total_steps: int
    loss: float
    contested_change: float | None
    checkpoint: int = 0
    alarms: tuple[Alarm, ...] = ()
    unwatched: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class RunWatch:
    """Records checkpoints, keeps the mean Δℓ of the most disputed category, and asks the alert.

    Args:
        writer: Writes the run's folder; its manifest has ``planned_steps``.
        components: The run's parts, of which the tracked examples are watched.
        settings: Of the alert.
        end: Ends training at the step at hand.
        on_progress: Told after each step and each checkpoint. Without it an alarm is a warning.

    Attributes:
        last_logits: Of the last checkpoint, shape (N, K); None before the first.

    Raises:
        DataError: If the tracked examples lack the column that says what belongs together.
    """

    def __init__(
        self,
        writer: RunWriter,
        components: RunComponents,
        settings: AlertSection,
        *,
        end: Callable[[], None],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._writer = writer
        self._on_progress = on_progress
        self._end = end if settings.stop else None
        self._alert = _alert(writer, components, settings)
        self._unwatched: tuple[str, ...] = ()
        self._step: training.Step | None = None
        self._recorded = 0
        tracked, highest = components.tracked, components.task.category_names[-1]
        self._rows = ((tracked["category"] == highest) & (tracked["split"] == "train")).to_numpy()
        self._first: NDArray[np.float64] | None = None
        self._change: float | None = None
        self.last_logits: NDArray[np.float32] | None = None

    def say_notes(self) -> None:
        """Say what is to be said before the first step; without somebody to tell, it is warned of."""
        notes, manifest = self._notes, self._writer.manifest
        if notes and self._on_progress is not None:
            self._on_progress(Progress(0, manifest["planned_steps"], math.nan, None, notes=notes))
        elif notes:
            self._warn(notes)

    def read(self) -> None:
        """Take what a resumed folder has recorded into account; where an alarm of it ends training, end it now."""
        if not self._writer.manifest["checkpoints"]:
            return
        run = Trajectory.load(self._writer.path)
        losses = run.required("losses")
        self.last_logits = run.required("logits")[-1]
        self._first = losses[0]
        self._change = self._mean(losses[-1]) if len(losses) > 1 else None
        if self._alert is not None:
            self._alert.restore(run.steps.tolist(), list(losses))
            self._unwatched = self._alert.unwatched()
            self._raise(self._alert.alarms)

    def on_step(self, step: training.Step) -> None:
        """Pass the progress on."""
        self._step = step
        self._tell()

    def write_checkpoint(
        self, *, step: int, epoch: float, losses: NDArray[np.float64], logits: NDArray[np.float32]
    ) -> None:
        """See :class:`contested.training.Recorder`."""
        self._writer.write_checkpoint(step=step, epoch=epoch, losses=losses, logits=logits)
        self.last_logits = logits
        self._change = self._mean(losses)
        if self._first is None:
            self._first = losses
        if self._alert is not None:
            # As the folder has them, so that whoever reads it finds the same.
            self._alert.look(step, losses.astype(np.float32))
            self._unwatched = self._alert.unwatched()
            if step == 0 and self._on_progress is None:
                self._warn(self._unwatched)

    def list_checkpoint(self, *, step: int, epoch: float) -> None:
        """See :class:`contested.training.Recorder`; alarms become part of the run with their checkpoint."""
        alarms = () if self._alert is None else self._alert.alarms
        self._writer.manifest["alarms"] = [alarm._asdict() for alarm in alarms]
        self._writer.list_checkpoint(step=step, epoch=epoch)
        self._recorded = step
        self._tell()
        self._raise(tuple(alarm for alarm in alarms if alarm.step == step))

    def write_metrics(self, values: Mapping[str, Any]) -> None:
        """See :class:`contested.training.Recorder`."""
        self._writer.write_metrics(values)

    def _tell(self) -> None:
        if self._on_progress is None or self._step is None:
            return
        told = ((), ()) if self._alert is None else (self._alert.alarms, self._unwatched)
        step, total, loss, _ = self._step
        self._on_progress(Progress(step, total, loss, self._change, self._recorded, *told, self._notes))

    @property
    def _notes(self) -> tuple[str, ...]:
        return tuple(self._writer.manifest.get("notes", ()))

    def _raise(self, alarms: tuple[Alarm, ...]) -> None:
        if self._on_progress is None:
            self._warn([alarm.message for alarm in alarms])
        if alarms and self._end is not None:
            self._writer.manifest["ended_by"] = "alert"
            self._end()

    def _warn(self, sentences: Sequence[str]) -> None:
        warn([f"{self._writer.manifest['run_id']}: {sentence}" for sentence in sentences], self._writer.path)

    def _mean(self, losses: NDArray[np.float64]) -> float | None:
        if self._first is None or not self._rows.any():
            return None
        return float((losses - self._first)[self._rows].mean())


def _alert(writer: RunWriter, components: RunComponents, settings: AlertSection) -> LiveAlert | None:
    """The alert, None where nothing is asked; what decides it becomes part of the run."""
    level, margin, column = settings.level, settings.margin, settings.clusters
    task = components.task
    found = watched(components.tracked, task.category_names, task.text_columns, clusters=column)
    said = alert_settings(found, task.text_columns, level=level, margin=margin, clusters=column)
    writer.manifest["alert"] = said
    if level is None:
        return None
    planned = writer.manifest["planned_steps"]
    return LiveAlert(found.groups, planned, clusters=found.clusters, level=level, margin=margin)
