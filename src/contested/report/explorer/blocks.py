"""Arrays and texts as blocks of a page: little-endian bytes, deflated, in base64, each decoded when first shown."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contested.errors import DataError
from contested.wording import visible

_LEVEL = 6  # deflate 9 takes three times as long for half a percent
_COARSEST = 500  # steps of a half-precision number over a column's range, at least
_PROBABILITY = 254  # of 255, which is missing
_DROPPED_BITS = 2  # of a curve's 11 significant ones: to 0.2 %, less than a line's width, in five sixths of the bytes
_LARGEST_CURVE = 60_000.0  # in half precision, so that no number is rounded to infinity
_WHOLE: tuple[tuple[str, type[np.integer[Any]]], ...] = (
    ("u8", np.uint8),
    ("u16", np.uint16),
    ("u32", np.uint32),
    ("i32", np.int32),
)

Block = dict[str, Any]
"""What the page's index says of a block: where it is, of which type and shape."""


class Blocks:
    """The blocks of one page, numbered as they come."""

    def __init__(self) -> None:
        self.encoded: dict[str, str] = {}

    def numbers(self, values: NDArray[Any]) -> Block:
        """Rounded numbers of any shape, NaN where missing: in half precision where its steps are small enough."""
        given = np.asarray(values, np.float64)
        return self._array(given, "f16", np.float16) if _fit_half(given) else self._array(given, "f32", np.float32)

    def curve(self, values: NDArray[Any]) -> Block:
        """Numbers to draw as lines, of any shape, NaN where missing: to nine significant bits."""
        given = np.asarray(values, np.float64)
        if np.abs(given[np.isfinite(given)]).max(initial=0.0) > _LARGEST_CURVE:
            return self._array(given, "f32", np.float32)
        bits = given.astype(np.float16).view(np.uint16)
        rounded = (bits + (1 << _DROPPED_BITS >> 1)) >> _DROPPED_BITS << _DROPPED_BITS
        return self._array(rounded.astype(np.uint16).view(np.float16), "f16", np.float16)

    def whole(self, values: NDArray[Any]) -> Block:
        """Whole numbers of any shape, NaN where missing, exactly and in the fewest bytes.

        Args:
            values: Whole numbers.

        Returns:
            The block, a missing number as the largest of its type (unsigned) or the least (signed).

        Raises:
            DataError: If a number is not whole or not one of 32 bits.
        """
        given = np.asarray(values, np.float64)
        missing = np.isnan(given)
        known = given[~missing]
        if (known != np.floor(known)).any():
            raise DataError(f"An integer column holds {known[known != np.floor(known)][0]}; expected whole numbers.")
        low, high = known.min(initial=0), known.max(initial=0)
        for name, dtype in _WHOLE:
            limits = np.iinfo(dtype)
            absent = limits.max if limits.min == 0 else limits.min
            if limits.min <= low and high <= limits.max and absent not in (low, high):
                return self._array(np.where(missing, absent, given), name, dtype)
        raise DataError(f"An integer column goes from {low:.0f} to {high:.0f}; expected numbers of 32 bits.")

    def flags(self, values: NDArray[Any]) -> Block:
        """Yes (1), no (0) and missing (255), of any shape."""
        given = np.asarray(values, np.float64)
        return self._array(np.where(np.isnan(given), 255, given != 0), "u8", np.uint8)

    def probabilities(self, values: NDArray[Any]) -> Block:
        """Probabilities of any shape as 254ths; 255 where missing."""
        # Half precision holds any 254th, and half of the memory beside many runs.
        shares = np.rint(np.asarray(values) * np.float32(_PROBABILITY))
        found = self._array(np.where(np.isnan(shares), 255, shares), "u8", np.uint8)
        return {**found, "scale": _PROBABILITY}

    def texts(self, values: Sequence[Any], *, exact: bool = False) -> Block:
        """Texts, None where missing.

        Args:
            values: The texts.
            exact: Whether they are written as they are; else what would act on a reader is written out, as
                :func:`contested.wording.visible` does.

        Returns:
            The block: a JSON list in UTF-8.
        """
        plain = [value if value is None or exact else visible(str(value)) for value in values]
        # Half of a surrogate pair is no UTF-8, and as an escape it is JSON.
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")
        return {"block": self._add(text), "dtype": "text"}

    def _array(self, values: NDArray[Any], name: str, dtype: type[Any]) -> Block:
        with np.errstate(over="ignore"):
            cast = np.ascontiguousarray(values).astype(np.dtype(dtype).newbyteorder("<"))
        shape = {"shape": list(cast.shape)} if cast.ndim > 1 else {}
        return {"block": self._add(cast.tobytes()), "dtype": name, **shape}

    def _add(self, content: bytes) -> str:
        name = f"b{len(self.encoded)}"
        self.encoded[name] = base64.b64encode(zlib.compress(content, _LEVEL)).decode()
        return name


def _fit_half(values: NDArray[np.float64]) -> bool:
    """Whether half precision rounds to less than a step of the range that one can see."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return True
    low, high = float(finite.min()), float(finite.max())
    with np.errstate(over="ignore"):
        error = float(np.abs(finite.astype(np.float16) - finite).max())
    return error <= (high - low) / _COARSEST
