"""What the columns of a table mean: one row per example and checkpoint, or one per example with all its checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contested.exchange.records import Record, Rows

Columns = Mapping[str, Sequence[Any]]
"""Some rows of a table by column, all of one length."""

_HIGHEST_STEP = 2**31 - 1


def as_number(column: str, value: Any) -> float:
    """A cell as a number; a ValueError says which column holds none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{column} is {value!r:.40}, expected a number") from None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _as_id(column: str, value: Any) -> str:
    value = _plain(value)
    if not isinstance(value, int | str) or isinstance(value, bool) or value == "":
        raise ValueError(f"{column} is {value!r:.40}, expected text or a whole number")
    return str(value)


def _as_gold(column: str, value: Any, label_names: Sequence[str]) -> int | str | None:
    value = _plain(value)
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, str):
        return int(value) if value.isdecimal() and value not in label_names else value
    if not isinstance(value, int | float) or isinstance(value, bool) or not float(value).is_integer():
        raise ValueError(f"{column} is {value!r:.40}, expected the index or the name of a class")
    return int(value)


def _as_step(column: str, value: Any) -> int:
    step = as_number(column, value)
    if not step.is_integer() or abs(step) > _HIGHEST_STEP:
        raise ValueError(f"{column} is {value!r}, expected a whole number")
    return int(step)


def _numbers(values: Iterable[Any], n_rows: int) -> NDArray[np.float64]:
    return np.fromiter(map(float, values), np.float64, n_rows)


def _steps(values: Iterable[Any], n_rows: int) -> NDArray[np.int64]:
    steps = _numbers(values, n_rows)
    if not (np.abs(steps) <= _HIGHEST_STEP).all() or (steps != np.round(steps)).any():
        raise ValueError
    return steps.astype(np.int64)


@dataclass(frozen=True)
class Examples:
    """Where the id and the gold label of an example stand.

    Attributes:
        id: The column of ids.
        gold: The column of gold labels; empty where there is none.
        label_names: Names of the classes that are known before the rows are read; none of them is taken for a number.
    """

    id: str
    gold: str
    label_names: tuple[str, ...]

    def of(self, columns: Columns) -> tuple[list[str], list[int | str | None] | None]:
        """Ids and gold labels of some rows; a ValueError or TypeError where one is wrong."""
        ids = [value if type(value) is str and value else _as_id(self.id, value) for value in columns[self.id]]
        if not self.gold:
            return ids, None
        # A file names few classes many times.
        known = {value: _as_gold(self.gold, value, self.label_names) for value in set(columns[self.gold])}
        return ids, [known[value] for value in columns[self.gold]]

    def of_row(self, row: Mapping[str, Any]) -> tuple[str, int | str | None]:
        """Id and gold label of a row; a ValueError says what is wrong."""
        name = _as_id(self.id, row[self.id])
        return name, _as_gold(self.gold, row[self.gold], self.label_names) if self.gold else None


@dataclass(frozen=True)
class Values:
    """Where the numbers of one checkpoint stand.

    Attributes:
        scores: Columns of logits or probabilities in the order of the classes, or one column of lists of them.
        lists: Whether it is one of lists.
        probabilities: Whether they are probabilities.
        loss: The column of losses; empty where there is none.
    """

    scores: tuple[str, ...]
    lists: bool
    probabilities: bool
    loss: str

    def of(self, columns: Columns, n_rows: int, ndim: int = 2) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        """Scores and losses of some rows; a ValueError or TypeError where one is no number or rows differ.

        Args:
            columns: The rows.
            n_rows: How many they are.
            ndim: Dimensions of the scores: rows and classes, or checkpoints between them.

        Returns:
            Each an array with a row per row, or None.

        Raises:
            ValueError: If rows are of different lengths.
        """
        scores = losses = None
        if self.lists:
            scores = np.array(columns[self.scores[0]], np.float64)
            if scores.ndim != ndim:
                raise ValueError
        elif self.scores:
            scores = np.stack([_numbers(columns[name], n_rows) for name in self.scores], axis=1)
        if self.loss:
            column = columns[self.loss]
            losses = _numbers(column, n_rows) if ndim == 2 else np.array(column, np.float64)
        return scores, losses

    def record(self, row: Mapping[str, Any], name: str, gold: int | str | None) -> Record:
        """What a row says of an example; a ValueError says what is wrong."""
        values: Sequence[Any] = [row[column] for column in self.scores]
        if self.lists:
            values = _as_list(self.scores[0], values[0])
        scores = [as_number(self.scores[0] if self.lists else self.scores[k], v) for k, v in enumerate(values)] or None
        loss = as_number(self.loss, row[self.loss]) if self.loss else None
        return Record(
            name,
            logits=None if self.probabilities else scores,
            loss=loss,
            gold=gold,
            probabilities=scores if self.probabilities else None,
        )


def _as_list(column: str, value: Any) -> list[Any]:
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{column} is {value!r:.40}, expected a list of numbers")
    return list(value)


class Layout(Protocol):
    """How the records of examples at checkpoints follow from rows."""

    def many(self, columns: Columns) -> list[Rows]:
        """The records of some rows at once; a ValueError or TypeError where any is wrong, or they differ in form."""

    def single(self, row: Mapping[str, Any]) -> Iterator[tuple[int, Record]]:
        """The records of one row with their checkpoints; a ValueError says what is wrong."""


@dataclass(frozen=True)
class LongLayout:
    """One row per example and checkpoint.

    Attributes:
        examples: Columns of the example.
        values: Columns of its numbers.
        step: The column of the checkpoint; empty where all rows are of one.
        number: The checkpoint of all rows where no column says it.
        epoch: A column of epochs beside ``step``; empty where there is none.
    """

    examples: Examples
    values: Values
    step: str
    number: int
    epoch: str

    def many(self, columns: Columns) -> list[Rows]:
        """See `Layout`."""
        ids, gold = self.examples.of(columns)
        n_rows = len(ids)
        scores, losses = self.values.of(columns, n_rows)
        steps = _steps(columns[self.step], n_rows) if self.step else np.full(n_rows, self.number)
        epochs = _numbers(columns[self.epoch], n_rows) if self.epoch else None
        return [Rows(steps, ids, scores, losses, gold, self.values.probabilities, epochs)]

    def single(self, row: Mapping[str, Any]) -> Iterator[tuple[int, Record]]:
        """See `Layout`."""
        step = _as_step(self.step, row[self.step]) if self.step else self.number
        record = self.values.record(row, *self.examples.of_row(row))
        if self.epoch:
            record = record._replace(epoch=as_number(self.epoch, row[self.epoch]))
        yield step, record


@dataclass(frozen=True)
class WideLayout:
    """One row per example, with columns for each checkpoint.

    Attributes:
        examples: Columns of the example.
        values: Columns of its numbers at each checkpoint.
    """

    examples: Examples
    values: Mapping[int, Values]

    def many(self, columns: Columns) -> list[Rows]:
        """See `Layout`."""
        ids, gold = self.examples.of(columns)
        made = []
        for step, values in self.values.items():
            scores, losses = values.of(columns, len(ids))
            made.append(Rows(np.full(len(ids), step), ids, scores, losses, gold, values.probabilities))
        return made

    def single(self, row: Mapping[str, Any]) -> Iterator[tuple[int, Record]]:
        """See `Layout`."""
        name, gold = self.examples.of_row(row)
        for step, values in self.values.items():
            yield step, values.record(row, name, gold)


@dataclass(frozen=True)
class ListLayout:
    """One row per example, with a list over the checkpoints in each column.

    Attributes:
        examples: Columns of the example.
        values: Columns of its numbers: a list of losses, a list of lists of scores.
        steps: The column of the checkpoints.
    """

    examples: Examples
    values: Values
    steps: str

    def many(self, columns: Columns) -> list[Rows]:
        """See `Layout`."""
        ids, gold = self.examples.of(columns)
        steps = np.array(columns[self.steps], np.float64)
        if steps.ndim != 2 or (steps != steps[0]).any():
            raise ValueError
        numbers = _steps(steps[0].tolist(), steps.shape[1])
        scores, losses = self.values.of(columns, len(ids), ndim=3)
        if any(array is not None and array.shape[:2] != steps.shape for array in (scores, losses)):
            raise ValueError
        return [
            Rows(
                np.full(len(ids), number),
                ids,
                None if scores is None else scores[:, index],
                None if losses is None else losses[:, index],
                gold,
                self.values.probabilities,
            )
            for index, number in enumerate(numbers.tolist())
        ]

    def single(self, row: Mapping[str, Any]) -> Iterator[tuple[int, Record]]:
        """See `Layout`."""
        name, gold = self.examples.of_row(row)
        columns = [*self.values.scores, *([self.values.loss] if self.values.loss else [])]
        lists = {column: _as_list(column, row[column]) for column in (self.steps, *columns)}
        n_steps = len(lists[self.steps])
        for column in columns:
            if len(lists[column]) != n_steps:
                raise ValueError(f"{column} has {len(lists[column])} entries, {self.steps} {n_steps}")
        for index, step in enumerate(lists[self.steps]):
            cells = {column: lists[column][index] for column in columns}
            yield _as_step(self.steps, step), self.values.record(cells, name, gold)
