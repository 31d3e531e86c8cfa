from __future__ import annotations

import pandas as pd
import pytest
from as_read import problems_of

from contested.annotations import read_annotations
from contested.errors import ConfigError


def test_lists_of_counts_take_names_from_label_names(write_jsonl):
    path = write_jsonl([{"id": 7, "label_counts": [1, 2, 3], "text": "t", "length": 4}])
    data = read_annotations(path, label_names=["x", "y", "z"])
    assert (data.example_ids, data.label_names) == (("7",), ("x", "y", "z"))
    assert data.label_counts.tolist() == [[1, 2, 3]]
    assert data.fields.to_dict("list") == {"text": ["t"], "length": [4]}
    assert read_annotations(path).label_names == ("0", "1", "2")


def test_objects_of_counts_are_put_in_label_order(write_jsonl):
    rows = [{"uid": "a", "counts": {"b": 1, "10": 2}}, {"uid": "b", "counts": {"9": 5, "a": None}}]
    data = read_annotations(write_jsonl(rows))
    # Numbers by size, then words.
    assert data.label_names == ("9", "10", "a", "b")
    assert data.label_counts.tolist() == [[0, 2, 0, 1], [5, 0, 0, 0]]


def test_entailment_labels_follow_the_order_of_the_field(write_jsonl):
    rows = [{"uid": "a", "counts": {"contradiction": 1, "entailment": 2}}]
    data = read_annotations(write_jsonl(rows))
    assert data.label_names == ("entailment", "neutral", "contradiction")
    assert data.label_counts.tolist() == [[2, 0, 1]]


def test_one_column_a_class(write_text):
    path = write_text("a.csv", "id,premise,n_yes,n_no\na,p,3,4\nb,q,0,2\n")
    data = read_annotations(path, count_columns=["n_no", "n_yes"], label_names=["no", "yes"])
    assert (data.label_names, data.label_counts.tolist()) == (("no", "yes"), [[4, 3], [2, 0]])
    assert list(data.fields.columns) == ["premise"]
    assert read_annotations(path, count_columns=["n_no", "n_yes"]).label_names == ("n_no", "n_yes")


def test_class_columns_are_recognised_by_label_names_or_usual_names(write_text):
    path = write_text("a.tsv", "id\tyes\tno\na\t3\t4\n")
    assert read_annotations(path, label_names=["no", "yes"]).label_counts.tolist() == [[4, 3]]
    nli = write_text("b.csv", "contradiction,neutral,entailment,uid\n1,2,3,a\n")
    data = read_annotations(nli)
    assert data.label_names == ("entailment", "neutral", "contradiction")
    assert data.label_counts.tolist() == [[3, 2, 1]]


def test_json_in_csv_cells(write_text):
    path = write_text("a.csv", 'id,label_counts\na,"[1, 2]"\nb,"[3, 0]"\n')
    assert read_annotations(path).label_counts.tolist() == [[1, 2], [3, 0]]


def test_parquet_with_structs_and_whole_floats(tmp_path):
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame(
        {"id": [1, 2], "label_counts": [{"no": 1.0}, {"yes": 2.0}], "entropy": [0.1, 0.2], "len": [3, 4]}
    )
    frame.to_parquet(path)
    data = read_annotations(path)
    assert (data.label_names, data.label_counts.tolist()) == (("no", "yes"), [[1, 0], [0, 2]])
    # The file's own entropy is left out; numbers stay numbers.
    assert data.fields.to_dict("list") == {"len": [3, 4]}


def test_all_problems_are_told_at_once_with_their_lines(write_jsonl):
    path = write_jsonl(
        [
            {"uid": "a", "counts": {"yes": 3, "no": 1}},
            {"uid": "b", "counts": {"yess": 3}},
            {"uid": "a", "counts": {"yes": "three", "no": 1}},
            {"uid": "", "counts": {"yes": 0, "no": 0}},
            {"uid": "c", "counts": "3"},
            {"uid": ["d"], "counts": {"yes": 10**12}},
            {"uid": "e"},
        ]
    )
    assert problems_of(path, label_names=["no", "yes"]) == (
        "line 2: counts has the unknown label 'yess' (did you mean 'yes'?); expected no, yes",
        "line 3: uid 'a' is already on line 1; ids must be unique",
        "line 3: counts['yes'] is 'three'; expected a whole number ≥ 0",
        "line 4: uid is ''; expected an id, text or a whole number",
        "line 4: has no annotation: all counts are 0; expected at least one",
        "line 5: counts is '3'; expected an object from label to number",
        "line 6: uid is ['d']; expected an id, text or a whole number",
        "line 6: counts['yes'] is 1000000000000; expected a whole number ≥ 0 up to 1,000,000,000",
        "line 7: counts is missing; expected an object from label to number",
    )


def test_lists_of_other_lengths_are_told(write_jsonl):
    rows = [{"uid": u, "counts": c} for u, c in [("a", [1, 2]), ("b", [1, 2, 3]), ("c", [1, None])]]
    assert problems_of(write_jsonl(rows)) == (
        "line 2: counts has 3 numbers; expected 2 (0, 1)",
        "line 3: counts['1'] is missing; expected a whole number ≥ 0",
    )


def test_wrong_cells_of_wide_tables_are_told_by_column(write_text):
    path = write_text("a.csv", "id,yes,no\na,1,\nb,1.5,2\nc,-2,nan\nd,1_0,1\ne,0,0\nf,1,1\n")
    assert problems_of(path, count_columns=["yes", "no"]) == (
        "line 2: no is missing; expected a whole number ≥ 0",
        "line 3: yes is '1.5'; expected a whole number ≥ 0",
        "line 4: yes is '-2'; expected a whole number ≥ 0",
        "line 4: no is 'nan'; expected a whole number ≥ 0",
        "line 5: yes is '1_0'; expected a whole number ≥ 0",
        "line 6: has no annotation: all counts are 0; expected at least one",
    )


def test_parquet_problems_name_rows(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"id": ["a", "a"], "label_counts": [[1, 2], [1, 2]]}).to_parquet(path)
    assert problems_of(path) == ("row 2: id 'a' is already on row 1; ids must be unique",)


def test_missing_columns_are_told_together_with_near_names(write_text):
    path = write_text("a.csv", "id,premise,yes,no\na,p,1,2\n")
    found = problems_of(path, count_columns=["yes", "noo"], id_column="idd", text_columns="premis")
    assert found[0] == ("there is no column 'idd' (id_column) (did you mean 'id'?); columns: id, premise, yes, no")
    found = problems_of(path, count_columns=["yes", "noo"], text_columns="premis")
    assert "no column 'noo' (count_columns) (did you mean 'no'?)" in found[0]
    assert "no column 'premis' to read as text (text_columns) (did you mean 'premise'?)" in found[1]


def test_text_columns_come_first_and_must_hold_text(write_text):
    path = write_text("a.csv", 'id,genre,premise,counts\na,x,p,"[1, 2]"\nb,,,"[1, 2]"\n')
    assert problems_of(path, text_columns=["premise"]) == ("line 3: premise is missing; expected text",)
    whole = write_text("b.csv", 'id,genre,premise,counts\na,,p,"[1, 2]"\n')
    assert list(read_annotations(whole, text_columns="premise").fields.columns) == ["premise", "genre"]


def test_one_class_is_no_disagreement(write_jsonl):
    found = problems_of(write_jsonl([{"uid": "a", "counts": {"yes": 3}}]))
    assert found[0].startswith("only one class was found (yes); disagreement needs two or more")


def test_names_and_columns_must_pair_up(write_text):
    path = write_text("a.csv", "id,yes,no\na,1,2\n")
    with pytest.raises(ConfigError, match=r"count_columns names 2 columns.*label_names 3 classes"):
        read_annotations(path, count_columns=["yes", "no"], label_names=["a", "b", "c"])


def test_format_counts_without_counts_says_what_is_missing(write_text):
    found = problems_of(write_text("a.csv", "id,x\na,1\n"), format="counts")
    assert "no column label_counts or label_counter or label_count or counts" in found[0]
    assert "name one with count_columns; columns: id, x" in found[0]


def test_wrong_rows_do_not_hide_class_columns(write_text):
    path = write_text("a.csv", "id,yes,no\na,1,2\nb,-1,2\nc,3,4\n")
    assert problems_of(path, label_names=["yes", "no"]) == ("line 3: yes is '-1'; expected a whole number ≥ 0",)


def test_label_names_of_another_file_are_told_once(write_jsonl):
    rows = [{"id": str(row), "counts": {"yes": 3, "no": row}} for row in range(30)]
    found = problems_of(write_jsonl(rows), label_names=["y", "n"])
    assert len(found) == 2
    assert found[0].startswith("the label names y,n lack labels of the file: no (30 times), yes (30 times); if")
    assert found[1].startswith("lines 1, 2, 3, … (30 in all): counts has the unknown label 'yes'")
