"""What the values of a manifest, and the lines of its growing files, must be: checked before anything reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, get_args

from contested.trajectories import layout
from contested.wording import shown

_LARGEST = 2**53
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Kind(NamedTuple):
    """A kind of value: what it is called, and whether a value is of it."""

    name: str
    holds: Callable[[Any], bool]


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and math.isfinite(value) and abs(value) < 1e300


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


_TEXT = _Kind("a text", lambda value: isinstance(value, str))
_NAME = _Kind("a text that is not empty", lambda value: isinstance(value, str) and bool(value))
_TEXTS = _Kind("a list of texts", _is_texts)
_RATINGS = _Kind("a list of numbers", lambda value: isinstance(value, list) and all(map(_is_number, value)))
_COUNT = _Kind("a whole number from 0", _is_count)
_NUMBER = _Kind("a number", _is_number)
_KEYS = _Kind("keys and values", lambda value: isinstance(value, dict))
_STATUS = _Kind(
    f"one of {', '.join(layout.STATUSES)}",
    lambda value: isinstance(value, str) and value in {*layout.STATUSES, *layout.FORMER_STATUSES},
)
_UNIT = _Kind("step or epoch", lambda value: isinstance(value, str) and value in get_args(layout.StepUnit))

# Dotted key -> what it holds, where it is there. What is not named here is shown as it is, or not read.
_KINDS: Mapping[str, _Kind] = {
    "run_id": _NAME,
    "status": _STATUS,
    "step_unit": _UNIT,
    **dict.fromkeys(("created_at", "started_at", "finished_at", "error", "ended_by"), _TEXT),
    **dict.fromkeys(("label_names", "text_columns", "category_names", "tracked_splits", "notes"), _TEXTS),
    "planned_steps": _COUNT,
    **dict.fromkeys(("origin", "identity", "identity.config", "config", "config.method", "counts", "alert"), _KEYS),
    **dict.fromkeys(("provenance", "categories_by", "checks", "checks.engine", "checks.weights"), _KEYS),
    **dict.fromkeys(("origin.kind", "origin.steps", "origin.losses", "origin.checkpoints"), _TEXT),
    "identity.version": _COUNT,
    "origin.without_annotations": _COUNT,
    "origin.not_recorded": _COUNT,
    "categories_by.by": _TEXT,
    "categories_by.scale": _RATINGS,
    "alert.level": _NUMBER,
    "alert.margin": _NUMBER,
    "alert.clusters": _TEXT,
}
_REQUIRED = frozenset({"run_id", "status"})
_NULLABLE = frozenset(
    {
        *("created_at", "started_at", "finished_at", "error", "ended_by", "planned_steps", "config"),
        *("config.method", "identity.config", "alert", "alert.level", "alert.clusters"),
    }
)
_LISTS_OF_STEPS = ("checkpoints", "alarms")


def content_problems(manifest: Mapping[str, Any]) -> list[str]:
    """What is wrong with the values of a manifest.

    Args:
        manifest: Its content, whatever wrote it.

    Returns:
        A sentence for each value that is of another kind than what reads it expects.
    """
    problems = list(_of_keys(manifest))
    for name in _LISTS_OF_STEPS:
        problems += _of_steps(manifest.get(name, []), name)
    for number, entry in enumerate(manifest["checkpoints"] if isinstance(manifest["checkpoints"], list) else []):
        if isinstance(entry, dict) and not _is_known(entry.get("epoch", "nothing")):
            problems.append(
                f"checkpoints[{number}].epoch: expected a number, got {shown(entry.get('epoch', 'nothing'))}"
            )
    problems += _of_counts(manifest.get("counts"))
    return problems + list(_of_files(manifest.get(layout.FILES, {})))


def metrics_problems(line: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a line of metrics.jsonl: its values are numbers, or unknown.

    Args:
        line: The line.

    Yields:
        A sentence a problem.
    """
    for name, value in line.items():
        # A run may keep a remark beside its numbers, but none in their place.
        if value is not None and not isinstance(value, bool) and not _is_number(value) and not _is_remark(name, value):
            yield f"{name}: expected a number, got {shown(value)}"


def alignment_problems(line: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a line of alignment.jsonl: names, counts and norms of groups, and every pair's cosine.

    Args:
        line: The line.

    Yields:
        A sentence a problem.
    """
    groups = line.get("groups")
    if not _is_texts(groups):
        yield f"groups: expected a list of texts, got {shown(groups)}"
        return
    n = len(groups) if isinstance(groups, list) else 0
    kinds: dict[str, tuple[str, bool]] = {
        "counts": ("whole numbers", _is_row(line.get("counts"), n, _is_count)),
        "norms": ("numbers", _is_row(line.get("norms"), n, _is_known)),
        "cosines": ("rows of numbers", _is_row(line.get("cosines"), n, lambda row: _is_row(row, n, _is_known))),
    }
    for name, (what, right) in kinds.items():
        if not right:
            yield f"{name}: expected {n} {what}, one per group, got {shown(line.get(name))}"
    if not _is_texts(line.get("notes")):
        yield f"notes: expected a list of texts, got {shown(line.get('notes'))}"
    yield from gradient_facts_problems(line)


def gradient_facts_problems(facts: Any) -> Iterator[str]:
    """What is wrong with what a probe says of itself: whether the head counts, and in which mode it was made.

    Args:
        facts: What it says.

    Yields:
        A sentence a problem.
    """
    if not isinstance(facts, Mapping):
        yield f"expected an object with head and mode, got {shown(facts)}"
        return
    if not isinstance(facts.get("head"), bool):
        yield f"head: expected true or false, got {shown(facts.get('head'))}"
    if not isinstance(facts.get("mode"), str):
        yield f"mode: expected a text, got {shown(facts.get('mode'))}"


def is_step(value: Any) -> bool:
    """Whether a value is a number of steps."""
    return _is_count(value)


def _is_known(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_row(value: Any, n: int, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) == n and all(map(holds, value))


_NUMBERS = frozenset({"step", "epoch", "train_loss", "lr", "val_accuracy", "seconds", "skipped"})


def _is_remark(name: str, value: Any) -> bool:
    return isinstance(value, str) and name not in _NUMBERS and not name.endswith("_seconds")


def _of_keys(manifest: Mapping[str, Any]) -> Iterator[str]:
    for key, kind in _KINDS.items():
        *parents, last = key.split(".")
        holder: Any = manifest
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or (last not in holder and key not in _REQUIRED):
            continue
        value = holder.get(last)
        if not kind.holds(value) and not (value is None and key in _NULLABLE):
            yield f"{key}: expected {kind.name}, got {shown(value)}"


def _of_steps(entries: Any, name: str) -> Iterator[str]:
    if not isinstance(entries, list):
        yield f"{name}: expected a list, got {shown(entries)}"
        return
    last = -1
    for number, entry in enumerate(entries):
        step: Any = entry.get("step") if isinstance(entry, dict) else None
        if not _is_count(step):
            yield f"{name}[{number}]: expected an object with a step, got {shown(entry)}"
            return
        if name == "checkpoints" and step <= last:
            yield f"{name}[{number}].step: expected more than {last}, got {step}"
        last = step


def _of_counts(counts: Any) -> Iterator[str]:
    for name, value in counts.items() if isinstance(counts, dict) else ():
        if not _is_number(value):
            yield f"counts.{name}: expected a number, got {shown(value)}"


def _of_files(files: Any) -> Iterator[str]:
    if not isinstance(files, dict):
        yield f"{layout.FILES}: expected keys and values, got {shown(files)}"
        return
    for name, entry in files.items():
        if name.startswith("/") or "\\" in name or "\0" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
            yield f"{layout.FILES}: expected paths within the folder, got {shown(name)}"
        size, digest = (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
        if not (_is_count(size) and isinstance(digest, str) and _SHA256.fullmatch(digest)):
            yield f"{layout.FILES}.{name}: expected bytes and sha256, got {shown(entry)}"
