"""The list of per-example quantities: what it computes, and that everything reads it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from contested.analysis import analyze, blocks, measures
from contested.analysis.measures import Measure, measure_columns, measures_of
from contested.analysis.study.runs import measure
from contested.trajectories import Gradients, Trajectory

ROOT = Path(__file__).parents[2]

SPREAD = Measure(
    name="spread",
    heading="spread of the loss",
    unit="nats",
    needs=("losses",),
    summary="mean",
    sentence="Standard deviation of the loss over the checkpoints.",
    of_block=lambda block: block.losses.std(axis=0),
)


@pytest.fixture
def with_spread(monkeypatch):
    """A measure that somebody adds: one entry of the list."""
    monkeypatch.setattr(measures, "MEASURES", (*measures.MEASURES, SPREAD))


def test_a_measure_that_is_added_shows_everywhere(unlearning_run, with_spread):
    run = unlearning_run
    spread = run.losses.std(axis=0)
    found = analyze(run)
    assert found.examples["spread"].tolist() == pytest.approx(spread.tolist())
    rows = found.measures.query("measure == 'spread'").set_index("category")
    assert rows.index.tolist() == ["clean", "ambiguous", "contested", "overall"]
    for name in run.category_names:
        assert rows.loc[name, "mean"] == pytest.approx(spread[run.categories == name].mean())
    assert rows.loc["overall", "mean"] == pytest.approx(spread.mean())
    assert (rows["low"] < rows["mean"]).all()
    assert (rows["mean"] < rows["high"]).all()
    assert (rows["unit"] == "nats").all()
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))["measures"]
    assert told[-1] == {
        "measure": "spread",
        "unit": "nats",
        "category": "overall",
        "n": 120,
        "n_skipped": 0,
        "mean": rows.loc["overall", "mean"],
        "low": rows.loc["overall", "low"],
        "high": rows.loc["overall", "high"],
        "note": "",
        "caution": "",
    }
    assert "spread" in set(found.tables()["measures"]["measure"])
    # In the order of the ids, which is that of this run.
    assert measure("it", run).columns["spread"].tolist() == pytest.approx(spread.tolist())


def test_a_measure_that_is_added_moves_no_other_number(unlearning_run, monkeypatch):
    before = analyze(unlearning_run)
    monkeypatch.setattr(measures, "MEASURES", (SPREAD, *measures.MEASURES))
    after = analyze(unlearning_run)
    names = [entry.name for entry in measures.MEASURES[1:]]
    numbers = ["n", "mean", "low", "high"]
    for name in names:
        tables = [found.measures[found.measures["measure"] == name] for found in (before, after)]
        old, new = (table[numbers].to_numpy(float) for table in tables)
        np.testing.assert_allclose(new, old, rtol=1e-12)
    assert after.to_dict()["unlearning"] == before.to_dict()["unlearning"]
    assert after.to_dict()["curves"] == before.to_dict()["curves"]


def test_a_measure_is_absent_where_the_run_lacks_what_it_needs(unlearning_run, with_spread):
    bare = replace(unlearning_run, losses=None)
    found = analyze(bare)
    assert "spread" not in found.examples
    assert "spread" not in set(found.measures["measure"])
    assert any("no losses" in sentence and "spread of the loss" in sentence for sentence in found.absent)


def test_every_measure_against_a_slow_reference(unlearning_run):
    run = unlearning_run
    norms = np.random.default_rng(0).random((3, 120))
    norms[2] = np.nan  # at step 400 only categories were compared
    gradients, untouched = Gradients(np.array([0, 200, 400]), norms, None, True, "eval"), np.linspace(0, 2, 120)
    run = replace(run, gradients=gradients, baseline_losses=untouched)
    columns = measure_columns(run)
    for row in range(120):
        logits, gold, losses = run.logits[:, row], run.gold[row], run.losses[:, row]
        shares, people = special.softmax(logits, axis=1), run.label_counts[row] / run.label_counts[row].sum()
        right = (logits.argmax(axis=1) == gold).tolist()
        below = [step for step, loss in zip(run.steps, losses, strict=True) if loss < np.log(3)]
        expected = {
            "aulc": sum(losses) / 5,
            "aulc_trapezoid": sum((a + b) / 2 * 100 for a, b in pairwise(losses)) / 400,
            "loss_first": losses[0],
            "loss_last": losses[4],
            "loss_change": losses[4] - losses[0],
            "loss_change_baseline": losses[4] - untouched[row],
            "annotators_loss": -np.log(people[gold]) if people[gold] else np.nan,
            "excess_loss_first": losses[0] + np.log(people[gold]) if people[gold] else np.nan,
            "excess_loss_last": losses[4] + np.log(people[gold]) if people[gold] else np.nan,
            "rose": losses[4] > losses[0],
            "kl_first": stats.entropy(people, shares[0]),
            "kl_last": stats.entropy(people, shares[4]),
            "kl_change": stats.entropy(people, shares[4]) - stats.entropy(people, shares[0]),
            "soft_cross_entropy_last": -sum(people * np.log(shares[4])),
            "js_last": (
                stats.entropy(people, (people + shares[4]) / 2) + stats.entropy(shares[4], (people + shares[4]) / 2)
            )
            / 2,
            "correct_last": right[4],
            "learning_time": below[0] if below else np.nan,
            "learning_time_restricted": below[0] if below else 400,
            "never_learned": not any(right),
            "forgetting_events": sum(a and not b for a, b in pairwise(right)),
            "aum": np.mean(logits[:, gold] - np.delete(logits, gold, axis=1).max(axis=1)),
            "probability_margin": np.mean(shares[:, gold] - np.delete(shares, gold, axis=1).max(axis=1)),
            "confidence": np.mean(shares[:, gold]),
            "variability": np.std(shares[:, gold]),
            "correctness": np.mean(right),
            "prediction_entropy_last": stats.entropy(shares[4]),
            "max_confidence_last": shares[4].max(),
            "gradient_norm": norms[1, row],
        }
        for name, value in expected.items():
            assert float(columns[name][row]) == pytest.approx(float(value), nan_ok=True), name
        assert columns["prediction_last"][row] == "enc"[logits[4].argmax()]
    assert set(columns) >= {*expected, "region", "prediction_last"}


def test_values_come_in_the_runs_own_order_and_blocks_join(unlearning_run, monkeypatch):
    label = Measure(
        "label", "label", "", ("losses",), "none", "-", of_block=lambda b: np.full(len(b.gold), "x" * len(b.gold))
    )
    monkeypatch.setattr(measures, "MEASURES", (*measures.MEASURES, label))
    whole = measure_columns(unlearning_run)
    monkeypatch.setattr(blocks, "BLOCK", 11 * 5 * 3)  # 11 blocks of 10 or 11 examples
    order = np.random.default_rng(0).permutation(120)
    mixed = replace(
        unlearning_run,
        example_ids=unlearning_run.example_ids[order],
        losses=unlearning_run.losses[:, order],
        logits=unlearning_run.logits[:, order],
        examples=unlearning_run.examples.iloc[order].reset_index(drop=True),
    )
    parts = measure_columns(mixed)
    for name, values in whole.items():
        if name != "label":
            np.testing.assert_array_equal(parts[name], values[order], err_msg=name)
    # Text of a later block may be longer than that of the first.
    assert set(parts["label"]) == {"x" * 10, "x" * 11}


def test_the_list_is_well_formed():
    names = [entry.name for entry in measures.MEASURES]
    assert len(set(names)) == len(names)
    for entry in measures.MEASURES:
        assert (entry.of_block is None) != (entry.of_columns is None), entry.name
        assert entry.needs, entry.name
        assert entry.heading, entry.name
        assert entry.sentence.endswith("."), entry.name


@pytest.mark.parametrize(
    ("given", "some", "others"),
    [
        ({"losses": np.ones((2, 4))}, {"aulc", "loss_change", "rose"}, {"aum", "kl_last", "learning_time"}),
        ({"logits": np.zeros((2, 4, 2))}, {"prediction_last", "max_confidence_last"}, {"aum", "kl_last", "aulc"}),
    ],
)
def test_measures_follow_from_what_the_run_has(given, some, others):
    names = {entry.name for entry in measures_of(Trajectory.from_arrays(**given))}
    assert names >= some
    assert not names & others
