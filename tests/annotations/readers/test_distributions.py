from __future__ import annotations

import numpy as np
import pytest
from as_read import problems_of

from contested.annotations import read_annotations
from contested.annotations.readers.distributions import to_counts
from contested.errors import ConfigError, DataError


def test_counts_are_proportions_times_annotators(write_jsonl):
    rows = [{"id": "a", "label_dist": [0.3, 0.7, 0.0], "n": 100}, {"id": "b", "label_dist": [0.5, 0, 0.5], "n": 4}]
    data = read_annotations(write_jsonl(rows), annotators_column="n", label_names=["e", "n", "c"])
    assert data.label_counts.tolist() == [[30, 70, 0], [2, 0, 2]]
    assert data.fields.shape == (2, 0)


def test_constant_number_of_annotators_and_class_columns(write_text):
    path = write_text("a.csv", "id,p_no,p_yes\na,0.2,0.8\n")
    data = read_annotations(path, distribution_column=["p_no", "p_yes"], n_annotators=5)
    assert (data.label_names, data.label_counts.tolist()) == (("p_no", "p_yes"), [[1, 4]])


def test_rounded_proportions_of_lewidi(write_jsonl):
    rows = [{"id": "a", "soft_label": {"1": 0.67, "0": 0.33}, "number of annotations": 3}]
    data = read_annotations(write_jsonl(rows))
    assert (data.label_names, data.label_counts.tolist()) == (("0", "1"), [[1, 2]])


def test_to_counts_always_adds_up():
    rng = np.random.default_rng(1)
    counts = rng.multinomial(37, [0.1, 0.2, 0.3, 0.4], size=500)
    rounded = np.round(counts / 37, 2)
    again = to_counts(rounded, np.full(500, 37.0))
    assert (again.sum(axis=1) == 37).all()
    exact = to_counts(counts / 37, np.full(500, 37.0))
    np.testing.assert_array_equal(exact, counts)


def test_proportions_without_annotators_are_refused(write_jsonl):
    found = problems_of(write_jsonl([{"id": "a", "label_dist": [0.5, 0.5]}]))
    assert len(found) == 1
    assert "proportions do not say how many annotators" in found[0]
    assert "annotators_column or n_annotators" in found[0]


def test_all_problems_are_told_at_once_with_their_lines(write_jsonl):
    rows = [
        {"id": "a", "label_dist": [0.5, 0.4], "n": 10},
        {"id": "b", "label_dist": [1.5, -0.5], "n": 10},
        {"id": "c", "label_dist": [0.5, 0.5], "n": 3},
        {"id": "d", "label_dist": [0.5, 0.5], "n": 0},
        {"id": "e", "label_dist": [0.5, 0.5], "n": None},
        {"id": "f", "label_dist": [0.5, "x"], "n": 2},
        {"id": "f", "label_dist": [0.5, 0.5], "n": 2},
    ]
    assert problems_of(write_jsonl(rows), annotators_column="n") == (
        "line 1: the proportions sum to 0.9; expected 1",
        "line 2: label_dist['0'] is 1.5; expected a proportion from 0 to 1",
        "line 2: label_dist['1'] is -0.5; expected a proportion from 0 to 1",
        "line 3: 3 annotators cannot give the proportions 0.5, 0.5",
        "line 4: n is 0; expected at least one annotator",
        "line 5: n is missing; expected a whole number ≥ 0",
        "line 6: label_dist['1'] is 'x'; expected a number",
        "line 7: id 'f' is already on line 6; ids must be unique",
    )


def test_annotator_options_exclude_one_another(write_jsonl):
    path = write_jsonl([{"id": "a", "label_dist": [0.5, 0.5], "n": 2}])
    with pytest.raises(ConfigError, match="not both"):
        read_annotations(path, annotators_column="n", n_annotators=2)
    with pytest.raises(ConfigError, match="at least 1; given: 0"):
        read_annotations(path, n_annotators=0)


def test_missing_annotators_column_names_a_near_one(write_jsonl):
    path = write_jsonl([{"id": "a", "label_dist": [0.5, 0.5], "workers": 2}])
    found = problems_of(path, annotators_column="worker")
    assert "no column 'worker' (annotators_column) (did you mean 'workers'?)" in found[0]


def test_class_columns_of_proportions_are_recognised(write_text):
    path = write_text("a.csv", "uid,contradiction,neutral,entailment\na,0.5,0.25,0.25\n")
    data = read_annotations(path, n_annotators=4)
    assert data.label_names == ("entailment", "neutral", "contradiction")
    assert data.label_counts.tolist() == [[1, 1, 2]]
    assert "how many annotators" in problems_of(path)[0]


def test_a_missing_column_is_one_problem_not_one_for_each_row(write_jsonl):
    path = write_jsonl([{"id": str(i), "soft_lable": [0.5, 0.5], "n_annotators": 4} for i in range(5)])
    with pytest.raises(DataError) as caught:
        read_annotations(path, format="distributions", distribution_column=["soft_label"])
    assert len(caught.value.problems) == 1
    assert "did you mean 'soft_lable'?" in caught.value.problems[0]
