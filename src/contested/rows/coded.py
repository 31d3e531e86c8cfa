"""Columns whose values are held once each, so that what is worked out of a value is worked out once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


class Coded(Sequence[object]):
    """A column of n values, as numbers of the different ones.

    Args:
        codes: The place of each row's value in ``values``, (n,).
        values: The values; each stands in some row, and equal ones may be here more than once.

    Examples:
        >>> column = Coded.of(["x", " x", None, "x"])
        >>> list(column), column.codes.tolist(), column.values
        (['x', ' x', None, 'x'], [0, 1, 2, 0], ['x', ' x', None])
        >>> column.mapped(lambda cell: cell and cell.strip()).codes.tolist()
        [0, 0, 1, 0]
    """

    def __init__(self, codes: NDArray[np.int64], values: list[Any]) -> None:
        self.codes = codes
        self.values = values
        self._made: dict[Callable[[Any], object], Coded] = {}

    @classmethod
    def of(cls, values: Sequence[object]) -> Coded:
        """Return a column in this form; numbers of different types and what cannot be hashed stay apart."""
        if isinstance(values, Coded):
            return values
        places, kept = _placed(values)
        return cls(places, kept)

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, row: int) -> object: ...
    @overload
    def __getitem__(self, row: slice) -> list[object]: ...
    def __getitem__(self, row: int | slice) -> object:
        found = self.codes[row]
        return self.values[found] if isinstance(row, int) else [self.values[code] for code in found.tolist()]

    def __iter__(self) -> Iterator[object]:
        return map(self.values.__getitem__, self.codes.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def mapped(self, function: Callable[[Any], object]) -> Coded:
        """Return what a function makes of each value, each different result once, in order of first occurrence.

        Args:
            function: Called once per value held; the same function is not asked again.

        Returns:
            A column as long as this one.
        """
        return self._remade(function, lambda values: [function(value) for value in values])

    def mapped_at_once(self, function: Callable[[list[Any]], list[Any]]) -> Coded:
        """Return what :meth:`mapped` does, for a function of all values held."""
        return self._remade(function, function)

    def _remade(self, key: Callable[..., object], made: Callable[[list[Any]], list[Any]]) -> Coded:
        known = self._made.get(key)
        if known is None:
            places, kept = _placed(made(self.values))
            codes = self.codes if len(kept) == len(self.values) else places[self.codes]
            known = self._made[key] = Coded(codes, kept)
        return known

    def where(self, holds: Callable[[Any], bool]) -> NDArray[np.bool_]:
        """Return in which rows something holds of the value, (n,)."""
        return np.fromiter(map(holds, self.values), dtype=np.bool_, count=len(self.values))[self.codes]


def _placed(values: Sequence[object]) -> tuple[NDArray[np.int64], list[object]]:
    """The place of each value among the different ones, and these."""
    texts = set(map(type, values)) <= {str, type(None)}
    # 1, 1.0 and True are equal, and are not written alike.
    keys = values if texts else [_key(value, row) for row, value in enumerate(values)]
    different = dict.fromkeys(keys)
    if len(different) == len(keys):
        return np.arange(len(keys)), list(values)
    index: dict[object, int] = {key: place for place, key in enumerate(different)}
    places = np.fromiter(map(index.__getitem__, keys), dtype=np.int64, count=len(keys))
    if texts:
        return places, list(index)
    first = np.unique(places, return_index=True)[1]
    return places, [values[row] for row in first.tolist()]


def _key(value: object, row: int) -> object:
    try:
        hash(value)
    except TypeError:
        return (list, row)
    return (value.__class__, value)
