"""Snapshots from which a run resumes bit for bit: weights, optimiser, position and every random state."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from contested.errors import DiskError, RunError
from contested.files import atomic_path, make_folder, remove
from contested.training.preserving import random_states, restore_random_states

_NAME = re.compile(r"step-(\d{8,})\.pt", re.ASCII)
_FORMER = "snapshot.pt"
"""The one snapshot of earlier versions, which wrote NumPy's random state as an array."""
_PARTS = frozenset({"step", "weights", "optimizer", "random", "progress"})
_AGAIN = "Begin again with --from-start of the same command (from Python: from_start=True), or train into a new folder."
_KEPT = 3
"""The new one, and the two before: they count until a manifest says that the new one does."""
_OF_ARRAYS: list[Any] = [np._core.multiarray._reconstruct, np.ndarray, np.dtype, np.dtypes.UInt32DType]


def save_snapshot(
    folder: Path, *, step: int, module: nn.Module, optimizer: Optimizer, progress: dict[str, float]
) -> None:
    """Write the state after ``step`` steps beside the snapshots before; the third and older ones before it go.

    Args:
        folder: Where the snapshot lives; made where missing.
        step: Optimiser steps done; with the recipe's seed it is the position in the data.
        module: Only weights that train, and buffers, are written.
        optimizer: Its moments and step counts.
        progress: Running sums that the metrics need.

    Raises:
        RunError: If it cannot be written; the former snapshots then stay.
    """
    file = folder / f"step-{step:08d}.pt"
    state = {
        "step": step,
        "weights": _changing(module),
        "optimizer": optimizer.state_dict(),
        "random": random_states(),
        "progress": progress,
    }
    try:
        make_folder(folder)
        with atomic_path(file) as temporary:
            torch.save(state, temporary)
        for former in _files(folder)[:-_KEPT]:
            remove(former)
        remove(folder / _FORMER)
    except (OSError, RuntimeError) as error:
        # torch's own writer reports a full disk as a RuntimeError about positions in the file.
        reason = error.strerror if isinstance(error, OSError) else None
        free = f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB are free there" if folder.exists() else "no such folder"
        raise DiskError(
            f"Cannot write the snapshot {file}: {reason or 'writing broke off'} ({free}). Everything "
            "recorded so far is intact; free some space or fix the permissions, then resume with the same command."
        ) from error


def former_snapshot_step(folder: Path) -> int | None:
    """Optimiser steps done at the one snapshot that earlier versions kept; None where there is none.

    Args:
        folder: Where snapshots live.

    Returns:
        The number of steps.

    Raises:
        RunError: If it cannot be read.
    """
    return int(_read(folder / _FORMER)["step"]) if (folder / _FORMER).is_file() else None


def load_snapshot(folder: Path, *, module: nn.Module, optimizer: Optimizer) -> tuple[int, dict[str, float]]:
    """Put weights, optimiser and random states back as they were at the last snapshot.

    Args:
        folder: Where snapshots live.
        module: The module, built as it was when the run began.
        optimizer: The optimiser over the module's trained weights.

    Returns:
        The number of steps done, and the running sums.

    Raises:
        RunError: If there is none, or it cannot be read or is of another model.
    """
    files = _files(folder)
    file = files[-1] if files else folder / _FORMER
    state = _read(file)
    expected, given = set(_changing(module)), set(state["weights"])
    if expected != given:
        raise RunError(
            f"The snapshot {file} is of another model: {len(given)} weights, expected {len(expected)}; "
            f"first difference {min(expected ^ given)}."
        )
    try:
        module.load_state_dict(state["weights"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        restore_random_states(state["random"])
    except Exception as error:  # as torch and NumPy find something else than they wrote
        raise RunError(f"The snapshot {file} is damaged: {error} {_AGAIN}") from error
    return state["step"], state["progress"]


def _files(folder: Path) -> list[Path]:
    """The snapshots in a folder, from the first step to the last."""
    found = ((_NAME.fullmatch(file.name), file) for file in folder.glob("step-*.pt"))
    return [file for _, file in sorted((int(name.group(1)), file) for name, file in found if name is not None)]


def _read(file: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals(_OF_ARRAYS):
            # Tensors, numbers and text: nothing that a file could make this process run.
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        missing = _PARTS - state.keys()
    except Exception as error:
        raise RunError(f"Cannot read the snapshot {file}: {error} {_AGAIN}") from error
    if missing:
        raise RunError(f"The snapshot {file} is damaged: it lacks {', '.join(sorted(missing))}. {_AGAIN}")
    return state


def _changing(module: nn.Module) -> dict[str, torch.Tensor]:
    weights = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    return weights | dict(module.named_buffers())
