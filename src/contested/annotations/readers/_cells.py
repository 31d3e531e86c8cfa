"""Single values of a file, read strictly: counts, numbers, labels, lists and objects."""

from __future__ import annotations

import json
import math
import re
from typing import cast

_LARGEST_COUNT = 10**9

_SEPARATORS = re.compile(r"[|;,]")


def shown(value: object) -> str:
    """Return a value as it appears in a message, cut to a few words."""
    if value is None:
        return "missing"
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


def as_number(value: object) -> float:
    """Return a number.

    Args:
        value: A number, or its text in a CSV.

    Returns:
        The number, finite.

    Raises:
        ValueError: If it is not one; the message completes "<name> is …".
    """
    try:
        # float() reads True as 1 and "1_0" as 10; neither is meant as a number in a data file.
        number = float("nan") if isinstance(value, bool) or "_" in str(value) else float(cast(str, value))
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not math.isfinite(number):
        raise ValueError(f"{shown(value)}; expected a number")
    return number


def as_count(value: object) -> float:
    """Return a count as a float that holds a whole number.

    Args:
        value: A whole number ≥ 0, or its text in a CSV.

    Returns:
        The count.

    Raises:
        ValueError: If it is not one; the message completes "<name> is …".
    """
    try:
        number = as_number(value)
    except ValueError:
        number = -1.0
    if number < 0 or number != round(number) or number > _LARGEST_COUNT:
        limit = f" up to {_LARGEST_COUNT:,}" if number > _LARGEST_COUNT else ""
        raise ValueError(f"{shown(value)}; expected a whole number ≥ 0{limit}")
    return number


def as_label(value: object) -> str | None:
    """Return a label or id as text; None where it is missing or no single value.

    Whole floats lose their ``.0``: Parquet turns integers with gaps into floats.
    """
    if value is None or value == "" or isinstance(value, list | dict):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None if math.isnan(value) else str(value)
    return str(value).strip() or None


def as_text(value: object) -> str | None:
    """Return a value that is text and not blank, else None."""
    return value if isinstance(value, str) and value.strip() else None


def as_structure(value: object) -> object:
    """Return a list or object written as JSON in a CSV cell; any other value unchanged."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def split_labels(text: str) -> list[str]:
    """Return the labels in a text that separates them by ``|``, ``;`` or ``,``."""
    return [part.strip() for part in _SEPARATORS.split(text)]


def as_labels(value: object) -> list[str]:
    """Return the labels in a cell, without the missing ones.

    Args:
        value: A list, an object from annotator to label, JSON of either, labels separated by
            ``|``, ``;`` or ``,``, or one label.

    Returns:
        The labels.

    Raises:
        ValueError: If a part is itself a list or object; the message completes "<name> is …".
    """
    parts = as_structure(value)
    if isinstance(parts, dict):
        parts = list(parts.values())
    elif isinstance(parts, str):
        parts = split_labels(parts)
    elif not isinstance(parts, list):
        parts = [parts]
    if any(isinstance(part, list | dict) for part in parts):
        raise ValueError(f"{shown(value)}; expected a list of labels")
    labels = (as_label(part) for part in parts)
    return [label for label in labels if label is not None]
