"""Layouts that are opened into others before they are read; values by hand.

Plug-in entropy in nats: 2:1 -> 0.6365, 1:1 -> 0.6931, 7:3 -> 0.6109, 9:1 -> 0.3251, 3:1:1 -> 0.9503, 3:3:4 -> 1.0889.
"""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
from as_read import counts, notes_of, problems_of

from contested.annotations import read_annotations
from contested.cli.options import READING
from contested.errors import ConfigError, DataError

TWO_ONE, EVEN = 0.6365, 0.6931


def entropies(data):
    return dict(zip(data.example_ids, data.entropy.round(4).tolist(), strict=True))


def voters(data):
    """Each vote as item, annotator and label, in the order of the file."""
    votes = data.votes
    names = [votes.annotator_ids[index] for index in votes.annotators]
    rows = zip(votes.items, names, votes.labels, strict=True)
    return [(data.example_ids[item], name, data.label_names[label]) for item, name, label in rows]


def test_the_command_line_has_every_option_of_reading():
    taken = set(inspect.signature(read_annotations).parameters) - {"path", "text_columns"}
    assert set(READING) == taken


@pytest.mark.parametrize("written", ["post+sentence", ["post", "sentence"]])
def test_an_id_of_two_columns(write_text, written):
    text = "post,sentence,coder,rude\nx,1,w1,no\nx,1,w2,yes\ny,1,w1,no\ny,1,w2,no\n"
    data = read_annotations(write_text("a.csv", text), id_column=written, labels_column="rude")
    assert entropies(data) == {"x/1": EVEN, "y/1": 0}
    assert data.receipt.columns["ids"] == ("post+sentence",)
    assert data.fields.columns.tolist() == ["post", "sentence"]


def test_an_id_that_joins_to_the_same_text_is_refused(write_text):
    path = write_text("a.csv", "post,part,labels\na/b,c,x|y\na,b/c,x|x\n")
    assert "give the same id once they are joined by /" in problems_of(path, id_column="post+part")[0]
    path = write_text("a.csv", "post,part,labels\na,c,x|y\n")
    assert (
        "no column 'prat' (id_column post+prat) (did you mean 'part'?)" in problems_of(path, id_column="post+prat")[0]
    )


def test_a_column_that_is_called_so_is_no_joined_id(write_text):
    data = read_annotations(write_text("a.csv", "a+b,a,labels\ni,1,x|y\nj,1,x|x\n"), id_column="a+b")
    assert data.example_ids == ("i", "j")


@pytest.mark.parametrize("joint", ["\t", ",", " ", ";"])
@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.txt"])
def test_names_of_columns_where_there_is_no_header(write_text, joint, name):
    if joint == " " and name != "a.txt":
        pytest.skip("blanks separate cells in text alone")
    rows = ["w1 p G", "w2 p B", "w3 p G", "w1 q G", "w2 q G"]
    path = write_text(name, "\n".join(row.replace(" ", joint) for row in rows) + "\n")
    data = read_annotations(path, columns=["worker", "item", "label"])
    assert entropies(data) == {"p": TWO_ONE, "q": 0}
    assert data.reading["options"]["columns"] == ["worker", "item", "label"]


def test_names_of_columns_where_there_is_a_header_are_refused(write_text):
    path = write_text("a.csv", "worker,item,label\nw1,p,G\nw2,p,B\n")
    assert "line 1: repeats the header" in problems_of(path, columns=["worker", "item", "label"])[0]
    with pytest.raises(ConfigError, match="is JSONL, which has no use for columns: CSV, TSV, Excel has"):
        read_annotations(write_text("a.jsonl", "{}\n"), columns=["worker"])


OBJECTS = [
    {"post": "p", "raters": [{"label": "ok", "rater": 1}, {"label": "rude", "rater": 2}, {"label": "ok", "rater": 3}]},
    {"post": "q", "raters": [{"label": "rude", "rater": 1}, {"label": "rude", "rater": 4}]},
    {"post": "r", "raters": []},
]


@pytest.mark.parametrize(
    "options",
    [
        {"id_column": "post"},
        {"id_column": "post", "labels_column": "raters"},
        {"map": {"item": "post", "annotator": "raters.rater", "label": "raters.label"}},
        {"id_column": "post", "format": "annotator-objects"},
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_objects_of_annotators(write_jsonl, options, as_text):
    rows = [{**row, "raters": str(row["raters"])} for row in OBJECTS] if as_text else OBJECTS
    data = read_annotations(write_jsonl(rows), **options)
    assert (data.label_names, counts(data)) == (("ok", "rude"), {"p": [2, 1], "q": [0, 2]})
    assert voters(data)[:3] == [("p", "1", "ok"), ("p", "2", "rude"), ("p", "3", "ok")]
    assert data.votes.annotator_ids == ("1", "2", "3", "4")
    assert any("1 of 3 items has no label" in text for text in data.receipt.left_out)


def test_an_object_without_a_label_is_no_answer(write_jsonl):
    rows = [OBJECTS[0], {"post": "q", "raters": [{"label": "rude", "rater": 1}, {"rater": 2}]}]
    data = read_annotations(write_jsonl(rows), id_column="post")
    assert (data.receipt.format, counts(data)) == ("annotator-objects", {"p": [2, 1], "q": [0, 1]})
    assert data.receipt.missing == {"empty": 1}


def test_objects_name_the_line_of_their_item(write_jsonl):
    rows = [OBJECTS[0], {"post": "q", "raters": [{"label": "ok", "rater": 1}, {"label": "rude", "rater": 1}]}]
    [found] = problems_of(write_jsonl(rows), id_column="post")
    assert found.startswith("line 2: raters.rater '1' already annotated post 'q' with 'ok'")


def test_paths_into_objects(write_jsonl):
    rows = [
        {"meta": {"key": "a", "n": 2}, "human": {"votes": ["x", "y"]}},
        {"meta": {"key": "b"}, "human": {"votes": ["x"] * 2}},
    ]
    data = read_annotations(write_jsonl(rows), id_column="meta.key", labels_column="human.votes")
    assert entropies(data) == {"a": EVEN, "b": 0}
    # The longest name of a column begins the path.
    longest = [{"id": 1, "a": {"b": {"c": "x"}}, "a.b": {"c": ["y", "z"]}}]
    assert read_annotations(write_jsonl(longest), labels_column="a.b.c").label_names == ("y", "z")
    two = [{"id": 1, "a": [{"label": 1}], "b": [{"who": 2}]}]
    with pytest.raises(ConfigError, match="lists of several columns: b, a"):
        read_annotations(write_jsonl(two), labels_column="a.label", worker_column="b.who")


def test_a_role_is_named_once(write_text):
    path = write_text("a.csv", "i,w,l\na,1,x\na,2,y\n")
    assert entropies(read_annotations(path, map={"item": "i", "annotator": "w", "label": "l"})) == {"a": EVEN}
    with pytest.raises(ConfigError, match=r"Unknown role 'lable' in map .did you mean 'label'"):
        read_annotations(path, map={"lable": "l"})
    with pytest.raises(ConfigError, match=r"map names the item .*so does id_column"):
        read_annotations(path, map={"item": "i"}, id_column="i")


WORKERS = [
    {"text_id": "a", "label_distribution": {"good": ["w1", "w2", "w3"], "bad": [], "mixed": ["w4"], "none": ["w5"]}},
    {
        "text_id": "b",
        "label_distribution": {"good": [], "bad": ["w1", "w2", "w3", "w4", "w5"], "mixed": [], "none": []},
    },
    {"text_id": "c", "label_distribution": {"good": [], "bad": [], "mixed": [], "none": []}},
]


def test_labels_that_lead_to_their_annotators(write_jsonl):
    data = read_annotations(write_jsonl(WORKERS))
    assert (data.receipt.format, entropies(data)) == ("label-objects", {"a": 0.9503, "b": 0})
    assert data.label_names == ("bad", "good", "mixed", "none")
    assert voters(data)[3:6] == [("a", "w4", "mixed"), ("a", "w5", "none"), ("b", "w1", "bad")]
    assert data.receipt.left_out[-1] == "1 of 3 items has no label and was left out: c"
    # A label that nobody gave is a class too: K = 4, and ln K is the bound.
    assert read_annotations(write_jsonl(WORKERS[:1])).n_classes == 4


def test_columns_of_annotators_by_label(write_jsonl):
    rows = [
        {"id": "a", "good": [{"annotator": 0, "why": "x"}, {"annotator": 2}], "bad": [{"annotator": 1}]},
        {"id": "b", "good": [{"annotator": 0}], "bad": []},
    ]
    data = read_annotations(write_jsonl(rows), count_columns=["good", "bad"])
    assert counts(data) == {"a": [1, 2], "b": [0, 1]}
    assert voters(data) == [("a", "0", "good"), ("a", "2", "good"), ("a", "1", "bad"), ("b", "0", "good")]


def test_an_annotator_under_two_labels_is_no_vote_for_one(write_jsonl):
    rows = [{"id": "a", "labels": {"good": ["w1", "w2"], "bad": ["w1"]}}]
    [found] = problems_of(write_jsonl(rows), format="label-objects")
    assert "'w1' already annotated id 'a' with 'good'" in found


def test_annotators_who_lead_to_lists_are_no_labels(write_jsonl):
    rows = [{"id": i, "labels": {"w1": ["good"], "w2": ["good", "bad"]}} for i in range(2)]
    with pytest.raises(DataError, match="as the format labels"):
        read_annotations(write_jsonl(rows))
    one = [{"w1": ["good"], "w2": ["bad"]}, {"w1": ["bad"], "w3": ["good"]}]
    data = read_annotations(
        write_jsonl([{"id": i, "labels": cell} for i, cell in enumerate(one)]), multilabel="mentions"
    )
    assert (data.receipt.format, data.votes.annotator_ids) == ("labels", ("w1", "w2", "w3"))


def test_answers_by_item_and_annotator(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"0": {"11": 1, "57": 0, "90": 1}, "1": {"11": 0, "23": 0}, "2": {}}))
    data = read_annotations(tmp_path / "a.json")
    assert (data.label_names, counts(data)) == (("0", "1"), {"0": [1, 2], "1": [2, 0]})
    assert data.votes.annotator_ids == ("11", "57", "90", "23")
    assert data.receipt.left_out == ("1 of 3 items has no label and was left out: 2",)
    names = {f"i{n}": {f"p{n}": "x", f"p{n + 1}": "x" if n else "y"} for n in range(6)}
    (tmp_path / "a.json").write_text(json.dumps(names))
    assert entropies(read_annotations(tmp_path / "a.json"))["i0"] == EVEN


def test_objects_of_columns_are_no_answers(tmp_path):
    rows = {"a": {"text": "t", "labels": "x|y"}, "b": {"text": "u", "labels": "x|x"}}
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert read_annotations(tmp_path / "a.json").fields["text"].tolist() == ["t", "u"]


def test_a_matrix_of_labels(write_text):
    # 3:1; {1: 1, 0: 2}; {1: 2}: -1 is no answer.
    data = read_annotations(write_text("a.txt", "1 0 1 1\n1 -1 0 0\n\n-1 1 -1 1\n"))
    assert entropies(data) == {"1": 0.5623, "2": TWO_ONE, "3": 0}
    assert (data.receipt.missing, data.votes.annotator_ids[0]) == ({"-1": 3}, "column 1")
    assert "-1, the only number below 0, was read as no answer" in notes_of(data)
    told = read_annotations(write_text("a.txt", "1 0 1\n1 -1 0\n"), missing="9")  # and not -1
    assert told.label_names == ("-1", "0", "1")
    named = read_annotations(write_text("a.txt", "1 0 1\n1 -1 0\n"), label_names=["-1", "0", "1"])
    assert counts(named) == {"1": [0, 1, 2], "2": [1, 1, 1]}


def test_an_array_of_counts(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[9, 1, 0], [3, 3, 4], [0, 10, 0]]))
    data = read_annotations(tmp_path / "a.npy")
    assert entropies(data) == {"0": 0.3251, "1": 1.0889, "2": 0}
    assert "numbered by their rows, from 0" in notes_of(data)


def test_an_array_that_may_be_counts_or_labels_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 1, 1], [1, 0, 0], [2, 1, 2]]))
    assert "give count_columns=array or labels_column=array" in problems_of(tmp_path / "a.npy")[0]
    assert counts(read_annotations(tmp_path / "a.npy", labels_column="array"))["2"] == [0, 1, 2]
    # Sums that are equal on two rows may be so by accident.
    np.save(tmp_path / "b.npy", np.array([[0, 1, 1], [1, 0, 1]]))
    assert "give count_columns=array or labels_column=array" in problems_of(tmp_path / "b.npy")[0]
    assert counts(read_annotations(tmp_path / "a.npy", count_columns="array"))["2"] == [2, 1, 2]


def test_an_array_of_shares_and_several_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", id=["a", "b"], soft=[[0.7, 0.3], [1.0, 0.0]], votes=[[7, 3], [10, 0]])
    data = read_annotations(tmp_path / "a.npz", count_columns="votes")
    assert entropies(data) == {"a": 0.6109, "b": 0}
    data = read_annotations(tmp_path / "a.npz", part="soft", n_annotators=10)
    assert counts(data) == {"0": [7, 3], "1": [10, 0]}
    np.savez(tmp_path / "b.npz", only=[[7, 3], [10, 0], [5, 5]])
    assert counts(read_annotations(tmp_path / "b.npz")) == {"0": [7, 3], "1": [10, 0], "2": [5, 5]}
    np.save(tmp_path / "b.npy", np.array([[1, np.nan, 0], [0, 1, 1]]))  # labels, of which one is not there
    assert counts(read_annotations(tmp_path / "b.npy")) == {"0": [1, 1], "1": [1, 2]}
    np.save(tmp_path / "a.npy", np.zeros((2, 2, 2)))
    with pytest.raises(DataError, match=r"array of shape \(2, 2, 2\); expected one row per item"):
        read_annotations(tmp_path / "a.npy")


def test_shares_as_text(write_text):
    text = "item\tn\tsoft\na\t10\tcause:0.7; contrast:0.3; list:0\nb\t10\tcause:0; contrast:1.0; list:0\n"
    data = read_annotations(
        write_text("a.tsv", text), id_column="item", distribution_column="soft", annotators_column="n"
    )
    assert (data.label_names, entropies(data)) == (("cause", "contrast", "list"), {"a": 0.6109, "b": 0})


def test_rows_without_an_annotator(write_text):
    path = write_text("a.csv", "id,genre,V\na,x,3\na,x,3\na,x,4\nb,y,1\nb,y,5\nc,y,\n")
    data = read_annotations(path, labels_column="V")
    assert (entropies(data), data.fields["genre"].tolist()) == ({"a": TWO_ONE, "b": EVEN}, ["x", "y"])
    assert (data.votes.annotators.tolist(), data.votes.annotator_ids) == ([-1] * 5, ())
    assert "each row was counted as the vote of another person" in notes_of(data)
    assert data.receipt.left_out == (
        "1 row without a label was left out: line 7",
        "1 of 3 items has no label and was left out: c",
    )
    # The same under usual names, and not where ids repeat by accident.
    assert entropies(read_annotations(write_text("b.csv", "item,label\na,x\na,y\n"))) == {"a": EVEN}
    path = write_text("c.csv", "id,label\na,x\nb,x\nc,y\nc,y\n")
    with pytest.raises(DataError, match="not as annotations"):
        read_annotations(path)


@pytest.mark.parametrize("as_text", [False, True])
def test_annotators_beside_their_labels(write_jsonl, as_text):
    cells = {"a": (["x", "y", "x"], ["w1", "w2", "w3"]), "b": (["y"], ["w2"]), "c": (["x", "-"], ["w1", "w4"])}
    cells["d"] = ([], ["w1"])  # who gave no label
    rows = [
        {"id": key, "labels": ",".join(labels) if as_text else labels, "annotators": ",".join(who) if as_text else who}
        for key, (labels, who) in cells.items()
    ]
    data = read_annotations(write_jsonl(rows))
    assert voters(data) == [("a", "w1", "x"), ("a", "w2", "y"), ("a", "w3", "x"), ("b", "w2", "y"), ("c", "w1", "x")]
    assert data.receipt.columns["annotators"] == ("annotators",)
    assert "annotators" not in data.fields


@pytest.mark.parametrize("who", [["w1", "w1"], ["w1"], ["w1", None]])
def test_annotators_that_do_not_fit_their_labels_are_said(write_jsonl, who):
    rows = [
        {"id": "a", "labels": ["x", "y"], "annotators": who},
        {"id": "b", "labels": ["x", "x"], "annotators": ["v", "w"]},
    ]
    data = read_annotations(write_jsonl(rows))
    assert data.votes.annotators.tolist() == [-1] * 4
    assert "does not hold one different annotator for each label in labels on 1 of 2 rows" in notes_of(data)


MARKS = "id,rater_id,joy,anger,calm\na,1,1,0,0\na,2,1,1,0\na,3,0,0,1\nb,1,0,1,0\nb,2,0,0,0\nb,3,0,1,0\n"


def test_counts_of_an_item_that_has_two_rows_are_no_marks(write_text):
    path = write_text("a.csv", MARKS.replace("a,3,0,0,1", "a,3,0,0,2"))
    assert not any("marks" in found for found in problems_of(path, count_columns=["joy", "anger", "calm"]))


def test_rows_of_marks_are_refused_until_their_reading_is_named(write_text):
    path = write_text("a.csv", MARKS)
    [found] = problems_of(path, count_columns=["joy", "anger", "calm"])
    assert found.startswith("each row is one annotator's marks of joy, anger, calm, and an annotator may mark several")
    assert "multilabel=mentions" in found


@pytest.mark.parametrize(
    ("reading", "wanted"),
    [
        # Marks: a joy 2, anger 1, calm 1; b anger 2.
        ("mentions", {"a": 1.0397, "b": 0}),
        # Combinations: a {joy}, {joy, anger}, {calm}; b {anger}, {}, {anger}.
        ("sets", {"a": 1.0986, "b": TWO_ONE}),
        ("joy", {"a": TWO_ONE, "b": 0}),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_rows_of_marks_by_reading(write_text, reading, wanted, named):
    text = MARKS.replace("rater_id", "rater_id" if named else "row")
    data = read_annotations(write_text("a.csv", text), count_columns=["joy", "anger", "calm"], multilabel=reading)
    assert (data.receipt.format, entropies(data)) == ("one-hot", wanted)
    assert data.votes.are_named == named


def test_a_mark_that_nobody_made_is_a_class(write_text):
    path = write_text("a.csv", MARKS.replace("calm", "calm,sad").replace("\n", ",0\n").replace("sad,0", "sad"))
    data = read_annotations(path, count_columns=["joy", "anger", "calm", "sad"], multilabel="mentions")
    assert (data.label_names, data.label_counts[0].tolist()) == (("joy", "anger", "calm", "sad"), [2, 1, 1, 0])


def test_choices_in_objects_of_annotators(write_jsonl):
    answers = [{"annotator": "a0", "annotation": "care,fair"}, {"annotator": "a1", "annotation": "care"}]
    path = write_jsonl([{"id": "1", "annotations": answers}])
    assert "'care,fair' gives several labels at once" in problems_of(path)[0]
    # care 2, fair 1.
    assert entropies(read_annotations(path, multilabel="mentions")) == {"1": TWO_ONE}
