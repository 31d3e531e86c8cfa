"""Reading a run folder: what every tracked example's logits and loss did, checkpoint by checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from contested.errors import RunError
from contested.trajectories import layout
from contested.trajectories.gradients import Gradients, read_gradients
from contested.trajectories.reading import read_lines, read_table


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The recorded course of one run over its tracked examples.

    T checkpoints, N tracked examples, K classes. Rows of ``examples`` and the second axis of
    ``losses`` and ``logits`` are in the same order.

    Attributes:
        run_id: The run's name in tables and figures.
        status: ``running``, ``complete``, ``failed`` or ``interrupted``.
        steps: Optimiser steps done at each checkpoint, shape (T,).
        epochs: Epochs done at each checkpoint (fractional), shape (T,).
        example_ids: Ids given by the data, shape (N,).
        losses: Unweighted cross-entropy against the gold label in nats, shape (T, N).
        logits: The classifier's outputs, shape (T, N, K).
        examples: One row an example: row_key, example_id, text columns, gold, label_counts, entropy
            (nats), category, split, covariates.
        label_names: Class names, in the order of the logits, length K.
        text_columns: Which columns of ``examples`` are the model's input text.
        category_names: Categories in order of rising entropy, also those without an example.
        metrics: One row a line of metrics.jsonl (step, train_loss, lr, val_accuracy, seconds, …).
        manifest: The run's manifest as written.
        path: The run folder, or None for a trajectory made in memory.
        gradients: What gradient probes found, or None for a run without.
    """

    run_id: str
    status: str
    steps: NDArray[np.int64]
    epochs: NDArray[np.float64]
    example_ids: NDArray[np.object_]
    losses: NDArray[np.float64]
    logits: NDArray[np.float32]
    examples: pd.DataFrame
    label_names: tuple[str, ...]
    text_columns: tuple[str, ...]
    category_names: tuple[str, ...]
    metrics: pd.DataFrame
    manifest: dict[str, Any]
    path: Path | None = None
    gradients: Gradients | None = None

    def __post_init__(self) -> None:
        expected = (len(self.steps), len(self.example_ids), len(self.label_names))
        if self.logits.shape != expected or self.losses.shape != expected[:2]:
            raise RunError(
                f"The trajectory's arrays do not fit together: logits {self.logits.shape} and losses "
                f"{self.losses.shape}, expected (T, N, K) = {expected} from steps, example_ids and label_names."
            )
        if len(self.examples) != expected[1]:
            raise RunError(f"The example table has {len(self.examples)} rows for {expected[1]} tracked examples.")

    @property
    def gold(self) -> NDArray[np.int64]:
        """The gold label of each example as a class index, shape (N,)."""
        return self.examples["gold"].to_numpy(np.int64)

    @property
    def label_counts(self) -> NDArray[np.int64]:
        """How many annotators chose each class, shape (N, K)."""
        return np.array(self.examples["label_counts"].tolist(), np.int64).reshape(-1, len(self.label_names))

    @property
    def entropy(self) -> NDArray[np.float64]:
        """Annotation entropy in nats, shape (N,)."""
        return self.examples["entropy"].to_numpy(np.float64)

    @property
    def categories(self) -> NDArray[np.object_]:
        """The entropy category of each example, shape (N,)."""
        places, names = pd.factorize(self.examples["category"], use_na_sentinel=False)
        # One string a category, not one an example.
        return np.asarray(names, dtype=object)[places]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a run folder; one that is still being written is read up to its last checkpoint.

        Args:
            path: The run folder.

        Returns:
            The trajectory, with every checkpoint that the manifest lists.

        Raises:
            RunError: If the folder is missing, is no run folder, was written by a newer version,
                has no checkpoint yet, or its files contradict each other.
        """
        run = Path(path)
        manifest = read_manifest(run)
        listed = manifest["checkpoints"]
        if not listed:
            raise RunError(
                f"The run {run} has no checkpoint yet (status {manifest['status']}). "
                "Wait for the first one, or start it again with contested train."
            )
        steps = [c["step"] for c in listed]
        row_keys = _read_checkpoint(run, steps[0], ["row_key"])["row_key"].to_numpy()
        # First of all, for reading texts takes twice their memory, if only for a moment.
        examples = _tracked_examples(run, row_keys)
        losses, logits = _checkpoints(run, steps, row_keys, len(manifest["label_names"]))
        return cls(
            run_id=manifest["run_id"],
            status=manifest["status"],
            steps=np.array(steps, np.int64),
            epochs=np.array([c["epoch"] for c in listed], np.float64),
            example_ids=examples["example_id"].to_numpy(object),
            losses=losses,
            logits=logits,
            examples=examples,
            label_names=tuple(manifest["label_names"]),
            text_columns=tuple(manifest["text_columns"]),
            category_names=tuple(manifest["category_names"]),
            metrics=read_metrics(run),
            manifest=manifest,
            path=run,
            gradients=read_gradients(run, row_keys=row_keys, last_step=listed[-1]["step"]),
        )


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
        raise RunError(f"There is no folder {run}. Give the folder that contested train wrote with --out.")
    try:
        manifest = json.loads((run / layout.MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{run} is not a run folder: it has no {layout.MANIFEST}. Give the folder that contested train wrote."
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
    """Read metrics.jsonl as one row a line; a last line cut short by a crash is left out."""
    file = run / layout.METRICS
    return pd.DataFrame(read_lines(file) if file.exists() else {"step": np.array([], np.int64)})


def _tracked_examples(run: Path, row_keys: NDArray[np.int64]) -> pd.DataFrame:
    table = read_table(run / layout.EXAMPLES)
    known = pd.Index(table["row_key"].to_numpy())
    if known.has_duplicates:
        raise RunError(f"{run / layout.EXAMPLES} has a row_key twice; restore it from a copy.")
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


def _checkpoints(
    run: Path, steps: Sequence[int], row_keys: NDArray[np.int64], n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Losses and logits, one file after the other: of a million examples all files at once are gigabytes."""
    losses = np.empty((len(steps), len(row_keys)))
    logits = np.empty((len(steps), len(row_keys), n_classes), np.float32)
    for place, step in enumerate(steps):
        table = _read_checkpoint(run, step)
        if not np.array_equal(table["row_key"].to_numpy(), row_keys):
            raise RunError(
                f"The checkpoint at step {step} of {run} tracks other examples than the first one; "
                "the folder mixes two runs. Train into an empty folder."
            )
        losses[place] = table["loss"].to_numpy()
        logits[place] = _logits(table, len(row_keys), n_classes, step)
    del table
    pa.default_memory_pool().release_unused()
    return losses, logits


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
