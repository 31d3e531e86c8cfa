"""What callers hand over, as plain lists and arrays, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def as_entries(values: Any) -> list[Any] | None:
    """Return the entries of something in one dimension.

    Args:
        values: A list, tuple, array, series, tensor or iterator.

    Returns:
        Its entries as Python objects; None where it is none of these, such as one text or a table.
    """
    if isinstance(values, str | bytes | Mapping) or getattr(values, "ndim", 1) != 1:
        return None
    # Entries of arrays and tensors are no Python numbers, and print otherwise.
    if callable(getattr(values, "tolist", None)):
        return list(values.tolist())
    try:
        return list(values)
    except TypeError:
        return None


def as_numbers(values: Any) -> NDArray[Any] | None:
    """Return an array of real numbers, in its own precision where that is a float of 64 bits or fewer.

    Args:
        values: Nested lists, an array, or a tensor, also one that requires a gradient or is of bfloat16.

    Returns:
        The array; None where these are no numbers or rows differ in length.
    """
    if callable(getattr(values, "detach", None)):
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values
    try:
        array = np.asarray(values)
        if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
            return array
        return array.astype(np.float64) if array.dtype.kind in "biufO" else None
    except (TypeError, ValueError, RuntimeError):
        return None


def as_facts(origin: Any) -> dict[str, Any] | None:
    """Return what is said of a run's origin, as JSON keeps it.

    Args:
        origin: A sentence, facts by name, or nothing.

    Returns:
        The facts; None where JSON cannot hold them.
    """
    if isinstance(origin, str):
        return {"source": origin} if origin else {}
    if not isinstance(origin, Mapping):
        return None
    try:
        return dict(json.loads(json.dumps(dict(origin), allow_nan=False)))
    except (TypeError, ValueError):
        return None


@dataclass(eq=False)
class Checks:
    """Problems, collected so that all are told at once.

    Attributes:
        problems: A sentence each.
    """

    problems: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        """Note a problem."""
        self.problems.append(problem)

    def storable(self, name: str, values: Iterable[Any]) -> None:
        """Note the first value that no file can hold: half of a surrogate pair, or a number beyond 64 bits.

        Args:
            name: What the values are called.
            values: Texts and numbers; others are left alone.
        """
        for value in values:
            if isinstance(value, str):
                try:
                    value.encode("utf-8")
                except UnicodeEncodeError:
                    self.add(f"{name}: {value!r} holds half of a character (a lone surrogate), which no file can hold")
                    return
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                self.add(f"{name}: {value} is beyond whole numbers of 64 bits")
                return

    def fits(self, name: str, given: int, wanted: int | None, what: str = "example") -> bool:
        """Say whether something has the length that it should, and note it where not.

        Args:
            name: What it is called.
            given: Its length.
            wanted: The length that it should have; None where nothing says one.
            what: What there should be one of each for.

        Returns:
            Whether it fits.
        """
        fits = wanted is None or given == wanted
        if not fits:
            self.add(f"{name}: given {given:,}, expected {wanted:,}, one per {what}")
        return fits

    def entries(self, name: str, values: Any, wanted: int | None, what: str = "example") -> list[Any] | None:
        """Return as many entries as there should be, none of them missing.

        Args:
            name: What it is called.
            values: What was given.
            wanted: How many there should be; None where nothing says it.
            what: What there should be one of each for.

        Returns:
            The entries; None where a problem was noted.
        """
        entries = as_entries(values)
        if entries is None:
            self.add(f"{name}: given {shown(values)}, expected one per {what}, in one dimension")
            return None
        if not self.fits(name, len(entries), wanted, what):
            return None
        gone = np.flatnonzero(pd.Series(entries, dtype=object).isna())
        if len(gone):
            self.add(f"{name}: {len(gone):,} of {len(entries):,} missing, the first in row {gone[0]}")
            return None
        return entries


def shown(value: Any) -> str:
    """A value that is not what was expected, in short."""
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__} of shape {tuple(shape)}" if shape is not None else f"{value!r:.40}"
