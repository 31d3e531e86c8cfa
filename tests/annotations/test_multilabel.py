"""Annotators who choose several labels: mentions, sets, a class at a time, and agreement on sets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contested.annotations import krippendorff_alpha, read_annotations
from contested.annotations.multilabel import distance_alpha, masi_distances, mean_pair_similarity
from contested.annotations.readers._sets import set_parts
from contested.errors import ConfigError, DataError

# Labels joined by blanks, as some long tables have them.
LONG = "item,worker,label\na,w1,joy\na,w2,joy anger\na,w3,anger\nb,w1,fear\nb,w2,fear\nb,w3,fear joy\n"


@pytest.fixture
def long(write_text):
    return write_text("long.csv", LONG)


def counts_of(data):
    return [dict(row.items()) for row in data.item_table()["counts"]]


def test_mentions_are_votes(long):
    data = read_annotations(long, multilabel="mentions")
    assert counts_of(data) == [{"anger": 2, "fear": 0, "joy": 2}, {"anger": 0, "fear": 3, "joy": 1}]
    assert data.entropy == pytest.approx([math.log(2), 0.562335], abs=1e-6)  # 3:1
    who = [data.votes.annotator_ids[annotator] for annotator in data.votes.annotators]
    assert who == ["w1", "w2", "w2", "w3", "w1", "w2", "w3", "w3"]
    labels = [data.label_names[k] for k in data.votes.labels]
    assert labels == ["joy", "anger", "joy", "anger", "fear", "fear", "fear", "joy"]
    assert any("alpha and agreement count mentions" in note for note in data.summary().notes)


def test_sets_are_classes_whatever_their_order(write_text):
    path = write_text("a.jsonl", '{"id": "a", "labels": {"w1": ["x", "y"], "w2": ["y", "x"], "w3": ["x"], "w4": []}}\n')
    data = read_annotations(path, multilabel="sets")
    assert counts_of(data) == [{"(none)": 1, "x": 1, "x + y": 2}]
    assert data.label_sets.sets == ((), ("x",), ("x", "y"))
    assert any("1 answer chose none of the classes" in note for note in data.summary().notes)
    assert counts_of(read_annotations(path, multilabel="mentions")) == [{"x": 3, "y": 2}]
    assert counts_of(read_annotations(path, multilabel="y")) == [{"not y": 2, "y": 2}]
    again = read_annotations(path, **data.reading["options"])
    assert counts_of(again) == counts_of(data)


def test_a_class_at_a_time(long):
    data = read_annotations(long, multilabel="each")
    assert data.example_ids == ("a/anger", "a/fear", "a/joy", "b/anger", "b/fear", "b/joy")
    assert data.label_counts.tolist() == [[1, 2], [3, 0], [1, 2], [3, 0], [0, 3], [2, 1]]
    assert data.fields[["item_id", "class"]].to_numpy().tolist() == [
        *(["a", "anger"], ["a", "fear"], ["a", "joy"]),
        *(["b", "anger"], ["b", "fear"], ["b", "joy"]),
    ]
    for row, name in enumerate(("anger", "fear", "joy")):
        one = read_annotations(long, multilabel=name)
        assert one.label_names == (f"not {name}", name)
        assert one.label_counts.tolist() == data.label_counts[row::3].tolist()
    # w2 of item a chose joy and anger, and not fear.
    votes = data.votes
    of_w2 = (votes.annotators == votes.annotator_ids.index("w2")) & (votes.items < 3)
    assert sorted(zip(votes.items[of_w2], votes.labels[of_w2], strict=True)) == [(0, 1), (1, 0), (2, 1)]


def test_fields_called_as_those_of_a_class_are_kept(write_text):
    path = write_text("a.csv", "id,class,r1,r2\nt1,news,x|y,x\nt2,blog,y,x\n")
    data = read_annotations(path, labels_column=["r1", "r2"], multilabel="each")
    assert data.fields["class_given"].tolist() == ["news", "news", "blog", "blog"]
    assert data.fields["class"].tolist() == ["x", "y", "x", "y"]


def test_several_rows_of_an_annotator_are_one_set(write_text):
    path = write_text("a.csv", "item,worker,label\na,w1,joy\na,w1,anger\na,w2,joy\na,w2,joy\n")
    data = read_annotations(path, multilabel="sets")
    assert counts_of(data) == [{"joy": 1, "anger + joy": 1}]


def test_masi_by_hand(long):
    # {x, y} and {x}: J = 1/2, M = 2/3; {x, y} and {y, z}: J = 1/3, M = 1/3; nothing shared: 1; empty sets agree.
    found = masi_distances([("x", "y"), ("x",), ("y", "z"), (), ("w",)])
    assert found[0] == pytest.approx([0, 1 - 1 / 3, 1 - 1 / 9, 1, 1])
    assert found[3].tolist() == [1, 1, 1, 0, 1]
    assert found.tolist() == found.T.tolist()
    # Item a: joy, joy + anger, anger: distances 2/3, 1, 2/3; item b: fear, fear, fear + joy: 0, 2/3, 2/3. Similarity
    # (2/9 + 5/9) / 2. Of the 15 pairs of all six answers, five differ by 2/3, eight by 1, one by 8/9, one by 0:
    # expected (10/3 + 8 + 8/9) / 15 = 22/27; observed (7/9 + 4/9) / 2 = 11/18; alpha = 1 − (11/18) / (22/27) = 1/4.
    summary = read_annotations(long, multilabel="sets").summary()
    assert summary.set_agreement == pytest.approx((7 / 18, 1 / 4))
    assert read_annotations(long, multilabel="sets").select([1]).summary().set_agreement.masi == pytest.approx(5 / 9)
    assert summary.to_json()["set_agreement"] == pytest.approx({"masi": 7 / 18, "alpha": 1 / 4})


def test_alpha_with_equal_distances_is_the_nominal_one():
    counts = np.random.default_rng(0).multinomial(4, [0.5, 0.3, 0.2], size=40)
    counts[3] = [1, 0, 0]
    assert distance_alpha(counts, 1 - np.eye(3)) == pytest.approx(krippendorff_alpha(counts), abs=1e-12)
    interval = np.subtract.outer(np.arange(3), np.arange(3)) ** 2
    # From the pairs written out: observed over items, weighted by n_i / (n_i − 1); expected over all annotations.
    items = [np.repeat(np.arange(3), row) for row in counts if row.sum() > 1]
    every = np.concatenate(items)
    observed = sum(interval[np.ix_(row, row)].sum() / (len(row) - 1) for row in items) / len(every)
    expected = interval[np.ix_(every, every)].sum() / (len(every) * (len(every) - 1))
    assert distance_alpha(counts, interval) == pytest.approx(1 - observed / expected, abs=1e-12)
    assert math.isnan(distance_alpha([[1, 0]], 1 - np.eye(2)))
    assert math.isnan(mean_pair_similarity([[1, 0]], 1 - np.eye(2)))
    assert distance_alpha([[2, 0]], 1 - np.eye(2)) == 1


@pytest.mark.parametrize(
    ("labels", "whole", "expected"),
    [
        (["a|b", "a"], [], {"a|b": ("a", "b"), "a": ("a",)}),
        # A blank separates where the parts are labels, or the same parts come in another order; else it is part of one.
        (["joy fear", "joy", "fear"], [], {"joy fear": ("joy", "fear"), "joy": ("joy",), "fear": ("fear",)}),
        (["x y", "y x"], [], {"x y": ("x", "y"), "y x": ("y", "x")}),
        (["very bad", "good"], [], {"very bad": ("very bad",), "good": ("good",)}),
        (["Yes, surely", "No"], ["Yes, surely", "No"], {"Yes, surely": ("Yes, surely",), "No": ("No",)}),
    ],
)
def test_what_separates_labels(labels, whole, expected):
    assert set_parts(labels, whole) == expected


def test_sets_that_cannot_be_read_are_refused(long, write_text):
    with pytest.raises(DataError, match=r"several labels at once.*multilabel=mentions, sets, each or a class"):
        read_annotations(long)
    with pytest.raises(DataError, match=r"multilabel=joi is none of the classes \(did you mean 'joy'\?\)"):
        read_annotations(long, multilabel="joi")
    with pytest.raises(DataError, match="lines 2, 3, 7: unknown label 'joy'; expected anger, fear"):
        read_annotations(long, multilabel="sets", label_names=["anger", "fear"])
    with pytest.raises(ConfigError, match="Sets of labels are no scale"):
        read_annotations(long, multilabel="sets", scale=["anger", "fear", "joy"])
    with pytest.raises(ConfigError, match="Sets of labels are no scale"):
        read_annotations(long, multilabel="sets", by="sd")
    assert read_annotations(long, multilabel="sets", by="entropy").disagreement.by == "entropy"
    counts = write_text("counts.csv", "id,x,y\na,1,2\n")
    with pytest.raises(ConfigError, match="counts does not use multilabel"):
        read_annotations(counts, format="counts", count_columns=["x", "y"], multilabel="sets")


def test_the_labels_of_an_item_are_no_annotators_whatever_the_reading(write_jsonl):
    path = write_jsonl([{"id": key, "labels": labels} for key, labels in enumerate(["r", "r, b", "b", "g, b"])])
    for reading in ("mentions", "sets", "each", "r"):
        with pytest.raises(DataError, match="no label occurs twice in any of the 2 items with several labels"):
            read_annotations(path, multilabel=reading)
    named = read_annotations(path, multilabel="mentions", format="labels")
    assert named.n_annotators.tolist() == [1, 2, 1, 2]
    # Where somebody chose several labels or none, a cell holds answers, of which no two need be alike.
    for first in (["r", "b"], []):
        lists = write_jsonl([{"id": "a", "labels": [first, ["r"]]}, {"id": "b", "labels": [["g"], ["b"]]}])
        assert read_annotations(lists, multilabel="sets").n_annotators.tolist() == [2, 2]


def test_measurements_are_cut_by_equal_widths_or_bounds(write_jsonl):
    path = write_jsonl(
        [
            {"id": "a", "labels": [49.9999, 50.00001, 48.0, -0.00003]},
            {"id": "b", "labels": [-49.99995, -50.0001, 49.99999, 50.00002]},
        ]
    )
    with pytest.raises(DataError, match=r"8 different numbers.*with bins=3 or bounds"):
        read_annotations(path)
    thirds = read_annotations(path, bins=3)
    assert thirds.label_counts.tolist() == [[0, 1, 3], [2, 0, 2]]
    assert thirds.entropy == pytest.approx([0.562335, math.log(2)], abs=1e-6)
    own = read_annotations(path, bins=[-50, -16, 17, 50], by="sd")
    assert own.label_names == ("-50 to -16", "-16 to 17", "17 to 50")
    assert own.label_counts.tolist() == thirds.label_counts.tolist()
    assert own.disagreement.values == (-33, 0.5, 33.5)
    assert "3 numbers just beyond the ends are in them" in " ".join(own.summary().notes)
    with pytest.raises(DataError, match=r"line 2: the label '-49.99995' is outside the bins, -10 to 50"):
        read_annotations(path, bins=[-10, 17, 50])


def test_a_bound_belongs_to_the_interval_above_it_and_the_last_to_the_last(write_text):
    path = write_text("a.csv", "id,r1,r2,r3\na,0,1,2\nb,2,1.5,0.5\n")
    columns = ["r1", "r2", "r3"]
    assert read_annotations(path, labels_column=columns, bins=[0, 1, 2]).label_counts.tolist() == [[1, 2], [1, 2]]
    with pytest.raises(ConfigError, match=r"three bounds or more that rise.*given: 1"):
        read_annotations(path, labels_column=columns, bins=1)
    with pytest.raises(ConfigError, match="given: 2, 1, 3"):
        read_annotations(path, labels_column=columns, bins=["2", "1", "3"])
    with pytest.raises(ConfigError, match="bins cuts numbers into classes of its own; leave out scale"):
        read_annotations(path, labels_column=columns, bins=2, scale=[0, 1, 2])
    same = write_text("c.csv", "id,r1,r2\na,5,5\n")
    assert read_annotations(same, labels_column=["r1", "r2"], bins=2).label_counts.tolist() == [[2, 0]]
    words = write_text("b.csv", "id,r1,r2\na,0,high\nb,2,1\n")
    with pytest.raises(DataError, match="line 2: the label 'high' is no number"):
        read_annotations(words, labels_column=["r1", "r2"], bins=2)
