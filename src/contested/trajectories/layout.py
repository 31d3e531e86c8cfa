"""Names and shapes of what a run folder holds (the contract of docs/run_folder.md)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

SCHEMA_VERSION = 3
"""1: every run has losses, logits, gold labels, annotators and categories. 2: each of them may be missing. 3: the
manifest has size and checksum of every file, and a digest of itself."""

Status = Literal["running", "complete", "failed", "interrupted"]
STATUSES: tuple[str, ...] = get_args(Status)
FORMER_STATUSES = {"cancelled": "interrupted"}
"""What older folders call a status, and its name now."""

StepUnit = Literal["step", "epoch"]
"""What the steps of a run count."""

WITHIN_EPOCHS = "within epochs"
"""What ``origin["checkpoints"]`` says where a checkpoint is taken during its epoch, in place of at its end."""

MANIFEST = "manifest.json"
EXAMPLES = "examples.parquet"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
BASELINE = "baseline.parquet"
GRADIENTS = "gradients"
ALIGNMENT = "alignment.jsonl"
STATE = "state"
WEIGHTS = ("adapter", "model")
LEASE = ".lease"
LOCK = ".lock"
"""What versions before the lease lock."""

FILES = "files"
"""Key of a manifest: size and SHA-256 of every file that is part of the run, by its path."""
LEASE_MARK = "lease"
"""Key of a manifest: generation and token of the lease under which it was written."""
DIGEST = "digest"
"""Key of a manifest: SHA-256 of its own content without this key."""
GROWING = frozenset({METRICS, f"{GRADIENTS}/{ALIGNMENT}"})
"""Files that lines are added to: a manifest knows their beginning, and what follows it does not count yet."""

# Metadata of a file of norms: a JSON object with head, mode, method and notes.
NORM_FACTS = b"contested"

# Columns of a checkpoint with a meaning of their own; every further one of floats is a value of each example.
CHECKPOINT_COLUMNS = ("row_key", "step", "epoch", "loss", "logits")
# Those that every run has; a run lacks the others where it does not know them.
EXAMPLE_KEYS = ("row_key", "example_id", "split")

_OF_A_STEP = re.compile(
    rf"(?:(?:{CHECKPOINTS}|{GRADIENTS})/step-(\d{{8,}})\.parquet|{STATE}/step-(\d{{8,}})\.pt)", re.A
)


def checkpoint_name(step: int) -> str:
    """The file name of the checkpoint at ``step``.

    >>> checkpoint_name(100)
    'step-00000100.parquet'
    """
    return f"step-{step:08d}.parquet"


def snapshot_name(step: int) -> str:
    """The file name of the snapshot at ``step``."""
    return f"step-{step:08d}.pt"


def step_of(name: str) -> int | None:
    """The step that a file of a run is of.

    Args:
        name: Its path in the run folder, with slashes.

    Returns:
        The step; None of a file that is of no single step.

    >>> step_of("checkpoints/step-00000100.parquet"), step_of("metrics.jsonl")
    (100, None)
    """
    found = _OF_A_STEP.fullmatch(name)
    return None if found is None else int(found.group(1) or found.group(2))


def checkpoint_steps(run: Path) -> list[int]:
    """The steps of the checkpoint files that lie in the run folder, rising."""
    return _steps(run, CHECKPOINTS)


def snapshot_steps(run: Path) -> list[int]:
    """The steps of the snapshots that lie in the run folder, rising."""
    return _steps(run, STATE)


def _steps(run: Path, folder: str) -> list[int]:
    steps = (step_of(f"{folder}/{file.name}") for file in (run / folder).glob("step-*"))
    return sorted(step for step in steps if step is not None)
