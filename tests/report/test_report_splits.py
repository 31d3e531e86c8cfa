"""A page on a run that tracks validation examples beside those it trains on shows both, as rows and panels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from contested.report import write_report
from contested.trajectories import Trajectory


def test_both_splits_are_shown_and_the_head_is_of_the_examples_that_train(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    counts = np.repeat([[95, 4, 1], [82, 12, 6], [40, 30, 30]], 60, axis=0)
    validation = np.arange(180) % 3 == 0
    start = rng.normal(1.2, 0.1, 180)
    losses = np.stack([start, start + 0.6 + rng.normal(0, 0.02, 180) - np.where(validation, 0.0, 0.5)])
    made = Trajectory.from_arrays(losses=losses, label_counts=counts, gold="majority", steps=[0, 9], run_id="mine")
    run = replace(made, examples=made.examples.assign(split=np.where(validation, "validation", "train")))
    paths = write_report([run], tmp_path, n_resamples=100)
    page = paths.html.read_text()
    rows = pd.read_csv(tmp_path / "tables" / "runs.csv")
    assert rows[["run", "n"]].to_numpy().tolist() == [["mine", 120], ["mine, validation", 60]]
    means = rows["change_contested"].tolist()
    assert np.round(means, 1).tolist() == [0.1, 0.6]
    # The sentence at the top is of the run, not of two runs.
    assert "both runs" not in page
    assert "Training against validation examples" in page
    assert "contested examples, mean loss of the 20 that validate and are not trained on rose by 0.60 nats" in page
    assert "mine, validation" in page
    (written,) = json.loads(paths.results.read_text())["runs"]
    assert (written["n_examples"], written["validation"]["n_examples"]) == (120, 60)
    assert page.count("Alarm: in this run the loss rose above its start.") == 1
