"""Values that can be mistaken: rounded ids, gold labels, unsplit and counted labels, and what may be no answer."""

from __future__ import annotations

import pytest
from as_read import counts, notes_of, problems_of

from contested.annotations import read_annotations

COLUMNS = ["r1", "r2", "r3"]


@pytest.mark.parametrize("item", ["1.23457E+18", "1E+18", 1.2e18])
def test_ids_that_were_rounded_are_refused(write_jsonl, item):
    long = [{"item": item, "worker": worker, "label": "xyy"[worker]} for worker in range(3)]
    [found] = problems_of(write_jsonl(long))
    assert "lines 1, 2, 3: item is " in found
    assert "a rounded number, so that ids may have become one: keep ids as text where they come from" in found
    wide = [{"id": item, "labels": ["x", "y", "y"]}, {"id": "E+", "labels": ["x", "x"]}]
    assert problems_of(write_jsonl(wide))[0].startswith("line 1: id is ")
    assert read_annotations(write_jsonl([{**wide[0], "id": 1234567890123456789}])).example_ids == (
        "1234567890123456789",
    )


def test_labels_of_a_long_table_differ_within_an_item(write_text):
    rows = ["a,1,x,y", "a,2,x,x", "b,1,y,y", "b,2,y,y"]
    path = write_text("a.csv", "item,annotator,label,annotation\n" + "\n".join(rows))
    data = read_annotations(path)
    assert (counts(data), data.receipt.columns["labels"]) == ({"a": [1, 1], "b": [0, 2]}, ("annotation",))
    assert "Labels were read from annotation; for those in label, give labels_column." in notes_of(data)
    assert counts(read_annotations(path, labels_column="label")) == {"a": [2, 0], "b": [0, 2]}


def test_keys_of_counts_with_blanks_or_nothing(write_jsonl):
    rows = [{"id": "a", "counts": {"x": 2, "": 1}}, {"id": "b", "counts": {"x": 1, " y": 2}}]
    data = read_annotations(write_jsonl(rows))
    assert (data.label_names, counts(data)) == (("x", "y"), {"a": [2, 0], "b": [1, 2]})
    assert data.receipt.missing == {"empty": 1}
    assert "two keys are one class" in problems_of(write_jsonl([{"id": "a", "counts": {"y": 2, "y ": 1, "x": 1}}]))[0]


@pytest.mark.parametrize(
    "cells",
    [
        ("tensor([1, 2, 2])", "tensor([1, 1], device='cuda:0')"),
        ("deque([1, 2, 2])", "deque([1, 1], maxlen=5)"),
        ("array([1, 2, 2], dtype=object)", "Series([1, 1])"),
    ],
)
def test_lists_that_name_their_type(write_jsonl, cells):
    data = read_annotations(write_jsonl([{"id": i, "labels": cell} for i, cell in enumerate(cells)]))
    assert (data.label_names, data.label_counts.tolist()) == (("1", "2"), [[1, 2], [2, 0]])


def test_decimal_commas_beside_whole_numbers(write_text):
    header = "id;r1;r2;r3\n"
    data = read_annotations(write_text("a.csv", f"{header}a;1,0;2;2,5\nb;1,0;1,0;1\n"), labels_column=COLUMNS)
    assert (data.label_names, counts(data)) == (("1", "2", "2.5"), {"a": [1, 1, 1], "b": [3, 0, 0]})
    assert "Labels such as 1,0 were read as numbers with a decimal comma." in notes_of(data)
    # Two choices, where both are labels of their own.
    [found] = problems_of(write_text("b.csv", f"{header}a;1,3;1;3\nb;3;3;1\n"), labels_column=COLUMNS)
    assert "'1,3' gives several labels at once" in found


@pytest.mark.parametrize("written", ["na", "N.A.", "n.d.", "#NULL!", "—", "\\N", "(empty)", "Skipped", "-1", "99"])
def test_what_may_be_no_answer_is_said(write_text, written):
    path = write_text("a.csv", f"id,r1,r2,r3\na,x,y,{written}\nb,x,x,{written}\nc,y,{written},x\n")
    data = read_annotations(path, labels_column=COLUMNS)
    assert f"{written} is a class here" in notes_of(data)
    assert f"give missing={written}." in notes_of(data)
    read = read_annotations(path, labels_column=COLUMNS, missing=written)
    assert counts(read) == {"a": [1, 1], "b": [2, 0], "c": [1, 1]}


def test_characters_that_nobody_sees_are_told(write_text):
    path = write_text("a.csv", "id,r1,r2,r3\na,x,x\u200b,y\nb,x,y,y\n")
    assert "Classes differ in upper and lower case or in blanks only: x, x" in notes_of(
        read_annotations(path, labels_column=COLUMNS)
    )


@pytest.mark.parametrize("joint", ["\n", "\t", "/", " & ", "+", " "])
def test_labels_that_no_separator_splits_are_told(write_jsonl, joint):
    cells = [["no", "yes", "yes"], ["no", "no", "no"], ["yes", "yes", "yes"]]
    path = write_jsonl([{"id": i, "labels": joint.join(cell)} for i, cell in enumerate(cells)])
    [found] = problems_of(path)
    assert "look like several labels with" in found
    assert "separate them by |, or give label_names if each is one class" in found
    names = sorted({joint.join(cell) for cell in cells})
    assert read_annotations(path, label_names=names).n_classes == 3
    several = [{"id": i, "labels": name} for i, name in enumerate(["very good", "very bad", "good", "very good"])]
    assert read_annotations(write_jsonl(several)).n_classes == 3


@pytest.mark.parametrize("cells", [("no:2|yes:1", "no:3"), ("no (2), yes (1)", "no (3)"), ("no=2; yes=1", "no=3")])
def test_counts_written_as_labels_are_told(write_jsonl, cells):
    path = write_jsonl([{"id": i, "labels": cell} for i, cell in enumerate(cells)])
    found = problems_of(path)
    assert any("look like labels with their counts: write an object from label to count" in text for text in found)
