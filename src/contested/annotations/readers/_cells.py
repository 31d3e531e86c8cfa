"""Single values of a file, read strictly: counts, numbers, labels, lists and objects."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from contested.rows.coded import Coded, factorized, n_unlike
from contested.rows.table import LARGEST_EXACT
from contested.rows.table import shown as shown_value

_LARGEST_COUNT = 10**9

JOINT = "\x01"  # no blank, which reading would take away
"""Stands between the labels of one annotator where a cell lists them; alone, for a list of none."""

NOTHING = frozenset({"NA", "N/A", "n/a", "#N/A", "nan", "NaN", "NAN", "<NA>", "NaT", "NULL", "null"})
"""What is written where an annotator gave no answer, unless ``missing`` or ``label_names`` say otherwise."""

_SCIENTIFIC = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]+")

_SEPARATORS = "|;,"

_NUMBER = re.compile(r"(?P<sign>[+-]?)(?=\.?[0-9])(?P<whole>[0-9]*)(?:\.(?P<decimals>[0-9]*))?")


def shown(value: object) -> str:
    """Return a value as it appears in a message, cut to a few words."""
    return "missing" if value is None else shown_value(value)


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
    # Most cells are text: a file has millions of them.
    if isinstance(value, str):
        return value.strip() or None
    if value is None or isinstance(value, (list, dict)):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None if math.isnan(value) else str(value)
    return str(value).strip() or None


def labels_in(values: Sequence[object]) -> Coded:
    """Return the labels or ids of a column as :func:`as_label` reads each cell, every different one once."""
    given = Coded.of(values)
    return given.trimmed or given.mapped_at_once(_labels)


def n_different(*columns: Sequence[object]) -> int:
    """Return how many different rows the labels or ids of columns make.

    Args:
        *columns: Columns of one length.

    Returns:
        The number.

    Examples:
        >>> n_different(["a", " a", "b"]), n_different(["a", "a", "b"], [1, 2, 1])
        (2, 3)
    """
    first, *others = map(labels_in, columns)
    if not others:
        return first.n_values
    codes = first.codes.astype(np.int64)
    for other in others[:-1]:
        codes = factorized(codes * other.n_values + other.codes)[0]
    return n_unlike(codes * others[-1].n_values + others[-1].codes)


def _labels(values: list[object]) -> list[str | None]:
    if set(map(type, values)) != {str}:
        return [as_label(value) for value in values]
    stripped = list(map(str.strip, values))  # type: ignore[arg-type]
    return stripped if all(stripped) else [text or None for text in stripped]  # type: ignore[return-value]


def rounded_id(value: object) -> str:
    """Say why an id is no longer the one that was given: a spreadsheet or a float has rounded it.

    Args:
        value: The id.

    Returns:
        What is wrong, to complete "<column> is …"; empty where nothing is.
    """
    if isinstance(value, float):
        rounded = abs(value) > LARGEST_EXACT
    else:
        rounded = isinstance(value, str) and "E+" in value and _SCIENTIFIC.fullmatch(value.strip()) is not None
    if not rounded:
        return ""
    return f"{shown(value)}, a rounded number, so that ids may have become one: keep ids as text where they come from"


def rounded_in(values: Sequence[object]) -> NDArray[np.bool_]:
    """Return in which rows of a column :func:`rounded_id` says that an id has been rounded, (n,)."""
    given = Coded.of(values)
    return (
        given.where(lambda value: bool(rounded_id(value))) if given.may_hold("E+") else np.zeros(len(given), np.bool_)
    )


def as_text(value: object) -> str | None:
    """Return a value that is text and not blank, else None."""
    return value if isinstance(value, str) and value.strip() else None


def canonical(label: str) -> str | None:
    """Return one way to write a number, whatever its spelling; None of what is no number.

    Args:
        label: A label as text.

    Returns:
        The number.

    Examples:
        >>> [canonical(label) for label in ("1.0", "01", "-0", "+.50", "1e3", "yes")]
        ['1', '1', '0', '0.5', None, None]
    """
    found = _NUMBER.fullmatch(label)
    if found is None:
        return None
    whole, decimals = (found["whole"].lstrip("0") or "0"), (found["decimals"] or "").rstrip("0")
    size = f"{whole}.{decimals}" if decimals else whole
    return f"-{size}" if found["sign"] == "-" and size != "0" else size


def as_set(parts: Sequence[object]) -> str:
    """Return one text for the labels that a cell lists for one annotator.

    Args:
        parts: The labels; empty parts are none.

    Returns:
        The label of one, several with `JOINT` between them, and `JOINT` alone for none.

    Examples:
        >>> as_set(["joy"]), as_set(["joy", "fear"]) == f"joy{JOINT}fear", as_set([]) == JOINT
        ('joy', True, True)
    """
    labels = [label for part in parts if (label := as_label(part)) is not None]
    return JOINT.join(labels) or JOINT


def separator_of(texts: Iterable[str]) -> str:
    """Return what separates labels in the cells of a column: the first of ``|``, ``;`` and ``,`` that any of them has.

    A comma beside a bar is part of a label ("Yes, surely|No"), or the comma of a decimal ("1,0|2,0").
    """
    found = {character for text in texts for character in _SEPARATORS if character in text}
    return next((character for character in _SEPARATORS if character in found), _SEPARATORS[-1])


def split_cells(cells: Sequence[object], whole: Collection[str]) -> list[object]:
    """Return the cells of a column, each text as the list of its labels, which one separator divides in all of them.

    Args:
        cells: Texts, which are split, and lists, objects and others, which stay.
        whole: Names of classes, which are not split even where they hold a separator.

    Returns:
        The cells.

    Examples:
        >>> split_cells(["Yes, surely|No", "No, never", ["a"], None], ["No, never"])
        [['Yes, surely', 'No'], 'No, never', ['a'], None]
    """
    several = [isinstance(cell, str) and cell.strip() not in whole for cell in cells]
    separator = separator_of(str(cell) for cell, split in zip(cells, several, strict=True) if split)
    return [split_labels(str(cell), separator) if split else cell for cell, split in zip(cells, several, strict=True)]


def split_labels(text: str, separator: str = "") -> list[str]:
    """Return the labels in a text, by a separator, or by the first of ``|``, ``;`` and ``,`` that it has."""
    return [part.strip() for part in text.split(separator or separator_of([text]))]
