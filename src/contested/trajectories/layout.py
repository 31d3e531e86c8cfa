"""Names and shapes of what a run folder holds (the contract of docs/run_folder.md)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

SCHEMA_VERSION = 2
"""1: every run has losses, logits, gold labels, annotators and categories. 2: each of them may be missing."""

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
LOCK = ".lock"

NORM_SCHEMA = pa.schema([("row_key", pa.int64()), ("step", pa.int32()), ("norm", pa.float64())])
# Metadata of a file of norms: a JSON object with head, mode, method and notes.
NORM_FACTS = b"contested"

# Columns of examples.parquet with a fixed type; text columns and covariates are between and after them.
EXAMPLE_TYPES: dict[str, pa.DataType] = {
    "row_key": pa.int64(),
    "example_id": pa.string(),
    "gold": pa.int64(),
    "label_counts": pa.list_(pa.int32()),
    "entropy": pa.float64(),
    "category": pa.string(),
    "split": pa.string(),
}
# Columns of a checkpoint with a meaning of their own; every further one of floats is a value of each example.
CHECKPOINT_COLUMNS = ("row_key", "step", "epoch", "loss", "logits")
# Those that every run has; a run lacks the others where it does not know them.
EXAMPLE_KEYS = ("row_key", "example_id", "split")

_CHECKPOINT_NAME = re.compile(r"^step-(\d{8,})\.parquet$")


def checkpoint_name(step: int) -> str:
    """The file name of the checkpoint at ``step``.

    >>> checkpoint_name(100)
    'step-00000100.parquet'
    """
    return f"step-{step:08d}.parquet"


def checkpoint_steps(run: Path) -> list[int]:
    """The steps of the checkpoint files that lie in the run folder, rising."""
    return _steps(run / CHECKPOINTS)


def norm_steps(run: Path) -> list[int]:
    """The steps of the files of gradient norms that lie in the run folder, rising."""
    return _steps(run / GRADIENTS)


def _steps(folder: Path) -> list[int]:
    names = (_CHECKPOINT_NAME.match(file.name) for file in folder.glob("step-*.parquet"))
    return sorted(int(name.group(1)) for name in names if name)
