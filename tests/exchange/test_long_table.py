"""Long tables: round trips of any run, columns by name, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contested.errors import DataError, RunError
from contested.exchange import export_run, import_run
from contested.trajectories import Trajectory


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_round_trip(format: str, run: Trajectory, tmp_path: Path) -> None:
    file = tmp_path / "new" / f"table.{format}"
    assert export_run(format, run, file) == []
    back = import_run(format, file).trajectory
    assert back.label_names == run.label_names  # the columns say them
    assert back.steps.tolist() == [0, 50, 100]
    assert back.example_ids.tolist() == run.example_ids.tolist()
    for name in ("logits", "losses", "gold"):
        assert np.array_equal(back.required(name), run.required(name)), name
    with pytest.raises(RunError, match="exists"):
        export_run(format, run, file)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_round_trip_of_losses_alone(format: str, tmp_path: Path) -> None:
    losses = Trajectory.from_arrays(
        losses=[[0.7, 0.1], [1 / 3, 2.5]], ids=["x,1", "y"], steps=[1, 2], step_unit="epoch"
    )
    export_run(format, losses, tmp_path / "table")
    back = import_run(format, tmp_path / "table").trajectory
    assert back.has == {"losses"}
    assert back.step_unit == "epoch"
    assert back.example_ids.tolist() == ["x,1", "y"]
    assert np.array_equal(back.required("losses"), losses.required("losses"))


def test_columns_are_found_by_the_names_of_the_classes(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("step,logit_no,gold,logit_yes,example_id\n10,1.5,yes,2.5,a\n")
    found = import_run("csv", file, label_names=["yes", "no"]).trajectory
    assert found.required("logits").tolist() == [[[2.5, 1.5]]]
    assert found.required("gold").tolist() == [0]
    file.write_text("step,logit_1,gold,logit_0,example_id\n10,1.5,1,2.5,a\n")
    found = import_run("csv", file, label_names=["yes", "no"]).trajectory
    assert found.required("logits").tolist() == [[[2.5, 1.5]]]
    assert found.required("gold").tolist() == [1]
    with pytest.raises(DataError, match="numbers of classes differ"):
        import_run("csv", file, label_names=["yes", "no", "maybe"])


def test_what_is_no_such_table(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("id,step,epoch,margin\n")
    with pytest.raises(DataError) as caught:
        import_run("csv", file)
    assert caught.value.problems == (
        "there is no column example_id",
        "there are the columns step and epoch",
        "there is neither a column loss nor one that begins with logit_",
    )
    file.write_text("example_id,step,loss\na,1,0.5\na,1.5,0.5\nb,1\nc,1,high\n,1,0.5\nd,2,0.5\n")
    with pytest.raises(DataError) as caught:
        import_run("csv", file)
    assert caught.value.problems == (
        "row 2: step is '1.5', expected a whole number",
        "row 3: has 2 cells; the header has 3",
        "row 4: loss is 'high', expected a number",
        "row 5: example_id is '', expected text or a whole number",
        "checkpoint 1 lacks 1 of 2 examples: d",
        "checkpoint 2 lacks 1 of 2 examples: a",
    )
    for format in ("csv", "parquet"):
        with pytest.raises(DataError, match="cannot be read as"):
            import_run(format, tmp_path / "missing")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        import_run("parquet", file)
