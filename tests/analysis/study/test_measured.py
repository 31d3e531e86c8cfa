"""A measure that somebody adds is in a study's groups and differences without another word."""

from __future__ import annotations

import numpy as np
import pytest

from contested.analysis import measures
from contested.analysis.measures import Measure

SPREAD = Measure(
    name="spread",
    heading="spread of the loss",
    unit="nats",
    needs=("losses",),
    summary="mean",
    sentence="Standard deviation of the loss over the checkpoints.",
    of_block=lambda block: block.losses.std(axis=0),
)


def test_an_added_measure_is_compared_between_groups(any_study, monkeypatch):
    monkeypatch.setattr(measures, "MEASURES", (*measures.MEASURES, SPREAD))
    cells = [any_study.cell(seed, rate=rate) for rate in (1e-4, 1e-3) for seed in (1, 2)]
    runs = {
        one["run_id"]: any_study.run(any_study.by_category(*change))
        for one, change in zip(cells, [(-0.3, 0, 0.2), (-0.5, 0, 0.4), (-0.6, 0, 0.5), (-0.8, 0, 0.7)], strict=True)
    }
    spread = [np.std(run.losses, axis=0) for run in runs.values()]
    contested = next(iter(runs.values())).categories == "contested"
    frames = any_study.results(cells, (any_study.RATE,), runs).frames
    rows = frames["group_measures"].query("measure == 'spread' and category == 'contested'")
    means = [np.mean([spread[a][contested], spread[b][contested]]) for a, b in ((0, 1), (2, 3))]
    assert rows["mean"].tolist() == pytest.approx(means)
    assert (rows["low"] <= rows["mean"]).all()
    row = any_study.only(frames["differences"], measure="spread", category="contested")
    assert row["difference"] == pytest.approx(means[1] - means[0])
    # What is not a number is no group's mean.
    assert not {"region", "prediction_last"} & set(frames["group_measures"]["measure"])
