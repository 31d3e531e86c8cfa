"""Everything there is to say of annotated items, in one go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from contested.analysis.items.facts import Known, facts_table
from contested.analysis.items.people import annotators_table, ask_next, label_errors, votes_table
from contested.analysis.items.posterior import item_posterior
from contested.analysis.items.slips import slip_probabilities
from contested.analysis.items.soft_labels import soft_labels
from contested.annotations import UNKNOWN, Annotations, Categories, Summary
from contested.annotations.measures import Estimator
from contested.wording import counted

ASKED_ITEMS = 200
"""Items of the table of whom to ask next."""


@dataclass(frozen=True, eq=False)
class ItemMap:
    """The map of an annotated set.

    Attributes:
        known: What the facts follow from.
        summary: The set in a few numbers.
        items: One row per item: all facts, then the fields of the file.
        categories: One row per category: items, share, items expected by their probabilities, mean probability.
        annotators: One row per annotator, the least reliable first; empty where they are not known.
        label_errors: Likely label errors, the likeliest first.
        ask_next: The items where one more vote tells most.
        votes: One row per vote; empty where counts alone are known.
        notes: What to keep in mind when reading it.
    """

    known: Known
    summary: Summary
    items: pd.DataFrame
    categories: pd.DataFrame
    annotators: pd.DataFrame
    label_errors: pd.DataFrame
    ask_next: pd.DataFrame
    votes: pd.DataFrame
    notes: tuple[str, ...]


def map_items(
    annotations: Annotations,
    scheme: str | Categories = "fixed",
    *,
    estimator: Estimator = "plugin",
    rng: np.random.Generator | None = None,
) -> ItemMap:
    """Return what is sure of annotated items, what is not, and what to do next; no model is trained or asked.

    Args:
        annotations: The items.
        scheme: How disagreement is cut into categories: ``fixed``, ``terciles``, ``quartiles``, or own `Categories`.
        estimator: ``plugin``, ``miller-madow`` or ``chao-shen``.
        rng: Source of the draws of slips; seed 0 by default.

    Returns:
        The map.

    Raises:
        DataError: If there is no item.
    """
    summary = annotations.summary(scheme, estimator=estimator)
    cut = annotations.cut(scheme, estimator=estimator)
    slips, is_ordered = None, bool(annotations.disagreement.values)  # slips know no order
    if annotations.votes is not None and not is_ordered:
        source = np.random.default_rng(0) if rng is None else rng
        slips = slip_probabilities(annotations.votes, annotations.label_counts.shape, rng=source)
    posterior, soft = item_posterior(annotations.label_counts, cut.bands), soft_labels(annotations.label_counts)
    known = Known(annotations, estimator, cut, posterior, soft, slips)
    return ItemMap(
        known=known,
        summary=summary,
        items=facts_table(known),
        categories=_categories(known),
        annotators=annotators_table(known),
        label_errors=label_errors(known),
        ask_next=ask_next(known, ASKED_ITEMS),
        votes=votes_table(known),
        notes=(*summary.notes, *(annotations.annotator_notes() if slips is not None else ()), *_notes(known)),
    )


def _categories(known: Known) -> pd.DataFrame:
    rows = []
    for place, name in enumerate(known.cut.bands.names):
        own, probability = known.cut.categories == name, known.posterior.categories[:, place]
        sure = float(probability[own].mean()) if own.any() else np.nan
        rows.append((name, int(own.sum()), own.mean(), float(probability.sum()), sure))
    unknown = int((known.cut.categories == UNKNOWN).sum())
    if unknown:
        rows.append((UNKNOWN, unknown, unknown / len(known.cut.categories), np.nan, np.nan))
    return pd.DataFrame(rows, columns=["category", "n_items", "share", "expected", "probability"])


def _notes(known: Known) -> list[str]:
    votes, notes = known.annotations.votes, []
    if known.slips is None:
        why = (
            "The file holds counts or proportions alone"
            if votes is None
            else "The file does not say who gave which vote"
            if not (votes.annotators >= 0).any()
            else "The model of slips knows no order, and these classes are given as a scale"
            if known.annotations.disagreement.values
            else "No item has two votes"
        )
        notes.append(
            f"{why}: how reliable annotators are, and which labels are slips rather than disagreement, cannot be known."
        )
        return notes
    if known.annotations.scale is not None:
        notes.append(
            "The classes are numbers, and the model of slips knows no order: a vote one step from the others is as "
            "likely a slip as one far from them. Give the classes as a scale (option scale) to do without it."
        )
    if not known.slips.is_settled:
        notes.append(
            "Two chains of different starts disagree on how often annotators slip: these votes do not decide it, and "
            "the probabilities of slips mean little."
        )
    if votes is not None and (anonymous := int((votes.annotators < 0).sum())):
        notes.append(f"{counted(anonymous, 'vote')} by nobody named: they are taken as one annotator's.")
    return notes
