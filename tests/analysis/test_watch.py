from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from contested.analysis import alert, alert_sentence, alerts, run_alerts, watched
from contested.analysis.alert import Alert
from contested.errors import DataError, RunError
from contested.trajectories import Trajectory

STEPS = np.arange(0, 60, 10)


def walks(n, *, looks=5, seed=0, rise=0.0):
    """Losses that start at 1, move as random walks of sd 1 a look, and rise by ``rise`` over the run."""
    noise = np.random.default_rng(seed).normal(size=(looks, n)).cumsum(axis=0)
    return np.vstack([np.ones(n), 1 + noise + rise * np.arange(1, looks + 1)[:, None] / looks])


def halves(n=80):
    return {"even": np.arange(n) % 2 == 0, "odd": np.arange(n) % 2 == 1}


def test_each_group_gets_its_share_of_the_level_and_its_own_examples():
    losses, groups = walks(80), halves()
    found = alerts(losses, STEPS, 50, groups=groups, level=0.04)
    assert list(found) == ["even", "odd"]
    for name, mask in groups.items():
        alone = alert(losses[:, mask], STEPS, 50, margin=0.02, level=0.02)
        assert found[name].boundary == pytest.approx(alone.boundary)
        assert found[name].statistic == pytest.approx(alone.statistic)
        assert (found[name].level, found[name].shared_by) == (0.02, 2)


def test_a_group_too_small_to_be_tested_takes_no_share():
    groups = {"all but few": np.arange(80) < 70, "few": np.arange(80) >= 70}
    found = alerts(walks(80), STEPS, 50, groups=groups)
    assert (found["all but few"].level, found["all but few"].shared_by) == (0.05, 1)
    assert found["few"].note == "10 independent examples: too few to test (20 needed)"
    # In pairs, the 80 are 40 clusters: of the smaller group's 30 examples fifteen are left.
    groups = {"all but few": np.arange(80) < 50, "few": np.arange(80) >= 50}
    pairs = alerts(walks(80), STEPS, 50, groups=groups, clusters=[f"p{i // 2}" for i in range(80)])
    assert (pairs["all but few"].n_clusters, pairs["all but few"].level) == (25, 0.05)
    assert pairs["few"].note == "15 independent examples: too few to test (20 needed)"


@pytest.mark.parametrize("changed", [{"groups": {"a": np.ones(3, bool)}}, {"clusters": [1]}, {"losses": [1.0]}])
def test_arrays_of_other_sizes_are_refused(changed):
    with pytest.raises(DataError, match=r"losses|group a"):
        alerts(**({"losses": walks(30), "steps": STEPS, "planned_steps": 50, "groups": {}} | changed))


def examples(**columns):
    return pd.DataFrame({"category": ["low", "high"] * 3, **columns})


def test_categories_are_watched_in_order_and_validation_examples_apart():
    table = examples(split=["train"] * 4 + ["validation"] * 2)
    groups, clusters = watched(table, ("low", "high", "none"), ())
    assert clusters is None
    assert list(groups) == ["low", "high", "none", "low (validation)", "high (validation)", "none (validation)"]
    assert groups["low"].tolist() == [True, False, True, False, False, False]
    assert groups["high (validation)"].tolist() == [False] * 5 + [True]
    assert list(watched(table[:4], ("low", "high"), ()).groups) == ["low", "high"]
    groups = watched(table, (), ()).groups
    assert (list(groups), groups["overall"].sum()) == (["overall", "overall (validation)"], 4)


def test_examples_that_share_a_text_belong_together_also_through_others():
    # 0 and 1 share the premise, 1 and 2 the hypothesis; 3 and 4 share nothing; the space around 5's premise is none.
    table = examples(premise=["a", "a", "b", "c", "d", " d "], hypothesis=["x", "y", "y", "z", "u", "v"])
    (_, clusters) = watched(table, ("low", "high"), ("premise", "hypothesis"))
    together = clusters[:, None] == clusters
    assert together.tolist() == [
        [i == j or {i, j} <= {0, 1, 2} or {i, j} == {4, 5} for j in range(6)] for i in range(6)
    ]
    assert watched(table, ("low", "high"), ("hypothesis",)).clusters is not None
    assert watched(table[3:5], ("low", "high"), ("premise", "hypothesis")).clusters is None


def test_a_text_that_many_examples_have_is_a_template_and_joins_none():
    table = pd.DataFrame({"category": ["low"] * 40, "instruction": ["Judge."] * 40, "text": list(map(str, range(40)))})
    assert watched(table, ("low",), ("instruction", "text")).clusters is None


def test_clusters_may_be_a_column():
    table = examples(author=["p", "p", "q", "q", "r", "s"])
    assert watched(table, ("low", "high"), (), clusters="author").clusters.tolist() == table["author"].tolist()
    with pytest.raises(DataError, match=r"no column 'autor'; they have category, author"):
        watched(table, ("low", "high"), (), clusters="autor")


def recorded(losses, **changed):
    losses = losses + 20  # cross-entropies are not negative
    names = ["low", "high"] * (losses.shape[1] // 2)
    run = Trajectory.from_arrays(
        losses=losses, ids=range(losses.shape[1]), steps=STEPS, categories=names, category_names=["low", "high"]
    )
    return dataclasses.replace(run, **changed)


def test_a_recorded_run_gives_the_alerts_of_its_categories():
    losses = walks(80)
    found = run_alerts(recorded(losses), level=0.04)
    assert list(found) == ["low", "high"]
    assert found["high"].boundary == pytest.approx(alert(losses[:, 1::2], STEPS, 50, level=0.02).boundary)
    by_text = recorded(losses)
    by_text = dataclasses.replace(
        by_text, examples=by_text.examples.assign(text=[f"t{i // 4}" for i in range(80)]), text_columns=("text",)
    )
    assert run_alerts(by_text)["high"].n_clusters == 20
    assert run_alerts(by_text, clusters="example_id")["high"].n_clusters == 40


def test_a_run_that_is_not_complete_is_watched_by_its_plan_and_answers_as_it_will_at_the_end():
    losses = walks(80)
    whole = run_alerts(recorded(losses, manifest={"planned_steps": 100}))
    part = recorded(losses)
    part = dataclasses.replace(
        part, steps=part.steps[:3], epochs=part.epochs[:3], losses=part.losses[:3], status="running",
        manifest={"planned_steps": 100},
    )  # fmt: skip
    assert run_alerts(part)["low"].boundary == pytest.approx(whole["low"].boundary[:2])
    with pytest.raises(RunError, match=r"not complete \(status: running\).*planned_steps"):
        run_alerts(dataclasses.replace(part, manifest={}))
    with pytest.raises(RunError, match="losses"):
        run_alerts(dataclasses.replace(part, losses=None))


def told(estimates, *, first, low=None, n=300, n_clusters=300, shared_by=1, note="", name="contested"):
    estimate = np.asarray(estimates, dtype=float)
    steps = np.arange(1, len(estimate) + 1) * 300
    crossed = steps >= first if first else np.zeros(len(steps), bool)
    filled = np.full(len(steps), 2.0)
    found = Alert(
        steps, estimate, estimate - 0.1 if low is None else low, filled, filled, crossed, filled, first, n, n_clusters,
        0.05 / shared_by, note, shared_by,
    )  # fmt: skip
    return alert_sentence(name, found, unit="step", planned=3000)


RATE = "an alarm is false in at most 5% of runs of 3,000 steps"


@pytest.mark.parametrize(
    ("estimates", "first", "expected"),
    [
        ([0.0, 0.2], 600, "at step 600 by 0.20 nats (at least 0.10)"),
        ([0.2, 0.3, 0.25], 300, "at step 300 by 0.20 nats (at least 0.10), at its highest by 0.30 at step 600; "
            "at step 900 it lies 0.25 above it"),
        ([0.2, 0.0, -0.04], 300, "at step 300 by 0.20 nats (at least 0.10); at step 900 it lies 0.04 below it again"),
    ],
)  # fmt: skip
def test_a_rise_is_told_with_its_size_its_step_and_whether_it_lasts(estimates, first, expected):
    text = told(estimates, first=first)
    assert text == f"Mean loss of contested examples rose above its start: {expected}. 300 examples; {RATE}."


def test_clusters_and_other_groups_are_told():
    text = told([0.2], first=300, n_clusters=281, shared_by=3)
    assert text.endswith(f"300 examples in 281 clusters; {RATE}, 3 groups together.")


def test_examples_of_the_validation_set_and_of_own_categories_are_named_so():
    assert told([0.2], first=300, name="contested (validation)").startswith(
        "Mean loss of contested examples of the validation set rose above its start: at step 300 by 0.20 nats"
    )
    assert told([0.2], first=None, name="A").startswith("At none of 1 look was mean loss of examples of category A")


def test_where_nothing_was_found_or_tested_this_is_told():
    assert told([0.01, 0.02], first=None) == (
        f"At none of 2 looks was mean loss of contested examples found above its start. 300 examples; {RATE}."
    )
    few = alert(walks(5), STEPS, 50)
    assert alert_sentence("overall", few, planned=50) == (
        "The loss of all examples is not watched: 5 independent examples: too few to test (20 needed)."
    )
    start = alert(walks(50)[:1], STEPS[:1], 50)
    assert alert_sentence("clean", start, planned=50) == (
        "The loss of clean examples is watched from the second checkpoint on."
    )
