"""Annotated examples in memory, and their summary."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.annotations import measures
from contested.annotations.aggregation import Aggregated, aggregate
from contested.annotations.annotators import annotator_notes, annotator_table
from contested.annotations.categories import UNKNOWN, Categories, CutCounts, bands_of, cut_counts
from contested.annotations.disagreement import PLAIN, Disagreement
from contested.annotations.later import Later, made_later
from contested.annotations.measures import Estimator
from contested.annotations.multilabel import LabelSets
from contested.annotations.notes import summary_notes
from contested.annotations.receipt import Receipt
from contested.annotations.scales import average_ratings, rating_table, scale_of
from contested.annotations.summary import AnnotatorRange, EntropyAverages, Summary
from contested.annotations.votes import Votes
from contested.errors import DataError
from contested.wording import listed

if TYPE_CHECKING:
    import pandas as pd


def _no_fields() -> pd.DataFrame:
    # Here, as in other places, for pandas takes longer to load than most files to read.
    import pandas as pd

    return pd.DataFrame()


# eq=False: comparing arrays and frames field by field has no single truth value.
@made_later("example_ids", "fields", "votes")
@dataclass(frozen=True, eq=False)
class Annotations:
    """N examples annotated with K classes by any number of annotators each.

    Attributes:
        example_ids: Ids given by the data, unique, (N,).
        label_counts: Annotations per class, (N, K), each row at least one; held read-only.
        label_names: The classes in label order, (K,).
        fields: Text columns and covariates: N rows on a RangeIndex.
        source: Where the annotations come from, such as the file read.
        votes: Who gave which item which label, in agreement with the counts; None where counts or shares alone are
            known.
        disagreement: The measure by which `categories` and `summary` cut the examples, and the ratings that the classes
            stand for, where they are a scale.
        label_sets: How annotators' sets of labels became these counts; None where annotators gave one label each.
        reading: How they are read again: path, format and options, covariates. None where no file holds them.
        receipt: What the file was taken for when it was read: columns, votes, what was left out. None without a file.

    Examples:
        >>> data = Annotations(("a", "b"), [[9, 1], [5, 5]], ("no", "yes"))
        >>> data.entropy.round(3).tolist(), data.categories().tolist()
        ([0.325, 0.693], ['clean', 'ambiguous'])
    """

    example_ids: tuple[str, ...]
    label_counts: NDArray[np.int64]
    label_names: tuple[str, ...]
    fields: pd.DataFrame = field(default_factory=lambda: Later(_no_fields).unmade)
    source: str = ""
    votes: Votes | None = field(default=None, repr=False)
    disagreement: Disagreement = PLAIN
    label_sets: LabelSets | None = None
    reading: Mapping[str, Any] | None = field(default=None, init=False, repr=False)
    receipt: Receipt | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        counts = measures.check_counts(self.label_counts)
        counts.setflags(write=False)
        object.__setattr__(self, "label_names", tuple(self.label_names))
        object.__setattr__(self, "label_counts", counts)
        parts: dict[str, Callable[[Any], Any]] = {"example_ids": tuple, "fields": self._numbered}
        for name, made in parts.items():
            given = vars(self)[name]
            object.__setattr__(self, name, given.then(made) if isinstance(given, Later) else made(given))
        problems = self._problems()
        if problems:
            raise DataError("These annotations do not fit together.", problems)

    def _numbered(self, fields: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        return fields.reset_index(drop=True) if fields.shape[1] else pd.DataFrame(index=range(self.n_items))

    def _problems(self) -> list[str]:
        n_items, n_classes = self.label_counts.shape
        problems = []
        # What is to be made later is made by readers of what they counted.
        made = {name: value for name, value in vars(self).items() if not isinstance(value, Later)}
        if len(made.get("example_ids", range(n_items))) != n_items:
            problems.append(f"{len(self.example_ids)} example ids for {n_items} rows of label counts")
        if len(self.label_names) != n_classes:
            problems.append(f"{len(self.label_names)} label names for {n_classes} columns of label counts")
        if len(made.get("fields", range(n_items))) != n_items:
            problems.append(f"{len(self.fields)} rows of fields for {n_items} rows of label counts")
        for what, names in (("example ids", made.get("example_ids", ())), ("label names", self.label_names)):
            if len(set(names)) < len(names):
                repeated = [name for name, times in Counter(names).items() if times > 1]
                problems.append(f"{what} occur more than once: {listed(repeated)}")
        votes = made.get("votes")
        if votes is not None and not votes.add_up_to(self.label_counts):
            problems.append("the votes do not add up to the label counts")
        if len(self.disagreement.values) not in (0, n_classes):
            problems.append(f"a scale of {len(self.disagreement.values)} ratings for {n_classes} classes")
        return problems

    def read_by(self, **reading: Any) -> Self:
        """Note how the annotations are read again.

        Args:
            **reading: Keys of ``task.annotated`` of a configuration, which give what these annotations hold.

        Returns:
            These annotations. Whatever is made of them, such as a selection, is without the note.
        """
        object.__setattr__(self, "reading", reading)
        return self

    def with_receipt(self, receipt: Receipt) -> Self:
        """Attach the receipt of the reading; whatever is made of these annotations is without it."""
        object.__setattr__(self, "receipt", receipt)
        return self

    @property
    def n_items(self) -> int:
        """N, the number of examples."""
        return int(self.label_counts.shape[0])

    @property
    def n_classes(self) -> int:
        """K, the number of classes."""
        return int(self.label_counts.shape[1])

    @property
    def n_annotators(self) -> NDArray[np.int64]:
        """Annotations of each example, (N,)."""
        return np.asarray(np.einsum("nk->n", self.label_counts))

    @property
    def distributions(self) -> NDArray[np.float64]:
        """Share of annotations per class, (N, K)."""
        return measures.distributions(self.label_counts)

    @property
    def entropy(self) -> NDArray[np.float64]:
        """Plug-in entropy in nats, (N,); nan where an example has one annotation."""
        return measures.entropy(self.label_counts)

    @property
    def majority(self) -> NDArray[np.int64]:
        """Index of the class with most annotations, (N,); a tie goes to the first class."""
        return measures.majority(self.label_counts)

    @property
    def ties(self) -> NDArray[np.bool_]:
        """Where the highest count is shared, (N,)."""
        return measures.ties(self.label_counts)

    def categories(self, scheme: str | Categories = "fixed", *, estimator: Estimator = "plugin") -> NDArray[np.str_]:
        """Return the category of each example by its entropy, or by another measure of ``disagreement``.

        Args:
            scheme: ``fixed``, ``terciles``, ``quartiles``, or own `Categories`.
            estimator: How entropy is estimated: ``plugin``, ``miller-madow`` or ``chao-shen``.

        Returns:
            Category names, shape (N,); ``unknown`` where an example has a single annotation.
        """
        return self.cut(scheme, estimator=estimator).categories

    def cut(self, scheme: str | Categories = "fixed", *, estimator: Estimator = "plugin") -> CutCounts:
        """Return the category of each example, the bounds of the categories and the values that were cut.

        Args:
            scheme: As in `categories`.
            estimator: As in `categories`.

        Returns:
            The categories.
        """
        return cut_counts(self.label_counts, scheme, estimator=estimator, disagreement=self.disagreement)

    @property
    def scale(self) -> NDArray[np.float64] | None:
        """The rating that each class stands for, (K,): as given, or as four numbers or more say; None for no scale."""
        return np.array(self.disagreement.values) if self.disagreement.values else scale_of(self.label_names)

    def select(self, rows: ArrayLike) -> Annotations:
        """Return some of the examples, with their ids.

        Args:
            rows: Row numbers in the wanted order, or a boolean mask of shape (N,).

        Returns:
            The examples chosen.
        """
        given = np.asarray(rows)
        chosen = np.arange(self.n_items)[given if given.size else np.zeros(0, dtype=np.int64)]
        return Annotations(
            example_ids=tuple(self.example_ids[row] for row in chosen),
            label_counts=self.label_counts[chosen],
            label_names=self.label_names,
            fields=self.fields.iloc[chosen],
            source=self.source,
            votes=None if self.votes is None else self.votes.select(chosen, n_items=self.n_items),
            disagreement=self.disagreement,
            label_sets=self.label_sets,
        )

    def summary(self, scheme: str | Categories = "fixed", *, estimator: Estimator = "plugin") -> Summary:
        """Summarise annotators, entropy, categories and agreement.

        Args:
            scheme: How entropy is cut into categories; see `categories`.
            estimator: ``plugin``, ``miller-madow`` or ``chao-shen``.

        Returns:
            The summary.

        Raises:
            DataError: If there is no example.
        """
        if self.n_items == 0:
            raise DataError("There is no example to summarise.")
        annotators, ties = self.n_annotators, self.ties
        bands, cut = bands_of(self.label_counts, scheme, estimator=estimator, disagreement=self.disagreement)
        several = annotators > 1  # one annotation has no entropy
        values = measures.entropy(self.label_counts, estimator)[several]
        notes = summary_notes(annotators, values, n_classes=self.n_classes, bands=bands, estimator=estimator)
        return Summary(
            n_items=self.n_items,
            n_classes=self.n_classes,
            annotators=AnnotatorRange(int(annotators.min()), float(np.median(annotators)), int(annotators.max())),
            entropy_nats=_averages(values),
            categories={
                **bands.count(cut[several]),
                **({UNKNOWN: int((~several).sum())} if not several.all() else {}),
            },
            ties=int(ties.sum()),
            estimator=estimator,
            label_names=self.label_names,
            category_bounds=bands.bounds,
            disagreement=bands.disagreement,
            scale=() if self.scale is None else tuple(self.scale.tolist()),
            ratings=None if self.scale is None else average_ratings(self.label_counts, self.scale),
            krippendorff_alpha=measures.krippendorff_alpha(self.label_counts),
            pairwise_agreement=measures.pairwise_agreement(self.label_counts),
            set_agreement=None if self.label_sets is None else self.label_sets.agreement(self.label_counts),
            tied_ids=Later(lambda: tuple(self.example_ids[row] for row in np.flatnonzero(ties))).unmade,
            notes=(
                *(self.receipt.notes if self.receipt else ()),
                *(() if self.label_sets is None else (self.label_sets.note(),)),
                *notes,
            ),
        )

    def item_table(self, scheme: str | Categories = "fixed", *, estimator: Estimator = "plugin") -> pd.DataFrame:
        """Return one row per example: id, annotators, counts, both entropies, majority, tie, category.

        Where the classes are a scale, ``label_mean``, ``label_standard_deviation``, ``label_pair_distance`` and
        ``label_polarisation`` follow; ``entropy_scaled_nats`` where categories are bands of scaled entropy.

        Args:
            scheme: How entropy is cut into categories; see `categories`.
            estimator: The entropy that is cut.

        Returns:
            N rows; ``counts`` maps each label to its count. An example with one annotation has no entropy.
        """
        import pandas as pd

        table = pd.DataFrame(
            {
                "example_id": list(self.example_ids),
                "n_annotators": self.n_annotators,
                "counts": [dict(zip(self.label_names, row, strict=True)) for row in self.label_counts.tolist()],
                "entropy_nats": self.entropy,
                "entropy_miller_madow_nats": measures.entropy(self.label_counts, "miller-madow"),
                "majority": [self.label_names[k] for k in self.majority],
                "tie": self.ties,
                "category": self.categories(scheme, estimator=estimator).tolist(),
            }
        )
        if self.disagreement.by == "scaled-entropy":
            table["entropy_scaled_nats"] = self.disagreement.of(self.label_counts, estimator)
        if self.scale is not None:
            table = table.assign(**rating_table(self.label_counts, self.scale))
        return table

    def annotator_table(self) -> pd.DataFrame:
        """Return one row per annotator: agreement with the others, and H and alpha without them."""
        return annotator_table(self.votes, self.label_counts, self.label_names)

    def aggregate(self, method: str, rng: np.random.Generator) -> Aggregated:
        """Return one estimated label per item and how reliable annotators are: ``dawid-skene`` or ``mace``."""
        return aggregate(self.votes, method, n_items=self.n_items, n_classes=self.n_classes, rng=rng)

    def annotator_notes(self) -> tuple[str, ...]:
        """Return what to keep in mind of `annotator_table`."""
        return annotator_notes(self.votes, self.receipt.columns.get("labels", ()) if self.receipt else ())


def _averages(values: NDArray[np.float64]) -> EntropyAverages:
    return EntropyAverages(*((float(values.mean()), float(np.median(values))) if len(values) else (math.nan, math.nan)))
