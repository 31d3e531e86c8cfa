"""What to know of an annotated set first, in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from contested.annotations.disagreement import Disagreement
from contested.annotations.later import made_later
from contested.annotations.measures import Estimator
from contested.annotations.multilabel import SetAgreement
from contested.annotations.scales import RatingAverages


class AnnotatorRange(NamedTuple):
    """The number of annotations per example.

    Attributes:
        min: The fewest.
        median: The median.
        max: The most.
    """

    min: int
    median: float
    max: int


class EntropyAverages(NamedTuple):
    """Entropy in nats over the examples with two annotations or more; nan without one.

    Attributes:
        mean: Its mean.
        median: Its median.
    """

    mean: float
    median: float


@made_later("tied_ids")
@dataclass(frozen=True)
class Summary:
    """What to know of an annotated set first.

    Attributes:
        n_items: N, the number of examples.
        n_classes: K, the number of classes.
        annotators: Annotations per example.
        entropy_nats: Entropy over the examples, by ``estimator``.
        categories: Examples per category, in order of rising entropy; then ``unknown``, those with one annotation,
            where there are any.
        ties: Examples whose highest count is shared by two classes or more.
        estimator: How entropy was estimated.
        label_names: The classes in label order.
        category_bounds: Bounds of the categories in the unit of ``disagreement``; a bound belongs to the category
            above it.
        disagreement: The measure that the categories are bands of.
        scale: The rating that each class stands for, (K,); empty where the classes are no scale.
        ratings: Averages of the ratings, where the classes are a scale.
        krippendorff_alpha: Nominal alpha; nan where no example has two annotations.
        pairwise_agreement: Mean share of annotator pairs that agree; nan where no example has two annotations.
        set_agreement: Agreement on sets of labels, where classes are sets.
        tied_ids: The examples counted by ``ties``.
        notes: What to keep in mind when reading these numbers.
    """

    n_items: int
    n_classes: int
    annotators: AnnotatorRange
    entropy_nats: EntropyAverages
    categories: dict[str, int]
    ties: int
    estimator: Estimator
    label_names: tuple[str, ...]
    category_bounds: tuple[float, ...]
    disagreement: Disagreement
    scale: tuple[float, ...]
    ratings: RatingAverages | None
    krippendorff_alpha: float
    pairwise_agreement: float
    set_agreement: SetAgreement | None
    tied_ids: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def max_entropy_nats(self) -> float:
        """Return ln K, the entropy of an even split over all classes."""
        return math.log(self.n_classes)

    def to_json(self) -> dict[str, object]:
        """Return plain values for JSON: undefined numbers become null."""
        return {
            "n_items": self.n_items,
            "n_classes": self.n_classes,
            "annotators": self.annotators._asdict(),
            "entropy_nats": _or_nones(self.entropy_nats._asdict()),
            "categories": dict(self.categories),
            "ties": self.ties,
            "entropy_estimator": self.estimator,
            "max_entropy_nats": self.max_entropy_nats,
            "label_names": list(self.label_names),
            "category_bounds": list(self.category_bounds),
            "categories_by": self.disagreement.by,
            "category_unit": self.disagreement.unit,
            "scale": list(self.scale) or None,
            "ratings": None if self.ratings is None else _or_nones(self.ratings._asdict()),
            "krippendorff_alpha": _or_none(self.krippendorff_alpha),
            "pairwise_agreement": _or_none(self.pairwise_agreement),
            "set_agreement": None if self.set_agreement is None else _or_nones(self.set_agreement._asdict()),
            "tied_ids": list(self.tied_ids),
            "notes": list(self.notes),
        }


def _or_nones(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in values.items()}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
