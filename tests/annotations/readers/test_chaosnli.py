from __future__ import annotations

import numpy as np
import pytest
from as_read import problems_of

from contested.annotations import read_annotations
from contested.errors import ConfigError


def test_absent_classes_are_zero_and_label_order_is_fixed(write_jsonl, chaosnli_row):
    data = read_annotations(write_jsonl([chaosnli_row("a"), chaosnli_row("b", {"c": 100})]))
    assert data.label_names == ("entailment", "neutral", "contradiction")
    assert data.example_ids == ("a", "b")
    assert data.label_counts.tolist() == [[30, 70, 0], [0, 0, 100]]


def test_label_names_say_the_order_of_the_classes(write_jsonl, chaosnli_row):
    path = write_jsonl([chaosnli_row("a"), chaosnli_row("b", {"c": 100})])
    data = read_annotations(path, label_names=["contradiction", "entailment", "neutral"])
    assert data.label_names == ("contradiction", "entailment", "neutral")
    assert data.label_counts.tolist() == [[0, 30, 70], [100, 0, 0]]
    assert problems_of(path, label_names=["e", "n", "c"]) == (
        "label_names are e, n, c; expected entailment, neutral, contradiction, in any order",
    )


def test_entropy_is_computed_in_nats_and_never_read(write_jsonl, chaosnli_row):
    data = read_annotations(write_jsonl([chaosnli_row("a")]))
    # −0.3 ln 0.3 − 0.7 ln 0.7; the line itself says 0.8813 (bits)
    assert data.entropy[0] == pytest.approx(0.6108643, abs=1e-7)


def test_fields_are_premise_hypothesis_source_and_the_original_label_by_name(write_jsonl, chaosnli_row):
    rows = [chaosnli_row("a"), chaosnli_row("b", old_label="?"), chaosnli_row("c", old_label=["n"])]
    fields = read_annotations(write_jsonl(rows), format="chaosnli").fields
    first = {"premise": "P a", "hypothesis": "H a", "source": "snli_agree_3", "old_label": "neutral"}
    assert fields.to_dict("records")[0] == first
    assert fields["old_label"].fillna("").tolist() == ["neutral", "", ""]
    row = {name: value for name, value in chaosnli_row("a").items() if name != "old_label"}
    assert "old_label" not in read_annotations(write_jsonl([row]), format="chaosnli").fields


def test_all_problems_are_told_at_once_with_their_lines(write_jsonl, chaosnli_row):
    path = write_jsonl(
        [
            chaosnli_row("a"),
            "{broken",
            chaosnli_row("b", {"entailment": 50, "n": 50}),
            chaosnli_row("c", {"e": -1, "n": 2.5}),
            chaosnli_row("a", {"e": 0}),
            chaosnli_row("d", label_counter=[1, 2, 3]),
            chaosnli_row("e", example={"premise": "p"}),
            chaosnli_row("f", example=None),
            {"uid": None},
            chaosnli_row("g", {"e": True}),
        ]
    )
    found = problems_of(path)
    assert found[0].startswith("line 2: is not valid JSON")
    assert found[1:] == (
        "line 3: label_counter has the unknown label 'entailment'; expected e, n, c",
        "line 4: label_counter['e'] is -1; expected a whole number ≥ 0",
        "line 4: label_counter['n'] is 2.5; expected a whole number ≥ 0",
        "line 5: uid 'a' is already on line 1; ids must be unique",
        "line 5: has no annotation: all counts are 0; expected at least one",
        "line 6: label_counter is [1, 2, 3]; expected an object from label to number",
        "line 7: example has no text hypothesis",
        "lines 8, 9: example is missing; expected an object",
        "line 9: uid is missing; expected an id, text or a whole number",
        "line 9: label_counter is missing; expected an object from label to number",
        "line 10: label_counter['e'] is True; expected a whole number ≥ 0",
    )


def test_files_without_its_columns_name_near_ones(write_jsonl):
    found = problems_of(write_jsonl([{"uuid": "a", "label_counters": {}}]), format="chaosnli")
    assert len(found) == 3
    assert "no column 'uid' (every ChaosNLI line has it) (did you mean 'uuid'?)" in found[0]
    assert "did you mean 'label_counters'?" in found[1]


def test_options_of_other_formats_are_refused(write_jsonl, chaosnli_row):
    path = write_jsonl([chaosnli_row()])
    with pytest.raises(ConfigError, match=r"chaosnli does not use n_annotators; it takes label_names"):
        read_annotations(path, format="chaosnli", n_annotators=5)


def test_the_original_labels_are_another_format_of_the_same_file(write_jsonl, chaosnli_row):
    data = read_annotations(write_jsonl([chaosnli_row()]), labels_column="old_labels")
    assert data.label_counts.tolist() == [[2, 3, 0]]
    assert data.fields["example.premise"].tolist() == ["P a"]


def test_abductive_chaosnli_is_read_as_counts(write_jsonl):
    row = {"uid": "x", "label_counter": {"2": 60, "1": 40}, "example": {"obs1": "o", "hyp1": "h"}}
    data = read_annotations(write_jsonl([row]))
    assert (data.label_names, data.label_counts.tolist()) == (("1", "2"), [[40, 60]])


@pytest.mark.parametrize(
    ("name", "n_items", "categories"),
    [
        ("chaosNLI_snli.jsonl", 1514, {"clean": 378, "ambiguous": 766, "contested": 370}),
        ("chaosNLI_mnli_m.jsonl", 1599, {"clean": 79, "ambiguous": 521, "contested": 999}),
    ],
)
def test_real_chaosnli_has_the_numbers_of_the_paper(shared_data, name, n_items, categories):
    data = read_annotations(shared_data / "chaosnli" / name)
    summary = data.summary()
    assert (summary.n_items, summary.categories, summary.ties) == (n_items, categories, 14)
    assert (data.n_annotators == 100).all()
    assert list(data.fields.columns) == ["premise", "hypothesis", "source", "old_label"]
    assert data.fields.notna().all(axis=None)
    assert summary.notes == ()


def test_real_chaosnli_agrees_with_its_own_entropy_in_bits(shared_data):
    import json

    path = shared_data / "chaosnli" / "chaosNLI_snli.jsonl"
    bits = [json.loads(line)["entropy"] for line in path.read_text(encoding="utf-8").splitlines()]
    np.testing.assert_allclose(read_annotations(path).entropy, np.array(bits) * np.log(2), atol=1e-9)
