"""Files of rows, read with the line of every row.

:data:`KINDS` has every kind of file; errors, help texts and documents name what stands there.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from contested.errors import ConfigError, DataError
from contested.rows.array_rows import parse_array, parse_arrays
from contested.rows.coded import Coded
from contested.rows.content import NotUtf8Error, as_utf8, decode, is_workbook, plain_suffix, read_content
from contested.rows.delimited import parse_delimited, parse_text
from contested.rows.excel_rows import parse_excel
from contested.rows.json_rows import parse_json, parse_jsonl
from contested.rows.parquet_rows import parse_parquet
from contested.rows.table import FILE, PLAIN, Kind, Problem, Request, Rows, Table, Trace, joined
from contested.wording import listed

__all__ = [
    "FILE",
    "FILE_KINDS",
    "KINDS",
    "TEXT",
    "Coded",
    "Kind",
    "NotUtf8Error",
    "Problem",
    "Request",
    "Rows",
    "Table",
    "Trace",
    "joined",
    "read_table",
    "unknown_kind",
]

TEXT = "text"
"""The kind of a file that is of none of :data:`KINDS`."""

_HEADLESS, _PARTS = frozenset({"columns"}), frozenset({"part"})

KINDS: tuple[Kind, ...] = (
    Kind("JSONL", (".jsonl", ".ndjson"), parse_jsonl, sniff=lambda content: content.lstrip().startswith(b"{")),
    Kind("JSON", (".json",), parse_json, unit="entry", takes=_PARTS),
    Kind("CSV", (".csv",), partial(parse_delimited, usual=","), takes=_HEADLESS),
    Kind("TSV", (".tsv",), partial(parse_delimited, usual="\t"), takes=_HEADLESS),
    Kind("Parquet", (".parquet", ".pq"), parse_parquet, unit="row", sniff=lambda content: content.startswith(b"PAR1")),
    Kind("Excel", (".xlsx", ".xlsm"), parse_excel, unit="row", sniff=is_workbook, takes=_HEADLESS | _PARTS),
    Kind("NPY", (".npy",), parse_array, unit="row", sniff=lambda content: content.startswith(b"\x93NUMPY")),
    Kind("NPZ", (".npz",), parse_arrays, unit="row", takes=_PARTS),
)
"""Every kind of file of rows; each may be compressed (``.csv.gz``, or a ZIP archive of one file)."""

FILE_KINDS = f"{', '.join(kind.title for kind in KINDS[:-1])} or {KINDS[-1].title}"
"""The kinds as part of a sentence."""


def read_table(path: Path, *, lines: bool = False, encoding: str | None = None, request: Request = PLAIN) -> Table:
    """Read a file of rows; lines that cannot be parsed become problems of the table.

    Args:
        path: A file of one of :data:`KINDS`, told by its suffix, else by its content.
        lines: Whether a file of an unknown type is read as lines: kind ``text``, and one column ``line`` with all of
            them, empty ones too.
        encoding: How its text is encoded, where that is neither UTF-8 nor named by a byte-order mark.
        request: What else its reader says of it.

    Returns:
        The rows.

    Raises:
        ConfigError: If the encoding is unknown, or the kind of file has no use for what the request says.
        DataError: If the path is missing or a folder, or the file is empty, of another kind or in another encoding.
    """
    content, notes = read_content(path)
    if encoding is not None:
        content = as_utf8(path, content, encoding)
        notes.append(f"The file was decoded as {encoding}, as asked for.")
    if not content.strip():
        raise DataError(f"{path} is empty; expected one item (or annotation) per row.")
    found = _kind(path, content)
    if found is None and not lines:
        raise unknown_kind(path)
    _check_request(path, found, request)
    kind = found.name if found else "table of text" if request.columns else TEXT
    if found is not None:
        rows = found.parse(path, content, request)
    else:
        rows = parse_text(path, content, request) if request.columns else _parse_lines(path, content)
    if not rows.line_numbers and not rows.problems:
        raise DataError(f"{path} holds no rows ({kind}); expected one item (or annotation) per row.")
    return Table(
        path,
        kind,
        dict(rows.columns),
        rows.line_numbers,
        rows.problems,
        unit=rows.unit or (found.unit if found else "line"),
        unnamed=dict(rows.unnamed),
        repeated=rows.repeated,
        trace=Trace([*notes, *rows.notes]),
    )


def _check_request(path: Path, found: Kind | None, request: Request) -> None:
    for name in {name for name, value in request._asdict().items() if value is not None} - (
        found.takes if found else _HEADLESS
    ):
        takers = listed(kind.title for kind in KINDS if name in kind.takes)
        raise ConfigError(f"{path} is {found.title if found else 'text'}, which has no use for {name}: {takers} has.")


def _kind(path: Path, content: bytes) -> Kind | None:
    suffix = plain_suffix(path)
    named = [kind for kind in KINDS if suffix in kind.suffixes]
    sniffed = [kind for kind in KINDS if kind.sniff(content)]
    # The mark of a binary file goes before its suffix.
    marked = [kind for kind in sniffed if kind.unit == "row"]
    return next(iter([*marked, *named, *sniffed]), None)


def unknown_kind(path: Path) -> DataError:
    """The error that a file is of an unknown type."""
    suffixes = [suffix for kind in KINDS for suffix in kind.suffixes]
    return DataError(
        f"{path} is of an unknown type: its suffix '{path.suffix}' is not recognised, nor is its content. "
        f"Expected {FILE_KINDS} ({listed(suffixes)}); rename or convert the file."
    )


def _parse_lines(path: Path, content: bytes) -> Rows:
    text, notes = decode(path, content)
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return Rows({"line": [*lines]}, list(range(1, len(lines) + 1)), [], notes)
