"""Reading the files of a run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contested.errors import RunError
from contested.trajectories import layout
from contested.wording import listed


def read_table(file: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file of a run.

    Args:
        file: The file.
        columns: Which columns; all of them without it.

    Returns:
        Its table.

    Raises:
        RunError: If it is missing or damaged.
    """
    try:
        return pq.read_table(file, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"Cannot read {file}: {error}. The manifest lists it; restore it from a copy.") from None


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object per line; a last line cut short by a crash is left out."""
    if not file.exists():
        return []
    # Every whole line ends in a newline, so what follows the last one is either empty or half a line.
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]


def _runs_in(folder: Path) -> str:
    """Name the runs in a folder of runs, such as an import with --each makes; empty where there is none."""
    found = sorted(manifest.parent.name for manifest in folder.glob(f"*/{layout.MANIFEST}"))
    if not found:
        return ""
    told = f"The folders {listed(found)} in it are runs" if len(found) > 1 else f"The folder {found[0]} in it is a run"
    return f"{told}: give one of them, such as {folder / found[0]}."


def read_manifest(run: Path) -> dict[str, Any]:
    """Read and check a run's manifest.

    Args:
        run: The run folder.

    Returns:
        The manifest.

    Raises:
        RunError: If there is none, it is damaged, or it was written by a newer version.
    """
    if not run.exists():
        raise RunError(f"{run} does not exist. Give a run folder.")
    try:
        manifest = json.loads((run / layout.MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{run} is not a run folder: it has no {layout.MANIFEST}. "
            + (_runs_in(run) or "Give the folder that contested train, contested import or Trajectory.save wrote.")
        ) from None
    except json.JSONDecodeError as error:
        raise RunError(
            f"{run / layout.MANIFEST} is damaged ({error}). It is written whole or not at all, so something "
            "else changed it; restore it from a copy."
        ) from None
    missing = [key for key in ("schema_version", "run_id", "status", "checkpoints") if key not in manifest]
    if missing:
        raise RunError(f"{run / layout.MANIFEST} is not a run's manifest: it lacks {', '.join(missing)}.")
    if manifest["schema_version"] > layout.SCHEMA_VERSION:
        raise RunError(
            f"{run} was written in format {manifest['schema_version']}; this version reads up to "
            f"{layout.SCHEMA_VERSION}. Upgrade contested."
        )
    status = manifest["status"]
    return {**manifest, "status": layout.FORMER_STATUSES.get(status, status)}


def read_metrics(run: Path) -> pd.DataFrame:
    """Read metrics.jsonl as one row per line; a last line cut short by a crash is left out."""
    lines = read_lines(run / layout.METRICS)
    return pd.DataFrame(lines) if lines else pd.DataFrame({"step": np.array([], np.int64)})


def read_row_keys(run: Path, step: int) -> NDArray[np.int64]:
    """The row keys of the tracked examples in the order of a checkpoint's rows, shape (N,)."""
    return np.asarray(_read_checkpoint(run, step, ["row_key"])["row_key"].to_numpy())


def read_examples(run: Path, row_keys: NDArray[np.int64]) -> pd.DataFrame:
    """Read the tracked examples of a run.

    Args:
        run: The run folder.
        row_keys: Row keys of the tracked examples, shape (N,).

    Returns:
        One row per tracked example, in the order of the keys.

    Raises:
        RunError: If the table is damaged, has a key twice, or lacks one.
    """
    table = read_table(run / layout.EXAMPLES)
    known = pd.Index(table["row_key"].to_numpy())
    if known.has_duplicates:
        raise RunError(f"{run / layout.EXAMPLES} has a duplicated row_key; restore it from a copy.")
    rows = known.get_indexer(row_keys)
    unknown = np.unique(row_keys[rows < 0])
    if unknown.size:
        raise RunError(f"{run / layout.EXAMPLES} lacks {unknown.size} tracked examples, first row_key {unknown[0]}.")
    # Chosen before pandas makes an object of every row's label counts.
    tracked: pd.DataFrame = table.take(rows).to_pandas()
    del table
    # Arrow keeps what it has read: of a million examples hundreds of megabytes.
    pa.default_memory_pool().release_unused()
    return tracked


class Recorded(NamedTuple):
    """What the checkpoints of a run hold.

    Attributes:
        losses: Shape (T, N), or None where the run has none.
        logits: Shape (T, N, K), or None where the run has none.
        extra: Further values of each example by name, shape (T, N) each.
    """

    losses: NDArray[np.float64] | None
    logits: NDArray[np.float32] | None
    extra: dict[str, NDArray[np.float64]]


def read_checkpoints(run: Path, steps: Sequence[int], row_keys: NDArray[np.int64], n_classes: int) -> Recorded:
    """Read what was recorded, one file after the other: of a million examples all files at once are gigabytes.

    Args:
        run: The run folder.
        steps: Steps of the checkpoints to read.
        row_keys: Row keys of the tracked examples, shape (N,).
        n_classes: Classes K.

    Returns:
        What they hold.

    Raises:
        RunError: If a file is damaged, or of other examples or columns than the first.
    """
    schema = pq.read_schema(run / layout.CHECKPOINTS / layout.checkpoint_name(steps[0]))
    columns = set(schema.names)
    losses = np.empty((len(steps), len(row_keys))) if "loss" in columns else None
    logits = np.empty((len(steps), len(row_keys), n_classes), np.float32) if "logits" in columns else None
    extra = {name: np.empty((len(steps), len(row_keys))) for name in _extra_columns(schema)}
    for index, step in enumerate(steps):
        table = _read_checkpoint(run, step)
        if set(table.schema.names) != columns or not np.array_equal(table["row_key"].to_numpy(), row_keys):
            raise RunError(
                f"The checkpoint at step {step} of {run} tracks other examples, or other columns, than the first one; "
                "the folder mixes two runs. Train into an empty folder."
            )
        if losses is not None:
            losses[index] = table["loss"].to_numpy()
        if logits is not None:
            logits[index] = _logits(table, len(row_keys), n_classes, step)
        for name, values in extra.items():
            values[index] = table[name].to_numpy()
        del table
    pa.default_memory_pool().release_unused()
    return Recorded(losses, logits, extra)


def read_baseline(
    run: Path, row_keys: NDArray[np.int64], n_classes: int
) -> tuple[NDArray[np.float64] | None, NDArray[np.float32] | None]:
    """Read what the untouched model said of the tracked examples.

    Args:
        run: The run folder.
        row_keys: Row keys of the tracked examples, shape (N,).
        n_classes: Classes K.

    Returns:
        Losses (N,) and logits (N, K), each None where the run has none.

    Raises:
        RunError: If the file is damaged or of other examples.
    """
    if not (run / layout.BASELINE).exists():
        return None, None
    table = read_table(run / layout.BASELINE)
    if not np.array_equal(table["row_key"].to_numpy(), row_keys):
        raise RunError(f"{run / layout.BASELINE} is of other examples than the checkpoints; restore it from a copy.")
    losses = table["loss"].to_numpy().astype(np.float64) if "loss" in table.schema.names else None
    logits = _logits(table, len(row_keys), n_classes, 0) if "logits" in table.schema.names else None
    return losses, logits


def _extra_columns(schema: pa.Schema) -> list[str]:
    """Names of the columns that are further values of each example; other programs may add columns of other types."""
    return [
        field.name
        for field in schema
        if field.name not in layout.CHECKPOINT_COLUMNS and pa.types.is_floating(field.type)
    ]


def _read_checkpoint(run: Path, step: int, columns: list[str] | None = None) -> pa.Table:
    return read_table(run / layout.CHECKPOINTS / layout.checkpoint_name(step), columns)


def _logits(table: pa.Table, n_examples: int, n_classes: int, step: int) -> NDArray[np.float32]:
    values = table["logits"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if len(values) != n_examples * n_classes:
        raise RunError(
            f"The checkpoint at step {step} has {len(values)} logits of {n_examples} examples, expected {n_classes} "
            "of each."
        )
    return np.asarray(values, np.float32).reshape(n_examples, n_classes)
