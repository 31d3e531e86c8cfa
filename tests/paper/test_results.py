from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from contested.errors import ConfigError, DataError
from contested.paper import COLUMNS


def rising(made, seed=0):
    return 1.0 + made.ENTROPY / 2 + made.wobble(seed, 0.15)


@pytest.fixture
def whole(made):
    """A study with a cell of every kind."""
    cells = [
        *made.seeds(2, group="main,gradients"),
        *made.seeds(2, method="full", group="main,gradients"),
        *made.seeds(1, backbone="qwen-3b", method="lora-r16"),
        *made.seeds(2, method="ia3", group="ia3"),
        *(made.cell(method=f"lora-r{rank}", main=False, group="rank-sweep") for rank in (1, 2, 8)),
        made.cell(composition="low", group="composition"),
        *made.seeds(2, noise=0.3, group="noise"),
        *made.seeds(2, soft_labels=True, group="soft-labels"),
        made.cell(learning_rate=1e-3, group="lr-control"),
    ]
    change = made.by_category(-0.3, 0.1, 0.2)
    runs = {
        cell["run_id"]: made.aulc_run(
            rising(made, place),
            change + made.wobble(place, 0.1),
            gradients=made.gradients([1.0, 0.9, 0.8], 1 + made.ENTROPY) if "gradients" in cell["group"] else None,
        )
        for place, cell in enumerate(cells)
    }
    return cells, runs


def shuffled(run, seed):
    order = np.random.default_rng(seed).permutation(len(run.example_ids))
    gradients = run.gradients
    return replace(
        run,
        example_ids=run.example_ids[order],
        losses=run.losses[:, order],
        logits=run.logits[:, order],
        examples=run.examples.iloc[order].reset_index(drop=True),
        gradients=gradients and gradients._replace(norms=gradients.norms[:, order]),
    )


def as_bytes(found):
    return json.dumps(found.to_dict(), allow_nan=False).encode()


def test_every_frame_has_its_columns_and_rows(made, whole):
    found = made.results(*whole)
    for name, columns in COLUMNS.items():
        assert tuple(found.frames[name].columns) == columns, name
        assert len(found.frames[name]), name
    assert found.gaps == ()


def test_the_same_runs_give_the_same_bytes_in_any_order(made, whole):
    cells, runs = whole
    first = as_bytes(made.results(cells, runs))
    again = {run_id: shuffled(runs[run_id], place) for place, run_id in enumerate(reversed(list(runs)))}
    assert as_bytes(made.results(cells, again)) == first
    assert as_bytes(made.results(cells, runs, rng=np.random.default_rng(1))) != first


def test_to_dict_is_json_with_null_for_what_does_not_exist(made, whole):
    cells, runs = whole
    del runs[cells[1]["run_id"]]
    found = json.loads(as_bytes(made.results(cells, runs)))
    table = found["frames"]["runs"]
    row = dict(zip(table["columns"], table["rows"][1], strict=True))
    assert row["rho"] is None
    assert (row["seed"], row["decoder"], row["missing"]) == (123, False, "roberta-lora-r4-snli-123")
    assert [claim["key"] for claim in found["claims"]] == list("abcdefghi")
    assert len(found["gaps"]) == 1
    assert found["n_resamples"] == 100


def test_each_trajectory_is_taken_once_and_only_if_it_is_a_cell(made, whole):
    cells, runs = whole
    taken = []

    class Loading(dict):
        def __getitem__(self, run_id):
            taken.append(run_id)
            return super().__getitem__(run_id)

    made.results(cells, Loading(runs, stray=made.aulc_run(1.0)))
    assert sorted(taken) == sorted(runs)


def test_a_missing_run_moves_no_number_of_other_conditions(made, whole):
    cells, runs = whole
    full = made.results(cells, runs)
    del runs[cells[0]["run_id"]]
    less = made.results(cells, runs)
    for name, column in (("table1", "rho_low"), ("table2", "contested_low"), ("figure9", "prediction_entropy_low")):
        before, after = (found.frames[name].query("method == 'ia3'")[column].tolist() for found in (full, less))
        assert before == after


def test_known_values_stand_beside_the_found_ones(made, whole):
    where = {"backbone": "roberta", "method": "lora-r4", "dataset": "snli"}
    expected = [
        {"artefact": "table1", "where": where, "quantity": "rho_mean", "value": 0.308, "sd": 0.016, "note": "Table 1"},
        {"artefact": "table1", "where": where | {"dataset": "mnli"}, "quantity": "rho_mean", "value": 0.1},
    ]
    found = made.results(*whole, expected=expected)
    row = made.only(found.frames["table1"], **where)
    assert (row["rho_mean_paper"], row["rho_mean_paper_sd"], row["rho_mean_paper_note"]) == (0.308, 0.016, "Table 1")
    others = found.frames["table1"].query("method != 'lora-r4'")
    assert others["rho_mean_paper"].isna().all()
    assert "1 known values have no row in table1." in found.notes


def test_known_values_of_unknown_frames_and_columns_are_refused(made, whole):
    entry = {"artefact": "table9", "where": {}, "quantity": "rho_mean", "value": 1.0}
    with pytest.raises(DataError, match="table9"):
        made.results(*whole, expected=[entry])
    with pytest.raises(DataError, match="no column size"):
        made.results(*whole, expected=[entry | {"artefact": "table1", "where": {"size": 1}}])
    with pytest.raises(DataError, match="no column rho"):
        made.results(*whole, expected=[entry | {"artefact": "table1", "quantity": "rho"}])


def test_too_few_resamples_are_refused_before_any_run_is_read(made):
    with pytest.raises(ConfigError, match="n_resamples"):
        made.results([made.cell()], {}, n_resamples=10)
