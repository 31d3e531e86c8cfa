"""Annotators who may choose several labels: what was made of their sets, and agreement on sets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.annotations.measures import check_counts, distance_alpha
from contested.wording import listed

Reading = Literal["mentions", "sets", "each"]
"""How sets of labels are read, where not as one class against the others; see `LabelSets`."""
READINGS: tuple[str, ...] = get_args(Reading)


@dataclass(frozen=True)
class LabelSets:
    """How annotators' sets of labels became label counts.

    ``mentions``: every label of a set is a vote, so that n counts mentions. ``sets``: every different set is a class.
    ``each``: a class at a time, an example per item and class with the votes no and yes. Any other reading is the name
    of one class, against all sets without it.

    Attributes:
        reading: One of these.
        classes: The single labels in label order, (C,).
        sets: The labels of each class, where classes are sets, (K,); empty else.
    """

    reading: str
    classes: tuple[str, ...]
    sets: tuple[tuple[str, ...], ...] = ()

    def agreement(self, label_counts: ArrayLike) -> SetAgreement | None:
        """Return the agreement on sets; None where classes are not sets.

        Args:
            label_counts: Annotations per set, shape (N, K); rows may be empty.

        Returns:
            Agreement and alpha by MASI.
        """
        if not self.sets:
            return None
        distances = masi_distances(self.sets)
        return SetAgreement(mean_pair_similarity(label_counts, distances), distance_alpha(label_counts, distances))

    def note(self) -> str:
        """Return what is to be kept in mind of these label counts, in sentences."""
        if self.reading == "mentions":
            return (
                "Every label of an annotator is a vote (multilabel=mentions): numbers of annotations, alpha and "
                "agreement count mentions, and two labels of one annotator count as disagreement."
            )
        if self.reading == "sets":
            return (
                f"Every different set of labels is a class (multilabel=sets): {len(self.sets)} sets of "
                f"{len(self.classes)} labels. Entropy takes sets that share labels for as different as others."
            )
        if self.reading == "each":
            return (
                f"Every class is read for itself (multilabel=each): an example is an item and one of "
                f"{len(self.classes)} classes, with the votes no and yes. Those of one item_id depend on each other."
            )
        others = listed(name for name in self.classes if name != self.reading)
        return f"One class is read (multilabel={self.reading}): whether annotators chose it, whatever else ({others})."


class SetAgreement(NamedTuple):
    """Agreement on sets of labels, by MASI (Passonneau, 2006).

    Attributes:
        masi: Mean over examples of the mean similarity of two annotators' sets, from 0 to 1; nan where no example has
            two annotations.
        alpha: Krippendorff's alpha with the MASI distance.
    """

    masi: float
    alpha: float


def masi_distances(sets: Sequence[Collection[str]]) -> NDArray[np.float64]:
    """Return the MASI distance of every two sets of labels.

    1 − J · M with J = |A ∩ B| / |A ∪ B| (Jaccard) and M = 1 for the same sets, 2/3 where one holds the other, 1/3 where
    they overlap otherwise and 0 where they share nothing (Passonneau, 2006, "Measuring Agreement on Set-valued Items").
    Two empty sets are the same; an empty and another one share nothing.

    Args:
        sets: S sets.

    Returns:
        Shape (S, S), from 0 to 1.

    Examples:
        >>> masi_distances([{"a", "b"}, {"a"}, {"b", "c"}]).round(3).tolist()
        [[0.0, 0.667, 0.889], [0.667, 0.0, 1.0], [0.889, 1.0, 0.0]]
    """
    names = sorted({name for labels in sets for name in labels})
    inside = np.array([[name in labels for name in names] for labels in sets], dtype=np.int64).reshape(len(sets), -1)
    size, both = inside.sum(axis=1), inside @ inside.T
    either = size[:, None] + size - both
    same, nested = (both == size[:, None]) & (both == size), (both == size[:, None]) | (both == size)
    monotonicity = np.where(same, 1.0, np.where(nested, 2 / 3, 1 / 3))
    jaccard = np.divide(both, either, out=np.ones(both.shape), where=either > 0)
    return np.asarray(1 - jaccard * monotonicity)


def mean_pair_similarity(label_counts: ArrayLike, distances: ArrayLike) -> float:
    """Return the mean over examples of 1 − the mean distance of two annotators' classes.

    Args:
        label_counts: Annotations per class, shape (N, K); examples with fewer than two are skipped.
        distances: From 0 to 1, shape (K, K), with zeros on the diagonal.

    Returns:
        From 0 to 1; nan where no example has two annotations.
    """
    counts, delta = check_counts(label_counts, allow_empty_rows=True), np.asarray(distances, np.float64)
    paired = counts[counts.sum(axis=1) > 1].astype(np.float64)
    if not len(paired):
        return float("nan")
    n_i = paired.sum(axis=1)
    return float((1 - ((paired @ delta) * paired).sum(axis=1) / (n_i * (n_i - 1))).mean())
