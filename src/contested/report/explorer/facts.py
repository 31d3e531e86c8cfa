"""What is known of the items themselves, as columns of the explorer: texts, disagreement, and the data's own fields."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from contested.report.explorer.payload import CATEGORY, Column, Kind

_MOST_LEVELS = 50  # of a text that is shown as a category
_LARGEST = 2**31 - 1
_NOT_FACTS = frozenset({"row_key", "example_id", "gold", "label_counts"})
_UNLESS_VARYING = frozenset({"split", "in_training"})
_RESERVED = frozenset({"id", "gold"})
"""What the explorer itself calls the id and the gold label."""
_SAID = {
    "entropy": ("H", "nats", "Entropy of the annotators' labels."),
    CATEGORY: ("category", "", "The category by which results are told apart."),
    "split": ("split", "", "Whether the run trained on this example or held it out."),
    "in_training": ("in training", "", "Whether the run trained on this example."),
}


def facts(
    table: pd.DataFrame, text_columns: Collection[str], categories: tuple[str, ...], taken: Collection[str] = ()
) -> Iterator[Column]:
    """The columns of a table of examples.

    Args:
        table: One row per item.
        text_columns: Which of its columns are the input text.
        categories: The levels of its column ``category``, in their order.
        taken: Names of other columns; a field of the data that has one of them is called ``NAME (data)``.

    Yields:
        The columns: texts first, then what the project knows, then the data's own.
    """
    names = [str(name) for name in table if name not in _NOT_FACTS]
    for name in text_columns:
        if name in names:
            texts = texts_or_none(table[name])
            yield Column(_free(name, taken), name, "", "Text of the example.", "text", texts)
    for name, said in _SAID.items():
        if name not in names or name in text_columns or (name in _UNLESS_VARYING and table[name].nunique() < 2):
            continue
        if name == CATEGORY:
            yield Column(_free(name, taken), *said, "category", texts_or_none(table[name]), categories)
        else:
            yield Column(_free(name, taken), *said, *_kind_of(table[name]))
    for name in names:
        if name not in text_columns and name not in _SAID:
            yield Column(_free(name, taken), name, "", "A field of the data.", *_kind_of(table[name]))


def _free(name: str, taken: Collection[str]) -> str:
    return f"{name} (data)" if name in taken or name in _RESERVED else name


def _kind_of(values: pd.Series[Any]) -> tuple[Kind, Any]:
    """What a field's values are, and the values as a column of that kind has them."""
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "boolean":
        return "flag", _numbers(values)
    if kind in {"integer", "floating", "mixed-integer-float"}:
        numbers = _numbers(values)
        known = numbers[np.isfinite(numbers)]
        if not (known == np.floor(known)).all() or len(known) < np.count_nonzero(~np.isnan(numbers)):
            return "number", numbers
        if np.abs(known).max(initial=0.0) < _LARGEST:
            return "integer", numbers
    texts = texts_or_none(values)
    distinct = {text for text in texts if text is not None}
    few = len(distinct) <= min(_MOST_LEVELS, max(2, len(texts) // 2))
    return ("category" if few else "text"), texts


def _numbers(values: pd.Series[Any]) -> Any:
    return pd.to_numeric(values.astype(object).where(values.notna(), np.nan)).to_numpy(np.float64)


def texts_or_none(values: pd.Series[Any]) -> Sequence[str | None]:
    """Each value as text, None where it is missing."""
    missing = pd.isna(values)
    return [None if absent else str(value) for value, absent in zip(values, missing, strict=True)]
