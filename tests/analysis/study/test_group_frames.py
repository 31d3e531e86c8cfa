from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from contested.analysis import nested_mean_interval
from contested.analysis.intervals import keyed
from contested.analysis.study import Axis
from contested.analysis.study.columns import frame_of
from contested.trajectories import Trajectory

NAMES = ("clean", "ambiguous", "contested")


@pytest.fixture
def two_seeds(any_study):
    """Two rates under two seeds; at the lower one clean examples fall by 0.3 and 0.5, contested rise by 0.2 and 0.4."""
    cells = [any_study.cell(seed, rate=rate) for rate in (1e-4, 1e-3) for seed in (1, 2)]
    changes = [(-0.3, 0.0, 0.2), (-0.5, 0.0, 0.4), (-0.6, 0.1, 0.5), (-0.6, 0.1, 0.5)]
    runs = {
        one["run_id"]: any_study.run(any_study.by_category(*change), accuracy=accuracy)
        for one, change, accuracy in zip(cells, changes, (0.6, 0.8, 0.7, 0.7), strict=True)
    }
    return cells, (any_study.RATE,), runs


def test_axes_say_whether_they_vary_and_are_numbers(any_study):
    cells = [any_study.cell(rate=1e-4, **{"model.name": name}) for name in ("small", "large")]
    found = any_study.results(cells, (any_study.RATE, any_study.MODEL), {}).frames["axes"]
    assert found.to_dict("records") == [
        {
            "axis": "rate",
            "key": "training.learning_rate",
            "numeric": True,
            "varies": False,
            "values": "1e−4, 1e−3",
        },
        {
            "axis": "model.name",
            "key": "model.name",
            "numeric": False,
            "varies": True,
            "values": "small, middle, large",
        },
    ]


def test_a_group_is_the_cells_that_differ_in_the_seed_alone(any_study, two_seeds):
    groups = any_study.results(*two_seeds).frames["groups"]
    assert groups["group"].tolist() == ["rate 1e−4", "rate 1e−3"]
    assert groups["rate"].tolist() == [1e-4, 1e-3]
    assert groups["run_ids"].tolist() == ["rate=0.0001-s1,rate=0.0001-s2", "rate=0.001-s1,rate=0.001-s2"]
    assert groups["n_seeds"].tolist() == [2, 2]


def test_a_study_without_an_axis_is_one_group(any_study):
    cells = [any_study.cell(seed) for seed in (1, 2)]
    runs = {one["run_id"]: any_study.run(0.1) for one in cells}
    found = any_study.results(cells, (), runs).frames
    assert found["groups"]["group"].tolist() == ["all runs"]
    assert found["axes"].empty
    assert found["differences"].empty
    assert any_study.only(found["group_measures"], measure="loss_change", category="overall")["mean"] == pytest.approx(
        0.1
    )


def test_measures_are_means_over_seeds_and_examples_with_their_sd(any_study, two_seeds):
    found = any_study.results(*two_seeds).frames["group_measures"]
    assert found["measure"].iloc[0] == "loss_change"
    assert found.query("measure == 'loss_change' and rate == 0.0001")["category"].tolist() == [*NAMES, "overall"]
    # Means of -0.3 and -0.5, of 0.2 and 0.4; their sample sd is 0.2 / √2.
    for category, mean in (("clean", -0.4), ("contested", 0.3)):
        row = any_study.only(found, group="rate 1e−4", measure="loss_change", category=category)
        assert (row["n"], row["mean"], row["sd"]) == (8, pytest.approx(mean), pytest.approx(0.2 / np.sqrt(2)))
    # AULC of two checkpoints is the mean of start 1 and end 1 + Δℓ.
    row = any_study.only(found, group="rate 1e−3", measure="aulc", category="ambiguous")
    assert row["mean"] == pytest.approx(1.05)


def test_intervals_are_over_examples_and_seeds(any_study):
    cells = [any_study.cell(seed, rate=1e-4) for seed in (1, 2)]
    changes = np.stack([any_study.noise(1), any_study.noise(2) + 0.3])
    runs = {one["run_id"]: any_study.run(change) for one, change in zip(cells, changes, strict=True)}
    found = any_study.results(cells, (any_study.RATE,), runs, n_resamples=200)
    row = any_study.only(found.frames["group_measures"], measure="loss_change", category="contested")
    draw = keyed(np.random.default_rng(0), "groups")
    expected = nested_mean_interval(changes[:, 16:], rng=keyed(draw, "contested"), n_resamples=200)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(expected[:3])
    curve = any_study.only(found.frames["group_curves"], category="contested", step=100)
    assert (curve["high"] - curve["low"]) == pytest.approx(row["high"] - row["low"])


def test_one_seed_is_said_and_has_an_interval_over_examples(any_study):
    one = any_study.cell(rate=1e-4)
    found = any_study.results([one], (any_study.RATE,), {one["run_id"]: any_study.run(any_study.noise(3))}).frames
    row = any_study.only(found["group_measures"], measure="loss_change", category="overall")
    assert row["low"] < row["mean"] < row["high"]
    assert np.isnan(row["sd"])
    assert row["note"] == "one seed: the interval is over examples alone, and says nothing of other seeds"
    group = found["groups"].iloc[0]
    assert np.isnan(group["val_accuracy_low"])
    assert group["rho_low"] < group["rho_mean"] < group["rho_high"]


def test_accuracy_and_training_loss_have_intervals_over_seeds(any_study, two_seeds):
    row = any_study.results(*two_seeds).frames["groups"].iloc[0]
    # 0.6 and 0.8: mean 0.7, sd 0.2 / √2, half width t(1 df, 97.5 %) · sd / √2 = 12.7062 · 0.1: past 0 and 1.
    assert (row["val_accuracy_mean"], row["val_accuracy_sd"]) == pytest.approx((0.7, 0.2 / np.sqrt(2)))
    assert (row["val_accuracy_low"], row["val_accuracy_high"]) == (0, 1)
    # Of two that agree nothing is known of how much others differ.
    assert row["train_loss_mean"] == 0.5
    assert np.isnan([row["train_loss_low"], row["train_loss_high"]]).all()
    assert "train loss: no interval: all seeds gave the same value" in row["note"]


def test_rho_is_the_mean_over_seeds(any_study, two_seeds):
    found = any_study.results(*two_seeds).frames
    runs = found["runs"].set_index("run_id")["rho"]
    row = found["groups"].iloc[0]
    first, second = runs["rate=0.0001-s1"], runs["rate=0.0001-s2"]
    assert row["rho_mean"] == pytest.approx((first + second) / 2)
    assert row["rho_low"] <= row["rho_mean"] <= row["rho_high"]


def test_curves_are_means_by_category_at_every_step(any_study, two_seeds):
    curves = any_study.results(*two_seeds).frames["group_curves"].query("rate == 0.0001")
    # Every loss starts at 1; contested ones end at 1.2 and 1.4.
    assert curves.query("category == 'contested'")[["step", "mean"]].to_numpy().tolist() == [
        [0, pytest.approx(1.0)],
        [100, pytest.approx(1.3)],
    ]
    assert curves["category"].unique().tolist() == [*NAMES, "overall"]


def test_examples_without_a_measure_are_left_out_and_counted(any_study):
    # ln 3 = 1.099: a loss of 1.2 that falls by 0.2 is below it at the second checkpoint, one that falls by 0.05 never.
    one = any_study.cell(rate=1e-4)
    change = np.where(np.arange(any_study.N) % 4 == 0, -0.05, -0.2)
    found = any_study.results([one], (any_study.RATE,), {one["run_id"]: any_study.run(change, start=1.2)}).frames
    row = any_study.only(found["group_measures"], measure="learning_time", category="overall")
    assert (row["n"], row["mean"]) == (18, 100.0)
    assert row["note"].startswith("6 of 24 examples left out")


def test_missing_excluded_and_unlike_runs_are_said(any_study):
    cells = [
        *(any_study.cell(seed, rate=1e-4) for seed in (1, 2)),
        any_study.cell(1, rate=1e-3, status="failed"),
        any_study.cell(2, rate=1e-3, excluded="lost"),
    ]
    runs = {cells[0]["run_id"]: any_study.run(0.1)}
    found = any_study.results(cells, (any_study.RATE,), runs)
    groups = found.frames["groups"].set_index("rate")
    assert groups["missing"].tolist() == ["rate=0.0001-s2", "rate=0.001-s1"]
    assert groups["n_expected"].tolist() == [2, 1]
    assert groups.loc[1e-3, "note"] == "no complete run"
    assert found.gaps == (
        "rate=0.0001-s2 (rate=0.0001, seed 2) is missing: it is listed as complete, but its trajectory was not given. "
        "Its group rests on 1 of 2 seeds.",
        "rate=0.001-s1 (rate=0.001, seed 1) is missing: it failed. Its group rests on 0 of 1 seeds.",
    )
    assert "rate=0.001-s2 (rate=0.001, seed 2) is excluded (lost) and not expected." in found.notes
    difference = found.frames["differences"].iloc[0]
    assert (difference["n"], difference["note"]) == (0, "no complete run")


def test_runs_that_differ_in_more_than_their_seed_are_not_averaged(any_study):
    cells = [any_study.cell(seed, rate=1e-4, setting=f"epochs {seed}") for seed in (1, 2)]
    runs = {one["run_id"]: any_study.run(0.1) for one in cells}
    found = any_study.results(cells, (any_study.RATE,), runs).frames
    assert found["groups"].iloc[0]["note"] == "the runs differ in more than their seed, so their seeds are not averaged"
    assert np.isnan(found["groups"].iloc[0]["rho_mean"])


def test_no_number_of_a_group_depends_on_other_groups(any_study, two_seeds):
    cells, axes, runs = two_seeds
    whole, part = any_study.results(cells, axes, runs).frames, any_study.results(cells[2:], axes, runs).frames
    for name in ("groups", "group_measures", "group_curves"):
        columns = [column for column in whole[name] if column != "group"]
        own = whole[name].query("rate == 0.001")[columns].reset_index(drop=True)
        assert own.equals(part[name][columns]), name


def test_runs_without_annotators_have_measures_over_all_examples(any_study):
    cells = [any_study.cell(seed, rate=rate) for rate in (1e-4, 1e-3) for seed in (1, 2)]
    changes = (0.1, 0.3, 0.6, 0.8)
    runs = {
        one["run_id"]: replace(
            Trajectory.from_arrays(losses=[[1.0] * 8, [1.0 + change] * 8], steps=[0, 100]),
            metrics=pd.DataFrame([{"step": 100, "val_accuracy": 0.7, "train_loss": 0.5}]),
        )
        for one, change in zip(cells, changes, strict=True)
    }
    found = any_study.results(cells, (any_study.RATE,), runs)
    measures = found.frames["group_measures"]
    assert set(measures["category"]) == {"overall"}
    assert any_study.only(measures, rate=1e-4, measure="loss_change")["mean"] == pytest.approx(0.2)
    assert any_study.only(found.frames["differences"], measure="loss_change")["difference"] == pytest.approx(0.5)
    assert found.frames["group_curves"].query("rate == 0.001")["mean"].tolist() == pytest.approx([1.0, 1.7])
    group = found.frames["groups"].iloc[0]
    assert np.isnan(group["rho_mean"])
    assert "no ρ: the runs do not have both losses and annotators" in group["note"]
    # Said once for all four runs.
    told = [note for note in found.notes if "no annotators' labels" in note]
    assert len(told) == 1
    assert all(one["run_id"] in told[0] for one in cells)


def test_runs_with_logits_alone_have_neither_curves_nor_changes(any_study):
    one = any_study.cell(rate=1e-4)
    logits = np.random.default_rng(0).normal(size=(2, 8, 3))
    found = any_study.results([one], (any_study.RATE,), {one["run_id"]: Trajectory.from_arrays(logits=logits)}).frames
    assert "loss_change" not in set(found["group_measures"]["measure"])
    assert any_study.only(found["group_measures"], measure="prediction_entropy_last")["n"] == 8
    assert found["group_curves"].iloc[0]["note"] == "no curves: the runs have no losses"


def test_a_seed_without_annotators_stands_with_one_that_has_them(any_study):
    cells = [any_study.cell(seed, rate=1e-4) for seed in (1, 2)]
    whole = any_study.run(any_study.by_category(-0.3, 0.0, 0.2))
    bare = Trajectory.from_arrays(losses=whole.losses, ids=whole.example_ids, steps=whole.steps)
    runs = {cells[0]["run_id"]: bare, cells[1]["run_id"]: whole}
    found = any_study.results(cells, (any_study.RATE,), runs).frames
    row = any_study.only(found["group_measures"], measure="loss_change", category="contested")
    assert (row["mean"], row["n"]) == (pytest.approx(0.2), 8)
    # ρ needs the entropies of the examples, which one of the two runs knows.
    assert found["groups"].iloc[0]["rho_mean"] > 0.5


def test_a_value_that_changes_nothing_is_not_named(any_study):
    noise = Axis("noise", "", ("none", "noisy"), plain="none")
    cells = [any_study.cell(rate=rate, noise=name) for name in ("none", "noisy") for rate in (1e-4, 1e-3)]
    found = any_study.results(cells, (any_study.RATE, noise), {}).frames["groups"]
    assert found["group"].tolist() == ["rate 1e−4", "rate 1e−3", "rate 1e−4, noisy", "rate 1e−3, noisy"]


@pytest.mark.parametrize("what", ["entropy", "category", "gold"])
def test_seeds_that_disagree_about_their_examples_are_not_averaged(any_study, what):
    cells = [any_study.cell(seed, rate=1e-4) for seed in (1, 2)]
    first, second = any_study.run(0.1), any_study.run(0.1)
    changed = second.examples.copy()
    changed.loc[0, what] = {"entropy": 0.3, "category": "contested", "gold": 1}[what]
    runs = {cells[0]["run_id"]: first, cells[1]["run_id"]: replace(second, examples=changed)}
    found = any_study.results(cells, (any_study.RATE,), runs).frames
    assert "disagree about the labels, entropies or categories" in found["groups"].iloc[0]["note"]


def test_an_example_that_one_seed_lacks_is_left_out_of_all_seeds(any_study):
    # Below ln 3 at step 100 under the first seed; six of the 24 never are under the second.
    cells = [any_study.cell(seed, rate=1e-4) for seed in (1, 2)]
    never = np.where(np.arange(any_study.N) % 4 == 0, -0.05, -0.2)
    runs = {
        cells[0]["run_id"]: any_study.run(-0.2, start=1.2),
        cells[1]["run_id"]: any_study.run(never, start=1.2),
    }
    found = any_study.results(cells, (any_study.RATE,), runs).frames["group_measures"]
    row = any_study.only(found, measure="learning_time", category="overall")
    assert (row["n"], row["mean"]) == (18, 100.0)
    assert row["note"].startswith("6 of 24 examples left out: no value under every seed")


def sharing_a_premise(run):
    """The run, its examples in pairs of one premise within their categories."""
    premises = run.examples.assign(premise=[f"premise {row // 2}" for row in range(len(run.examples))])
    return replace(run, examples=premises, text_columns=("premise",))


def test_examples_that_share_a_text_are_one_cluster(any_study):
    cells = [any_study.cell(seed, rate=rate) for rate in (1e-4, 1e-3) for seed in (1, 2, 3)]
    # Both examples of a premise move alike, so that twelve premises say no more than twelve examples.
    changes = [np.repeat((any_study.noise(9) + 0.05 * any_study.noise(place))[::2], 2) for place in range(6)]
    alone = {one["run_id"]: any_study.run(change) for one, change in zip(cells, changes, strict=True)}
    runs = {run_id: sharing_a_premise(run) for run_id, run in alone.items()}
    found, naive = (any_study.results(cells, (any_study.RATE,), given).frames for given in (runs, alone))
    clusters = np.repeat(np.arange(12), 2)
    draw = np.random.default_rng(0)
    group = nested_mean_interval(
        np.stack(changes[:3]), rng=keyed(keyed(draw, "groups"), "overall"), n_resamples=100, clusters=clusters
    )
    pair = nested_mean_interval(
        np.stack(changes[3:]) - np.stack(changes[:3]),
        rng=keyed(keyed(draw, "differences"), "overall"),
        n_resamples=100,
        clusters=clusters,
    )
    of_change = {"measure": "loss_change", "category": "overall"}
    row = any_study.only(found["group_measures"], rate=1e-4, **of_change)
    assert (row["low"], row["high"], row["n"]) == pytest.approx((group.low, group.high, 24))
    row = any_study.only(found["differences"], **of_change)
    assert (row["low"], row["high"]) == pytest.approx((pair.low, pair.high))
    end = {"rate": 1e-4, "category": "overall", "step": 100}
    wide, narrow = (any_study.only(table["group_curves"], **end) for table in (found, naive))
    assert wide["high"] - wide["low"] > 1.2 * (narrow["high"] - narrow["low"])
    rho = found["groups"].iloc[0], naive["groups"].iloc[0]
    assert rho[0]["rho_mean"] == rho[1]["rho_mean"]
    assert rho[0]["rho_low"] != rho[1]["rho_low"]


def test_cautions_and_shares_of_a_group(any_study):
    # One contested example of eight rises by 9 nats: its skewness, 2.3, wants 25 · 2.3² = 130 examples.
    alone = any_study.by_category(-0.5, -0.1, -0.1)
    alone[-1] = 9.0
    even = np.tile(np.linspace(-0.2, 0.2, 8), 3)
    cells = [any_study.cell(seed, rate=rate) for rate in (1e-4, 1e-3) for seed in (1, 2)]
    runs = {
        cell["run_id"]: any_study.run(
            (alone if cell["rate"] == 1e-4 else alone * 1.5) + even * (1 + number / 10), start=3.0
        )
        for number, cell in enumerate(cells)
    }
    frames = any_study.results(cells, [any_study.RATE], runs).frames
    changes = frames["group_measures"].query("measure == 'loss_change' and rate == 1e-4").set_index("category")
    said = "too skewed for so few examples: the interval covers less often than it says"
    assert changes["caution"].to_dict() == {"clean": "", "ambiguous": "", "contested": said, "overall": said}
    # Shares of examples and seeds: of 16 pairs in each category, those above 0.
    by_hand = {
        name: np.mean(
            np.stack([(runs[cell["run_id"]].losses[1] > runs[cell["run_id"]].losses[0])[rows] for cell in cells[:2]])
        )
        for name, rows in (("clean", slice(8)), ("ambiguous", slice(8, 16)), ("contested", slice(16, 24)))
    }
    assert changes["rose_share"].drop("overall").to_dict() == pytest.approx(by_hand)
    assert 0 < by_hand["contested"] < 0.5
    assert frames["group_measures"].query("measure == 'aulc'")["rose_share"].isna().all()
    curves = frames["group_curves"].query("rate == 1e-4 and category == 'contested'").set_index("step")["caution"]
    assert curves.to_dict() == {0: "", 100: said}
    differences = frames["differences"].query("measure == 'loss_change'").set_index("category")["caution"]
    assert (differences["clean"], differences["contested"]) == ("", said)


def test_rows_that_rest_on_the_same_runs_share_the_text_of_their_ids():
    ids = ",".join(f"run{seed}" for seed in range(100))
    found = frame_of("f", ("n", "run_ids", "note"), [{"n": 1, "run_ids": ids}, {"n": 2, "run_ids": ids}, {"n": 3}])
    assert found["run_ids"].iloc[0] is found["run_ids"].iloc[1] is ids
    assert found["run_ids"].iloc[2] == found["note"].iloc[2] == ""
