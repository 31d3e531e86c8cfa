"""What the names of classes give away: spellings, numbers, and what may be no class at all."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence

from contested.annotations.readers._cells import canonical
from contested.annotations.scales import scale_of
from contested.rows import Table
from contested.wording import listed, with_commas

# Written for no answer in some files, and for an answer in others.
_MAYBE_NOTHING = frozenset(
    {
        *("None", "NONE", "?", "??", ".", "..", "--", "---", "\u2013", "\u2014", "\\N"),
        *("na", "n.a.", "n.a", "n.d.", "nil", "missing", "undefined", "#null!", "#n/d", "#nv", "#value!", "#ref!"),
        *("empty", "(empty)", "blank", "(blank)", "skip", "skipped", "no answer", "not answered", "unanswered"),
    }
)
_CODES = frozenset({"-9", "-99", "-999", "99", "999", "9999", "-8", "-88", "88", "888"})
_UNSPLIT = {r"\n": "line breaks", r"\t": "tabs", r"\s*/\s*": "/", r"\s*&\s*": "&", r"\s*\+\s*": "+", r" +": "blanks"}
_COUNTED = re.compile(r"(?P<stem>.*[^\W\d].*?)\s*(?:[:=]\s*\d+|\(\s*\d+\s*\))")
_LONGEST_SCALE = 20
_MANY = 20  # different numbers beyond which a scale is a measurement
_FEWEST_MEASUREMENTS = 5


def note_classes(table: Table, names: Sequence[str]) -> None:
    """Say what is odd about the classes that a file uses.

    Args:
        table: The file, which takes the notes.
        names: The classes found.
    """
    _note_spellings(table, names)
    _note_codes(table, names)
    scale = scale_of(names)
    if scale is not None:
        _note_scale(table, scale.tolist())


def _note_spellings(table: Table, names: Sequence[str]) -> None:
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_folded(name), []).append(name)
    several = [found for found in alike.values() if len(found) > 1]
    if several:
        told = "; ".join(listed(found) for found in several)
        table.add_note(
            f"Classes differ in upper and lower case or in blanks only: {told}. They were read as classes of their "
            "own; if they are the same, write them alike."
        )


def _folded(name: str) -> str:
    seen = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", unicodedata.normalize("NFKC", seen).casefold()).strip()


def _note_codes(table: Table, names: Sequence[str]) -> None:
    numbers = {name: float(number) for name in names if (number := canonical(name)) is not None}
    negative = [name for name, value in numbers.items() if value < 0]
    maybe = [name for name in names if name in _MAYBE_NOTHING or name.casefold() in _MAYBE_NOTHING]
    others = [abs(value) for name, value in numbers.items() if name not in _CODES]
    maybe += [name for name in numbers if name in _CODES and others and max(others) <= abs(numbers[name]) / 4]
    if len(numbers) == 1 and len(names) > 2 and not others:
        # A number among words is a code.
        maybe += [name for name in numbers if name not in maybe]
    elif numbers.keys() == {"-1"} and len(names) > 2:
        maybe.append("-1")
    if negative == ["-1"] and len(numbers) == len(names) and "-1" not in maybe:
        maybe.append("-1")
    if maybe:
        are, them = ("is a class", "it") if len(maybe) == 1 else ("are classes", "them")
        table.add_note(
            f"{listed(maybe)} {are} here; some files write {them} where an annotator gave no answer. If this one does, "
            f"give missing={with_commas(maybe)}."
        )


def note_unsplit(table: Table, labels: Mapping[str, int], column: str) -> None:
    """Note a problem where each label looks like all labels of an item, or like a label and its count.

    Args:
        table: The file.
        labels: What was read as one label each, and how often it stands there.
        column: Where they stand.
    """
    distinct = set(labels)
    for joint, told in _UNSPLIT.items():
        parts = {label: re.split(joint, label) for label in labels} if len(distinct) > 1 else {}
        cells = {part for found in parts.values() for part in found}
        several = all(len(found) > 1 and all(found) for found in parts.values())
        repeat = 2 * len(cells) <= sum(times * len(parts[label]) for label, times in labels.items() if parts)
        if parts and several and repeat and any(len(set(found)) < len(found) for found in parts.values()):
            table.add_problem(
                0,
                f"labels in {column} such as {min(distinct)!r} look like several labels with {told} between them: "
                "separate them by |, or give label_names if each is one class",
            )
            return
    counted = [_COUNTED.fullmatch(label) for label in distinct]
    stems = [found["stem"] for found in counted if found is not None]
    if len(stems) == len(distinct) and 1 < len(set(stems)) < len(stems):
        table.add_problem(
            0,
            f"labels in {column} such as {min(distinct)!r} look like labels with their counts: write an object from "
            "label to count and name it with count_columns, or give label_names if each is one class",
        )


def _note_scale(table: Table, values: Sequence[float]) -> None:
    table.add_note(
        "The classes are numbers, and entropy takes them as names without an order: 2, 2, 3, 3 and 1, 1, 5, 5 disagree "
        "alike. The standard deviation and the mean distance of two annotators, which know the order, are in the table "
        "of items; by=sd or by=pair-distance cuts categories by them."
    )
    if all(value.is_integer() for value in values) and max(values) - min(values) <= _LONGEST_SCALE:
        lowest, highest = int(min(values)), int(max(values))
        absent = [str(value) for value in range(lowest, highest + 1) if value not in values]
        if absent:
            names = ",".join(map(str, range(lowest, highest + 1)))
            table.add_note(
                f"Nobody answered {listed(absent)}, so that ln K counts {len(values)} classes; if these were answers "
                f"too, give scale={names}."
            )


def _is_number(name: str) -> bool:
    """Whether a label is a finite number, also as programs write small ones: -3e-05."""
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def note_measurements(table: Table, names: Sequence[str], n_answers: int) -> bool:
    """Note where labels are measurements on a scale, and not classes.

    Args:
        table: The file; many numbers with few repeats are a problem, and so are many fractions; else a note.
        names: The labels found.
        n_answers: How often labels stand in the file.

    Returns:
        Whether they are.
    """
    numbers = [name for name in names if _is_number(name)]
    if len(numbers) < max(len(names), _FEWEST_MEASUREMENTS):
        return False
    fractions = sum(not float(number).is_integer() for number in numbers)
    few_repeats = 2 * len(names) > n_answers
    wide = len(names) > _MANY or max(map(float, numbers)) - min(map(float, numbers)) > _LONGEST_SCALE
    if (few_repeats and (wide or 2 * fractions >= len(names))) or (fractions and len(names) > _MANY):
        table.add_problem(
            0,
            f"the labels are {len(names):,} different numbers such as {listed(names[:2])}, as measurements on a scale "
            "are; entropy needs classes: cut the scale into a few intervals with bins=3 or bounds of yours, or give "
            "all numbers in label_names",
        )
        return True
    if len(names) > _MANY:
        table.add_note(
            f"The labels are {len(names):,} different numbers, as of a slider; each is a class of its own, and entropy "
            f"reaches ln {len(names)} = {math.log(len(names)):.3f}. bins=5, say, cuts the scale into a few intervals."
        )
    return len(names) > _MANY
