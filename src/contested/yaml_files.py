"""The one way in for YAML: plain values with no surprises, bounded in size, every problem with its line and column.

What a configuration holds are texts, numbers, lists and keys. YAML 1.1 has more than that, and reads some of it in ways
that nobody expects; here dates and times of day stay texts, ``010`` is ten, and a key that is given twice is a problem.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from contested.errors import ConfigError
from contested.files import user_path
from contested.text_files import bad_character, decode, read_bytes
from contested.wording import shown

MAX_BYTES = 4 << 20
"""The longest YAML file that is read: a study of ten thousand seeds, written out, has a tenth of it."""

MAX_VALUES = 200_000
"""The most values, keys included, that a file may stand for once its aliases are followed."""

MAX_DEPTH = 64
"""The deepest nesting of lists and keys."""

MAX_INTEGER = 1 << 64

_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_TRUE, _FALSE = ("yes", "true", "on"), ("no", "false", "off")
# The events of libyaml, where PyYAML has it, are the same ten times as fast. Only events are taken from either: what
# libyaml's own composer does with deep nesting is to overrun the stack.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: str | os.PathLike[str], what: str = "the YAML file") -> Any:
    """Read a YAML file.

    Args:
        path: The file, UTF-8 (or UTF-16 with its byte order mark).
        what: What it is, for messages.

    Returns:
        None, truth values, numbers, texts, lists, and mappings whose keys are texts. No two parts share an object.

    Raises:
        ConfigError: If it cannot be opened, is too large or is not YAML of that kind; with every problem's line and
            column.
    """
    file = user_path(path)
    content = read_bytes(file, what, limit=MAX_BYTES, advice="Give a YAML file.", error=ConfigError)
    return parse_yaml(decode(content, str(file), error=ConfigError), f"{file} is not valid YAML")


def parse_yaml(text: str, failure: str) -> Any:
    r"""Read a YAML text.

    Args:
        text: One document.
        failure: What has failed where it cannot be read, such as ``study.yaml is not valid YAML``.

    Returns:
        As :func:`read_yaml`; None for a text without content.

    Raises:
        ConfigError: As :func:`read_yaml`.

    Examples:
        >>> parse_yaml("seed: 42\nmodel: {name: 2024-06-01}", "run.yaml is not valid YAML")
        {'seed': 42, 'model': {'name': '2024-06-01'}}
    """
    try:
        reader = _Reader(text)
        value = reader.document()
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{failure}: {_unreadable(error, text)}") from None
    except UnicodeEncodeError as error:
        raise ConfigError(f"{failure}: {_character_at(text, error.start)}") from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{failure}: {_syntax(error, text)}") from None
    except _UnboundedError as error:
        raise ConfigError(f"{failure}: {error}") from None
    if len(reader.problems) == 1:
        raise ConfigError(f"{failure}: {reader.problems[0]}")
    if reader.problems:
        raise ConfigError(f"{failure}:", reader.problems)
    return value


class _UnboundedError(Exception):
    """A file that would not end: too deep, too many values, or a part of itself."""


class _Built(NamedTuple):
    """A value read, and how many values it holds, itself included."""

    value: Any
    size: int


class _Reader:
    """From the events of a YAML parser to plain values.

    Args:
        text: The text.

    Attributes:
        problems: What is wrong with single values, each with its line and column.
    """

    def __init__(self, text: str) -> None:
        self.problems: list[str] = []
        self._events: Any = _Loader(text)
        self._anchors: dict[str, _Built | None] = {}
        self._left = MAX_VALUES

    def document(self) -> Any:
        """The values of the only document; None where there is none."""
        found: list[Any] = []
        while self._events.check_event():
            event = self._events.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                if found:
                    self._problem(event, "begins another document (---); expected one")
                    break
                found.append(self._node(self._events.get_event(), 0).value)
        return found[0] if found else None

    def _node(self, event: Any, depth: int) -> _Built:
        """The value that an event begins."""
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise _UnboundedError(f"lists and keys are nested more than {MAX_DEPTH} deep {_at(event)}")
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # open: it may not hold itself
        before = self._left
        self._spend(1, event)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(event, depth)
        else:
            value = self._mapping(event, depth)
        built = _Built(value, before - self._left)
        if event.anchor is not None:
            self._anchors[event.anchor] = built
        return built

    def _alias(self, event: Any) -> _Built:
        """A copy of what an anchor stands for, so that a change of one place is none of another."""
        if event.anchor not in self._anchors:
            self._problem(event, f"the alias *{event.anchor} names nothing; expected an anchor &{event.anchor} above")
            return _Built(None, 1)
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise _UnboundedError(f"the alias *{event.anchor} stands within what it names {_at(event)}")
        self._spend(anchored.size, event)
        return anchored._replace(value=_copy(anchored.value))

    def _spend(self, values: int, event: Any) -> None:
        self._left -= values
        if self._left < 0:
            raise _UnboundedError(f"it stands for more than {MAX_VALUES:,} values, aliases followed {_at(event)}")

    def _sequence(self, event: Any, depth: int) -> list[Any]:
        self._check_tag(event, "seq")
        values = []
        while not isinstance(inner := self._events.get_event(), yaml.SequenceEndEvent):
            values.append(self._node(inner, depth + 1).value)
        return values

    def _mapping(self, event: Any, depth: int) -> dict[str, Any]:
        self._check_tag(event, "map")
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(key := self._events.get_event(), yaml.MappingEndEvent):
            name = self._key(key, depth + 1)
            inner = self._events.get_event()
            value = self._node(inner, depth + 1).value
            if name in lines:
                self._problem(key, f"the key {shown(name)} is given again, first in line {lines[name]}; keep one")
            lines.setdefault(name, key.start_mark.line + 1)
            if name == _MERGE and self._is_plain(key):
                merged = self._merge(value, inner)
            else:
                own[name] = value
        return {**merged, **own}

    def _merge(self, value: Any, event: Any) -> dict[str, Any]:
        """What ``<<: *anchor`` or ``<<: [*first, *second]`` lays beneath a mapping's own keys."""
        below: dict[str, Any] = {}
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, Mapping):
                self._problem(event, f"<< takes keys and values, such as *anchor, got {shown(part)}")
                continue
            below = {**part, **below}
        return below

    def _key(self, event: Any, depth: int) -> str:
        """The name that a key is: as the values of an axis and its conditions are named, where it is no text."""
        built = self._node(event, depth).value
        if isinstance(built, list | dict):
            self._problem(event, f"a key must be a text, got {shown(built)}")
            return f"?{len(self.problems)}"
        return "none" if built is None else str(built).lower() if isinstance(built, bool) else str(built)

    def _is_plain(self, event: Any) -> bool:
        return isinstance(event, yaml.ScalarEvent) and event.tag is None and bool(event.implicit[0])

    def _check_tag(self, event: Any, kind: str) -> None:
        if event.tag not in (None, "!", _TAG + kind):
            self._problem(event, f"the tag {_tag_name(event.tag)} is not known here; leave it out")

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag in (None, "!"):
            tag = self._events.resolve(yaml.ScalarNode, event.value, event.implicit)
        explicit = event.tag not in (None, "!")
        kind = tag.removeprefix(_TAG)
        if explicit and kind not in {"str", "int", "float", "bool", "null"}:
            self._problem(event, f"the tag {_tag_name(tag)} is not known here; leave it out")
            return None
        if (bad := bad_character(event.value)) is not None:
            self._problem(event, f"the text holds the character {bad}; leave it out")
            return None
        try:
            return _plain(kind, event.value)
        except (ValueError, KeyError):
            self._problem(event, f"{shown(event.value)} is not what the tag {_tag_name(tag)} says")
        except OverflowError as error:
            self._problem(event, str(error))
        return None

    def _problem(self, event: Any, text: str) -> None:
        mark = event.start_mark
        self.problems.append(f"line {mark.line + 1}, column {mark.column + 1}: {text}")


def _plain(kind: str, text: str) -> Any:
    """The value of a scalar: what YAML 1.2 makes of it, but with ``yes`` and ``no`` and ``_`` within numbers."""
    if kind == "null":
        return None
    if kind == "bool":
        return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}[text.lower()]
    if kind in {"int", "float"} and ":" not in text:
        return _integer(text) if kind == "int" else _float(text)
    return text


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    base = {"0x": 16, "0b": 2}.get(digits.lstrip("+-")[:2], 10)
    if len(digits) > 100 or not -MAX_INTEGER < (value := int(digits, base)) < MAX_INTEGER:
        raise OverflowError(f"the whole number {shown(text)} is too large; expected one of at most 19 digits")
    return value


def _float(text: str) -> float:
    value = text.replace("_", "").lower()
    sign = -1.0 if value.startswith("-") else 1.0
    named = {".inf": math.inf, ".nan": math.nan}.get(value.lstrip("+-"))
    if named is None and math.isinf(float(value)):
        raise OverflowError(f"the number {shown(text)} is too large; write .inf for infinity")
    return float(value) if named is None else sign * named


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list) else value


def _tag_name(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag


def _at(event: Any) -> str:
    return f"(line {event.start_mark.line + 1}, column {event.start_mark.column + 1})"


def _syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    """What does not follow YAML's rules, where, and the line itself with a mark below."""
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "cannot be read"
    if mark is None:
        return what
    lines = text.splitlines()
    if mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t":
        what = "a tab, which cannot indent (use blanks),"
    at = f"{what} at line {mark.line + 1}, column {mark.column + 1}"
    if mark.line >= len(lines):
        return f"{at}, where the text ends"
    begin = max(mark.column - 60, 0)
    return f"{at}:\n    {lines[mark.line][begin : begin + 80]}\n    {' ' * (mark.column - begin)}^"


def _unreadable(error: yaml.reader.ReaderError, text: str) -> str:
    """The first character that YAML does not allow; its own position counts bytes, or characters."""
    found = next((place for place, character in enumerate(text) if bad_character(character)), None)
    return str(error.reason) if found is None else _character_at(text, found)


def _character_at(text: str, place: int) -> str:
    line = text.count("\n", 0, place) + 1
    column = place - text.rfind("\n", 0, place)
    return f"it holds the character {bad_character(text[place]) or ascii(text[place])} at line {line}, column {column}"
