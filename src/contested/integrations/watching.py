"""What follows each checkpoint of somebody else's training: the alert, and aggregates for its trackers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis import watched
from contested.analysis.live import Alarm, LiveAlert, warn
from contested.analysis.watch import LEVEL, MARGIN, alert_settings
from contested.errors import ConfigError
from contested.integrations.reporting import Aggregates, Reporter
from contested.trajectories import RunWriter


class Watching:
    """Asks the alert at each checkpoint, tells of alarms, and passes aggregates on; the folder is the only state.

    Args:
        out: The run folder.
        alert: Chance of a false alarm over the whole run; True for 0.05, False to ask nothing.
        margin: A rise up to this is none (nats).
        on_alert: Called with each alarm, once.
        stop: Whether an alarm ends training.
        clusters: The column of the examples that says which belong together; those that share a text without it.

    Raises:
        ConfigError: If the options make no sense together.
    """

    def __init__(
        self,
        out: Path,
        *,
        alert: float | bool = LEVEL,
        margin: float = MARGIN,
        on_alert: Callable[[Alarm], Any] | None = None,
        stop: bool = False,
        clusters: str | None = None,
    ) -> None:
        self._level = _level(alert)
        if self._level is None and (stop or on_alert is not None):
            raise ConfigError("stop and on_alert act on alarms, and alert=False raises none. Give alert=0.05.")
        if not 0.0 <= margin < np.inf:
            raise ConfigError(f"margin is {margin}; expected nats from 0, such as {MARGIN}.")
        self._margin = margin
        self._out = out
        self._on_alert = on_alert
        self._stop = stop
        self._clusters = clusters
        self._reporter: Reporter | None = None
        self._aggregates = Aggregates({})
        self._values: dict[str, float] = {}
        self._alert: LiveAlert | None = None
        self.settings: dict[str, Any] = {}
        """What decides alarms, for the manifest; known once it has begun."""

    def report(self, report_to: Sequence[str], *, output_dir: str | os.PathLike[str], after: int) -> None:
        """Say where aggregates go.

        Args:
            report_to: Names as in ``TrainingArguments.report_to``.
            output_dir: The Trainer's folder.
            after: The step of the last checkpoint that is recorded already; -1 for none.
        """
        self._reporter = Reporter(report_to, output_dir=output_dir, after=after)

    def begin(
        self,
        examples: pd.DataFrame,
        category_names: Sequence[str],
        text_columns: Sequence[str],
        *,
        planned_steps: int,
        recorded: Sequence[tuple[int, NDArray[np.float64]]] = (),
    ) -> None:
        """Begin with the examples of a folder, and take what it has recorded into account.

        Args:
            examples: The tracked examples as the folder has them.
            category_names: The categories in order of rising entropy.
            text_columns: Which columns hold texts.
            planned_steps: The step at which training is to end.
            recorded: Step and losses (N,) of each checkpoint that is there.

        Raises:
            DataError: If the examples lack the column of clusters.
        """
        found = watched(examples, category_names, text_columns, clusters=self._clusters)
        level, margin, column = self._level, self._margin, self._clusters
        self.settings = alert_settings(found, text_columns, level=level, margin=margin, clusters=column)
        entropy = examples["entropy"].to_numpy(np.float64) if "entropy" in examples else None
        self._aggregates = Aggregates(found.groups, entropy)
        for _, losses in recorded:
            self._aggregates.add(losses)
        self._alert = None
        if level is not None:
            self._alert = LiveAlert(found.groups, planned_steps, clusters=found.clusters, level=level, margin=margin)
            self._alert.restore([step for step, _ in recorded], [losses for _, losses in recorded])
            # Whoever resumes is told again; on_alert and the trackers know.
            warn([alarm.message for alarm in self._alert.alarms], self._out)

    def look(self, step: int, losses: NDArray[np.floating[Any]], writer: RunWriter) -> None:
        """Take a checkpoint into account before it is listed; its alarms become part of the run with it.

        Args:
            step: Its step.
            losses: Shape (N,).
            writer: Writes the folder.
        """
        recorded = losses.astype(np.float32).astype(np.float64)  # as the folder has them
        self._values = self._aggregates.add(recorded)
        if self._alert is not None:
            raised = self._alert.look(step, recorded)
            writer.manifest["alarms"] = [alarm._asdict() for alarm in self._alert.alarms]
            if raised and self._stop:
                writer.manifest["ended_by"] = "alert"

    def tell(self, step: int) -> bool:
        """Pass on what the checkpoint that was just listed has shown.

        Args:
            step: Its step.

        Returns:
            Whether an alarm is to end training.
        """
        if self._reporter is not None:
            self._reporter.log(self._values, step)
        if self._alert is None:
            return False
        raised = [alarm for alarm in self._alert.alarms if alarm.step == step]
        warn([alarm.message for alarm in raised] if step else self._alert.unwatched(), self._out)
        for alarm in raised:
            if self._reporter is not None:
                self._reporter.alert(alarm.category, alarm.message, step)
            if self._on_alert is not None:
                self._on_alert(alarm)
        return bool(raised) and self._stop

    def close(self) -> None:
        """Say that nothing more comes."""
        if self._reporter is not None:
            self._reporter.close()
            self._reporter = None


def _level(alert: float | bool) -> float | None:
    if isinstance(alert, bool):
        return LEVEL if alert else None
    if not 0.0 < alert < 0.5:
        raise ConfigError(f"alert is {alert}; expected a number between 0 and 0.5, such as 0.05, or False.")
    return float(alert)
