"""Long tables, CSV or Parquet: one row per example and checkpoint, with logits, losses or both."""

from __future__ import annotations

import csv
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contested.errors import DataError
from contested.exchange.collect import Collector, Record, Recording
from contested.exchange.format import Format, new_file
from contested.wording import listed

if TYPE_CHECKING:
    from contested.trajectories.trajectory import Trajectory

_LOGIT = "logit_"
_EXPECTED = (
    "expected example_id, step or epoch, and loss, or one column of logits per class (logit_<class>), or both; gold "
    "(class index or name) may stand beside them"
)


@dataclass(frozen=True)
class _Columns:
    """Where everything stands in a row.

    Attributes:
        unit: The column of the checkpoint: ``step`` or ``epoch``.
        logits: Columns of logits in the order of the classes; empty where there are none.
        loss: Whether there is a column ``loss``.
        gold: Whether there is a column ``gold``.
        label_names: Names of the classes in that order; empty where they are numbers.
    """

    unit: str
    logits: tuple[str, ...]
    loss: bool
    gold: bool
    label_names: tuple[str, ...]

    def record(self, row: Mapping[str, Any]) -> Record:
        """What a row says of an example."""
        name = row["example_id"]
        if not isinstance(name, int | str) or isinstance(name, bool) or name == "":
            raise ValueError(f"example_id is {name!r:.40}, expected text or a whole number")
        return Record(
            str(name),
            logits=[as_number(column, row[column]) for column in self.logits] or None,
            loss=as_number("loss", row["loss"]) if self.loss else None,
            gold=self._gold(row["gold"]) if self.gold else None,
        )

    def _gold(self, value: Any) -> int | str | None:
        if value is None or value == "":
            return None
        if isinstance(value, int) or (str(value).isdecimal() and value not in self.label_names):
            return int(value)
        return str(value)


def as_number(column: str, value: Any) -> float:
    """A cell as a number; a ValueError says which column holds none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{column} is {value!r:.40}, expected a number") from None


def _columns(header: Sequence[str], label_names: tuple[str, ...] | None, source: Path) -> _Columns:
    units = [name for name in ("step", "epoch") if name in header]
    classes = [name.removeprefix(_LOGIT) for name in header if name.startswith(_LOGIT)]
    problems = [f"the column {name} is there more than once" for name in sorted(set(header)) if header.count(name) > 1]
    if "example_id" not in header:
        problems.append("there is no column example_id")
    if len(units) != 1:
        problems.append(f"there are the columns {' and '.join(units)}" if units else "there is no column step or epoch")
    if not classes and "loss" not in header:
        problems.append(f"there is neither a column loss nor one that begins with {_LOGIT}")
    numbers = [str(index) for index in range(len(classes))]
    numbered = sorted(classes) == sorted(numbers)
    if label_names and classes and not numbered and sorted(classes) != sorted(label_names):
        problems.append(f"columns of logits are of {listed(classes)}; the label names are {listed(label_names)}")
    if problems:
        raise DataError(
            f"{source} cannot be read as a long table: {_EXPECTED}; its columns are {listed(header)}.", problems
        )
    by_name = label_names if label_names and sorted(classes) == sorted(label_names) else None
    ordered = by_name or (numbers if numbered else classes)
    names = label_names or (() if numbered else tuple(classes))
    logits = tuple(_LOGIT + name for name in ordered) if classes else ()
    return _Columns(units[0], logits, "loss" in header, "gold" in header, names)


def _read(
    source: Path,
    header: Sequence[str],
    rows: Iterable[tuple[int, Mapping[str, Any] | str]],
    *,
    keep: Container[str] | None,
    label_names: tuple[str, ...] | None,
) -> Recording:
    """Collect rows, each with its number; a text in place of a row is what is wrong with it."""
    columns = _columns(header, label_names, source)
    collector = Collector(keep)
    for number, row in rows:
        where = f"row {number}"
        try:
            if isinstance(row, str):
                raise ValueError(row)
            step = as_number(columns.unit, row[columns.unit])
            if not step.is_integer():
                raise ValueError(f"{columns.unit} is {row[columns.unit]!r}, expected a whole number")
            collector.add(int(step), columns.record(row), where)
        except (ValueError, OverflowError) as error:
            collector.problems.append(f"{where}: {error}")
    return collector.recording(str(source), step_unit=columns.unit, label_names=columns.label_names)


def read_csv(source: Path, keep: Container[str] | None, label_names: tuple[str, ...] | None) -> Recording:
    """Read a CSV file row by row.

    Args:
        source: The file, with a header.
        keep: Ids that are wanted; None wants all.
        label_names: The classes in their order; None takes them as the columns are ordered or numbered.

    Returns:
        The recording.

    Raises:
        DataError: If the file cannot be used as given; all problems at once.
    """
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            return _read(source, header, csv_rows(header, lines), keep=keep, label_names=label_names)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{source} cannot be read as CSV: {error}.") from error


def csv_rows(header: list[str], lines: Iterable[list[str]]) -> Iterator[tuple[int, Mapping[str, str] | str]]:
    """Rows with their numbers; a text in place of a row says what is wrong with it."""
    for number, cells in enumerate(lines, start=1):
        if len(cells) == len(header):
            yield number, dict(zip(header, cells, strict=True))
        elif cells:
            yield number, f"has {len(cells)} cells; the header has {len(header)}"


def read_parquet(source: Path, keep: Container[str] | None, label_names: tuple[str, ...] | None) -> Recording:
    """Read a Parquet file batch by batch.

    Args:
        source: The file.
        keep: Ids that are wanted; None wants all.
        label_names: The classes in their order; None takes them as the columns are ordered or numbered.

    Returns:
        The recording.

    Raises:
        DataError: If the file cannot be used as given; all problems at once.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source) as file:
            header = list(file.schema_arrow.names)
            batches = (row for batch in file.iter_batches(10_000) for row in batch.to_pylist())
            return _read(source, header, enumerate(batches, start=1), keep=keep, label_names=label_names)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{source} cannot be read as Parquet: {error}.") from error


def write_csv(trajectory: Trajectory, target: Path) -> list[str]:
    """Write a run as a CSV file, one checkpoint after the other.

    Args:
        trajectory: Any run.
        target: A new file.

    Returns:
        What the table does not hold.

    Raises:
        RunError: If the file exists or cannot be written.
    """
    with new_file(target) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for index, columns in enumerate(_checkpoints(trajectory)):
            if index == 0:
                writer.writerow(columns)
            writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return _lost(trajectory)


def write_parquet(trajectory: Trajectory, target: Path) -> list[str]:
    """Write a run as a Parquet file, a row group per checkpoint.

    Args:
        trajectory: Any run.
        target: A new file.

    Returns:
        What the table does not hold.

    Raises:
        RunError: If the file exists or cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = (pa.table(columns) for columns in _checkpoints(trajectory))
    first = next(tables)
    with new_file(target) as path, pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)
    return _lost(trajectory)


def _checkpoints(trajectory: Trajectory) -> Iterator[dict[str, Any]]:
    import numpy as np

    names, gold = trajectory.label_names, trajectory.gold
    labels = None if gold is None else np.array(names, dtype=object)[gold] if names else gold
    for index, step in enumerate(trajectory.steps):
        columns: dict[str, Any] = {
            "example_id": trajectory.example_ids,
            trajectory.step_unit: np.full(len(trajectory.example_ids), step),
        }
        if labels is not None:
            columns["gold"] = labels
        if trajectory.losses is not None:
            columns["loss"] = trajectory.losses[index]
        if trajectory.logits is not None:
            columns |= {_LOGIT + name: trajectory.logits[index, :, row] for row, name in enumerate(names)}
        yield columns


def _lost(trajectory: Trajectory) -> list[str]:
    held = {"label_counts": "annotators' labels"} | {name: name for name in trajectory.text_columns}
    gone = [told for name, told in held.items() if name in trajectory.examples]
    return [f"Not in the table: {listed(gone)}."] if gone else []


CSV = Format(
    name="csv",
    summary="a long table: example_id, step or epoch, gold, loss, logit_<class>",
    read=read_csv,
    write=write_csv,
)
PARQUET = Format(name="parquet", summary="the same table as Parquet", read=read_parquet, write=write_parquet)
