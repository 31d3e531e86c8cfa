from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contested.annotations import Annotations
from contested.errors import DataError
from contested.options import TaskOptions
from contested.tasks import NLITask, inject_label_noise, select_composition, soft_targets, with_covariates
from contested.tasks.interventions import INTERVENTIONS, TrainingChanges

NAMES = ("clean", "ambiguous", "contested")
CATEGORIES = np.array(["clean"] * 5 + ["ambiguous"] * 3 + ["contested"] * 4, object)


def test_composition_by_hand() -> None:
    assert select_composition(CATEGORIES, NAMES, "all", seed=0).tolist() == [True] * 12
    assert select_composition(CATEGORIES, NAMES, "low", seed=0).tolist() == [True] * 5 + [False] * 7
    assert select_composition(CATEGORIES, NAMES, "high", seed=0).tolist() == [False] * 8 + [True] * 4
    balanced = select_composition(CATEGORIES, NAMES, "balanced", seed=0)
    # The smallest category has 3 examples.
    assert pd.Series(CATEGORIES[balanced]).value_counts().to_dict() == {"clean": 3, "ambiguous": 3, "contested": 3}


def test_a_balanced_sample_depends_on_its_seed_alone() -> None:
    first, again, other = (select_composition(CATEGORIES, NAMES, "balanced", seed=seed) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_an_empty_category_cannot_train_alone() -> None:
    with pytest.raises(DataError, match="'high' needs tracked examples of contested, and there are none"):
        select_composition(CATEGORIES[:8], NAMES, "high", seed=0)
    with pytest.raises(DataError, match="expected one of all, low, high, balanced"):
        select_composition(CATEGORIES, NAMES, "lowest", seed=0)


def test_noise_hits_the_share_of_eligible_labels_only() -> None:
    labels = np.repeat([0, 1, 2], 400).astype(np.int64)
    eligible = np.arange(1200) < 1000
    changed = inject_label_noise(labels, eligible, n_classes=3, share=0.3, rule="other", seed=0)
    # Every one of the 300 drawn labels becomes another one; none outside the eligible does.
    assert (changed != labels).sum() == 300
    assert (changed[1000:] == labels[1000:]).all()
    assert set(changed) == {0, 1, 2}


def test_uniform_noise_may_hit_the_same_label() -> None:
    labels = np.zeros(3000, np.int64)
    changed = inject_label_noise(labels, np.ones(3000, bool), n_classes=3, share=1.0, rule="uniform", seed=0)
    # Each class with probability 1/3: 1000 expected, standard deviation sqrt(3000 · 2/9) = 25.8.
    assert np.abs(np.bincount(changed) - 1000).max() < 4 * 25.8


def test_soft_targets_by_hand() -> None:
    targets = soft_targets(np.array([[1, 3, 0], [2, 1, 1]]), np.array([2]))
    np.testing.assert_allclose(targets, [[0.25, 0.75, 0], [0.5, 0.25, 0.25], [0, 0, 1]])


def test_a_composed_task_trains_on_some_and_tracks_all(annotated: Annotations, bulk: pd.DataFrame) -> None:
    whole = NLITask(annotated, bulk, bulk_size=30).prepare()
    low = NLITask(annotated, bulk, bulk_size=30, composition="low").prepare()
    clean = (whole.examples["category"][: whole.n_tracked] == "clean").sum()
    assert low.n_tracked == whole.n_tracked
    assert len(low.train_texts) == len(low.train_labels) == clean + 30
    assert low.counts["tracked_in_training"] == clean
    assert low.examples["example_id"].tolist() == whole.examples["example_id"].tolist()
    assert not low.examples["in_training"][low.n_tracked :].any()
    assert low.fingerprint != whole.fingerprint


def test_noise_changes_what_trains_and_not_what_is_tracked(annotated: Annotations, bulk: pd.DataFrame) -> None:
    plain = NLITask(annotated, bulk, bulk_size=30).prepare()
    noisy = NLITask(annotated, bulk, bulk_size=30, noise={"share": 1.0, "rule": "other"}).prepare()
    clean = (plain.examples["category"] == "clean") & (plain.examples["split"] == "train")
    assert noisy.examples["gold"].tolist() == plain.examples["gold"].tolist()
    differs = noisy.train_labels != plain.train_labels
    assert differs[: plain.n_tracked].tolist() == clean[: plain.n_tracked].tolist()
    assert not differs[plain.n_tracked :].any()
    assert noisy.counts["labels_changed"] == clean.sum()
    # Class weights are those of the labels that train.
    assert not np.allclose(noisy.class_weights, plain.class_weights)


def test_soft_labels_are_peoples_for_annotated_examples_alone(annotated: Annotations, bulk: pd.DataFrame) -> None:
    task = NLITask(annotated, bulk, bulk_size=30, soft_labels=True).prepare()
    assert task.train_targets is not None
    counts = np.array(task.examples["label_counts"][: task.n_tracked].tolist())
    np.testing.assert_allclose(task.train_targets[: task.n_tracked], counts / 100, rtol=1e-6)
    assert task.train_targets[task.n_tracked :].max(axis=1).tolist() == [1.0] * 30
    assert NLITask(annotated, bulk, bulk_size=30).prepare().train_targets is None
    with pytest.raises(DataError, match="exclude each other"):
        NLITask(annotated, bulk, bulk_size=30, soft_labels=True, noise={"share": 0.3}).prepare()


@pytest.fixture
def genres(annotated: Annotations, tmp_path: Path) -> Path:
    file = tmp_path / "genres.jsonl"
    rows = [{"uid": uid, "topic": "news" if i % 2 else None} for i, uid in enumerate(annotated.example_ids)]
    rows.reverse()
    rows.append({"uid": "another", "topic": "x"})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_covariates_are_matched_by_id(annotated: Annotations, genres: Path) -> None:
    joined = with_covariates(annotated, genres)
    assert joined.fields["topic"].eq("news").tolist() == [bool(i % 2) for i in range(annotated.n_items)]
    assert joined.fields["topic"].isna().tolist() == [not i % 2 for i in range(annotated.n_items)]
    assert joined.fields["premise"].tolist() == annotated.fields["premise"].tolist()


def test_every_problem_of_covariates_at_once(annotated: Annotations, genres: Path) -> None:
    lines = genres.read_text().splitlines()
    genres.write_text("\n".join([*lines[1:], lines[3]]).replace("topic", "genre"))
    with pytest.raises(DataError) as caught:
        with_covariates(annotated, genres)
    text = " ".join(caught.value.problems)
    assert "duplicated ids: item-36" in text
    assert "without a row: item-39" in text
    assert "such columns already: genre" in text


def test_an_intervention_keeps_the_fingerprint_of_the_plain_task(annotated: Annotations, bulk: pd.DataFrame) -> None:
    plain, seeded = NLITask(annotated, bulk, bulk_size=30), NLITask(annotated, bulk, bulk_size=30, intervention_seed=7)
    assert plain.prepare(1).fingerprint == plain.prepare(2).fingerprint == seeded.prepare().fingerprint
    assert not plain.prepare().depends_on_seed
    noisy = NLITask(annotated, bulk, bulk_size=30, noise={"share": 0.5})
    found = [noisy.prepare(seed).fingerprint for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert noisy.prepare().depends_on_seed
    fixed = NLITask(annotated, bulk, bulk_size=30, noise={"share": 0.5}, intervention_seed=2)
    assert fixed.prepare(1).fingerprint == found[2]
    assert not fixed.prepare().depends_on_seed
    # A category is taken whole; as many of each are drawn.
    parts = {name: NLITask(annotated, bulk, bulk_size=30, composition=name) for name in ("low", "high", "balanced")}
    assert {name: task.prepare().depends_on_seed for name, task in parts.items()} == {
        "low": False,
        "high": False,
        "balanced": True,
    }


def test_interventions_draw_from_generators_of_their_own() -> None:
    asked: list[int] = []

    def seed() -> int:
        asked.append(1)
        return 5

    changes = TrainingChanges(CATEGORIES, NAMES, np.zeros(12, np.int64), 3, seed)
    first, again, other = (changes.generator(name).random(4).tolist() for name in ("drop", "drop", "noise"))
    assert first == again != other
    assert len(asked) == 3


def test_an_intervention_is_its_option_and_its_entry(
    annotated: Annotations, bulk: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every entry is an option; an option of one's own with an entry changes what trains, and is seen by the seed."""
    assert set(INTERVENTIONS) <= set(TaskOptions.model_fields)
    plain = NLITask(annotated, bulk, bulk_size=30, composition="high").prepare(1)

    def one(so_far: TrainingChanges, value: str) -> TrainingChanges:
        row = np.random.default_rng(so_far.seed()).choice(np.flatnonzero(so_far.train))
        return so_far._replace(in_training=np.arange(len(so_far.gold)) == row)

    monkeypatch.setattr("contested.tasks.interventions.INTERVENTIONS", {**INTERVENTIONS, "composition": one})
    task = NLITask(annotated, bulk, bulk_size=30, composition="high")
    first, second = task.prepare(1), task.prepare(2)
    assert first.counts["tracked_in_training"] == 1 < plain.counts["tracked_in_training"]
    assert len(first.train_texts) == 31
    assert first.depends_on_seed
    assert first.fingerprint != second.fingerprint


def test_noise_hits_those_that_train_under_a_composition(annotated: Annotations, bulk: pd.DataFrame) -> None:
    task = NLITask(
        annotated, bulk, bulk_size=30, composition="balanced", noise={"share": 1.0, "rule": "other"}
    ).prepare()
    table = task.examples[: task.n_tracked]
    changed = table["trained_label"] != table["gold"]
    assert changed.tolist() == (table["in_training"] & (table["category"] == "clean")).tolist()
    assert task.counts["labels_changed"] == changed.sum() > 0


def test_rows_of_covariates_without_an_id_are_named(tmp_path):
    counts = np.array([[3, 1], [1, 3]])
    annotated = Annotations(("1", "2"), counts, ("a", "b"), pd.DataFrame({"text": ["x", "y"]}), source="here")
    file = tmp_path / "c.jsonl"
    # A gap makes floats of a column of numbers: 1.0 is still the id 1.
    file.write_text('{"uid": 1, "genre": "p"}\n{"genre": "q"}\n{"uid": 2, "genre": "r"}\n')
    with pytest.raises(DataError, match="line 2: has no uid"):
        with_covariates(annotated, file)
    file.write_text('{"uid": 1, "genre": "p"}\n{"uid": 2.0, "genre": "r"}\n')
    assert with_covariates(annotated, file).fields["genre"].tolist() == ["p", "r"]
