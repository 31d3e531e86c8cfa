from __future__ import annotations

import pandas as pd
import pytest

from contested.errors import DataError
from contested.rows import FILE_KINDS, KINDS, read_table


@pytest.fixture
def write_text(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def texts(table):
    return [f"{line_number}: {text}" for line_number, text in table.problems]


def test_jsonl_rows_know_their_lines(write_text):
    table = read_table(write_text("a.jsonl", '{"x": 1}\n\n{"x": 2, "y": "\u2028"}\r\n'))
    assert table.columns == {"x": [1, 2], "y": [None, "\u2028"]}
    assert (table.line_numbers, table.unit, table.problems) == ([1, 3], "line", [])


def test_broken_jsonl_lines_are_all_noted(write_text):
    table = read_table(write_text("a.jsonl", '{"x": 1}\n{"x": \n[1]\n{"x": 4}\n'))
    assert table.columns["x"] == [1, 4]
    first, second = texts(table)
    assert first.startswith("2: is not valid JSON: cut off or damaged at character 6 (Expecting value)")
    assert second == "3: holds [1]; expected a JSON object {…}"


def test_csv_rows_know_the_line_where_they_begin(write_text):
    table = read_table(write_text("a.csv", '\ufeffid,text\na,"two\nlines"\n\nb,\n'))
    assert table.columns == {"id": ["a", "b"], "text": ["two\nlines", None]}
    assert table.line_numbers == [2, 5]


def test_csv_findings(write_text):
    table = read_table(write_text("a.csv", "id,text,id\na,b\n"))
    assert texts(table) == ["1: the header has duplicated columns: id", "2: has 2 cells; the header has 3"]


def test_csv_that_ends_in_a_quote_is_noted_where_the_record_begins(write_text):
    table = read_table(write_text("a.csv", 'id,text\na,b\nc,"open\nd,e\n'))
    assert table.line_numbers == [2]
    assert texts(table) == ["3: cannot be parsed: unexpected end of data; nothing after it was read"]


def test_tsv_without_a_name_for_the_row_number(write_text):
    table = read_table(write_text("a.tsv", '\tid\ttext\n0\ta\t"quoted"\n'))
    assert table.columns == {"id": ["a"], "text": ["quoted"]}


def test_json_lists_and_objects_keyed_by_id(write_text):
    table = read_table(write_text("a.json", '[{"x": 1}, 5]'))
    assert (table.columns, table.unit, texts(table)) == (
        {"x": [1]},
        "entry",
        ["2: holds 5; expected a JSON object {…}"],
    )
    keyed = read_table(write_text("b.json", '{"7": {"x": 1}, "8": {"x": 2}}'))
    assert keyed.columns == {"id": ["7", "8"], "x": [1, 2]}


def test_json_lines_named_json_are_told_to_be_renamed(write_text):
    with pytest.raises(DataError, match=r"Extra data.*rename it to \.jsonl"):
        read_table(write_text("a.json", '{"x": 1}\n{"x": 2}\n'))
    with pytest.raises(DataError, match=r"must hold a list of objects.*given: 5"):
        read_table(write_text("b.json", "5"))


def test_parquet_counts_rows_and_turns_nan_into_none(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"x": [1.0, float("nan")], "y": [[1, 2], None]}).to_parquet(path)
    table = read_table(path)
    assert table.columns == {"x": [1.0, None], "y": [[1, 2], None]}
    assert (table.line_numbers, table.unit) == ([1, 2], "row")


def test_kind_is_told_by_content_where_the_suffix_says_nothing(tmp_path, write_text):
    assert read_table(write_text("a.txt", '{"x": 1}\n')).kind == "jsonl"
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "b.parquet")
    (tmp_path / "b.parquet").rename(tmp_path / "b.data")
    assert read_table(tmp_path / "b.data").kind == "parquet"
    with pytest.raises(
        DataError, match=r"unknown type: its suffix '\.none' is not.*JSONL, .* or Parquet \(\.jsonl.*rename or convert"
    ):
        read_table(write_text("c.none", "id,label\n"))


def test_a_file_of_an_unknown_type_is_its_lines_where_they_are_wanted(write_text):
    table = read_table(write_text("c.none", "a 1\n\nb 2\n"), lines=True)
    assert (table.kind, table.unit, table.columns) == ("text", "line", {"line": ["a 1", "", "b 2"]})
    assert table.line_numbers == [1, 2, 3]
    # Lines are the last resort.
    assert read_table(write_text("d.none", '{"x": 1}\n'), lines=True).kind == "jsonl"


def test_no_suffix_is_of_two_kinds_and_every_kind_is_named():
    suffixes = [suffix for kind in KINDS for suffix in kind.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(kind.title in FILE_KINDS for kind in KINDS)


def test_missing_file_names_a_near_one(tmp_path, write_text):
    write_text("chaos.jsonl", "{}")
    with pytest.raises(DataError, match=r"does not exist \(did you mean 'chaos\.jsonl'\?\)"):
        read_table(tmp_path / "chaso.jsonl")
    with pytest.raises(DataError, match="nor does the folder"):
        read_table(tmp_path / "none" / "a.jsonl")


def test_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="is a folder; expected one file of rows"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "", "is empty"),
        ("a.jsonl", " \n\n", "is empty"),
        ("a.csv", "id,label\n", r"holds no rows \(csv\)"),
        ("a.json", "[]", r"holds no rows \(json\)"),
    ],
)
def test_files_without_rows_are_refused(write_text, name, text, message):
    with pytest.raises(DataError, match=message):
        read_table(write_text(name, text))


def test_other_encodings_are_refused_with_line_and_byte(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("id,text\na,caf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"not UTF-8: line 2 holds the byte 0xe9.*iconv"):
        read_table(path)


def test_broken_parquet_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 but nothing else")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_table(path)


def test_problems_are_raised_in_the_order_of_their_places(write_text):
    table = read_table(write_text("a.jsonl", '{"x": 1}\n'))
    table.raise_problems("the format counts", "Fix it.")
    table.add_problem(9, "late")
    table.add_problem(0, "whole")
    table.add_problem(2, "early")
    with pytest.raises(DataError, match=r"cannot be read as the format counts \(jsonl\): 3 problems\. Fix it") as e:
        table.raise_problems("the format counts", "Fix it.")
    assert e.value.problems == ("whole", "line 2: early", "line 9: late")
