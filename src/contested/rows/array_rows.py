"""Arrays of NumPy as rows: one row per entry of their first axis."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contested.errors import DataError
from contested.rows.table import PLAIN, Request, Rows
from contested.wording import listed

ARRAY = "array"
"""The column of an array that has no other name."""

_MOST_AXES = 2


def parse_array(path: Path, content: bytes, request: Request = PLAIN) -> Rows:
    """Read a ``.npy`` file, such as counts of shape (N, K).

    Args:
        path: The file, for messages.
        content: Its content.
        request: Not used.

    Returns:
        The rows, numbered from 0 in ``id``, each with its list in ``array``.

    Raises:
        DataError: If it is damaged, holds Python objects, or has other axes.
    """
    return _rows(path, {ARRAY: _loaded(path, content)})


def parse_arrays(path: Path, content: bytes, request: Request = PLAIN) -> Rows:
    """Read a ``.npz`` file: of one array as a ``.npy`` file, of several one column for each.

    Args:
        path: The file, for messages.
        content: Its content.
        request: Which of several arrays is read alone.

    Returns:
        The rows.

    Raises:
        DataError: If it is damaged, or its arrays differ in length.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            arrays = {entry.removesuffix(".npy"): _loaded(path, archive.read(entry)) for entry in archive.namelist()}
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is damaged: {error}. Download or copy it again.") from error
    if request.part is not None and request.part not in arrays:
        raise DataError(f"{path} has no array '{request.part}' (part); it has: {listed(arrays)}.")
    alone = next(iter(arrays), None) if len(arrays) == 1 else request.part
    return _rows(path, arrays if alone is None else {ARRAY: arrays[alone]})


def _loaded(path: Path, content: bytes) -> NDArray[np.generic]:
    try:
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as arrays of numbers or text: {error}. Save plain arrays with numpy.save."
        ) from error


def _rows(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> Rows:
    shapes = {name: array.shape for name, array in arrays.items()}
    if any(not 1 <= len(shape) <= _MOST_AXES for shape in shapes.values()) or len({s[0] for s in shapes.values()}) > 1:
        told = listed(f"{name} of shape {shape}" for name, shape in shapes.items())
        raise DataError(
            f"{path} holds {told}; expected one row per item, such as counts of shape (N, K), and as many rows in "
            "each. Name one array with part, or save what is to be read alone."
        )
    n_items = next((shape[0] for shape in shapes.values()), 0)
    columns: dict[str, list[object]] = {name: [_plain(v) for v in array.tolist()] for name, array in arrays.items()}
    numbers = list(range(1, n_items + 1))
    if "id" in columns:
        return Rows(columns, numbers, [], [])
    note = "The file is an array without ids: items are numbered by their rows, from 0."
    return Rows({"id": list(range(n_items)), **columns}, numbers, [], [note])


def _plain(value: object) -> object:
    """A value without NaN, which stands for nothing."""
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if value != value else value
