"""Which examples train, which are tracked and which validate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.annotations import Annotations, Categories
from contested.annotations.notes import reading_notes
from contested.checking import check
from contested.errors import DataError
from contested.options import (
    SEED,
    AnnotatedSection,
    BulkSample,
    BulkSection,
    OwnCategories,
    TaskOptions,
    TaskSection,
    default,
)
from contested.tasks.data import TaskData, trained_labels
from contested.tasks.interventions import TrainingChanges, intervene
from contested.tasks.texts import empty_texts, text_problems

_OWN_COLUMNS = {
    *("row_key", "example_id", "gold", "label_counts", "entropy", "category", "split", "label"),
    *("in_training", "trained_label"),
}

NLI_LABELS = ("entailment", "neutral", "contradiction")


class TextClassificationTask:
    """Annotated examples, of which most train and are tracked, beside a singly labelled bulk set.

    Args:
        annotated: The examples that annotators disagree on.
        bulk: Columns example_id, text columns, label (class name), or None to train on the annotated
            examples alone.
        bulk_size: How many bulk examples are sampled without replacement; None takes all. Without it, as many as
            ``task.bulk.size`` is by default, or all where there are fewer.
        bulk_seed: Seed of that sample.
        **options: Options of the ``task`` section of a configuration (:class:`contested.options.TaskOptions`) under
            their names there, such as ``composition="low"`` or ``noise={"share": 0.3}``; ``categories`` may be
            :class:`contested.Categories`.

    Attributes:
        annotated: The examples that annotators disagree on.
        bulk: The bulk set.
        options: What is made of them.
        sample: Which bulk examples train.

    Raises:
        ConfigError: With every problem of the options at once.
    """

    def __init__(
        self,
        annotated: Annotations,
        bulk: pd.DataFrame | None = None,
        *,
        bulk_size: int | EllipsisType | None = ...,
        bulk_seed: int = default(BulkSample, "seed"),
        **options: Any,
    ) -> None:
        if isinstance(options.get("categories"), Categories):
            options["categories"] = _written(options["categories"])
        usual: int = default(BulkSample, "size")
        if bulk_size is ...:
            bulk_size = usual if bulk is None or len(bulk) >= usual else None
        self.annotated = annotated
        self.bulk = bulk
        self.options = check(TaskOptions, options, "The task")
        self.sample = check(BulkSample, {"size": bulk_size, "seed": bulk_seed}, "The sample of the task's bulk")

    @property
    def section(self) -> TaskSection:
        """The task as a configuration: data read from files by the files' names, other data by their size."""
        reading = self.annotated.reading
        return TaskSection(
            **{name: getattr(self.options, name) for name in TaskOptions.model_fields},
            annotated=AnnotatedSection(in_memory=self.annotated.n_items)
            if reading is None
            else AnnotatedSection.model_validate(reading),
            bulk=None if self.bulk is None else BulkSection(in_memory=len(self.bulk), **self.sample.model_dump()),
        )

    def prepare(self, seed: int = SEED) -> TaskData:
        """Split, guard against leakage, sample the bulk and weight the classes.

        Args:
            seed: The run's seed, for what is drawn when the training set is changed and has no seed of its own.

        Returns:
            The concrete task, the same for the same data and seeds.

        Raises:
            DataError: If text columns are missing, the split is impossible, too little bulk is left, or an
                intervention does not fit the data or another one.
        """
        options, drawn = self.options, _Drawn(self.options.resolved_seed(seed))
        _check_columns(self.annotated.fields, options.text_columns, "annotated examples")
        reserved = sorted({*options.text_columns} & _OWN_COLUMNS)
        if reserved:
            raise DataError(
                f"A text column cannot be called {', '.join(reserved)}: the run folder has such a column. Rename it."
            )
        self._check_texts()
        if options.soft_labels and options.noise:
            raise DataError("Label noise and soft labels exclude each other: soft labels do not read the label.")
        examples, bands = self._examples()
        names = bands.names
        bulk, counts = self._sampled_bulk(examples)
        examples, changes = self._intervened(examples, names, drawn)
        n_tracked = int((examples["split"] == "train").sum())
        labels = np.concatenate([trained_labels(examples), bulk["label"].to_numpy(np.int64)])
        weights = class_weights(labels, self.annotated.n_classes) if options.class_weights else None
        return TaskData(
            label_names=self.annotated.label_names,
            text_columns=tuple(options.text_columns),
            examples=examples,
            category_names=names,
            disagreement=bands.disagreement,
            bulk=bulk,
            class_weights=weights,
            soft_labels=options.soft_labels,
            depends_on_seed=drawn.taken and options.intervention_seed is None,
            counts={"tracked": n_tracked, "validation": len(examples) - n_tracked, **counts, **changes},
            bulk_source="" if self.bulk is None else str(self.bulk.attrs.get("source", "")),
            notes=(
                *reading_notes(self.annotated.n_annotators, self.annotated.receipt, bands),
                *empty_texts(pd.concat([examples, bulk]), options.text_columns),
            ),
        )

    def _check_texts(self) -> None:
        columns = self.options.text_columns
        given = self.annotated.fields[columns].assign(example_id=list(self.annotated.example_ids))
        problems = text_problems(given, columns, "annotated example")
        if self.bulk is not None and {"example_id", *columns} <= set(self.bulk):
            problems += text_problems(self.bulk, columns, "bulk example")
        if problems:
            raise DataError("Texts cannot be used; mend them or leave these examples out:", problems)

    def _examples(self) -> tuple[pd.DataFrame, Categories]:
        annotated, options = self.annotated, self.options
        scheme = _scheme(options.categories)
        categories, bands, values = annotated.cut(scheme)
        # An example with one annotation is in no category; so that even a single one can be split, it joins the lowest.
        strata = bands.assign(np.nan_to_num(values))
        train, validation = stratified_split(strata, options.validation_fraction, options.split_seed)
        split = np.full(annotated.n_items, "train", object)
        split[validation] = "validation"
        table = pd.DataFrame(
            {
                "example_id": list(annotated.example_ids),
                **{name: annotated.fields[name].to_numpy() for name in options.text_columns},
                "gold": annotated.majority,
                "label_counts": list(annotated.label_counts),
                "entropy": annotated.entropy,
                "category": categories,
                "split": split,
            }
        )
        # A field of the data may bear the name of one of the table's own columns: both are kept.
        own = {*table, "row_key"}
        covariates = annotated.fields.drop(columns=options.text_columns)
        covariates = covariates.rename(columns={name: f"{name}_given" for name in covariates if name in own})
        table = pd.concat([table, covariates], axis=1)
        table = table.iloc[np.concatenate([train, validation])].reset_index(drop=True)
        table.insert(0, "row_key", np.arange(len(table), dtype=np.int64))
        return table, bands

    def _intervened(
        self, examples: pd.DataFrame, names: tuple[str, ...], drawn: _Drawn
    ) -> tuple[pd.DataFrame, dict[str, int]]:
        """Record in the example table which examples train, and on which label, where not all train on the gold one."""
        tracked = (examples["split"] == "train").to_numpy()
        gold = examples["gold"].to_numpy(np.int64)
        changes = intervene(
            TrainingChanges(
                examples["category"].to_numpy(object)[tracked],
                names,
                gold[tracked],
                n_classes=self.annotated.n_classes,
                seed=drawn.seed,
            ),
            self.options,
        )
        counts: dict[str, int] = {}
        if changes.in_training is not None:
            chosen = np.zeros(len(examples), bool)
            chosen[tracked] = changes.in_training
            examples = examples.assign(in_training=chosen)
            counts["tracked_in_training"] = int(chosen.sum())
        if changes.labels is not None:
            labels = gold.copy()
            labels[tracked] = changes.labels
            examples = examples.assign(trained_label=labels)
            counts["labels_changed"] = int((labels != gold).sum())
        return examples, counts

    def _sampled_bulk(self, examples: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
        texts = self.options.text_columns
        columns = ["example_id", *texts, "label"]
        if self.bulk is None:
            return pd.DataFrame({name: pd.Series(dtype=object) for name in columns}), {"bulk": 0, "leaked": 0}
        _check_columns(self.bulk, (*texts, "label"), "bulk examples")
        classes = {name: index for index, name in enumerate(self.annotated.label_names)}
        unknown = sorted(set(self.bulk["label"]) - set(classes))
        if unknown:
            raise DataError(
                f"The bulk has labels that are not in the annotated set: {', '.join(map(repr, unknown))}; "
                f"expected {', '.join(classes)}."
            )
        known = set(_normalised(examples, texts))
        leaked = np.array([text in known for text in _normalised(self.bulk, texts)], bool)
        free = self.bulk[~leaked]
        size = len(free) if self.sample.size is None else self.sample.size
        if size > len(free):
            raise DataError(
                f"{size} bulk examples were requested, but there are {len(free)} "
                f"({int(leaked.sum())} of {len(self.bulk)} are annotated examples and were dropped). "
                "Lower task.bulk.size (bulk_size from Python; null or None takes all) or give more files."
            )
        rows = np.random.default_rng(self.sample.seed).choice(len(free), size, replace=False)
        sample = free.iloc[np.sort(rows)][columns].reset_index(drop=True)
        counts = {"bulk": size, "bulk_available": len(free), "leaked": int(leaked.sum())}
        return sample.assign(label=sample["label"].map(classes).astype(np.int64)), counts


def NLITask(annotated: Annotations, bulk: pd.DataFrame | None = None, **options: Any) -> TextClassificationTask:  # noqa: N802
    """The paper's task: premise and hypothesis, and the three classes of NLI.

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
    return TextClassificationTask(annotated, bulk, **options)


class _Drawn:
    """The seed of what is drawn when the training set is changed, and whether anything was.

    Args:
        value: The seed.

    Attributes:
        taken: Whether :meth:`seed` was called.
    """

    def __init__(self, value: int) -> None:
        self._value = value
        self.taken = False

    def seed(self) -> int:
        """The seed; the data depend on it from now on."""
        self.taken = True
        return self._value


def _scheme(categories: str | list[float] | OwnCategories) -> str | Categories:
    if isinstance(categories, OwnCategories):
        return Categories(tuple(categories.names), tuple(categories.bounds))
    return categories if isinstance(categories, str) else Categories.from_bounds(categories)


def _written(categories: Categories) -> list[float] | dict[str, list[Any]]:
    """Categories as an option gives them: their bounds alone where their names follow from these."""
    usual = Categories.from_bounds(categories.bounds) == categories
    bounds = list(categories.bounds)
    return bounds if usual else {"names": list(categories.names), "bounds": bounds}


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
    return re.sub(r"[^a-z0-9]", "", str(text).lower())


def _normalised(table: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(*(table[name].map(normalise) for name in columns), strict=True))


def _check_columns(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    absent = [name for name in columns if name not in table]
    if absent:
        raise DataError(
            f"The {what} have no column {', '.join(absent)}; they have {', '.join(map(str, table.columns))}."
        )
