"""Options of the data: where they come from, and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from contested.options.section import FILE, MAX_SEED, FreeOptions, Section, named_files

SEED = 42

CategoryScheme = Literal["fixed", "terciles", "quartiles"]
Composition = Literal["all", "low", "high", "balanced"]
NoiseRule = Literal["uniform", "other"]


class AnnotatedSection(Section):
    """The annotated set."""

    path: str | list[str] | None = Field(None, json_schema_extra=FILE)
    """Its file, of a kind that contested entropy reads, or several of one layout; needed."""
    format: str = "auto"
    """Its format; recognised from the content where not given."""
    options: FreeOptions = Field(default_factory=dict)
    """Further arguments of contested.read_annotations."""
    covariates: str | None = Field(None, json_schema_extra=FILE)
    """A file of rows with the example ids and further columns, such as genre."""
    in_memory: int | None = Field(None, ge=1)
    """Written by contested.train: how many examples it was given as an object that no file holds as it is."""

    alternatives = (frozenset({"path", "format", "options", "covariates"}), frozenset({"in_memory"}))

    @model_validator(mode="after")
    def _one_source(self) -> AnnotatedSection:
        if (self.path is None) == (self.in_memory is None):
            raise ValueError("give path, the file of the annotated set")
        return self

    @property
    def files(self) -> list[str]:
        """Its files; none where it is in memory."""
        return [self.path] if isinstance(self.path, str) else self.path or []


class BulkSample(Section):
    """Which of the bulk examples train."""

    size: int | None = Field(20_000, ge=1)
    """How many are sampled without replacement; null takes all."""
    seed: int = Field(SEED, ge=0, le=MAX_SEED)
    """Seed of that sample."""


class BulkSection(BulkSample):
    """The singly labelled bulk set: local files or the hub."""

    path: str | list[str] | None = Field(None, json_schema_extra=FILE)
    """Files of rows."""
    hub: str | None = None
    """A hub data set, for example stanfordnlp/snli or nyu-mll/glue."""
    subset: str | None = None
    """The hub data set's configuration, for example mnli."""
    split: str = "train"
    """The hub data set's split."""
    revision: str | None = None
    """A hub branch, tag or commit of the data set."""
    in_memory: int | None = Field(None, ge=0)
    """Written by contested.train: how many rows the table had that it was given."""

    alternatives = (frozenset({"path"}), frozenset({"hub", "subset", "split", "revision"}), frozenset({"in_memory"}))

    @model_validator(mode="after")
    def _one_source(self) -> BulkSection:
        if sum(source is not None for source in (self.path, self.hub, self.in_memory)) != 1:
            raise ValueError("give either path (local files) or hub (a hub data set)")
        return self


class OwnCategories(Section):
    """Entropy categories with names of one's own."""

    names: list[str] = Field(min_length=2)
    """One name per category, in order of rising entropy."""
    bounds: list[float] = Field(min_length=1)
    """Rising bounds in nats, one fewer than names."""


class NoiseSection(Section):
    """Random labels for a share of the training examples of the lowest entropy category (paper §5)."""

    share: float = Field(gt=0, le=1)
    """Share of those examples whose label is drawn at random."""
    rule: NoiseRule = "uniform"
    """uniform: any class, also the same again (the paper's text); other: one of the other classes."""


class TaskOptions(Section):
    """What is made of the data: text, split, categories, weights, and what is changed about the training set."""

    text_columns: list[str] = Field(default_factory=lambda: ["premise", "hypothesis"], min_length=1)
    """The input text's columns, in order."""
    validation_fraction: float = Field(0.2, ge=0, lt=1)
    """Share of the annotated set kept for validation."""
    split_seed: int = Field(SEED, ge=0, lt=2**32)
    """Seed of the split, shared by every run of a study."""
    categories: CategoryScheme | list[float] | OwnCategories = "fixed"
    """Entropy categories: fixed at 0.4 and 0.7 nats, by quantiles, own bounds in nats, or own names and bounds."""
    class_weights: bool = True
    """Weight classes by inverse frequency."""
    composition: Composition = "all"
    """Which tracked examples train: all, the lowest or highest entropy category alone, or as many of each."""
    noise: NoiseSection | None = None
    """Label noise; the tracked losses stay against the gold labels."""
    soft_labels: bool = False
    """Train annotated examples on the annotators' distribution instead of on its majority."""
    intervention_seed: int | None = Field(None, ge=0, le=MAX_SEED)
    """Seed of noise and of the balanced composition; the run's seed where not given."""

    def resolved_seed(self, run_seed: int) -> int:
        """The seed of what is drawn when the training set is changed.

        Args:
            run_seed: The run's own seed.

        Returns:
            The seed given for it, else the run's.
        """
        return run_seed if self.intervention_seed is None else self.intervention_seed


class TaskSection(TaskOptions):
    """Which examples train, are tracked and validate."""

    annotated: AnnotatedSection
    bulk: BulkSection | None = None

    @property
    def files(self) -> list[str]:
        """The local files that the data are read from."""
        return [path for _, path in named_files(self)]

    @property
    def bulk_files(self) -> list[str]:
        """The local files of the bulk data; none where it comes from the hub."""
        return [] if self.bulk is None else [path for _, path in named_files(self.bulk)]

    @property
    def in_memory(self) -> list[str]:
        """One sentence for each part that was given as an object, which no file holds as it was."""
        parts = {"annotated": self.annotated.in_memory, "bulk": None if self.bulk is None else self.bulk.in_memory}
        return [
            f"task.{name}: its {size:,} examples were given in memory, from Python; no file is known that holds them"
            for name, size in parts.items()
            if size is not None
        ]

    @property
    def missing_files(self) -> list[str]:
        """One sentence for each of :attr:`files` that is not there, and for each part that is in no file."""
        return [*self.in_memory, *(f"no such file: {path}" for path in self.files if not Path(path).is_file())]
