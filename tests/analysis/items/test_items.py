"""The map of items: facts, label errors, annotators and whom to ask, worked out by hand on a few votes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from contested.analysis.items import FACTS, ItemMap, map_items, slips
from contested.analysis.items.slips import slip_probabilities
from contested.annotations import Annotations, Votes, read_annotations
from contested.annotations.disagreement import Disagreement

ITEMS = ("agreed", "lone", "split", "single")
NAMES = ("no", "yes")
# Whose votes: ann and bob agree on the first, cid alone says yes of the second; two against two of the third.
WHO = ("ann", "bob", "cid", "dan", "eve")  # eve has no vote
AGREED, LONE = [(0, 0, 0), (0, 0, 1), (0, 0, 2)], [(1, 0, 0), (1, 0, 1), (1, 1, 2)]
GIVEN = [*AGREED, *LONE, (2, 0, 0), (2, 1, 1), (2, 1, 2), (2, 0, 3), (3, 1, 0)]


def _annotations(*, named: bool = True) -> Annotations:
    items, labels, who = (np.array(column) for column in zip(*GIVEN, strict=True))
    votes = Votes(items, labels, who if named else np.full(len(who), -1), WHO if named else ())
    counts = votes.counts(n_items=4, n_classes=2)
    return Annotations(ITEMS, counts, NAMES, votes=votes)


@pytest.fixture(scope="module")
def found() -> ItemMap:
    """The map of the four items."""
    return map_items(_annotations())


def test_facts_of_four_items(found: ItemMap) -> None:
    items = found.items.set_index("example_id")
    assert items["n_annotators"].tolist() == [3, 3, 4, 1]
    assert items["count_yes"].tolist() == [0, 1, 2, 1]
    # 3:0, 2:1 and 2:2; of one vote there is no entropy.
    np.testing.assert_allclose(items["entropy_nats"], [0.0, 0.6365, np.log(2), np.nan], atol=1e-4)
    assert items["category"].tolist() == ["clean", "ambiguous", "ambiguous", "unknown"]
    probabilities = items[["probability_clean", "probability_ambiguous", "probability_contested"]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert items["category_probability"]["lone"] == probabilities["probability_ambiguous"]["lone"]
    assert np.isnan(items["category_probability"]["single"])
    assert (items["entropy_low"] <= items["entropy_high"]).all()
    assert items["majority"].tolist() == ["no", "no", "no", "yes"]
    assert items["tie"].tolist() == [False, False, True, False]
    # Four items: a prior of half a vote for each class; of 3:0, (3 + ½) / (3 + 1).
    assert items["soft_label_no"]["agreed"] == 0.875
    assert items["suspect_label"].isna().tolist() == [True, False, False, True]
    assert items["suspect_label"]["lone"] == "yes"
    assert items["genuine_disagreement"]["agreed"] == 0.0
    assert items["genuine_disagreement"]["split"] > items["genuine_disagreement"]["lone"]
    # 3:0 becomes 3:1 (H = 0.562) with a chance of ⅛; 2:2 stays ambiguous with any vote; one vote is in no category yet.
    np.testing.assert_allclose(items["next_vote_changes"], [0.125, 0.0, 0.0, 1.0])


def test_every_fact_is_declared_whole_and_is_a_column(found: ItemMap) -> None:
    columns = found.items.columns
    for fact in FACTS:
        assert fact.sentence.endswith(".")
        if not {"scale", "measure"} & set(fact.needs):
            assert any(name == fact.name or (fact.each and name.startswith(f"{fact.name}_")) for name in columns)
    assert len({fact.name for fact in FACTS}) == len(FACTS)


def test_label_errors_annotators_votes_and_whom_to_ask(found: ItemMap) -> None:
    errors = found.label_errors.set_index("example_id")
    assert set(errors.index) == {"lone", "split"}
    assert found.label_errors["example_id"][0] == "lone"
    assert errors.loc["lone", ["label", "votes", "annotators", "majority"]].tolist() == ["yes", 1, "cid", "no"]
    people = found.annotators.set_index("annotator")
    assert people["n_votes"].to_dict() == {"ann": 4, "bob": 3, "cid": 3, "dan": 1}
    # ann: agreed (others 2:0), lone (others 1:1, no majority), split (others 1:2: dissents), single (nobody else).
    assert people["dissent"]["ann"] == pytest.approx(1 / 2)
    # bob: agreed (2:0), lone (1:1), split (others 2:1 for no, bob yes: dissents); cid: agreed, lone (0:2), split (2:1).
    assert people["dissent"]["bob"] == pytest.approx(1 / 2)
    assert people["dissent"]["cid"] == pytest.approx(2 / 3)
    assert (people["slip_rate_low"] < people["slip_rate"]).all()
    assert found.votes.columns.tolist() == ["example_id", "annotator", "label", "slip_probability"]
    assert found.votes.iloc[5, :3].tolist() == ["lone", "cid", "yes"]
    asked = found.ask_next.set_index("example_id")
    assert found.ask_next["example_id"][0] == "single"
    assert asked["ask"]["split"] == ""  # everybody voted on it
    assert asked["ask"]["agreed"] == "dan"
    # All but ann, who gave its one vote: those who slip least come first.
    assert asked["ask"]["single"].split(", ") == people["slip_rate"][["bob", "cid", "dan"]].sort_values().index.tolist()


def test_without_annotators_what_cannot_be_known_is_left_out_and_said() -> None:
    for data, why in (
        (_annotations(named=False), "The file does not say who gave which vote"),
        (Annotations(ITEMS, _annotations().label_counts, NAMES), "The file holds counts or proportions alone"),
    ):
        found = map_items(data)
        assert why in found.notes[-1]
        assert not {"slip_probability", "suspect_label", "genuine_disagreement"} & set(found.items.columns)
        assert found.annotators.empty
        assert found.label_errors.empty
        assert "ask" not in found.ask_next


def test_votes_by_nobody_named_beside_others_are_said() -> None:
    votes = Votes([0, 0, 1, 1], [0, 1, 0, 0], [0, -1, 0, -1], ("ann",))
    found = map_items(Annotations(("a", "b"), [[1, 1], [2, 0]], NAMES, votes=votes))
    assert "2 votes by nobody named" in found.notes[-1]
    assert set(found.annotators["annotator"]) == {"ann", "(not named)"}
    assert found.votes["annotator"].tolist() == ["ann", "", "ann", ""]


def test_chains_that_do_not_agree_are_said(monkeypatch: pytest.MonkeyPatch, found: ItemMap) -> None:
    assert "Two chains" not in " ".join(found.notes)
    monkeypatch.setattr(slips, "_UNSETTLED", 0.0)
    assert "Two chains of different starts disagree" in found_notes(_annotations())


def found_notes(data: Annotations) -> str:
    return " ".join(map_items(data).notes)


def test_classes_that_are_numbers_are_said_to_have_an_order_that_slips_do_not_know() -> None:
    votes = Votes([0, 0, 1, 1], [0, 3, 1, 2], [0, 1, 0, 1], ("ann", "bob"))
    data = Annotations(("a", "b"), votes.counts(n_items=2, n_classes=4), ("1", "2", "3", "4"), votes=votes)
    assert "The classes are numbers, and the model of slips knows no order" in found_notes(data)
    assert "The classes are numbers" not in found_notes(_annotations())


def test_several_labels_of_one_annotator_have_slips_and_no_agreement(tmp_path: Path) -> None:
    file = tmp_path / "several.csv"
    file.write_text("item,worker,label\na,w1,joy\na,w2,joy anger\na,w3,anger\nb,w1,fear\nb,w2,fear joy\nb,w3,fear\n")
    found = map_items(read_annotations(file, multilabel="mentions"))
    assert found.annotators.set_index("annotator")["n_votes"].to_dict() == {"w1": 2, "w2": 4, "w3": 2}
    assert "agreement" not in found.annotators


def test_a_further_vote_changes_the_category_of_the_entropy_that_was_cut() -> None:
    # 4:1 has H = 0.500, by Miller-Madow + 1/10; 5:1 0.451 + 1/12 and 4:2 0.637 + 1/12 = 0.720: only that is contested.
    data = Annotations(("a",), [[4, 1]], NAMES)
    assert map_items(data).items["next_vote_changes"].tolist() == [0.0]
    # One item: a prior of half a vote for each class, (1 + ½) / (5 + 1).
    assert map_items(data, estimator="miller-madow").items["next_vote_changes"].tolist() == [0.25]


def test_categories_by_another_measure_show_it() -> None:
    data = Annotations(("near", "far"), [[0, 2, 2, 0], [2, 0, 0, 2]], ("1", "2", "3", "4"), disagreement=by_deviation())
    items = map_items(data).items
    # Deviations ½ and 3/2: H, ln 2 in both, does not tell them apart.
    assert items["disagreement"].tolist() == [0.5, 1.5]
    assert items["category"][0] != items["category"][1]
    assert items["next_vote_changes"].between(0, 1).all()


def by_deviation() -> Disagreement:
    """The standard deviation of ratings from 1 to 4."""
    return Disagreement("sd", (1.0, 2.0, 3.0, 4.0))


def test_a_scale_has_its_own_facts_and_a_field_called_like_a_fact_stays() -> None:
    fields = pd.DataFrame({"category": ["news", "sport"]})
    items = map_items(Annotations(("a", "b"), [[0, 2, 2, 0], [2, 0, 0, 2]], ("1", "2", "3", "4"), fields)).items
    assert items["label_standard_deviation"].tolist() == [0.5, 1.5]
    assert items["field_category"].tolist() == ["news", "sport"]


def test_expected_items_of_a_category_add_up(found: ItemMap) -> None:
    known = found.categories[found.categories["category"] != "unknown"]
    assert known["expected"].sum() == pytest.approx(4)
    assert found.categories["n_items"].tolist() == [1, 2, 0, 1]


def test_label_errors_that_annotators_admitted_are_found(shared_data: Path) -> None:
    file = shared_data / "annotators" / "varierr.jsonl"
    if not file.is_file():
        pytest.skip(f"no {file}")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    labels = ("entailment", "neutral", "contradiction")
    given = [
        (i, k, vote["annotator"]) for i, row in enumerate(rows) for k, name in enumerate(labels) for vote in row[name]
    ]
    items, classes, who = (np.array(column) for column in zip(*given, strict=True))
    votes = Votes(items, classes, who, ("0", "1", "2", "3"))
    counts = votes.counts(n_items=len(rows), n_classes=3)
    found = slip_probabilities(votes, counts.shape, rng=np.random.default_rng(0))
    assert found is not None
    truth = np.array([[name in row["error_labels"] for name in labels] for row in rows])[counts > 0]
    shares = (counts / counts.sum(axis=1, keepdims=True))[counts > 0]
    precision = average_precision_score(truth, found.label[counts > 0])
    assert precision > 0.46
    assert precision > average_precision_score(truth, -shares) + 0.03
