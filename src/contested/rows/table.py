"""Rows of a file as columns, with the line of every row and what was found on the way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from contested.errors import DataError
from contested.wording import counted

_SHOWN_LINES = 3
_STRIDE = 10**10  # lines of a file, at most, where several are one table

LARGEST_EXACT = 2.0**53
"""Beyond it, floats leave whole numbers out."""

FILE = "file"
"""The column that says which of several files a row is from."""


class Problem(NamedTuple):
    """One finding in a file.

    Attributes:
        line_number: Line, or whatever :attr:`Kind.unit` says, counted from 1; 0 for the file as a whole.
        text: What is wrong there.
    """

    line_number: int
    text: str


@dataclass
class Trace:
    """How a file was read; readers add to it.

    Attributes:
        notes: Whole sentences on what was recognised or taken for granted.
        roles: What was read, such as ``ids``, to the columns that it was read from.
        missing: What stood for no answer, to the number of times.
        left_out: Whole sentences on what was not taken, and why.
    """

    notes: list[str] = field(default_factory=list)
    roles: dict[str, list[str]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def count_missing(self, written: str, times: int = 1) -> None:
        """Count cells, or parts of lists, in which something stands for no answer."""
        self.missing[written] = self.missing.get(written, 0) + times

    def read_from(self, role: str, column: str) -> None:
        """Note that a column was read as something."""
        known = self.roles.setdefault(role, [])
        if column not in known:
            known.append(column)


@dataclass(frozen=True)
class Table:
    """The rows of a file as columns of equal length; a value that is absent is None.

    Attributes:
        path: The file.
        kind: The name of a kind of file, or ``text``: lines that no kind knows, in a column ``line``.
        columns: Name of each column to its values.
        line_numbers: Where each row begins in the file, in units of ``unit``.
        problems: Findings so far; readers add theirs, so that all are reported at once.
        unit: What a line number counts: an entry of JSON and a row of Parquet are not lines.
        unnamed: Columns that the header leaves without a name, under those that pandas gives them (``Unnamed: 0``).
        repeated: Names that several columns have, with different values; none of these columns is read.
        trace: How the file was read.
        files: The names of several files whose rows these are; empty of one.
    """

    path: Path
    kind: str
    columns: dict[str, Sequence[object]]
    line_numbers: Sequence[int]
    problems: list[Problem] = field(default_factory=list)
    unit: str = "line"
    unnamed: dict[str, Sequence[object]] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    trace: Trace = field(default_factory=Trace)
    files: tuple[str, ...] = ()

    def add_problem(self, line_number: int, text: str) -> None:
        """Note a finding at a line of the file (0: the file as a whole)."""
        self.problems.append(Problem(line_number, text))

    def add_note(self, sentence: str) -> None:
        """Note how the file was read: what no reader should have to guess."""
        self.trace.notes.append(sentence)

    def fresh(self) -> Table:
        """Return the same rows for another reading, which this one's findings and notes do not reach."""
        return replace(
            self,
            columns={**self.columns},
            problems=[*self.problems],
            unnamed={**self.unnamed},
            trace=copy.deepcopy(self.trace),
        )

    def raise_problems(self, reading_as: str, advice: str) -> None:
        """Raise all findings so far, in the order of the file.

        Args:
            reading_as: The format that was read.
            advice: What to do.

        Raises:
            DataError: If there is any finding.
        """
        if not self.problems:
            return
        lines: dict[str, list[int]] = {}
        for line_number, text in sorted(self.problems, key=lambda problem: problem.line_number):
            lines.setdefault(text, []).append(line_number)
        texts = [f"{self.where(numbers)}{text}" for text, numbers in lines.items()]
        count = counted(len(self.problems), "problem")
        raise DataError(f"{self.path} cannot be read as {reading_as} ({self.kind}): {count}. {advice}", texts)

    def where(self, numbers: Sequence[int]) -> str:
        """The lines of one finding, the first few of many, as the beginning of a sentence."""
        numbers = list(dict.fromkeys(numbers))
        if not any(numbers):
            return ""
        if len(numbers) == 1:
            return f"{self.at(numbers[0])}: "
        if self.files:
            shown = ", ".join(map(self.at, numbers[:_SHOWN_LINES]))
            return f"{shown}{f', … ({len(numbers):,} in all)' if len(numbers) > _SHOWN_LINES else ''}: "
        units = f"{self.unit.removesuffix('y')}ies" if self.unit.endswith("y") else f"{self.unit}s"
        first = ", ".join(map(str, numbers[:_SHOWN_LINES]))
        return f"{units} {first}{f', … ({len(numbers):,} in all)' if len(numbers) > _SHOWN_LINES else ''}: "

    def in_one_file(self, number: int, other: int) -> bool:
        """Whether two lines are of the same file."""
        return number // _STRIDE == other // _STRIDE

    def at(self, number: int) -> str:
        """A line as messages name it: ``line 3``, of several files ``b.csv line 3``."""
        file, line = divmod(number, _STRIDE)
        if not file:
            return f"{self.unit} {line}"
        return f"{self.files[file - 1]} {self.unit} {line}" if line else self.files[file - 1]


def joined(tables: Sequence[Table]) -> Table:
    """Return the rows of several files as one table, with a column ``file`` where none of them has one.

    Args:
        tables: The tables; a column that one of them lacks is None there.

    Returns:
        The table.
    """
    names = tuple(table.path.name for table in tables)
    columns = _stacked([table.columns for table in tables], tables)
    columns.setdefault(FILE, [name for name, table in zip(names, tables, strict=True) for _ in table.line_numbers])
    places = [*enumerate(tables, start=1)]
    notes = [f"{table.path.name}: {note}" for table in tables for note in table.trace.notes]
    return Table(
        Path(", ".join(str(table.path) for table in tables)),
        "/".join(dict.fromkeys(table.kind for table in tables)),
        columns,
        [file * _STRIDE + number for file, table in places for number in table.line_numbers],
        [Problem(file * _STRIDE + line, text) for file, table in places for line, text in table.problems],
        tables[0].unit if len({table.unit for table in tables}) == 1 else "row",
        _stacked([table.unnamed for table in tables], tables),
        frozenset().union(*(table.repeated for table in tables)),
        Trace(notes),
        names,
    )


def _stacked(parts: Sequence[Mapping[str, Sequence[object]]], tables: Sequence[Table]) -> dict[str, Sequence[object]]:
    lengths = [len(table.line_numbers) for table in tables]
    return {
        name: [value for part, n in zip(parts, lengths, strict=True) for value in part.get(name, [None] * n)]
        for name in dict.fromkeys(name for part in parts for name in part)
    }


class Rows(NamedTuple):
    """What a kind of file makes of its content; see :class:`Table`.

    Attributes:
        columns: Name of each column to its values.
        line_numbers: Where each row begins.
        problems: Findings.
        notes: How the content was read, one sentence each.
        unnamed: Columns without a name.
        repeated: Names of several columns.
        unit: What a line number counts, where it is not what the kind says.
    """

    columns: Mapping[str, Sequence[object]]
    line_numbers: Sequence[int]
    problems: list[Problem]
    notes: list[str]
    unnamed: Mapping[str, Sequence[object]] = MappingProxyType({})
    repeated: frozenset[str] = frozenset()
    unit: str = ""


class Request(NamedTuple):
    """What the reader of a file says of it.

    Attributes:
        columns: The names of the columns, where the file has no header.
        part: The sheet, array or key that holds the rows.
    """

    columns: tuple[str, ...] | None = None
    part: str | None = None


PLAIN = Request()
"""Nothing is said."""


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        title: How it is written in sentences.
        suffixes: The endings that say it, lower-case with their dot.
        parse: Its rows, from a path (for errors), the file's content and what its reader says of it.
        unit: What a line number counts.
        sniff: Whether content under an unknown suffix is of this kind.
        takes: The fields of a request that it uses.
    """

    title: str
    suffixes: tuple[str, ...]
    parse: Callable[[Path, bytes, Request], Rows]
    unit: str = "line"
    sniff: Callable[[bytes], bool] = lambda _: False
    takes: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Its name in tables and errors."""
        return self.title.lower()


def shown(value: object) -> str:
    """A value as it appears in a message, cut to a few words."""
    try:
        text = repr(value)
    except RecursionError:
        text = "a value nested too deeply to be shown"
    return text if len(text) <= 40 else text[:40] + "…"
