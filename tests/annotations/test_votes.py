from __future__ import annotations

import numpy as np
import pytest

from contested.annotations import Annotations, Votes, read_annotations
from contested.errors import DataError


def as_said(data: Annotations) -> list[tuple[str, str | None, str]]:
    """Every vote as item, annotator and label."""
    votes = data.votes
    assert votes is not None
    who = (*votes.annotator_ids, None)  # -1 is the last
    return [
        (data.example_ids[item], who[annotator], data.label_names[label])
        for item, label, annotator in zip(votes.items, votes.labels, votes.annotators, strict=True)
    ]


def test_a_long_table_keeps_who_gave_which_label(write_text):
    path = write_text(
        "long.csv", "item,annotator,label\nb,w1,yes\na,w2,no\nb,w2,no\na,w1,no\na,w1,no\nc,w3,\nd,w3,yes\n"
    )
    # The repeat on line 6 and the item without a label are left out; w3 still voted on d.
    assert as_said(read_annotations(path)) == [
        ("b", "w1", "yes"),
        ("a", "w2", "no"),
        ("b", "w2", "no"),
        ("a", "w1", "no"),
        ("d", "w3", "yes"),
    ]


def test_a_column_per_annotator_keeps_its_name(write_text):
    path = write_text("wide.csv", "id,r1,r2,r3\na,x,y,\nb,,,\nc,,x,x\n")
    read = read_annotations(path, labels_column=["r1", "r2", "r3"])
    assert as_said(read) == [("a", "r1", "x"), ("a", "r2", "y"), ("c", "r2", "x"), ("c", "r3", "x")]
    cleanlab = write_text("cleanlab.csv", "id,annotator_1,annotator_2\na,x,y\nb,,x\n")
    assert as_said(read_annotations(cleanlab))[-1] == ("b", "annotator_2", "x")


def test_objects_name_annotators_and_lists_do_not(write_jsonl):
    by_name = write_jsonl([{"id": "a", "labels": {"ann": "x", "bob": "y"}}, {"id": "b", "labels": {"bob": "y"}}])
    assert as_said(read_annotations(by_name)) == [("a", "ann", "x"), ("a", "bob", "y"), ("b", "bob", "y")]
    listed = write_jsonl([{"id": "a", "labels": ["x", "y", "x"]}, {"id": "b", "labels": ["y"]}], name="lists.jsonl")
    data = read_annotations(listed)
    assert as_said(data) == [("a", None, "x"), ("a", None, "y"), ("a", None, "x"), ("b", None, "y")]
    assert data.votes is not None
    assert (data.votes.annotator_ids, data.votes.are_named) == ((), False)


def test_counts_alone_have_no_votes(write_jsonl):
    assert read_annotations(write_jsonl([{"id": "a", "label_counts": {"x": 2, "y": 1}}])).votes is None


def test_a_selection_takes_its_votes_along(write_text):
    path = write_text("wide.csv", "id,r1,r2\na,x,y\nb,y,y\nc,x,x\n")
    chosen = read_annotations(path, labels_column=["r1", "r2"]).select([2, 0])
    assert as_said(chosen) == [("a", "r1", "x"), ("a", "r2", "y"), ("c", "r1", "x"), ("c", "r2", "x")]
    assert chosen.select(np.zeros(2, dtype=bool)).votes is not None


def test_arrays_are_read_only_copies():
    items = np.array([0, 0])
    votes = Votes(items, [0, 1], [0, 1], ("ann", "bob"))
    items[0] = 5
    assert votes.items.tolist() == [0, 0]
    with pytest.raises(ValueError, match="read-only"):
        votes.labels[0] = 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([0], [0, 1], [0, 0], ("ann",)), "items, labels and annotators must have one shape"),
        (([0], [0], [1], ("ann",)), "annotators must be -1 or an index into 1 annotator ids"),
        (([0], [0], [-2], ("ann",)), "annotators must be -1 or an index into 1 annotator ids"),
        (([0], [0], [0], ("ann", "ann")), "annotator ids occur more than once"),
    ],
)
def test_votes_that_do_not_fit_together_are_refused(given, message):
    with pytest.raises(DataError) as caught:
        Votes(*given)
    assert [message in problem for problem in caught.value.problems] == [True]


@pytest.mark.parametrize("votes", [([0, 0], [0, 0]), ([0, 1], [0, 1]), ([0, 0], [0, 2]), ([0, -1], [0, 1])])
def test_votes_must_add_up_to_the_counts(votes):
    items, labels = votes
    with pytest.raises(DataError) as caught:
        Annotations(("a",), [[1, 1]], ("x", "y"), votes=Votes(items, labels, [-1, -1]))
    assert list(caught.value.problems) == ["the votes do not add up to the label counts"]
