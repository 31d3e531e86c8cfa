"""Tables of logits, probabilities or losses: JSONL, CSV, Parquet, pandas' frames and data sets, long or wide."""

from __future__ import annotations

import csv
import functools
import json
import re
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from contested.errors import DataError
from contested.exchange.collect import Collector
from contested.exchange.format import Format, Reader, new_file, not_held, runs_inside
from contested.exchange.records import Recording
from contested.exchange.table_files import (
    Batch,
    Opener,
    Table,
    open_csv,
    open_dataset,
    open_frame,
    open_jsonl,
    open_parquet,
)
from contested.exchange.table_header import Meaning, meaning
from contested.wording import listed

if TYPE_CHECKING:
    import pandas as pd

    from contested.trajectories.trajectory import Trajectory

_CHECKPOINT = re.compile(r"(?:^|[^a-z])(global[-_]?step|step|checkpoint|epoch)[-_=]?(\d+)(?!\d)", re.IGNORECASE)


class _Part(NamedTuple):
    """One table of several.

    Attributes:
        source: A file, or what stands in its place.
        name: Its name, for messages; empty where it is the only one.
        unit: What its number counts; empty where nothing says one.
        number: The checkpoint that its name tells.
    """

    source: Any
    name: str
    unit: str = ""
    number: int | None = None


def read_tables(
    source: Any,
    keep: Container[str] | None,
    label_names: tuple[str, ...] | None,
    *,
    open_: Opener,
    suffixes: Sequence[str],
) -> Recording:
    """Read a table piece by piece, or a folder of tables one after the other.

    Args:
        source: A file, a folder, or whatever ``open_`` takes.
        keep: Ids that are wanted; None wants all.
        label_names: The classes in their order; None takes them as the columns are ordered or numbered.
        open_: What opens it.
        suffixes: How the files of a folder end.

    Returns:
        The recording.

    Raises:
        DataError: If the source cannot be used as given; all problems at once.
    """
    collector = Collector(keep)
    told: list[tuple[str, tuple[str, ...]]] = []
    unread: dict[str, None] = {}
    parts = _parts(source, suffixes)
    for part in parts:
        with open_(part.source) as table:
            if table.problems and not table.header:
                raise DataError(f"{_named(part.source)} cannot be read as a table:", table.problems)
            said = meaning(table.header, label_names or table.label_names or None, part.number, _named(part.source))
            if not said.step_unit and not part.unit and len(parts) > 1:
                raise _without_number(part)
            _collect(collector, table, said, part.name)
            unread |= dict.fromkeys(name for name in (*table.header, *sorted(table.late)) if name not in said.used)
        told.append((said.step_unit or part.unit, said.label_names))
    unit, names = _same(source, told)
    notes = [f"Not read: the column{'s' * (len(unread) > 1)} {listed(unread)}."] if unread else []
    return collector.recording(_named(source), step_unit=unit or None, label_names=names, notes=notes)


def _named(source: Any) -> str:
    return str(source) if isinstance(source, Path) else f"the {type(source).__name__}"


def _parts(source: Any, suffixes: Sequence[str]) -> list[_Part]:
    if not isinstance(source, Path) or not source.is_dir():
        return [_Part(source, "")]
    endings = tuple(f"{suffix}{more}" for suffix in suffixes for more in ("", ".gz"))
    files = _ending(source, endings)
    if not files:
        inside = runs_inside(source, lambda folder: bool(_ending(folder, endings)))
        raise DataError(f"{source} is a folder without a file *{suffixes[0]}. Name a file, or another folder.{inside}")
    return [_Part(file, file.name, *_number(file.name)) for file in files]


def _ending(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.name.endswith(endings) and not file.name.startswith(".")]


def _number(name: str) -> tuple[str, int | None]:
    """What the name of a file counts, and the number of its checkpoint."""
    found = _CHECKPOINT.search(name)
    if found is None:
        return "", None
    return "epoch" if found[1].lower() == "epoch" else "step", int(found[2])


def _without_number(part: _Part) -> DataError:
    return DataError(
        f"{part.source} says no checkpoint: it has no column step or epoch, and its name no number such as step-100, "
        "checkpoint-100 or epoch-1. Rename the files; or if each of them is a run of its own, such as of another seed, "
        "import the folder with --each."
    )


def _same(source: Any, told: list[tuple[str, tuple[str, ...]]]) -> tuple[str, tuple[str, ...]]:
    """The unit and the class names on which all tables of a folder agree."""
    units, names = (list(dict.fromkeys(each)) for each in zip(*told, strict=True))
    if len(units) > 1 or len(names) > 1:
        found = [" and ".join(unit or "nothing" for unit in units)] if len(units) > 1 else []
        found += [" and ".join(listed(each) or "none" for each in names)] if len(names) > 1 else []
        raise DataError(f"The files of {source} differ in what counts their checkpoints or in their classes:", found)
    return units[0], names[0]


def _collect(collector: Collector, table: Table, said: Meaning, name: str) -> None:
    unit = f"{name}, {table.unit}" if name else table.unit
    for batch in table.batches:
        collector.problems += [f"{name}, {problem}" if name else problem for problem in table.problems]
        table.problems.clear()
        if batch.numbers:
            _collect_batch(collector, said, batch, unit)
    collector.problems += [f"{name}, {problem}" if name else problem for problem in table.problems]


def _collect_batch(collector: Collector, said: Meaning, batch: Batch, unit: str) -> None:
    try:
        many = said.layout.many(batch.columns)
    except (ValueError, TypeError, OverflowError):
        # One row by itself says what is wrong with it.
        many = None
    for rows in many or ():
        collector.add_rows(rows, lambda row: f"{unit} {batch.numbers[row]}")
    for row, number in enumerate(batch.numbers if many is None else ()):
        try:
            for step, record in said.layout.single({column: batch.columns[column][row] for column in said.used}):
                collector.add(step, record, f"{unit} {number}")
        except (ValueError, TypeError, OverflowError) as error:
            collector.problems.append(f"{unit} {number}: {error}")


def _reader(open_: Opener, *suffixes: str) -> Reader:
    return functools.partial(read_tables, open_=open_, suffixes=suffixes)


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
    return not_held(trajectory, "the table")


def write_jsonl(trajectory: Trajectory, target: Path) -> list[str]:
    """Write a run as a file of JSON objects, one checkpoint after the other.

    Args:
        trajectory: Any run.
        target: A new file.

    Returns:
        What the table does not hold.

    Raises:
        RunError: If the file exists or cannot be written.
    """
    with new_file(target) as path, path.open("w", encoding="utf-8") as file:
        for columns in _checkpoints(trajectory):
            for values in zip(*(column.tolist() for column in columns.values()), strict=True):
                line = dict(zip(columns, values, strict=True))
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return not_held(trajectory, "the table")


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
    return not_held(trajectory, "the table")


def to_frame(trajectory: Trajectory) -> pd.DataFrame:
    """Give a run as the table that the formats of this module write.

    ``datasets.Dataset.from_pandas`` makes a data set of it.

    Args:
        trajectory: Any run.

    Returns:
        One row per example and checkpoint: example_id, step or epoch (or both), gold (class name, or index where the
        classes have no names), loss (nats), ``logit_<class>``; columns that the run does not know are not there.

    Examples:
        >>> from contested.trajectories import Trajectory
        >>> run = Trajectory.from_arrays(losses=[[0.7, 0.7], [0.1, 1.2]], ids=["a", "b"], steps=[0, 100])
        >>> to_frame(run)["loss"].tolist()
        [0.7, 0.7, 0.1, 1.2]
    """
    import pandas as pd

    return pd.concat([pd.DataFrame(columns) for columns in _checkpoints(trajectory)], ignore_index=True)


def _checkpoints(trajectory: Trajectory) -> Iterator[dict[str, Any]]:
    import numpy as np

    names, gold = trajectory.label_names, trajectory.gold
    labels = None if gold is None else np.array(names, dtype=object)[gold] if names else gold
    with_epochs = trajectory.step_unit == "step" and bool(np.isfinite(trajectory.epochs).all())
    for index, step in enumerate(trajectory.steps):
        n_examples = len(trajectory.example_ids)
        columns: dict[str, Any] = {
            "example_id": trajectory.example_ids,
            trajectory.step_unit: np.full(n_examples, step),
        }
        if with_epochs:
            columns["epoch"] = np.full(n_examples, trajectory.epochs[index])
        if labels is not None:
            columns["gold"] = labels
        if trajectory.losses is not None:
            columns["loss"] = trajectory.losses[index]
        if trajectory.logits is not None:
            columns |= {f"logit_{name}": trajectory.logits[index, :, row] for row, name in enumerate(names)}
        yield columns


_COLUMNS = "example_id, step or epoch, gold, and loss, logits or probs"

JSONL = Format(
    name="jsonl",
    summary=f"one JSON object per example and checkpoint, or per example: {_COLUMNS}",
    read=_reader(open_jsonl, ".jsonl", ".ndjson"),
    write=write_jsonl,
)
CSV = Format(name="csv", summary="the same table as CSV", read=_reader(open_csv, ".csv", ".tsv"), write=write_csv)
PARQUET = Format(
    name="parquet",
    summary="the same table as Parquet",
    read=_reader(open_parquet, ".parquet", ".pq"),
    write=write_parquet,
)
PANDAS = Format(name="pandas", summary="the same table as a DataFrame, from Python", read=_reader(open_frame))
DATASET = Format(
    name="dataset", summary="the same table as a datasets.Dataset, from Python", read=_reader(open_dataset)
)
