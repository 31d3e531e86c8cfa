"""Annotated files as programs export them: what surrounds the rows, and what is no row at all."""

from __future__ import annotations

import gzip
import pickle

import numpy as np
import pandas as pd
import pytest
from as_read import counts, message_of, notes_of, problems_of

from contested.annotations import read_annotations
from contested.errors import DataError

ONE_AND_TWO, BOTH_FIRST = [1, 2], [3, 0]


def test_rows_that_all_end_before_the_last_columns(write_text):
    header = "HITId,WorkerId,Answer.kind,Approve,Reject\n"
    rows = ["h1,w1,si", "h1,w2,no", "h1,w3,no", "h2,w1,si", "h2,w2,si"]
    data = read_annotations(write_text("a.csv", header + "\n".join(rows)), labels_column="Answer.kind")
    assert counts(data) == {"h1": [2, 1], "h2": [0, 2]}
    assert "Every row ends before the last columns of the header, which were read as empty: Approve, Reject." in (
        notes_of(data)
    )
    # A single short row among whole ones is cut off.
    [found] = problems_of(write_text("b.csv", header + "\n".join([*rows, "h2,w3,si,x,y"])), labels_column="Answer.kind")
    assert found.endswith("has 3 cells; the header has 5")


@pytest.mark.parametrize("end", [",", ",,"])
def test_empty_cells_beyond_the_header(write_text, end):
    path = write_text("a.csv", f"id,r1,r2,r3\na,x,y,y{end}\nb,x,x,x\n")
    assert counts(read_annotations(path, labels_column=["r1", "r2", "r3"])) == {"a": ONE_AND_TWO, "b": BOTH_FIRST}
    full = write_text("b.csv", f"id,r1,r2,r3\na,x,y,y{end}z\nb,x,x,x\n")
    assert "the header has 4" in problems_of(full, labels_column=["r1", "r2", "r3"])[0]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_of_separators_alone_are_no_items(write_text, separator):
    rows = ["id,r1,r2,r3", "a,x,y,y", ",,,", "b,x,x,x", ",,,", ",,,"]
    path = write_text("a.csv", "\n".join(rows).replace(",", separator))
    data = read_annotations(path, labels_column=["r1", "r2", "r3"])
    assert counts(data) == {"a": ONE_AND_TWO, "b": BOTH_FIRST}
    assert "3 rows without any cell filled were left out." in notes_of(data)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_header_of_a_second_file_is_no_item(write_text, mark):
    half = "id,labels\n{0},x|y|y\n"
    path = write_text("a.csv", half.format("a") + mark + half.format("b"))
    assert problems_of(path) == ("line 3: repeats the header, as where files were joined: delete the line",)


def test_rows_in_which_qualtrics_describes_its_columns_are_no_items(write_text):
    rows = [
        "ResponseId,Q1,Q2",
        'Response ID,Is A rude?,"Is B,\nrude?"',
        '"{""ImportId"":""_recordId""}","{""ImportId"":""QID1""}","{""ImportId"":""QID2""}"',
    ]
    answers = ["R1,yes,no", "R2,no,no"]
    options = {"labels_column": ["Q1", "Q2"], "id_column": "ResponseId"}
    [found] = problems_of(write_text("a.csv", "\n".join([*rows, *answers])), **options)
    assert found == (
        "line 4: describes the columns, as Qualtrics exports them, and is no item, and so is the row above it "
        "(line 2): delete these rows"
    )
    assert counts(read_annotations(write_text("b.csv", "\n".join([rows[0], *answers])), **options))["R2"] == [2, 0]


def test_blanks_and_marks_around_column_names(write_text):
    path = write_text("a.csv", "\ufeff\ufeffid, r1, r2 , r3\na, x, y, y\nb, x, x, x\n")
    data = read_annotations(path, labels_column=["r1", "r2", "r3"])
    assert counts(data) == {"a": ONE_AND_TWO, "b": BOTH_FIRST}
    assert data.receipt.columns["ids"] == ("id",)


@pytest.mark.parametrize("option", ["labels_column", "count_columns", "distribution_column", "worker_column"])
def test_a_table_under_an_unknown_suffix_is_told_whatever_is_named(write_text, option):
    path = write_text("a.txt", "id,r1,r2\na,x,y\n")
    assert "is of an unknown type: its suffix '.txt' is not recognised" in message_of(path, **{option: "r1"})
    path = write_text("a.csv", "r1 r2\nx y\n")
    assert problems_of(path, labels_column=["r1", "r2"])[0] == "there is no column 'r1' (labels_column); columns: r1 r2"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "cannot be read as arrays of numbers or text: EOF"),
        (pickle.dumps({"a": ["x"] * 9}), "is a pickle of Python"),
        (b"ARROW1\x00\x00\xff\xff\xff\xff", "is an Arrow \\(Feather\\) file: write it as Parquet"),
        (b"$FL2@(#) IBM SPSS STATISTICS", "is an SPSS file: save it as CSV"),
        (gzip.compress(b"X\n\x00\x00\x00\x03\x00\x04"), "is data of R: write the table in it with write.csv"),
        (gzip.compress(b"PK\x03\x04xl/"), "is a ZIP archive or an Excel workbook"),
        (np.arange(3000, dtype=np.int64).tobytes(), "looks like a binary file; expected text or Parquet"),
    ],
    ids=["numpy", "pickle", "feather", "spss", "r", "zip", "numbers"],
)
def test_binary_files_are_called_what_they_are(tmp_path, content, what):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=what) as caught:
        read_annotations(tmp_path / "a.csv")
    assert "UTF-16" not in caught.value.message


def test_bytes_in_parquet_are_text(tmp_path):
    table = pd.DataFrame(
        {"id": [b"a", b"b"], "labels": [[b"x", b"y", b"y"], [b"x", b"x", b"x"]], "raw": [b"\xff", b""]}
    )
    table.to_parquet(tmp_path / "a.parquet")
    data = read_annotations(tmp_path / "a.parquet")
    assert (counts(data), data.label_names) == ({"a": ONE_AND_TWO, "b": BOTH_FIRST}, ("x", "y"))
