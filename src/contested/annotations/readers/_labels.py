"""Labels: which classes a file has, in which order, and how often each item was given each."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.annotations.core import Annotations
from contested.annotations.later import Later
from contested.annotations.multilabel import LabelSets
from contested.annotations.readers._bins import binned
from contested.annotations.readers._classes import note_classes, note_measurements
from contested.annotations.readers._sets import joined_labels, set_parts, votes_of_sets
from contested.annotations.readers._votes import Answers
from contested.annotations.votes import Votes
from contested.rows import Table
from contested.wording import did_you_mean, listed, with_commas

if TYPE_CHECKING:
    import pandas as pd

# Orders in which the field writes its classes; a file with only these labels follows them.
_USUAL_ORDERS = (("entailment", "neutral", "contradiction"), ("e", "n", "c"))

# More different labels than this are free text, and counting them would need N × K memory.
_MOST_CLASSES = 1000

_SYSTEMATIC = 3  # times that a label stands in a file which is no slip of the pen
_MOST_SHOWN = 10
_NEAR = 0.7

OTHER_NAMES = "the label names"
"""How the finding begins that the names given may be wrong, and not the file."""

OTHER_SCALE = "the scale"
"""How it begins where the names are those of a scale."""


class ScaleNames(tuple[str, ...]):
    """Names of classes that are a scale: their order is meant."""

    __slots__ = ()


class Counted(NamedTuple):
    """Votes of all items.

    Attributes:
        label_names: The classes in label order.
        counts: Votes per class, shape (N, K).
        answers: The votes that were counted, in the order of the file.
        label_sets: What was made of sets of labels; None where annotators give one label each.
        parts: The single labels of each code of ``answers``, where each class is an example of its own; empty else.
    """

    label_names: tuple[str, ...]
    counts: NDArray[np.int64]
    answers: Answers
    label_sets: LabelSets | None = None
    parts: tuple[tuple[str, ...], ...] = ()

    def annotations(
        self, ids: Sequence[str], rows: NDArray[np.int64], fields: Later[pd.DataFrame], *, source: str
    ) -> Annotations:
        """Return the annotations of some of the items.

        Args:
            ids: The id of each item, (N,).
            rows: The items to keep: those with an answer, in order.
            fields: What else is known of each item, N rows.
            source: The file.

        Returns:
            The annotations, with their votes.
        """
        if self.parts:
            return self._by_class(ids, rows, fields, source=source)
        every = len(rows) == len(ids)
        return Annotations(
            Later(lambda: _of_rows(ids, rows)).unmade,
            self.counts if every else self.counts[rows],
            self.label_names,
            fields.then(lambda frame: frame if every else frame.iloc[rows]).unmade,
            source=source,
            votes=Later(lambda: self._votes(rows, len(ids))).unmade,
            label_sets=self.label_sets,
        )

    def _votes(self, rows: NDArray[np.int64], n_items: int) -> Votes:
        answers, index = self.answers, {name: k for k, name in enumerate(self.label_names)}
        classes = np.array([index[label] for label in answers.labels], dtype=np.int64)
        votes = Votes(answers.items, classes[answers.codes], answers.annotators, answers.annotator_ids)
        return votes if len(rows) == n_items else votes.select(rows, n_items=n_items)

    def _by_class(
        self, ids: Sequence[str], rows: NDArray[np.int64], fields: Later[pd.DataFrame], *, source: str
    ) -> Annotations:
        """An example per item and class, with the votes no and yes; ``item_id`` and ``class`` are fields."""
        answers, classes = self.answers, self.label_names
        chosen = np.array([[name in of for name in classes] for of in self.parts], dtype=np.int64)[answers.codes]
        n_classes, n_items = len(classes), len(ids)
        items = (answers.items[:, None] * n_classes + np.arange(n_classes)).ravel()
        votes = Votes(items, chosen.ravel(), np.repeat(answers.annotators, n_classes), answers.annotator_ids)
        kept = (np.asarray(rows)[:, None] * n_classes + np.arange(n_classes)).ravel()
        item_ids = _of_rows(ids, rows)
        own = {"item_id": np.repeat(item_ids, n_classes), "class": np.tile(classes, len(rows))}
        known = fields.value.iloc[rows]
        given = known.rename(columns={name: f"{name}_given" for name in own if name in known})
        votes = votes.select(kept, n_items=n_items * n_classes)
        return Annotations(
            tuple(f"{item}/{name}" for item in item_ids for name in classes),
            votes.counts(n_items=len(kept), n_classes=2),
            ("no", "yes"),
            given.loc[given.index.repeat(n_classes)].assign(**own),
            source=source,
            votes=votes,
            label_sets=self.label_sets,
        )


def _of_rows(ids: Sequence[str], rows: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(ids) if len(rows) == len(ids) else tuple(np.array(ids, dtype=object)[rows].tolist())


def count_answers(
    table: Table,
    answers: Answers,
    *,
    n_items: int,
    label_names: tuple[str, ...] | None,
    multilabel: str | None = None,
    bins: Sequence[float] | None = None,
) -> Counted:
    """Count each item's labels.

    Args:
        table: The file; labels that are none of the classes become problems.
        answers: The annotations that name a class, with one spelling per number.
        n_items: N.
        label_names: The classes, if given; else those found are taken, in their usual order.
        multilabel: How answers of several labels are read; None where each is one label.
        bins: How measurements are cut into classes, where labels are numbers.

    Returns:
        The classes, the counts, and the answers that name a class.
    """
    if bins:
        answers, label_names = binned(table, answers, bins)
    if multilabel:
        return _count_sets(table, answers, multilabel, n_items=n_items, label_names=label_names)
    found = answers.times()
    joined = joined_labels(found) - set(label_names or ())
    names = label_names or order_labels(found.keys() - joined)
    if len(names) > _MOST_CLASSES:
        table.add_problem(
            0, f"found {len(names):,} different labels ({listed(names[:3])}, …), which looks like free text"
        )
        return Counted(names, np.zeros((n_items, 0), dtype=np.int64), answers)
    if label_names:
        note_other_names(table, label_names, {label: n for label, n in found.items() if label not in joined})
    elif not note_measurements(table, names, len(answers)):
        note_classes(table, names)
    known = answers.kept(answers.where(names))
    if len(known) < len(answers):
        for row, code in zip(*(values[~answers.where(names)] for values in (answers.rows, answers.codes)), strict=True):
            table.add_problem(table.line_numbers[int(row)], _not_a_class(answers.labels[code], names, joined))
    return Counted(names, _counts(known, names, n_items), known)


def _counts(answers: Answers, names: Sequence[str], n_items: int) -> NDArray[np.int64]:
    place = {name: k for k, name in enumerate(names)}
    classes = np.array([place[label] for label in answers.labels], dtype=np.int64)[answers.codes]
    counts = np.bincount(answers.items * len(names) + classes, minlength=n_items * len(names))
    return counts.reshape(n_items, len(names)).astype(np.int64)


def _count_sets(
    table: Table, answers: Answers, multilabel: str, *, n_items: int, label_names: tuple[str, ...] | None
) -> Counted:
    """Count what is made of answers that are sets of labels; a label that is no class is a problem."""
    parts = set_parts(answers.labels, label_names or ())
    found = {name for names in parts.values() for name in names}
    classes = label_names or order_labels(found)
    wrong = {label: names for label, names in parts.items() if not set(names) <= set(classes)}
    for row, code in zip(*(values[answers.where(wrong)] for values in (answers.rows, answers.codes)), strict=True):
        unknown = next(name for name in wrong[answers.labels[code]] if name not in classes)
        table.add_problem(table.line_numbers[int(row)], unknown_label(unknown, classes))
    made = votes_of_sets(table, answers.kept(~answers.where(wrong)), multilabel, classes)
    if len(made.label_names) > _MOST_CLASSES:
        table.add_problem(
            0,
            f"found {len(made.label_names):,} different {'sets of labels' if multilabel == 'sets' else 'labels'}, more "
            "than can be counted as classes",
        )
        return Counted(made.label_names, np.zeros((n_items, 0), dtype=np.int64), made.answers)
    if made.parts:
        every = np.bincount(made.answers.items, minlength=n_items)[:, None].astype(np.int64)
        return Counted(made.label_names, every, made.answers, made.label_sets, made.parts)
    counts = _counts(made.answers, made.label_names, n_items)
    return Counted(made.label_names, counts, made.answers, made.label_sets)


def _not_a_class(label: str, label_names: Sequence[str], joined: Collection[str]) -> str:
    if label in joined:
        return (
            f"'{label}' gives several labels at once, which has no distribution over classes; say how sets of labels "
            f"are read with multilabel=mentions, sets, each or a class, or name it in label_names as a class of its own"
        )
    return unknown_label(label, label_names)


def order_labels(found: Collection[str]) -> tuple[str, ...]:
    """Return labels in label order: the field's own where there is one, numbers by size, else sorted."""
    for usual in _USUAL_ORDERS:
        if found and set(found) <= set(usual):
            return usual
    return tuple(sorted(found, key=_sort_key))


def _sort_key(label: str) -> tuple[int, float, str]:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)


def unknown_label(label: str, label_names: Sequence[str]) -> str:
    """Say that a label is none of the classes."""
    return f"unknown label '{label}'{did_you_mean(label, label_names)}; expected {listed(label_names)}"


def note_other_names(table: Table, label_names: Sequence[str], found: Mapping[str, int]) -> None:
    """Note a problem where a file uses labels again and again that are not among those given: the names may be wrong.

    Args:
        table: The file.
        label_names: The classes as they were given.
        found: The labels of the file, and how often each stands there.
    """
    often = {label: n for label, n in found.items() if n >= _SYSTEMATIC}
    others = [label for label in order_labels(often) if label in often and label not in label_names]
    if not others:
        return
    told = ", ".join(f"{label} ({often[label]:,} times)" for label in others[:_MOST_SHOWN])
    more = f", … ({len(others):,} labels)" if len(others) > _MOST_SHOWN else ""
    given = with_commas(label_names)
    if isinstance(label_names, ScaleNames):
        names, rest = _in_order_of(label_names, others)
        place = f", with {listed(rest)} put in {'its place' if len(rest) == 1 else 'their places'}" if rest else ""
        problem = (
            f"{OTHER_SCALE} {given} lacks labels of the file: {told}{more}; if the file is right, give "
            f"scale={with_commas(names)}{place}, from the lowest to the highest"
        )
    else:
        names = list(order_labels(often)) if len(often) <= _MOST_SHOWN else ["…"]
        problem = (
            f"{OTHER_NAMES} {given} lack labels of the file: {told}{more}; if the file is right, give "
            f"label_names={with_commas(names)} in the order of your classes"
        )
    table.add_problem(0, problem)


def _in_order_of(scale: Sequence[str], others: Sequence[str]) -> tuple[list[str], list[str]]:
    """A scale in the spellings of the file, and the labels that are near to none of its names."""
    rest, names = list(others), []
    for name in scale:
        near = difflib.get_close_matches(name, rest, n=1, cutoff=_NEAR)
        names.append(near[0] if near else name)
        rest = [other for other in rest if other not in near]
    return names, rest


def check_classes(table: Table, label_names: Sequence[str]) -> None:
    """Note a problem where there are fewer than two classes."""
    if len(label_names) < 2:
        table.add_problem(
            0,
            f"only one class was found ({listed(label_names) or 'none'}); disagreement needs two or more: "
            f"name all classes with label_names",
        )
