"""Records of single examples, one after the other, gathered into arrays of checkpoints and examples."""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.errors import DataError

_LISTED = 10


class Record(NamedTuple):
    """What was recorded of one example at one checkpoint.

    Attributes:
        example_id: The example's id.
        logits: One number per class, or None.
        loss: Cross-entropy against the gold label in nats, or None.
        gold: Class index or class name, or None.
    """

    example_id: str
    logits: Sequence[float] | None = None
    loss: float | None = None
    gold: int | str | None = None


@dataclass(frozen=True, eq=False)
class Recording:
    """T checkpoints of N examples that another tool recorded.

    Attributes:
        ids: The examples' ids in the order in which they came first, (N,).
        steps: The number of each checkpoint, rising, (T,).
        logits: Shape (T, N, K), or None.
        losses: Shape (T, N), or None.
        gold: Class index or class name of each example, (N,), or None.
        left_out: Ids that were recorded and not wanted.
        step_unit: What ``steps`` counts: ``step`` or ``epoch``.
        label_names: Class names that the file itself says, in the order of its logits; empty where it says none.
    """

    ids: list[str]
    steps: list[int]
    logits: NDArray[np.float32] | None
    losses: NDArray[np.float64] | None
    gold: list[int | str] | None
    left_out: list[str]
    step_unit: str = "step"
    label_names: tuple[str, ...] = ()


@dataclass(eq=False)
class _Checkpoint:
    rows: array[int] = field(default_factory=lambda: array("q"))
    seen: bytearray = field(default_factory=bytearray)
    logits: array[float] = field(default_factory=lambda: array("f"))
    losses: array[float] = field(default_factory=lambda: array("d"))


@dataclass(eq=False)
class Collector:
    """Takes records in any order of examples and checkpoints; the numbers are all that it keeps of them.

    Attributes:
        keep: Ids that are wanted; None wants all.
        problems: What is wrong so far, a sentence each; readers add theirs.
    """

    keep: Container[str] | None = None
    problems: list[str] = field(default_factory=list)
    _rows: dict[str, int] = field(default_factory=dict)
    _gold: list[int | str | None] = field(default_factory=list)
    _left_out: dict[str, None] = field(default_factory=dict)
    _checkpoints: dict[int, _Checkpoint] = field(default_factory=dict)
    _width: int | None = None
    _with_loss: bool | None = None

    def add(self, step: int, record: Record, where: str) -> None:
        """Take one record.

        Args:
            step: The number of its checkpoint.
            record: What was recorded.
            where: Where it stands, for messages.
        """
        checkpoint = self._checkpoints.setdefault(step, _Checkpoint())
        if self.keep is not None and record.example_id not in self.keep:
            self._left_out[record.example_id] = None
            return
        width, with_loss = len(record.logits or ()), record.loss is not None
        if self._width is None:
            self._width, self._with_loss = width, with_loss
        if width != self._width:
            self.problems.append(f"{where}: {width} logits, where the first record has {self._width}")
            return
        if with_loss != self._with_loss:
            self.problems.append(f"{where}: {'a' if with_loss else 'no'} loss, unlike the first record")
            return
        row = self._row(record, where)
        checkpoint.seen.extend(bytes(max(0, row + 1 - len(checkpoint.seen))))
        if checkpoint.seen[row]:
            self.problems.append(f"{where}: {record.example_id!r} is recorded a second time at checkpoint {step}")
            return
        checkpoint.seen[row] = 1
        checkpoint.rows.append(row)
        checkpoint.logits.extend(record.logits or ())
        if record.loss is not None:
            checkpoint.losses.append(record.loss)

    def _row(self, record: Record, where: str) -> int:
        row = self._rows.setdefault(record.example_id, len(self._rows))
        if row == len(self._gold):
            self._gold.append(record.gold)
        elif self._gold[row] != record.gold:
            told = f"{record.gold!r}, before it was {self._gold[row]!r}"
            self.problems.append(f"{where}: the gold label of {record.example_id!r} is {told}")
        return row

    def recording(self, source: str, *, step_unit: str = "step", label_names: Sequence[str] = ()) -> Recording:
        """Make arrays of the records; the collector is empty afterwards.

        Args:
            source: What was read, for messages.
            step_unit: What the numbers of the checkpoints count.
            label_names: Class names that the source says.

        Returns:
            The recording; without examples where none was wanted.

        Raises:
            DataError: If a record was wrong, or an example lacks a checkpoint; all problems at once.
        """
        steps = sorted(self._checkpoints)
        ids = list(self._rows)
        problems = [*self.problems, *self._incomplete(ids, steps), *self._without_gold(ids)]
        if not steps and not problems:
            problems = ["it holds no record"]
        if problems:
            raise DataError(f"{source} cannot be read as a recording:", problems)
        width = self._width or 0
        logits = np.empty((len(steps), len(ids), width), np.float32) if width else None
        losses = np.empty((len(steps), len(ids)), np.float64) if self._with_loss else None
        for index, step in enumerate(steps):
            found = self._checkpoints.pop(step)
            rows = np.frombuffer(found.rows, np.int64)
            if logits is not None:
                logits[index, rows] = np.frombuffer(found.logits, np.float32).reshape(-1, width)
            if losses is not None:
                losses[index, rows] = np.frombuffer(found.losses, np.float64)
        gold = [label for label in self._gold if label is not None]
        return Recording(
            ids=ids,
            steps=steps,
            logits=logits,
            losses=losses,
            gold=gold or None,
            left_out=list(self._left_out),
            step_unit=step_unit,
            label_names=tuple(label_names),
        )

    def _incomplete(self, ids: list[str], steps: list[int]) -> list[str]:
        told = []
        for step in steps:
            seen = self._checkpoints[step].seen
            gone = [name for row, name in enumerate(ids) if row >= len(seen) or not seen[row]]
            if gone:
                told.append(f"checkpoint {step} lacks {len(gone):,} of {len(ids):,} examples: {first(gone)}")
        return told

    def _without_gold(self, ids: list[str]) -> list[str]:
        gone = [name for name, label in zip(ids, self._gold, strict=True) if label is None]
        if not gone or len(gone) == len(ids):
            return []
        return [f"{len(gone):,} of {len(ids):,} examples have no gold label: {first(gone)}"]


def first(names: Iterable[Any]) -> str:
    """The first ten names, and that there are more.

    >>> first(["a", "b"]), first(range(12))
    ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …')
    """
    words = [str(name) for name in names]
    return ", ".join(words[:_LISTED]) + (", …" if len(words) > _LISTED else "")
