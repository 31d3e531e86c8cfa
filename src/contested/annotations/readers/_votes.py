"""Votes as they stand in a file: which are answers, and which numbers are the same class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

from contested.annotations.readers._cells import NOTHING, as_label, canonical, separator_of, shown, split_labels
from contested.annotations.readers._printed import as_structure
from contested.annotations.receipt import EMPTY
from contested.rows import Table
from contested.wording import counted, listed

# A dash is no answer, except where a plus says that it is a sign.
_DASH, _PLUS = "-", "+"

_FEWEST_SETS = 2


class Answer(NamedTuple):
    """One annotator's label of one item.

    Attributes:
        line_number: Its line in the file.
        item: The row of the item, from 0.
        label: The class, as the file names it.
        annotator: Who gave it, as the file names them; empty where it does not say.
    """

    line_number: int
    item: int
    label: str
    annotator: str = ""


def listed_answers(table: Table, column: str, whole: Sequence[str] | None) -> list[Answer]:
    """Read a column in which each cell holds all labels of an item.

    Args:
        table: The file; cells that cannot be read become problems.
        column: Lists, objects from annotator to label, either of them as printed text, or labels with separators.
        whole: Names of classes, which are not split even where they hold a separator; None where not given.

    Returns:
        The labels; parts that hold none are counted in the table's trace.
    """
    found: list[Answer] = []
    cells = [_structure(table, i, column, value) for i, value in enumerate(table.columns[column])]
    separator = separator_of(cell for cell in cells if isinstance(cell, str) and cell not in (whole or ()))
    for i, (line_number, cell) in enumerate(zip(table.line_numbers, cells, strict=True)):
        annotators = list(cell) if isinstance(cell, dict) else repeat("")
        for part, annotator in zip(_parts(cell, separator, whole or ()), annotators, strict=False):
            if isinstance(part, list | dict):
                table.add_problem(line_number, f"{column} is {shown(table.columns[column][i])}; {_EXPECTED}")
                break
            found += _answer(table, Answer(line_number, i, "", annotator), part)
    return found


_EXPECTED = (
    "expected one label per annotator; annotators who gave several labels each have no distribution over classes"
)


def _structure(table: Table, row: int, column: str, value: object) -> object:
    try:
        return as_structure(value)
    except ValueError as error:
        table.add_problem(table.line_numbers[row], f"{column} is {error}")
        return None


def _parts(cell: object, separator: str, whole: Iterable[str]) -> list[object]:
    if isinstance(cell, dict):
        return list(cell.values())
    if isinstance(cell, list):
        return cell
    if isinstance(cell, str) and cell.strip() not in whole:
        return [*split_labels(cell, separator)]
    return [cell]


def _answer(table: Table, unlabelled: Answer, value: object) -> list[Answer]:
    label = as_label(value)
    if label is None:
        table.trace.count_missing(EMPTY)
        return []
    return [unlabelled._replace(label=label)]


def single(value: object, whole: Collection[str] | None = None) -> object:
    """Return what a cell for one annotator's label holds: of a list of one label, in JSON or as printed, that label.

    Args:
        value: A cell.
        whole: Names of classes, which are labels even where they look like lists; None where not given.

    Returns:
        A single value; None of an empty list.

    Raises:
        ValueError: If it is an object, or a list of several labels or of one that is cut off; the message completes
            "<name> is …".
    """
    found = _listed(value) if isinstance(value, str) and value.strip() not in (whole or ()) else value
    if not isinstance(found, list | dict):
        return found
    parts = [*found]
    if len(parts) > 1 or (isinstance(found, dict) and parts) or any(isinstance(part, list | dict) for part in parts):
        raise ValueError(f"{shown(value)}; {_EXPECTED}")
    return parts[0] if parts else None


def _listed(text: str) -> object:
    """The list or object that a text is; a label may begin with a bracket, too: ``[deleted]``, ``[0, 1)``."""
    if not _LISTED.match(text):
        return text
    try:
        found = as_structure(text)
    except ValueError:
        if _QUOTED.match(text):
            raise
        return text
    return found if not isinstance(found, list) or len(found) > 1 or not found or _is_printed(text, found[0]) else text


def _is_printed(text: str, part: object) -> bool:
    return not isinstance(part, str) or bool(_QUOTED.match(text)) or part in NOTHING


_LISTED = re.compile(r"\s*[\[{]")
_QUOTED = re.compile(r"""\s*[\[{]\s*['"]""")


def column_answers(table: Table, columns: Sequence[str], whole: Collection[str] | None = None) -> list[Answer]:
    """Read columns in each of which a cell holds one annotator's label; empty cells are counted in the table's trace.

    Args:
        table: The file; a cell with several labels becomes a problem.
        columns: One column per annotator.
        whole: Names of classes; None where not given.

    Returns:
        The labels, item by item.
    """
    cells = [single_labels(table, column, whole) for column in columns]
    return [
        answer
        for i, line_number in enumerate(table.line_numbers)
        for column, values in zip(columns, cells, strict=True)
        for answer in _answer(table, Answer(line_number, i, "", column), values[i])
    ]


def single_labels(table: Table, column: str, whole: Collection[str] | None) -> list[object]:
    """Read a column in which a cell holds one label.

    Args:
        table: The file; a cell with several labels becomes a problem.
        column: The column.
        whole: Names of classes; None where not given.

    Returns:
        Single values; None where there is a problem.
    """
    found: list[object] = []
    for line_number, value in zip(table.line_numbers, table.columns[column], strict=True):
        try:
            found.append(single(value, whole))
        except ValueError as error:
            table.add_problem(line_number, f"{column} is {error}")
            found.append(None)
    return found


def without_missing(
    table: Table, answers: Sequence[Answer], *, missing: Sequence[str] | None, label_names: Sequence[str] | None
) -> list[Answer]:
    """Return the answers that name a class.

    Args:
        table: The file, whose trace counts the others.
        answers: All that cells hold.
        missing: What stands for no answer, beside :data:`NOTHING`.
        label_names: Classes, which are answers whatever they look like.

    Returns:
        The answers.
    """
    found = {answer.label for answer in answers}
    names = set(label_names or ())
    usual = NOTHING if _PLUS in found | names else NOTHING | {_DASH}
    given = {canonical(label) or label for label in missing or ()}
    nothing = {
        label for label in found - names if label in usual or label in given or (canonical(label) or label) in given
    }
    if not nothing:
        return list(answers)
    for label, times in Counter(answer.label for answer in answers if answer.label in nothing).items():
        table.trace.count_missing(label, times)
    return [answer for answer in answers if answer.label not in nothing]


def unified(table: Table, answers: Sequence[Answer], label_names: Sequence[str] | None) -> list[Answer]:
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
    for label in dict.fromkeys(answer.label for answer in answers):
        if (number := canonical(label)) is not None:
            spellings.setdefault(number, []).append(label)
    by_number = {number: name for name in label_names or () if (number := canonical(name)) is not None}
    names = {number: by_number.get(number) or _name(number, found) for number, found in spellings.items()}
    several = {number: found for number, found in spellings.items() if len(found) > 1}
    if several:
        told = "; ".join(f"{listed(found)} is {names[number]}" for number, found in several.items())
        table.add_note(f"Numbers that are spelled in several ways are one class each: {told}.")
    renamed = {label: names[number] for number, found in spellings.items() for label in found}
    if all(label == name for label, name in renamed.items()):
        return list(answers)
    return [answer._replace(label=renamed.get(answer.label, answer.label)) for answer in answers]


_WHOLE = re.compile(r"[+-]?[0-9]+")
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]{1,2}")


def _with_points(table: Table, answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers with decimal points, where all of them are numbers, some with a decimal comma: "1,0" is 1."""
    found = {answer.label for answer in answers}
    decimals = {label for label in found if _COMMA.fullmatch(label)}
    # "1,3" beside 1 and 3 is two choices.
    joined = any(set(label.split(",")) <= found for label in decimals)
    if not decimals or joined or not all(label in decimals or _WHOLE.fullmatch(label) for label in found):
        return list(answers)
    table.add_note(f"Labels such as {min(decimals)} were read as numbers with a decimal comma.")
    return [answer._replace(label=answer.label.replace(",", ".")) for answer in answers]


def _name(number: str, spellings: Sequence[str]) -> str:
    """Codes such as 01 keep their zeros where nothing contradicts them; 1.0 is how pandas writes 1."""
    [first, *others] = spellings
    return first if not others and first.isdigit() else number


def check_sets(table: Table, answers: Sequence[Answer], column: str) -> None:
    """Note a problem where lists look like sets of labels of an item, and not like votes: no label is in one twice.

    Args:
        table: The file.
        answers: The answers.
        column: Where they stand.
    """
    seen: set[tuple[int, str]] = set()
    for answer in answers:
        if (answer.item, answer.label) in seen:
            return
        seen.add((answer.item, answer.label))
    several = sum(times > 1 for times in Counter(answer.item for answer in answers).values())
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


def left_out(table: Table, ids: Sequence[str], rows: Mapping[int, object] | set[int]) -> list[int]:
    """Return the rows of items that have an answer, and say which items have none.

    Args:
        table: The file; a problem where no item has one.
        ids: The id of each item.
        rows: The items with an answer.

    Returns:
        Row numbers, in order.
    """
    kept = [row for row in range(len(ids)) if row in rows]
    without = [ids[row] for row in range(len(ids)) if row not in rows]
    if not kept and not table.problems:
        table.add_problem(0, "no item has a label")
    elif without:
        have = "has no label and was" if len(without) == 1 else "have no label and were"
        table.trace.left_out.append(
            f"{len(without):,} of {counted(len(ids), 'item')} {have} left out: {listed(without)}"
        )
    return kept
