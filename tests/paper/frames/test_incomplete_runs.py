from __future__ import annotations

from contested.trajectories import Trajectory


def test_a_run_that_lacks_annotators_is_named_and_left_out_of_the_papers_numbers(made):
    cells = made.seeds(2)
    whole = made.aulc_run(1.0 + made.ENTROPY / 2)
    bare = Trajectory.from_arrays(losses=whole.losses, ids=whole.example_ids, steps=whole.steps)
    found = made.results(cells, {cells[0]["run_id"]: whole, cells[1]["run_id"]: bare})
    row = found.frames["table1"].iloc[0]
    assert (row["n_seeds"], row["missing"]) == (1, cells[1]["run_id"])
    assert any("it cannot be used" in gap and cells[1]["run_id"] in gap for gap in found.gaps)
