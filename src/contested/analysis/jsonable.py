"""Results as plain JSON values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def jsonable(value: Any) -> Any:
    """Turn a result into what JSON can hold: NamedTuples to objects, arrays to lists, NaN to null.

    Args:
        value: NamedTuples, tuples, lists, dicts, arrays and scalars, nested.

    Returns:
        Dicts, lists, strings, numbers, booleans and None only.

    >>> jsonable((1.5, float("nan")))
    [1.5, None]
    """
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return jsonable(value._asdict())
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
