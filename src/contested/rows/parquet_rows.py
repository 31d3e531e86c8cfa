"""Parquet files as rows of plain Python values."""

from __future__ import annotations

import re
from pathlib import Path

from contested.errors import DataError
from contested.rows.table import PLAIN, Request, Rows

# The index of a pandas table that has no name.
_INDEX = re.compile(r"__index_level_\d+__")


def parse_parquet(path: Path, content: bytes, request: Request = PLAIN) -> Rows:
    """Read a Parquet file.

    Args:
        path: The file, for messages.
        content: Its content.
        request: Not used.

    Returns:
        The rows: maps and structs are objects, NaN is None.

    Raises:
        DataError: If it is damaged, or no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
        columns: dict[str, list[object]] = {
            name: [_plain(value) for value in column.to_pylist()]
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from error
    unnamed = {name: columns.pop(name) for name in list(columns) if _INDEX.fullmatch(name)}
    return Rows(columns, list(range(1, table.num_rows + 1)), [], [], unnamed)


def _plain(value: object) -> object:
    """A value without NaN; maps, which Arrow gives as lists of pairs, as objects; bytes that are text, as text."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    if isinstance(value, list):
        if value and all(isinstance(pair, tuple) for pair in value):
            return _of_pairs([tuple(pair) for pair in value])
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return None if value != value else value


def _of_pairs(pairs: list[tuple[object, ...]]) -> dict[str, object]:
    found = {str(key): _plain(part) for key, part in pairs}
    if len(found) < len(pairs):
        raise ValueError("a map has a key twice; one value each is expected")
    return found
