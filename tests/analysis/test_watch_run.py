from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from contested.analysis import analyze, highest_rise, run_alerts, statements
from contested.analysis.watch_run import watch_run
from contested.trajectories import Trajectory

STEPS = np.arange(0, 60, 10)


def recorded(course, *, n=60, seed=1, **changed):
    """A run whose two categories follow given courses of mean loss, each example with noise of its own."""
    noise = 0.3 * np.random.default_rng(seed).normal(size=(6, 2 * n)).cumsum(axis=0)
    noise[0] = 0
    losses = 5 + noise + np.repeat(np.array(course, dtype=float).T, n, axis=1)
    run = Trajectory.from_arrays(
        losses=losses, ids=range(2 * n), steps=STEPS, categories=["low"] * n + ["high"] * n,
        category_names=["low", "high"],
    )  # fmt: skip
    return dataclasses.replace(run, **changed)


RISING = ((0, -1, -1, -1, -1, -1), (0, 1, 1, 1, 1, 1))
FALLING = ((0, -1, -1, -1, -1, -1), (0, -1, -2, -2, -1, 0))


def test_an_analysis_gives_the_verdict_of_the_alert():
    run = recorded(RISING)
    found, alone = analyze(run).alert, run_alerts(run)
    assert list(found.alerts) == ["low", "high"]
    assert found.alerts["high"].boundary == pytest.approx(alone["high"].boundary)
    assert (found.alerts["high"].first, found.alerts["low"].first, found.planned) == (10, None, 50)
    (told,) = [sentence for sentence in statements(analyze(run)) if "above its start" in sentence]
    assert told.startswith("Mean loss of examples of category high rose above its start: at step 10 by 0.9")


def test_an_analysis_asks_as_the_run_was_asked():
    pairs = [f"p{i // 2}" for i in range(120)]
    run = recorded(RISING, manifest={"alert": {"level": 0.01, "margin": 0.5, "clusters": "pair"}})
    found = watch_run(dataclasses.replace(run, examples=run.examples.assign(pair=pairs)))
    assert (found.level, found.margin, found.alerts["high"].n_clusters) == (0.01, 0.5, 30)
    # Without the column, as where the run was saved without it, each example stands for itself.
    assert watch_run(run).alerts["high"].n_clusters == 60


def test_the_rises_share_the_level_and_take_the_same_examples():
    run = recorded(FALLING)
    found = watch_run(run)
    alone = highest_rise(run.losses[:, 60:], STEPS, margin=0.02, level=0.025)
    assert (found.rises["high"].start, found.rises["high"].end) == (alone.start, alone.end) == (20, 50)
    assert found.rises["high"].low == pytest.approx(alone.low, abs=0.02)  # ids are in another order
    assert found.rises["high"].level == 0.025


def test_where_no_alarm_came_one_sentence_says_so_and_a_later_rise_is_told():
    silence, later = watch_run(recorded(FALLING)).sentences("step")
    assert silence == (
        "No alarm: at none of 5 looks was the mean loss of examples of category high or examples of category low found "
        "more than 0.02 nats above its start (an alarm is false in at most 5% of runs of 50 steps)."
    )
    assert later.startswith("Mean loss of examples of category high rose between step 20 and step 50 by 1.9")


def test_too_few_examples_are_said_not_to_be_watched():
    (high, low) = watch_run(recorded(RISING, n=5)).sentences("step")
    assert (
        high
        == "The loss of examples of category high is not watched: 5 independent examples: too few to test (20 needed)."
    )
    assert "category low" in low


def test_tables_have_a_row_for_each_group_and_for_each_look():
    tables = watch_run(recorded(RISING)).tables()
    rows, looks = tables["alerts"], tables["alert_looks"]
    assert rows["category"].tolist() == ["low", "high"]
    high = rows.iloc[1]
    assert (high["first"], high["n"], high["n_clusters"], high["rose"]) == (10, 60, 60, True)
    assert high["first_low"] == looks[(looks["category"] == "high") & (looks["step"] == 10)]["low"].item()
    assert np.isnan(rows.iloc[0]["first_estimate"])
    assert looks.groupby("category", sort=False)["step"].apply(list).tolist() == [[10, 20, 30, 40, 50]] * 2


def test_results_are_json_and_do_not_depend_on_the_order_of_examples():
    run = recorded(RISING)
    told = json.loads(json.dumps(analyze(run).to_dict(), allow_nan=False))
    assert told["alert"]["alerts"]["high"]["first"] == 10
    order = np.random.default_rng(0).permutation(120)
    shuffled = dataclasses.replace(
        run, example_ids=run.example_ids[order], losses=run.losses[:, order],
        examples=run.examples.iloc[order].reset_index(drop=True),
    )  # fmt: skip
    assert json.loads(json.dumps(analyze(shuffled).to_dict(), allow_nan=False)) == told


def test_a_run_of_unknown_plan_or_without_losses_has_no_alert_and_says_why():
    part = recorded(RISING, status="interrupted")
    found = analyze(part)
    assert found.alert is None
    assert any("how many steps were planned" in note for note in found.notes)
    assert analyze(dataclasses.replace(part, manifest={"planned_steps": 100})).alert.planned == 100
    logits = Trajectory.from_arrays(logits=np.zeros((2, 4, 2)), steps=[0, 1])
    assert analyze(logits).alert is None
    assert any("alert" in sentence for sentence in analyze(logits).absent if "no losses" in sentence)


def test_what_the_page_on_the_alert_shows_in_python_runs(capsys, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "alert.md").read_text(encoding="utf-8")
    monkeypatch.setattr(Trajectory, "load", lambda path: recorded(RISING))
    exec(page.split("```python\n")[1].split("```")[0], {})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("At none of 5 looks was mean loss of examples of category low found")
    assert second.startswith("Mean loss of examples of category high rose above its start: at step 10 by 0.9")


def test_no_mean_is_over_both_splits():
    run = recorded(RISING)
    for n_apart, n_told, apart in ((0, 120, False), (30, 90, True), (120, 120, False)):
        split = ["validation"] * n_apart + ["train"] * (120 - n_apart)
        found = analyze(dataclasses.replace(run, examples=run.examples.assign(split=split)), n_resamples=200)
        assert (found.n_examples, found.validation is not None) == (n_told, apart)
