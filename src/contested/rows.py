"""Files of rows, read with the line of every row.

:data:`KINDS` has every kind of file; errors, help texts and documents name what stands there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from contested.errors import DataError
from contested.wording import counted, did_you_mean, listed, not_json

_SHOWN_LINES = 3


class Problem(NamedTuple):
    """One finding in a file.

    Attributes:
        line_number: Line, or whatever :attr:`Kind.unit` says, counted from 1; 0 for the file as a whole.
        text: What is wrong there.
    """

    line_number: int
    text: str


@dataclass(frozen=True)
class Table:
    """The rows of a file as columns of equal length; a value that is absent is None.

    Attributes:
        path: The file.
        kind: The name of one of :data:`KINDS`, or ``text``: lines that no kind knows, in a column ``line``.
        columns: Name of each column to its values.
        line_numbers: Where each row begins in the file, in units of ``unit``.
        problems: Findings so far; readers add theirs, so that all are reported at once.
    """

    path: Path
    kind: str
    columns: dict[str, list[object]]
    line_numbers: list[int]
    problems: list[Problem] = field(default_factory=list)

    @property
    def unit(self) -> str:
        """What a line number counts: an entry of JSON and a row of Parquet are not lines."""
        return next((kind.unit for kind in KINDS if kind.name == self.kind), "line")

    def add_problem(self, line_number: int, text: str) -> None:
        """Note a finding at a line of the file (0: the file as a whole)."""
        self.problems.append(Problem(line_number, text))

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
        texts = [f"{self._where(numbers)}{text}" for text, numbers in lines.items()]
        count = counted(len(self.problems), "problem")
        raise DataError(f"{self.path} cannot be read as {reading_as} ({self.kind}): {count}. {advice}", texts)

    def _where(self, numbers: Sequence[int]) -> str:
        """The lines of one finding, the first few of many."""
        numbers = list(dict.fromkeys(numbers))
        if not any(numbers):
            return ""
        if len(numbers) == 1:
            return f"{self.unit} {numbers[0]}: "
        units = f"{self.unit.removesuffix('y')}ies" if self.unit.endswith("y") else f"{self.unit}s"
        first = ", ".join(map(str, numbers[:_SHOWN_LINES]))
        return f"{units} {first}{f', … ({len(numbers):,} in all)' if len(numbers) > _SHOWN_LINES else ''}: "


class _Rows(NamedTuple):
    columns: dict[str, list[object]]
    line_numbers: list[int]
    problems: list[Problem]


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        title: How it is written in sentences.
        suffixes: The endings that say it, lower-case with their dot.
        parse: Its rows, from a path (for errors) and the file's content.
        unit: What a line number counts.
        sniff: Whether content under an unknown suffix is of this kind.
    """

    title: str
    suffixes: tuple[str, ...]
    parse: Callable[[Path, bytes], _Rows]
    unit: str = "line"
    sniff: Callable[[bytes], bool] = lambda _: False

    @property
    def name(self) -> str:
        """Its name in tables and errors."""
        return self.title.lower()


TEXT = "text"
"""The kind of a file that is of none of :data:`KINDS`."""


def read_table(path: Path, *, lines: bool = False) -> Table:
    """Read a file of rows; lines that cannot be parsed become problems of the table.

    Args:
        path: A file of one of :data:`KINDS`, told by its suffix, else by its content.
        lines: Whether a file of an unknown type is read as lines: kind ``text``, and one column ``line`` with all of
            them, empty ones too.

    Returns:
        The rows.

    Raises:
        DataError: If the path is missing or a folder, or the file is empty or of another kind.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected one file of rows. Name a file in it.")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist{_near_file(path)}. Check the path.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}.") from error
    if not content.strip():
        raise DataError(f"{path} is empty; expected one item (or annotation) per row.")
    found = _kind(path, content)
    if found is None and not lines:
        raise unknown_kind(path)
    kind, rows = (found.name, found.parse(path, content)) if found else (TEXT, _parse_lines(path, content))
    if not rows.line_numbers and not rows.problems:
        raise DataError(f"{path} holds no rows ({kind}); expected one item (or annotation) per row.")
    return Table(path, kind, rows.columns, rows.line_numbers, rows.problems)


def _near_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor does the folder {path.parent})"
    return did_you_mean(path.name, (entry.name for entry in path.parent.iterdir()))


def _kind(path: Path, content: bytes) -> Kind | None:
    named = [kind for kind in KINDS if path.suffix.lower() in kind.suffixes]
    return next(iter([*named, *(kind for kind in KINDS if kind.sniff(content))]), None)


def unknown_kind(path: Path) -> DataError:
    """The error that a file is of an unknown type."""
    suffixes = [suffix for kind in KINDS for suffix in kind.suffixes]
    return DataError(
        f"{path} is of an unknown type: its suffix '{path.suffix}' is not recognised, nor is its content. "
        f"Expected {FILE_KINDS} ({listed(suffixes)}); rename or convert the file."
    )


def _parse_lines(path: Path, content: bytes) -> _Rows:
    lines = _decode(path, content).replace("\r\n", "\n").removesuffix("\n").split("\n")
    return _Rows({"line": [*lines]}, list(range(1, len(lines) + 1)), [])


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} is not UTF-8: line {line} holds the byte 0x{content[error.start]:02x}. "
            f"Save it as UTF-8, for example with iconv -f latin1 -t utf-8."
        ) from error


def _parse_jsonl(path: Path, content: bytes) -> _Rows:
    problems: list[Problem] = []
    entries: list[tuple[int, dict[str, object]]] = []
    for line_number, line in enumerate(_decode(path, content).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(Problem(line_number, f"is {not_json(error)}"))
            continue
        _keep_object(value, line_number, entries, problems)
    return _from_entries(entries, problems)


def _keep_object(
    value: object, line_number: int, entries: list[tuple[int, dict[str, object]]], problems: list[Problem]
) -> None:
    if isinstance(value, dict):
        entries.append((line_number, value))
    else:
        problems.append(Problem(line_number, f"holds {_shown(value)}; expected a JSON object {{…}}"))


def _parse_json(path: Path, content: bytes) -> _Rows:
    try:
        value = json.loads(_decode(path, content))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is {not_json(error)}. If it holds one object per line, rename it to .jsonl."
        ) from error
    if isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values()):
        value = [{"id": key, **entry} for key, entry in value.items()]
    if not isinstance(value, list):
        raise DataError(f"{path} must hold a list of objects, or objects keyed by id; given: {_shown(value)}.")
    problems: list[Problem] = []
    entries: list[tuple[int, dict[str, object]]] = []
    for line_number, entry in enumerate(value, start=1):
        _keep_object(entry, line_number, entries, problems)
    return _from_entries(entries, problems)


def _from_entries(entries: list[tuple[int, dict[str, object]]], problems: list[Problem]) -> _Rows:
    names = dict.fromkeys(name for _, entry in entries for name in entry)
    columns = {name: [entry.get(name) for _, entry in entries] for name in names}
    return _Rows(columns, [line_number for line_number, _ in entries], problems)


def _parse_csv(path: Path, content: bytes) -> _Rows:
    return _parse_delimited(path, content, ",")


def _parse_tsv(path: Path, content: bytes) -> _Rows:
    return _parse_delimited(path, content, "\t")


def _parse_delimited(path: Path, content: bytes, delimiter: str) -> _Rows:
    problems: list[Problem] = []
    records = _records(_decode(path, content), delimiter, problems)
    _, header = next(records, (0, []))
    repeated = [name for name in dict.fromkeys(header) if name and header.count(name) > 1]
    if repeated:
        problems.append(Problem(1, f"the header has duplicated columns: {listed(repeated)}"))
    line_numbers: list[int] = []
    rows: list[list[str]] = []
    for line_number, cells in records:
        if len(cells) == len(header):
            line_numbers.append(line_number)
            rows.append(cells)
        else:
            problems.append(Problem(line_number, f"has {len(cells)} cells; the header has {len(header)}"))
    # A column without a name is the row number that pandas writes.
    columns: dict[str, list[object]] = {
        name: [cells[j] if cells[j] != "" else None for cells in rows] for j, name in enumerate(header) if name
    }
    return _Rows(columns, line_numbers, problems)


def _records(text: str, delimiter: str, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """Yield the line where each record begins, and its cells; a quoted cell may span lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(Problem(begin, f"cannot be parsed: {error}; nothing after it was read"))
            return
        if cells:
            yield begin, cells


def _parse_parquet(path: Path, content: bytes) -> _Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from error
    columns = {
        name: [None if value != value else value for value in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return _Rows(columns, list(range(1, table.num_rows + 1)), [])


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


KINDS: tuple[Kind, ...] = (
    Kind("JSONL", (".jsonl", ".ndjson"), _parse_jsonl, sniff=lambda content: content.lstrip().startswith(b"{")),
    Kind("JSON", (".json",), _parse_json, unit="entry"),
    Kind("CSV", (".csv",), _parse_csv),
    Kind("TSV", (".tsv",), _parse_tsv),
    Kind("Parquet", (".parquet", ".pq"), _parse_parquet, unit="row", sniff=lambda content: content.startswith(b"PAR1")),
)
"""Every kind of file of rows."""

FILE_KINDS = f"{', '.join(kind.title for kind in KINDS[:-1])} or {KINDS[-1].title}"
"""The kinds as part of a sentence."""
