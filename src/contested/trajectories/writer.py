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
from contested.files import atomic_path, flushed_once, make_folder
from contested.staging import fenced, staging_of
from contested.trajectories import layout
from contested.trajectories.lease import check_lease
from contested.trajectories.ledger import Ledger
from contested.trajectories.leftovers import drop_unlisted
from contested.trajectories.manifest import read_manifest, write_manifest
from contested.trajectories.resuming import FROM_START, resumed

NORM_SCHEMA = pa.schema([("row_key", pa.int64()), ("step", pa.int32()), ("norm", pa.float64())])
# Columns of examples.parquet with a fixed type; text columns and covariates are between and after them.
_EXAMPLE_TYPES: dict[str, pa.DataType] = {
    "row_key": pa.int64(),
    "example_id": pa.string(),
    "gold": pa.int64(),
    "label_counts": pa.list_(pa.int32()),
    "entropy": pa.float64(),
    "category": pa.string(),
    "split": pa.string(),
}


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
        self._ledger = Ledger(path, manifest.get(layout.FILES, {}))

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
        manifest: dict[str, Any] = {
            "schema_version": layout.SCHEMA_VERSION,
            "status": "running",
            "origin": {"kind": "contested"},
            "step_unit": "step",
            **header,
            "text_columns": list(text_columns),
            "checkpoints": [],
            layout.FILES: {},
        }
        check_lease(run)
        with disk_errors(run):
            make_folder(run)
            # First, so that whatever stops this finds a run that has recorded nothing, not one that has lost it all.
            write_manifest(run, manifest)
            writer = cls(run, manifest, _tracked_keys(examples, manifest))
            with flushed_once():
                drop_unlisted(run, manifest)
                make_folder(run / layout.CHECKPOINTS)
                writer._write_table(layout.EXAMPLES, _example_table(examples, text_columns))
                writer._append(layout.METRICS, "")
        writer._write_manifest()
        return writer

    @classmethod
    def resume(cls, path: str | os.PathLike[str], *, step: int, go_on: str = FROM_START) -> Self:
        """Resume a run folder from the snapshot at ``step``, dropping what was recorded after it.

        Args:
            path: The run folder.
            step: Optimiser steps done at the snapshot.
            go_on: What to do where something is lost, a sentence.

        Returns:
            A writer positioned right after the checkpoint at ``step``.

        Raises:
            RunError: If something that was recorded up to there is missing, damaged, or not listed.
        """
        run = Path(path)
        check_lease(run)
        with disk_errors(run):
            manifest = resumed(run, step, go_on)
        examples = pq.read_table(run / layout.EXAMPLES, columns=["row_key", "split"]).to_pandas()
        return cls(run, manifest, _tracked_keys(examples, manifest))

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> Self:
        """Add gradients to a run that has ended; :meth:`list_files` makes them part of it.

        Args:
            path: The run folder.

        Returns:
            A writer for gradients.
        """
        run = Path(path)
        manifest = read_manifest(run)
        check_lease(run)
        with disk_errors(run):
            drop_unlisted(run, manifest)
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
        self._write_table(f"{layout.CHECKPOINTS}/{layout.checkpoint_name(step)}", table)

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
        self._write_table(layout.BASELINE, table)

    def list_checkpoint(self, *, step: int, epoch: float | None) -> None:
        """Name the checkpoint in the manifest, which makes it part of the run for every reader."""
        self.manifest["checkpoints"].append({"step": step, "epoch": epoch})
        self._write_manifest()
        with disk_errors(self.path):
            drop_unlisted(self.path, self.manifest, only=layout.STATE)

    def list_weights(self, folder: str) -> None:
        """Make a folder of trained weights part of the run; the manifest names its files when the run is finished.

        Args:
            folder: ``adapter`` or ``model``.
        """
        with disk_errors(self.path):
            for file in sorted((self.path / folder).rglob("*")):
                if file.is_file():
                    self._ledger.wrote(file.relative_to(self.path).as_posix())

    def list_files(self) -> None:
        """Name what was written in the manifest; that of a folder of an earlier schema knows no files and stays."""
        if layout.FILES in self.manifest:
            self._write_manifest()

    def write_metrics(self, *lines: Mapping[str, Any]) -> None:
        """Append lines to metrics.jsonl and flush them to the disk."""
        self._append(layout.METRICS, "".join(map(_line, lines)))

    def write_gradient_norms(self, *, step: int, norms: NDArray[np.float64], facts: Mapping[str, Any]) -> None:
        """Record the tracked examples' gradient norms at one step as a file.

        Args:
            step: Optimiser steps done.
            norms: Shape (N,).
            facts: What they are of: head, mode, method, notes.
        """
        if norms.shape != self._row_keys.shape:
            raise RunError(f"A probe gave {norms.shape} gradient norms for {len(self._row_keys)} tracked examples.")
        schema = NORM_SCHEMA.with_metadata({layout.NORM_FACTS: json.dumps(dict(facts))})
        columns = [self._row_keys, np.full(len(norms), step, np.int32), norms]
        table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=schema)
        self._write_table(f"{layout.GRADIENTS}/{layout.checkpoint_name(step)}", table)

    def write_alignment(self, values: Mapping[str, Any]) -> None:
        """Append one line to gradients/alignment.jsonl and flush it to the disk."""
        self._append(f"{layout.GRADIENTS}/{layout.ALIGNMENT}", _line(values))

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
        with disk_errors(self.path):
            drop_unlisted(self.path, self.manifest, only="" if status == "complete" else layout.STATE)

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

    def _write_table(self, name: str, table: pa.Table) -> None:
        check_lease(self.path)
        file = self.path / name
        with disk_errors(self.path):
            make_folder(file.parent)
            with atomic_path(file) as temporary:
                pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
                self._ledger.wrote(name, temporary)

    def _append(self, name: str, line: str) -> None:
        check_lease(self.path)
        with disk_errors(self.path), fenced(staging_of(self.path / name)):
            make_folder((self.path / name).parent)
            self._ledger.append(name, line)

    def _write_manifest(self) -> None:
        check_lease(self.path)
        listed = {checkpoint["step"] for checkpoint in self.manifest["checkpoints"]}
        with disk_errors(self.path):
            snapshots = self.manifest["status"] != "complete"
            self.manifest[layout.FILES] = self._ledger.listing(listed, snapshots=snapshots)
            write_manifest(self.path, self.manifest)


@contextlib.contextmanager
def disk_errors(run: Path) -> Iterator[None]:
    """Say what a full or failing disk means for the run instead of showing a traceback.

    Args:
        run: The run folder.

    Yields:
        Nothing.

    Raises:
        DiskError: In place of an error of the system.
    """
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


def _tracked_keys(examples: pd.DataFrame, manifest: Mapping[str, Any]) -> NDArray[np.int64]:
    splits = manifest.get("tracked_splits", ["train"])
    return examples.loc[examples["split"].isin(splits), "row_key"].to_numpy(np.int64)


def _example_table(examples: pd.DataFrame, text_columns: Sequence[str]) -> pa.Table:
    fixed = [name for name in _EXAMPLE_TYPES if name in examples]
    covariates = [name for name in examples if name not in fixed and name not in text_columns]
    order = [*fixed[:2], *text_columns, *fixed[2:], *covariates]
    try:
        table = pa.Table.from_pandas(examples[order], preserve_index=False)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        raise RunError(
            f"The examples of the run cannot be written: {error}. Give every column values of one kind: numbers, or "
            "texts."
        ) from None
    for index, name in enumerate(order):
        if name in _EXAMPLE_TYPES:
            table = table.set_column(index, name, table[name].cast(_EXAMPLE_TYPES[name]))
    return table


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), ensure_ascii=False, allow_nan=False) + "\n"
