"""Single votes: which annotator gave which item which label."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.errors import DataError


@dataclass(frozen=True, eq=False)
class Votes:
    """V votes on N items by A annotators, in the order of the file; the arrays are held read-only.

    Attributes:
        items: Row of the item in the annotations, (V,).
        labels: Index of the class in label order, (V,).
        annotators: Index into ``annotator_ids``, (V,); -1 where the file does not say who.
        annotator_ids: The annotators as the file names them, unique, (A,); some may have no vote.

    Raises:
        DataError: If the arrays do not fit together.

    Examples:
        >>> votes = Votes([0, 0, 1], [1, 0, 1], [0, 1, -1], ("ann", "bob"))
        >>> votes.counts(n_items=2, n_classes=2).tolist()
        [[1, 1], [0, 1]]
    """

    items: NDArray[np.int64]
    labels: NDArray[np.int64]
    annotators: NDArray[np.int64]
    annotator_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("items", "labels", "annotators"):
            object.__setattr__(self, name, _read_only(getattr(self, name)))
        object.__setattr__(self, "annotator_ids", tuple(self.annotator_ids))
        problems = self._problems()
        if problems:
            raise DataError("These votes do not fit together.", problems)

    def _problems(self) -> list[str]:
        shapes = {name: getattr(self, name).shape for name in ("items", "labels", "annotators")}
        problems = []
        if len(set(shapes.values())) > 1 or self.items.ndim != 1:
            problems.append(f"items, labels and annotators must have one shape (V,); given: {shapes}")
        highest = int(self.annotators.max(initial=-1))
        if highest >= len(self.annotator_ids) or self.annotators.min(initial=0) < -1:
            problems.append(
                f"annotators must be -1 or an index into {len(self.annotator_ids)} annotator ids; "
                f"given: {int(self.annotators.min(initial=0))} to {highest}"
            )
        if len(set(self.annotator_ids)) < len(self.annotator_ids):
            problems.append("annotator ids occur more than once")
        return problems

    @property
    def n_votes(self) -> int:
        """V, the number of votes."""
        return len(self.items)

    @property
    def are_named(self) -> bool:
        """Whether the file says who gave each vote."""
        return bool(len(self.annotators) and (self.annotators >= 0).all())

    @property
    def voters(self) -> NDArray[np.int64]:
        """Who gave each vote, (V,): the annotator, and A for those by nobody named, who count as one more."""
        return np.where(self.annotators < 0, len(self.annotator_ids), self.annotators)

    def anonymous(self) -> Votes:
        """Return the same votes by nobody named."""
        return Votes(self.items, self.labels, np.full(self.n_votes, -1))

    def counts(self, *, n_items: int, n_classes: int) -> NDArray[np.int64]:
        """Return the votes per item and class, as label counts.

        Args:
            n_items: N.
            n_classes: K.

        Returns:
            Shape (N, K).
        """
        places = self.items * n_classes + self.labels
        return np.bincount(places, minlength=n_items * n_classes).reshape(n_items, n_classes).astype(np.int64)

    def add_up_to(self, label_counts: NDArray[np.int64]) -> bool:
        """Whether these are the votes behind label counts of shape (N, K)."""
        n_items, n_classes = label_counts.shape
        places = ((self.items, n_items), (self.labels, n_classes))
        inside = all(len(found) == 0 or (found.min() >= 0 and found.max() < size) for found, size in places)
        return bool(inside and np.array_equal(self.counts(n_items=n_items, n_classes=n_classes), label_counts))

    def select(self, rows: NDArray[np.intp], *, n_items: int) -> Votes:
        """Return the votes of some of the items.

        Args:
            rows: Different rows of items, in their new order.
            n_items: N, the number of items before.

        Returns:
            Their votes in the same order; the annotator ids are all kept.
        """
        new = np.full(n_items, -1, dtype=np.int64)
        new[rows] = np.arange(len(rows))
        items = new[self.items]
        kept = items >= 0
        if kept.all():
            return replace(self, items=items)
        return Votes(items[kept], self.labels[kept], self.annotators[kept], self.annotator_ids)


def _read_only(values: ArrayLike) -> NDArray[np.int64]:
    """Whole numbers that nobody can change: those given, where that is so of them, else a copy."""
    found = np.asarray(values, dtype=np.int64)
    if found.base is not None or (found is values and found.flags.writeable):
        found = found.copy()
    found.setflags(write=False)
    return found
