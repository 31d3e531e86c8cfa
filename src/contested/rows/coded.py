"""Columns whose values are held once each, so that what is worked out of a value is worked out once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Codes = NDArray[np.int32] | NDArray[np.int64]

_BLANK, _DELETE = 32, 127


class Coded(Sequence[object]):
    """A column of n values, as numbers of the different ones.

    Args:
        codes: The place of each row's value in ``values``, (n,).
        values: The values; each stands in some row, and equal ones may be here more than once. Texts may be given as an
            array of Arrow: they become Python's own when ``values`` are first asked for.

    Examples:
        >>> column = Coded.of(["x", " x", None, "x"])
        >>> list(column), column.codes.tolist(), column.values
        (['x', ' x', None, 'x'], [0, 1, 2, 0], ['x', ' x', None])
        >>> column.mapped(lambda cell: cell and cell.strip()).codes.tolist()
        [0, 0, 1, 0]
    """

    def __init__(self, codes: Codes, values: list[Any] | pa.LargeStringArray) -> None:
        self.codes = codes
        self._held = values
        self._made: dict[Callable[[Any], object], Coded] = {}

    @functools.cached_property
    def values(self) -> list[Any]:
        """The values, in the order of their codes."""
        return self._held if isinstance(self._held, list) else self._held.to_pylist()

    @property
    def n_values(self) -> int:
        """How many values there are."""
        return len(self._held)

    @functools.cached_property
    def missing(self) -> NDArray[np.bool_]:
        """In which rows nothing stands, (n,)."""
        if not isinstance(self._held, list) and not self._held.null_count:
            return np.zeros(len(self), dtype=np.bool_)
        return self.where(lambda value: value is None)

    @functools.cached_property
    def trimmed(self) -> Coded | None:
        """The column with every different text once; None unless it is sure that none begins or ends with blanks."""
        if isinstance(self._held, list) or not _are_trimmed(self._held):
            return None
        encoded = self._held.dictionary_encode(null_encoding="encode")
        if len(encoded.dictionary) == self.n_values:
            return self
        return Coded(numbers_of(encoded.indices, np.int32)[self.codes], encoded.dictionary)

    def has(self, text: str) -> bool:
        """Whether a text is one of the values."""
        import pyarrow.compute as pc

        rare = not isinstance(self._held, list) and not pc.starts_with(self._held, pattern=text).true_count
        return not rare and text in self.values

    def may_hold(self, part: str) -> bool:
        """Whether any of the values may be a text with this part."""
        if isinstance(self._held, list):
            return set(map(type, self._held)) != {str} or part in "\n".join(self._held)
        return any(part.encode() in buffer.to_pybytes() for buffer in self._held.buffers()[2:] if buffer is not None)

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
        return [*map(self._value, found.tolist())] if isinstance(row, slice) else self._value(int(found))

    def _value(self, code: int) -> object:
        return self._held[code] if isinstance(self._held, list) else self._held[code].as_py()

    def __iter__(self) -> Iterator[object]:
        if len(self.codes) == self.n_values and (self.codes == np.arange(self.n_values)).all():
            return iter(self.values)
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


def _are_trimmed(texts: pa.LargeStringArray) -> bool:
    """Whether texts begin and end with visible letters of ASCII, so that nothing would be stripped from them."""
    _, offsets, letters = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    begins, ends = (part[np.diff(bounds) > 0] for part in (bounds[:-1], bounds[1:]))
    edges = np.frombuffer(letters or b"", dtype=np.uint8)[np.concatenate([begins, ends - 1])]
    return bool(((edges > _BLANK) & (edges < _DELETE)).all())


def numbers_of(array: pa.Array, dtype: DTypeLike) -> NDArray[Any]:
    """Return numbers of Arrow as they lie in memory, none of which is missing; Arrow's own way would load pandas."""
    return np.frombuffer(array.buffers()[1] or b"", dtype=dtype)[array.offset : array.offset + len(array)]


def factorized(numbers: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Number values in the order of their first occurrence; many times faster than sorting them where few differ.

    Args:
        numbers: Values of a plain type, (n,).

    Returns:
        The number of each, (n,), and the different values.

    Examples:
        >>> [found.tolist() for found in factorized(np.array([7, 5, 7]))]
        [[0, 1, 0], [7, 5]]
    """
    import pyarrow as pa

    given = np.ascontiguousarray(numbers)
    array = pa.Array.from_buffers(pa.from_numpy_dtype(given.dtype), len(given), [None, pa.py_buffer(given)])
    found = array.dictionary_encode()
    return numbers_of(found.indices, np.int32).astype(np.int64), numbers_of(found.dictionary, given.dtype)


def n_unlike(numbers: NDArray[np.int64]) -> int:
    """How many numbers differ, which sorting tells fastest where many do."""
    ordered = np.sort(numbers)
    return int((ordered[1:] != ordered[:-1]).sum()) + min(len(ordered), 1)


def first_places(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each number stood first, (n,).

    Args:
        numbers: Numbers, (n,).

    Returns:
        The place of each itself, where it did not stand before.

    Examples:
        >>> first_places(np.array([7, 5, 7])).tolist()
        [0, 1, 0]
    """
    if n_unlike(numbers) == len(numbers):
        return np.arange(len(numbers))
    _, first, which = np.unique(numbers, return_index=True, return_inverse=True)
    return np.asarray(first[which])


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
