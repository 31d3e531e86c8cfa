"""How long runs take, learned from those that are finished; the plan's estimate where none is."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from contested.studies.cells import Cell
from contested.studies.folder import StudyFolder
from contested.studies.plan import cost
from contested.trajectories import layout

_LOOKED_AT = 200
"""Finished runs that are read at most, spread over the study: thousands more would say the same."""


class Finished(NamedTuple):
    """What a finished run took.

    Attributes:
        setting: What it shares with runs that differ from it in the seed alone.
        kind: Its backbone and method: runs of one kind take about the same time per operation.
        device: The kind of device that trained it, as its manifest names it.
        flops: Its operations by the plan; NaN where unknown.
        seconds: What its steps, tracking passes and probes took together.
    """

    setting: str
    kind: str
    device: str
    flops: float
    seconds: float


class Times:
    """How long runs take by those that are finished.

    A run takes what those take that differ from it in the seed alone; else what its operations took in runs of the
    same backbone and method, else in any: medians each.

    Args:
        finished: What finished runs took.

    Attributes:
        device: The kind of device that it speaks of, that of most finished runs; empty where no run is finished.
    """

    def __init__(self, finished: Sequence[Finished]) -> None:
        devices = [run.device for run in finished]
        self.device = max(devices, key=devices.count, default="")
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._pace: defaultdict[str, list[float]] = defaultdict(list)
        for run in finished:
            if run.device == self.device:
                self._seconds[run.setting].append(run.seconds)
                if run.flops > 0:
                    for kind in (run.kind, ""):
                        self._pace[kind].append(run.seconds / run.flops)

    def seconds_of(self, cell: Cell, rate: float = math.nan) -> float:
        """How long a run takes from its start.

        Args:
            cell: The run.
            rate: Operations per second that the plan counts on where nothing is learned, from
                :func:`contested.studies.plan.measure`.

        Returns:
            Seconds; NaN where nothing is known.
        """
        if known := self._seconds.get(cell.setting):
            return median(known)
        needed = cost(cell)
        if pace := self._pace.get(_kind(cell)) or self._pace.get(""):
            return needed.flops * median(pace)
        return needed.seconds(rate)


def learn(folder: StudyFolder, cells: Sequence[Cell]) -> Times:
    """Learn from a study's finished runs how long others take.

    Args:
        folder: The study's folder.
        cells: Its runs.

    Returns:
        What is learned; nothing from a run whose times cannot be read.
    """
    complete = [cell for cell in cells if folder.states[cell.run_id].status == "complete"]
    some = complete[:: math.ceil(len(complete) / _LOOKED_AT) or 1]
    found = (_finished(cell, folder.folder(cell)) for cell in some)
    return Times([run for run in found if run is not None])


def left(cell: Cell, epoch: float, seconds: float) -> float:
    """What is left to do of a run that has begun.

    Args:
        cell: The run.
        epoch: Epochs done at its last checkpoint.
        seconds: What it takes from its start.

    Returns:
        Seconds.
    """
    return seconds * max(0.0, 1 - epoch / cell.config.training.epochs)


def _finished(cell: Cell, run: Path) -> Finished | None:
    try:
        provenance = json.loads((run / layout.MANIFEST).read_text(encoding="utf-8")).get("provenance", {})
        lines = (run / layout.METRICS).read_text(encoding="utf-8").splitlines()
        seconds = math.fsum(_seconds(json.loads(line)) for line in lines)
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    return Finished(cell.setting, _kind(cell), _device(provenance), cost(cell).flops, seconds) if seconds else None


def _seconds(line: Mapping[str, Any]) -> float:
    """What passed since the line before."""
    return float(line.get("seconds") or 0.0) + float(line.get("probe_seconds") or 0.0)


def _kind(cell: Cell) -> str:
    config = cell.config
    return json.dumps([config.model.name, config.method.name, config.training.precision, config.execution.stack])


def _device(provenance: Mapping[str, Any]) -> str:
    """The kind of device: its name, and on a CPU how many threads."""
    name = str(provenance.get("device_name") or provenance.get("device") or "")
    return name if provenance.get("device") == "cuda" else f"{name}, {provenance.get('threads')} threads"
