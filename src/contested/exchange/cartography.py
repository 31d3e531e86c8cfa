"""Dataset Cartography: ``training_dynamics/dynamics_epoch_N.jsonl``, guid, logits and gold of an example a line."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contested.errors import DataError
from contested.exchange.collect import Collector
from contested.exchange.format import Format, new_folder, required, runs_inside
from contested.exchange.records import Record, Recording
from contested.wording import not_json

if TYPE_CHECKING:
    from contested.trajectories.trajectory import Trajectory

_FOLDER = "training_dynamics"
_DURING = (
    "The tool's training script takes the logits of an epoch during it, with dropout on: epoch 0 is not the untrained "
    "model."
)
_NAME = re.compile(r"dynamics_epoch_(\d+)\.jsonl")


def read(source: Path, keep: Container[str] | None, label_names: tuple[str, ...] | None) -> Recording:
    """Read the logits that the tool's training script wrote, line by line.

    Args:
        source: The folder ``training_dynamics``, or the one that holds it.
        keep: Ids that are wanted; None wants all.
        label_names: Not needed: classes are numbered in these files.

    Returns:
        One checkpoint per file, numbered as the files are.

    Raises:
        DataError: If there is no such file, or any line is wrong; all problems at once.
    """
    collector = Collector(keep)
    for epoch, file in _files(source):
        _read_file(file, epoch, collector)
    found = collector.recording(str(source), step_unit="epoch", notes=[_DURING])
    return replace(found, within_epochs=True)


def _files(source: Path) -> list[tuple[int, Path]]:
    folder = source / _FOLDER if (source / _FOLDER).is_dir() else source
    if not folder.is_dir():
        raise DataError(f"{source} is not a folder; expected the folder {_FOLDER} or the one that holds it.")
    matches = [(match, file) for file in folder.iterdir() if (match := _NAME.fullmatch(file.name))]
    files = sorted((int(match[1]), file) for match, file in matches)
    if not files:
        raise DataError(
            f"{folder} holds no file dynamics_epoch_0.jsonl, dynamics_epoch_1.jsonl, …; name another folder."
            f"{runs_inside(folder, _holds)}"
        )
    numbers = [epoch for epoch, _ in files]
    if numbers != list(range(len(files))):
        raise DataError(
            f"{folder} holds the epochs {', '.join(map(str, numbers))}; expected each from 0 to {max(numbers)} once. "
            "Find the missing files, or rename those that are there so that they count from 0."
        )
    return files


def _holds(folder: Path) -> bool:
    return any(folder.glob("dynamics_epoch_*.jsonl")) or any(folder.glob(f"{_FOLDER}/dynamics_epoch_*.jsonl"))


def _read_file(file: Path, epoch: int, collector: Collector) -> None:
    try:
        lines = file.open("rb")
    except OSError as error:
        raise DataError(f"{file} cannot be opened: {error.strerror}.") from error
    with lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{file.name}, line {number}"
            try:
                collector.add(epoch, _record(json.loads(line), f"logits_epoch_{epoch}"), where)
            except (json.JSONDecodeError, RecursionError) as error:
                collector.problems.append(f"{where} is {not_json(error)}")
            except (ValueError, OverflowError) as error:
                collector.problems.append(f"{where}: {error}")


def _record(line: Any, key: str) -> Record:
    if not isinstance(line, dict) or not {"guid", "gold", key} <= line.keys():
        raise ValueError(f"expected an object with guid, {key} and gold; given {json.dumps(line):.60}")
    guid, logits, gold = line["guid"], line[key], line["gold"]
    if not isinstance(guid, int | str) or isinstance(guid, bool):
        raise ValueError(f"guid is {json.dumps(guid):.40}, expected a number or text")
    if not isinstance(logits, list) or not logits or not all(type(value) in {int, float} for value in logits):
        raise ValueError(f"{key} is {json.dumps(logits):.40}, expected a list of numbers")
    if not isinstance(gold, int) or isinstance(gold, bool):
        raise ValueError(f"gold is {json.dumps(gold):.40}, expected the index of a class")
    return Record(str(guid), logits=[float(value) for value in logits], gold=gold)


def write(trajectory: Trajectory, target: Path) -> list[str]:
    """Write a run's logits as the tool's own scripts read them.

    Args:
        trajectory: A run with logits and gold labels.
        target: A new or empty folder; the files are in ``training_dynamics`` in it.

    Returns:
        What the format cannot hold, a sentence each.

    Raises:
        RunError: If the run lacks logits or gold labels, or the folder holds something.
    """
    logits, gold = required(trajectory, "logits", "gold")
    guids = guids_of(trajectory.example_ids.tolist())
    with new_folder(target) as folder:
        (folder / _FOLDER).mkdir()
        for epoch, scores in enumerate(logits):
            with (folder / _FOLDER / f"dynamics_epoch_{epoch}.jsonl").open("w", encoding="utf-8") as file:
                for guid, values, label in zip(guids, scores, gold.tolist(), strict=True):
                    line = {"guid": guid, f"logits_epoch_{epoch}": values.tolist(), "gold": label}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    named = [f"{index} {name}" for index, name in enumerate(trajectory.label_names) if name != str(index)]
    notes = [f"Classes are numbered there: {', '.join(named)}."] if named else []
    steps = trajectory.steps.tolist()
    if steps != list(range(len(steps))):
        unit = trajectory.counted_in
        notes.append(f"Files number the checkpoints: 0 is {unit} {steps[0]}, {len(steps) - 1} is {unit} {steps[-1]}.")
    if isinstance(guids[0], str):
        notes.append("Ids are text; the tool's filtering (train_dy_filtering.py --filter) expects whole numbers.")
    return notes


def guids_of(ids: list[str]) -> list[int] | list[str]:
    """Ids as the tool writes them: its filtering expects whole numbers.

    Args:
        ids: The examples' ids.

    Returns:
        Numbers where every id is a number as Python writes it, else the ids.
    """
    if all(re.fullmatch(r"0|-?[1-9][0-9]{0,17}", name) for name in ids):
        return [int(name) for name in ids]
    return ids


FORMAT = Format(
    name="cartography",
    summary="Dataset Cartography's folder training_dynamics: logits and gold labels of each epoch",
    read=read,
    write=write,
)
