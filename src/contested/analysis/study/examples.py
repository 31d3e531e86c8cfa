"""What the runs of a study know of their examples, found once for the runs that have the same."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis import original_label
from contested.analysis.clusters import run_clusters
from contested.analysis.controls import text_length
from contested.analysis.run_examples import RunExamples, ordered
from contested.annotations.measures import entropy
from contested.errors import RunError
from contested.trajectories import layout
from contested.trajectories.splits import VALIDATION, is_validation, rows_of_split, selected

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

_NOT_COVARIATES = frozenset(
    {
        *("row_key", "example_id", "gold", "label_counts", "entropy", "category", "split", "in_training"),
        *("trained_label", *original_label.COLUMNS),
    }
)


OF_EXAMPLES = (
    *("example_ids", "label_names", "category_names", "gold", "label_counts", "original", "entropy"),
    *("entropy_miller_madow", "categories", "length", "covariates", "replaced", "n_trained", "clusters"),
)
"""What :class:`~contested.analysis.study.runs.Run` says of its examples."""
_KEPT = 4


def compared(trajectory: Trajectory) -> Trajectory:
    """A run with the examples that a study compares: of one that tracks validation examples, too, those that train."""
    return trajectory.of_split("train") if "train" in trajectory.splits else trajectory


class SeenExamples:
    """The examples of the runs before; those of the last :data:`_KEPT` tables are kept.

    A table counts as the same where it is the same object (:class:`~contested.trajectories.reading.SharedExamples`).
    """

    def __init__(self) -> None:
        self._last: list[StudyExamples] = []

    def of(self, trajectory: Trajectory, clusters: str | None) -> StudyExamples:
        """What is known of a run's examples, found now or for a run before it.

        Args:
            trajectory: The run.
            clusters: The column of its examples that says which belong together, or ``"none"``; without it those that
                share a text.

        Returns:
            What is known.
        """
        found = next((one for one in self._last if one.are_of(trajectory, clusters)), None)
        if found is None:
            found = StudyExamples(trajectory, clusters)
            self._last = [*self._last, found][-_KEPT:]
        return found


class StudyExamples:
    """The examples of a run that a study compares.

    Args:
        trajectory: The run; what it recorded of the examples is not kept.
        clusters: As for :class:`SeenExamples`.

    Attributes:
        facts: The examples.
        held_out: Which of the run's examples it does not train on, those that are not compared among them.
        digest: Of their table and of how it is read; empty where the manifest does not know the table's file.
    """

    def __init__(self, trajectory: Trajectory, clusters: str | None) -> None:
        self._given, self._ids, self._read_as = trajectory.examples, trajectory.example_ids, _read_as(trajectory)
        self._clusters = clusters
        self.digest = _digest(trajectory, self._read_as)
        self.held_out = is_validation(trajectory)
        own = compared(trajectory)
        self._rows = None if own is trajectory else rows_of_split(trajectory, "train")
        self.facts = RunExamples(own)

    def are_of(self, trajectory: Trajectory, clusters: str | None) -> bool:
        """Whether these are the examples of a run, in the same order, and read in the same way."""
        same = trajectory.examples is self._given and (clusters, _read_as(trajectory)) == (
            self._clusters,
            self._read_as,
        )
        return same and np.array_equal(trajectory.example_ids, self._ids)

    def compared(self, trajectory: Trajectory) -> Trajectory:
        """One of the runs with the examples that a study compares."""
        return trajectory if self._rows is None else selected(trajectory, self._rows, self.facts.run.examples)

    @cached_property
    def summaries(self) -> dict[str, Any]:
        """What :class:`~contested.analysis.study.runs.Run` says of its examples, by name; the same for all runs."""
        facts, run = self.facts, self.facts.run
        if len(np.unique(facts.ids)) < len(facts.ids):
            raise RunError("an example id is duplicated among its tracked examples")
        examples = run.examples.iloc[facts.order].reset_index(drop=True)
        counts = facts.label_counts
        return {
            "example_ids": facts.ids,
            "label_names": tuple(run.label_names),
            "category_names": tuple(run.category_names),
            "gold": facts.gold,
            "label_counts": counts,
            "original": original_label.original_labels(examples, run.label_names),
            "entropy": ordered(run.entropy, facts.order),
            "entropy_miller_madow": None if counts is None else entropy(counts, "miller-madow"),
            "categories": ordered(run.categories, facts.order),
            "length": _length(examples, run.text_columns),
            "covariates": _covariates(examples, run.text_columns),
            "replaced": _replaced(examples, facts.gold),
            "n_trained": _n_trained(examples),
            "clusters": ordered(run_clusters(run, self._clusters).codes, facts.order),
        }


def _read_as(trajectory: Trajectory) -> tuple[Any, ...]:
    """What decides, beside their table, what is known of a run's examples; first of all the checksum of the table."""
    known = trajectory.manifest.get(layout.FILES, {}).get(layout.EXAMPLES, {})
    names = trajectory.label_names, trajectory.text_columns, trajectory.category_names
    return known.get("sha256", ""), *names, repr(trajectory.manifest.get("categories_by"))


def _digest(trajectory: Trajectory, read_as: tuple[Any, ...]) -> str:
    if not read_as[0] or "row_key" not in trajectory.examples:
        return ""
    rows = trajectory.examples["row_key"].to_numpy(np.int64).tobytes()
    return hashlib.sha256(repr((rows, read_as)).encode()).hexdigest()


def _n_trained(examples: pd.DataFrame) -> int:
    trains = (examples["split"] != VALIDATION).to_numpy() if "split" in examples else np.ones(len(examples), bool)
    return int((trains & examples["in_training"].to_numpy(bool) if "in_training" in examples else trains).sum())


def _length(examples: pd.DataFrame, text_columns: tuple[str, ...]) -> NDArray[np.float64] | None:
    return text_length(examples[list(text_columns)]).astype(np.float64) if text_columns else None


def _covariates(examples: pd.DataFrame, text_columns: tuple[str, ...]) -> pd.DataFrame:
    return examples[[name for name in examples if name not in _NOT_COVARIATES and name not in text_columns]]


def _replaced(examples: pd.DataFrame, gold: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    if gold is None or "trained_label" not in examples:
        return np.zeros(len(examples), bool)
    return np.asarray(examples["trained_label"].to_numpy() != gold)
