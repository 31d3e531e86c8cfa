"""Answers that are sets of labels: how they stand in cells, and the votes that are made of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.annotations.multilabel import READINGS, LabelSets
from contested.annotations.readers._cells import JOINT
from contested.annotations.readers._votes import Answers
from contested.rows import Coded, Table
from contested.rows.coded import first_places
from contested.wording import counted, did_you_mean, listed

_NONE = "(none)"
_BETWEEN = " + "

# What joins labels in an answer of several: "joy|anger", "joy and anger", "joy anger".
_JOINTS = tuple(re.compile(pattern) for pattern in (r"[|;,]", r"[+&/]", r"\s(?:and|or)\s", r"\s"))
_UNSPACED = re.compile(r"[^|;,\s]+(?:[|;,][^|;,\s]+)+")


def joined_labels(found: Collection[str]) -> set[str]:
    """Return the labels that join others: of labels found, or of the same parts in another order."""
    known = set(found)
    joined = set()
    for joint in _JOINTS:
        several = {label: parts for label in known if len(parts := _split(label, joint)) > 1 and all(parts)}
        joined |= {label for label, names in several.items() if set(names) <= known}
        orders = Counter(tuple(sorted(names)) for names in several.values())
        joined |= {label for label, names in several.items() if orders[tuple(sorted(names))] > 1}
    # "care,fair" beside "care" is two labels; "Yes, surely" beside "Yes" is one.
    return joined | {label for label in known if _UNSPACED.fullmatch(label) and known & {*_split(label, _JOINTS[0])}}


def _split(label: str, joint: re.Pattern[str]) -> list[str]:
    return [part.strip() for part in joint.split(label)]


def set_parts(labels: Collection[str], whole: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the single labels of each answer.

    Args:
        labels: The different answers.
        whole: Names of classes, which are never split.

    Returns:
        By answer, each of its labels once, in the order of the answer. Bars, semicolons and commas separate labels;
        other joints do where their parts are labels too, or answers of the same parts in another order.
    """
    pieces = {piece for label in labels for piece in label.split(JOINT) if piece}
    joined = joined_labels(pieces | set(whole))
    split = {piece: _parts(piece, whole, joined) for piece in pieces}
    return {
        label: tuple(dict.fromkeys(part for piece in label.split(JOINT) if piece for part in split[piece]))
        for label in labels
    }


def _parts(piece: str, whole: Collection[str], joined: Collection[str]) -> list[str]:
    if piece in whole:
        return [piece]
    for joint in _JOINTS:
        parts = [part for part in _split(piece, joint) if part]
        if len(parts) > 1 and (joint is _JOINTS[0] or piece in joined):
            return parts
    return [piece]


class SetVotes(NamedTuple):
    """Votes made of sets.

    Attributes:
        answers: The votes; of ``each``, one per annotator and item, coded by its set.
        label_names: The classes in label order.
        label_sets: What was made of the sets.
        parts: The single labels of each code of ``answers``; empty unless ``each``.
    """

    answers: Answers
    label_names: tuple[str, ...]
    label_sets: LabelSets
    parts: tuple[tuple[str, ...], ...] = ()


def votes_of_sets(table: Table, answers: Answers, reading: str, classes: Sequence[str]) -> SetVotes:
    """Make votes of answers that are sets of labels.

    Args:
        table: The file; a class that nobody chose becomes a problem where it is the one that is read.
        answers: The answers, a label or several each.
        reading: ``mentions``, ``sets``, ``each`` or a class.
        classes: The single labels in label order.

    Returns:
        The votes.
    """
    found = set_parts(answers.labels, classes)
    place = {name: number for number, name in enumerate(classes)}
    parts = {label: tuple(sorted(names, key=lambda name: place[name])) for label, names in found.items()}
    _note_empty(table, answers, parts)
    if reading == "mentions":
        return SetVotes(_mentions(answers, parts), tuple(classes), LabelSets(reading, tuple(classes)))
    if reading == "each":
        coded = tuple(parts[label] for label in answers.labels)
        return SetVotes(answers, tuple(classes), LabelSets(reading, tuple(classes)), coded)
    if reading == "sets":
        sets = sorted({*parts.values()}, key=lambda names: (len(names), [place[name] for name in names]))
        named = {names: _BETWEEN.join(names) or _NONE for names in sets}
        renamed = answers.renamed({label: named[names] for label, names in parts.items()})
        return SetVotes(renamed, tuple(named.values()), LabelSets(reading, tuple(classes), tuple(sets)))
    if reading not in place:
        table.add_problem(
            0,
            f"multilabel={reading} is none of the classes{did_you_mean(reading, classes)}: give one of "
            f"{listed([*READINGS, *classes])}",
        )
    names = (f"not {reading}", reading)
    renamed = answers.renamed({label: names[reading in of] for label, of in parts.items()})
    return SetVotes(renamed, names, LabelSets(reading, tuple(classes)))


def _mentions(answers: Answers, parts: Mapping[str, tuple[str, ...]]) -> Answers:
    """A vote for every label of every answer, in their order."""
    sizes = np.array([len(parts[label]) for label in answers.labels], dtype=np.int64)[answers.codes]
    flat = [name for label in answers.labels for name in parts[label]]
    begins = np.cumsum([0, *(len(parts[label]) for label in answers.labels)])[answers.codes]
    every = np.repeat(np.arange(len(answers)), sizes)
    places = np.arange(len(every)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + begins[every]
    named = Coded.of(flat)
    return replace(
        answers,
        rows=answers.rows[every],
        items=answers.items[every],
        codes=named.codes[places],
        labels=tuple(map(str, named.values)),
        annotators=answers.annotators[every],
    )


def _note_empty(table: Table, answers: Answers, parts: Mapping[str, tuple[str, ...]]) -> None:
    n_empty = int(answers.where([label for label, names in parts.items() if not names]).sum())
    if n_empty:
        table.add_note(
            f"{counted(n_empty, 'answer')} chose none of the classes: an answer for sets and classes, no vote for "
            "mentions."
        )


def united(answers: Answers, pairs: NDArray[np.int64]) -> Answers:
    """Return one answer for each annotator and item: the labels of all their answers to it.

    Args:
        answers: The answers.
        pairs: A number for the annotator and item of each, (V,).

    Returns:
        The first answers, with all labels.
    """
    first = first_places(pairs)
    repeats = first != np.arange(len(pairs))
    labels = [*answers.labels]
    codes, index = answers.codes.copy(), {label: place for place, label in enumerate(labels)}
    for place in np.flatnonzero(repeats).tolist():
        at = int(first[place])
        union = JOINT.join(dict.fromkeys([labels[codes[at]], labels[answers.codes[place]]]))
        codes[at] = index.setdefault(union, len(labels))
        if codes[at] == len(labels):
            labels.append(union)
    return replace(answers, codes=codes, labels=tuple(labels)).kept(~repeats)
