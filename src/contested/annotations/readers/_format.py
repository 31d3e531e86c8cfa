"""What a format is, and the parts that formats share: columns, ids and fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from contested.annotations.core import Annotations
from contested.annotations.later import Later
from contested.annotations.readers._cells import (
    as_label,
    as_text,
    labels_in,
    n_different,
    rounded_id,
    rounded_in,
    shown,
)
from contested.annotations.readers._labels import OTHER_NAMES, OTHER_SCALE
from contested.errors import ConfigError
from contested.rows import FILE, TEXT, Coded, Table
from contested.rows.coded import first_places
from contested.rows.header import UNNAMED
from contested.wording import did_you_mean, listed

if TYPE_CHECKING:
    import pandas as pd

ID_ALIASES = (
    *("uid", "id", "example_id", "item_id", "guid", "pairID", "text_id", "sentence_id", "post_id", "comment_id"),
    *("tweet_id", "doc_id", "document_id", "question_id", "instance_id", "sample_id", "pair_id", "hit_id", "unit_id"),
)

WORKER_ALIASES = (
    *(
        "worker",
        "annotator",
        "annotator_id",
        "worker_id",
        "rater",
        "rater_id",
        "coder",
        "coder_id",
        "judge",
        "judge_id",
    ),
    *("user", "user_id", "participant", "participant_id", "respondent_id", "expert_id", "labeler_id", "annotator_name"),
)

PERSON_WORDS = "annot|worker|rater|coder|judge|user|expert"
"""What names of annotators, or of their columns, often hold: a pattern."""

SAMPLE = 200
"""How many values of a column are looked at to tell what it holds."""

# Left out of the fields: the unit of a file's own entropy is unknown (bits in ChaosNLI).
_NEVER_FIELDS = frozenset({"entropy"})

_ROLES = {
    "id_column": "ids",
    "count_columns": "counts",
    "labels_column": "labels",
    "distribution_column": "proportions",
    "annotators_column": "annotators per item",
    "worker_column": "annotators",
}
ROW_NUMBER = "row number"
"""What stands for the column of the ids where there is none."""

_NOT_WORDS = re.compile(r"[\W_]+")
_SHOWN_ALIASES = 6
_FEW_REPEATS = 3

_ADVICE = "Fix the file, or name {}; nothing was loaded."
_OF_NAMES = "Give other {}, or fix the file; nothing was loaded."


@dataclass(frozen=True)
class Options:
    """The options of `read_annotations`; None where not given."""

    label_names: tuple[str, ...] | None = None
    id_column: str | None = None
    text_columns: tuple[str, ...] | None = None
    count_columns: tuple[str, ...] | None = None
    labels_column: tuple[str, ...] | None = None
    distribution_column: tuple[str, ...] | None = None
    annotators_column: str | None = None
    n_annotators: int | None = None
    worker_column: str | None = None
    missing: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    part: str | None = None
    encoding: str | None = None
    anonymous: bool | None = None
    scale: tuple[str, ...] | None = None
    by: str | None = None
    multilabel: str | None = None
    bins: tuple[float, ...] | None = None
    by_name: bool = False
    """Whether the format was named, so that what looks unlike it is not refused; no option of its own."""

    def given(self) -> frozenset[str]:
        """Return the names of the options that were given and that a format uses or does not."""
        return frozenset(self.written()) - {"columns", "part", "encoding", "anonymous", "scale", "by"}

    def written(self) -> dict[str, Any]:
        """Return the options that were given as a configuration writes them."""
        values = ((option.name, getattr(self, option.name)) for option in fields(self) if option.name != "by_name")
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values if value is not None}


@dataclass(frozen=True)
class Format:
    """One layout of annotated files.

    Attributes:
        name: The name that ``format`` takes.
        summary: One human-readable line: what the file looks like.
        options: The options of `read_annotations` that this format uses.
        claims: Those that no other format uses: giving one chooses this format.
        matches: Whether a file looks like this format.
        read: Reads a file of this format.
        is_layout: Whether a match cannot be mistaken, so that it goes before a format that claims an option.
    """

    name: str
    summary: str
    options: frozenset[str]
    claims: frozenset[str]
    matches: Callable[[Table, Options], bool]
    read: Callable[[Table, Options], Annotations]
    is_layout: bool = False


def as_names(given: str | Sequence[str] | None, option: str) -> tuple[str, ...] | None:
    """Return an option of one or more names as a tuple.

    Args:
        given: One name, several, or None.
        option: The option's name, for the message.

    Returns:
        The names, or None.

    Raises:
        ConfigError: If names are absent, repeated, or no text.
    """
    if given is None:
        return None
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{option} must be one or more names; given: {given!r}.")
    if len(set(names)) < len(names):
        raise ConfigError(f"{option} has duplicated names: {listed(names)}.")
    return names


def find_column(table: Table, named: str | None, aliases: Sequence[str], option: str) -> str:
    """Return the column to use: the one named, else the first usual name that the file has, in whatever case.

    Args:
        table: The file.
        named: The column that the user named, if any.
        aliases: The usual names.
        option: The option with which to name it.

    Returns:
        The column, or ``""`` where there is none: a problem was added to the table.
    """
    if named is not None:
        if _is_repeated(table, (named,), option):
            return ""
        if named not in table.columns:
            near = did_you_mean(named, table.columns)
            table.add_problem(0, f"there is no column '{named}' ({option}){near}; {_columns(table)}")
            return ""
    found = named or alias_column(table, aliases)
    if found is None and _is_repeated(table, aliases, option):
        return ""
    if found is None:
        usual = " or ".join(aliases[:_SHOWN_ALIASES])
        table.add_problem(0, f"no column {usual}; name one with {option}; {_columns(table)}")
        return ""
    if option in _ROLES:
        table.trace.read_from(_ROLES[option], found)
    return found


def _is_repeated(table: Table, names: Sequence[str], option: str) -> bool:
    repeated = [name for name in names if name in table.repeated]
    for name in repeated[:1]:
        table.add_problem(0, f"the header has the column {name} ({option}) twice, with different values; rename one")
    return bool(repeated)


def alias_column(table: Table, aliases: Sequence[str]) -> str | None:
    """Return the column with the first of some usual names, in whatever case and with whatever stands between words.

    Args:
        table: The file.
        aliases: The usual names, such as ``annotator_id``, for which ``AnnotatorID`` and ``annotator id`` do as well.

    Returns:
        The column, or None.
    """
    return next(iter(alias_columns(table, aliases)), None)


def alias_key(names: Collection[str], aliases: Sequence[str]) -> str | None:
    """Return the first of some names that is usual, as :func:`alias_column` finds columns."""
    return next(iter(_alike(names, aliases)), None)


def alias_columns(table: Table, aliases: Sequence[str]) -> list[str]:
    """Return all columns with usual names, in the order of the names; one that is exactly so before others."""
    return _alike(table.columns, aliases)


def _alike(names: Collection[str], aliases: Sequence[str]) -> list[str]:
    by_name: dict[str, list[str]] = {}
    for column in names:
        by_name.setdefault(_NOT_WORDS.sub("", column).casefold(), []).append(column)
    near = [by_name.get(_NOT_WORDS.sub("", alias).casefold(), []) for alias in aliases]
    exact = [[alias] if alias in names else [] for alias in aliases]
    return list(dict.fromkeys(column for found in zip(exact, near, strict=True) for part in found for column in part))


def find_ids(table: Table, named: str | None) -> str:
    """Return the column of the ids; where none is named or usual, one that the header does not name, or row numbers.

    Args:
        table: The file; row numbers become a column of it.
        named: The column that the user named, if any.

    Returns:
        The column, or ``""`` where there is none: a problem was added to the table.
    """
    if named is not None:
        unnamed = next(iter(table.unnamed), "") if named in ("", UNNAMED.format(0)) else named
        if unnamed in table.unnamed:
            table.columns[unnamed] = table.unnamed.pop(unnamed)
        return find_column(table, unnamed or named, (), "id_column")
    if _is_repeated(table, ID_ALIASES, "id_column"):
        return ""
    usual = alias_columns(table, ID_ALIASES)
    whole = [column for column in usual if _identifies(table.columns[column])]
    if usual:
        table.trace.read_from("ids", (whole or usual)[0])
        return (whole or usual)[0]
    return _ids_of_rows(table)


def _ids_of_rows(table: Table) -> str:
    for name, values in table.unnamed.items():
        if _identifies(values):
            table.columns[name] = table.unnamed.pop(name)
            table.trace.read_from("ids", f"{name} (the header has no name for it)")
            return name
    table.columns[ROW_NUMBER] = [str(number) for number in range(1, len(table.line_numbers) + 1)]
    table.trace.read_from("ids", ROW_NUMBER)
    table.add_note(
        "No column is called as ids are: items are numbered by their rows, from 1. Name the column of the ids with "
        "id_column if there is one; another order of the rows gives other ids."
    )
    return ROW_NUMBER


def _identifies(values: Sequence[object]) -> bool:
    names = labels_in(values)
    return names.n_values == len(names) and not names.missing.any()


def _columns(table: Table) -> str:
    return f"columns: {listed(name for name in table.columns if name != ROW_NUMBER)}"


def read_ids(table: Table, column: str) -> Sequence[str]:
    """Return the ids of a column, one per row; missing and duplicated ones become problems."""
    given = Coded.of(table.columns[column])
    if _identifies(given) and not rounded_in(given).any():
        return cast(Sequence[str], labels_in(given))
    if told := _several_rows(table, column):
        table.add_problem(0, told)
        return [str(name or "") for name in labels_in(given)]
    ids: list[str] = []
    first_line: dict[str, int] = {}
    for line_number, value in zip(table.line_numbers, table.columns[column], strict=True):
        name = as_label(value)
        if told := rounded_id(value):
            table.add_problem(line_number, f"{column} is {told}")
        elif name is None:
            table.add_problem(line_number, f"{column} is {shown(value)}; expected an id, text or a whole number")
        elif name in first_line:
            table.add_problem(line_number, _id_again(table, column, name, (first_line[name], line_number)))
        else:
            first_line[name] = line_number
        ids.append(name or "")
    return ids


def _id_again(table: Table, column: str, name: str, lines: tuple[int, int]) -> str:
    if table.in_one_file(*lines):
        return f"{column} '{name}' is already on {table.at(lines[0])}; ids must be unique"
    return (
        f"an item of another file has the same {column}; ids must be unique. If every file numbers its own items, give "
        f"id_column={FILE}+{column}"
    )


def _several_rows(table: Table, column: str) -> str:
    """Say in one sentence that ids repeat on many rows of one file; nothing where a few do, which are named each."""
    ids = labels_in(table.columns[column])
    first = first_places(ids.codes.astype(np.int64))
    again = first != np.arange(len(ids))
    if table.files or again.sum() <= _FEW_REPEATS:
        return ""
    second = int(again.argmax())
    places = [table.at(table.line_numbers[row]) for row in (int(first[second]), second)]
    told = f"{column} is the same on several rows, first on {places[0]} and {places[1]} ({shown(ids[second])})"
    coded = {name: labels_in(values) for name, values in table.columns.items() if name not in (column, ROW_NUMBER)}
    alone = [name for name in alias_columns(table, ID_ALIASES) if name in coded and _identifies(table.columns[name])]
    if alone:
        return f"{told}; ids must be unique, as in id_column={alone[0]}"
    repeating = (name for name, values in coded.items() if 1 < values.n_values < len(ids) and not values.missing.any())
    pair = next((name for name in repeating if n_different(ids, coded[name]) == len(ids)), "")
    together = f"id_column={pair}+{column}" if pair else f"id_column=…+{column}"
    return f"{told}; ids must be unique, and several columns may identify a row together: {together}"


def fields_later(table: Table, used: Collection[str], text_columns: Sequence[str] | None) -> Later[pd.DataFrame]:
    """Return what `read_fields` does, made later where nothing can be wrong with it; arguments as there."""
    if text_columns:
        found = read_fields(table, used, text_columns)
        return Later(lambda: found)
    rows = table.fresh()
    return Later(lambda: read_fields(rows, used, None))


def read_fields(table: Table, used: Collection[str], text_columns: Sequence[str] | None) -> pd.DataFrame:
    """Return the columns that hold no annotations: required text first, then every other single value.

    Args:
        table: The file; text that is missing becomes a problem.
        used: Columns read as ids or annotations.
        text_columns: Columns that must hold text on every row.

    Returns:
        N rows. Objects become one column per key (``example.premise``); lists are left out.
    """
    import pandas as pd

    plain = _flattened(table, used)
    texts = {name: _text_column(table, name, plain) for name in text_columns or ()}
    others = {
        name: column
        for name, column in plain.items()
        if name not in texts and not any(isinstance(value, list | dict) for value in column)
    }
    return pd.DataFrame({**texts, **others}, index=range(len(table.line_numbers)))


def _flattened(table: Table, used: Collection[str]) -> dict[str, Sequence[object]]:
    plain: dict[str, Sequence[object]] = {}
    for name, column in table.columns.items():
        if name in used or name.casefold() in _NEVER_FIELDS:
            continue
        objects = [value for value in column if isinstance(value, dict)]
        if not objects:
            plain[name] = column
            continue
        for key in dict.fromkeys(key for value in objects for key in value):
            plain[f"{name}.{key}"] = [v.get(key) if isinstance(v, dict) else None for v in column]
    return plain


def _text_column(table: Table, name: str, plain: Mapping[str, Sequence[object]]) -> list[str]:
    if name not in plain:
        near = did_you_mean(name, plain)
        table.add_problem(
            0, f"there is no column '{name}' to read as text (text_columns){near}; columns: {listed(plain)}"
        )
        return [""] * len(table.line_numbers)
    for line_number, value in zip(table.line_numbers, plain[name], strict=True):
        if as_text(value) is None:
            table.add_problem(line_number, f"{name} is {shown(value)}; expected text")
    return [as_text(value) or "" for value in plain[name]]


def refuse(table: Table, format_name: str, text: str) -> NoReturn:
    """Raise a finding on the file as a whole, after those before it, as a failure to read this format."""
    table.add_problem(0, text)
    stop_on_problems(table, format_name)
    raise AssertionError("a problem is raised")


def stop_on_problems(table: Table, format_name: str) -> None:
    """Raise the table's problems, if any, as a failure to read this format."""
    # Lines without a header have no columns that a user could name.
    instead = "another format" if table.kind == TEXT else "other columns or another format"
    wrong = {OTHER_NAMES: "label names", OTHER_SCALE: "classes of the scale"}
    names = next((wrong[of] for of in wrong if any(found.text.startswith(of) for found in table.problems)), "")
    advice = _OF_NAMES.format(names) if names else _ADVICE.format(instead)
    table.raise_problems(f"the format {format_name}", advice)
