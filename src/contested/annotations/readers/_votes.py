"""Votes as they stand in a file: which are answers, and which numbers are the same class."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contested.annotations.later import Later, made_later, replaced
from contested.annotations.readers._cells import NOTHING, as_label, as_set, canonical, shown, split_cells
from contested.annotations.readers._printed import as_structure
from contested.annotations.readers._single import EXPECTED, single
from contested.annotations.receipt import EMPTY
from contested.rows import Coded, Table
from contested.rows.coded import Codes, factorized, n_unlike
from contested.wording import counted, listed

# A dash is no answer, except where a plus says that it is a sign.
_DASH, _PLUS = "-", "+"

_FEWEST_SETS = 2


@made_later("annotators")
@dataclass(frozen=True, eq=False)
class Answers:
    """V labels of items as the file names them, in the order of the file.

    Attributes:
        rows: Row of the table in which each stands, (V,).
        items: Row of the item, (V,).
        codes: The label, as its place in ``labels``, (V,).
        labels: The different labels, in order of first occurrence.
        annotators: The place in ``annotator_ids`` of who gave it, (V,); -1 where the file does not say.
        annotator_ids: The annotators as the file names them.
    """

    rows: NDArray[np.int64]
    items: NDArray[np.int64]
    codes: Codes
    labels: tuple[str, ...]
    annotators: NDArray[np.int64]
    annotator_ids: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        rows: NDArray[np.int64],
        codes: Codes,
        labels: Sequence[str],
        annotators: NDArray[np.int64] | None = None,
        annotator_ids: Sequence[str] = (),
    ) -> Answers:
        """Return answers to items that are rows of the table.

        Args:
            rows: Row of each, (V,).
            codes: Place in ``labels``, (V,).
            labels: Labels in any order; equal ones become one, and those that nobody gave are left out.
            annotators: Who gave each, (V,); None where the file does not say.
            annotator_ids: The annotators.

        Returns:
            The answers.
        """
        places = Coded.of(labels)
        found, used = factorized(codes if places.n_values == len(labels) else places.codes[codes])
        names = tuple(str(places.values[place]) for place in used)
        who = np.full(len(rows), -1, dtype=np.int64) if annotators is None else annotators
        return cls(rows, rows, found, names, who, tuple(annotator_ids))

    def __len__(self) -> int:
        return len(self.codes)

    def times(self) -> dict[str, int]:
        """Return how often each label was given."""
        return dict(zip(self.labels, np.bincount(self.codes, minlength=len(self.labels)).tolist(), strict=True))

    def where(self, labels: Collection[str]) -> NDArray[np.bool_]:
        """Return which answers are one of some labels, (V,)."""
        if set(labels) >= set(self.labels):
            return np.ones(len(self), dtype=np.bool_)
        return np.array([label in labels for label in self.labels], dtype=np.bool_)[self.codes]

    def kept(self, chosen: NDArray[np.bool_]) -> Answers:
        """Return the answers chosen by a mask of shape (V,)."""
        if chosen.all():
            return self
        found, used = factorized(self.codes[chosen])
        return replace(
            self,
            rows=self.rows[chosen],
            items=self.items[chosen],
            codes=found,
            labels=tuple(self.labels[place] for place in used),
            annotators=self.annotators[chosen],
        )

    def renamed(self, names: Mapping[str, str]) -> Answers:
        """Return the answers with other names for some labels; what is then alike is one label."""
        if all(names.get(label, label) == label for label in self.labels):
            return self
        renamed = Coded.of([names.get(label, label) for label in self.labels])
        return replaced(self, codes=renamed.codes[self.codes], labels=tuple(map(str, renamed.values)))


def listed_answers(table: Table, column: str, whole: Sequence[str] | None, *, sets: bool = False) -> Answers:
    """Read a column in which each cell holds all labels of an item.

    Args:
        table: The file; cells that cannot be read become problems.
        column: Lists, objects from annotator to label, either of them as printed text, or labels with separators.
        whole: Names of classes, which are not split even where they hold a separator; None where not given.
        sets: Whether an annotator may give a list of labels.

    Returns:
        The labels; parts that hold none are counted in the table's trace.
    """
    given = Coded.of(table.columns[column])
    texts = _attempted(table, given, column, as_structure)
    cells = [_parts(cell) for cell in split_cells(texts, whole or ())]
    if sets:
        cells = [[(who, as_set(part) if isinstance(part, list) else part) for who, part in parts] for parts in cells]
    nested = [any(isinstance(part, list | dict) for _, part in parts) for parts in cells]
    for row in np.flatnonzero(np.array(nested)[given.codes]).tolist():
        table.add_problem(table.line_numbers[row], f"{column} is {shown(given[row])}; {EXPECTED}")
    flat = [[*takewhile(lambda part: not isinstance(part[1], list | dict), parts)] for parts in cells]
    return _of_cells(table, given, flat)


def _attempted(table: Table, given: Coded, column: str, read: Callable[[Any], object]) -> list[object]:
    """What is read from each different cell; None with a problem for every row of a cell that cannot be read."""
    made: list[object] = []
    wrong: dict[int, str] = {}
    for place, value in enumerate(given.values):
        try:
            made.append(read(value))
        except ValueError as error:
            wrong[place] = str(error)
            made.append(None)
    for row in np.flatnonzero(np.isin(given.codes, [*wrong])).tolist() if wrong else ():
        table.add_problem(table.line_numbers[row], f"{column} is {wrong[int(given.codes[row])]}")
    return made


def _of_cells(table: Table, column: Coded, cells: Sequence[Sequence[tuple[str, object]]]) -> Answers:
    """The answers of the rows of a column: those of its different cells, each an annotator (or "") and a label."""
    parts = [(annotator, as_label(part)) for cell in cells for annotator, part in cell]
    sizes = np.array([*map(len, cells)], dtype=np.int64)
    begins, times = (np.cumsum(sizes) - sizes)[column.codes], sizes[column.codes]
    rows = np.repeat(np.arange(len(column)), times)
    places = np.arange(len(rows)) + np.repeat(begins - (np.cumsum(times) - times), times)
    answered = np.array([label is not None for _, label in parts], dtype=np.bool_)[places]
    _count_empty(table, int((~answered).sum()))
    rows, places = rows[answered], places[answered]
    names = Coded.of([annotator for annotator, _ in parts])
    known = [name for place in factorized(names.codes[places])[1] if (name := str(names.values[place]))]
    index = {name: number for number, name in enumerate(known)}
    who = np.array([index.get(str(name), -1) for name in names.values], dtype=np.int64)[names.codes[places]]
    return Answers.of(rows, places, [str(label) for _, label in parts], who, known)


def _count_empty(table: Table, times: int) -> None:
    if times:
        table.trace.count_missing(EMPTY, times)


def _parts(cell: object) -> list[tuple[str, object]]:
    """The parts of a cell, each with its annotator; "" where it does not say."""
    if isinstance(cell, dict):
        return [(str(annotator), part) for annotator, part in cell.items()]
    return [("", part) for part in (cell if isinstance(cell, list) else [cell])]


def column_answers(
    table: Table, columns: Sequence[str], whole: Collection[str] | None = None, *, sets: bool = False
) -> Answers:
    """Read columns in each of which a cell holds one annotator's label; empty cells are counted in the table's trace.

    Args:
        table: The file; a cell with several labels becomes a problem.
        columns: One column per annotator, who is named by it.
        whole: Names of classes; None where not given.
        sets: Whether a cell may hold several labels.

    Returns:
        The labels, item by item.
    """
    cells = [single_labels(table, column, whole, sets=sets) for column in columns]
    index: dict[str, int] = {}
    codes = np.empty((len(table.line_numbers), len(columns)), dtype=np.int32)
    for j, column in enumerate(cells):
        places = [-1 if label is None else index.setdefault(str(label), len(index)) for label in column.values]
        codes[:, j] = np.array(places, dtype=np.int32)[column.codes]
    answered = codes >= 0
    times = answered.sum(axis=1)
    _count_empty(table, codes.size - int(times.sum()))
    annotators = Later(lambda: np.nonzero(answered)[1])
    return Answers.of(np.repeat(np.arange(len(codes)), times), codes[answered], [*index], annotators.unmade, columns)


def single_labels(table: Table, column: str, whole: Collection[str] | None, *, sets: bool = False) -> Coded:
    """Read a column in which a cell holds one label.

    Args:
        table: The file; a cell with several labels becomes a problem.
        column: The column.
        whole: Names of classes; None where not given.
        sets: Whether a cell may hold several labels.

    Returns:
        The labels; None where a cell is empty or there is a problem.
    """
    given = Coded.of(table.columns[column])
    labels = Coded.of(
        [as_label(cell) for cell in _attempted(table, given, column, partial(single, whole=whole, sets=sets))]
    )
    return Coded(labels.codes[given.codes], labels.values)


def answered(
    table: Table, answers: Answers, *, missing: Sequence[str] | None, label_names: Sequence[str] | None
) -> Answers:
    """Return the answers that name a class, with one spelling per number; arguments as of `without_missing`."""
    return unified(table, without_missing(table, answers, missing=missing, label_names=label_names), label_names)


def without_missing(
    table: Table, answers: Answers, *, missing: Sequence[str] | None, label_names: Sequence[str] | None
) -> Answers:
    """Return the answers that name a class.

    Args:
        table: The file, whose trace counts the others.
        answers: All that cells hold.
        missing: What stands for no answer, beside :data:`NOTHING`.
        label_names: Classes, which are answers whatever they look like.

    Returns:
        The answers.
    """
    found, names = set(answers.labels), set(label_names or ())
    usual = NOTHING if _PLUS in found | names else NOTHING | {_DASH}
    given = {canonical(label) or label for label in missing or ()}
    nothing = {
        label for label in found - names if label in usual or label in given or (canonical(label) or label) in given
    }
    if not nothing:
        return answers
    for label, times in answers.times().items():
        if label in nothing:
            table.trace.count_missing(label, times)
    return answers.kept(~answers.where(nothing))


def unified(table: Table, answers: Answers, label_names: Sequence[str] | None) -> Answers:
    """Return the answers with one spelling per number: 1, 1.0 and 01 are one class.

    Args:
        table: The file; a note says which spellings were taken for one.
        answers: The answers.
        label_names: Classes; a number that is one of them is spelled as there.

    Returns:
        The answers.
    """
    answers = _with_points(table, answers)
    spellings: dict[str, list[str]] = {}
    for label in answers.labels:
        if (number := canonical(label)) is not None:
            spellings.setdefault(number, []).append(label)
    by_number = {number: name for name in label_names or () if (number := canonical(name)) is not None}
    names = {number: by_number.get(number) or _name(number, found) for number, found in spellings.items()}
    several = {number: found for number, found in spellings.items() if len(found) > 1}
    if several:
        told = "; ".join(f"{listed(found)} is {names[number]}" for number, found in several.items())
        table.add_note(f"Numbers that are spelled in several ways are one class each: {told}.")
    return answers.renamed({label: names[number] for number, found in spellings.items() for label in found})


_WHOLE = re.compile(r"[+-]?[0-9]+")
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]{1,2}")


def _with_points(table: Table, answers: Answers) -> Answers:
    """Return the answers with decimal points, where all of them are numbers, some with a decimal comma: "1,0" is 1."""
    found = set(answers.labels)
    decimals = {label for label in found if _COMMA.fullmatch(label)}
    # "1,3" beside 1 and 3 is two choices.
    joined = any(set(label.split(",")) <= found for label in decimals)
    if not decimals or joined or not all(label in decimals or _WHOLE.fullmatch(label) for label in found):
        return answers
    table.add_note(f"Labels such as {min(decimals)} were read as numbers with a decimal comma.")
    return answers.renamed({label: label.replace(",", ".") for label in found})


def _name(number: str, spellings: Sequence[str]) -> str:
    """Codes such as 01 keep their zeros where nothing contradicts them; 1.0 is how pandas writes 1."""
    [first, *others] = spellings
    return first if not others and first.isdigit() else number


def check_sets(table: Table, answers: Answers, column: str) -> None:
    """Note a problem where lists look like sets of labels of an item, and not like votes: no label is in one twice.

    Args:
        table: The file.
        answers: The answers.
        column: Where they stand.
    """
    twice = n_unlike(answers.items * len(answers.labels) + answers.codes) < len(answers)
    several = 0 if twice else int((np.bincount(answers.items) > 1).sum())
    if several:
        note_sets(table, several, f"labels in {column}", format="labels")


def note_sets(table: Table, several: int, what: str, *, format: str, sure: bool = True) -> None:
    """Say that what was read looks like label sets: a problem, or a note where there is too little to tell it by.

    Args:
        table: The file.
        several: How many items have two labels or more, none of them twice.
        what: What looks like sets, for the sentence.
        format: The format that reads them as votes where it is named.
        sure: Whether several such items are enough to tell.
    """
    where = f"{counted(several, 'item')} with several {what}"
    if several < _FEWEST_SETS or not sure:
        table.add_note(f"No label occurs twice in the {where}: are these votes, or sets of labels?")
        return
    table.add_problem(
        0,
        f"no label occurs twice in any of the {where}: these look like sets of labels, not like annotators' votes, "
        f"and a set has no disagreement to measure. If each is one annotator's vote, name the format {format}",
    )


def left_out(table: Table, ids: Sequence[str], answers: Answers) -> NDArray[np.int64]:
    """Return the rows of items that have an answer, and say which items have none.

    Args:
        table: The file; a problem where no item has one.
        ids: The id of each item.
        answers: The answers.

    Returns:
        Row numbers, in order.
    """
    answered = np.bincount(answers.items, minlength=len(ids)) > 0
    without = [ids[row] for row in np.flatnonzero(~answered).tolist()]
    if len(without) == len(ids) and not table.problems:
        table.add_problem(0, "no item has a label")
    elif without:
        have = "has no label and was" if len(without) == 1 else "have no label and were"
        table.trace.left_out.append(
            f"{len(without):,} of {counted(len(ids), 'item')} {have} left out: {listed(without)}"
        )
    return np.flatnonzero(answered)
