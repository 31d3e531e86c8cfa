"""What an annotated file was taken for, what else it could be, and which options would read it so."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, permutations
from pathlib import Path
from typing import Any

from contested.annotations.core import Annotations
from contested.annotations.multilabel import READINGS
from contested.annotations.readers import EXPLAIN, FORMATS, Options, asked, opened, read_tables
from contested.annotations.readers._cells import labels_in, n_different
from contested.annotations.readers._format import SAMPLE
from contested.annotations.readers._guess import guesses, is_structured, repeats
from contested.annotations.readers._printed import structure
from contested.errors import ConfigError, ContestedError, DataError
from contested.files import user_path
from contested.rows import TEXT, Coded, Table
from contested.wording import counted, listed

_MOST_TRIED = 40
_MOST_SHOWN = 6
_SHOWN_VALUES = 4
_OF_FILE = ("columns", "part", "encoding")

OPTION_OF = {
    "ids": "id_column",
    "annotators": "worker_column",
    "labels": "labels_column",
    "counts": "count_columns",
    "proportions": "distribution_column",
    "annotators per item": "annotators_column",
}
"""What a receipt says was read, to the option that names another column for it."""


@dataclass(frozen=True)
class Reading:
    """One way to read a file, tried.

    Attributes:
        options: Arguments of `read_annotations` beside the file.
        annotations: What they give.
    """

    options: Mapping[str, Any]
    annotations: Annotations


@dataclass(frozen=True)
class Explanation:
    """How a file is read, and how else it could be.

    Attributes:
        columns: Each column of the file, and what stands in it.
        reading: The reading with the options given; None where it is refused.
        refusal: Why it is refused; None where it is read.
        others: Other readings that succeed and give something else, most likely first.
    """

    columns: Mapping[str, str]
    reading: Reading | None
    refusal: ContestedError | None
    others: tuple[Reading, ...]


class _File:
    """A file that is read again and again; its rows are parsed once for each way to do so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parsed: dict[tuple[object, ...], Table] = {}

    def rows(self, options: Options) -> Table:
        way = tuple(getattr(options, name) for name in _OF_FILE)
        if way not in self._parsed:
            self._parsed[way] = opened(self._path, options)
        return self._parsed[way].fresh()

    def read(self, options: Mapping[str, Any]) -> Annotations:
        wanted = asked(**options)
        return read_tables([self.rows(wanted.options)], wanted)


def explain_annotations(path: str | os.PathLike[str], **options: Any) -> Explanation:
    """Explain how an annotated file is read.

    Args:
        path: The file.
        **options: Arguments of `read_annotations`.

    Returns:
        The reading or its refusal, and other readings, each of which was tried on the whole file.

    Raises:
        ConfigError: If the names of its columns, its part or its encoding cannot be what was given.
        DataError: If the file cannot be opened, or its kind is unknown.
    """
    file = _File(user_path(path))
    table = file.rows(asked(**{name: options[name] for name in _OF_FILE if name in options}).options)
    reading = refusal = None
    try:
        reading = Reading(options, file.read(options))
    except (ConfigError, DataError) as error:
        # It advises what is under way.
        refusal = type(error)(error.message.replace(f" {EXPLAIN}", ""), error.problems)
    seen = [] if reading is None else [reading.annotations]
    others: list[Reading] = []
    named = [] if refusal is None else [*_named_by(refusal, options)]
    for candidate in islice((*named, *_candidates(table, options)), _MOST_TRIED):
        found = _attempt(file, candidate, is_named=candidate in named)
        if found is not None and not any(_is_same(found, before) for before in seen):
            seen.append(found)
            others.append(Reading(candidate, found))
        if len(others) == _MOST_SHOWN:
            break
    columns = {name: _described(values) for name, values in {**table.columns, **table.unnamed}.items()}
    return Explanation(columns, reading, refusal, tuple(others))


def _named_by(refusal: ContestedError, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a refusal itself says to do."""
    told = " ".join((refusal.message, *refusal.problems))
    if "bins=3" in told:
        yield {**options, "bins": 3}
    if "multilabel=mentions" in told:
        for reading in READINGS:
            yield {**options, "multilabel": reading}
    if found := re.search(r"name the format ([a-z-]+)", told):
        yield {**options, "format": found[1]}


def _attempt(file: _File, options: Mapping[str, Any], *, is_named: bool) -> Annotations | None:
    try:
        found = file.read(options)
    except (ConfigError, DataError):
        return None
    # Where few items have two votes, the items were something else.
    return found if is_named or 2 * (found.n_annotators > 1).sum() > found.n_items else None


def _is_same(one: Annotations, other: Annotations) -> bool:
    """Whether two readings give the same counts of the same classes for as many items."""
    if one.label_names != other.label_names or one.label_counts.shape != other.label_counts.shape:
        return False
    return bool((one.label_counts == other.label_counts).all())


def _candidates(table: Table, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Options that may read a table, the likeliest first; what was given stays, where nothing else is tried for it."""
    kept = {name: options[name] for name in (*_OF_FILE, "missing") if name in options}
    reading = {name: value for name, value in options.items() if name not in kept}
    # Coded, so that the labels of a column are made out once for all guesses.
    usable = {n: Coded.of(values) for n, values in table.columns.items() if n != "line" or table.kind != TEXT}
    headless = list(_headless(usable))
    for named in headless or (*_more_ids(usable, reading), *guesses(usable)):
        yield {**kept, **named}
        if reading:
            yield {**kept, **reading, **named}
    for known in FORMATS:
        yield {**kept, **reading, "format": known.name}


def _more_ids(columns: Mapping[str, Sequence[object]], given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Columns that make an id together with the one that was given for it."""
    item = given.get("id_column")
    if isinstance(item, str) and item in columns:
        for name, values in columns.items():
            if name != item and repeats(values) and not is_structured(values):
                yield {**given, "id_column": f"{name}+{item}"}


def _headless(columns: Mapping[str, Sequence[object]]) -> Iterator[dict[str, Any]]:
    """Names for three columns whose header is a row like the others: which is which is for the reader to say."""
    if len(columns) == 3 and any(name in labels_in(values).values for name, values in columns.items()):
        different = [n_different(values) for values in columns.values()]
        orders = sorted(permutations(("item", "worker", "label")), key=lambda names: different[names.index("label")])
        for names in orders:
            yield {"columns": list(names)}


def _described(values: Sequence[object]) -> str:
    """What stands in a column, in a few words."""
    if is_structured(values):
        lists = sum(isinstance(structure(value), list) for value in values[:SAMPLE])
        return "lists" if lists else "objects"
    found = labels_in(values)
    names = [name for name in found.values if name is not None]
    empty = int(found.missing.sum())
    missing = f", {counted(empty, 'empty cell')}" if empty else ""
    if len(names) == len(values) > 1:
        return f"a different value in each row, such as {names[0][:40]}"
    shown = listed(name[:40] for name in names[:_SHOWN_VALUES]) + (", …" if len(names) > _SHOWN_VALUES else "")
    return f"{counted(len(names), 'different value')}: {shown}{missing}"
