from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from contested.annotations import Annotations, Votes, entropy, krippendorff_alpha, read_annotations
from contested.errors import DataError


def annotations(cells: np.ndarray, names: tuple[str, ...]) -> Annotations:
    """Annotations of a table (N, A) of class indices; -1 where there is no vote."""
    items, annotators = np.nonzero(cells >= 0)
    votes = Votes(items, cells[items, annotators], annotators, names)
    n_classes = int(cells.max()) + 1
    counts = votes.counts(n_items=len(cells), n_classes=n_classes)
    ids = tuple(map(str, range(len(cells))))
    return Annotations(ids, counts, tuple("xyz"[:n_classes]), votes=votes)


@pytest.fixture
def cells() -> np.ndarray:
    rng = np.random.default_rng(0)
    found = np.where(rng.random((40, 5)) < 0.6, rng.integers(0, 3, (40, 5)), -1)
    found[:10, 0] = found[:10, 1]  # some agree
    found[(found < 0).all(axis=1), 0] = 0
    return found


def test_by_hand():
    #    a  b  c
    # 1  x  x  y
    # 2  x  y  -
    # 3  y  -  -
    table = annotations(np.array([[0, 0, 1], [0, 1, -1], [1, -1, -1]]), ("a", "b", "c")).annotator_table()
    assert table["annotator"].tolist() == ["a", "b", "c"]
    assert table["n_votes"].tolist() == [3, 2, 1]
    assert table["n_shared"].tolist() == [2, 2, 1]
    # a: of b and c one agrees, then none of one. b: one of two, then none. c: none of two.
    assert table["agreement"].tolist() == [0.25, 0.25, 0]
    # a: p = (1, 0), q = ((1/2, 1/2) + (0, 1)) / 2 = (1/4, 3/4): A_e = 1/4. b: p = (1/2, 1/2): A_e = 1/2. c: x twice.
    assert table["agreement_kappa"].tolist() == pytest.approx([0, -0.5, 0])
    assert table["label_entropy_nats"].tolist() == pytest.approx(
        [math.log(3) - 2 / 3 * math.log(2), math.log(2), np.nan], nan_ok=True
    )
    assert table["label_counts"].tolist() == [{"x": 2, "y": 1}, {"x": 1, "y": 1}, {"x": 0, "y": 1}]


def test_what_changes_is_what_a_set_without_the_annotator_shows(cells):
    data = annotations(cells, tuple("abcde"))
    table = data.annotator_table()
    for a in range(5):
        without = cells.copy()
        without[:, a] = -1
        counts = np.stack([(without == k).sum(axis=1) for k in range(3)], axis=1)
        kept = counts.sum(axis=1) > 1
        change = entropy(counts[kept]) - entropy(data.label_counts[kept])
        assert table["entropy_change_nats"][a] == pytest.approx(change.mean(), abs=1e-12)
        alpha = krippendorff_alpha(counts) - krippendorff_alpha(data.label_counts)
        assert table["alpha_change"][a] == pytest.approx(alpha, abs=1e-12)


def test_agreement_is_the_mean_over_shared_items(cells):
    table = annotations(cells, tuple("abcde")).annotator_table()
    for a in range(5):
        shares = []
        for row in cells[cells[:, a] >= 0]:
            others = np.delete(row, a)
            if (others >= 0).any():
                shares.append((others[others >= 0] == row[a]).mean())
        assert table["agreement"][a] == pytest.approx(np.mean(shares), abs=1e-12)
        assert table["n_shared"][a] == len(shares)


def test_kappa_of_two_annotators_is_cohens():
    cells = np.random.default_rng(1).integers(0, 3, (60, 2))
    cells[:30, 1] = cells[:30, 0]
    table = annotations(cells, ("a", "b")).annotator_table()
    assert table["agreement_kappa"].tolist() == pytest.approx([cohen_kappa_score(*cells.T)] * 2, abs=1e-12)
    # Without either, no item has two votes.
    assert table[["entropy_change_nats", "alpha_change"]].isna().all(axis=None)


def test_one_class_for_all_is_full_agreement_without_a_kappa():
    table = annotations(np.array([[0, 0, 0], [0, 0, 0], [1, -1, -1]]), ("a", "b", "c")).annotator_table()
    assert table["agreement"].tolist() == [1, 1, 1]
    assert table["agreement_kappa"].isna().all()
    assert table["alpha_change"].tolist() == [0, 0, 0]


def test_a_selection_has_those_who_voted_in_it(cells):
    data = annotations(cells, tuple("abcde"))
    rows = np.flatnonzero(cells[:, 0] < 0)
    pd.testing.assert_series_equal(
        data.select(rows).annotator_table()["annotator"], pd.Series(list("bcde"), name="annotator")
    )


def test_votes_by_nobody_known_are_refused(write_jsonl):
    with pytest.raises(DataError, match="do not say who gave which label"):
        read_annotations(write_jsonl([{"id": "a", "labels": ["x", "y", "y"]}])).annotator_table()
    with pytest.raises(DataError, match="do not say who gave which label"):
        Annotations(("a",), [[1, 1]], ("x", "y")).annotator_table()


def test_several_votes_of_one_annotator_on_an_item_are_refused():
    votes = Votes([0, 0, 0], [0, 1, 1], [0, 0, 1], ("a", "b"))
    with pytest.raises(DataError, match="a has several votes on one item"):
        Annotations(("1",), [[1, 2]], ("x", "y"), votes=votes).annotator_table()


def test_columns_are_said_to_be_taken_as_people(write_text):
    wide = read_annotations(write_text("a.csv", "id,r1,r2\na,x,y\nb,y,y\n"), labels_column=["r1", "r2"])
    assert "taken as one person each" in " ".join(wide.annotator_notes())
    nobody = read_annotations(wide.source, labels_column=["r1", "r2"], anonymous=True)
    assert nobody.votes is not None
    assert (nobody.votes.annotators.tolist(), nobody.votes.annotator_ids) == ([-1, -1, -1, -1], ())
    assert nobody.votes.labels.tolist() == wide.votes.labels.tolist()
    assert nobody.reading["options"]["anonymous"] is True
    assert "taken as one person each" not in " ".join(nobody.annotator_notes())
    some = Annotations(("1",), [[2, 1]], ("x", "y"), votes=Votes([0, 0, 0], [0, 0, 1], [0, -1, -1], ("a",)))
    assert some.annotator_notes() == ("2 of 3 votes are of annotators who are not named; they count as others.",)
    long = read_annotations(write_text("b.csv", "item,annotator,label\na,ann,x\na,bob,y\n"))
    assert long.annotator_notes() == ()
