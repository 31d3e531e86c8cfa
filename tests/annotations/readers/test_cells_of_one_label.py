"""Cells that hold one annotator's label, and files of which a column of numbers, names or totals is no annotation."""

from __future__ import annotations

import pytest
from as_read import counts, notes_of, problems_of

from contested.annotations import read_annotations
from contested.errors import DataError

COLUMNS = ["r1", "r2", "r3"]


def test_a_list_of_one_label_is_that_label(write_text, write_jsonl):
    rows = [("a", ["x"], "['y']", '["y"]'), ("b", "x", ["x"], []), ("c", [2], "[2]", "[]")]
    data = read_annotations(
        write_jsonl([dict(zip(["id", *COLUMNS], row, strict=True)) for row in rows]), labels_column=COLUMNS
    )
    assert (data.label_names, counts(data)) == (("2", "x", "y"), {"a": [0, 1, 2], "b": [0, 2, 0], "c": [2, 0, 0]})
    assert data.receipt.missing == {"empty": 2}
    none = [{"id": "a", "r1": "[nan]", "r2": "[NA]", "r3": "x"}, {"id": "b", "r1": "x", "r2": "y", "r3": "y"}]
    data = read_annotations(write_jsonl(none), labels_column=COLUMNS)
    assert (counts(data), data.receipt.missing) == ({"a": [1, 0], "b": [1, 2]}, {"nan": 1, "NA": 1})
    long = [("a", "w1", "['x']"), ("a", "w2", "['y']"), ("b", "w1", "['x']"), ("b", "w2", "x")]
    path = write_text("a.csv", "item,worker,label\n" + "\n".join(map(",".join, long)))
    data = read_annotations(path)
    assert (data.receipt.format, counts(data)) == ("long", {"a": [1, 1], "b": [2, 0]})


@pytest.mark.parametrize("cell", [["x", "y"], "['x', 'y']", {"choices": ["x", "y"]}, '{"choices": ["x"]}', "['x', 'y"])
def test_several_labels_in_one_annotators_cell_are_told(write_jsonl, cell):
    wide = [{"id": "a", "r1": cell, "r2": "x", "r3": "y"}, {"id": "b", "r1": "x", "r2": "x", "r3": "y"}]
    assert problems_of(write_jsonl(wide), labels_column=COLUMNS)[0].startswith("line 1: r1 is ")
    named = [{key.replace("r", "annotator_"): value for key, value in row.items()} for row in wide]
    assert problems_of(write_jsonl(named))[0].startswith("line 1: annotator_1 is ")
    long = [{"item": "a", "worker": 1, "label": cell}, {"item": "a", "worker": 2, "label": "x"}]
    assert problems_of(write_jsonl(long))[0].startswith("line 1: label is ")
    # Annotators who all chose several labels are no votes either.
    chosen = [{"item": "a", "worker": worker, "label": cell} for worker in range(3)]
    assert problems_of(write_jsonl(chosen))[0].startswith("lines 1, 2, 3: label is ")


@pytest.mark.parametrize("label", ["[deleted]", "[0, 1)", "{x", "[18-25]"])
def test_labels_may_begin_with_a_bracket(write_jsonl, label):
    rows = [{"id": i, "r1": label, "r2": label, "r3": "other"} for i in range(2)]
    data = read_annotations(write_jsonl(rows), labels_column=COLUMNS)
    assert dict(zip(data.label_names, data.label_counts[0].tolist(), strict=True)) == {label: 2, "other": 1}
    listed = [{"id": i, "r1": "['x', 'y']", "r2": "x", "r3": "x"} for i in range(2)]
    data = read_annotations(write_jsonl(listed), labels_column=COLUMNS, label_names=["x", "['x', 'y']"])
    assert data.label_counts.tolist() == [[2, 1]] * 2


def test_rows_of_single_annotations_need_the_item(write_jsonl):
    chosen = [("t1", "jo", ["pos"]), ("t1", "al", ["neg"]), ("t2", "jo", ["pos"]), ("t2", "al", ["pos"])]
    rows = [{"_task_hash": task, "accept": accept, "_annotator_id": who} for task, who, accept in chosen]
    path = write_jsonl(rows)
    [advice] = problems_of(path)
    assert advice == "accept holds lists of labels: labels_column='accept'"
    [advice] = problems_of(path, labels_column="accept")
    assert advice == (
        "every row has one label and its annotator in _annotator_id, and no column is called as ids are: name the "
        "column that says which item a row annotates with id_column"
    )
    assert counts(read_annotations(path, labels_column="accept", id_column="_task_hash")) == {
        "t1": [1, 1],
        "t2": [0, 2],
    }


def test_items_with_one_label_and_its_annotator_are_items(write_jsonl):
    rows = [{"id": i, "labels": label, "annotator": "jo"} for i, label in enumerate(["pos", "neg"])]
    data = read_annotations(write_jsonl(rows), labels_column="labels", format="labels")
    assert counts(data) == {"0": [0, 1], "1": [1, 0]}


def test_the_words_of_a_text_are_not_proposed_as_labels(write_jsonl):
    words = ["a", "word", "comes", "once", "or", "twice", "in", "text", "a"]
    rows = [{"post_id": i, "tokens": words[5 * i : 5 * i + 5], "people": [{"l": "x"}, {"l": "y"}]} for i in range(2)]
    assert not any("labels_column='tokens'" in text for text in problems_of(write_jsonl(rows)))


@pytest.mark.parametrize("name", ["labels", "annotations"])
def test_a_gold_label_or_number_beside_annotators_is_no_vote(write_text, name):
    rows = ["a,{},x,y,y", "b,{},x,x,x"]
    given = [row.format(value) for row, value in zip(rows, ("y", "x") if name == "labels" else (3, 3), strict=True)]
    header = f"id,{name},annotator_1,annotator_2,annotator_3\n"
    data = read_annotations(write_text("a.csv", header + "\n".join(given)))
    assert (data.receipt.format, counts(data)) == ("annotators", {"a": [1, 2], "b": [3, 0]})
    lists = read_annotations(write_text("b.csv", header + "\n".join(row.format("u|v|v") for row in rows)))
    assert (lists.receipt.format, lists.label_names) == ("labels", ("u", "v"))


@pytest.mark.parametrize("name", ["counts", "label_count"])
def test_the_number_of_labels_beside_them_is_no_count_per_class(write_text, name):
    data = read_annotations(write_text("a.csv", f"id,{name},labels\na,3,x|y|y\nb,2,x|x\n"))
    assert (data.receipt.format, counts(data)) == ("labels", {"a": [1, 2], "b": [2, 0]})
    [found] = problems_of(write_text("b.csv", f"id,{name}\na,3\n"))
    assert "expected an object from label to number" in found


def test_names_of_annotators_are_no_labels(write_text):
    path = write_text("a.csv", "id,annotator_1,annotator_2,annotator_1_label,annotator_2_label\na,jo,al,x,y\n")
    with pytest.raises(DataError, match="Name the columns that hold the annotations"):
        read_annotations(path)
    data = read_annotations(path, labels_column=["annotator_1_label", "annotator_2_label"])
    assert counts(data) == {"a": [1, 1]}
    path = write_text("b.csv", "id,worker_1,worker_2,annotator_1,annotator_2\na,w1,w9,x,y\nb,w3,w4,y,y\n")
    [found] = problems_of(path)
    assert "only one kind of which can hold the labels: name these with labels_column" in found
    assert counts(read_annotations(path, labels_column=["annotator_1", "annotator_2"])) == {"a": [1, 1], "b": [0, 2]}


def test_a_total_beside_counts_is_noted(write_text, write_jsonl):
    path = write_text("a.csv", "id,no,yes,total\na,2,1,3\nb,3,0,3\nc,1,2,3\n")
    told = "total is the sum of the other classes on every row: if it is their total, it is no class"
    assert told in notes_of(read_annotations(path, count_columns=["no", "yes", "total"]))
    rows = [{"id": "a", "counts": {"no": 2, "yes": 1, "total": 3}}, {"id": "b", "counts": {"no": 2, "total": 2}}]
    assert told in notes_of(read_annotations(write_jsonl(rows)))
    assert "sum of the other" not in notes_of(read_annotations(path, count_columns=["no", "yes"]))
