"""Writing a run folder so that it can be read at any moment and resumed after any crash."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contested.errors import DiskError, RunError
from contested.files import atomic_path, remove_temporaries, write_json, write_text
from contested.trajectories import layout
from contested.trajectories.reading import read_manifest


class RunWriter:
    """Writes one run folder: payload first, manifest last, each file whole or not at all.

    Args:
        path: The run folder, which exists and holds a manifest and an example table.
        manifest: The manifest as it is on disk.
        row_keys: Row keys of the tracked examples, shape (N,), in the order of every checkpoint.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], row_keys: NDArray[np.int64]) -> None:
        self.path = path
        self.manifest = manifest
        self._row_keys = row_keys

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        header: Mapping[str, Any],
        examples: pd.DataFrame,
        text_columns: Sequence[str],
    ) -> Self:
        """Begin a run folder.

        Args:
            path: The folder; made with its parents where missing.
            header: ``run_id``, ``label_names``, ``category_names`` and whatever else the manifest shall hold; where
                examples of another split than ``train`` are tracked too, all such splits as ``tracked_splits``.
            examples: The example table: ``row_key``, ``example_id``, text columns, ``split``, covariates, and as
                far as they are known ``gold``, ``label_counts``, ``entropy`` (nats), ``category``. Rows with
                split ``train`` (or one of ``tracked_splits``) are the tracked ones.
            text_columns: Which columns are the model's input text.

        Returns:
            A writer for the new folder.

        Raises:
            RunError: If columns are missing, ids repeat, or nothing is tracked.
        """
        _check_examples(examples, text_columns, header)
        run = Path(path)
        (run / layout.CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        _remove_temporaries(run)
        _write_examples(run / layout.EXAMPLES, examples, text_columns)
        write_text(run / layout.METRICS, "")
        manifest: dict[str, Any] = {
            "schema_version": layout.SCHEMA_VERSION,
            "status": "running",
            "origin": {"kind": "contested"},
            "step_unit": "step",
            **header,
            "text_columns": list(text_columns),
            "checkpoints": [],
        }
        write_json(run / layout.MANIFEST, manifest)
        return cls(run, manifest, _tracked_keys(examples, manifest))

    @classmethod
    def resume(cls, path: str | os.PathLike[str], *, step: int) -> Self:
        """Resume a run folder from the snapshot at ``step``, dropping what was recorded after it.

        Args:
            path: The run folder.
            step: Optimiser steps done at the snapshot.

        Returns:
            A writer positioned right after the checkpoint at ``step``.
        """
        run = Path(path)
        _remove_temporaries(run)
        manifest = read_manifest(run)
        epochs: dict[int, float] = {}
        for found in layout.checkpoint_steps(run):
            file = run / layout.CHECKPOINTS / layout.checkpoint_name(found)
            if found > step:
                file.unlink()
            else:
                epochs[found] = pq.read_table(file, columns=["epoch"])["epoch"][0].as_py()
        # A crash may fall between a checkpoint's file and the manifest: the files are what counts.
        manifest["checkpoints"] = [{"step": found, "epoch": epoch} for found, epoch in epochs.items()]
        manifest["status"] = "running"
        for key in ("error", "ended_by"):
            manifest.pop(key, None)
        if "alarms" in manifest:
            manifest["alarms"] = [alarm for alarm in manifest["alarms"] if alarm["step"] <= step]
        _cut_lines(run / layout.METRICS, step)
        _cut_gradients(run, step)
        write_json(run / layout.MANIFEST, manifest)
        examples = pq.read_table(run / layout.EXAMPLES, columns=["row_key", "split"]).to_pandas()
        return cls(run, manifest, _tracked_keys(examples, manifest))

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> Self:
        """Add gradients to a run that has ended; its manifest stays as it is.

        Args:
            path: The run folder.

        Returns:
            A writer for gradients.
        """
        run = Path(path)
        _remove_temporaries(run)
        manifest = read_manifest(run)
        # An earlier attempt may have left half a line.
        _cut_gradients(run, manifest["checkpoints"][-1]["step"])
        examples = pq.read_table(run / layout.EXAMPLES, columns=["row_key", "split"]).to_pandas()
        return cls(run, manifest, _tracked_keys(examples, manifest))

    def write_checkpoint(
        self,
        *,
        step: int,
        epoch: float | None,
        losses: NDArray[np.floating[Any]] | None,
        logits: NDArray[np.floating[Any]] | None,
        extra: Mapping[str, NDArray[np.floating[Any]]] | None = None,
        exact: bool = False,
    ) -> None:
        """Record one tracking pass as a file; :meth:`list_checkpoint` then makes it part of the run.

        Args:
            step: Optimiser steps (or epochs) done.
            epoch: Epochs done; None where unknown.
            losses: Shape (N,), nats; None where the run has none.
            logits: Shape (N, K); None where the run has none.
            extra: Further values of each example by name, shape (N,) each, the same names at every checkpoint; NaN
                where unknown. They keep their 64 bits.
            exact: Whether losses keep their 64 bits, instead of 32.
        """
        further = {} if extra is None else dict(extra)
        self._check_shapes(losses, logits, further)
        table = self._checkpoint_table(step, epoch, losses=losses, logits=logits, extra=further, exact=exact)
        with _disk_errors(self.path), atomic_path(self._checkpoint_file(step)) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def _checkpoint_table(
        self,
        step: int,
        epoch: float | None,
        *,
        losses: NDArray[np.floating[Any]] | None,
        logits: NDArray[np.floating[Any]] | None,
        extra: Mapping[str, NDArray[np.floating[Any]]],
        exact: bool,
    ) -> pa.Table:
        n_examples = len(self._row_keys)
        columns: dict[str, pa.Array] = {
            "row_key": pa.array(self._row_keys),
            "step": pa.array(np.full(n_examples, step, np.int32)),
            "epoch": pa.array([epoch] * n_examples, pa.float64()),
        }
        if losses is not None:
            columns["loss"] = pa.array(losses.astype(np.float64 if exact else np.float32))
        if logits is not None:
            offsets = np.arange(0, logits.size + 1, logits.shape[1], dtype=np.int32)
            flat = pa.array(logits.astype(np.float32).reshape(-1))
            columns["logits"] = pa.ListArray.from_arrays(pa.array(offsets), flat)
        further = {name: pa.array(values.astype(np.float64)) for name, values in extra.items()}
        return pa.table({**columns, **further})

    def write_baseline(
        self,
        *,
        losses: NDArray[np.floating[Any]] | None,
        logits: NDArray[np.floating[Any]] | None,
        exact: bool = False,
    ) -> None:
        """Record what the untouched model says of the tracked examples, as a file like a checkpoint's.

        Args:
            losses: Shape (N,), nats; None where the run has none.
            logits: Shape (N, K); None where the run has none.
            exact: Whether losses keep their 64 bits, instead of 32.
        """
        self._check_shapes(losses, logits, {})
        table = self._checkpoint_table(0, 0.0, losses=losses, logits=logits, extra={}, exact=exact)
        with _disk_errors(self.path), atomic_path(self.path / layout.BASELINE) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def list_checkpoint(self, *, step: int, epoch: float | None) -> None:
        """Name the checkpoint in the manifest, which makes it part of the run for every reader."""
        self.manifest["checkpoints"].append({"step": step, "epoch": epoch})
        self._write_manifest()

    def write_metrics(self, values: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl and flush it to the disk."""
        self._append(layout.METRICS, values)

    def write_gradient_norms(self, *, step: int, norms: NDArray[np.float64], facts: Mapping[str, Any]) -> None:
        """Record the tracked examples' gradient norms at one step as a file.

        Args:
            step: Optimiser steps done.
            norms: Shape (N,).
            facts: What they are of: head, mode, method, notes.
        """
        if norms.shape != self._row_keys.shape:
            raise RunError(f"A probe gave {norms.shape} gradient norms for {len(self._row_keys)} tracked examples.")
        schema = layout.NORM_SCHEMA.with_metadata({layout.NORM_FACTS: json.dumps(dict(facts))})
        columns = [self._row_keys, np.full(len(norms), step, np.int32), norms]
        table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=schema)
        file = self.path / layout.GRADIENTS / layout.checkpoint_name(step)
        with _disk_errors(self.path):
            file.parent.mkdir(exist_ok=True)
            with atomic_path(file) as temporary:
                pq.write_table(table, temporary, compression="zstd")

    def write_alignment(self, values: Mapping[str, Any]) -> None:
        """Append one line to gradients/alignment.jsonl and flush it to the disk."""
        with _disk_errors(self.path):
            (self.path / layout.GRADIENTS).mkdir(exist_ok=True)
        self._append(f"{layout.GRADIENTS}/{layout.ALIGNMENT}", values)

    def finish(self, status: layout.Status, *, error: str | None = None) -> None:
        """Write the run's end into the manifest.

        Args:
            status: ``complete``, ``failed`` or ``interrupted``.
            error: Why it failed, human-readable.
        """
        self.manifest["status"] = status
        self.manifest["finished_at"] = datetime.now(UTC).isoformat(timespec="seconds")
        if error is not None:
            self.manifest["error"] = error
        self._write_manifest()

    def _check_shapes(
        self,
        losses: NDArray[np.floating[Any]] | None,
        logits: NDArray[np.floating[Any]] | None,
        extra: Mapping[str, NDArray[np.floating[Any]]],
    ) -> None:
        if taken := sorted(set(extra) & set(layout.CHECKPOINT_COLUMNS)):
            raise RunError(f"A checkpoint's column {', '.join(taken)} has another meaning; give extra another name.")
        given = {**extra, "logits": logits, "losses": losses}
        wrong = [
            f"{name} {array.shape}"
            for name, array in given.items()
            if array is not None and (len(array) != len(self._row_keys) or array.ndim != 1 + (array is logits))
        ]
        if wrong:
            raise RunError(f"A tracking pass gave {' and '.join(wrong)} for {len(self._row_keys)} tracked examples.")

    def _append(self, name: str, values: Mapping[str, Any]) -> None:
        line = json.dumps(dict(values), ensure_ascii=False, allow_nan=False) + "\n"
        with _disk_errors(self.path), (self.path / name).open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _checkpoint_file(self, step: int) -> Path:
        return self.path / layout.CHECKPOINTS / layout.checkpoint_name(step)

    def _write_manifest(self) -> None:
        with _disk_errors(self.path):
            write_json(self.path / layout.MANIFEST, self.manifest)


@contextlib.contextmanager
def _disk_errors(run: Path) -> Iterator[None]:
    """Say what a full or failing disk means for the run instead of showing a traceback."""
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"Cannot write to the run folder {run}: {error.strerror or error}. Everything recorded so far is "
            "intact; make room or fix the permissions, then give the same command to resume."
        ) from error


def _check_examples(examples: pd.DataFrame, text_columns: Sequence[str], header: Mapping[str, Any]) -> None:
    needed = [*layout.EXAMPLE_KEYS, *text_columns]
    problems = [f"the column {name} is missing" for name in needed if name not in examples]
    if not problems:
        problems = [
            f"the {name} {value!r} is duplicated ({count} times)"
            for name in ("row_key", "example_id")
            for value, count in examples[name].value_counts().items()
            if count > 1
        ]
        if not len(_tracked_keys(examples, header)):
            problems.append("no example has the split 'train', so nothing would be tracked")
    if problems:
        raise RunError("The example table of the run is invalid:", problems)


def _remove_temporaries(run: Path) -> None:
    """Remove what a process that was killed while it wrote left behind."""
    for folder in (run, run / layout.CHECKPOINTS, run / layout.GRADIENTS, run / layout.STATE):
        remove_temporaries(folder)


def _tracked_keys(examples: pd.DataFrame, manifest: Mapping[str, Any]) -> NDArray[np.int64]:
    splits = manifest.get("tracked_splits", ["train"])
    return examples.loc[examples["split"].isin(splits), "row_key"].to_numpy(np.int64)


def _write_examples(file: Path, examples: pd.DataFrame, text_columns: Sequence[str]) -> None:
    fixed = [name for name in layout.EXAMPLE_TYPES if name in examples]
    covariates = [name for name in examples if name not in fixed and name not in text_columns]
    order = [*fixed[:2], *text_columns, *fixed[2:], *covariates]
    table = pa.Table.from_pandas(examples[order], preserve_index=False)
    for index, name in enumerate(order):
        if name in layout.EXAMPLE_TYPES:
            table = table.set_column(index, name, table[name].cast(layout.EXAMPLE_TYPES[name]))
    with _disk_errors(file.parent), atomic_path(file) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _cut_gradients(run: Path, step: int) -> None:
    for found in layout.norm_steps(run):
        if found > step:
            (run / layout.GRADIENTS / layout.checkpoint_name(found)).unlink()
    if (run / layout.GRADIENTS / layout.ALIGNMENT).exists():
        _cut_lines(run / layout.GRADIENTS / layout.ALIGNMENT, step)


def _cut_lines(file: Path, step: int) -> None:
    whole_lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []
    kept = [line for line in whole_lines if json.loads(line)["step"] <= step]
    write_text(file, "".join(line + "\n" for line in kept))
