"""What a file was taken for, and what else it could be: each reading proposed is tried, and its command runs."""

from __future__ import annotations

import json
import shlex

import pytest
import typer
from typer.testing import CliRunner

from contested.annotations import read_annotations
from contested.annotations.readers._guess import guesses
from contested.annotations.readers.explain import explain_annotations
from contested.cli.entropy import entropy
from contested.cli.explain import command_of

APP = typer.Typer()
APP.command()(entropy)

WIDE = "id,genre,r1,r2,r3\na,x,yes,no,yes\nb,x,no,no,no\nc,y,no,yes,NA\n"
LONG = "HIT,Who,Picture,Says\np,w1,a.png,yes\np,w2,a.png,no\nq,w1,b.png,no\nq,w3,b.png,no\n"
COUNTS = "id,calm,angry,sad\na,3,0,1\nb,2,2,0\nc,0,4,0\n"
NUMBERED = "id,n_votes,calm,angry,sad\na,4,3,0,1\nb,4,2,2,0\nc,4,0,4,0\n"
PEOPLE = '[{"id": 1, "ratings": {"w1": 1, "w2": 2}}, {"id": 2, "ratings": {"w1": 2, "w2": 2}}]'
BARE = "w1,p,G\nw2,p,B\nw3,p,G\nw1,q,G\nw2,q,G\n"
TWICE = "post,part,coder,label\nx,1,w1,no\nx,1,w2,yes\ny,1,w1,yes\ny,1,w2,no\n"
NESTED = '[{"id": 1, "human": ["x", "y"]}, {"id": 2, "human": ["x", "x"]}]'


@pytest.mark.parametrize(
    ("name", "text", "given", "wanted"),
    [
        ("a.csv", WIDE, {}, {"labels_column": ["r1", "r2", "r3"]}),
        ("a.csv", LONG, {}, {"id_column": "HIT", "worker_column": "Who", "labels_column": "Says"}),
        ("a.csv", COUNTS, {}, {"count_columns": ["calm", "angry", "sad"]}),
        ("a.csv", BARE, {}, {"columns": ["worker", "item", "label"]}),
        ("a.csv", TWICE, {"id_column": "part"}, {"id_column": "post+part"}),
        ("a.json", NESTED, {}, {"labels_column": "human"}),
        ("a.csv", NUMBERED, {}, {"count_columns": ["calm", "angry", "sad"]}),
        ("a.json", PEOPLE, {}, {"labels_column": "ratings"}),
    ],
    ids=["wide", "long", "counts", "no header", "joined id", "lists", "a number of votes", "objects by annotator"],
)
def test_a_refused_file_has_its_reading_proposed(write_text, name, text, given, wanted):
    path = write_text(name, text)
    found = explain_annotations(path, **given)
    assert found.reading is None
    assert found.refusal is not None
    proposed = [dict(other.options) for other in found.others]
    # The likeliest comes first; of a bare table, item and worker may be either.
    assert wanted in proposed[: 2 if "columns" in wanted else 1]
    for other in found.others:
        again = read_annotations(path, **other.options)
        assert again.label_counts.tolist() == other.annotations.label_counts.tolist()
        # What another try noted is not in the receipt of this one.
        assert again.receipt == other.annotations.receipt


@pytest.mark.parametrize(
    ("text", "unnamed"),
    [("r1,r2,r3\nyes,no,yes\nno,no,no\nno,yes,NA\n", []), (WIDE.replace("id,genre", ",genre"), ["Unnamed: 0"])],
    ids=["no ids", "ids without a name"],
)
def test_a_reading_leaves_nothing_to_the_next(write_text, text, unnamed):
    path = write_text("a.csv", text)
    found = explain_annotations(path)
    assert [*found.columns] == [*filter(None, text.split("\n")[0].split(",")), *unnamed]
    assert found.others
    for other in found.others:
        again = read_annotations(path, **other.options)
        assert (again.receipt, again.example_ids) == (other.annotations.receipt, other.annotations.example_ids)


def test_a_file_that_is_read_says_what_else_it_could_be(write_text):
    path = write_text("a.csv", "id,label_counts,judges\na,\"[2, 2]\",\"['x', 'y']\"\nb,\"[3, 3]\",\"['x', 'x']\"\n")
    found = explain_annotations(path)
    assert found.reading.annotations.receipt.format == "counts"
    # The same numbers could be labels; the other column holds other annotations.
    assert {"labels_column": "judges"} in [dict(other.options) for other in found.others]
    assert {"labels_column": "label_counts"} in [dict(other.options) for other in found.others]
    assert found.columns["judges"] == "lists"


def test_what_gives_the_same_or_next_to_no_votes_is_not_proposed(write_text):
    wide = write_text("a.csv", WIDE)
    columns = {"labels_column": ["r1", "r2", "r3"]}
    assert columns not in [dict(other.options) for other in explain_annotations(wide, **columns, by="entropy").others]
    # One of four items has two votes: the format long reads it, and something else is meant.
    assert explain_annotations(write_text("b.csv", "item,label\na,x\na,y\nb,x\nc,y\nd,x\n")).others == ()


def test_columns_are_described(write_text):
    columns = explain_annotations(write_text("a.csv", "id,mood,note\na,x,\nb,x,k\nc,y,\n")).columns
    assert columns == {
        "id": "a different value in each row, such as a",
        "mood": "2 different values: x, y",
        "note": "1 different value: k, 2 empty cells",
    }


def test_the_command_proposed_runs(write_text):
    path = write_text("my votes.csv", WIDE.replace("r1,r2,r3", '"rater 1","rater, 2",rater 3'))
    shown = CliRunner().invoke(APP, [str(path), "--explain"], env={"COLUMNS": "200"})
    assert shown.exit_code == 2
    assert "Refused:" in shown.output
    [command] = [line.strip() for line in shown.output.splitlines() if line.startswith("  contested entropy")][:1]
    words = shlex.split(command)
    assert words[:3] == ["contested", "entropy", str(path)]
    read = CliRunner().invoke(APP, [*words[2:], "--json"])
    assert read.exit_code == 0
    assert json.loads(read.output)["reading"]["label_names"] == ["no", "yes"]


def test_an_explanation_names_the_options_that_change_it(write_text):
    path = write_text("a.csv", WIDE)
    shown = CliRunner().invoke(APP, [str(path), "--labels-column", "r1,r2,r3", "--explain"], env={"COLUMNS": "99"})
    assert shown.exit_code == 0
    assert "Read as labels: 3 items, K = 2 (no, yes)" in shown.output
    for told in ("id (--id-column)", "r1, r2, r3 (--labels-column)", "1 × NA (--missing)", "no, yes (--label-names)"):
        assert told in shown.output


def test_an_explanation_as_json(write_text):
    shown = CliRunner().invoke(APP, [str(write_text("a.csv", COUNTS)), "--explain", "--json"])
    told = json.loads(shown.output)
    assert (shown.exit_code, told["reading"]) == (2, None)
    assert told["others"][0]["command"].endswith("--count-columns calm,angry,sad")
    assert told["others"][0]["receipt"]["format"] == "counts"


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        ({"missing": "-1"}, ["--missing=-1"]),
        ({"label_names": ["Yes, surely", "No"]}, ["--label-names", '"Yes, surely",No']),
        ({"map": {"item": "id", "label": "a.b"}}, ["--map", "item=id,label=a.b"]),
        ({"n_annotators": 5}, ["--n-annotators", "5"]),
    ],
)
def test_commands_are_spelled_for_a_shell(tmp_path, reading, words):
    assert shlex.split(command_of(tmp_path / "a b.csv", reading))[2:] == [str(tmp_path / "a b.csv"), *words]


def test_a_column_with_gaps_is_not_tried_as_the_items():
    columns = {"post": ["a", "a", "b", "b"], "topic": ["x", None, "x", "y"], "stance": ["no", "yes", "no", "no"]}
    tried = {found.get("id_column") for found in guesses(columns)}
    assert "post" in tried
    assert "topic" not in tried
