from __future__ import annotations

import numpy as np
import pytest

from contested.analysis import nested_difference_intervals
from contested.analysis.intervals import keyed
from contested.analysis.study.differences import compared


def of(frame, **where):
    for column, value in {"measure": "loss_change", "category": "overall", **where}.items():
        frame = frame[frame[column] == value]
    return frame


def test_a_numeric_axis_compares_neighbours_and_its_ends(any_study):
    cells = [any_study.cell(**{"training.epochs": epochs}) for epochs in (5, 1, 3)]
    # Δℓ of 0.1 times the epochs.
    runs = {one["run_id"]: any_study.run(0.1 * one["training.epochs"]) for one in cells}
    found = of(any_study.results(cells, (any_study.EPOCHS,), runs).frames["differences"])
    assert found[["from", "to", "group_from", "group_to"]].to_numpy().tolist() == [
        ["1", "3", "epochs 1", "epochs 3"],
        ["3", "5", "epochs 3", "epochs 5"],
        ["1", "5", "epochs 1", "epochs 5"],
    ]
    assert found["difference"].tolist() == pytest.approx([0.2, 0.2, 0.4])


def test_another_axis_compares_every_value_with_the_first(any_study):
    cells = [any_study.cell(**{"model.name": name}) for name in ("small", "middle", "large")]
    runs = {one["run_id"]: any_study.run(change) for one, change in zip(cells, (0.1, 0.5, -0.3), strict=True)}
    found = of(any_study.results(cells, (any_study.MODEL,), runs).frames["differences"])
    assert list(zip(found["from"], found["to"], strict=True)) == [("small", "middle"), ("small", "large")]
    assert found["difference"].tolist() == pytest.approx([0.4, -0.4])


def test_two_values_have_one_pair():
    assert compared([1.0, 2.0], numeric=True) == [(1.0, 2.0)]
    assert compared([1.0], numeric=True) == []


def test_groups_that_differ_in_two_axes_are_not_compared(any_study):
    cells = [any_study.cell(**{"rate": rate, "training.epochs": epochs}) for rate, epochs in ((1e-4, 1), (1e-3, 3))]
    runs = {one["run_id"]: any_study.run(0.1) for one in cells}
    assert any_study.results(cells, (any_study.RATE, any_study.EPOCHS), runs).frames["differences"].empty


def test_the_other_axes_are_held(any_study):
    cells = [any_study.cell(**{"rate": rate, "training.epochs": epochs}) for rate in (1e-4, 1e-3) for epochs in (1, 3)]
    runs = {one["run_id"]: any_study.run(0.1) for one in cells}
    found = of(any_study.results(cells, (any_study.RATE, any_study.EPOCHS), runs).frames["differences"])
    assert found[["axis", "held"]].to_numpy().tolist() == [
        ["rate", "epochs 1"],
        ["rate", "epochs 3"],
        ["training.epochs", "rate 1e−4"],
        ["training.epochs", "rate 1e−3"],
    ]


def test_the_same_examples_are_paired(any_study):
    # Examples differ much from each other and by 0.25 between the groups: the paired difference has no spread.
    cells = [any_study.cell(seed, rate=rate) for rate in (1e-4, 1e-3) for seed in (1, 2)]
    runs = {
        one["run_id"]: any_study.run(any_study.noise(one["seed"]) + (0.25 if one["rate"] == 1e-3 else 0.0))
        for one in cells
    }
    found = any_study.results(cells, (any_study.RATE,), runs).frames
    row = of(found["differences"]).iloc[0]
    assert (row["difference"], row["low"], row["high"]) == pytest.approx((0.25, 0.25, 0.25))
    assert (row["n"], row["n_seeds"], row["note"]) == (24, 2, "")
    alone = any_study.only(found["group_measures"], rate=1e-4, measure="loss_change", category="overall")
    assert alone["high"] - alone["low"] > 0.05


def test_seeds_of_one_group_alone_are_left_out(any_study):
    cells = [any_study.cell(seed, rate=1e-4) for seed in (1, 2, 3)] + [
        any_study.cell(seed, rate=1e-3) for seed in (2, 3, 4)
    ]
    # Seeds 2 and 3 go from 0.2 to 0.7 and from 0.3 to 0.8; the others would say something else.
    changes = (9.0, 0.2, 0.3, 0.7, 0.8, 9.0)
    runs = {one["run_id"]: any_study.run(change, start=0.5) for one, change in zip(cells, changes, strict=True)}
    row = of(any_study.results(cells, (any_study.RATE,), runs).frames["differences"]).iloc[0]
    assert row["difference"] == pytest.approx(0.5)
    assert (row["n_seeds"], row["n_expected"]) == (2, 3)
    assert row["note"] == "left out: seed 1, 4, which only one group has"


@pytest.mark.parametrize("seeds", [(1, 2, 3, 4, 5), (1, 2, 2, 3, 4)])
def test_groups_without_two_shared_seeds_are_compared_seeds_apart(any_study, seeds):
    rates = [1e-4, 1e-4, 1e-3, 1e-3, 1e-3]
    cells = [any_study.cell(seed, rate=rate) for seed, rate in zip(seeds, rates, strict=True)]
    changes = [any_study.noise(place) + level for place, level in enumerate((0.1, 0.3, 0.2, 0.5, 0.8))]
    runs = {one["run_id"]: any_study.run(change) for one, change in zip(cells, changes, strict=True)}
    row = of(any_study.results(cells, (any_study.RATE,), runs).frames["differences"]).iloc[0]
    expected = nested_difference_intervals(
        np.stack(changes[:2])[:, :, None], np.stack(changes[2:])[:, :, None],
        rng=keyed(keyed(np.random.default_rng(0), "differences"), "overall"), n_resamples=100,
    )  # fmt: skip
    assert row["difference"] == pytest.approx(np.mean(changes[2:]) - np.mean(changes[:2]))
    assert (row["low"], row["high"]) == pytest.approx((expected.low[0], expected.high[0]))
    assert row["n_seeds"] == 2
    assert row["note"] == ("the groups share fewer than two seeds: the seeds of each count by themselves, not in pairs")


@pytest.mark.parametrize(("first", "second"), [((1,), (1,)), ((1,), (2, 3)), ((1,), (1, 2))])
def test_one_seed_on_a_side_says_nothing_of_the_settings(any_study, first, second):
    cells = [any_study.cell(seed, rate=1e-4) for seed in first] + [any_study.cell(seed, rate=1e-3) for seed in second]
    runs = {one["run_id"]: any_study.run(any_study.noise(place) + place) for place, one in enumerate(cells)}
    found = any_study.results(cells, (any_study.RATE,), runs).frames
    rows = found["differences"]
    assert np.isfinite(rows["difference"]).all()
    assert rows[["low", "high"]].isna().all(axis=None)
    assert rows["note"].str.contains("one seed on a side: no interval, for another seed would give another").all()
    assert (rows["n_seeds"] == 1).all()


def test_only_shared_examples_are_compared(any_study):
    cells = [any_study.cell(rate=rate) for rate in (1e-4, 1e-3)]
    change = np.arange(any_study.N) / 10
    # The second run tracks every other example, and each of them rises by 0.5 more.
    runs = {
        cells[0]["run_id"]: any_study.run(change),
        cells[1]["run_id"]: any_study.run(change + 0.5, rows=slice(None, None, 2)),
    }
    row = of(any_study.results(cells, (any_study.RATE,), runs).frames["differences"]).iloc[0]
    assert (row["n"], row["difference"]) == (12, pytest.approx(0.5))
    assert "only the 12 examples that both track" in row["note"]


def test_groups_of_other_examples_or_other_labels_say_so(any_study):
    cells = [any_study.cell(rate=rate) for rate in (1e-4, 1e-3)]
    runs = {
        cells[0]["run_id"]: any_study.run(0.1, rows=slice(0, 12)),
        cells[1]["run_id"]: any_study.run(0.1, rows=slice(12, 24)),
    }
    found = any_study.results(cells, (any_study.RATE,), runs).frames["differences"]
    assert found[["measure", "category", "n"]].to_numpy().tolist() == [["", "", 0]]
    assert "track different examples" in found.iloc[0]["note"]
    runs[cells[1]["run_id"]] = any_study.run(0.1, categories="terciles")
    runs[cells[0]["run_id"]] = any_study.run(0.1)
    found = any_study.results(cells, (any_study.RATE,), runs).frames["differences"]
    assert "disagree about the labels, entropies or categories" in found.iloc[0]["note"]
