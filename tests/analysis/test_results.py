from __future__ import annotations

import json

import numpy as np
import pytest

from contested.analysis import analyze, statements


@pytest.fixture
def gappy(make):
    """A run with an empty category, one too small for an interval, and a constant model."""
    counts = [[100, 0, 0]] * 9 + [[50, 50, 0]] * 2
    return analyze(make(counts, np.zeros((3, 11, 3))))


def test_to_dict_is_json_without_nan(gappy):
    text = json.dumps(gappy.to_dict(), allow_nan=False)
    found = json.loads(text)
    empty = found["unlearning"]["rows"][2]
    assert (empty["category"], empty["n"], empty["mean"], empty["note"]) == ("contested", 0, None, "no examples")
    assert found["correlation"]["aulc"]["rho"] is None
    assert found["steps"] == [0, 100, 200]


def test_every_missing_number_has_a_note_beside_it(gappy):
    def visit(value):
        if isinstance(value, dict):
            gap = any(item is None or (isinstance(item, list) and None in item) for item in value.values())
            assert not gap or value.get("note") or value.get("n") == 0, value
            for item in value.values():
                visit(item)
        elif isinstance(value, list):
            for item in value:
                visit(item)

    visit(gappy.to_dict())


def test_to_dict_holds_the_fields_and_the_statements_but_no_single_examples(unlearning_run):
    found = analyze(unlearning_run)
    told = found.to_dict()
    assert told["statements"] == statements(found)
    assert "examples" not in told
    assert told["unlearning"]["contrast"]["difference"] == found.unlearning.contrast.difference
    assert told["curves"]["loss"][1]["mean"] == found.curves.loss[1].mean.tolist()
    assert told["categories"][0]["category"] == "clean"


def test_tables(unlearning_run):
    found = analyze(unlearning_run)
    tables = found.tables()
    assert list(tables) == [
        "categories",
        "unlearning",
        "kl",
        "contrasts",
        "decomposition",
        "first_loss",
        "alerts",
        "alert_looks",
        "correlation",
        "few_annotators",
        "few_annotators_changes",
        "regions",
        "measures",
        "excess_loss",
        "curves",
        "examples",
    ]
    assert tables["unlearning"]["category"].tolist() == ["clean", "ambiguous", "contested", "overall"]
    assert tables["unlearning"]["mean"].iloc[2] == found.unlearning.rows[2].mean
    assert tables["contrasts"]["measure"].tolist() == ["loss", "kl"]
    assert tables["contrasts"]["difference"].iloc[1] == found.kl.contrast.difference
    shown = ["aulc", "aulc_trapezoid", "confidence", "variability", "learning_time"]
    assert tables["correlation"]["x"].tolist() == shown
    assert tables["few_annotators"]["annotators"].tolist() == ["2", "3", "5", "10", "20", "all"]


def test_curves_table_is_long(unlearning_run):
    found = analyze(unlearning_run)
    table = found.tables()["curves"]
    # 4 measures, 4 groups, 5 checkpoints
    assert len(table) == 80
    assert table.index.tolist() == list(range(80))
    rows = table[(table["measure"] == "accuracy") & (table["category"] == "contested")]
    assert rows["step"].tolist() == found.steps.tolist()
    assert rows["mean"].tolist() == found.curves.accuracy[2].mean.tolist()
    assert rows["unit"].unique().tolist() == ["share"]
