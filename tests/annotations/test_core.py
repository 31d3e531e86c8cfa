from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from contested.annotations import Annotations, Categories
from contested.errors import DataError

LN2 = math.log(2)


@pytest.fixture
def data() -> Annotations:
    return Annotations(
        example_ids=("a", "b", "c", "d"),
        label_counts=np.array([[10, 0, 0], [5, 5, 0], [9, 1, 0], [4, 3, 3]]),
        label_names=("entailment", "neutral", "contradiction"),
        fields=pd.DataFrame({"premise": ["pa", "pb", "pc", "pd"]}, index=[7, 5, 3, 1]),
        source="memory",
    )


def test_derived_values(data):
    assert (data.n_items, data.n_classes) == (4, 3)
    assert data.n_annotators.tolist() == [10, 10, 10, 10]
    assert data.distributions[3].tolist() == [0.4, 0.3, 0.3]
    # (9, 1): −0.9 ln 0.9 − 0.1 ln 0.1 = 0.3251; (4, 3, 3): −0.4 ln 0.4 − 0.6 ln 0.3 = 1.0889
    np.testing.assert_allclose(data.entropy, [0, LN2, 0.3251, 1.0889], atol=5e-5)
    assert data.majority.tolist() == [0, 0, 0, 0]
    assert data.ties.tolist() == [False, True, False, False]
    assert data.categories().tolist() == ["clean", "ambiguous", "clean", "contested"]


def test_categories_follow_the_estimator(data):
    # Miller-Madow adds 1/20 to ln 2 = 0.693: 0.743 is contested.
    assert data.categories(estimator="miller-madow").tolist()[1] == "contested"


def test_fields_get_a_range_index(data):
    assert isinstance(data.fields.index, pd.RangeIndex)
    assert data.fields["premise"].tolist() == ["pa", "pb", "pc", "pd"]
    bare = Annotations(("a",), np.array([[1, 2]]), ("no", "yes"))
    assert bare.fields.shape == (1, 0)


def test_counts_are_a_read_only_copy():
    counts = np.array([[1, 2]])
    data = Annotations(("a",), counts, ("no", "yes"))
    counts[0, 0] = 99
    assert data.label_counts.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="read-only"):
        data.label_counts[0, 0] = 5


@pytest.mark.parametrize("rows", [[3, 1], np.array([3, 1]), (3, 1)])
def test_select_by_row_keeps_ids_counts_and_fields_together(data, rows):
    chosen = data.select(rows)
    assert chosen.example_ids == ("d", "b")
    assert chosen.label_counts.tolist() == [[4, 3, 3], [5, 5, 0]]
    assert chosen.fields["premise"].tolist() == ["pd", "pb"]
    assert isinstance(chosen.fields.index, pd.RangeIndex)
    assert (chosen.label_names, chosen.source) == (data.label_names, data.source)


def test_select_by_mask_and_empty(data):
    assert data.select(data.ties).example_ids == ("b",)
    assert data.select([]).n_items == 0
    assert data.select(np.zeros(4, dtype=bool)).label_counts.shape == (0, 3)


def test_select_refuses_a_row_twice_and_rows_beyond_the_end(data):
    with pytest.raises(DataError, match="example ids occur more than once: b"):
        data.select([1, 1])
    with pytest.raises(IndexError):
        data.select([4])


def test_parts_that_do_not_fit_are_told_together():
    with pytest.raises(DataError) as caught:
        Annotations(("a", "a", "b"), np.array([[1, 2], [3, 4]]), ("x", "x", "y"), pd.DataFrame({"t": ["1"]}))
    assert caught.value.problems == (
        "3 example ids for 2 rows of label counts",
        "3 label names for 2 columns of label counts",
        "1 rows of fields for 2 rows of label counts",
        "example ids occur more than once: a",
        "label names occur more than once: x",
    )


def test_summary_json_begins_with_the_contract(data):
    given = data.summary().to_json()
    assert list(given)[:6] == ["n_items", "n_classes", "annotators", "entropy_nats", "categories", "ties"]
    assert given["annotators"] == {"min": 10, "median": 10, "max": 10}
    # Mean of (0, 0.6931, 0.3251, 1.0889), median (0.3251 + 0.6931) / 2.
    assert given["entropy_nats"] == pytest.approx({"mean": 0.52679, "median": 0.50912}, abs=1e-4)
    assert given["categories"] == {"clean": 2, "ambiguous": 1, "contested": 1}
    assert (given["n_items"], given["n_classes"], given["ties"]) == (4, 3, 1)
    assert given["tied_ids"] == ["b"]
    assert json.loads(json.dumps(given, allow_nan=False)) == given


def test_summary_follows_scheme_and_estimator(data):
    summary = data.summary(Categories(("low", "high"), (0.72,)), estimator="miller-madow")
    # 0, ln 2 + 1/20 = 0.743, 0.375, 1.189
    assert summary.categories == {"low": 2, "high": 2}
    assert summary.entropy_nats.mean == pytest.approx((0 + 0.74315 + 0.37508 + 1.18890) / 4, abs=1e-4)
    assert summary.category_bounds == (0.72,)
    # The middle values, 0.375 and 0.743, divide three bands; plug-in bounds would be 0.325 and 0.693.
    terciles = data.summary("terciles", estimator="miller-madow")
    assert terciles.category_bounds == pytest.approx((0.74315, 1.18890), abs=1e-4)


def test_summary_of_single_annotations_has_null_agreement():
    summary = Annotations(("a", "b"), np.array([[1, 0], [0, 1]]), ("no", "yes")).summary()
    assert summary.to_json()["krippendorff_alpha"] is None
    assert summary.to_json()["pairwise_agreement"] is None
    assert any("2 of 2 examples have one annotation" in note for note in summary.notes)


def test_summary_notes_few_annotators(data):
    assert "has 10 annotations" in data.summary().notes[0]
    hundred = Annotations(("a",), np.array([[50, 50, 0]]), ("e", "n", "c"))
    assert hundred.summary().notes == ()


def test_summary_of_nothing_is_refused(data):
    with pytest.raises(DataError, match="no example"):
        data.select([]).summary()


def test_item_table_has_one_row_an_example(data):
    table = data.item_table()
    assert list(table.columns) == [
        "example_id",
        "n_annotators",
        "counts",
        "entropy_nats",
        "entropy_miller_madow_nats",
        "majority",
        "tie",
        "category",
    ]
    second = table.iloc[1].to_dict()
    assert second["counts"] == {"entailment": 5, "neutral": 5, "contradiction": 0}
    assert second["entropy_nats"] == pytest.approx(LN2)
    assert second["entropy_miller_madow_nats"] == pytest.approx(LN2 + 0.05)
    assert (second["majority"], second["tie"], second["category"]) == ("entailment", True, "ambiguous")
