from __future__ import annotations

import gzip

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
    assert texts(table) == ["2: has 2 cells; the header has 3"]


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


def test_json_that_holds_no_rows_is_refused(write_text):
    with pytest.raises(DataError, match=r"cut off or damaged at character 8"):
        read_table(write_text("a.json", '{"x": 1'))
    with pytest.raises(DataError, match=r"must hold a list of objects.*given: 5"):
        read_table(write_text("b.json", "5"))
    with pytest.raises(DataError, match=r"given: an object with the keys n, x"):
        read_table(write_text("c.json", '{"n": 1, "x": [1, 2]}'))


def test_json_lines_under_json_and_json_under_jsonl(write_text):
    table = read_table(write_text("a.json", '{"x": 1}\n{"x": 2}\n'))
    assert (table.columns, table.unit, table.line_numbers) == ({"x": [1, 2]}, "line", [1, 2])
    assert table.trace.notes == ["The file holds one JSON object per line."]
    table = read_table(write_text("b.jsonl", '[\n {"x": 1},\n {"x": 2}\n]\n'))
    assert (table.columns, table.unit) == ({"x": [1, 2]}, "entry")
    table = read_table(write_text("c.jsonl", '{\n "7": {"x": 1}\n}\n'))
    assert table.columns == {"id": ["7"], "x": [1]}
    # A broken line among good ones is a problem of that line.
    broken = read_table(write_text("d.json", '{"x": 1}\n{"x": 2\n{"x": 3}\n'))
    assert [number for number, _ in broken.problems] == [2]


def test_rows_under_a_key_are_found_and_said(write_text):
    table = read_table(write_text("a.json", '{"version": "1", "data": [{"x": 1}, {"x": 2}], "n": [1, 2]}'))
    assert table.columns == {"x": [1, 2]}
    assert table.trace.notes == ["The rows are those under the key 'data'."]
    with pytest.raises(DataError, match="several lists of objects, under the keys train, dev"):
        read_table(write_text("b.json", '{"train": [{"x": 1}], "dev": [{"x": 2}], "n": 1}'))


def test_columns_by_row_number_as_pandas_writes_them(tmp_path):
    pd.DataFrame({"id": ["a", "b"], "labels": [["x"], ["y", "z"]]}).to_json(tmp_path / "a.json")
    table = read_table(tmp_path / "a.json")
    assert table.columns == {"id": ["a", "b"], "labels": [["x"], ["y", "z"]]}
    assert table.trace.notes == ["The file holds columns by row number, as pandas' to_json writes them."]


@pytest.mark.parametrize("text", ['{"1": {"a": 0}, "1": {"a": 1}}', '[{"a": {"w1": 0, "w1": 1}}]'])
def test_keys_twice_are_refused(write_text, text):
    with pytest.raises(DataError, match=r"duplicated keys in one object: (1|w1)"):
        read_table(write_text("a.json", text))
    table = read_table(write_text("a.jsonl", '{"a": 1}\n{"a": {"b": 1, "b": 2}}\n'))
    assert texts(table) == ["2: has duplicated keys in one object: b; one value each is expected"]


def test_objects_that_share_no_keys_are_no_table(write_text):
    rows = "".join(f'{{"{row}": 1}}\n' for row in range(5000))
    assert "5,000 objects have 5,000 different keys" in texts(read_table(write_text("a.jsonl", rows)))[0]


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_the_separator_is_what_the_rows_show(write_text, separator, suffix):
    rows = [["id", "text", "label"], ["a", "one", "x"], ["b", "two", "y"]]
    table = read_table(write_text(f"a{suffix}", "".join(separator.join(row) + "\n" for row in rows)))
    assert table.columns == {"id": ["a", "b"], "text": ["one", "two"], "label": ["x", "y"]}
    assert len(table.trace.notes) == (separator != {".csv": ",", ".tsv": "\t"}[suffix])


def test_commas_in_cells_do_not_outdo_semicolons_in_the_header(write_text):
    table = read_table(write_text("a.csv", "id;mean\na;1,5\nb;2,25\n"))
    assert table.columns == {"id": ["a", "b"], "mean": ["1,5", "2,25"]}
    assert table.trace.notes == ["Cells are separated by semicolons."]
    # A header that has commas is one of commas, whatever its cells hold.
    table = read_table(write_text("b.csv", "id,labels\na,x;y;y\nb,x;x;x\n"))
    assert table.columns["labels"] == ["x;y;y", "x;x;x"]


@pytest.mark.parametrize("separator", [",", ";"])
def test_the_first_line_with_which_excel_declares_the_separator_is_no_row(write_text, separator):
    table = read_table(write_text("a.csv", f"sep={separator}\r\nid{separator}x\r\na{separator}1\r\n"))
    assert (table.columns, [*table.line_numbers]) == ({"id": ["a"], "x": ["1"]}, [3])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_and_32_by_their_mark(tmp_path, encoding):
    mark = "\ufeff" if encoding.endswith("e") else ""
    (tmp_path / "a.csv").write_bytes((mark + "id,x\na,\u00fc\n").encode(encoding))
    table = read_table(tmp_path / "a.csv")
    assert table.columns == {"id": ["a"], "x": ["\u00fc"]}
    assert "decoded as UTF-" in table.trace.notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,x\na,b\n".encode("utf-16-le"), "NUL bytes.*iconv -f utf-16le"),
        ("id,x\n\u00e9,b\n".encode("utf-16-be"), "(NUL bytes|not UTF-8).*iconv -f utf-16be"),
        (b"id,x\na,\x00\x01\xff\x02\n", "binary file"),
        (b"PK\x03\x04 ...", "ZIP archive or an Excel workbook"),
        (b"BZh91AY", "bzip2"),
    ],
)
def test_what_is_no_text_is_told(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv", "A.CSV.GZ"])
def test_gzip_is_unpacked(tmp_path, name):
    content = gzip.compress(b"id,x\na,1\n") + gzip.compress(b"b,2\n")
    (tmp_path / name).write_bytes(content)
    table = read_table(tmp_path / name)
    assert (table.kind, table.columns) == ("csv", {"id": ["a", "b"], "x": ["1", "2"]})
    assert table.trace.notes == ["The file was unpacked with gzip."]
    (tmp_path / name).write_bytes(content[:-6])
    with pytest.raises(DataError, match="is cut off"):
        read_table(tmp_path / name)
    (tmp_path / name).write_bytes(content[:12] + b"\xff\xff" + content[14:])
    with pytest.raises(DataError, match="is damaged"):
        read_table(tmp_path / name)


def test_gzip_that_fills_memory_is_refused(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(bytes(70 * 2**20)))
    with pytest.raises(DataError, match="unpacks to more than 100 times its size"):
        read_table(tmp_path / "a.csv.gz")


def test_columns_of_one_name(write_text):
    table = read_table(write_text("a.csv", "id,x,x,y,y\na,1,1,2,3\n"))
    assert (table.columns, table.repeated) == ({"id": ["a"], "x": ["1"]}, {"y"})
    assert [note.split(" were ")[0] for note in table.trace.notes] == [
        "Columns that the header has twice with the same values",
        "Columns that the header has twice with different values",
    ]


def test_columns_without_a_name_are_kept_apart(tmp_path, write_text):
    table = read_table(write_text("a.csv", ",x,\n7,1,2\n"))
    assert (table.columns, table.unnamed) == ({"x": ["1"]}, {"Unnamed: 0": ["7"], "Unnamed: 2": ["2"]})
    pd.DataFrame({"x": [1, 2]}, index=["a", "b"]).to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert (table.columns, table.unnamed) == ({"x": [1, 2]}, {"__index_level_0__": ["a", "b"]})


def test_quotation_marks_of_a_tsv_that_are_text(write_text):
    text = 'id\ttext\tx\na\t"Begins\t0\nb\tends"\t1\nc\t"open\t2\n'
    table = read_table(write_text("a.tsv", text))
    assert table.columns == {"id": ["a", "b", "c"], "text": ['"Begins', 'ends"', '"open'], "x": ["0", "1", "2"]}
    assert (table.line_numbers, table.problems) == ([2, 3, 4], [])
    assert table.trace.notes == ["Quotation marks were read as text: every line is a whole row without them."]


def test_a_quoted_cell_that_may_have_swallowed_rows_is_told(write_text):
    table = read_table(write_text("a.tsv", 'id\ttext\nz\t"two\nlines"\na\t"Begins\nb\tends"\n'))
    assert texts(table)[0].startswith("4: a quoted cell holds tabs and line breaks, so that it may have swallowed")
    # Commas and line breaks are usual in the quoted text of a CSV: it is read, and said.
    table = read_table(write_text("a.csv", 'id,text,x\na,"Begins,0\nb,ends",1\n'))
    assert table.columns["text"] == ["Begins,0\nb,ends"]
    assert "look like rows of their own (from line 2)" in table.trace.notes[0]
    table = read_table(write_text("b.csv", 'id,text,x,y,z\na,"Dear all,\nhere, and there",1,2,3\n'))
    assert table.trace.notes == []


def test_parquet_counts_rows_and_turns_nan_into_none(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"x": [1.0, float("nan")], "y": [[1, 2], None]}).to_parquet(path)
    table = read_table(path)
    assert table.columns == {"x": [1.0, None], "y": [[1, 2], None]}
    assert (table.line_numbers, table.unit) == ([1, 2], "row")


def test_maps_of_parquet_are_objects(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    maps = pa.array([[("w1", "x"), ("w2", "y")], [("w1", "x")], [], None], pa.map_(pa.string(), pa.string()))
    pq.write_table(
        pa.table({"m": maps, "l": pa.array([[maps[0].as_py()]] * 4, pa.list_(maps.type))}), tmp_path / "a.pq"
    )
    table = read_table(tmp_path / "a.pq")
    assert table.columns["m"] == [{"w1": "x", "w2": "y"}, {"w1": "x"}, [], None]
    assert table.columns["l"][0] == [{"w1": "x", "w2": "y"}]
    twice = pa.array([[("w1", "x"), ("w1", "y")]], maps.type)
    pq.write_table(pa.table({"m": twice}), tmp_path / "b.pq")
    with pytest.raises(DataError, match="a map has a key twice"):
        read_table(tmp_path / "b.pq")


def test_kind_is_told_by_content_where_the_suffix_says_nothing(tmp_path, write_text):
    assert read_table(write_text("a.txt", '{"x": 1}\n')).kind == "jsonl"
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "b.parquet")
    (tmp_path / "b.parquet").rename(tmp_path / "b.data")
    assert read_table(tmp_path / "b.data").kind == "parquet"
    with pytest.raises(
        DataError, match=r"unknown type: its suffix '\.none' is not.*JSONL, .* or NPZ \(\.jsonl.*rename or convert"
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


def test_half_of_a_character_is_told_with_its_line(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": "\\ud83d\\ude00"}\n{"a": "\\ud800"}\n')  # the first is a whole pair
    table = read_table(file)
    assert table.columns["a"] == ["\U0001f600"]
    assert [(number, "holds \\ud800, half of a character" in text) for number, text in table.problems] == [(2, True)]
    whole = tmp_path / "a.json"
    whole.write_text('[{"a": "\\udfff"}]')
    with pytest.raises(DataError, match="half of a character"):
        read_table(whole)
