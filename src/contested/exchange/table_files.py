"""Tables read piece by piece: JSONL, CSV and Parquet files, pandas' frames and data sets."""

from __future__ import annotations

import contextlib
import csv
import gzip
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from contested.beside import collector_paused
from contested.errors import ConfigError, DataError
from contested.wording import not_json

_CELLS = 100_000  # at work at once
_CHARACTERS = 500_000  # of lines parsed together; the garbage collector slows down more
_BYTES = 4_000_000


class Batch(NamedTuple):
    """Some rows of a table.

    Attributes:
        columns: Name of each column to its values; one that a row lacks is None there.
        numbers: Where each row stands, in units of ``Table.unit``.
    """

    columns: Mapping[str, Sequence[Any]]
    numbers: Sequence[int]


@dataclass(eq=False)
class Table:
    """An opened table.

    Attributes:
        header: The names of its columns.
        batches: Its rows, read as they are asked for.
        unit: What numbers of rows count: ``line`` or ``row``.
        problems: Rows that cannot be parsed, a sentence each, added while reading.
        late: Names that occur only after the first rows, added while reading.
        label_names: Class names that the table says of its gold labels.
    """

    header: list[str]
    batches: Iterator[Batch]
    unit: str = "row"
    problems: list[str] = field(default_factory=list)
    late: set[str] = field(default_factory=set)
    label_names: tuple[str, ...] = ()


Opener = Callable[[Any], AbstractContextManager[Table]]


def _text(path: Path) -> IO[str]:
    # A byte order mark is left out; newlines stay as they are, for quoted cells of CSV may hold some.
    opened = gzip.open if path.suffix == ".gz" else open
    return opened(path, "rt", encoding="utf-8-sig", newline="")


@contextlib.contextmanager
def open_jsonl(path: Path) -> Iterator[Table]:
    """Open a file of one JSON object per line, which may be compressed (``.gz``).

    Args:
        path: The file.

    Yields:
        Its table; the header has the keys of the first lines.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with _text(path) as file:
            table = Table([], iter(()), "line")
            batches = _objects(file, table)
            first = next(batches, ([], []))
            table.header = list(dict.fromkeys(key for line in first[0] for key in line))
            table.batches = (_by_key(*batch, table) for batch in itertools.chain([first], batches))
            yield table
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as JSONL: {error}.") from error


def _objects(file: IO[str], table: Table) -> Iterator[tuple[list[dict[str, Any]], Sequence[int]]]:
    """Yield the objects of some lines with the numbers of these; what is none becomes a problem."""
    number = 1
    while lines := file.readlines(_CHARACTERS):
        yield _parsed([line.strip() for line in lines], number, table)
        number += len(lines)


def _parsed(lines: list[str], number: int, table: Table) -> tuple[list[dict[str, Any]], Sequence[int]]:
    # All lines at once as one list is twice as fast; whatever is unusual in it is found line by line.
    if all(line[:1] == "{" and line[-1] == "}" for line in lines):
        with contextlib.suppress(ValueError, RecursionError):
            with collector_paused():
                objects = json.loads(f"[{','.join(lines)}]")
            if len(objects) == len(lines):
                return objects, range(number, number + len(lines))
    objects, numbers = [], []
    for at, line in enumerate(lines, start=number):
        try:
            found = json.loads(line) if line else {}
            if not isinstance(found, dict):
                table.problems.append(f"line {at}: expected an object {{…}}; given {line:.40}")
                continue
        except (ValueError, RecursionError) as error:
            table.problems.append(f"line {at} is {not_json(error)}")
            continue
        if line:
            objects.append(found)
            numbers.append(at)
    return objects, numbers


def _by_key(objects: list[dict[str, Any]], numbers: Sequence[int], table: Table) -> Batch:
    table.late |= set().union(*objects) - set(table.header)
    return Batch({name: [line.get(name) for line in objects] for name in table.header}, numbers)


@contextlib.contextmanager
def open_csv(path: Path) -> Iterator[Table]:
    """Open a CSV file with a header (tabs between cells where it ends in ``.tsv``); it may be compressed (``.gz``).

    Args:
        path: The file.

    Yields:
        Its table.

    Raises:
        DataError: If it cannot be read.
    """
    tabs = ".tsv" in path.suffixes
    try:
        with _text(path) as file:
            lines = csv.reader(file, delimiter="\t" if tabs else ",", strict=True)
            table = Table(next(lines, []), iter(()))
            table.batches = _cells(lines, table)
            yield table
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}.") from error


def _cells(lines: Iterable[list[str]], table: Table) -> Iterator[Batch]:
    width = len(table.header)
    numbered = enumerate(lines, start=1)
    while piece := list(itertools.islice(numbered, max(1, _CELLS // max(1, width)))):
        table.problems += [
            f"row {number}: has {len(cells)} cells; the header has {width}"
            for number, cells in piece
            if cells and len(cells) != width
        ]
        whole = [(number, cells) for number, cells in piece if len(cells) == width]
        if whole:
            columns = zip(*(cells for _, cells in whole), strict=True)
            yield Batch(dict(zip(table.header, columns, strict=True)), [number for number, _ in whole])


@contextlib.contextmanager
def open_parquet(path: Path) -> Iterator[Table]:
    """Open a Parquet file.

    Args:
        path: The file.

    Yields:
        Its table.

    Raises:
        DataError: If it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            header = list(file.schema_arrow.names)
            facts = file.metadata
            size = sum(facts.row_group(index).total_byte_size for index in range(facts.num_row_groups))
            # Rows may hold long lists: as many as are a few megabytes.
            n_rows = max(1, min(_CELLS // max(1, len(header)), _BYTES * facts.num_rows // max(1, size)))
            pieces = (batch.to_pydict() for batch in file.iter_batches(n_rows))
            yield Table(header, _numbered(pieces, 1))
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}.") from error


def _numbered(pieces: Iterable[Mapping[str, Sequence[Any]]], start: int) -> Iterator[Batch]:
    for columns in pieces:
        n_rows = len(next(iter(columns.values()), ()))
        yield Batch(columns, range(start, start + n_rows))
        start += n_rows


@contextlib.contextmanager
def open_frame(frame: Any) -> Iterator[Table]:
    """Take a pandas frame; its index is not read.

    Args:
        frame: A ``pandas.DataFrame``.

    Yields:
        Its table, rows numbered from 0.

    Raises:
        ConfigError: If it is something else.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise ConfigError(
            f"The format pandas takes a DataFrame, from Python: import_run('pandas', frame); given: {_told(frame)}."
        )
    header = [str(name) for name in frame.columns]
    size = max(1, _CELLS // max(1, len(header)))
    pieces = (
        {name: frame.iloc[start : start + size, place].tolist() for place, name in enumerate(header)}
        for start in range(0, len(frame), size)
    )
    yield Table(header, _numbered(pieces, 0))


@contextlib.contextmanager
def open_dataset(dataset: Any) -> Iterator[Table]:
    """Take a ``datasets.Dataset``, also one that is streamed; its own class names of the gold label are known then.

    Args:
        dataset: A ``datasets.Dataset`` or ``datasets.IterableDataset``.

    Yields:
        Its table, rows numbered from 0.

    Raises:
        ConfigError: If it is something else.
    """
    if not all(hasattr(dataset, name) for name in ("iter", "with_format", "column_names", "features")):
        raise ConfigError(
            "The format dataset takes one datasets.Dataset, from Python: import_run('dataset', dataset); "
            f"given: {_told(dataset)}."
        )
    # Numbers as Python has them, whatever the data set is set to give.
    batches = iter(dataset.with_format(None).iter(batch_size=1000))
    first: Mapping[str, Sequence[Any]] = next(batches, {})
    features = dataset.features or {}
    names = (getattr(features.get(name), "names", None) for name in ("gold", "label", "labels"))
    table = Table(list(dataset.column_names or first), _numbered(itertools.chain([first], batches), 0))
    table.label_names = tuple(next((found for found in names if found), ()))
    yield table


def _told(given: Any) -> str:
    return repr(str(given)) if isinstance(given, str | Path) else type(given).__name__
