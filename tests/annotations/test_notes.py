from __future__ import annotations

import numpy as np
import pytest

from contested.annotations import Annotations, Categories, read_annotations
from contested.annotations.measures import largest_entropy
from contested.errors import DataError


def annotated(counts, names=None):
    counts = np.array(counts)
    names = names or tuple("abcdefgh"[: counts.shape[1]])
    return Annotations(tuple(map(str, range(len(counts)))), counts, names)


def test_bounds_made_for_three_classes_are_said_of_others():
    five = annotated([[20, 20, 0, 0, 0], [40, 0, 0, 0, 0], [20, 10, 10, 0, 0], [39, 1, 0, 0, 0]])
    assert five.summary().notes == (
        "The fixed bounds 0.4 and 0.7 nats were made for K = 3 classes; this file has K = 5, with entropies up to "
        "ln 5 = 1.609. Consider by=scaled-entropy, which scales by min(ln K, ln n), or terciles.",
    )
    two = annotated([[20, 20], [40, 0]])
    assert two.summary(Categories.from_bounds([0.5])).notes == ()
    [note] = two.summary().notes
    assert "With at most 40 annotations per example and 2 classes, entropy reaches 0.693 < 0.7" in note


def test_reach_is_that_of_annotators_too():
    # Two annotators reach ln 2, whatever K; three reach ln 3.
    [reach, *_] = annotated([[1, 1, 0], [2, 0, 0]]).summary().notes
    assert reach.startswith(
        "With at most 2 annotations per example and 3 classes, entropy reaches 0.693 < 0.7: no example can be"
    )
    [reach, *_] = annotated([[1, 1, 0], [2, 0, 0], [1, 1, 1]]).summary().notes
    assert reach.startswith("The 2 examples with 2 annotations or fewer cannot be contested: their entropy reaches")
    assert not any("contested" in note for note in annotated([[1, 1, 1], [2, 1, 0]]).summary().notes)


def test_reach_follows_the_estimator():
    # ln 2 + 1/(2·2) = 0.943 with two annotators.
    notes = annotated([[1, 1, 0], [2, 0, 0]]).summary(estimator="miller-madow").notes
    assert not any("no example can be contested" in note for note in notes)


@pytest.mark.parametrize("annotators", [2, 3])
def test_miller_madow_empties_a_category_of_few_annotations(annotators):
    counts = [[annotators - 1, 1, 0], [annotators, 0, 0]]
    notes = annotated(counts).summary(estimator="miller-madow").notes
    assert notes[0] == (
        f"With at most {annotators} annotations per example no split has an entropy (miller-madow) that is ambiguous: "
        "this category is empty whatever people think."
    )
    assert not any("no split" in note for note in annotated(counts).summary().notes)
    more = annotated([*counts, [20, 10, 0]])
    assert not any("no split" in note for note in more.summary(estimator="miller-madow").notes)


@pytest.mark.parametrize(
    "counts", [[[3, 0], [2, 1], [3, 0], [0, 3], [1, 2]], [[2, 2], [2, 2]], [[9, 1], [5, 5], [10, 0], [8, 2]], [[1, 1]]]
)
def test_no_advice_that_would_be_refused(counts):
    data = annotated(counts)
    text = " ".join(data.summary().notes)
    for scheme in ("terciles", "quartiles"):
        if scheme in text:
            assert set(data.summary(scheme).categories.values()) != {0}
    if "bounds of your own" in text:
        distinct = np.unique(data.entropy)
        found = data.summary(Categories.from_bounds([float(distinct[:2].mean())])).categories
        assert 0 not in found.values()
    assert ("Consider" in text) == (len(np.unique(data.entropy)) > 1)


def test_one_annotation_is_unknown_and_not_clean():
    # H of (2, 1, 1): 1.0397, contested; the two single votes say nothing.
    data = annotated([[1, 0, 0], [0, 1, 0], [2, 1, 1], [0, 4, 0]])
    assert data.categories().tolist() == ["unknown", "unknown", "contested", "clean"]
    summary = data.summary()
    assert summary.categories == {"clean": 1, "ambiguous": 0, "contested": 1, "unknown": 2}
    assert summary.entropy_nats == pytest.approx((0.51986, 0.51986), abs=1e-5)
    assert "2 of 4 examples have one annotation, which shows no disagreement whatever people think" in summary.notes[-1]
    table = data.item_table()
    assert table["entropy_nats"].isna().tolist() == [True, True, False, False]
    assert table["entropy_miller_madow_nats"].isna().tolist() == [True, True, False, False]
    assert "1 of 3 examples has one annotation" in data.select([1, 2, 3]).summary().notes[-1]


def test_quantiles_are_of_examples_that_people_could_disagree_on():
    rows = [[1, 0, 0]] * 6 + [[4, 0, 0], [3, 1, 0], [2, 2, 0]]
    # Of all nine the terciles would both be 0.
    assert annotated(rows).summary("terciles").categories == {"low": 1, "middle": 1, "high": 1, "unknown": 6}
    with pytest.raises(DataError, match="cannot be cut into terciles"):
        annotated(rows[:6]).summary("terciles")


def test_unknown_is_no_name_for_a_category_of_entropy():
    with pytest.raises(Exception, match="'unknown' is reserved"):
        Categories(("unknown", "b"), (0.5,))


def test_largest_entropy_is_that_of_the_most_even_split():
    # 2:1 of two classes; 2:1:1 and 1:1:1 of three; 3:3:2 of three.
    assert [round(largest_entropy(n, k), 4) for n, k in [(3, 2), (4, 3), (3, 5), (8, 3)]] == [
        *(0.6365, 1.0397, 1.0986, 1.0822),
    ]


def test_measures_that_know_the_order_of_ratings(write_text):
    path = write_text("a.csv", "id,r1,r2,r3,r4\nnear,2,2,3,3\nfar,1,1,5,5\nsame,3,3,3,3\nmixed,1,2,3,5\n")
    data = read_annotations(path, labels_column=["r1", "r2", "r3", "r4"])
    table = data.item_table().set_index("example_id")
    # Of six pairs: 4 with distance 1; 4 with 4; none; 1 + 2 + 4 + 1 + 3 + 2 = 13.
    assert table["label_pair_distance"].tolist() == pytest.approx([4 / 6, 16 / 6, 0, 13 / 6])
    # Means 2.5, 3, 3, 2.75; mixed: (1.75² + 0.75² + 0.25² + 2.25²) / 4 = 2.1875.
    assert table["label_standard_deviation"].tolist() == pytest.approx([0.5, 2, 0, 2.1875**0.5])
    notes = " ".join(data.summary().notes)
    assert "entropy takes them as names without an order" in notes
    assert "Nobody answered 4, so that ln K counts 4 classes" in notes
    assert "give scale=1,2,3,4,5" in notes
    wider = read_annotations(path, labels_column=["r1", "r2", "r3", "r4"], label_names=list("12345"))
    assert wider.item_table()["label_pair_distance"].tolist() == pytest.approx([4 / 6, 16 / 6, 0, 13 / 6])
