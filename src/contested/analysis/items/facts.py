"""The facts of an item: one list, which tables, Parquet, page and documents all read.

To add one, add an entry to :data:`FACTS`: what it is called and needs, and how it follows from what is known of items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.items.posterior import ItemPosterior, category_changes
from contested.analysis.items.slips import Slips
from contested.analysis.items.soft_labels import SoftLabels
from contested.annotations import Annotations, cut_counts
from contested.annotations.categories import CutCounts
from contested.annotations.certainty import own_probability
from contested.annotations.disagreement import PLAIN
from contested.annotations.measures import Estimator
from contested.annotations.scales import rating_table

Kind = Literal["number", "integer", "flag", "category", "text"]
Need = Literal["annotators", "scale", "measure"]
"""What a file may lack: who gave each vote, classes that are a scale, and categories by another measure than H."""


class Known(NamedTuple):
    """What is known of N items, from which facts follow.

    Attributes:
        annotations: The items.
        estimator: The entropy that was cut into categories.
        cut: Their categories.
        posterior: What the counts leave open.
        soft: Soft labels.
        slips: Who slips where; None where it is not known who gave which vote.
    """

    annotations: Annotations
    estimator: Estimator
    cut: CutCounts
    posterior: ItemPosterior
    soft: SoftLabels
    slips: Slips | None

    def has(self, need: Need) -> bool:
        """Whether the file has what a fact needs."""
        if need == "annotators":
            return self.slips is not None
        return self.annotations.scale is not None if need == "scale" else self.cut.bands.disagreement != PLAIN


@dataclass(frozen=True)
class Fact:
    """A quantity that every item has, declared once.

    Attributes:
        name: Its column; of a fact of each class or category the beginning, with "_" and the name after it.
        heading: Its heading in tables.
        unit: ``nats``, ``share``, that of the scale, or empty.
        kind: What its values are.
        sentence: What it is, for legends and documents.
        of: From what is known to values of shape (N,), (N, K) of each class or (N, B) of each category.
        needs: What the file must have; without it the fact is absent.
        each: Whether it has a value for each class or category.
    """

    name: str
    heading: str
    unit: str
    kind: Kind
    sentence: str
    of: Callable[[Known], Any]
    needs: tuple[Need, ...] = ()
    each: Literal["", "class", "category"] = ""

    def names(self, known: Known) -> dict[str, str]:
        """Its columns: each by name, with its heading; none where the file lacks what it needs."""
        if not all(known.has(need) for need in self.needs):
            return {}
        if not self.each:
            return {self.name: self.heading}
        parts = known.annotations.label_names if self.each == "class" else known.cut.bands.names
        return {f"{self.name}_{part}": f"{part}: {self.heading}" for part in parts}

    def columns(self, known: Known) -> dict[str, Any]:
        """The values of its columns by name."""
        names = self.names(known)
        if not names:
            return {}
        values = self.of(known)
        return dict(zip(names, values.T if self.each else [values], strict=True))


def facts_table(known: Known) -> pd.DataFrame:
    """Return all facts, one row per item: its id, the facts in their order, then the fields of the file.

    Args:
        known: What is known of N items.

    Returns:
        N rows; a field called like a fact has "field_" before its name.
    """
    columns: dict[str, Any] = {"example_id": list(known.annotations.example_ids)}
    for fact in FACTS:
        columns |= fact.columns(known)
    fields = known.annotations.fields
    return pd.DataFrame(
        {**columns, **{f"field_{name}" if name in columns else str(name): fields[name].array for name in fields}}
    )


def suspects(known: Known) -> NDArray[np.int64]:
    """Return the class of each item whose votes are most likely all slips, (N,); -1 where the votes agree."""
    if known.slips is None:
        return np.full(known.annotations.n_items, -1)
    several = (known.annotations.label_counts > 0).sum(axis=1) > 1
    return np.where(several, np.nan_to_num(known.slips.label, nan=-1.0).argmax(axis=1), -1)


def _slips(known: Known) -> Slips:
    assert known.slips is not None, "facts that need annotators are asked for where there are slips"
    return known.slips


def _slip_probability(known: Known) -> NDArray[np.float64]:
    """That of the suspect class of each item, nan without one."""
    chosen = suspects(known)
    return np.where(chosen >= 0, _slips(known).label[np.arange(len(chosen)), chosen], np.nan)


def _changes(known: Known) -> NDArray[np.float64]:
    def cut(counts: NDArray[np.int64]) -> NDArray[np.str_]:
        return cut_counts(counts, known.cut.bands, estimator=known.estimator).categories

    return category_changes(known.annotations.label_counts, known.soft.probabilities, cut)


def _own_probability(known: Known) -> NDArray[np.float64]:
    return own_probability(known.posterior.categories, known.cut.categories, known.cut.bands)


def _named(known: Known, classes: NDArray[np.int64]) -> list[str | None]:
    return [known.annotations.label_names[place] if place >= 0 else None for place in classes]


def _scale(known: Known) -> NDArray[np.float64]:
    assert known.annotations.scale is not None, "facts that need a scale are asked for where there is one"
    return known.annotations.scale


def _rating(name: str) -> Callable[[Known], Any]:
    """A column of what the order of ratings says of each item."""
    return lambda known: rating_table(known.annotations.label_counts, _scale(known))[name]


FACTS: tuple[Fact, ...] = (
    Fact("n_annotators", "votes", "", "integer", "Votes for any class.", lambda known: known.annotations.n_annotators),
    Fact(
        "entropy_nats",
        "H",
        "nats",
        "number",
        "Entropy of the shares of the votes: 0 where all agree, ln K where they are split evenly over all K classes.",
        lambda known: known.annotations.entropy,
    ),
    Fact(
        "disagreement",
        "disagreement",
        "",
        "number",
        "What the categories are bands of, where they are not bands of H: the measure that was asked for.",
        lambda known: known.cut.values,
        ("measure",),
    ),
    Fact(
        "category",
        "category",
        "",
        "category",
        "The band of H, or of the measure asked for; unknown with one vote, which shows no disagreement.",
        lambda known: known.cut.categories.tolist(),
    ),
    Fact(
        "category_probability",
        "sure of it",
        "share",
        "number",
        "Probability that the distribution behind the votes is in this category.",
        _own_probability,
    ),
    Fact(
        "genuine_disagreement",
        "genuine",
        "share",
        "number",
        "Probability that at least two classes have a vote that is no slip: people disagree, rather than err.",
        lambda known: _slips(known).genuine,
        ("annotators",),
    ),
    Fact(
        "suspect_label",
        "suspect label",
        "",
        "text",
        "The class whose votes are all slips with the highest probability; none where all votes agree.",
        lambda known: _named(known, suspects(known)),
        ("annotators",),
    ),
    Fact(
        "slip_probability",
        "slip",
        "share",
        "number",
        "Probability that all votes for the suspect label are slips.",
        _slip_probability,
        ("annotators",),
    ),
    Fact(
        "next_vote_information",
        "a vote tells",
        "nats",
        "number",
        "What one more vote is expected to tell of the category: the mutual information of the two.",
        lambda known: known.posterior.information,
    ),
    Fact(
        "next_vote_changes",
        "a vote changes",
        "share",
        "number",
        "Probability that one more vote puts the item in another category.",
        _changes,
    ),
    Fact(
        "entropy_low",
        "H from",
        "nats",
        "number",
        "Lower end of the shortest interval that holds the entropy behind the votes with a probability of 95%. "
        "H itself lies at its edge, or outside, where few votes happen to agree or to be split evenly.",
        lambda known: known.posterior.low,
    ),
    Fact("entropy_high", "H to", "nats", "number", "Upper end of that interval.", lambda known: known.posterior.high),
    Fact(
        "majority",
        "majority",
        "",
        "text",
        "The class with most votes; of several the first.",
        lambda known: _named(known, known.annotations.majority),
    ),
    Fact("tie", "tie", "", "flag", "Whether several classes have most votes.", lambda known: known.annotations.ties),
    Fact(
        "label_mean",
        "mean rating",
        "points",
        "number",
        "Mean of the ratings, where the classes are a scale.",
        _rating("label_mean"),
        ("scale",),
    ),
    Fact(
        "label_standard_deviation",
        "sd of ratings",
        "points",
        "number",
        "Standard deviation of the ratings, which knows their order as H does not.",
        _rating("label_standard_deviation"),
        ("scale",),
    ),
    Fact(
        "label_pair_distance",
        "pair distance",
        "points",
        "number",
        "Mean distance of two annotators' ratings.",
        _rating("label_pair_distance"),
        ("scale",),
    ),
    Fact(
        "label_polarisation",
        "polarisation",
        "share",
        "number",
        "How far the ratings are from having one peak (nDFU): 0 with one, 1 where another is as high.",
        _rating("label_polarisation"),
        ("scale",),
    ),
    Fact(
        "count",
        "votes",
        "",
        "integer",
        "Votes for the class.",
        lambda known: known.annotations.label_counts,
        each="class",
    ),
    Fact(
        "probability",
        "probability",
        "share",
        "number",
        "Probability that the distribution behind the votes is in the category.",
        lambda known: known.posterior.categories,
        each="category",
    ),
    Fact(
        "soft_label",
        "soft label",
        "share",
        "number",
        "Posterior mean of the share of the class: its chance to be the next vote.",
        lambda known: known.soft.probabilities,
        each="class",
    ),
)
