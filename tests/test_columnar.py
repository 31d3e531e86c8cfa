"""Plain CSV and TSV are read by column exactly as they are read record by record."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from contested.rows import Coded, Rows, delimited
from contested.rows.columnar import read_plain
from contested.rows.table import Request

CELLS = [
    "x",
    "yes, no",
    "",
    " ",
    '"x"',
    '"a, b"',
    '"a ""b"" c"',
    '""',
    'a"b',
    '"a"b',
    '"two\nlines"',
    "é",
    "\ufeff",
    "id",
]
ENDS = ["\n", "\r\n", "\n", "\n\n", "\r", ""]


def as_lists(rows: Rows) -> tuple[object, ...]:
    columns, unnamed = ({name: list(values) for name, values in part.items()} for part in (rows.columns, rows.unnamed))
    return columns, [*rows.line_numbers], rows.problems, rows.notes, unnamed, rows.repeated


def drawn(draw: random.Random) -> str:
    """A file in which a row in twenty is unlike the others."""
    separator, end, width = draw.choice(",\t;"), draw.choice(ENDS[:2]), draw.randint(1, 4)
    plain = [cell for cell in CELLS if "\n" not in cell and not set('"\ufeff') & set(cell)] + ['"a, b"', '"a ""b"" c"']
    lines = [separator.join(draw.choice(["id", "x", "y", "x", ""]) for _ in range(width)) + end]
    for _ in range(draw.randint(1, 12)):
        odd = draw.random() < 0.05
        cells = [draw.choice(CELLS if odd else plain) for _ in range(width + (odd and draw.randint(-1, 1)))]
        lines.append(separator.join(cells) + (draw.choice(ENDS) if odd else end))
    return "".join(lines)


def test_both_ways_agree_on_generated_files(monkeypatch):
    draw, by_column = random.Random(0), 0
    for number in range(800):
        text = drawn(draw)
        usual = draw.choice(",\t")
        found = delimited.parse_delimited(Path("a.csv"), text.encode(), Request(), usual=usual)
        with monkeypatch.context() as context:
            context.setattr(delimited, "read_plain", lambda content, delimiter: None)
            assert as_lists(found) == as_lists(
                delimited.parse_delimited(Path("a.csv"), text.encode(), Request(), usual=usual)
            ), number
        by_column += any(isinstance(column, Coded) for column in found.columns.values())
    assert by_column > 100


@pytest.mark.parametrize(
    "text",
    [
        "id,x\na,1\n\nb,2\n",  # an empty line
        "id,x\na,1\nb\n",  # a short row
        "id,x\na,1,2\nb,2,3\n",  # long rows
        "id,x\n,\nb,2\n",  # a row without a filled cell
        'id,x\na,"1\n2"\n',  # a cell of two lines
        'id,x\na,"1"2\n',  # a mark that closes within a cell
        'id,x\na,1"2"\n',  # marks that are text
        'id,x\na,"1\n',  # a mark that never closes
        "id,x\ra,1\r",  # another end of lines
        "id,x\na,1\nid,x\nb,2\n",  # the header again
        "x\n1\n",  # one column
        "id,x\n",  # no rows
        f"id,x\na,{'1' * 131_073}\n",  # a cell longer than csv takes
    ],
)
def test_what_is_unusual_is_left_to_the_reader_of_records(text):
    assert delimited._from_columns(text.encode(), delimited._Source(text, 1, ","), []) is None


def test_plain_files_are_read_by_column():
    plain = read_plain('id,x\r\na,"1, ""2"""\r\nb,\r\na,é\r\n'.encode(), ",")
    assert plain is not None
    assert (plain.header, [list(column) for column in plain.columns]) == (
        ["id", "x"],
        [["a", "b", "a"], ['1, "2"', None, "é"]],
    )
    assert read_plain(b"id,x\n" + b"a,1\nb,2\n" * 9, ",").columns[0].values == ["a", "b"]


def test_a_coded_column_reads_as_its_list():
    values = ["x", 1, 1.0, True, None, ["x"], ["x"], "x", None]
    column = Coded.of(values)
    assert (list(column), column[1:3], column[7], len(column)) == (values, [1, 1.0], "x", 9)
    # Numbers of several types and lists stay apart.
    assert column.codes.tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 4]
    calls: list[object] = []
    first = column.mapped(lambda value: calls.append(value) or str(value)[:1])
    assert (list(first), len(calls)) == (["x", "1", "1", "T", "N", "[", "[", "x", "N"], 7)
    assert first.values == ["x", "1", "T", "N", "["]
    assert column.where(lambda value: value == "x").tolist() == [True, *[False] * 6, True, False]
