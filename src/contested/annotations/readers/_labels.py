"""Labels: which classes a file has, in which order, and how often each item was given each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.annotations.core import Annotations
from contested.annotations.readers._classes import note_classes, note_measurements
from contested.annotations.readers._votes import Answers, unified, without_missing
from contested.annotations.votes import Votes
from contested.rows import Table
from contested.wording import did_you_mean, listed

# Orders in which the field writes its classes; a file with only these labels follows them.
_USUAL_ORDERS = (("entailment", "neutral", "contradiction"), ("e", "n", "c"))

# More different labels than this are free text, and counting them would need N × K memory.
_MOST_CLASSES = 1000

# What joins labels in an answer of several: "joy|anger", "joy and anger", "joy anger".
_JOINTS = tuple(re.compile(pattern) for pattern in (r"[|;,]", r"[+&/]", r"\s(?:and|or)\s", r"\s"))

_SYSTEMATIC = 3  # times that a label stands in a file which is no slip of the pen
_MOST_SHOWN = 10

OTHER_NAMES = "the label names"
"""How the finding begins that the names given may be wrong, and not the file."""


class Counted(NamedTuple):
    """Votes of all items.

    Attributes:
        label_names: The classes in label order.
        counts: Votes per class, shape (N, K).
        answers: The votes that were counted, in the order of the file.
    """

    label_names: tuple[str, ...]
    counts: NDArray[np.int64]
    answers: Answers

    def annotations(
        self, ids: Sequence[str], rows: NDArray[np.int64], fields: pd.DataFrame, *, source: str
    ) -> Annotations:
        """Return the annotations of some of the items.

        Args:
            ids: The id of each item, (N,).
            rows: The items to keep: those with an answer, in order.
            fields: What else is known of each item to keep.
            source: The file.

        Returns:
            The annotations, with their votes.
        """
        index = {name: k for k, name in enumerate(self.label_names)}
        classes = np.array([index[label] for label in self.answers.labels], dtype=np.int64)
        answers, every = self.answers, len(rows) == len(ids)
        votes = Votes(answers.items, classes[answers.codes], answers.annotators, answers.annotator_ids)
        return Annotations(
            tuple(ids) if every else tuple(ids[row] for row in rows),
            self.counts if every else self.counts[rows],
            self.label_names,
            fields,
            source=source,
            votes=votes if every else votes.select(rows, n_items=len(ids)),
        )


def count_answers(
    table: Table,
    answers: Answers,
    *,
    n_items: int,
    label_names: tuple[str, ...] | None,
    missing: Sequence[str] | None = None,
) -> Counted:
    """Count each item's labels.

    Args:
        table: The file; labels that are none of the classes become problems.
        answers: Every annotation.
        n_items: N.
        label_names: The classes, if given; else those found are taken, in their usual order.
        missing: What stands for no answer, beside what usually does.

    Returns:
        The classes, the counts, and the answers that name a class.
    """
    answers = without_missing(table, answers, missing=missing, label_names=label_names)
    answers = unified(table, answers, label_names)
    found = answers.times()
    joined = _joined(found) - set(label_names or ())
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
    classes = np.array([names.index(label) for label in known.labels], dtype=np.int64)[known.codes]
    counts = np.bincount(known.items * len(names) + classes, minlength=n_items * len(names))
    return Counted(names, counts.reshape(n_items, len(names)).astype(np.int64), known)


def _joined(found: Collection[str]) -> set[str]:
    """Return the labels that join others: of labels found, or of the same parts in another order."""
    known = set(found)
    joined = set()
    for joint in _JOINTS:
        parts = {label: [part.strip() for part in joint.split(label)] for label in known}
        several = {label: names for label, names in parts.items() if len(names) > 1 and all(names)}
        joined |= {label for label, names in several.items() if set(names) <= known}
        orders = Counter(tuple(sorted(names)) for names in several.values())
        joined |= {label for label, names in several.items() if orders[tuple(sorted(names))] > 1}
    return joined


def _not_a_class(label: str, label_names: Sequence[str], joined: Collection[str]) -> str:
    if label in joined:
        return (
            f"'{label}' gives several labels at once, which has no distribution over classes; "
            f"name it in label_names to make it a class of its own"
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
    names = ",".join(order_labels(often)) if len(often) <= _MOST_SHOWN else "…"
    table.add_problem(
        0,
        f"{OTHER_NAMES} {','.join(label_names)} lack labels of the file: {told}{more}; if the file is right, give "
        f"label_names={names} in the order of your classes",
    )


def check_classes(table: Table, label_names: Sequence[str]) -> None:
    """Note a problem where there are fewer than two classes."""
    if len(label_names) < 2:
        table.add_problem(
            0,
            f"only one class was found ({listed(label_names) or 'none'}); disagreement needs two or more: "
            f"name all classes with label_names",
        )
