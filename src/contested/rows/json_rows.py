"""JSON and JSONL: one object per row, in whatever the file wraps them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contested.errors import DataError
from contested.rows.content import decode
from contested.rows.table import PLAIN, Problem, Request, Rows, shown
from contested.wording import counted, listed, not_json

# Rows that share no keys make a table of mostly nothing, which would fill memory.
_LARGEST_SPARSE = 10_000_000
_LEAST_FILLED = 0.001

_FEWEST_SPARSE = 5  # keys

# The escape of half a pair; whole pairs are found by it too.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

_Entries = list[tuple[int, dict[str, object]]]


class DuplicateKeyError(ValueError):
    """An object has a key twice: a reader would keep the last value and lose the others."""


def strict_json(text: str) -> Any:
    """Parse JSON.

    Args:
        text: The JSON.

    Returns:
        Its value.

    Raises:
        DuplicateKeyError: If an object has a key twice.
        ValueError: If it is no JSON, or a text in it holds half of a surrogate pair, which no file can hold.
    """
    value = json.loads(text)
    # Every key has a colon. Where there are no more of them than keys that were kept, none was lost, and the slower way
    # that sees each pair need not be gone.
    kept = isinstance(value, dict) and text.count(":") == len(value) + sum(
        len(inner) for inner in value.values() if isinstance(inner, dict)
    )
    found = value if kept or ":" not in text else json.loads(text, object_pairs_hook=_object)
    if _SURROGATE.search(text):
        _check_characters(json.dumps(found, ensure_ascii=False))
    return found


def _check_characters(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise ValueError(f"a text in it holds {half}, half of a character (a lone surrogate)") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
        raise DuplicateKeyError(f"duplicated keys in one object: {listed(repeated)}; one value each is expected")
    return found


def parse_jsonl(path: Path, content: bytes, request: Request = PLAIN) -> Rows:
    """Read one JSON object per line.

    Args:
        path: The file, for messages.
        content: Its content.
        request: What its reader says of it.

    Returns:
        The rows; of a file that is one JSON value, what that holds.
    """
    text, notes = decode(path, content)
    rows = _from_lines(text, notes)
    if (rows.problems and not rows.line_numbers) or _is_one_value(text):
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):
            return rows
        if isinstance(whole, dict | list):
            notes = [*notes, "The file is one JSON value, not one object per line."]
            return _parse_value(path, text, notes, request.part)
    return rows


def _is_one_value(text: str) -> bool:
    return text.lstrip().startswith("[")


def _from_lines(text: str, notes: list[str]) -> Rows:
    problems: list[Problem] = []
    entries: _Entries = []
    for line_number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = strict_json(line)
        except DuplicateKeyError as error:
            problems.append(Problem(line_number, f"has {error}"))
        except (ValueError, RecursionError) as error:
            problems.append(Problem(line_number, f"is {not_json(error)}"))
        else:
            _keep_object(value, line_number, entries, problems)
    return _from_entries(entries, problems, notes)


def _keep_object(value: object, line_number: int, entries: _Entries, problems: list[Problem]) -> None:
    if isinstance(value, dict):
        entries.append((line_number, value))
    else:
        problems.append(Problem(line_number, f"holds {shown(value)}; expected a JSON object {{…}}"))


def parse_json(path: Path, content: bytes, request: Request = PLAIN) -> Rows:
    """Read a JSON value that holds the rows: a list of objects, objects keyed by id, or either under one key.

    Args:
        path: The file, for messages.
        content: Its content.
        request: What its reader says of it.

    Returns:
        The rows; of a file that has one object per line, those.

    Raises:
        DataError: If it is no JSON, or holds no rows.
    """
    text, notes = decode(path, content)
    try:
        return _parse_value(path, text, notes, request.part)
    except DataError:
        if request.part is not None:
            raise
        rows = _from_lines(text, [*notes, "The file holds one JSON object per line."])
        if len(rows.line_numbers) < 2:
            raise
        return rows._replace(unit="line")


def _parse_value(path: Path, text: str, notes: list[str], part: str | None) -> Rows:
    try:
        value = strict_json(text)
    except DuplicateKeyError as error:
        raise DataError(f"{path} has {error}. Remove or rename one, so that nothing is lost.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is {not_json(error)}. Fix the file, or save it as JSONL.") from error
    rows = _rows_of(path, value if part is None else _part_of(path, value, part), notes)
    problems: list[Problem] = []
    entries: _Entries = []
    for line_number, entry in enumerate(rows, start=1):
        _keep_object(entry, line_number, entries, problems)
    return _from_entries(entries, problems, notes)._replace(unit="entry")


def _part_of(path: Path, value: object, part: str) -> object:
    """What stands under a key, or under keys with dots between them."""
    if isinstance(value, dict) and part in value:
        return value[part]
    first, _, rest = part.partition(".")
    if not isinstance(value, dict) or not rest or first not in value:
        known = listed(value) if isinstance(value, dict) else "none"
        raise DataError(f"{path} has no key '{first}' (part); the keys are: {known}.")
    return _part_of(path, value[first], rest)


def _rows_of(path: Path, value: object, notes: list[str]) -> Sequence[object]:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise DataError(f"{path} must hold a list of objects, or objects keyed by id; given: {shown(value)}.")
    if value and all(isinstance(entry, dict) for entry in value.values()):
        return _rows_of_objects(value, notes)
    wrapped = {key: inner for key, inner in value.items() if _is_rows(inner)}
    if len(wrapped) == 1:
        [(key, inner)] = wrapped.items()
        notes.append(f"The rows are those under the key '{key}'.")
        return list(inner)
    if wrapped:
        raise DataError(f"{path} holds several lists of objects, under the keys {listed(wrapped)}; name one with part.")
    raise DataError(
        f"{path} must hold a list of objects, or objects keyed by id; given: an object with the keys {listed(value)}."
    )


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _rows_of_objects(value: dict[str, dict[str, object]], notes: list[str]) -> list[object]:
    """Rows of objects keyed by id; or of columns keyed by name, as pandas writes a table."""
    first = next(iter(value.values()))
    positions = [str(row) for row in range(len(first))]
    if first and list(first) == positions and all(list(column) == positions for column in value.values()):
        notes.append("The file holds columns by row number, as pandas' to_json writes them.")
        return [{name: column[row] for name, column in value.items()} for row in positions]
    if _are_answers(value):
        notes.append("The file holds annotators' answers by item: a label under each annotator's name.")
        return [{"id": key, "annotations": entry} for key, entry in value.items()]
    return [{"id": key, **entry} for key, entry in value.items()]


def _are_answers(value: dict[str, dict[str, object]]) -> bool:
    """Whether the inner keys name annotators, and no columns: all are numbers, or most items lack most of them."""
    answers = [answer for entry in value.values() for answer in entry.values()]
    if not answers or any(isinstance(answer, dict) for answer in answers):
        return False
    keys = {key for entry in value.values() for key in entry}
    if all(key.isdecimal() for key in keys):
        return True
    few = len({str(answer) for answer in answers}) * 2 <= len(answers)
    return few and len(keys) > _FEWEST_SPARSE and len(answers) * 2 < len(keys) * len(value)


def _from_entries(entries: _Entries, problems: list[Problem], notes: list[str]) -> Rows:
    names = dict.fromkeys(name for _, entry in entries for name in entry)
    cells, filled = len(names) * len(entries), sum(len(entry) for _, entry in entries)
    if cells > _LARGEST_SPARSE and filled < _LEAST_FILLED * cells:
        problem = Problem(
            0,
            f"{counted(len(entries), 'object')} have {len(names):,} different keys; expected rows that share keys",
        )
        return Rows({}, [], [problem], notes)
    columns = {name: [entry.get(name) for _, entry in entries] for name in names}
    return Rows(columns, [line_number for line_number, _ in entries], problems, notes)
