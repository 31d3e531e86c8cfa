"""The explorer of a comparison holds what its table of examples holds, item by item."""

from __future__ import annotations

import numpy as np
import pytest

from contested.analysis import compare
from contested.report.explorer.of_comparison import explorer_of_comparison
from contested.report.explorer.payload import check_explorer


@pytest.mark.parametrize("names", [("A", "B"), ("A", "A")])
def test_both_models_are_there_at_the_compared_checkpoints(make, names) -> None:
    run = make(n=40)
    found = compare(run, at=("first", 200), names=names, n_resamples=100, n_flips=100)
    explorer = explorer_of_comparison(found)
    check_explorer(explorer)
    table = found.examples.set_index("example_id").loc[list(explorer.example_ids)]
    first, second = explorer.runs
    for side, model in (("first", first), ("second", second)):
        columns = {column.name: column.values for column in model.columns}
        assert np.array_equal(columns["loss_last"], table[f"loss_{side}"])
        assert set(columns) >= {"correct_last", "kl_last"}
        assert not {"aulc", "loss_change", "variability"} & set(columns)  # of whole runs, not of one checkpoint
    items = {column.name: column for column in explorer.items}
    assert list(items["change"].values) == table["change"].tolist()
    assert items["change"].levels == ("1→0", "0→1", "other", "same")
    assert np.array_equal(items["js"].values, table["js"])
    assert (explorer.x, explorer.y) == (f"loss_last of {first.name}", f"loss_last of {second.name}")
    assert first.name != second.name
    assert np.argmax(second.probabilities[0], axis=1).tolist() == [
        run.label_names.index(answer) for answer in table["answer_second"]
    ]
