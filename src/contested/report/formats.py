"""How one value reads in a table or a sentence: the same number looks the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

Format = Callable[[Any], str]

MISSING = "–"
_MINUS = "−"


def number(spec: str) -> Format:
    """A format for numbers by Python's format specification, with a true minus sign.

    Args:
        spec: Such as ``+.3f`` or ``,d``.

    Returns:
        A function of one value; a missing one reads "–".

    >>> number("+.3f")(-0.25), number("+.3f")(float("nan"))
    ('−0.250', '–')
    """

    def formatted(value: Any) -> str:
        return MISSING if is_missing(value) else _no_negative_zero(format(value, spec), spec)

    return formatted


def _no_negative_zero(text: str, spec: str) -> str:
    if text.startswith("-") and not any(digit in text for digit in "123456789"):
        text = ("+" if spec.startswith("+") else "") + text[1:]
    return text.replace("-", _MINUS)


def p_value(value: Any) -> str:
    """A p-value to three decimals.

    >>> p_value(0.0421), p_value(1e-9)
    ('0.042', '< 0.001')
    """
    if is_missing(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def text(value: Any) -> str:
    """Text as it is."""
    return MISSING if is_missing(value) else str(value)


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN or pandas' missing value."""
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def shorten(value: str, length: int) -> str:
    """Cut the middle out of a text that is longer than ``length`` characters.

    >>> shorten("roberta-base-lora-r4-snli-seed42", 20)
    'roberta-ba…li-seed42'
    """
    if len(value) <= length:
        return value
    head = length // 2
    return f"{value[:head]}…{value[len(value) - (length - 1 - head) :]}"


COUNT = number(",d")
NATS = number(".3f")
CHANGE = number("+.3f")
SHARE = number(".1%")
EPOCHS = number(".2f")
