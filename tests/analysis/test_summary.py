from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from contested.analysis import analyze, blocks
from contested.errors import ConfigError, DataError


def reorder(made, order):
    return replace(
        made,
        example_ids=made.example_ids[order],
        losses=made.losses[:, order],
        logits=made.logits[:, order],
        examples=made.examples.iloc[order].reset_index(drop=True),
    )


def test_examples_measured_in_blocks_give_the_same_bits(unlearning_run, monkeypatch):
    whole = analyze(unlearning_run, n_resamples=100)
    monkeypatch.setattr(blocks, "BLOCK", 7 * 5 * 3)  # seven of the 120 examples, at 5 checkpoints of 3 classes
    parts = analyze(unlearning_run, n_resamples=100)
    assert parts.to_dict() == whole.to_dict()
    pd.testing.assert_frame_equal(parts.examples, whole.examples, check_exact=True)


def test_numbers_follow_from_the_run(unlearning_run):
    run = unlearning_run
    found = analyze(run)
    contested = run.entropy >= 0.7
    change = run.losses[-1] - run.losses[0]
    assert (found.run_id, found.status, found.n_examples, found.n_classes) == ("made", "complete", 120, 3)
    assert (found.n_checkpoints, found.steps.tolist()) == (5, [0, 100, 200, 300, 400])
    assert found.epochs.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert found.unlearning.rows[2].category == "contested"
    assert found.unlearning.rows[2].n == contested.sum()
    assert found.unlearning.rows[2].mean == pytest.approx(change[contested].mean())
    assert found.unlearning.overall.rose == (change > 0).sum()
    rho = stats.spearmanr(run.losses.mean(axis=0), run.entropy)
    assert found.correlation.aulc.rho == pytest.approx(rho.statistic)
    assert found.notes == ()


def test_kl_is_that_of_the_annotators_shares_and_the_model(unlearning_run):
    run = unlearning_run
    human = run.label_counts / run.label_counts.sum(axis=1, keepdims=True)
    kl = stats.entropy(human[None], special.softmax(run.logits, axis=2), axis=2)
    clean = run.entropy < 0.4
    found = analyze(run)
    assert found.kl.measure == "kl"
    assert found.kl.rows[0].mean == pytest.approx((kl[-1] - kl[0])[clean].mean())
    assert found.curves.kl[0].mean == pytest.approx(kl[:, clean].mean(axis=1))


def test_loss_rises_while_the_model_moves_closer_to_the_annotators(unlearning_run):
    found = analyze(unlearning_run)
    assert found.unlearning.rows[2].verdict == "rises"
    assert found.kl.rows[2].verdict == "falls"
    assert found.unlearning.rows[0].verdict == "falls"


def test_curves_agree_with_the_changes(unlearning_run):
    found = analyze(unlearning_run)
    for curves, changes in (
        (found.curves.loss, found.unlearning),
        (found.curves.kl, found.kl),
    ):
        for curve, row in zip(curves, (*changes.rows, changes.overall), strict=True):
            assert (curve.category, curve.n) == (row.category, row.n)
            assert curve.mean[-1] - curve.mean[0] == pytest.approx(row.mean)


def test_accuracy_is_against_gold(unlearning_run):
    run = unlearning_run
    right = run.logits.argmax(axis=2) == run.gold
    assert analyze(run).curves.accuracy[3].mean == pytest.approx(right.mean(axis=1))


def test_order_of_examples_changes_nothing(unlearning_run):
    order = np.random.default_rng(1).permutation(120)
    first, again = analyze(unlearning_run), analyze(reorder(unlearning_run, order))
    assert again.to_dict() == first.to_dict()
    pd.testing.assert_frame_equal(again.examples, first.examples.iloc[order].reset_index(drop=True))


def test_the_same_run_gives_the_same_numbers_and_another_seed_other_intervals(unlearning_run):
    first = analyze(unlearning_run).to_dict()
    assert analyze(unlearning_run, rng=np.random.default_rng(0)).to_dict() == first
    other = analyze(unlearning_run, rng=np.random.default_rng(1)).to_dict()
    assert other["unlearning"]["overall"]["low"] != first["unlearning"]["overall"]["low"]
    assert other["unlearning"]["overall"]["mean"] == first["unlearning"]["overall"]["mean"]


def test_settings_reach_every_interval(unlearning_run):
    wide, narrow = (analyze(unlearning_run, confidence=c, n_resamples=500) for c in (0.99, 0.8))
    assert (wide.confidence, wide.n_resamples) == (0.99, 500)

    def width(part):
        return np.sum(np.subtract(part.high, part.low))

    for name in ("unlearning", "kl"):
        assert width(getattr(wide, name).overall) > width(getattr(narrow, name).overall)
        assert width(getattr(wide, name).contrast) > width(getattr(narrow, name).contrast)
    for name in ("aulc", "aulc_trapezoid"):
        assert width(getattr(wide.correlation, name)) > width(getattr(narrow.correlation, name))
    for name in ("loss", "accuracy", "kl", "soft_cross_entropy"):
        assert width(getattr(wide.curves, name)[3]) > width(getattr(narrow.curves, name)[3])
    with pytest.raises(ConfigError, match="n_resamples"):
        analyze(unlearning_run, n_resamples=3)


def test_example_table(unlearning_run):
    run = unlearning_run
    table = analyze(run).examples
    assert table["example_id"].tolist() == run.example_ids.tolist()
    row = table.iloc[17]
    assert row["aulc"] == pytest.approx(run.losses[:, 17].mean())
    assert row["loss_change"] == pytest.approx(row["loss_last"] - row["loss_first"])
    assert row["loss_last"] == run.losses[-1, 17]
    assert row["rose"] == (row["loss_change"] > 0)
    assert row["gold"] == "enc"[run.gold[17]]
    assert row["prediction_last"] == "enc"[run.logits[-1, 17].argmax()]
    assert table["rose"].sum() == analyze(run).unlearning.overall.rose


def test_unequal_steps_tell_the_two_aulcs_apart(unlearning_run):
    run = replace(unlearning_run, steps=np.array([0, 1, 2, 3, 1000]))
    table = analyze(run).examples
    # The last interval holds 997 of 1000 steps, so its middle is nearly the whole mean.
    assert table["aulc_trapezoid"].tolist() == pytest.approx(run.losses[3:].mean(axis=0), abs=0.01)
    assert table["aulc"].tolist() == pytest.approx(run.losses.mean(axis=0))


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_an_incomplete_run_is_analysed_and_says_so(unlearning_run, status):
    cut = replace(
        unlearning_run,
        status=status,
        steps=unlearning_run.steps[:3],
        epochs=unlearning_run.epochs[:3],
        losses=unlearning_run.losses[:3],
        logits=unlearning_run.logits[:3],
    )
    found = analyze(cut)
    assert found.n_checkpoints == 3
    assert found.notes == (
        f"The run is not complete (status: {status}): the numbers cover its 3 recorded checkpoints, up to step 200.",
        "The alert is left out: the run is not complete, and it does not say how many steps were planned.",
    )


def test_a_first_checkpoint_after_the_start_is_noted(unlearning_run):
    late = replace(unlearning_run, steps=unlearning_run.steps + 100)
    assert analyze(late).notes == (
        "The first checkpoint is at step 100, not 0: changes leave out what happened before it.",
    )


def test_a_diverged_run_is_refused(unlearning_run):
    losses = unlearning_run.losses.copy()
    losses[-1, :4] = np.nan
    with pytest.raises(DataError, match="losses: 4 of 600"):
        analyze(replace(unlearning_run, losses=losses))


def test_sizes_of_categories(make):
    # all 100 on one label: H = 0, clean; 50 / 50: ln 2 = 0.693, ambiguous; no contested example
    counts = [[100, 0, 0]] * 6 + [[50, 50, 0]] * 2
    found = analyze(make(counts, np.zeros((2, 8, 3)))).categories
    assert [row.category for row in found] == ["clean", "ambiguous", "contested", "overall"]
    assert [row.n for row in found] == [6, 2, 0, 8]
    assert [row.share for row in found] == [0.75, 0.25, 0.0, 1.0]
    assert found[1].mean_entropy == pytest.approx(np.log(2))
    assert found[3].mean_entropy == pytest.approx(np.log(2) / 4)
    assert np.isnan(found[2].mean_entropy)


def test_analysis_needs_no_torch():
    code = "import sys, contested.analysis; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_example_table_holds_each_examples_dynamics(unlearning_run):
    table = analyze(unlearning_run).examples
    run = unlearning_run
    for row in (0, 17, 63):
        losses, gold = run.losses[:, row], run.gold[row]
        below = np.flatnonzero(losses < np.log(3))
        expected = run.steps[below[0]] if len(below) else np.nan
        np.testing.assert_equal(table["learning_time"][row], expected)
        right = run.logits[:, row].argmax(axis=1) == gold
        assert table["forgetting_events"][row] == sum(a and not b for a, b in pairwise(right.tolist()))
        shares = special.softmax(run.logits[:, row].astype(float), axis=1)[:, gold]
        assert table["confidence"][row] == pytest.approx(shares.mean())
        assert table["variability"][row] == pytest.approx(shares.std())
        assert table["correctness"][row] == pytest.approx(right.mean())
    assert set(table["region"]) == {"easy", "ambiguous", "hard"}


def test_the_example_table_against_a_slow_reference(unlearning_run):
    table, run = analyze(unlearning_run).examples, unlearning_run
    first, last = run.logits[0], run.logits[-1]
    # What is of the last checkpoint differs from what the first would give.
    assert (first.argmax(axis=1) != last.argmax(axis=1)).any()
    for row in range(120):
        human = run.label_counts[row] / run.label_counts[row].sum()
        gold, shares = run.gold[row], special.softmax(run.logits[:, row], axis=1)
        others = np.delete(run.logits[:, row], gold, axis=1)
        expected = {
            "aulc_trapezoid": np.trapezoid(run.losses[:, row], run.steps) / 400,
            "loss_first": run.losses[0, row],
            "loss_last": run.losses[-1, row],
            "loss_change": run.losses[-1, row] - run.losses[0, row],
            "kl_first": stats.entropy(human, shares[0]),
            "kl_last": stats.entropy(human, shares[-1]),
            "aum": np.mean(run.logits[:, row, gold] - others.max(axis=1)),
            "prediction_entropy_last": stats.entropy(shares[-1]),
            "entropy": stats.entropy(human),
        }
        assert table.loc[row, list(expected)].tolist() == pytest.approx(list(expected.values())), row
        assert table["prediction_last"][row] == "enc"[last[row].argmax()]


def test_an_example_whose_loss_stays_has_not_risen(make):
    # The loss of the first stays, that of the second rises with the other class's logit, that of the third falls.
    logits = np.zeros((2, 3, 3))
    logits[1, 1, 1], logits[1, 2, 0] = 1.0, 1.0
    found = analyze(make([[100, 0, 0]] * 3, logits))
    assert found.examples["rose"].tolist() == [False, True, False]
    assert found.unlearning.overall.rose == 1


def test_examples_that_are_never_learned_rank_last(unlearning_run):
    losses = unlearning_run.losses.copy()
    losses[:, np.argsort(unlearning_run.entropy)[-20:-4]] = 2.0
    run = replace(unlearning_run, losses=losses)
    found = analyze(run, rng=np.random.default_rng(1), n_resamples=200).correlation.learning_time
    below = losses < np.log(3)
    times = np.where(below.any(axis=0), run.steps[below.argmax(axis=0)], 10**9)
    assert found.rho == pytest.approx(stats.spearmanr(times, run.entropy).statistic)
    assert (found.n, found.n_skipped) == (120, 0)
    assert found.note == "16 examples never learned: ranked above all others"
