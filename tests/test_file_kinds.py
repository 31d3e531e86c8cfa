"""Kinds of files beside text: workbooks, archives and arrays."""

from __future__ import annotations

import bz2
import lzma
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from contested.annotations import read_annotations
from contested.errors import ConfigError, DataError
from contested.rows import Request, read_table

CSV = b"id,x\na,1\n"


def write_zip(path, **files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(("suffix", "packed"), [("bz2", bz2.compress), ("xz", lzma.compress)])
def test_compressed_files(tmp_path, suffix, packed):
    (tmp_path / f"a.tsv.{suffix}").write_bytes(packed(CSV.replace(b",", b"\t")))
    assert read_table(tmp_path / f"a.tsv.{suffix}").columns == {"id": ["a"], "x": ["1"]}
    (tmp_path / "cut").write_bytes(packed(CSV)[:-4])
    with pytest.raises(DataError, match=r"cut off|damaged"):
        read_table(tmp_path / "cut")


def test_an_archive_of_one_file(tmp_path):
    path = write_zip(tmp_path / "a.csv.zip", **{"a.csv": CSV, "__MACOSX/a.csv": b"x"})
    assert read_table(path).columns == {"id": ["a"], "x": ["1"]}
    with pytest.raises(DataError, match=r"is an archive of 2 files: a\.csv, b\.csv"):
        read_table(write_zip(tmp_path / "b.zip", **{"a.csv": CSV, "b.csv": CSV}))
    # A hundredfold is what text may grow; zeros grow more.
    with pytest.raises(DataError, match="unpacks to more than 100 times its size"):
        read_table(write_zip(tmp_path / "c.zip", **{"a.csv": b"0" * (65 * 2**20)}))


def test_a_workbook(tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "a.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame().to_excel(book, sheet_name="empty")
        pd.DataFrame({"id": ["a", None, "b"], "r1": [1, None, 2], "r2": ["NA", None, 0.5]}).to_excel(
            book, sheet_name="votes", index=False
        )
        pd.DataFrame({"k": [3]}).to_excel(book, sheet_name="other")
    table = read_table(path)
    assert table.columns == {"id": ["a", "b"], "r1": [1, 2], "r2": ["NA", 0.5]}
    assert (table.line_numbers, table.unit) == ([2, 4], "row")
    assert "other sheets, which were not read: other. Name one with part." in table.trace.notes[1]
    other = read_table(path, request=Request(part="other"))
    assert (other.columns, other.unnamed) == ({"k": [3]}, {"Unnamed: 0": [0]})
    named = read_table(path, request=Request(columns=("item", "p", "q"), part="votes"))
    assert named.columns["item"] == ["id", "a", "b"]
    with pytest.raises(DataError, match=r"no sheet 'x' with rows \(part\); it has: votes, other"):
        read_table(path, request=Request(part="x"))
    path.rename(tmp_path / "b.csv")
    assert read_table(tmp_path / "b.csv").kind == "excel"


def test_ids_that_a_workbook_has_rounded_are_refused(tmp_path):
    pytest.importorskip("openpyxl")
    rows = [(1234567890123456789, "w1", "x"), (1234567890123456791, "w1", "y"), (1234567890123456789, "w2", "x")]
    for name, ids in (("a.xlsx", [row[0] for row in rows]), ("b.xlsx", [str(row[0]) for row in rows])):
        table = pd.DataFrame({"id": ids, "worker": [row[1] for row in rows], "label": [row[2] for row in rows]})
        table.to_excel(tmp_path / name, index=False)
    with pytest.raises(DataError) as caught:
        read_annotations(tmp_path / "a.xlsx")
    assert caught.value.problems[0].startswith("rows 2, 3, 4: id is 1.234567890123457e+18, a rounded number")
    assert read_annotations(tmp_path / "b.xlsx").label_counts.tolist() == [[2, 0], [0, 1]]


def test_the_header_of_a_workbook_is_told_as_that_of_a_csv(tmp_path):
    pytest.importorskip("openpyxl")
    rows = [["id", "x", "x", "y", "y", ""], ["a", "1", "1", "1", "2", "9"]]
    pd.DataFrame(rows).to_excel(tmp_path / "a.xlsx", header=False, index=False)
    (tmp_path / "a.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    book, text = read_table(tmp_path / "a.xlsx"), read_table(tmp_path / "a.csv")
    assert (book.columns, book.unnamed, book.repeated) == (
        {"id": ["a"], "x": ["1"]},
        {"Unnamed: 5": ["9"]},
        frozenset("y"),
    )
    assert (book.columns, book.unnamed, book.repeated) == (text.columns, text.unnamed, text.repeated)
    assert book.trace.notes[1:] == text.trace.notes
    assert len(text.trace.notes) == 2


def test_a_workbook_without_openpyxl(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl")
    pd.DataFrame({"id": [1]}).to_excel(tmp_path / "a.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ConfigError, match=r"needs openpyxl: pip install .contested\[excel\]"):
        read_table(tmp_path / "a.xlsx")


def test_rows_under_a_named_key(tmp_path):
    (tmp_path / "a.json").write_text('{"data": {"train": [{"id": 1}], "test": [{"id": 2}]}, "x": [{"id": 3}]}')
    assert read_table(tmp_path / "a.json", request=Request(part="data.test")).columns == {"id": [2]}
    with pytest.raises(DataError, match=r"no key 'dev' \(part\); the keys are: train, test"):
        read_table(tmp_path / "a.json", request=Request(part="data.dev"))


def test_arrays_of_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read as arrays of numbers or text"):
        read_table(tmp_path / "a.npy")
