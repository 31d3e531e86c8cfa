from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import contested
from contested.annotations import Annotations, read_annotations
from contested.annotations.notes import reading_notes
from contested.cli import options
from contested.cli.entropy import entropy
from contested.errors import ConfigError, DataError
from contested.wording import with_commas

APP = typer.Typer()
APP.command()(entropy)


@pytest.fixture
def votes(write_text):
    return write_text("a.csv", "id,text,r1,r2,r3\na,s,1,1,2\nb,t,2,NA,\nc,u,,,\nd,v,9,9,1\n")


COLUMNS = ["r1", "r2", "r3"]


def test_a_receipt_says_what_the_file_was_taken_for(votes):
    data = read_annotations(votes, labels_column=COLUMNS, missing="9")
    assert data.receipt.to_json() == {
        "format": "labels",
        "kind": "csv",
        "columns": {"ids": ["id"], "labels": COLUMNS},
        "label_names": ["1", "2"],
        "votes": {"1": 2, "3": 1},
        "missing": {"empty": 4, "NA": 1, "9": 2},
        "left_out": ["1 of 4 items has no label and was left out: c"],
        "notes": [],
    }
    assert data.receipt.lines() == {
        "read as": "labels (csv)",
        "ids": "id",
        "labels": "r1, r2, r3",
        "votes per item": "1 (2 items), 3 (1 item)",
        "no answer": "4 × empty, 1 × NA, 2 × 9",
        "left out": "1 of 4 items has no label and was left out: c",
    }


@pytest.mark.parametrize(
    ("text", "options", "columns"),
    [
        ('uid,label_counts\na,"[2, 1]"\n', {}, {"ids": ("uid",), "counts": ("label_counts",)}),
        ("id,no,si\na,2,1\n", {"count_columns": ["no", "si"]}, {"ids": ("id",), "counts": ("no", "si")}),
        ("id,annotator_1,annotator_2\na,x,y\nb,x,x\n", {}, {"ids": ("id",), "labels": ("annotator_1", "annotator_2")}),
        (
            'id,soft_label,n_annotators\na,"[0.5, 0.5]",4\n',
            {},
            {"ids": ("id",), "proportions": ("soft_label",), "annotators per item": ("n_annotators",)},
        ),
    ],
)
def test_every_format_has_a_receipt(write_text, text, options, columns):
    data = read_annotations(write_text("a.csv", text), **options)
    assert data.receipt.columns == columns
    assert sum(data.receipt.votes.values()) == data.n_items


def test_many_numbers_of_votes_are_a_range(write_jsonl):
    rows = [{"id": str(n), "counts": {"a": n, "b": 2}} for n in range(8)]
    assert read_annotations(write_jsonl(rows)).receipt.lines()["votes per item"] == "2 to 9"


def test_a_run_says_what_the_reader_took_for_granted(votes):
    data = read_annotations(votes, labels_column=COLUMNS, missing="9")
    assert data.receipt.sentences() == (
        "These were read as no answer: NA (1), 9 (2).",
        "1 of 4 items has no label and was left out: c.",
    )
    # b and d have one label each.
    single = reading_notes(data.n_annotators, data.receipt)[-1]
    assert single.startswith("2 of 3 examples have one annotation, which shows no disagreement")
    several = Annotations(("a",), [[2, 1]], ("x", "y"))
    assert reading_notes(several.n_annotators, several.receipt) == ()


def test_what_is_made_of_annotations_has_no_receipt(votes):
    data = read_annotations(votes, labels_column=COLUMNS)
    assert data.select([0]).receipt is None


def run(*arguments):
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments], env={"COLUMNS": "150"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_line_prints_it_before_the_numbers(votes):
    text = run(votes, "--labels-column", "r1,r2,r3", "--missing", "9")
    assert [line.split("  ")[0].strip() for line in text.splitlines()[1:8]] == [
        *("read as", "ids", "labels", "votes per item", "no answer", "left out", "items (N)"),
    ]
    assert "no answer       4 × empty, 1 × NA, 2 × 9" in text
    given = json.loads(run(votes, "--labels-column", "r1,r2,r3", "--missing=9", "--json"))
    assert given["reading"] == read_annotations(votes, labels_column=COLUMNS, missing="9").receipt.to_json()


def test_minus_one_may_be_given_as_missing_either_way(write_text):
    path = write_text("a.csv", "id,r1,r2,r3\na,0,1,-1\nb,1,1,-1\n")
    for arguments in (["--missing", "-1"], ["--missing=-1"], ["--missing", "-1,x"]):
        given = json.loads(run(path, "--labels-column", "r1,r2,r3", *arguments, "--json"))
        assert given["reading"]["missing"] == {"-1": 2}
    text = " ".join(run(path, "--labels-column", "r1,r2,r3").split())
    assert "If this one does, give --missing=-1." in text


def test_the_page_on_annotated_files_tells_what_is_printed(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "annotated_files.md").read_text(encoding="utf-8")
    content, command, printed = (
        re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)[1] for language in ("csv", "sh", "text")
    )
    monkeypatch.chdir(tmp_path)
    Path("votes.csv").write_text(content, encoding="utf-8")
    shown = run(*shlex.split(command)[2:]).splitlines()
    told = printed.splitlines()
    assert [line.rstrip() for line in shown[: len(told)]] == told
    call = re.search(r"data = (ct\..*)", page)[1]
    data = eval(call, {"ct": contested})
    assert data.receipt.lines() == {line[1:17].strip(): line[17:] for line in told[1:]}


def test_names_with_commas_are_quoted(write_text):
    path = write_text("a.csv", 'id,labels\na,"Ja, klar|Nein"\nb,"Ja, klar|Ja, klar"\n')
    given = json.loads(run(path, "--label-names", '"Ja, klar",Nein', "--json"))
    assert given["label_names"] == ["Ja, klar", "Nein"]
    assert options.names("a, b ,c") == ["a", "b", "c"]
    names = ["Yes, surely", "No", 'a "b", c', '"d" e', 'f "g"']
    assert options.names(with_commas(names)) == names
    with pytest.raises(ConfigError, match="Close every quotation mark"):
        options.names('"a,b')


def test_missing_is_spelled_as_an_option_only_where_it_is_one():
    with pytest.raises(DataError) as caught, options.spelled():
        raise DataError("label is missing; give missing=-1 or label_names.")
    assert str(caught.value) == "label is missing; give --missing=-1 or --label-names."


def test_missing_reaches_a_run_by_its_configuration(votes):
    data = contested.read_annotations(votes, labels_column=COLUMNS, missing=["9"])
    assert data.reading["options"] == {"labels_column": COLUMNS, "missing": ["9"]}
    again = contested.read_annotations(data.reading["path"], **data.reading["options"])
    assert again.label_counts.tolist() == data.label_counts.tolist()
    with pytest.raises(ConfigError, match="counts does not use missing"):
        read_annotations(votes, format="counts", missing="9")


def test_suggestions_are_not_refused(write_jsonl, write_text):
    """What an error advises is an option that reads the file."""
    files = [
        write_jsonl([{"id": str(i), "votes": ["x", "y", "y"]} for i in range(4)], "a.jsonl"),
        write_jsonl([{"id": str(i), "votes": [3, 2]} for i in range(4)], "b.jsonl"),
        write_text("c.csv", "id,votes\na,\"['x', 'y', 'y']\"\nb,\"['x', 'x']\"\n"),
        write_text("d.csv", "id,votes\na,x|y|y\nb,x|x|x\n"),
    ]
    for file in files:
        with pytest.raises(DataError, match="Name what holds them") as caught:
            read_annotations(file)
        [told] = caught.value.problems
        option = told.split(": ")[1].split("=")[0]
        assert read_annotations(file, **{option: "votes"}).n_items >= 2
