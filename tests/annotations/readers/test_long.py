from __future__ import annotations

import json

import pandas as pd
import pytest
from as_read import problems_of

from contested.annotations import read_annotations

ROWS = [
    ("b", "w1", "yes", "text b"),
    ("a", "w1", "no", "text a"),
    ("b", "w2", "no", "text b"),
    ("b", "w3", "yes", "text b"),
]


def long_file(tmp_path, suffix, names):
    path = tmp_path / f"long{suffix}"
    frame = pd.DataFrame(ROWS, columns=[*names, "text"])
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")), encoding="utf-8")
    else:
        frame.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "names",
    [
        ("task", "worker", "label"),
        ("item", "annotator", "annotation"),
        ("example_id", "annotator_id", "answer"),
        ("uid", "worker_id", "label"),
    ],
)
def test_rows_are_counted_by_item_in_first_order(tmp_path, suffix, names):
    data = read_annotations(long_file(tmp_path, suffix, names))
    assert (data.example_ids, data.label_names) == (("b", "a"), ("no", "yes"))
    assert data.label_counts.tolist() == [[1, 2], [1, 0]]
    assert data.fields.to_dict("list") == {"text": ["text b", "text a"]}


def test_own_column_names(write_text):
    path = write_text("x.csv", "sentence,who,stance\ns1,w1,pro\ns1,w2,con\n")
    data = read_annotations(path, id_column="sentence", worker_column="who", labels_column="stance")
    assert data.label_counts.tolist() == [[1, 1]]


def test_columns_that_vary_within_an_item_are_no_fields_of_it(write_text):
    path = write_text("x.csv", "task,worker,label,why,genre\na,1,x,r1,g\na,2,y,r2,g\nb,1,x,r3,\n")
    fields = read_annotations(path).fields
    assert list(fields.columns) == ["genre"]


def test_all_problems_are_told_at_once_with_their_lines(write_text):
    path = write_text("x.csv", "task,worker,label\na,1,yes\na,1,no\na,2,yess\n,3,yes\nb,,yes\nb,1,no\n")
    assert problems_of(path, label_names=["no", "yes"]) == (
        "line 3: worker '1' already annotated task 'a' with 'yes' on line 2, and here with 'no'; expected one label "
        "each",
        "line 4: unknown label 'yess' (did you mean 'yes'?); expected no, yes",
        "line 5: task is missing; expected one value",
        "line 6: worker is missing; expected one value",
    )


def test_required_text_must_be_one_an_item(write_text):
    path = write_text("x.csv", "task,worker,label,text\na,1,x,t\na,2,y,u\n")
    assert problems_of(path, text_columns="text") == ("line 3: text of 'a' differs from line 2; expected one text",)


def test_missing_columns_are_told_together(write_text):
    found = problems_of(write_text("x.csv", "thing,labell\na,b\n"), format="long")
    assert [text.split(";")[0] for text in found] == [
        "no column task or item or example_id or uid or item_id or id",
        "no column label or annotation or answer or rating or score or vote",
    ]


def test_labels_that_are_lists_are_told(write_jsonl):
    path = write_jsonl([{"task": "a", "worker": 1, "label": ["x", "y"]}, {"task": "a", "worker": 2, "label": "y"}])
    [told, *_] = problems_of(path, format="long")
    assert told.startswith("line 1: label is ['x', 'y']; expected one label per annotator")
