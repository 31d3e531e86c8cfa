"""A task made concrete: the tables that train, are tracked and validate."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.annotations.disagreement import PLAIN, Disagreement
from contested.tasks.interventions import soft_targets


@dataclass(frozen=True, eq=False)
class TaskData:
    """A task made concrete. It trains on the tracked examples (all, or a composition of them), then on the bulk.

    Attributes:
        label_names: Class names, length K.
        text_columns: The input text's columns, in order.
        examples: One row per annotated example, tracked ones first, as a run folder's example table:
            row_key, example_id, text columns, gold, label_counts, entropy (nats), category, split
            (``train`` or ``validation``), covariates; ``in_training`` where not all tracked examples train,
            ``trained_label`` where some train on another label than the gold one.
        category_names: Categories in order of rising entropy, or of ``disagreement``.
        disagreement: The measure that the categories are bands of.
        bulk: One row per bulk example: example_id, text columns, label (class index).
        class_weights: Weight of each class in the training loss, shape (K,), mean 1; None without weighting.
        soft_labels: Whether annotated examples train on the annotators' distribution.
        depends_on_seed: Whether the run's seed decided anything of it.
        counts: What was dropped, sampled and kept, for the manifest and its readers.
        notes: What is to be said of the data, a sentence each.
        bulk_source: Data set and commit of bulk examples from the hub, or empty.
    """

    label_names: tuple[str, ...]
    text_columns: tuple[str, ...]
    examples: pd.DataFrame
    category_names: tuple[str, ...]
    bulk: pd.DataFrame
    class_weights: NDArray[np.float64] | None
    soft_labels: bool = False
    depends_on_seed: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    bulk_source: str = ""
    disagreement: Disagreement = PLAIN

    @property
    def n_tracked(self) -> int:
        """Number of tracked examples N."""
        return int((self.examples["split"] == "train").sum())

    @property
    def train_texts(self) -> pd.DataFrame:
        """Text columns of the training examples, shape (M, text columns)."""
        columns = list(self.text_columns)
        return pd.concat([_trained(self.examples)[columns], self.bulk[columns]], ignore_index=True)

    @property
    def train_labels(self) -> NDArray[np.int64]:
        """Class index on which each training example trains, shape (M,); with soft labels the majority's."""
        return np.concatenate([trained_labels(self.examples), self.bulk["label"].to_numpy(np.int64)])

    @property
    def train_targets(self) -> NDArray[np.float32] | None:
        """Target distribution of each training example, shape (M, K); None where all train on one class."""
        if not self.soft_labels:
            return None
        counts = np.array(_trained(self.examples)["label_counts"].tolist(), np.int64)
        return soft_targets(counts.reshape(-1, len(self.label_names)), self.bulk["label"].to_numpy(np.int64))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Names the content: ids, texts, labels, counts and split, wherever they came from."""
        digest = hashlib.sha256(repr((self.label_names, self.text_columns)).encode())
        if self.soft_labels:
            digest.update(b"soft labels")
        columns = ["example_id", *self.text_columns, "gold", "label_counts", "category", "split"]
        columns += [name for name in ("in_training", "trained_label") if name in self.examples]
        for row in self.examples[columns].itertuples(index=False):
            digest.update(repr(tuple(_plain(value) for value in row)).encode())
        for row in self.bulk[["example_id", *self.text_columns, "label"]].itertuples(index=False):
            digest.update(repr(tuple(_plain(value) for value in row)).encode())
        return f"sha256:{digest.hexdigest()[:32]}"


def trained_labels(examples: pd.DataFrame) -> NDArray[np.int64]:
    """Class index on which each annotated example that trains is trained."""
    trained = _trained(examples)
    return trained["trained_label" if "trained_label" in trained else "gold"].to_numpy(np.int64)


def _trained(examples: pd.DataFrame) -> pd.DataFrame:
    """The annotated examples that train."""
    trains = examples["split"] == "train"
    return examples[trains & examples["in_training"] if "in_training" in examples else trains]


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
