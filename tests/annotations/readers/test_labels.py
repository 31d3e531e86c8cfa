from __future__ import annotations

import pytest
from as_read import problems_of

from contested.annotations import read_annotations
from contested.errors import ConfigError, DataError


def test_lists_of_labels_are_counted(write_jsonl):
    rows = [
        {"pairID": "1", "annotator_labels": ["neutral", "entailment", "neutral", ""], "sentence1": "s"},
        {"pairID": "2", "annotator_labels": ["contradiction", None], "sentence1": "t"},
    ]
    data = read_annotations(write_jsonl(rows))
    assert data.label_names == ("entailment", "neutral", "contradiction")
    assert data.label_counts.tolist() == [[1, 2, 0], [0, 0, 1]]
    assert data.fields.to_dict("list") == {"sentence1": ["s", "t"]}


@pytest.mark.parametrize("cell", ["a|b|b", "a, b ,b", "a;b;b;", '"[""a"", ""b"", ""b""]"'])
def test_labels_in_one_csv_cell(write_text, cell):
    quoted = cell if cell.startswith('"') else f'"{cell}"'
    path = write_text("x.csv", f"id,labels\n1,{quoted}\n")
    data = read_annotations(path)
    assert (data.label_names, data.label_counts.tolist()) == (("a", "b"), [[1, 2]])


def test_numbers_and_objects_from_annotator_to_label(write_text):
    path = write_text("lewidi.json", '{"9": {"annotations": {"Ann1": "-1", "Ann2": 0, "Ann3": 0.0}}}')
    data = read_annotations(path)
    assert (data.example_ids, data.label_names) == (("9",), ("-1", "0"))
    assert data.label_counts.tolist() == [[1, 2]]


def test_one_column_an_annotator(write_text):
    path = write_text("x.tsv", "guid\tw0\tw1\tw2\na\tyes\tno\t\nb\tyes\tyes\tyes\n")
    data = read_annotations(path, labels_column=["w0", "w1", "w2"])
    assert (data.label_names, data.label_counts.tolist()) == (("no", "yes"), [[1, 1], [0, 3]])


def test_all_problems_are_told_at_once_with_their_lines(write_jsonl):
    rows = [
        {"id": "a", "labels": ["yes", "yse", "no"]},
        {"id": "b", "labels": []},
        {"id": "c", "labels": None},
        {"id": "a", "labels": ["no"]},
        {"id": "d", "labels": [["no"]]},
    ]
    assert problems_of(write_jsonl(rows), label_names=["no", "yes"]) == (
        "line 1: unknown label 'yse' (did you mean 'yes'?); expected no, yes",
        "line 4: id 'a' is already on line 1; ids must be unique",
        "line 5: labels is [['no']]; expected one label per annotator; annotators who gave several labels each have no "
        "distribution over classes: say how their sets are read with multilabel=mentions, sets, each or a class",
    )


def test_label_names_of_another_file_are_told_once_and_not_line_by_line(write_jsonl):
    rows = [{"id": str(row), "labels": ["entailment", "entailment", "neutral"]} for row in range(40)]
    with pytest.raises(DataError) as caught:
        read_annotations(write_jsonl([*rows, {"id": "x", "labels": ["neutrl"]}]), label_names=["entail", "neutral"])
    assert caught.value.message.endswith("82 problems. Give other label names, or fix the file; nothing was loaded.")
    assert caught.value.problems == (
        "the label names entail,neutral lack labels of the file: entailment (80 times); if the file is right, "
        "give label_names=entailment,neutral,contradiction in the order of your classes",
        "lines 1, 2, 3, … (40 in all): unknown label 'entailment' (did you mean 'entail'?); expected entail, neutral",
        "line 41: unknown label 'neutrl' (did you mean 'neutral'?); expected entail, neutral",
    )


def test_a_slip_that_occurs_twice_does_not_call_the_label_names_wrong(write_jsonl):
    path = write_jsonl([{"id": str(row), "labels": ["yes", "no", "yess"]} for row in range(2)])
    assert problems_of(path, label_names=["yes", "no"]) == (
        "lines 1, 2: unknown label 'yess' (did you mean 'yes'?); expected yes, no",
    )


def test_annotators_who_gave_several_labels_are_refused_unless_named(write_jsonl):
    rows = [{"id": "a", "labels": {"1": "e", "2": "n", "3": "e,n"}}]
    found = problems_of(write_jsonl(rows))
    assert len(found) == 1
    assert found[0].startswith("line 1: 'e,n' gives several labels at once")
    data = read_annotations(write_jsonl(rows), label_names=["e", "n", "e,n"])
    assert data.label_counts.tolist() == [[1, 1, 1]]


def test_items_without_any_label_are_left_out_and_said(write_text):
    path = write_text("x.csv", "id,w0,w1\na,,\nb,x,y\n")
    data = read_annotations(path, labels_column=["w0", "w1"])
    assert (data.example_ids, data.label_counts.tolist()) == (("b",), [[1, 1]])
    assert data.receipt.left_out == ("1 of 2 items has no label and was left out: a",)
    empty = write_text("y.csv", "id,w0,w1\na,,\nb,,NA\n")
    assert problems_of(empty, labels_column=["w0", "w1"])[0] == "no item has a label"


def test_free_text_is_not_a_class(write_jsonl):
    rows = [{"id": str(i), "labels": [f"answer {i}", "other"]} for i in range(1001)]
    assert "1,002 different labels" in problems_of(write_jsonl(rows))[0]


def test_one_class_asks_for_label_names(write_jsonl):
    path = write_jsonl([{"id": "a", "labels": ["yes", "yes"]}])
    assert "name all classes with label_names" in problems_of(path)[0]
    assert read_annotations(path, label_names=["no", "yes"]).label_counts.tolist() == [[0, 2]]


def test_names_must_be_names(write_jsonl):
    path = write_jsonl([{"id": "a", "labels": ["yes", "no"]}])
    with pytest.raises(ConfigError, match="label_names has duplicated names"):
        read_annotations(path, label_names=["no", "no"])
    with pytest.raises(ConfigError, match="label_names must be one or more names"):
        read_annotations(path, label_names=[])


def test_real_wide_table(shared_data):
    path = shared_data / "annotators" / "gwsd.tsv"
    data = read_annotations(path, labels_column=[f"worker_{i}" for i in range(8)])
    assert data.label_names == ("agrees", "disagrees", "neutral")
    assert (data.n_items, data.n_annotators.max()) == (2300, 8)


def test_real_lewidi(shared_data):
    folder = shared_data / "annotators"
    data = read_annotations(folder / "lewidi2025_Paraphrase_dev.json")
    assert data.label_names == tuple(str(label) for label in range(-5, 6))
    assert (data.n_annotators == 4).all()
    with pytest.raises(DataError, match="several labels at once"):
        read_annotations(folder / "lewidi2025_VariErrNLI_dev.json")
