from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from contested.analysis.study import COLUMNS, Axis, read_frame, study_results
from contested.analysis.study.columns import AXES
from contested.errors import ConfigError, DataError
from contested.files import indented


def test_every_frame_has_its_columns(any_study):
    axes = (any_study.RATE, any_study.EPOCHS)
    cells = [any_study.cell(seed, **{"rate": 1e-4, "training.epochs": 1}) for seed in (1, 2)]
    found = any_study.results(cells, axes, {one["run_id"]: any_study.run(0.1) for one in cells})
    for name, columns in COLUMNS.items():
        expected = [own for column in columns for own in (["rate", "training.epochs"] if column == AXES else [column])]
        assert found.frames[name].columns.tolist() == expected, name


def test_results_are_json_without_claims(any_study):
    cells = [any_study.cell(rate=1e-4), any_study.cell(rate=1e-3, status="failed")]
    found = any_study.results(cells, (any_study.RATE,), {cells[0]["run_id"]: any_study.run(0.1)})
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(content) == {"confidence", "n_resamples", "warnings", "notes", "clusters", "gaps", "frames"}
    runs = content["frames"]["runs"]
    row = dict(zip(runs["columns"], runs["rows"][1], strict=True))
    assert (row["rho"], row["status"], row["missing"]) == (None, "failed", "rate=0.001-s1")


def test_long_texts_that_repeat_are_in_the_file_once_and_come_back_in_their_places(any_study):
    cells = [any_study.cell(rate=rate) for rate in (1e-4, 1e-3)]
    found = any_study.results(cells, (any_study.RATE,), {one["run_id"]: any_study.run(0.1) for one in cells})
    content = json.loads(indented(found.to_dict()))["frames"]
    for name, frame in found.frames.items():
        pd.testing.assert_frame_equal(read_frame(content[name]), frame, check_dtype=False)
    # Each row of a group's measures names its one run, of which there are two.
    table = content["group_measures"]
    assert table["texts"]["run_ids"] == [one["run_id"] for one in cells]
    assert {row[table["columns"].index("run_ids")] for row in table["rows"]} == {0, 1}
    # Of two runs there is nothing to be saved.
    assert "texts" not in content["runs"]


def test_cells_that_lack_an_axis_or_misname_it_are_refused(any_study):
    with pytest.raises(DataError, match=r"columns training\.epochs are missing"):
        study_results(
            any_study.results([any_study.cell(rate=1e-4)], (any_study.RATE,), {})
            .frames["runs"]
            .assign(main=False, group=""),
            (any_study.RATE, any_study.EPOCHS),
            {},
        )
    with pytest.raises(DataError, match="no axis may be called measure"):
        any_study.results([any_study.cell(measure="a")], (Axis("measure", "", ("a",)),), {})
    with pytest.raises(DataError, match=r"run ids are duplicated: rate=0\.0001-s1"):
        any_study.results([any_study.cell(rate=1e-4)] * 2, (any_study.RATE,), {})


def test_too_few_resamples_are_refused(any_study):
    with pytest.raises(ConfigError, match="n_resamples"):
        any_study.results([any_study.cell(rate=1e-4)], (any_study.RATE,), {}, n_resamples=10)


def test_runs_at_chance_are_named(any_study):
    one = any_study.cell(rate=1e-4)
    found = any_study.results([one], (any_study.RATE,), {one["run_id"]: any_study.run(-0.1, accuracy=1 / 3)})
    assert any("learned next to nothing: it stayed at chance" in note and one["name"] in note for note in found.notes)
    assert found.warnings == (
        f"1 of 1 runs learned next to nothing: {one['name']}. They stayed at chance or hardly moved, so their "
        "numbers mean little.",
    )


def test_a_run_at_chance_that_the_alert_ended_is_noted_and_does_not_mean_little(any_study):
    one = any_study.cell(rate=1e-4)
    stopped = any_study.run(0.3, accuracy=1 / 3)
    stopped.manifest.update(ended_by="alert", planned_steps=400)
    found = any_study.results([one], (any_study.RATE,), {one["run_id"]: stopped})
    assert found.warnings == ()
    assert found.notes[-2:] == (
        f"{one['name']} did not get above chance: its last accuracy on validation examples is 33.3%, and guessing one "
        "of 3 classes reaches 33.3%.",
        f"{one['name']} was ended by the alert at step 100 of 400.",
    )


@pytest.mark.parametrize(("n", "who"), [(2, "Both"), (3, "All 3")])
def test_where_no_run_learned_none_is_named(any_study, n, who):
    cells = [any_study.cell(rate=rate) for rate in (1e-4, 1e-3, 1e-2)[:n]]
    runs = {cell["run_id"]: any_study.run(-0.1, accuracy=1 / 3) for cell in cells}
    found = any_study.results(cells, (any_study.RATE,), runs)
    said = "they stayed at chance or hardly moved, so their numbers mean little."
    assert found.warnings == (f"{who} runs learned next to nothing: {said}",)


def test_numbers_depend_on_the_seed_of_the_resamples_alone(any_study):
    one = any_study.cell(rate=1e-4)
    runs = {one["run_id"]: any_study.run(any_study.noise(1))}
    first, again, other = (
        any_study.results([one], (any_study.RATE,), runs, rng=np.random.default_rng(seed)).to_dict()
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("status", "why"),
    [("missing", "it was not run"), ("running", "it is not complete yet"), ("interrupted", "it was interrupted")],
)
def test_a_gap_says_in_words_where_its_run_stands(any_study, status, why):
    one, lacking = any_study.cell(rate=1e-4), any_study.cell(rate=1e-3, status=status)
    found = any_study.results([one, lacking], (any_study.RATE,), {one["run_id"]: any_study.run(0.1)})
    assert f"is missing: {why}. Its group" in found.gaps[0]
