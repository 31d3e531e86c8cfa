"""Texts before they become tokens: each a text that can be written down, and none of them missing."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from contested.wording import counted

_SHOWN = 40  # characters of a value in a message
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})  # control and format characters, and spaces of all kinds


def text_problems(table: pd.DataFrame, columns: Sequence[str], what: str) -> list[str]:
    """Find values of text columns that are no text.

    Args:
        table: Has ``example_id`` and the columns.
        columns: The text columns.
        what: What a row is, such as "annotated example".

    Returns:
        One sentence per problem; empty texts are none where another column of the row has one.
    """
    ids = table["example_id"].tolist()
    values = {name: table[name].tolist() for name in columns}
    problems = [
        f"{what} {ids[row]!r}: {name} {problem}"
        for name in columns
        for row, value in enumerate(values[name])
        if type(value) is not str or not value.isascii()
        for problem in _problems(value)
    ]
    empty = [row for row, texts in enumerate(zip(*values.values(), strict=True)) if not any(map(_written, texts))]
    return problems + [f"{what} {ids[row]!r}: {' and '.join(columns)} empty" for row in empty]


def empty_texts(table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Say how often one of several text columns is empty."""
    if len(columns) == 1:
        return []
    numbers = {name: sum(not _written(value) for value in table[name]) for name in columns}
    return [f"{name} is empty in {counted(number, 'example')}." for name, number in numbers.items() if number]


def _problems(value: Any) -> Iterator[str]:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        yield "is missing"
    elif isinstance(value, bool) or not isinstance(value, str | int | float):
        yield f"is no text but {type(value).__name__} ({str(value)[:_SHOWN]})"
    else:
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            yield f"has half a character at position {error.start + 1} (a lone surrogate, which no file can hold)"


def _written(value: Any) -> bool:
    """Whether anything of a text would be seen on paper."""
    return any(unicodedata.category(letter) not in _UNSEEN for letter in str(value))
