from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from contested.annotations import Annotations, read_annotations
from contested.annotations.aggregation import Aggregated
from contested.cli.entropy import entropy
from contested.cli.entropy_votes import look_at_votes
from contested.errors import ConfigError, DataError

APP = typer.Typer()
APP.command()(entropy)


def invoke(*arguments):
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments], env={"COLUMNS": "120"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def chaos(write_jsonl, chaosnli_row):
    counters = [{"e": 100}, {"n": 50, "e": 50}, {"e": 34, "n": 33, "c": 33}, {"e": 60, "c": 40}]
    return write_jsonl([chaosnli_row(f"[{i}]", counter) for i, counter in enumerate(counters)])


def test_summary_states_units_classes_and_shares(chaos):
    # H: 0; ln 2 = 0.6931; 1.0985; −0.6 ln 0.6 − 0.4 ln 0.4 = 0.6730. Mean 0.6162, median 0.6831.
    text = invoke(chaos)
    assert "entropy in nats (plugin)" in text
    assert "mean 0.6162, median 0.6831; ln K = 1.0986" in text
    assert "3: entailment, neutral, contradiction" in text
    assert "min 100, median 100, max 100" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["clean", "0", "≤", "H", "<", "0.4", "1", "25.0%"] in rows
    assert ["ambiguous", "0.4", "≤", "H", "<", "0.7", "2", "50.0%"] in rows
    assert ["contested", "0.7", "≤", "H", "1", "25.0%"] in rows
    assert "Note" not in text


def test_json_is_all_that_is_printed(chaos):
    given = json.loads(invoke(chaos, "--json"))
    assert {key: given[key] for key in list(given)[:6]} == {
        "n_items": 4,
        "n_classes": 3,
        "annotators": {"min": 100, "median": 100, "max": 100},
        "entropy_nats": pytest.approx({"mean": 0.616168, "median": 0.683079}, abs=1e-5),
        "categories": {"clean": 1, "ambiguous": 2, "contested": 1},
        "ties": 1,
    }


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_out_writes_one_row_an_item(chaos, tmp_path, suffix):
    out = tmp_path / f"items.{suffix}"
    assert f"Wrote 4 rows to {out}" in invoke(chaos, "--out", out)
    assert read_annotations(out).label_counts.tolist() == read_annotations(chaos).label_counts.tolist()


def test_out_with_json_prints_json_only(chaos, tmp_path):
    json.loads(invoke(chaos, "--json", "--out", tmp_path / "items.jsonl"))
    first = json.loads((tmp_path / "items.jsonl").read_text(encoding="utf-8").splitlines()[1])
    assert first["example_id"] == "[1]"
    assert first["counts"] == {"entailment": 50, "neutral": 50, "contradiction": 0}
    assert (first["tie"], first["majority"], first["category"]) == (True, "entailment", "ambiguous")


def test_bounds_and_estimator(chaos):
    given = json.loads(invoke(chaos, "--json", "--bounds", "0.675,1.1", "--estimator", "miller-madow"))
    # Miller-Madow: 0; 0.6981; 1.0985 + 2/200 = 1.1085; 0.6780.
    assert given["categories"] == {"clean": 1, "ambiguous": 2, "contested": 1}
    assert given["entropy_estimator"] == "miller-madow"
    assert (given["category_bounds"], given["category_unit"]) == ([0.675, 1.1], "nats")


def test_fixed_bounds_with_other_numbers_of_classes_are_noted(write_text):
    path = write_text("x.csv", "id,yes,no\na,30,1\nb,20,12\nc,16,16\n")
    options = (path, "--count-columns", "yes,no", "--label-names", "Yes,No")
    assert "made for K = 3 classes" in " ".join(invoke(*options).split())
    assert "or terciles" in json.loads(invoke(*options, "--json"))["notes"][0]
    given = json.loads(invoke(*options, "--json", "--categories", "terciles"))
    assert (given["categories"], given["notes"]) == ({"low": 1, "middle": 1, "high": 1}, [])


def test_agreement_that_is_undefined_is_said(write_text):
    text = invoke(write_text("x.csv", "id,labels\na,x\nb,y\n"))
    assert text.count("undefined: no item has two annotations") == 3
    given = json.loads(invoke(write_text("x.csv", "id,labels\na,x\nb,y\n"), "--json"))
    assert given["entropy_nats"] == {"mean": None, "median": None}
    assert given["categories"] == {"clean": 0, "ambiguous": 0, "contested": 0, "unknown": 2}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--bounds", "0.4,x"], ConfigError, "numbers such as 0.4,0.7; given: 0.4,x"),
        (["--bounds", "0.7,0.4"], ConfigError, "rise strictly"),
        (["--bounds", "0.4", "--categories", "terciles"], ConfigError, "exclude one another"),
        (["--categories", "tercile"], ConfigError, "did you mean 'terciles'"),
        (["--estimator", "millermadow"], ConfigError, "did you mean 'miller-madow'"),
        (["--format", "chaos"], ConfigError, "Unknown format 'chaos'"),
        (["--out", "x.xlsx"], ConfigError, "suffix '.xlsx' is unknown"),
        (["--count-columns", "counts"], DataError, "no column 'counts'"),
    ],
)
def test_wrong_arguments_are_told(chaos, arguments, error, message):
    with pytest.raises(error) as caught:
        invoke(chaos, *arguments)
    assert message in str(caught.value)


def test_real_file(shared_data):
    given = json.loads(invoke(shared_data / "chaosnli" / "chaosNLI_snli.jsonl", "--json"))
    assert given["categories"] == {"clean": 378, "ambiguous": 766, "contested": 370}


def test_brackets_in_a_path_are_no_markup(chaos):
    path = chaos.rename(chaos.with_name("[bold].jsonl"))
    assert str(path) in invoke(path)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("s,no,yes\na,1,3\n", ["--id-column", "s", "--count-columns", "no,yes"]),
        ("id,x\na,no|yes|yes|yes\n", ["--labels-column", "x"]),
        ("id,no,yes,m\na,0.25,0.75,4\n", ["--distribution-column", "no, yes", "--annotators-column", "m"]),
        ("id,no,yes\na,0.25,0.75\n", ["--distribution-column", "no,yes", "--n-annotators", "4"]),
        (
            "s,who,x\na,1,no\na,2,yes\na,3,yes\na,4,yes\n",
            ["--id-column", "s", "--worker-column", "who", "--labels-column", "x", "--label-names", "no,yes"],
        ),
    ],
)
def test_reading_options_reach_the_reader(write_text, text, options):
    given = json.loads(invoke(write_text("x.csv", text), *options, "--json"))
    assert (given["label_names"], given["annotators"]["max"]) == (["no", "yes"], 4)
    # (1, 3) of 4: −0.25 ln 0.25 − 0.75 ln 0.75
    assert given["entropy_nats"]["mean"] == pytest.approx(0.56233514)


@pytest.fixture
def votes(write_text):
    return write_text(
        "v.csv", "item,annotator,label\na,ann,x\na,bob,x\na,cy,y\nb,ann,y\nb,bob,y\nc,ann,x\nc,bob,y\nc,cy,y\n"
    )


def test_annotators_are_shown_one_by_one(votes):
    rows = [line.split() for line in invoke(votes, "--annotators").splitlines()]
    # bob: one of two, one of one, one of two agree: 2/3. Without him a and c have x and y, and b has one vote.
    assert ["bob", "3", "66.7%", "0.250", "0.637", "+0.0566", "-0.5667"] in rows
    assert "reliability" not in " ".join(map(" ".join, rows))
    records = json.loads(invoke(votes, "--annotators", "--json"))["annotators_table"]
    assert [(record["annotator"], record["n_votes"]) for record in records] == [("ann", 3), ("bob", 3), ("cy", 2)]


def test_labels_are_estimated_by_option(votes, tmp_path):
    pytest.importorskip("crowdkit")
    text = invoke(votes, "--aggregate", "dawid-skene", "--out", tmp_path / "items.jsonl")
    assert "reliability" in text
    assert "Of 3 items, 0 have another label by dawid-skene than most of their votes" in " ".join(text.split())
    rows = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert [row["estimated_label"] for row in rows] == ["x", "y", "y"]
    assert all(0.5 < row["estimated_probability"] <= 1 for row in rows)


def test_estimates_go_by_name_and_either_label_of_a_tie_is_no_change(write_text, monkeypatch):
    path = write_text("a.csv", "id,r1,r2,r3\na,x,,y\nb,y,,y\n")
    found = Aggregated("mace", np.array([[0.4, 0.6], [0.1, 0.9]]), np.array([0.9, np.nan, 0.7]))
    monkeypatch.setattr(Annotations, "aggregate", lambda data, method, rng: found)
    data = read_annotations(path, labels_column=["r1", "r2", "r3"])
    told = look_at_votes(data, annotators=False, aggregate="mace")
    # Nobody knows how reliable r2 is, who gave no label and has no row.
    rows = told.annotators
    assert dict(zip(rows["annotator"], rows["reliability"], strict=True)) == {"r1": 0.9, "r3": 0.7}
    assert told.to_json()["aggregate"] == {"method": "mace", "items_changed": 0}
    assert told.items["estimated_label"].tolist() == ["y", "y"]


def test_counts_alone_have_no_annotators_to_show(chaos):
    with pytest.raises(DataError, match="do not say who gave which label"):
        invoke(chaos, "--annotators")
