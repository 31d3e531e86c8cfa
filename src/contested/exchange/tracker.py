"""The paper's tracker: one JSON file with each example's losses, checkpoint by checkpoint."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contested.errors import DataError
from contested.exchange.collect import Collector
from contested.exchange.format import Format, runs_inside
from contested.exchange.records import Recording, Rows
from contested.wording import counted, listed, not_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STEPS = "tracking_steps"
_EXPECTED = "an object with records: each example's id to its losses and true_label"
_SHOWN = 10


def read(source: Path, keep: Container[str] | None, label_names: tuple[str, ...] | None) -> Recording:
    """Read losses and gold labels; the steps are in the results file beside it.

    Args:
        source: The tracker's JSON file, or a folder in which it is the only one.
        keep: Ids that are wanted; None wants all.
        label_names: Not needed: classes are numbered in this file.

    Returns:
        One checkpoint per loss of an example. Their steps are the ``tracking_steps`` of a JSON file in the same
        folder; where there is none with as many, checkpoints are numbered.

    Raises:
        DataError: If the file cannot be used as given, or several results files have different steps; all problems
            at once.
    """
    file, records = _records(source)
    losses, gold, problems = _columns(records)
    if problems:
        raise DataError(f"{file} cannot be read as a tracker's file: expected {_EXPECTED}.", problems)
    steps, notes = _steps(file, len(losses))
    collector = Collector(keep)
    ids = list(records)
    for index, checkpoint in enumerate(losses):
        rows = Rows(steps=_full(len(ids), index if steps is None else steps[index]), ids=ids, losses=checkpoint)
        collector.add_rows(rows._replace(gold=gold), lambda row: f"record {ids[row]!r}")
    unit = None if steps is None else "step"
    notes += _unread(records, joined=keep is not None)
    found = collector.recording(str(file), step_unit=unit, notes=notes)
    return replace(found, entropy=[_entropy(records[name]) for name in found.ids])


def _entropy(record: Any) -> float | None:
    value = record.get("annotation_entropy")
    return float(value) if type(value) in {int, float} else None


def _full(n: int, value: int) -> NDArray[np.int64]:
    import numpy as np

    return np.full(n, value, np.int64)


def _records(source: Path) -> tuple[Path, dict[str, Any]]:
    """The tracker's file and its records."""
    files = sorted(source.glob("*.json")) if source.is_dir() else [source]
    read = {file: _json(file) for file in files}
    found = {
        file: content["records"]
        for file, content in read.items()
        if isinstance(content, dict) and isinstance(content.get("records"), dict) and content["records"]
    }
    if len(found) != 1:
        given = f"{len(found)} ({listed(file.name for file in found)})" if found else "none"
        where = f"{source} holds {given} of them" if source.is_dir() else f"{source} is none"
        inside = runs_inside(source, lambda folder: any(folder.glob("*.json"))) if source.is_dir() and not found else ""
        raise DataError(f"Expected a tracker's file, {_EXPECTED}; {where}. Name one file.{inside}")
    return next(iter(found.items()))


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file} cannot be opened: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is {not_json(error)}.") from error


def _columns(
    records: Mapping[str, Any],
) -> tuple[NDArray[np.float64], list[int | str | None], list[str]]:
    """Losses (T, N), gold labels, and what is wrong with single records, the first few in full."""
    import numpy as np

    length = max((len(_losses(record)) for record in records.values()), default=0)
    problems = [f"{name!r}: {problem}" for name, record in records.items() if (problem := _wrong(record, length))]
    if len(problems) > _SHOWN:
        problems[_SHOWN:] = [f"and {len(problems) - _SHOWN:,} more records"]
    if problems or not length:
        return np.zeros((0, 0)), [], problems or ["no record has losses"]
    losses = np.array([record["losses"] for record in records.values()], np.float64).T
    return losses, [record.get("true_label") for record in records.values()], []


def _losses(record: Any) -> list[Any]:
    losses = record.get("losses") if isinstance(record, dict) else None
    return losses if isinstance(losses, list) else []


def _wrong(record: Any, length: int) -> str:
    losses = _losses(record)
    if len(losses) != length:
        return f"{len(losses)} losses, where another example has {length}"
    if not all(type(value) in {int, float} for value in losses):
        return f"losses are {json.dumps(losses):.40}, expected a list of numbers"
    label = record.get("true_label")
    if label is not None and (not isinstance(label, int | str) or isinstance(label, bool)):
        return f"true_label is {json.dumps(label):.40}, expected the index or the name of a class"
    return ""


def _steps(tracker: Path, n_checkpoints: int) -> tuple[list[int] | None, list[str]]:
    """The steps that a file beside the tracker's has, and what is to be said of them."""
    found: dict[tuple[int, ...], str] = {}
    others: dict[str, int] = {}
    for file in sorted(tracker.parent.glob("*.json")):
        for listed_steps in _lists_of_steps(_json(file)) if file != tracker else ():
            if len(listed_steps) == n_checkpoints:
                found.setdefault(tuple(listed_steps), file.name)
            else:
                others[file.name] = len(listed_steps)
    if len(found) > 1:
        raise DataError(
            f"The files {listed(found.values())} beside {tracker} have different {_STEPS}, and which belong to it "
            "cannot be known. Put it into a folder of its own, together with its results file."
        )
    if found:
        ((steps, name),) = found.items()
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise DataError(f"The {_STEPS} of {name} do not rise: {listed(steps)}; expected one step per checkpoint.")
        return list(steps), [f"Steps are the {_STEPS} of {name}."]
    told = [f"{name} has {n}" for name, n in others.items()]
    return None, [
        f"No JSON file beside {tracker.name} has {_STEPS} for its {counted(n_checkpoints, 'checkpoint')}"
        f"{f' ({listed(told)})' if told else ''}: they are numbered from 1. The results file of the run has them."
    ]


def _lists_of_steps(content: Any) -> Iterator[list[int]]:
    """Every list of whole numbers under the name, however deep it lies."""
    inside = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    if isinstance(content, dict):
        steps = content.get(_STEPS)
        if isinstance(steps, list) and steps and all(type(step) is int for step in steps):
            yield steps
    for part in inside:
        if isinstance(part, dict | list):
            yield from _lists_of_steps(part)


def _unread(records: Mapping[str, Any], *, joined: bool) -> list[str]:
    """What the file has and a run cannot use; entropies are compared with annotations that are joined."""
    reasons = {
        "predictions": "without logits they are not enough for a measure",
        "gradient_norms": "the file does not say of which weights",
    }
    if not joined:
        reasons["annotation_entropy"] = "its unit is not said; it follows from counts, given with --annotations"
    there = [name for name in reasons if any(_given(record.get(name)) for record in records.values())]
    return [f"Not read: {'; '.join(f'{name} ({reasons[name]})' for name in there)}."] if there else []


def _given(value: Any) -> bool:
    return value is not None and value != []


FORMAT = Format(
    name="tracker",
    summary="the paper's tracker: one JSON file of losses by example, with its results file beside it",
    read=read,
)
