"""Several files as one set."""

from __future__ import annotations

import pytest
import typer
from as_read import counts, notes_of
from typer.testing import CliRunner

from contested.annotations import read_annotations
from contested.cli.entropy import entropy
from contested.errors import DataError

APP = typer.Typer()
APP.command()(entropy)


def test_files_of_one_layout_are_one_set(write_text):
    files = [write_text("train.csv", "id,labels\na,x|y\nb,x|x\n"), write_text("dev.csv", "id,labels\nc,y|z|y\n")]
    data = read_annotations(files)
    assert (data.label_names, counts(data)) == (("x", "y", "z"), {"a": [1, 1, 0], "b": [2, 0, 0], "c": [0, 2, 1]})
    assert data.fields["file"].tolist() == ["train.csv", "train.csv", "dev.csv"]
    assert "No item of train.csv has the label z" in notes_of(data)
    assert "No item of dev.csv has the label x" in notes_of(data)
    assert data.reading == {"path": [str(file) for file in files], "format": "auto", "options": {}}
    shown = CliRunner().invoke(APP, [str(file) for file in files])
    assert (shown.exit_code, "train.csv, " in shown.output) == (0, True)


def test_a_file_without_any_label_is_said_once(write_text):
    files = [write_text("a.csv", "id,labels\na,x|y\n"), write_text("b.csv", "id,labels\nb,\n")]
    data = read_annotations(files)
    assert data.receipt.left_out == ("1 of 2 items has no label and was left out: b",)
    assert "has the label" not in notes_of(data)


def test_kinds_may_differ(write_text, write_jsonl):
    data = read_annotations(
        [write_text("a.csv", "id,labels\na,x|y\n"), write_jsonl([{"id": "b", "labels": ["y", "y"]}])]
    )
    assert (data.receipt.kind, counts(data)) == ("csv/jsonl", {"a": [1, 1], "b": [0, 2]})


def test_the_votes_of_an_item_may_be_in_two_files(write_text):
    header = "item,annotator,label\n"
    files = [write_text("a.csv", header + "i,w1,x\nj,w1,y\n"), write_text("b.csv", header + "i,w2,y\nj,w2,y\n")]
    assert counts(read_annotations(files)) == {"i": [1, 1], "j": [0, 2]}
    files[1].write_text(header + "i,w1,y\n")
    with pytest.raises(DataError) as caught:
        read_annotations(files)
    assert list(caught.value.problems) == [
        "b.csv line 2: annotator 'w1' already annotated item 'i' with 'x' on a.csv line 2, and here with 'y'; expected "
        "one label each"
    ]


def test_ids_that_two_files_have_are_refused(write_text):
    files = [write_text("a.csv", "id,labels\na,x|y\nb,x|y\n"), write_text("b.csv", "id,labels\nc,x|y\nb,x|x\n")]
    with pytest.raises(DataError) as caught:
        read_annotations(files)
    assert list(caught.value.problems) == [
        "b.csv line 3: an item of another file has the same id; ids must be unique. If every file numbers its own "
        "items, give id_column=file+id"
    ]


def test_files_of_two_layouts_are_refused(write_text):
    files = [write_text("a.csv", "id,r1,r2\na,x,y\n"), write_text("b.csv", "id,r1,second\nb,x,x\n")]
    with pytest.raises(DataError, match="different layouts") as caught:
        read_annotations(files, labels_column=["r1", "r2"])
    assert list(caught.value.problems) == [f"{files[1]} has no column r2, which other files have"]


def test_one_file_in_a_list_is_that_file(write_text):
    path = write_text("a.csv", "id,labels\na,x|y\n")
    data = read_annotations([path])
    assert (data.reading["path"], "file" in data.fields) == (str(path), False)
