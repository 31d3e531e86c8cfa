"""Aggregates of the tracked examples for the experiment trackers that a Trainer reports to: never single examples.

TensorBoard, MLflow, trackio and Weights & Biases, each only where ``report_to`` names it. The run folder does not
depend on any of them: one that fails is named in a warning and gets nothing more.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from contested.analysis import OVERALL
from contested.analysis.correlation import known_pairs, no_rho
from contested.wording import listed

_PREFIX = "contested"
# Trackers that plot numbers and get none; what else report_to may name (codecarbon, kubeflow) plots nothing.
_WITHOUT = frozenset({"azure_ml", "clearml", "comet_ml", "dagshub", "dvclive", "flyte", "neptune", "swanlab"})


class Aggregates:
    """What a tracker is told of each checkpoint: mean loss and Δℓ by category, and ρ so far.

    Args:
        groups: The examples of each category, each of shape (N,).
        entropy: Annotation entropy in nats, shape (N,), nan where unknown; or None where nobody annotated.
    """

    def __init__(self, groups: Mapping[str, NDArray[np.bool_]], entropy: NDArray[np.float64] | None = None) -> None:
        self._groups = groups
        self._entropy = entropy
        self._first: NDArray[np.float64] | None = None
        self._sum: NDArray[np.float64] | float = 0.0
        self._n_checkpoints = 0

    def add(self, losses: NDArray[np.float64]) -> dict[str, float]:
        """Take the next checkpoint into account.

        Args:
            losses: Shape (N,), nats.

        Returns:
            ``contested/loss/CATEGORY`` and ``contested/loss_change/CATEGORY`` (nats; Δℓ since the first checkpoint),
            and ``contested/rho``, Spearman's ρ of the mean loss so far with annotation entropy. A category without
            examples, and ρ where it is undefined, are left out.
        """
        self._first = losses if self._first is None else self._first
        self._sum = self._sum + losses
        self._n_checkpoints += 1
        change, values = losses - self._first, {}
        for name, rows in {OVERALL: np.ones(len(losses), bool), **self._groups}.items():
            if losses[rows].size:
                values[f"{_PREFIX}/loss/{name}"] = float(losses[rows].mean())
                values[f"{_PREFIX}/loss_change/{name}"] = float(change[rows].mean())
        return {**values, **self._rho(np.asarray(self._sum) / self._n_checkpoints)}

    def _rho(self, aulc: NDArray[np.float64]) -> dict[str, float]:
        if self._entropy is None:
            return {}
        mean_loss, human, _ = known_pairs(aulc, self._entropy, ("aulc", "entropy"))
        if no_rho(mean_loss, human, ("aulc", "entropy")):
            return {}
        return {f"{_PREFIX}/rho": float(stats.spearmanr(mean_loss, human).statistic)}


class Sink(Protocol):
    """One tracker."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Plot numbers at an optimiser step."""

    def alert(self, category: str, text: str, step: int) -> None:
        """Tell of an alarm."""

    def close(self) -> None:
        """End what :meth:`log` began."""


class Reporter:
    """Passes aggregates and alarms on to every tracker that a Trainer reports to.

    Args:
        report_to: Names as in ``TrainingArguments.report_to``.
        output_dir: The Trainer's folder, beside whose TensorBoard logs ours are written.
        after: The last step that an earlier start has logged; -1 for none.
    """

    def __init__(self, report_to: Sequence[str], *, output_dir: str | os.PathLike[str], after: int = -1) -> None:
        makers: dict[str, Callable[[], Sink]] = {
            "tensorboard": partial(_TensorBoard, output_dir, after),
            "mlflow": _MLflow,
            "trackio": _Trackio,
            "wandb": _WandB,
        }
        self._sinks: dict[str, Sink] = {}
        for name in dict.fromkeys(report_to):
            if name in makers:
                self._guarded(name, partial(self._open, name, makers[name]))
        without = sorted(_WITHOUT.intersection(report_to))
        if without:
            warnings.warn(
                f"report_to names {listed(without)}, which the aggregates of the tracked examples do not go to "
                f"(they go to {listed(makers)}). The run folder has them.",
                stacklevel=2,
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The trackers that get aggregates."""
        return tuple(self._sinks)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Plot numbers.

        Args:
            values: By name.
            step: The optimiser step.
        """
        for name, sink in list(self._sinks.items()):
            self._guarded(name, partial(sink.log, values, step))

    def alert(self, category: str, text: str, step: int) -> None:
        """Tell of an alarm.

        Args:
            category: Whose loss has risen.
            text: The sentence.
            step: The optimiser step.
        """
        for name, sink in list(self._sinks.items()):
            self._guarded(name, partial(sink.alert, category, text, step))

    def close(self) -> None:
        """Tell them that nothing more comes."""
        for name, sink in list(self._sinks.items()):
            self._guarded(name, sink.close)
        self._sinks = {}

    def _open(self, name: str, make: Callable[[], Sink]) -> None:
        self._sinks[name] = make()

    def _guarded(self, name: str, act: Callable[[], None]) -> None:
        # A tracker out of reach is no reason to lose a training; what it raises is its own affair, of any type.
        try:
            act()
        except Exception as error:
            self._sinks.pop(name, None)
            warnings.warn(
                f"Aggregates of the tracked examples no longer go to {name}: {type(error).__name__}: {error}. Training "
                "and the run folder go on without it.",
                stacklevel=3,
            )


class _TensorBoard:
    # A folder, and so a run, of its own: TensorBoard reads one file of events per folder at a time.
    def __init__(self, output_dir: str | os.PathLike[str], after: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        given = os.environ.get("TENSORBOARD_LOGGING_DIR")
        folder = Path(given).expanduser() if given else Path(output_dir) / "runs"
        # What an earlier start logged beyond the step that this one begins at is taken back.
        self._writer = SummaryWriter(log_dir=str(folder / _PREFIX), purge_step=after + 1)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def alert(self, category: str, text: str, step: int) -> None:
        self._writer.add_text(f"{_PREFIX}/alert", text, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _MLflow:
    def __init__(self) -> None:
        mlflow = import_module("mlflow")
        # Its log_metrics would begin a run that nobody asked for.
        if mlflow.active_run() is None:
            raise RuntimeError("MLflow has no active run")
        self._mlflow = mlflow

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics({_plain(name): value for name, value in values.items()}, step=step)

    def alert(self, category: str, text: str, step: int) -> None:
        self._mlflow.set_tag(f"{_PREFIX}.alert.{_plain(category)}", text)

    def close(self) -> None:
        pass  # The run is the Trainer's, which ends it.


def _plain(name: str) -> str:
    """A name without the characters that MLflow refuses, as the Trainer writes them."""
    return re.sub(r"[^0-9A-Za-z_\-\.\ :/]", "_", name)


class _Trackio:
    def __init__(self) -> None:
        trackio = import_module("trackio")
        if trackio.context_vars.current_run.get() is None:
            raise RuntimeError("trackio has no current run")
        self._trackio = trackio

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._trackio.log({**values, "train/global_step": step})

    def alert(self, category: str, text: str, step: int) -> None:
        self._trackio.alert(title=f"Loss has risen: {category}", text=text, level=self._trackio.AlertLevel.WARN)

    def close(self) -> None:
        pass


class _WandB:
    def __init__(self) -> None:
        wandb = import_module("wandb")
        if wandb.run is None:
            raise RuntimeError("Weights & Biases has no run")
        self._run = wandb.run

    def log(self, values: Mapping[str, float], step: int) -> None:
        # The Trainer's own axis: W&B counts its steps by itself.
        self._run.log({**values, "train/global_step": step})

    def alert(self, category: str, text: str, step: int) -> None:
        self._run.alert(title=f"Loss has risen: {category}", text=text)

    def close(self) -> None:
        pass
