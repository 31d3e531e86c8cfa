"""AUM's records: two classes give all logits, more give none."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from contested.analysis.measures import measure_columns
from contested.errors import ConfigError, DataError, RunError
from contested.exchange import export_run, import_run
from contested.trajectories import Trajectory

_HEADER = "sample_id,num_measurements,target_logit,target_val,other_logit,other_val,margin,aum\n"


def test_two_classes_are_all_logits(tmp_path: Path) -> None:
    file = tmp_path / "full_aum_records.csv"
    file.write_text(
        f"{_HEADER}a,1,0,0.5,1,-0.5,1.0,1.0\nb,1,1,0.25,0,1.0,-0.75,-0.75\n"
        "b,2,1,2.0,0,0.0,2.0,0.625\na,2,0,1.5,1,-1.5,3.0,2.0\n"
    )
    for source in (file, tmp_path):
        found = import_run("aum", source, label_names=["no", "yes"]).trajectory
        assert found.example_ids.tolist() == ["a", "b"]
        assert (found.steps.tolist(), found.step_unit) == ([1, 2], "epoch")
        # b has class 1, whose logit is the target's.
        assert found.required("logits").tolist() == [[[0.5, -0.5], [1.0, 0.25]], [[1.5, -1.5], [0.0, 2.0]]]
        assert found.required("gold").tolist() == [0, 1]


def test_what_is_no_trajectory_is_refused(tmp_path: Path) -> None:
    for names in (None, ["e", "n", "c"]):
        with pytest.raises(ConfigError, match="no trajectory to import"):
            import_run("aum", tmp_path, label_names=names)
    file = tmp_path / "aum_values.csv"
    file.write_text("sample_id,aum\na,1.0\n")
    with pytest.raises(DataError, match="one final number per example"):
        import_run("aum", file, label_names=["no", "yes"])
    file.write_text(f"{_HEADER}a,1,0,0.5,2,-0.5,1.0,1.0\na,1,0\n")
    with pytest.raises(DataError) as caught:
        import_run("aum", file, label_names=["no", "yes"])
    assert "row 1: num_measurements, target_logit and other_logit are 1, 0 and 2" in caught.value.problems[0]
    assert caught.value.problems[1] == "row 2: has 3 cells; the header has 8"
    with pytest.raises(DataError, match="cannot be read as CSV"):
        import_run("aum", tmp_path / "missing", label_names=["no", "yes"])


def test_exported_files_hold_every_margin_and_its_mean_so_far(run: Trajectory, tmp_path: Path) -> None:
    notes = export_run("aum", run, tmp_path / "aum")
    assert notes[0] == "Files number the checkpoints: 1 is step 0, 3 is step 100."
    assert "no run can be made again" in notes[1]
    with (tmp_path / "aum/full_aum_records.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    logits, gold = run.required("logits").astype(float), run.required("gold")
    assert list(records[0]) == _HEADER.strip().split(",")
    assert [(record["sample_id"], record["num_measurements"]) for record in records[2:4]] == [
        (run.example_ids[0], "3"),
        (run.example_ids[1], "1"),
    ]
    for record in records:
        row = run.example_ids.tolist().index(record["sample_id"])
        at = int(record["num_measurements"])
        margins = [scores[gold[row]] - max(np.delete(scores, gold[row])) for scores in logits[:at, row]]
        assert int(record["target_logit"]) == gold[row]
        assert float(record["target_val"]) == logits[at - 1, row, gold[row]]
        assert float(record["other_val"]) == logits[at - 1, row, int(record["other_logit"])]
        assert float(record["margin"]) == margins[-1]
        assert float(record["aum"]) == pytest.approx(sum(margins) / at)
    with (tmp_path / "aum/aum_values.csv").open(newline="") as file:
        values = {row["sample_id"]: float(row["aum"]) for row in csv.DictReader(file)}
    assert sorted(values.values(), reverse=True) == list(values.values())
    # Ids of this run rise, as a measure's values do.
    assert [values[name] for name in run.example_ids] == pytest.approx(measure_columns(run)["aum"].tolist())


def test_two_classes_come_back(tmp_path: Path) -> None:
    logits = np.random.default_rng(2).normal(size=(4, 9, 2)).astype(np.float32)
    gold = np.arange(9) % 2
    made = Trajectory.from_arrays(logits=logits, gold=gold, label_names=["no", "yes"], steps=[0, 1, 2, 3])
    (note,) = export_run("aum", made, tmp_path / "aum")
    assert "1 is step 0, 4 is step 3" in note
    back = import_run("aum", tmp_path / "aum", label_names=["no", "yes"]).trajectory
    assert np.array_equal(back.required("logits"), logits)
    assert np.array_equal(back.required("gold"), gold)
    with pytest.raises(RunError, match="has no logits"):
        export_run("aum", Trajectory.from_arrays(losses=[[0.7], [0.1]]), tmp_path / "losses")
