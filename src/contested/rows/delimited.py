"""CSV, TSV and their kin: which separator, what is quoted, which cells a row has."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from contested.rows.coded import Coded
from contested.rows.columnar import read_plain
from contested.rows.content import decode
from contested.rows.header import columns_of
from contested.rows.table import PLAIN, Problem, Request, Rows
from contested.wording import counted, listed

# Excel's own first line, which says the separator and is no row.
_DECLARED = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SAMPLE = 50  # records that tell the separator
_BEGINNING = 1_000_000  # characters in which these mostly are
_FEWEST_SHORT = 2  # rows that end before the same columns, as a way of writing and no slip
_MARK = "\ufeff"  # a byte-order mark, which stands within a text where files were joined
_DESCRIBED = "ImportId"
_IMPORT_ID = re.compile(rf'\{{"{_DESCRIBED}":')  # the row in which Qualtrics names its questions


class _Record(NamedTuple):
    """One row: the line where it begins, its cells, and whether a quoted cell may have swallowed others."""

    line_number: int
    cells: list[str]
    suspect: bool = False


class _Source(NamedTuple):
    """The text of a file, and the number of its first line."""

    text: str
    first_line: int
    delimiter: str


def parse_delimited(path: Path, content: bytes, request: Request = PLAIN, *, usual: str) -> Rows:
    """Read rows of cells with a separator between them.

    Args:
        path: The file, for messages.
        content: Its content.
        request: What its reader says of it.
        usual: The separator that its suffix promises; another is taken where the file declares or shows it.

    Returns:
        The rows.
    """
    text, notes = decode(path, content)
    source = _source(text, usual)
    if source.delimiter != usual:
        named = _SEPARATORS.get(source.delimiter, repr(source.delimiter))
        notes.append(f"Cells are separated by {named}.")
    # Text of as many characters as bytes is ASCII, which is its own encoding.
    encoded = content if len(source.text) == len(content) else source.text.encode()
    found = None if request.columns else _from_columns(encoded, source, notes)
    return found or _from_records(source, request, notes)


def _from_columns(content: bytes, source: _Source, notes: list[str]) -> Rows | None:
    """The rows of a plain file, given also as UTF-8; None of any other."""
    plain = read_plain(content, source.delimiter) if _DESCRIBED not in source.text else None
    if plain is None or not plain.header[0]:
        return None
    header = [_plain_name(name) for name in plain.header]
    if _has_header(plain.columns[0], header[0]):
        return None
    begin = source.first_line + 1
    return columns_of(header, plain.columns, range(begin, begin + len(plain.columns[0])), [], notes)


def _has_header(column: Coded, name: str) -> bool:
    if column.trimmed is not None:
        return column.trimmed.has(name)
    return any(_plain_name(cell) == name for cell in column.values if cell)


def _from_records(source: _Source, request: Request, notes: list[str]) -> Rows:
    problems: list[Problem] = []
    records = list(_records(source, problems))
    if (problems or any(record.suspect for record in records)) and source.delimiter == "\t":
        records = _unquoted(source, records, problems, notes)
    elif any(record.suspect for record in records):
        notes += _swallowed(source, records)
    header = [_plain_name(name) for name in request.columns or (records[0].cells if records else [])]
    rows = _without_empty(records if request.columns else records[1:], notes)
    rows = _filled(header, [_trimmed(row, len(header)) for row in rows], notes)
    return _of_rows(header, rows, problems, notes)


def _of_rows(header: list[str], rows: list[_Record], problems: list[Problem], notes: list[str]) -> Rows:
    rows = _without_headers(header, rows, problems)
    whole = [*_whole_rows(header, rows, problems)]
    values = [[row.cells[j] if row.cells[j] != "" else None for row in whole] for j in range(len(header))]
    return columns_of(header, values, [row.line_number for row in whole], problems, notes)


def parse_text(path: Path, content: bytes, request: Request) -> Rows:
    """Read rows of words, with a separator or blanks between them, under names that their reader gives.

    Args:
        path: The file, for messages.
        content: Its content.
        request: The names.

    Returns:
        The rows.
    """
    text, notes = decode(path, content)
    if _source(text, " ").delimiter != " ":
        return parse_delimited(path, content, request, usual=" ")
    lines = [_Record(number, line.split()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    return _of_rows(list(request.columns or ()), lines, [], [*notes, "Cells are separated by blanks."])


def _source(text: str, usual: str) -> _Source:
    declared = _DECLARED.match(text)
    if declared is not None:
        return _Source(text[declared.end() :], 2, declared[1])
    others = [separator for separator in _SEPARATORS if separator != usual]
    widths = {delimiter: _widths(text, delimiter) for delimiter in (usual, *others)}
    even = [delimiter for delimiter, found in widths.items() if found[0] > 1 and len(set(found)) == 1]
    uneven = [delimiter for delimiter, found in widths.items() if found[0] > 1]
    # A comma within words must not outdo the separator that the header shows alone.
    return _Source(text, 1, next(iter([*even, *uneven]), usual))


def _widths(text: str, delimiter: str) -> list[int]:
    """The number of cells of the first records; uneven where one of them cannot be parsed."""
    for part in (text[: text.rfind("\n", 0, _BEGINNING) + 1], text):
        problems: list[Problem] = []
        found = [len(record.cells) for record in islice(_records(_Source(part, 1, delimiter), problems), _SAMPLE)]
        if len(found) == _SAMPLE:
            break
    return [*found, *([-1] if problems else [])] or [0]


def _records(source: _Source, problems: list[Problem]) -> Iterator[_Record]:
    """Yield every record that holds a cell; a quoted cell may span lines."""
    reader = csv.reader(io.StringIO(source.text, newline=""), delimiter=source.delimiter, strict=True)
    while True:
        begin, first = reader.line_num + source.first_line, reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(Problem(begin, f"cannot be parsed: {error}; nothing after it was read"))
            return
        if cells:
            spans = reader.line_num - first > 1
            yield _Record(begin, cells, spans and any("\n" in cell and source.delimiter in cell for cell in cells))


def _unquoted(source: _Source, quoted: list[_Record], problems: list[Problem], notes: list[str]) -> list[_Record]:
    """Records of a file in which quotation marks may be text: those of its lines, where all lines are whole rows."""
    lines = source.text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    plain = [
        _Record(number, line.split(source.delimiter))
        for number, line in enumerate(lines, start=source.first_line)
        if line
    ]
    width = len(plain[0].cells)
    if not plain[0].cells[0].startswith('"') and all(len(record.cells) == width for record in plain):
        problems.clear()
        notes.append("Quotation marks were read as text: every line is a whole row without them.")
        return plain
    problems += [
        Problem(
            record.line_number,
            "a quoted cell holds tabs and line breaks, so that it may have swallowed other rows: where quotation "
            'marks are text, write each of them twice and quote the cell ("a ""b"" c"), or save the file as JSONL',
        )
        for record in quoted
        if record.suspect
    ]
    return quoted


def _swallowed(source: _Source, records: Sequence[_Record]) -> list[str]:
    """Say which cells of a CSV span lines that look like whole rows; text with commas and line breaks may, too."""
    width = len(records[0].cells)
    numbers = [record.line_number for record in records if record.suspect and _holds_row(source, record, width)]
    if not numbers:
        return []
    return [
        f"Quoted cells span lines that look like rows of their own (from line {listed(numbers)}): if quotation marks "
        f"are text there, these rows were not read."
    ]


def _holds_row(source: _Source, record: _Record, width: int) -> bool:
    inner = [line for cell in record.cells if "\n" in cell for line in cell.split("\n")[1:]]
    return any(line.count(source.delimiter) >= max(width - 2, 1) for line in inner)


def _plain_name(name: str) -> str:
    """A column's name without the blanks and byte-order marks around it, which nobody would type."""
    return name.strip().strip(_MARK).strip()


def _without_empty(records: Sequence[_Record], notes: list[str]) -> list[_Record]:
    """Leave out rows that are separators and nothing else, as spreadsheets write below and between rows."""
    kept = [record for record in records if any(record.cells)]
    if len(kept) < len(records) and kept:
        were = "was" if len(records) - len(kept) == 1 else "were"
        notes.append(f"{counted(len(records) - len(kept), 'row')} without any cell filled {were} left out.")
        return kept
    return list(records)


def _trimmed(record: _Record, width: int) -> _Record:
    """A row without the empty cells that it has beyond the header."""
    if len(record.cells) <= width or any(record.cells[width:]):
        return record
    return record._replace(cells=record.cells[:width])


def _filled(header: Sequence[str], records: list[_Record], notes: list[str]) -> list[_Record]:
    """Rows with empty cells for the last columns where all rows alike end before them, as those of MTurk do."""
    widths = {len(record.cells) for record in records}
    if len(records) < _FEWEST_SHORT or len(widths) > 1 or not 1 < min(widths) < len(header):
        return records
    absent = header[min(widths) :]
    notes.append(f"Every row ends before the last columns of the header, which were read as empty: {listed(absent)}.")
    return [record._replace(cells=[*record.cells, *[""] * len(absent)]) for record in records]


def _without_headers(header: Sequence[str], records: list[_Record], problems: list[Problem]) -> list[_Record]:
    """Note rows that describe the columns, and would be read as an item; return the others."""
    if len(header) < 2:
        return records
    told: dict[int, str] = {}
    for i, record in enumerate(records):
        # Files have millions of rows: the first cell tells nearly all of them.
        if header[0] not in record.cells[0] and not _IMPORT_ID.match(record.cells[0]):
            continue
        if [*map(_plain_name, record.cells)] == list(header):
            told[i] = "repeats the header, as where files were joined: delete the line"
        elif all(map(_IMPORT_ID.match, record.cells)):
            above = f", and so is the row above it (line {records[i - 1].line_number})" if i else ""
            told[i] = f"describes the columns, as Qualtrics exports them, and is no item{above}: delete these rows"
    problems += [Problem(records[i].line_number, text) for i, text in told.items()]
    return [record for i, record in enumerate(records) if i not in told] if told else records


def _whole_rows(header: Sequence[str], records: Sequence[_Record], problems: list[Problem]) -> Iterator[_Record]:
    for record in records:
        if len(record.cells) == len(header):
            yield record
        else:
            cells = counted(len(record.cells), "cell")
            problems.append(Problem(record.line_number, f"has {cells}; the header has {len(header)}"))
