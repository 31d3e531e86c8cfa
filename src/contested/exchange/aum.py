"""AUM's files: the margin of each example's label at each checkpoint, and its mean so far.

Of two classes the label's logit and the highest other one are all logits; of more they are not.
"""

from __future__ import annotations

import csv
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from contested.errors import ConfigError, DataError
from contested.exchange.collect import Collector
from contested.exchange.format import Format, new_folder, required
from contested.exchange.records import Record, Recording
from contested.exchange.table_columns import as_number
from contested.exchange.table_files import open_csv
from contested.wording import listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contested.trajectories.trajectory import Trajectory

_FILE = "full_aum_records.csv"
_VALUES = "aum_values.csv"
_COLUMNS = ("sample_id", "num_measurements", "target_logit", "target_val", "other_logit", "other_val")


def read(source: Path, keep: Container[str] | None, label_names: tuple[str, ...] | None) -> Recording:
    """Read the records of a task with two classes, row by row.

    Args:
        source: The file, or the folder that holds it.
        keep: Ids that are wanted; None wants all.
        label_names: The two classes in the order of the logits.

    Returns:
        One checkpoint per measurement; the gold label is the one whose margin was measured.

    Raises:
        ConfigError: If the names of two classes are not given.
        DataError: If the file cannot be used as given; all problems at once.
    """
    if label_names is None or len(label_names) != 2:
        given = "none" if label_names is None else listed(label_names)
        raise ConfigError(
            "AUM keeps the logit of the label and the highest other one. With two classes these are all logits, with "
            "more neither logits nor losses follow from them, and there is no trajectory to import. Give --label-names "
            f"with two names in the order of the logits; given: {given}."
        )
    file = source / _FILE if source.is_dir() else source
    collector = Collector(keep)
    with open_csv(file) as table:
        _check(file, table.header)
        for batch in table.batches:
            for row, number in enumerate(batch.numbers):
                _add(collector, {name: batch.columns[name][row] for name in _COLUMNS}, f"row {number}")
            collector.problems += table.problems
            table.problems.clear()
    return collector.recording(str(file), step_unit="epoch")


def _check(file: Path, header: list[str]) -> None:
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        only = " aum_values.csv holds one final number per example, which is no trajectory." if "aum" in header else ""
        raise DataError(f"{file} lacks the columns {listed(missing)}; expected {_FILE}.{only}")


def _add(collector: Collector, cells: Mapping[str, str], where: str) -> None:
    try:
        measurement, target, other = (as_number(name, cells[name]) for name in (_COLUMNS[1], _COLUMNS[2], _COLUMNS[4]))
        if not measurement.is_integer() or {target, other} != {0, 1}:
            raise ValueError(
                f"num_measurements, target_logit and other_logit are {measurement:g}, {target:g} and {other:g}; "
                "expected a whole number and the classes 0 and 1"
            )
        values = [as_number("target_val", cells["target_val"]), as_number("other_val", cells["other_val"])]
        logits = values if target == 0 else values[::-1]
        collector.add(int(measurement), Record(cells["sample_id"], logits=logits, gold=int(target)), where)
    except (ValueError, OverflowError) as error:
        collector.problems.append(f"{where}: {error}")


def write(trajectory: Trajectory, target: Path) -> list[str]:
    """Write a run's margins as the tool does: ``full_aum_records.csv`` and ``aum_values.csv``.

    Args:
        trajectory: A run with logits and gold labels.
        target: A new or empty folder.

    Returns:
        What the files cannot hold, a sentence each.

    Raises:
        RunError: If the run lacks logits or gold labels, or the folder holds something.
    """
    logits, gold = required(trajectory, "logits", "gold")
    ids = trajectory.example_ids.tolist()
    with new_folder(target) as folder:
        with (folder / _FILE).open("w", encoding="utf-8", newline="") as file:
            values = _write_records(file, ids, logits, gold)
        with (folder / _VALUES).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("sample_id", "aum"))
            # The tool's file begins with the highest.
            writer.writerows((ids[row], values[row]) for row in sorted(range(len(ids)), key=lambda row: -values[row]))
    unit, steps = trajectory.counted_in, trajectory.steps
    notes = [f"Files number the checkpoints: 1 is {unit} {steps[0]}, {len(steps)} is {unit} {steps[-1]}."]
    if logits.shape[2] > 2:
        notes.append("Of more than two classes the files hold two logits each, from which no run can be made again.")
    return notes


def _write_records(file: TextIO, ids: list[str], logits: NDArray[np.float32], gold: NDArray[np.int64]) -> list[float]:
    """Write the records, an example after the other, and give each one's margin over all checkpoints."""
    import numpy as np

    writer = csv.writer(file)
    writer.writerow((*_COLUMNS, "margin", "aum"))
    counts = np.arange(1, len(logits) + 1)
    values = []
    for row, (name, label) in enumerate(zip(ids, gold.tolist(), strict=True)):
        scores = logits[:, row].astype(np.float64)
        others = scores.copy()
        others[:, label] = -np.inf
        best = others.argmax(axis=1)
        target, other = scores[:, label], others.max(axis=1)
        so_far = np.cumsum(target - other) / counts
        columns = (counts, target, best, other, target - other, so_far)
        number, *rest = (column.tolist() for column in columns)
        writer.writerows((name, n, label, *values) for n, *values in zip(number, *rest, strict=True))
        values.append(float(so_far[-1]))
    return values


FORMAT = Format(
    name="aum",
    summary="AUM's full_aum_records.csv (read where the task has two classes) and aum_values.csv",
    read=read,
    write=write,
)
