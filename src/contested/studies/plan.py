"""What a study would cost, before anything long starts: runs, arithmetic, memory and time on this device."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from contested.beside import cores
from contested.config import RunConfig
from contested.schedule import checkpoint_steps, steps_per_epoch
from contested.studies.cells import Cell
from contested.studies.inputs import bulk_examples

EFFICIENCY = 0.5
"""Share of the measured matrix rate that training reaches here; packed engines reach more, padded ones less."""

_TOKENS, _ANNOTATED = 30.0, 1500  # where a data set's facts do not say
_BODY_SHARE = 0.7  # of a backbone's weights are in its layers, where its facts do not say
_FLOAT = 4
_KEPT = 16  # numbers kept per token, layer and unit of width for the backward pass
_GIGA = 1e9


class Cost(NamedTuple):
    """What one run takes.

    Attributes:
        steps: Optimiser steps; None where it is not known how many examples train.
        checkpoints: Tracking passes; None likewise.
        flops: Floating-point operations of training and tracking; NaN where steps or the backbone's size are unknown.
        memory: Bytes of weights, optimiser, gradients and activations; NaN where the backbone's size is unknown.
    """

    steps: int | None
    checkpoints: int | None
    flops: float
    memory: float

    def seconds(self, rate: float) -> float:
        """Time on a device.

        Args:
            rate: Its matrix rate in operations per second, from :func:`measure`.

        Returns:
            Seconds; NaN where the operations are unknown.
        """
        return self.flops / (rate * EFFICIENCY)


UNKNOWN = Cost(None, None, math.nan, math.nan)
"""The cost of a run of which nothing is known."""


class Device(NamedTuple):
    """The device of an estimate.

    Attributes:
        name: Its name.
        rate: Its matrix rate in operations per second.
        slots: Runs at once: its cores or GPUs.
        memory: Bytes of memory; NaN where unknown.
        on_gpu: Whether it is a GPU.
    """

    name: str
    rate: float
    slots: int
    memory: float
    on_gpu: bool = False


def cost(cell: Cell) -> Cost:
    """Estimate one run from its configuration and what is known of its backbone and data.

    A forward pass takes two operations per weight and token; backward as much again for activations, and once more
    for the gradients of weights that train. A tracking pass is a forward pass over annotated examples.

    Args:
        cell: The run.

    Returns:
        Its cost.
    """
    config, facts = cell.config, cell.facts
    annotated = facts.annotated or _ANNOTATED
    steps, checkpoints = _steps(config, annotated)
    params = facts.params if facts.params is not None else math.nan
    body = facts.body if facts.body is not None else _BODY_SHARE * params
    tokens = facts.tokens or _TOKENS
    full = config.method.name == "full"
    each_step = (6 if full else 4) * body * tokens * config.training.batch_size
    each_pass = 2 * body * tokens * annotated
    flops = math.nan if steps is None or checkpoints is None else steps * each_step + checkpoints * each_pass
    width = (facts.layers or 0) * (facts.hidden or 0)
    kept = config.training.batch_size * tokens * width * _KEPT * _FLOAT
    memory = _FLOAT * params * (4 if full else 1) + kept
    return Cost(steps, checkpoints, flops, memory)


def _steps(config: RunConfig, annotated: int) -> tuple[int, int] | tuple[None, None]:
    """Optimiser steps and tracking passes of a run."""
    bulk = bulk_examples(config)
    if bulk is None:
        return None, None
    tracked = round(annotated * (1 - config.task.validation_fraction))
    per_epoch = steps_per_epoch(tracked + bulk, config.training.batch_size)
    tracking, epochs = config.tracking, config.training.epochs
    passes = checkpoint_steps(per_epoch, epochs=epochs, every=tracking.every, epoch_ends=tracking.epoch_ends)
    return per_epoch * epochs, len(passes)


def measure(seconds: float = 0.4) -> Device:
    """Measure this device's float32 matrix rate for shapes like those of training.

    Args:
        seconds: How long to measure.

    Returns:
        The device: its GPUs where there are any, else its CPU.
    """
    if shutil.which("nvidia-smi"):
        found = _measure_gpu(seconds)
        if found is not None:
            return found
    a, b = np.ones((864, 768), np.float32), np.ones((768, 3072), np.float32)
    a @ b
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        a @ b
        done += 1
    rate = done * 2 * a.shape[0] * a.shape[1] * b.shape[1] / (time.perf_counter() - started)
    return Device(f"CPU, {cores()} cores", rate, cores(), available_memory())


def _measure_gpu(seconds: float) -> Device | None:
    try:
        import torch
    except ModuleNotFoundError:
        return None
    if not torch.cuda.is_available():
        return None
    a, b = torch.ones(864, 768, device="cuda"), torch.ones(768, 3072, device="cuda")
    torch.mm(a, b)
    torch.cuda.synchronize()
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(50):
            torch.mm(a, b)
        torch.cuda.synchronize()
        done += 50
    rate = done * 2 * 864 * 768 * 3072 / (time.perf_counter() - started)
    count = torch.cuda.device_count()
    properties = torch.cuda.get_device_properties(0)
    return Device(f"{count} × {properties.name}", rate * count, count, float(properties.total_memory), on_gpu=True)


def available_memory() -> float:
    """Bytes of memory that are free now; NaN where the system does not say."""
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return math.nan


def slots(costs: Sequence[Cost], device: Device) -> int:
    """How many runs to do at once: one per core or GPU, as far as the largest of them fit into memory together.

    Args:
        costs: What each run takes.
        device: Where.

    Returns:
        At least 1.
    """
    largest = max((each.memory for each in costs), default=math.nan)
    # Half a gigabyte for torch itself in every process.
    fit = device.memory * 0.8 / (largest + 0.5 * _GIGA)
    fits = device.slots if math.isnan(fit) or device.on_gpu else int(fit)
    return max(1, min(device.slots, fits, len(costs) or 1))


def plan_json(
    cells: Sequence[Cell], device: Device, status: dict[str, str], seconds_of: Callable[[Cell], float]
) -> dict[str, Any]:
    """The plan, machine-readable.

    Args:
        cells: Every cell.
        device: Where it would run.
        status: Run id to status.
        seconds_of: What a run takes.

    Returns:
        conditions, runs, groups, excluded, flops, seconds, device, and one entry per cell.
    """
    entries: list[dict[str, Any]] = []
    for cell in cells:
        needed = cost(cell)
        entries.append(
            {
                "run_id": cell.run_id,
                **cell.coordinates,
                "groups": list(cell.groups),
                "status": "excluded" if cell.excluded else status.get(cell.run_id, "missing"),
                "excluded": cell.excluded or None,
                "steps": needed.steps,
                "checkpoints": needed.checkpoints,
                "flops": _known(needed.flops),
                "memory_bytes": _known(needed.memory),
                "seconds": _known(seconds_of(cell)),
            }
        )
    running = [entry for entry in entries if not entry["excluded"]]
    return {
        "conditions": count_conditions(cells),
        "runs": len(running),
        "groups": {name: len(members) for name, members in by_group(cells).items()},
        "excluded": len(entries) - len(running),
        "flops": float(sum(entry["flops"] or 0.0 for entry in running)),
        "seconds": float(sum(entry["seconds"] or 0.0 for entry in running)),
        "device": {"name": device.name, "flops_per_second": device.rate, "runs_at_once": device.slots},
        "cells": entries,
    }


def count_conditions(cells: Sequence[Cell]) -> int:
    """The study's main conditions: what differs in more than the seed; of all cells where none is marked."""
    marked = [cell for cell in cells if cell.condition] or list(cells)
    return len({cell.setting for cell in marked})


def by_group(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """The cells of each group that are not excluded, in the order of the file; a cell may be in several."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        for name in cell.groups:
            groups.setdefault(name, [])
            if not cell.excluded:
                groups[name].append(cell)
    return groups


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
