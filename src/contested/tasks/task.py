"""Which examples train, which are tracked and which validate."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.annotations import Annotations, Categories, resolve_categories
from contested.errors import DataError
from contested.tasks.interventions import inject_label_noise, select_composition, soft_targets

_OWN_COLUMNS = {
    *("row_key", "example_id", "gold", "label_counts", "entropy", "category", "split", "label"),
    *("in_training", "trained_label"),
}

NLI_LABELS = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True, eq=False)
class TaskData:
    """A task made concrete. It trains on the tracked examples (all, or a composition of them), then on the bulk.

    Attributes:
        label_names: Class names, length K.
        text_columns: The input text's columns, in order.
        examples: One row an annotated example, tracked ones first, as a run folder's example table:
            row_key, example_id, text columns, gold, label_counts, entropy (nats), category, split
            (``train`` or ``validation``), covariates; ``in_training`` where not all tracked examples train,
            ``trained_label`` where some train on another label than the gold one.
        category_names: Categories in order of rising entropy.
        bulk: One row a bulk example: example_id, text columns, label (class index).
        class_weights: Weight of each class in the training loss, shape (K,), mean 1; None without weighting.
        soft_labels: Whether annotated examples train on the annotators' distribution.
        counts: What was dropped, sampled and kept, for the manifest and for people.
    """

    label_names: tuple[str, ...]
    text_columns: tuple[str, ...]
    examples: pd.DataFrame
    category_names: tuple[str, ...]
    bulk: pd.DataFrame
    class_weights: NDArray[np.float64] | None
    soft_labels: bool = False
    counts: dict[str, int] = field(default_factory=dict)

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
        return np.concatenate([_trained_labels(self.examples), self.bulk["label"].to_numpy(np.int64)])

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


@dataclass(frozen=True, eq=False)
class TextClassificationTask:
    """Annotated examples, of which most train and are tracked, beside a singly labelled bulk set.

    Attributes:
        annotated: The examples that people disagree on.
        bulk: Columns example_id, text columns, label (class name), or None to train on the annotated
            examples alone.
        text_columns: The input text's columns, in order.
        bulk_size: How many bulk examples are sampled without replacement; None takes all.
        bulk_seed: Seed of that sample.
        validation_fraction: Share of the annotated examples kept for validation.
        split_seed: Seed of the split, stratified by entropy category (paper §3.3).
        categories: Entropy categories: ``fixed``, ``terciles``, ``quartiles`` or own.
        weighted: Whether classes are weighted by inverse frequency.
        composition: Which tracked examples train: ``all``, ``low``, ``high`` or ``balanced`` (see
            :func:`contested.tasks.select_composition`).
        noise: Share of the training examples of lowest entropy category whose label is drawn anew (see
            :func:`contested.tasks.inject_label_noise`); they are tracked against their gold label.
        noise_rule: ``uniform`` or ``other``.
        intervention_seed: Seed of the noise and of the balanced composition.
        soft_labels: Train annotated examples on the annotators' distribution (KL divergence) instead of on its
            majority; they are tracked against the majority.
    """

    annotated: Annotations
    bulk: pd.DataFrame | None = None
    text_columns: tuple[str, ...] = ("premise", "hypothesis")
    bulk_size: int | None = None
    bulk_seed: int = 42
    validation_fraction: float = 0.2
    split_seed: int = 42
    categories: str | Categories = "fixed"
    weighted: bool = True
    composition: str = "all"
    noise: float = 0.0
    noise_rule: str = "uniform"
    intervention_seed: int = 42
    soft_labels: bool = False

    def prepare(self) -> TaskData:
        """Split, guard against leakage, sample the bulk and weigh the classes.

        Returns:
            The concrete task, the same for the same data and seeds.

        Raises:
            DataError: If text columns are missing, the split is impossible, too little bulk is left, or an
                intervention does not fit the data or another one.
        """
        _check_columns(self.annotated.fields, self.text_columns, "annotated examples")
        reserved = sorted({*self.text_columns} & _OWN_COLUMNS)
        if reserved:
            raise DataError(
                f"A text column cannot be called {', '.join(reserved)}: the run folder has such a column. Rename it."
            )
        if self.soft_labels and self.noise:
            raise DataError("Label noise and soft labels exclude each other: soft labels do not read the label.")
        examples, names = self._examples()
        bulk, counts = self._sampled_bulk(examples)
        examples, changes = self._intervened(examples, names)
        n_tracked = int((examples["split"] == "train").sum())
        labels = np.concatenate([_trained_labels(examples), bulk["label"].to_numpy(np.int64)])
        weights = class_weights(labels, self.annotated.n_classes) if self.weighted else None
        return TaskData(
            label_names=self.annotated.label_names,
            text_columns=self.text_columns,
            examples=examples,
            category_names=names,
            bulk=bulk,
            class_weights=weights,
            soft_labels=self.soft_labels,
            counts={"tracked": n_tracked, "validation": len(examples) - n_tracked, **counts, **changes},
        )

    def _examples(self) -> tuple[pd.DataFrame, tuple[str, ...]]:
        annotated = self.annotated
        categories = annotated.categories(self.categories)
        train, validation = stratified_split(categories, self.validation_fraction, self.split_seed)
        split = np.full(annotated.n_items, "train", object)
        split[validation] = "validation"
        table = pd.DataFrame(
            {
                "example_id": list(annotated.example_ids),
                **{name: annotated.fields[name].to_numpy() for name in self.text_columns},
                "gold": annotated.majority,
                "label_counts": list(annotated.label_counts),
                "entropy": annotated.entropy,
                "category": categories,
                "split": split,
            }
        )
        # A field of the data may bear the name of one of the table's own columns: both are kept.
        own = {*table, "row_key"}
        covariates = annotated.fields.drop(columns=list(self.text_columns))
        covariates = covariates.rename(columns={name: f"{name}_given" for name in covariates if name in own})
        table = pd.concat([table, covariates], axis=1)
        table = table.iloc[np.concatenate([train, validation])].reset_index(drop=True)
        table.insert(0, "row_key", np.arange(len(table), dtype=np.int64))
        return table, resolve_categories(annotated.entropy, self.categories).names

    def _intervened(self, examples: pd.DataFrame, names: tuple[str, ...]) -> tuple[pd.DataFrame, dict[str, int]]:
        """Say in the example table who trains, and on which label, where that is not everyone on the gold one."""
        tracked = (examples["split"] == "train").to_numpy()
        categories = examples["category"].to_numpy(object)
        counts: dict[str, int] = {}
        if self.composition != "all":
            chosen = np.zeros(len(examples), bool)
            chosen[tracked] = select_composition(
                categories[tracked], names, self.composition, seed=self.intervention_seed
            )
            examples = examples.assign(in_training=chosen)
            counts["tracked_in_training"] = int(chosen.sum())
        if self.noise:
            gold = examples["gold"].to_numpy(np.int64)
            trains = examples.get("in_training", pd.Series(tracked)).to_numpy(bool)
            labels = inject_label_noise(
                gold,
                trains & (categories == names[0]),
                n_classes=self.annotated.n_classes,
                share=self.noise,
                rule=self.noise_rule,
                seed=self.intervention_seed,
            )
            examples = examples.assign(trained_label=labels)
            counts["labels_changed"] = int((labels != gold).sum())
        return examples, counts

    def _sampled_bulk(self, examples: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
        columns = ["example_id", *self.text_columns, "label"]
        if self.bulk is None:
            return pd.DataFrame({name: pd.Series(dtype=object) for name in columns}), {"bulk": 0, "leaked": 0}
        _check_columns(self.bulk, (*self.text_columns, "label"), "bulk examples")
        classes = {name: index for index, name in enumerate(self.annotated.label_names)}
        unknown = sorted(set(self.bulk["label"]) - set(classes))
        if unknown:
            raise DataError(
                f"The bulk has labels that the annotated set has not: {', '.join(map(repr, unknown))}; "
                f"expected {', '.join(classes)}."
            )
        known = set(_normalised(examples, self.text_columns))
        leaked = np.array([text in known for text in _normalised(self.bulk, self.text_columns)], bool)
        free = self.bulk[~leaked]
        size = len(free) if self.bulk_size is None else self.bulk_size
        if size > len(free):
            raise DataError(
                f"{size} bulk examples were asked for, but there are {len(free)} "
                f"({int(leaked.sum())} of {len(self.bulk)} are annotated examples and were dropped). "
                "Lower the bulk size or give more files."
            )
        rows = np.random.default_rng(self.bulk_seed).choice(len(free), size, replace=False)
        sample = free.iloc[np.sort(rows)][columns].reset_index(drop=True)
        counts = {"bulk": size, "bulk_available": len(free), "leaked": int(leaked.sum())}
        return sample.assign(label=sample["label"].map(classes).astype(np.int64)), counts


def NLITask(annotated: Annotations, bulk: pd.DataFrame | None = None, **options: Any) -> TextClassificationTask:  # noqa: N802
    """The paper's task: premise and hypothesis, three classes, 20,000 bulk examples where there are so many.

    Args:
        annotated: Examples with label counts and the fields ``premise`` and ``hypothesis``.
        bulk: As :func:`contested.tasks.read_bulk` gives it.
        **options: Further arguments of :class:`TextClassificationTask`.

    Returns:
        The task.

    Raises:
        DataError: If the classes are not those of NLI.
    """
    if set(annotated.label_names) != set(NLI_LABELS):
        raise DataError(
            f"NLITask needs the classes {', '.join(NLI_LABELS)}, but the annotated set has "
            f"{', '.join(annotated.label_names)}. Use TextClassificationTask for other classes."
        )
    if bulk is not None:
        options.setdefault("bulk_size", min(20_000, len(bulk)))
    return TextClassificationTask(annotated, bulk, **options)


def stratified_split(
    strata: NDArray[np.str_] | NDArray[np.object_], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows so that each stratum keeps its share.

    Args:
        strata: The stratum of each row, shape (N,).
        fraction: Share of rows in the second part; 0 puts all in the first.
        seed: Seed of the shuffle.

    Returns:
        Row numbers of the two parts, each rising.

    Raises:
        DataError: If a stratum is too small to be split.
    """
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(strata))
    if fraction == 0:
        return rows, rows[:0]
    try:
        first, second = train_test_split(rows, test_size=fraction, stratify=list(strata), random_state=seed)
    except ValueError as error:
        sizes = ", ".join(f"{name}: {count}" for name, count in pd.Series(strata).value_counts().items())
        raise DataError(
            f"Cannot keep {fraction:.0%} of {len(strata)} annotated examples for validation, stratified by "
            f"category ({sizes}): {error} Use other categories (terciles), another fraction, or 0."
        ) from error
    return np.sort(first), np.sort(second)


def class_weights(labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Weights inversely proportional to class counts, scaled to sum to K.

    Args:
        labels: Class index of each training example, shape (M,).
        n_classes: Number of classes K.

    Returns:
        Shape (K,).

    Raises:
        DataError: If a class has no training example.

    >>> class_weights(np.array([0, 0, 0, 1]), 2)  # 1/3 and 1/1, times 2 / (4/3)
    array([0.5, 1.5])
    """
    counts = np.bincount(labels, minlength=n_classes)
    if (counts == 0).any():
        raise DataError(
            f"Class {int(np.argmin(counts))} has no training example (counts {counts.tolist()}), so it cannot be "
            "weighted. Give data with every class, or turn class weights off."
        )
    inverse = 1.0 / counts
    return np.asarray(inverse * (n_classes / inverse.sum()), np.float64)


def normalise(text: str) -> str:
    """Lower-case letters and digits only: what counts as the same text for the leakage guard.

    >>> normalise("A man's hat - red!")
    'amanshatred'
    """
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _trained(examples: pd.DataFrame) -> pd.DataFrame:
    """The annotated examples that train."""
    trains = examples["split"] == "train"
    return examples[trains & examples["in_training"] if "in_training" in examples else trains]


def _trained_labels(examples: pd.DataFrame) -> NDArray[np.int64]:
    trained = _trained(examples)
    return trained["trained_label" if "trained_label" in trained else "gold"].to_numpy(np.int64)


def _normalised(table: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(*(table[name].map(normalise) for name in columns), strict=True))


def _check_columns(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    absent = [name for name in columns if name not in table]
    if absent:
        raise DataError(
            f"The {what} have no column {', '.join(absent)}; they have {', '.join(map(str, table.columns))}."
        )


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
