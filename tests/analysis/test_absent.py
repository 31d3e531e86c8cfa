"""Runs that lack something: what is left, and why the rest is missing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from contested.analysis import analyze, statements
from contested.trajectories import Trajectory

N, T, K = 30, 4, 3


@pytest.fixture
def arrays():
    """Arrays of a run that learns 20 examples and un-learns 10, on which the annotators are split."""
    rng = np.random.default_rng(2)
    gold = rng.integers(0, K, N)
    split = np.arange(N) >= 20
    counts = np.where(split[:, None], 30 + 15 * np.eye(K, dtype=int)[gold], 1 + 97 * np.eye(K, dtype=int)[gold])
    strength = np.where(split, -1.0, 3.0) * np.linspace(0, 1, T)[:, None]
    logits = strength[:, :, None] * np.eye(K)[gold] + rng.normal(0, 0.05, (T, N, K))
    losses = -np.log(special.softmax(logits, axis=2))[:, np.arange(N), gold]
    return {"logits": logits, "losses": losses, "gold": gold, "label_counts": counts}


def made(arrays, *names, **options):
    return Trajectory.from_arrays(**{name: arrays[name] for name in names}, **options)


def test_losses_alone(arrays):
    found = analyze(made(arrays, "losses", steps=[0, 1, 2, 3], step_unit="epoch"))
    change = arrays["losses"][-1] - arrays["losses"][0]
    assert found.unlearning.overall.mean == pytest.approx(change.mean())
    assert (found.unlearning.rows, found.unlearning.contrast) == ((), None)
    assert (found.kl, found.correlation) == (None, None)
    assert [len(curves) for curves in found.curves[1:]] == [1, 0, 0, 0]
    assert [row[:3] for row in found.categories] == [("overall", N, 1.0)]
    assert found.categories[0].note == "no annotators"
    assert list(found.examples)[:2] == ["example_id", "aulc"]
    assert set(found.measures["category"]) == {"overall"}
    logits, annotators, classes = found.absent
    assert logits.startswith("The run has no logits, so these are not computed: accuracy, first KL, last KL, ΔKL,")
    assert annotators.startswith(
        "The run has no annotators' labels, so these are not computed: entropy categories, correlation of AULC with "
        "annotation entropy"
    )
    assert classes.startswith(
        "The run has no number of its classes (its label names give it, in an import --label-names), so these are not "
        "computed: learning time"
    )
    # What lacks several things is named once.
    assert sum("ΔKL" in sentence for sentence in found.absent) == 1
    told = statements(found)
    assert told[0].startswith("In this run (epochs 0 to 3), the examples were ")
    assert "annotators on" not in told[0]
    assert told[1].startswith("Mean loss of all examples ") or told[1].startswith("No alarm: at none of 3 looks")
    assert tuple(told[-3:]) == found.absent
    assert set(found.tables()) == {
        *("categories", "unlearning", "first_loss", "alerts", "alert_looks", "measures", "curves", "examples")
    }


def test_logits_and_gold_without_annotators(arrays):
    found = analyze(made(arrays, "logits", "gold", steps=[0, 1, 2, 3]))
    assert found.unlearning.overall.n == N
    right = (arrays["logits"].argmax(axis=2) == arrays["gold"]).mean(axis=1)
    assert found.curves.accuracy[0].mean == pytest.approx(right)
    assert (found.kl, found.correlation, found.curves.kl) == (None, None, ())
    assert {"aum", "confidence", "learning_time", "gold"} <= set(found.examples)
    assert not {"category", "entropy", "kl_last"} & set(found.examples)
    (told,) = found.absent
    assert told.startswith(
        "The run has no annotators' labels, so these are not computed: entropy categories, correlation of AULC with "
        "annotation entropy, first KL, last KL, ΔKL,"
    )


def test_logits_and_annotators_without_gold_or_texts(arrays):
    found = analyze(made(arrays, "logits", "label_counts", steps=[0, 1, 2, 3]))
    assert (found.unlearning, found.correlation, found.curves.loss, found.curves.accuracy) == (None, None, (), ())
    assert [row.category for row in found.kl.rows] == ["clean", "ambiguous", "contested"]
    assert statements(found)[0].startswith(
        "In this run (steps 0 to 3), the model moved away from the annotators on contested examples: KL(annotators ‖ "
        "model) rose by "
    )
    assert statements(found)[2].startswith("Clean examples: the model moved closer to the annotators on them: KL(")
    assert found.absent[0].startswith("The run has no gold labels, so these are not computed: accuracy, never learned,")
    assert found.absent[1].startswith("The run has no losses, so these are not computed: correlation of AULC with")


def test_all_but_texts_lacks_nothing(arrays):
    found = analyze(made(arrays, "logits", "gold", "label_counts", steps=[0, 1, 2, 3]))
    assert found.absent == ()
    assert found.unlearning.rows[2].verdict == "rises"
    assert found.correlation.aulc.rho > 0


def test_categories_that_are_given_need_no_annotators(arrays):
    kinds = np.where(np.arange(N) < 20, "plain", "tricky")
    run = made(arrays, "losses", steps=[0, 1, 2, 3], categories=kinds, category_names=["plain", "tricky"])
    found = analyze(run)
    assert [row.category for row in found.unlearning.rows] == ["plain", "tricky"]
    assert found.unlearning.contrast.difference > 0
    assert not any("entropy categories" in sentence for sentence in found.absent)
    assert statements(found)[0].startswith("In this run (steps 0 to 3), examples of category tricky were un-learned")


def test_logits_alone_still_have_measures(arrays):
    found = analyze(made(arrays, "logits", steps=[0, 1, 2, 3]))
    assert found.unlearning is None
    assert {"prediction_entropy_last", "max_confidence_last"} <= set(found.measures["measure"])
    assert "neither compared with gold labels nor with annotators" in statements(found)[0]
    assert "curves" not in found.tables()


def test_results_of_a_poor_run_are_json_and_every_gap_has_its_reason(arrays):
    for names in (("losses",), ("logits",), ("logits", "gold"), ("logits", "label_counts")):
        found = json.loads(json.dumps(analyze(made(arrays, *names)).to_dict(), allow_nan=False))
        assert found["absent"], names
        assert found["epochs"] is None
        assert all(row["mean"] is not None or row["note"] for row in found["measures"])


def test_steps_that_nobody_gave_are_told(arrays):
    assert analyze(made(arrays, "losses")).notes == (
        "The steps of the checkpoints are unknown, so they are numbered from 1; changes leave out what happened before "
        "the first.",
    )


def test_entropies_without_the_labels_they_come_from_are_correlated(arrays):
    run = made(arrays, "losses", "label_counts", steps=[0, 1, 2, 3])
    bare = replace(run, examples=run.examples.drop(columns="label_counts"))
    found = analyze(bare)
    assert found.correlation.aulc.rho == analyze(run).correlation.aulc.rho
    assert not any("correlation" in sentence or "categories" in sentence for sentence in found.absent)
