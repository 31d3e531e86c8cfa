"""The explorer of runs holds what their tables and trajectories hold, item by item."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import entr, softmax

from contested import Trajectory
from contested.analysis.measures import MEASURES, measure_columns, measures_of
from contested.report import write_report
from contested.report.explorer import Column, ExplorerRun, of_runs, tracked
from contested.report.explorer.facts import facts
from contested.report.explorer.of_runs import explorer_of_runs
from contested.report.runs import ReportRun


def entry(trajectory: Trajectory, name: str = "", *, held_out: bool = False) -> ReportRun:
    """A run of a report, of whose analysis the explorer reads the table of examples alone."""
    examples = pd.DataFrame({"example_id": trajectory.example_ids, **measure_columns(trajectory)})
    return ReportRun(name or trajectory.run_id, trajectory, SimpleNamespace(examples=examples), held_out)


def named(columns: Any) -> dict[str, Column]:
    return {column.name: column for column in columns}


def test_one_run_is_there_as_it_is(make) -> None:
    trajectory = make(n=30)
    found = explorer_of_runs([entry(trajectory, "mine")])
    measured = measure_columns(trajectory)
    (run,) = found.runs
    assert (run.name, run.step_unit, run.steps.tolist()) == ("mine", "step", [0, 100, 200])
    assert found.example_ids == trajectory.example_ids.tolist()
    items, columns = named(found.items), named(run.columns)
    # What annotators alone decide is of the items, everything else of the run: every measure once.
    assert set(items) & {measure.name for measure in MEASURES} == {"annotators_loss", "category_probability"}
    assert (set(items) | set(columns)) >= {measure.name for measure in measures_of(trajectory)}
    for name, values in measured.items():
        column = items.get(name) or columns[name]
        if column.kind == "category":
            assert list(column.values) == list(values)
        else:
            assert np.array_equal(column.values, values.astype(float), equal_nan=True)
    kinds = {name: columns[name].kind for name in ("rose", "learning_time", "forgetting_events", "region", "aum")}
    expected = ("flag", "integer", "integer", "category", "number")
    assert tuple(kinds.values()) == expected
    # An example is right or not; its share is its category's.
    assert (columns["correct_last"].heading, columns["correct_last"].unit) == ("right at the end", "")
    assert (columns["learning_time"].unit, columns["region"].levels) == ("steps", ("easy", "ambiguous", "hard"))
    assert (found.x, found.y) == ("variability", "confidence")
    assert items["premise"].values[3] == "Someone stands by tree 3."
    assert np.array_equal(items["entropy"].values, trajectory.entropy)
    assert (list(items["category"].values), found.categories) == (
        list(trajectory.categories),
        ("clean", "ambiguous", "contested"),
    )
    # A split that does not vary is no fact.
    assert "split" not in items
    assert np.array_equal(found.label_counts, trajectory.label_counts)
    assert np.array_equal(found.gold, trajectory.gold)
    assert list(found.notes) == []
    check_curves(run, trajectory)


def check_curves(run: ExplorerRun, trajectory: Trajectory) -> None:
    """Against one example and checkpoint after the other."""
    curves = {curve.name: curve.values for curve in run.curves}
    assert set(curves) == {"loss", "gold_probability", "kl"}
    for step in range(len(trajectory.steps)):
        for row in range(len(trajectory.example_ids)):
            model = softmax(trajectory.logits[step, row].astype(float))
            share = trajectory.label_counts[row] / trajectory.label_counts[row].sum()
            kl = -(share * np.log(model)).sum() - entr(share).sum()
            assert np.allclose(run.probabilities[step, row], model, atol=1e-6)
            found = [curves[name][step, row] for name in ("loss", "gold_probability", "kl")]
            assert np.allclose(found, [trajectory.losses[step, row], model[trajectory.gold[row]], kl], atol=1e-5)


def selected(trajectory: Trajectory, rows: Any, **changes: Any) -> Trajectory:
    return dataclasses.replace(
        trajectory,
        example_ids=trajectory.example_ids[rows],
        losses=trajectory.losses[:, rows],
        logits=trajectory.logits[:, rows],
        examples=trajectory.examples.iloc[rows].reset_index(drop=True),
        **changes,
    )


def test_runs_are_aligned_by_id_and_by_class(make) -> None:
    whole = make(n=20)
    first = selected(whole, np.arange(12))
    # The other run has its items in another order, classes in another order, and tracks others besides.
    turned = [2, 0, 1]
    other = selected(whole, np.arange(19, 7, -1), run_id="other")
    other = dataclasses.replace(
        other,
        logits=other.logits[:, :, turned],
        label_names=tuple(np.array(whole.label_names)[turned]),
        examples=other.examples.assign(
            gold=np.argsort(turned)[other.gold], label_counts=other.label_counts[:, turned].tolist()
        ),
    )
    found = explorer_of_runs([entry(first), entry(other)])
    assert found.example_ids == [*whole.example_ids[:12], *whole.example_ids[19:11:-1]]
    order = np.array([*range(12), *range(19, 11, -1)])
    assert np.array_equal(found.gold, whole.gold[order])
    assert np.array_equal(found.label_counts, whole.label_counts[order])
    assert named(found.items)["premise"].values == [whole.examples["premise"][row] for row in order]
    assert list(found.notes) == []
    one, two = found.runs
    untracked = np.isin(order, np.arange(8))
    assert np.isnan(one.probabilities[:, 12:]).all()
    assert np.isnan(two.probabilities[:, untracked]).all()
    expected = softmax(whole.logits[:, order].astype(float), axis=2)
    assert np.allclose(one.probabilities[:, :12], expected[:, :12], atol=1e-6)
    assert np.allclose(two.probabilities[:, ~untracked], expected[:, ~untracked], atol=1e-6)
    assert np.allclose(two.curves[0].values[:, ~untracked], whole.losses[:, order][:, ~untracked], atol=1e-5)
    last = named(two.columns)["prediction_last"]
    assert [value is None for value in last.values] == untracked.tolist()
    # A flag of an item that a run does not track is neither yes nor no.
    assert np.isnan(named(two.columns)["correct_last"].values[untracked]).all()


def test_runs_that_contradict_each_other_say_so(make) -> None:
    first, second = make(n=20), make("other", n=20)
    gold = second.gold.copy()
    gold[:3] = (gold[:3] + 1) % 3
    counts = second.label_counts.copy()
    counts[:3] = counts[:3, ::-1] + 1
    second = dataclasses.replace(
        second, examples=second.examples.assign(gold=gold, label_counts=counts.tolist(), premise="Another.")
    )
    found = explorer_of_runs([entry(first), entry(second)])
    assert list(found.notes) == [
        "Runs differ in the gold label or the annotations of 3 examples: shown is what the first run that tracks it "
        "says."
    ]
    assert np.array_equal(found.gold, first.gold)
    assert np.array_equal(found.label_counts, first.label_counts)
    assert named(found.items)["premise"].values == first.examples["premise"].tolist()


def test_what_the_first_run_does_not_know_another_says(make) -> None:
    whole = make("annotated", n=20)
    bare = whole.examples.drop(columns=["gold", "label_counts", "entropy", "category"])
    found = explorer_of_runs([entry(dataclasses.replace(make(n=20), examples=bare, category_names=())), entry(whole)])
    assert np.array_equal(found.gold, whole.gold)
    assert np.array_equal(found.label_counts, whole.label_counts)
    assert list(found.notes) == []  # who does not say contradicts nobody
    items = named(found.items)
    assert list(items["category"].values) == list(whole.categories)
    assert np.array_equal(items["entropy"].values, whole.entropy)
    assert np.isfinite(items["category_probability"].values).all()


def test_training_and_validation_examples_of_a_run_are_one_entry(make) -> None:
    whole = make(n=20)
    split = np.where(np.arange(20) % 4 == 0, "validation", "train")
    whole = dataclasses.replace(whole, examples=whole.examples.assign(split=split))
    train, apart = (entry(whole.of_split(name)) for name in ("train", "validation"))
    found = explorer_of_runs([train, apart._replace(held_out=True)])
    (run,) = found.runs
    assert found.example_ids == [*whole.example_ids[split == "train"], *whole.example_ids[split == "validation"]]
    assert list(named(found.items)["split"].values) == ["train"] * 15 + ["validation"] * 5
    loss = np.concatenate([train.trajectory.losses, apart.trajectory.losses], axis=1)
    assert np.allclose(run.curves[0].values, loss, atol=1e-5)
    assert np.allclose(named(run.columns)["loss_last"].values, loss[-1])


def test_a_run_of_losses_alone_has_what_it_has() -> None:
    rng = np.random.default_rng(0)
    run = Trajectory.from_arrays(losses=rng.random((3, 10)), ids=[f"i{number}" for number in range(10)])
    found = explorer_of_runs([entry(run)])
    assert (found.label_names, found.categories, found.gold, found.label_counts) == ((), (), None, None)
    assert found.runs[0].probabilities is None
    assert [curve.name for curve in found.runs[0].curves] == ["loss"]
    assert (found.x, found.y) == ("loss_first", "loss_change")


def test_many_checkpoints_are_thinned_and_said(make, monkeypatch) -> None:
    trajectory = make(n=10, steps=tuple(range(0, 100, 10)))
    # Ten items of three curves and three classes: four checkpoints are 240 numbers.
    monkeypatch.setattr(tracked, "_MOST_NUMBERS", 240)
    found = explorer_of_runs([entry(trajectory)])
    assert found.runs[0].steps.tolist() == [0, 30, 60, 90]
    assert np.allclose(found.runs[0].curves[0].values, trajectory.losses[[0, 3, 6, 9]], atol=1e-5)
    assert "at most 4 checkpoints" in found.notes[0]


@pytest.mark.usefixtures("undrawn")
def test_a_report_of_too_many_examples_says_that_it_has_no_explorer(make, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(of_runs, "MOST_ITEMS", 10)
    html = write_report([make(n=12)], tmp_path, n_resamples=40).html.read_text(encoding="utf-8")
    assert 'id="explorer"' not in html
    assert "The explorer is left out: it shows at most 200,000 examples." in html
    assert "script-src 'none'" in html.replace("&#39;", "'")


def test_fields_of_the_data_are_of_the_kind_that_they_are() -> None:
    table = pd.DataFrame(
        {
            "example_id": list("abcd"),
            "premise": ["x", "x", "y", None],
            "entropy": [0.1, 0.2, np.nan, 0.4],
            "flag": [True, None, False, True],
            "whole": [1.0, 2.0, np.nan, 4.0],
            "number": [1, 2.5, np.inf, 4],
            "huge": [10**12, 1, 2, 3],
            "genre": ["a", "b", "a", None],
            "free": ["a", "b", "c", "d"],
            "confidence": [0.1, 0.2, 0.3, 0.4],
            "id": [1, 2, 3, 4],
        }
    )
    found = named(facts(table, ["premise"], (), {"confidence"}))
    assert {name: column.kind for name, column in found.items()} == {
        "premise": "text",
        "entropy": "number",
        "flag": "flag",
        "whole": "integer",
        "number": "number",
        "huge": "text",
        "genre": "category",
        "free": "text",
        "confidence (data)": "number",  # a measure's name
        "id (data)": "integer",  # what the explorer calls the id itself
    }
    assert np.array_equal(found["flag"].values, [1.0, np.nan, 0.0, 1.0], equal_nan=True)
    assert found["premise"].values == ["x", "x", "y", None]
    assert found["huge"].values[0] == "1000000000000"
    assert found["entropy"].heading == "H"
