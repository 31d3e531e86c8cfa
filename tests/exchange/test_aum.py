"""AUM's records: two classes give all logits, more give none."""

from __future__ import annotations

from pathlib import Path

import pytest

from contested.errors import ConfigError, DataError
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


def test_what_is_no_trajectory_is_refused(run: Trajectory, tmp_path: Path) -> None:
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
    with pytest.raises(ConfigError, match="No format 'aum' can be written"):
        export_run("aum", run, tmp_path / "x")
