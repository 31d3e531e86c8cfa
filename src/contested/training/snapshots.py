"""Snapshots from which a run resumes bit for bit: weights, optimiser, position and every random state."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from contested.errors import DiskError, RunError
from contested.files import atomic_path
from contested.training.preserving import random_states, restore_random_states

_FILE = "snapshot.pt"


def save_snapshot(
    folder: Path, *, step: int, module: nn.Module, optimizer: Optimizer, progress: dict[str, float]
) -> None:
    """Write the state after ``step`` steps, replacing the former snapshot in one stroke.

    Args:
        folder: Where the snapshot lives; made where missing.
        step: Optimiser steps done; with the recipe's seed it is the position in the data.
        module: Only weights that train, and buffers, are written.
        optimizer: Its moments and step counts.
        progress: Running sums that the metrics need.

    Raises:
        RunError: If it cannot be written; the former snapshot then stays.
    """
    state = {
        "step": step,
        "weights": _changing(module),
        "optimizer": optimizer.state_dict(),
        "random": random_states(),
        "progress": progress,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / _FILE) as temporary:
            torch.save(state, temporary)
    except (OSError, RuntimeError) as error:
        # torch's own writer reports a full disk as a RuntimeError about positions in the file.
        reason = error.strerror if isinstance(error, OSError) else None
        free = f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB are free there" if folder.exists() else "no such folder"
        raise DiskError(
            f"Cannot write the snapshot {folder / _FILE}: {reason or 'writing broke off'} ({free}). Everything "
            "recorded so far is intact; free some space or fix the permissions, then resume with the same command."
        ) from error


def has_snapshot(folder: Path) -> bool:
    """Whether there is a snapshot to resume from."""
    return (folder / _FILE).is_file()


def snapshot_step(folder: Path) -> int:
    """Optimiser steps done at the snapshot."""
    return int(_read(folder / _FILE)["step"])


def load_snapshot(folder: Path, *, module: nn.Module, optimizer: Optimizer) -> tuple[int, dict[str, float]]:
    """Put weights, optimiser and random states back as they were.

    Args:
        folder: Where the snapshot lives.
        module: The module, built as it was when the run began.
        optimizer: The optimiser over the module's trained weights.

    Returns:
        The number of steps done, and the running sums.

    Raises:
        RunError: If the snapshot cannot be read or is of another model.
    """
    file = folder / _FILE
    state = _read(file)
    expected, given = set(_changing(module)), set(state["weights"])
    if expected != given:
        raise RunError(
            f"The snapshot {file} is of another model: {len(given)} weights, expected {len(expected)}; "
            f"first difference {min(expected ^ given)}."
        )
    module.load_state_dict(state["weights"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    restore_random_states(state["random"])
    return state["step"], state["progress"]


def _read(file: Path) -> dict[str, Any]:
    try:
        # Our own file: optimiser state and Python's random state are more than bare tensors.
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=False, mmap=True)
    except Exception as error:
        raise RunError(f"Cannot read the snapshot {file}: {error} Train into a new folder.") from error
    return state


def _changing(module: nn.Module) -> dict[str, torch.Tensor]:
    weights = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    return weights | dict(module.named_buffers())
