"""The recorded course of one run: what every tracked example's logits and loss did, checkpoint by checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from contested.errors import RunError
from contested.files import user_path
from contested.trajectories.checksums import RunFiles
from contested.trajectories.gradients import Gradients, read_gradients
from contested.trajectories.layout import Status, StepUnit
from contested.trajectories.manifest import read_manifest
from contested.trajectories.reading import (
    SharedExamples,
    read_baseline,
    read_checkpoint,
    read_checkpoints,
    read_metrics,
)
from contested.trajectories.saving import checkpoints_of, write_run
from contested.trajectories.splits import Split, split_of, splits_of

if TYPE_CHECKING:
    from contested.annotations.categories import Categories
    from contested.annotations.disagreement import Disagreement
    from contested.trajectories.given_columns import Covariates, Texts

_LOOKS = 3
Known = Literal["losses", "logits", "gold", "label_counts", "entropy", "categories"]
_KNOWN_AS: dict[str, str] = {
    "losses": "losses",
    "logits": "logits",
    "gold": "gold labels",
    "label_counts": "annotators' label counts",
    "entropy": "annotation entropy",
    "categories": "categories",
}


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The recorded course of one run over its tracked examples, whoever recorded it.

    T checkpoints, N tracked examples, K classes. Rows of ``examples`` and the second axis of ``losses`` and
    ``logits`` are in the same order. Losses, logits, gold labels, annotators and texts are each there or not:
    :attr:`has` says which; what is not there is None, never made up.

    Attributes:
        run_id: The run's name in tables and figures.
        status: ``running``, ``complete``, ``failed`` or ``interrupted``.
        steps: Optimiser steps done at each checkpoint, or epochs (see ``step_unit``), shape (T,).
        epochs: Epochs done at each checkpoint (fractional), shape (T,); NaN where unknown.
        example_ids: Ids given by the data, shape (N,).
        losses: Unweighted cross-entropy against the gold label in nats, shape (T, N), or None.
        logits: The classifier's outputs, shape (T, N, K), or None.
        examples: One row per example: row_key, example_id, text columns, split, covariates; gold, label_counts,
            entropy (nats) and category where the run knows them.
        label_names: Class names, in the order of the logits, length K; empty where the classes are unknown.
        text_columns: Which columns of ``examples`` are the model's input text.
        category_names: Categories in order of rising entropy, also those without an example; empty without categories.
        metrics: One row per line of metrics.jsonl (step, train_loss, lr, val_accuracy, seconds, …).
        manifest: The run's manifest as written.
        path: The run folder, or None for a trajectory made in memory.
        gradients: What gradient probes found, or None for a run without.
        step_unit: What ``steps`` counts: ``step`` (of the optimiser) or ``epoch``.
        origin: Where the run comes from: ``kind`` (``contested``: trained by it; ``arrays``: from
            :meth:`from_arrays`) and whatever else is known.
        extra: Further values that were recorded of each example at each checkpoint, by name (such as
            ``completion_loss``), shape (T, N) each; NaN where unknown.
        baseline_losses: Losses of the untouched model, that is without adapters (nats), shape (N,), or None.
        baseline_logits: Its logits, shape (N, K), or None.
    """

    run_id: str
    status: str
    steps: NDArray[np.int64]
    epochs: NDArray[np.float64]
    example_ids: NDArray[np.object_]
    losses: NDArray[np.float64] | None
    logits: NDArray[np.float32] | None
    examples: pd.DataFrame
    label_names: tuple[str, ...]
    text_columns: tuple[str, ...]
    category_names: tuple[str, ...]
    metrics: pd.DataFrame
    manifest: dict[str, Any]
    path: Path | None = None
    gradients: Gradients | None = None
    step_unit: StepUnit = "step"
    origin: dict[str, Any] = field(default_factory=lambda: {"kind": "contested"})
    extra: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    baseline_losses: NDArray[np.float64] | None = None
    baseline_logits: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        expected = (len(self.steps), len(self.example_ids), len(self.label_names))
        given = {
            name: (array.shape, wanted)
            for name, array, wanted in (
                ("logits", self.logits, expected),
                ("losses", self.losses, expected[:2]),
                ("baseline_losses", self.baseline_losses, expected[1:2]),
                ("baseline_logits", self.baseline_logits, expected[1:]),
                *((name, values, expected[:2]) for name, values in self.extra.items()),
            )
            if array is not None
        }
        if any(shape != wanted for shape, wanted in given.values()):
            found = " and ".join(f"{name} {shape}" for name, (shape, _) in given.items())
            raise RunError(
                f"The trajectory's arrays do not fit together: {found}, expected (T, N, K) = {expected} from steps, "
                "example_ids and label_names."
            )
        if len(self.examples) != expected[1]:
            raise RunError(f"The example table has {len(self.examples)} rows for {expected[1]} tracked examples.")

    @property
    def counted_in(self) -> str:
        """What ``steps`` counts, for whoever shows them: step, epoch, or checkpoint where steps are unknown."""
        unknown = self.step_unit == "step" and self.origin.get("steps") == "numbered"
        return "checkpoint" if unknown else self.step_unit

    @property
    def has(self) -> frozenset[str]:
        """What the run knows of its examples.

        Any of ``losses``, ``logits``, ``classes`` (names, and so the number, of those that losses are of; not where
        ``origin`` says that ``losses`` are of ``completions``), ``gold``, ``annotators``, ``gradients`` (norms of the
        examples' gradients), ``baseline`` (losses of the untouched model), ``texts``, ``metrics``.
        """
        gradients = self.gradients
        known = {
            "losses": self.losses is not None,
            "logits": self.logits is not None,
            # Annotators' classes may be none that a model of completions chooses from.
            "classes": bool(self.label_names) and self.origin.get("losses") != "completions",
            "gold": "gold" in self.examples,
            "annotators": "label_counts" in self.examples,
            "gradients": gradients is not None and bool(np.isfinite(gradients.norms).any()),
            "baseline": self.baseline_losses is not None,
            "texts": bool(self.text_columns),
            "metrics": bool(len(self.metrics)),
        }
        return frozenset(name for name, there in known.items() if there)

    @property
    def gold(self) -> NDArray[np.int64] | None:
        """The gold label of each example as a class index, shape (N,), or None."""
        return self.examples["gold"].to_numpy(np.int64) if "gold" in self.examples else None

    @property
    def label_counts(self) -> NDArray[np.int64] | None:
        """How many annotators chose each class, shape (N, K), or None."""
        if "label_counts" not in self.examples:
            return None
        return np.array(self.examples["label_counts"].tolist(), np.int64).reshape(-1, len(self.label_names))

    @property
    def entropy(self) -> NDArray[np.float64] | None:
        """Annotation entropy in nats, shape (N,), nan where one annotation leaves it unknown; or None."""
        return self.examples["entropy"].to_numpy(np.float64) if "entropy" in self.examples else None

    @property
    def disagreement(self) -> Disagreement:
        """The measure that ``category_names`` are bands of: entropy unless the manifest says otherwise."""
        from contested.annotations.disagreement import Disagreement

        return Disagreement.from_manifest(self.manifest)

    @property
    def categories(self) -> NDArray[np.object_] | None:
        """The category of each example, by entropy or as the run was given them, shape (N,), or None."""
        if "category" not in self.examples:
            return None
        indices, names = pd.factorize(self.examples["category"], use_na_sentinel=False)
        # One string per category, not one per example.
        return np.asarray(names, dtype=object)[indices]

    @property
    def splits(self) -> tuple[Split, ...]:
        """Which splits the examples are of: ``train``, ``validation`` or both."""
        return splits_of(self)

    def of_split(self, split: Split) -> Trajectory:
        """The examples of one split alone; see :func:`contested.trajectories.splits.split_of`."""
        return split_of(self, split)

    def required(self, name: Known) -> NDArray[Any]:
        """What the caller cannot do without.

        Args:
            name: One of the arrays that a run may lack.

        Returns:
            The array.

        Raises:
            RunError: If the run lacks it.
        """
        found: NDArray[Any] | None = getattr(self, name)
        if found is None:
            raise RunError(f"The run {self.run_id} has no {_KNOWN_AS[name]}, and this needs them.")
        return found

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, shared: SharedExamples | None = None) -> Self:
        """Read a run folder; one that is still being written is read up to its last checkpoint.

        Args:
            path: The run folder.
            shared: Tables of ``examples`` that runs read before have; this one's is among them then, and nobody may
                change it.

        Returns:
            The trajectory, with every checkpoint that the manifest lists.

        Raises:
            RunError: If the folder is missing, is not a run folder, was written by a newer version,
                has no checkpoint yet, or its files contradict each other.
        """
        run, looks = user_path(path), 0
        while True:
            manifest, looks = read_manifest(run), looks + 1
            try:
                return cls._read(run, manifest, shared)
            except RunError:
                # Whoever resumes the run may have dropped meanwhile what the manifest listed before.
                if looks == _LOOKS or read_manifest(run) == manifest:
                    raise

    @classmethod
    def _read(cls, run: Path, manifest: dict[str, Any], shared: SharedExamples | None) -> Self:
        """Read what a manifest lists."""
        files, listed = RunFiles(run, manifest), manifest["checkpoints"]
        if not listed:
            raise RunError(
                f"The run {run} has no checkpoint yet (status {manifest['status']}). "
                "Wait for the first one, or start it again with contested train."
            )
        steps = [c["step"] for c in listed]
        label_names = tuple(manifest.get("label_names", ()))
        first = read_checkpoint(files, steps[0])
        row_keys = np.asarray(first["row_key"].to_numpy())
        # Before the others, for reading texts takes twice their memory, if only for a moment.
        examples = (shared or SharedExamples()).read(files, row_keys)
        recorded = read_checkpoints(files, steps, first, len(label_names))
        baseline_losses, baseline_logits = read_baseline(files, row_keys, len(label_names))
        return cls(
            run_id=manifest["run_id"],
            status=manifest["status"],
            steps=np.array(steps, np.int64),
            epochs=np.array([c["epoch"] for c in listed], np.float64),
            example_ids=examples["example_id"].to_numpy(object),
            losses=recorded.losses,
            logits=recorded.logits,
            examples=examples,
            label_names=label_names,
            text_columns=tuple(manifest.get("text_columns", ())),
            category_names=tuple(manifest.get("category_names", ())),
            metrics=read_metrics(run, files),
            manifest=manifest,
            path=run,
            gradients=read_gradients(files, row_keys=row_keys, last_step=listed[-1]["step"]),
            step_unit=manifest.get("step_unit", "step"),
            # Before schema 2 nothing else wrote run folders.
            origin=manifest.get("origin", {"kind": "contested"}),
            extra=recorded.extra,
            baseline_losses=baseline_losses,
            baseline_logits=baseline_logits,
        )

    @classmethod
    def from_arrays(
        cls,
        *,
        losses: ArrayLike | None = None,
        logits: ArrayLike | None = None,
        ids: Sequence[Any] | NDArray[Any] | None = None,
        gold: ArrayLike | Literal["majority"] | None = None,
        label_counts: ArrayLike | None = None,
        label_names: Sequence[str] | None = None,
        steps: ArrayLike | None = None,
        step_unit: StepUnit = "step",
        epochs: ArrayLike | None = None,
        texts: Texts | None = None,
        covariates: Covariates | None = None,
        categories: str | Categories | Sequence[str] | NDArray[Any] = "fixed",
        category_names: Sequence[str] | None = None,
        run_id: str = "run",
        origin: Mapping[str, Any] | str = "",
        check_label_order: bool = True,
        extra: Mapping[str, ArrayLike] | None = None,
    ) -> Self:
        """Make a run of arrays that something else recorded, checked; give losses, logits, or both.

        Losses are computed from logits and gold labels where they are not given. What is not given stays unknown.

        Args:
            losses: Cross-entropy against the gold label in nats, shape (T, N).
            logits: The classifier's outputs before the softmax, shape (T, N, K).
            ids: The examples' ids, N different ones; the row numbers as text without it.
            gold: Class index or class name of each example, shape (N,); ``"majority"`` takes the label that most
                annotators chose (a tie goes to the first class).
            label_counts: How many annotators chose each class, shape (N, K).
            label_names: Class names in the order of logits and counts, K of them; ``"0"``, ``"1"``, … without it.
            steps: Optimiser steps (or epochs) done at each checkpoint, whole and rising, shape (T,); without it the
                checkpoints are numbered from 1.
            step_unit: What ``steps`` counts: ``step`` or ``epoch``.
            epochs: Epochs done at each checkpoint, shape (T,).
            texts: The input: N texts, or text columns by name.
            covariates: Further columns of the examples by name, such as their length; values may be missing.
            categories: How annotation entropy is cut into categories (``fixed``, ``terciles``, ``quartiles``, or own
                :class:`~contested.Categories`), or the category of each example, shape (N,).
            category_names: The order of categories given by example; without it they are in order of rising mean
                entropy, or where there are no annotators in the order in which they occur.
            run_id: The run's name.
            origin: Where the arrays come from, for the record: a sentence or several facts.
            check_label_order: Whether to refuse logits that are far below chance against the gold labels while
                they fit with their classes in another order; switch it off where gold labels are wrong on purpose.
            extra: Further values of each example at each checkpoint by name, shape (T, N) each; NaN where unknown.

        Returns:
            The run, complete.

        Raises:
            DataError: If the arrays do not make a run; all problems at once.

        Examples:
            Two checkpoints of three examples, each with its loss:

            >>> run = Trajectory.from_arrays(losses=[[0.7, 0.7, 0.7], [0.1, 0.4, 1.2]], ids=["a", "b", "c"])
            >>> (run.losses[1] - run.losses[0]).round(1).tolist()
            [-0.6, -0.3, 0.5]
            >>> sorted(run.has)
            ['losses']
        """
        # Here, for SciPy takes longer to load than a run folder to read.
        from contested.trajectories.arrays import Arrays
        from contested.trajectories.given_categories import measure_of

        arrays = Arrays(
            losses=losses,
            logits=logits,
            ids=ids,
            gold=gold,
            label_counts=label_counts,
            label_names=label_names,
            steps=steps,
            step_unit=step_unit,
            epochs=epochs,
            texts=texts,
            covariates=covariates,
            categories=categories,
            category_names=category_names,
            run_id=run_id,
            origin=origin,
            check_label_order=check_label_order,
            extra=extra,
        )
        return cls(status="complete", manifest=measure_of(categories).to_manifest(), **arrays.checked())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run as a run folder, which :meth:`load` reads back equal; weights and snapshots are not copied.

        Args:
            path: The folder, new or empty; made with its parents where missing.

        Raises:
            RunError: If it holds something already or cannot be written.
        """
        write_run(
            user_path(path),
            header={
                "run_id": self.run_id,
                **{key: value for key, value in self.manifest.items() if key not in _WRITTEN},
                "origin": self.origin,
                "step_unit": self.step_unit,
                "label_names": list(self.label_names),
                "category_names": list(self.category_names),
            },
            examples=self.examples,
            text_columns=self.text_columns,
            checkpoints=checkpoints_of(self),
            baseline=(self.baseline_losses, self.baseline_logits),
            metrics=self.metrics,
            gradients=self.gradients,
            status=cast(Status, self.status),
        )


# What is written from the trajectory itself, whatever the manifest of the run said before.
_WRITTEN = frozenset({"schema_version", "run_id", "status", "text_columns", "checkpoints", "files", "digest"})
