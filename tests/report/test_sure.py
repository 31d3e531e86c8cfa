"""What a page says of how sure its numbers are, and where runs stood by the training loss that they had reached."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from contested.report import matched, sure
from contested.report.run_figures import FIGURES
from contested.report.run_tables import TABLES, runs_table
from contested.report.runs import analyzed
from contested.report.write import SECTIONS

CHANGES = pd.DataFrame([("all", "clean", 100), ("all", "contested", 99)], columns=["group", "category", "n"])


@pytest.fixture(scope="module")
def runs(make):
    return analyzed([make("one", drift=1.2), make("two", drift=0.3)], None, 100)


def test_what_another_seed_and_other_examples_would_give_is_said_of_runs(runs) -> None:
    seeds, intervals, *_ = sure.of_runs(runs, {})
    assert "in no interval here: each of these runs has one." in seeds
    assert "in no interval here: this is one run." in sure.of_runs(runs[:1], {})[0]
    assert intervals.startswith("95% intervals are over examples: they say what other examples")
    shared = dataclasses.replace(runs[1].analysis, clusters="genre", n_clusters=5)
    mixed = [runs[0], runs[1]._replace(analysis=shared)]
    assert "over 5 clusters of examples that share genre:" in sure.of_runs(mixed, {})[1]


def test_a_caution_is_said_once_with_all_that_it_is_true_of() -> None:
    rows = [("one", "clean", "skewed"), ("one", "contested", ""), ("two", "clean", "skewed")]
    changes = pd.DataFrame(rows, columns=["run", "category", "caution"])
    assert "Mean Δℓ of clean (one), clean (two): skewed." in sure.of_runs([], {"unlearning": changes})


def test_categories_of_few_examples_are_named_for_a_tail_may_be_missing_from_them() -> None:
    (said,) = [said for said in sure.of_study(pd.DataFrame({"n_seeds": [3]}), CHANGES, "95%") if "fewer" in said]
    assert said.startswith("Of fewer than 100 examples: contested (all: 99). If a few")
    changes = CHANGES.rename(columns={"group": "run"})
    assert any("contested (all: 99)" in said for said in sure.of_runs([], {"changes": changes}))
    assert not any("fewer" in said for said in sure.of_runs([], {"changes": changes[:1]}))


def test_a_sentence_of_all_runs_is_said_once_and_any_other_with_its_runs() -> None:
    assert sure.once([("a", ["all", "some"]), ("b", ["all"])]) == ["all", "a: some"]
    assert sure.once([("a", ["all"])]) == ["all"]


@pytest.mark.parametrize(
    ("seeds", "said", "unsaid"),
    [
        ([5, 5, 0], "Each group has 5 seeds. 95% intervals are over examples and seeds", "little is known"),
        ([2, 3], "Each group has 2 to 3 seeds.", "say nothing of another seed"),
        ([2, 3], "From two or three seeds little is known", "say nothing of another seed"),
        ([1, 1], "Intervals are over examples alone: they say nothing of another seed.", "over examples and seeds"),
        ([1, 3], "Intervals of 1 group with one seed are over examples alone", "Each group has one"),
    ],
)
def test_a_study_says_how_many_seeds_its_groups_have_and_what_follows(seeds, said, unsaid) -> None:
    text = " ".join(sure.of_study(pd.DataFrame({"n_seeds": seeds}), CHANGES, "95%"))
    assert said in text
    assert unsaid not in text


def test_nothing_is_said_of_a_study_without_runs() -> None:
    assert sure.of_study(pd.DataFrame({"n_seeds": [0]}), CHANGES, "95%") == []
    assert sure.of_study(pd.DataFrame(), CHANGES, "95%") == []


def test_runs_stand_where_the_training_loss_that_they_had_reached_puts_them(make) -> None:
    pair = [make("one", drift=1.2), make("two", drift=0.3)]
    # Means of steps 1 to 100 and 101 to 200 belong to the weights of steps 49.5 and 149.5: of the checkpoints 0, 100
    # and 200 only 100 lies between them, halfway.
    metrics = pd.DataFrame({"step": [0, 100, 200], "train_loss": [np.nan, 1.0, 0.4]})
    pair[0] = dataclasses.replace(pair[0], metrics=metrics)
    found = matched.of_runs(analyzed(pair, None, 100))
    own = found[found["run"] == "one"]
    assert own["step"].tolist() == [100]
    top = pair[0].categories == pair[0].category_names[-1]
    assert own["mean"].tolist() == pytest.approx([(pair[0].losses[1] - pair[0].losses[0])[top].mean()])
    assert 0.4 < own["loss"].iloc[0] < 1.0
    assert set(own["category"]) == {pair[0].category_names[-1]}


def test_one_run_or_runs_without_their_training_loss_are_not_set_beside_each_other(make) -> None:
    pair = [make("one"), make("two", drift=0.3)]
    assert matched.of_runs(analyzed(pair[:1], None, 100)).empty
    pair[0] = dataclasses.replace(pair[0], metrics=pair[0].metrics[["step"]])
    assert matched.of_runs(analyzed(pair, None, 100)).empty


def test_whatever_a_page_of_runs_shows_has_its_section() -> None:
    sections = {section.name for section in SECTIONS} | {"", "top"}
    assert {declared.section for declared in (*FIGURES, *TABLES, runs_table(["clean"]))} <= sections
