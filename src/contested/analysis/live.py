"""The alert while a run is recorded: asked at every new checkpoint, and each group's alarm raised once.

The answers are those of :func:`contested.analysis.alerts` on all checkpoints so far, and so those of an analysis of the
finished run. Nothing is kept but losses, which a resumed run reads back from its folder.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.analysis.alert import Alert, alert
from contested.analysis.watch import LEVEL, MARGIN, alert_sentence, alerts

_WIDER = 1.3  # by simulation, boundaries vary by far less
_HIGHEST_LEVEL = 0.49
_DIGITS = 6


class Alarm(NamedTuple):
    """The mean loss of a category was found above its start.

    Attributes:
        category: Whose; with ``(validation)`` behind it where validation examples are watched apart.
        step: At which checkpoint: the first that showed it.
        rise: Mean loss minus that at the start (nats).
        low: Lower bound of the expected rise (nats).
        n: Examples.
        n_clusters: Independent clusters of examples.
        level: Chance of a false alarm in any category over the whole run.
        message: All this in a sentence.
    """

    category: str
    step: int
    rise: float
    low: float
    n: int
    n_clusters: int
    level: float
    message: str


class LiveAlert:
    """Asks after each checkpoint of a run in which groups the expected loss lies above its start.

    Args:
        groups: Which examples each alert is about, by its name: masks of shape ``(N,)``.
        planned_steps: The step at which the run is to end.
        clusters: What examples share, shape ``(N,)``; None: each stands for itself.
        level: Chance of a false alarm in any group over the whole run.
        margin: A rise up to this is none (nats).
        unit: What steps count.
    """

    def __init__(
        self,
        groups: Mapping[str, NDArray[np.bool_]],
        planned_steps: int,
        *,
        clusters: Sequence[Any] | NDArray[Any] | None = None,
        level: float = LEVEL,
        margin: float = MARGIN,
        unit: str = "step",
    ) -> None:
        self._groups = dict(groups)
        self._planned = planned_steps
        self._clusters = None if clusters is None else np.asarray(clusters)
        self._level = level
        self._margin = margin
        self._unit = unit
        self._steps: list[int] = []
        self._losses: list[NDArray[np.float64]] = []
        self.alarms: tuple[Alarm, ...] = ()
        """Those raised so far, in the order of their steps."""

    def restore(self, steps: Sequence[int], losses: Sequence[NDArray[np.float64]]) -> None:
        """Take recorded checkpoints into account, and find what was raised at them.

        Args:
            steps: Their steps.
            losses: Their losses, each of shape (N,).
        """
        self._steps, self._losses = list(steps), list(losses)
        if len(steps) > 1:
            found = self._alerts(self._losses, self._steps, self._level)
            raised = [self._alarm(name, alert) for name, alert in found.items() if alert.first is not None]
            self.alarms = tuple(sorted(raised, key=lambda alarm: alarm.step))

    def look(self, step: int, losses: NDArray[np.floating[Any]]) -> tuple[Alarm, ...]:
        """Take the next checkpoint into account.

        Args:
            step: Its step.
            losses: Shape (N,), as they are recorded.

        Returns:
            The alarms that it raises: groups above their start that no earlier checkpoint showed to be.
        """
        self._steps.append(step)
        self._losses.append(np.asarray(losses, np.float64))
        if len(self._steps) == 1:
            return ()
        raised = []
        known = {alarm.category for alarm in self.alarms}
        for name, shared in self._possible().items():
            if name not in known:
                found = self._of_group(name, shared)
                if found.first is not None:
                    raised.append(self._alarm(name, found))
        self.alarms += tuple(raised)
        return tuple(raised)

    def unwatched(self) -> tuple[str, ...]:
        """Categories whose examples are too few to be tested, a sentence each; known from the first checkpoint on."""
        found = self._alerts(self._losses[:1], self._steps[:1], self._level)
        return tuple(
            alert_sentence(name, alert, unit=self._unit, planned=self._planned)
            for name, alert in found.items()
            if alert.note and alert.n
        )

    def _possible(self) -> dict[str, int]:
        """The groups that may lie above their boundary now, each with how many share the level.

        A boundary is lowest where all that is to be spent so far is spent at this one look, which costs nearly
        nothing to ask.
        """
        losses, steps = [self._losses[0], self._losses[-1]], [self._steps[0], self._steps[-1]]
        found = self._alerts(losses, steps, min(_WIDER * self._level, _HIGHEST_LEVEL))
        return {name: alert.shared_by for name, alert in found.items() if alert.first is not None}

    def _of_group(self, name: str, shared: int) -> Alert:
        rows = self._groups[name]
        losses = np.stack([values[rows] for values in self._losses])
        clusters = None if self._clusters is None else self._clusters[rows]
        found = alert(
            losses, self._steps, self._planned, clusters=clusters, margin=self._margin, level=self._level / shared
        )
        return found._replace(shared_by=shared)

    def _alerts(self, losses: Sequence[NDArray[np.float64]], steps: Sequence[int], level: float) -> dict[str, Alert]:
        return alerts(
            np.stack(losses),
            steps,
            self._planned,
            groups=self._groups,
            clusters=self._clusters,
            margin=self._margin,
            level=level,
        )

    def _alarm(self, name: str, found: Alert) -> Alarm:
        seen = _up_to_first(found)
        # The sums behind them differ in their last digits with how many checkpoints are summed at once.
        rise, low = (round(float(values[-1]), _DIGITS) for values in (seen.estimate, seen.low))
        message = alert_sentence(name, seen, unit=self._unit, planned=self._planned)
        level = round(seen.level * seen.shared_by, _DIGITS)
        return Alarm(name, int(seen.steps[-1]), rise, low, seen.n, seen.n_clusters, level, message)


def _up_to_first(found: Alert) -> Alert:
    """What was known when an alarm was raised, whatever the looks after it found."""
    end = found.steps.tolist().index(found.first) + 1
    return found._replace(**{key: value[:end] for key, value in found._asdict().items() if np.ndim(value) == 1})


def warn(sentences: Iterable[str], folder: Path) -> None:
    """Warn of what a run has shown, in place of a line of code with the run's folder.

    Args:
        sentences: A warning each; one that was told before, of another training, is told again.
        folder: The run folder.
    """
    for sentence in sentences:
        warnings.warn_explicit(sentence, UserWarning, str(folder), 1)
