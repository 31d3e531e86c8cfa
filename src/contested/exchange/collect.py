"""Records, one after the other or many at once, gathered into arrays of checkpoints and examples."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.errors import DataError
from contested.exchange.records import Record, Recording, Rows

_LISTED = 10
_MOST_PROBLEMS = 1_000
_OWN_PAGES = 2**18  # bytes from which an array has pages of its own


class _Kind(NamedTuple):
    """What every record of a recording holds."""

    width: int
    probabilities: bool
    loss: bool

    def differs(self, other: _Kind) -> str:
        """How another record differs from the first one; empty where it does not."""
        if other.width != self.width:
            return f"{other.width} logits, where the first record has {self.width}"
        if other.probabilities != self.probabilities:
            return "logits in place of probabilities, or the other way round, unlike the first record"
        if other.loss != self.loss:
            return f"{'a' if other.loss else 'no'} loss, unlike the first record"
        return ""


def _zeros(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Zeros that go back to the system when they are dropped; the allocator keeps pieces of a megabyte to itself."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < _OWN_PAGES:
        return np.zeros(shape, dtype)
    return np.frombuffer(mmap.mmap(-1, size), dtype).reshape(shape)


class _Checkpoint:
    """The numbers of one checkpoint by the examples' rows, growing with them."""

    def __init__(self, kind: _Kind, n_rows: int) -> None:
        self.seen = _zeros((n_rows,), np.bool_)
        self.scores = _zeros((n_rows, kind.width), np.float32) if kind.width else None
        self.losses = _zeros((n_rows,), np.float64) if kind.loss else None

    def grow(self, n_rows: int) -> None:
        """Make room for the examples that are known by now."""
        n_before = len(self.seen)
        if n_rows <= n_before:
            return
        size = max(n_rows, n_before * 9 // 8)
        self.seen = self._grown(self.seen, size)
        self.scores = None if self.scores is None else self._grown(self.scores, size)
        self.losses = None if self.losses is None else self._grown(self.losses, size)

    @staticmethod
    def _grown(array: NDArray[Any], n_rows: int) -> NDArray[Any]:
        made = _zeros((n_rows, *array.shape[1:]), array.dtype.type)
        made[: len(array)] = array
        return made

    def put(self, rows: Any, scores: Any, losses: Any) -> None:
        """Keep the numbers of an example, or of several."""
        self.seen[rows] = True
        # What is too large for float32 becomes infinite and is refused with the run.
        with np.errstate(over="ignore"):
            if self.scores is not None:
                self.scores[rows] = scores
        if self.losses is not None:
            self.losses[rows] = losses


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
    _ids: list[str] = field(default_factory=list)
    _gold: list[int | str | None] = field(default_factory=list)
    _left_out: dict[str, None] = field(default_factory=dict)
    _checkpoints: dict[int, _Checkpoint | None] = field(default_factory=dict)
    _epochs: dict[int, float] = field(default_factory=dict)
    _kind: _Kind | None = None

    def add(self, step: int, record: Record, where: str) -> None:
        """Take one record.

        Args:
            step: The number of its checkpoint.
            record: What was recorded.
            where: Where it stands, for messages.
        """
        self._stop_on_many_problems()
        self._checkpoints.setdefault(step, None)
        if self.keep is not None and record.example_id not in self.keep:
            self._left_out[record.example_id] = None
            return
        scores = record.probabilities if record.logits is None else record.logits
        kind = _Kind(len(scores or ()), record.logits is None and bool(scores), record.loss is not None)
        self._kind = self._kind or kind
        if problem := self._kind.differs(kind):
            self.problems.append(f"{where}: {problem}")
            return
        row = self._row(record, where)
        if record.epoch is not None and self._epochs.setdefault(step, record.epoch) != record.epoch:
            self.problems.append(f"{where}: epoch is {record.epoch:g}; before, {self._epochs[step]:g} at step {step}")
        checkpoint = self._checkpoint(step)
        if checkpoint.seen[row]:
            self.problems.append(f"{where}: {record.example_id!r} is recorded a second time at checkpoint {step}")
            return
        checkpoint.put(row, scores, record.loss)

    def add_rows(self, rows: Rows, where: Callable[[int], str]) -> None:
        """Take many records at once, which is ten times as fast.

        Args:
            rows: What was recorded.
            where: The index of a row to where it stands, for messages.
        """
        self._stop_on_many_problems()
        for step in np.unique(rows.steps).tolist():
            self._checkpoints.setdefault(step, None)
        chosen = self._wanted(rows.ids)
        wanted = rows if chosen is None else rows.select(chosen)
        if not self._regular(wanted):
            for index, step in enumerate(wanted.steps.tolist()):
                self.add(step, wanted.record(index), where(index if chosen is None else chosen[index]))

    def _wanted(self, ids: Sequence[str]) -> list[int] | None:
        """Indices of the ids that are wanted, the others noted; None where all are."""
        if self.keep is None:
            return None
        chosen = [index for index, name in enumerate(ids) if name in self.keep]
        if len(chosen) == len(ids):
            return None
        self._left_out.update(dict.fromkeys(name for name in ids if name not in self.keep))
        return chosen

    def _regular(self, rows: Rows) -> bool:
        """Take rows of which nothing needs to be said; others are taken one by one, or told of."""
        width = 0 if rows.scores is None else rows.scores.shape[1]
        kind = _Kind(width, rows.probabilities and width > 0, rows.losses is not None)
        known = self._known(rows) if kind == (self._kind or kind) else None
        if known is None:
            return False
        parts = _by_step(rows.steps)
        for step, part in parts:
            found = self._checkpoints.get(step)
            inside = known[part][known[part] < (0 if found is None else len(found.seen))]
            if len(np.unique(known[part])) < len(known[part]) or (found is not None and found.seen[inside].any()):
                return False
            if rows.epochs is not None and (rows.epochs[part] != self._epochs.get(step, rows.epochs[part][0])).any():
                return False
        self._kind = kind
        for step, part in parts:
            if rows.epochs is not None:
                self._epochs[step] = float(rows.epochs[part][0])
            scores = None if rows.scores is None else rows.scores[part]
            self._checkpoint(step).put(known[part], scores, None if rows.losses is None else rows.losses[part])
        return True

    def _known(self, rows: Rows) -> NDArray[np.int64] | None:
        """The examples' rows, new ones made; None where one has another gold label than before."""
        gold = list(rows.gold or [None] * len(rows.ids))
        start = self._rows.get(rows.ids[0]) if len(rows.ids) else None
        if start is not None and self._ids[start : start + len(rows.ids)] == rows.ids:
            # In the order of an earlier checkpoint, as they mostly are.
            same = self._gold[start : start + len(gold)] == gold
            return np.arange(start, start + len(gold)) if same else None
        found = np.fromiter(map(self._new_row, rows.ids, gold), np.int64, len(gold))
        return found if [self._gold[row] for row in found.tolist()] == gold else None

    def _new_row(self, name: str, gold: int | str | None) -> int:
        """The row of an example, made where it has none."""
        row = self._rows.setdefault(name, len(self._ids))
        if row == len(self._ids):
            self._ids.append(name)
            self._gold.append(gold)
        return row

    def _checkpoint(self, step: int) -> _Checkpoint:
        assert self._kind is not None
        checkpoint = self._checkpoints.get(step)
        if checkpoint is None:
            checkpoint = self._checkpoints[step] = _Checkpoint(self._kind, len(self._ids))
        checkpoint.grow(len(self._ids))
        return checkpoint

    def _row(self, record: Record, where: str) -> int:
        row = self._new_row(record.example_id, record.gold)
        if self._gold[row] != record.gold:
            told = f"{record.gold!r}, before it was {self._gold[row]!r}"
            self.problems.append(f"{where}: the gold label of {record.example_id!r} is {told}")
        return row

    def _stop_on_many_problems(self) -> None:
        if len(self.problems) >= _MOST_PROBLEMS:
            raise DataError(f"Reading stopped at {len(self.problems):,} problems:", self.problems)

    def recording(
        self,
        source: str,
        *,
        step_unit: str | None = "step",
        label_names: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> Recording:
        """Make arrays of the records; the collector is empty afterwards.

        Args:
            source: What was read, for messages.
            step_unit: What the numbers of the checkpoints count; None where they are made up.
            label_names: Class names that the source says.
            notes: What was not read, a sentence each.

        Returns:
            The recording; without examples where none was wanted.

        Raises:
            DataError: If a record was wrong, or an example lacks a checkpoint; all problems at once.
        """
        steps = sorted(self._checkpoints)
        ids = self._ids
        problems = [*self.problems, *self._incomplete(ids, steps), *self._without_gold(ids)]
        if not steps and not problems:
            problems = ["it holds no record"]
        if problems:
            raise DataError(f"{source} cannot be read as a recording:", problems)
        scores, losses = self._arrays(steps, len(ids))
        gold = [label for label in self._gold if label is not None]
        probabilities = self._kind is not None and self._kind.probabilities
        return Recording(
            ids=ids,
            steps=None if step_unit is None else steps,
            logits=None if probabilities else scores,
            losses=losses,
            gold=gold or None,
            left_out=list(self._left_out),
            step_unit=step_unit or "step",
            label_names=tuple(label_names),
            probabilities=scores if probabilities else None,
            notes=tuple(notes),
            epochs=[self._epochs[step] for step in steps] if len(self._epochs) == len(steps) else None,
        )

    def _arrays(
        self, steps: list[int], n_examples: int
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float64] | None]:
        kind = self._kind or _Kind(0, False, False)
        scores = np.empty((len(steps), n_examples, kind.width), np.float32) if kind.width else None
        losses = np.empty((len(steps), n_examples), np.float64) if kind.loss else None
        for index, step in enumerate(steps):
            # One after the other, so that there is never a second copy of all.
            found = self._checkpoints.pop(step)
            if found is None:
                continue
            if scores is not None and found.scores is not None:
                scores[index] = found.scores[:n_examples]
            if losses is not None and found.losses is not None:
                losses[index] = found.losses[:n_examples]
        for array in (scores, losses):
            if array is not None:
                # Nobody else has it, so that a run need not copy it.
                array.setflags(write=False)
        return scores, losses

    def _incomplete(self, ids: list[str], steps: list[int]) -> list[str]:
        told = []
        for step in steps:
            found = self._checkpoints[step]
            seen = np.zeros(len(ids), bool)
            if found is not None:
                seen[: len(found.seen)] = found.seen[: len(ids)]
            gone = [ids[row] for row in np.flatnonzero(~seen).tolist()]
            if gone:
                told.append(f"checkpoint {step} lacks {len(gone):,} of {len(ids):,} examples: {first(gone)}")
        return told

    def _without_gold(self, ids: list[str]) -> list[str]:
        gone = [name for name, label in zip(ids, self._gold, strict=True) if label is None]
        if not gone or len(gone) == len(ids):
            return []
        return [f"{len(gone):,} of {len(ids):,} examples have no gold label: {first(gone)}"]


def _by_step(steps: NDArray[np.int64]) -> list[tuple[int, Any]]:
    """The rows of each checkpoint; of one alone, as is usual, all of them without a copy."""
    if len(steps) and (steps == steps[0]).all():
        return [(int(steps[0]), slice(None))]
    order = np.argsort(steps, kind="stable")
    numbers, starts = np.unique(steps[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


def first(names: Iterable[Any]) -> str:
    """The first ten names, and that there are more.

    >>> first(["a", "b"]), first(range(12))
    ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …')
    """
    words = [str(name) for name in names]
    return ", ".join(words[:_LISTED]) + (", …" if len(words) > _LISTED else "")
