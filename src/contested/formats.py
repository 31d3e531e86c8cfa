"""How one value reads in a table or a sentence: the same number looks the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Format = Callable[[Any], str]

MISSING = "–"
DAGGER = "†"
"""At an interval that may cover the truth less often than it says."""
_MINUS = "−"


def number(spec: str) -> Format:
    """A format for numbers by Python's format specification, with a true minus sign.

    Args:
        spec: Such as ``+.3f`` or ``,d``.

    Returns:
        A function of one value; a missing one reads "–", and one that rounds to zero has no sign.

    >>> number("+.3f")(-0.25), number("+.3f")(float("nan")), number("+.1f")(0.04)
    ('−0.250', '–', '0.0')
    >>> number(",d")(1234.0)
    '1,234'
    """
    # A column of counts in which one is missing holds floats.
    whole = spec.endswith("d")

    def formatted(value: Any) -> str:
        return MISSING if is_missing(value) else _without_sign_of_zero(format(int(value) if whole else value, spec))

    return formatted


def _without_sign_of_zero(text: str) -> str:
    # An infinite number has no digit and keeps its sign.
    is_zero = "0" in text and not any(digit in text for digit in "123456789")
    return text.lstrip("+-") if is_zero else text.replace("-", _MINUS)


def p_value(value: Any) -> str:
    """A p-value to three decimals.

    >>> p_value(0.0421), p_value(1e-9)
    ('0.042', '< 0.001')
    """
    if is_missing(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def p_equation(value: Any) -> str:
    """A p-value as part of a sentence.

    >>> p_equation(0.0421), p_equation(1e-9)
    ('p = 0.042', 'p < 0.001')
    """
    shown = p_value(value)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def percent(share: float, decimals: int = 1) -> str:
    """A share in as few digits as it needs, such as the coverage of an interval.

    >>> percent(0.95), percent(0.999), percent(0.3333, 0)
    ('95%', '99.9%', '33%')
    """
    return f"{round(100 * share, decimals):g}%"


def learning_rate(value: Any) -> str:
    """A learning rate in its shortest scientific form.

    >>> learning_rate(2e-5), learning_rate(0.001), learning_rate(1.5e-4)
    ('2e−5', '1e−3', '1.5e−4')
    """
    if is_missing(value):
        return MISSING
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", _MINUS)


def yes_no(value: Any) -> str:
    """A truth value in a word.

    >>> yes_no(True), yes_no(float("nan"))
    ('yes', '–')
    """
    return MISSING if is_missing(value) else "yes" if value else "no"


def text(value: Any) -> str:
    """Text as it is."""
    return MISSING if is_missing(value) else str(value)


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN or pandas' missing values."""
    # pandas.NA is not a number, and need not be imported to be recognised.
    return (
        value is None
        or type(value).__name__ in {"NAType", "NaTType"}
        or (isinstance(value, float) and math.isnan(value))
    )


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
WHOLE = number(",.0f")
PLAIN = number(".0f")
NATS = number(".3f")
CHANGE = number("+.3f")
SHARE = number(".1%")
