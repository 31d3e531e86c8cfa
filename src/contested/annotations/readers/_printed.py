"""Lists and objects in a cell: JSON, or as Python, NumPy, pandas and R print them; nothing is ever run."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from contested.annotations.readers._cells import NOTHING
from contested.rows.json_rows import DuplicateKeyError, strict_json
from contested.wording import listed

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>[bru]?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))
    |(?P<mark>[\[\](){},:])
    |(?P<word>[^\[\](){},:'"\s][^\[\](){},:\s]*)
    )""",
    re.VERBOSE | re.DOTALL,
)
# What stands before a bracket where a scalar is printed, as in [np.str_('a'), np.int64(1)].
_CALL = re.compile(r"(?:\w+\.)*\w+")
# What stands before the bracket of a whole list or object; R prints c("a", "b").
_CALLED = re.compile(
    r"(?:\w+\.)*(?:array|Counter|OrderedDict|defaultdict|Index|tensor|Tensor|Series|deque|c|list|tuple|set|frozenset|dict_values|dict)\("
)
_OF_TYPE = re.compile(r"defaultdict\(<[^>]*>, ")
_NONE = {"None", "null"}
_CUT_SHORT = {"...", "…"}
_TUPLE = re.compile(r"""\(\s*(?:['"]|[-+.]?\d).*,.*\)""", re.DOTALL)
_WHOLE = re.compile(r"[+-]?(?:0|[1-9]\d*)")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?")
_CLOSING = {"[": "]", "{": "}", "(": ")"}
_LONGEST = 1_000_000
_DEEPEST = 6


class _Token(NamedTuple):
    kind: str
    text: str


class _Pair(NamedTuple):
    """A key and its value, of an object."""

    key: object
    value: object


class _UnreadableError(ValueError):
    """What is wrong with a printed value, as the end of a sentence."""


def as_structure(value: object) -> object:
    """Return the list or object that is written in a cell; any other value unchanged.

    Args:
        value: A cell. JSON is read first; then what Python (``['a', None]``, ``{'a': 1}``), NumPy (``['a' 'b']``,
            ``array([0, 1])``), pandas and R (``c("a", "b")``) print. A missing part is None.

    Returns:
        A list, an object, or the value.

    Raises:
        ValueError: If it begins as a list or object and cannot be read as one; the message completes "<name> is …".
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text[:1] not in _CLOSING and not _CALLED.match(text):
        return value
    try:
        return strict_json(text)
    except DuplicateKeyError as error:
        raise ValueError(f"an object with {error}") from error
    except (ValueError, RecursionError):
        pass
    return _printed(text, value)


def structure(value: object) -> object:
    """Return what :func:`as_structure` does; the value itself where it cannot be read as a list or object."""
    try:
        return as_structure(value)
    except ValueError:
        return value


def _printed(text: str, value: str) -> object:
    shown = repr(text if len(text) <= 40 else text[:40] + "…")
    if len(text) > _LONGEST:
        raise ValueError(f"{shown}, a list of {len(text):,} characters; write it as JSON")
    # "(a) agree" is a label; a tuple has commas between texts or numbers.
    if text[0] == "(" and not _TUPLE.fullmatch(text):
        return value
    try:
        found, rest = _Parser(_OF_TYPE.sub("dict(", text)).parsed()
        if rest and rest[0] not in "|;,":
            raise _UnreadableError("it goes on behind its end")
    except _UnreadableError as error:
        raise ValueError(f"{shown}, a list or object that cannot be read: {error}; write it as JSON") from error
    # "[a]|b" is two labels, the first of which has brackets.
    return value if rest else found


class _Parser:
    """Parses one printed value.

    Args:
        text: The text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._token = self._next()

    def parsed(self) -> tuple[object, str]:
        """Return the value, and what stands behind it."""
        found = self._value(0)
        rest = "" if self._token is None else self._text[self._before :]
        return found, rest.strip()

    def _next(self) -> _Token | None:
        self._before = self._at
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            if self._text[self._at :].strip():
                raise _UnreadableError("a quotation mark is never closed")
            return None
        self._at = found.end()
        return _Token(str(found.lastgroup), found[str(found.lastgroup)])

    def _take(self) -> _Token:
        if self._token is None:
            raise _UnreadableError("it is cut off")
        taken, self._token = self._token, self._next()
        return taken

    def _value(self, depth: int) -> object:
        if depth > _DEEPEST:
            raise _UnreadableError(f"it is nested more than {_DEEPEST} deep")
        token = self._take()
        if token.kind == "text":
            return _text(token.text)
        if token.kind == "word":
            if self._token == _Token("mark", "(") and _CALL.fullmatch(token.text):
                self._take()
                return _called(self._groups(")", depth))
            return _word(token.text)
        if token.text not in _CLOSING:
            raise _UnreadableError(f"it has a '{token.text}' too many")
        groups = self._groups(_CLOSING[token.text], depth)
        return _object(groups) if token.text == "{" and _is_keyed(groups) else _list(groups)

    def _groups(self, closing: str, depth: int) -> list[list[object]]:
        """The values between commas up to the closing bracket; several in a group have blanks between them."""
        groups: list[list[object]] = [[]]
        while self._token != _Token("mark", closing):
            if self._token == _Token("mark", ","):
                self._take()
                groups.append([])
            elif self._token == _Token("mark", ":") and groups[-1]:
                self._take()
                groups[-1] = [_Pair(groups[-1][-1], self._value(depth + 1)) if len(groups[-1]) == 1 else None]
            else:
                groups[-1].append(self._value(depth + 1))
        self._take()
        return groups if groups[-1] or len(groups) == 1 else groups[:-1]


class _Word(str):
    """A word without quotation marks."""

    __slots__ = ()


def _text(text: str) -> str:
    try:
        found = ast.literal_eval(text)
        str(found).encode("utf-8")
    except (ValueError, SyntaxError) as error:
        raise _UnreadableError("a quoted text has a damaged escape") from error
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def _word(text: str) -> object:
    if text in _CUT_SHORT:
        raise _UnreadableError("it is cut short by '...'")
    if text in _NONE:
        return None
    if text in NOTHING:
        # Readers count these by their names.
        return text
    if _WHOLE.fullmatch(text) and len(text) < 20:
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else _Word(text)


def _is_keyed(groups: Sequence[Sequence[object]]) -> bool:
    return groups == [[]] or any(isinstance(part, _Pair) for group in groups for part in group)


def _object(groups: Sequence[Sequence[object]]) -> dict[str, object]:
    pairs = [group[0] for group in groups if group]
    if not all(len(group) == 1 for group in groups if group) or not all(isinstance(pair, _Pair) for pair in pairs):
        raise _UnreadableError("some of its parts have no key")
    return _of_pairs([(pair.key, pair.value) for pair in pairs if isinstance(pair, _Pair)])


def _of_pairs(pairs: Sequence[tuple[object, object]]) -> dict[str, object]:
    found = {str(key): _plain(value) for key, value in pairs}
    if len(found) < len(pairs):
        twice = [key for key, times in Counter(str(key) for key, _ in pairs).items() if times > 1]
        raise _UnreadableError(f"it has keys twice: {listed(twice)}")
    return found


def _list(groups: Sequence[Sequence[object]]) -> list[object]:
    if groups == [[]]:
        return []
    if len(groups) == 1:
        [values] = groups
        if len(values) > 1 and any(isinstance(value, _Word | _Pair) for value in values):
            raise _UnreadableError("it has no commas between its parts")
        return [_plain(value) for value in values]
    return [_part(group) for group in groups]


def _part(group: Sequence[object]) -> object:
    """What stands between two commas: one value, or words that are one label."""
    if not group:
        return None
    if len(group) == 1 and not isinstance(group[0], _Pair):
        return _plain(group[0])
    if all(isinstance(value, _Word) for value in group):
        return " ".join(map(str, group))
    raise _UnreadableError("commas are missing between some of its parts")


def _called(groups: Sequence[Sequence[object]]) -> object:
    """The value of a call: its list or object, or what it makes one of."""
    named = [group for group in groups if not (group and _is_option(group[0]))]
    values = [_part(group) for group in named] if named != [[]] else []
    whole = [value for value in values if isinstance(value, list | dict)]
    if not whole:
        return values[0] if len(values) == 1 else values
    pairs = whole[0]
    if isinstance(pairs, list) and pairs and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        # An OrderedDict is printed as its pairs.
        return _of_pairs([(pair[0], pair[1]) for pair in pairs])
    return whole[0]


def _is_option(part: object) -> bool:
    """Whether a part of a call says how, and not what: ``dtype=object``, ``device='cuda:0'``."""
    word = part.key if isinstance(part, _Pair) else part
    return isinstance(word, _Word) and "=" in word


def _plain(value: object) -> object:
    return str(value) if isinstance(value, _Word) else value
