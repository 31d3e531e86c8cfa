"""Reading the files of a run folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contested.errors import RunError
from contested.trajectories import layout
from contested.trajectories.checksums import Fault, RunFiles, restore
from contested.trajectories.manifest import read_manifest
from contested.trajectories.manifest_content import alignment_problems, is_step, metrics_problems

_LARGE = 1 << 20  # bytes of a file
_PROBLEMS_OF = {layout.METRICS: metrics_problems, layout.ALIGNMENT: alignment_problems}


def read_table(files: RunFiles, name: str, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file of a run.

    Args:
        files: The run's files.
        name: Its path in the run folder, with slashes.
        columns: Which columns; all of them without it.

    Returns:
        Its table.

    Raises:
        RunError: If it is missing or damaged.
    """
    return _table_of(files, name, files.read(name), columns)


def _table_of(files: RunFiles, name: str, content: bytes, columns: list[str] | None = None) -> pa.Table:
    """The table that was read of a file."""
    try:
        # Not by read_table, which takes any data set: for a small file that takes three times as long.
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        return file.read(columns=columns, use_threads=len(content) > _LARGE)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RunError(f"Cannot read {files.run / name}: {error}. {restore(files.run)}") from None


def read_lines(files: RunFiles, name: str) -> list[dict[str, Any]]:
    """Read a file of one JSON object per line; a last line cut short by a crash is left out.

    Args:
        files: The run's files.
        name: Its path in the run folder, with slashes.

    Returns:
        The objects; none where the run has no such file.

    Raises:
        RunError: If it is damaged.
    """
    if not files.has(name):
        return []
    return lines_of(files.run / name, files.read(name))


def lines_of(file: Path, content: bytes) -> list[dict[str, Any]]:
    """Parse what was read of a file of one JSON object per line.

    Args:
        file: The file, for messages.
        content: What was read of it.

    Returns:
        The objects of its whole lines.

    Raises:
        RunError: If a line is no JSON object; the error names every such line.
    """
    found, problems = [], []
    # Every whole line ends in a newline, so what follows the last one is either empty or half a line.
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            parsed = json.loads(line)
        except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or nested beyond reason
            problems.append(f"line {number}: {error}")
            continue
        if not isinstance(parsed, dict) or not is_step(parsed.get("step")):
            problems.append(f"line {number}: expected an object with a step")
            continue
        found.append(parsed)
        problems += [f"line {number}, {problem}" for problem in _PROBLEMS_OF[file.name](parsed)]
    if problems:
        raise RunError(f"{file} is damaged. {restore(file.parent)}", problems)
    return found


def check_content(run: Path, name: str) -> Fault | None:
    """Read a file of a run whose manifest knows no files, as far as that shows whether it is damaged.

    Args:
        run: The run folder.
        name: The file's path in it, with slashes.

    Returns:
        What is wrong with it, or None.
    """
    file, files = run / name, RunFiles(run, {})
    if not file.exists():
        return Fault("missing", "is missing")
    try:
        if name.endswith(".parquet"):
            read_table(files, name)
        elif name in layout.GROWING:
            read_lines(files, name)
    except RunError as error:
        return Fault("damaged", f"cannot be read ({error.message})")
    return None


def read_metrics(run: Path, files: RunFiles | None = None) -> pd.DataFrame:
    """Read metrics.jsonl as one row per line; a last line cut short by a crash is left out.

    Args:
        run: The run folder.
        files: Its files; by its manifest where not given.

    Returns:
        A row per line.

    Raises:
        RunError: If it is damaged.
    """
    lines = read_lines(RunFiles(run, read_manifest(run)) if files is None else files, layout.METRICS)
    return pd.DataFrame(lines) if lines else pd.DataFrame({"step": np.array([], np.int64)})


class SharedExamples:
    """Tables of examples that were read before: of runs with the same, such as those of a study, each is made once.

    Whoever is given one must leave it as it is. The last :data:`_KEPT` are kept, none of a file above 16 MB.
    """

    def __init__(self) -> None:
        self._tables: dict[tuple[bytes, bytes], pd.DataFrame] = {}

    def read(self, files: RunFiles, row_keys: NDArray[np.int64]) -> pd.DataFrame:
        """Read the tracked examples of a run, or take those that are the same.

        Args:
            files: The run's files.
            row_keys: Row keys of the tracked examples, shape (N,).

        Returns:
            One row per tracked example, in the order of the keys.

        Raises:
            RunError: If the table is damaged, has a key twice, or lacks one.
        """
        content = files.read(layout.EXAMPLES)
        if len(content) > _LARGEST_SHARED:
            return _examples_of(files, content, row_keys)
        key = hashlib.sha256(content).digest(), row_keys.tobytes()
        if key not in self._tables:
            self._tables[key] = _examples_of(files, content, row_keys)
        self._tables[key] = found = self._tables.pop(key)  # the last one asked for is the last one to go
        if len(self._tables) > _KEPT:
            del self._tables[next(iter(self._tables))]
        return found


_KEPT = 4
_LARGEST_SHARED = 16 << 20  # bytes of a file


def _examples_of(files: RunFiles, content: bytes, row_keys: NDArray[np.int64]) -> pd.DataFrame:
    run, table = files.run, _table_of(files, layout.EXAMPLES, content)
    known = pd.Index(table["row_key"].to_numpy())
    if known.has_duplicates:
        raise RunError(f"{run / layout.EXAMPLES} has a duplicated row_key; restore it from a copy.")
    rows = known.get_indexer(row_keys)
    unknown = np.unique(row_keys[rows < 0])
    if unknown.size:
        raise RunError(f"{run / layout.EXAMPLES} lacks {unknown.size} tracked examples, first row_key {unknown[0]}.")
    # Chosen before pandas makes an object of every row's label counts.
    tracked: pd.DataFrame = _without_single(table.take(rows)).to_pandas(use_threads=table.nbytes > _LARGE)
    del table
    # Arrow keeps what it has read: of a million examples hundreds of megabytes.
    pa.default_memory_pool().release_unused()
    return tracked


def _without_single(table: pa.Table) -> pa.Table:
    """The examples, without entropy where there is one annotation; folders of earlier versions have 0 there."""
    at, counts = table.schema.get_field_index("entropy"), table.schema.get_field_index("label_counts")
    if at < 0 or counts < 0 or not pa.types.is_list(table.schema.field(counts).type):
        return table
    given = table.column(counts).combine_chunks()
    votes = np.bincount(pc.list_parent_indices(given), pc.list_flatten(given), minlength=len(table))
    return table.set_column(at, table.schema.field(at), pc.if_else(pa.array(votes == 1), None, table.column(at)))


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


def read_checkpoint(files: RunFiles, step: int) -> pa.Table:
    """Read a checkpoint.

    Args:
        files: The run's files.
        step: Its step.

    Returns:
        One row per tracked example.

    Raises:
        RunError: If the file is missing or damaged.
    """
    return read_table(files, f"{layout.CHECKPOINTS}/{layout.checkpoint_name(step)}")


def read_checkpoints(files: RunFiles, steps: Sequence[int], first: pa.Table, n_classes: int) -> Recorded:
    """Read what was recorded, one file after the other: of a million examples all files at once are gigabytes.

    Args:
        files: The run's files.
        steps: Steps of the checkpoints to read.
        first: The first of them, which says what all of them hold.
        n_classes: Classes K.

    Returns:
        What they hold.

    Raises:
        RunError: If a file is damaged, or of other examples or columns than the first.
    """
    columns, row_keys = set(first.schema.names), first["row_key"].to_numpy()
    losses = np.empty((len(steps), len(row_keys))) if "loss" in columns else None
    logits = np.empty((len(steps), len(row_keys), n_classes), np.float32) if "logits" in columns else None
    extra = {name: np.empty((len(steps), len(row_keys))) for name in _extra_columns(first.schema)}
    for index, step in enumerate(steps):
        table = read_checkpoint(files, step) if index else first
        if set(table.schema.names) != columns or not np.array_equal(table["row_key"].to_numpy(), row_keys):
            raise RunError(
                f"The checkpoint at step {step} of {files.run} tracks other examples, or other columns, than the first "
                "one; the folder mixes two runs. Train into an empty folder."
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
    files: RunFiles, row_keys: NDArray[np.int64], n_classes: int
) -> tuple[NDArray[np.float64] | None, NDArray[np.float32] | None]:
    """Read what the untouched model said of the tracked examples.

    Args:
        files: The run's files.
        row_keys: Row keys of the tracked examples, shape (N,).
        n_classes: Classes K.

    Returns:
        Losses (N,) and logits (N, K), each None where the run has none.

    Raises:
        RunError: If the file is damaged or of other examples.
    """
    if not files.has(layout.BASELINE):
        return None, None
    table = read_table(files, layout.BASELINE)
    if not np.array_equal(table["row_key"].to_numpy(), row_keys):
        raise RunError(
            f"{files.run / layout.BASELINE} is of other examples than the checkpoints; restore it from a copy."
        )
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


def _logits(table: pa.Table, n_examples: int, n_classes: int, step: int) -> NDArray[np.float32]:
    values = table["logits"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if len(values) != n_examples * n_classes:
        raise RunError(
            f"The checkpoint at step {step} has {len(values)} logits of {n_examples} examples, expected {n_classes} "
            "of each."
        )
    return np.asarray(values, np.float32).reshape(n_examples, n_classes)
