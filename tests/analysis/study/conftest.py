"""Studies of made runs over any axes: cells as the studies write them, trajectories with prescribed losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contested.analysis.study import Axis, StudyResults, study_results
from contested.trajectories import Trajectory

# 24 examples, eight in each category: H of up to 7 % is at most 0.25, of 15 to 29 % 0.42 to 0.60, the others' 0.90 on.
COUNTS = np.array(
    [[100 - k, k, 0] for k in range(8)]
    + [[100 - k, k, 0] for k in range(15, 30, 2)]
    + [[60 - k, 30, 10 + k] for k in range(8)]
)
N = len(COUNTS)
EPOCHS = Axis("training.epochs", "training.epochs", (1, 3, 5))
RATE = Axis("rate", "training.learning_rate", (1e-4, 1e-3))
MODEL = Axis("model.name", "model.name", ("small", "middle", "large"))


def cell(seed: int = 1, **values: Any) -> dict[str, Any]:
    """One row of cells: complete unless told otherwise."""
    name = "-".join(f"{key}={value}" for key, value in values.items() if key not in {"status", "excluded", "setting"})
    return {
        "run_id": f"{name or 'run'}-s{seed}",
        "name": f"{name}, seed {seed}",
        "seed": seed,
        "main": False,
        "group": "all",
        "status": "complete",
        "excluded": "",
        **values,
    }


def run(
    change: Any, *, start: Any = 1.0, accuracy: float = np.nan, rows: Any = slice(None), **given: Any
) -> Trajectory:
    """A run whose losses go from ``start`` by ``change`` in two checkpoints, each (N,) or one number."""
    first = np.broadcast_to(np.asarray(start, float), N)[rows]
    losses = np.stack([first, first + np.broadcast_to(np.asarray(change, float), N)[rows]])
    of_gold = np.exp(-losses)
    # Gold is the first class everywhere; the others share the rest.
    logits = np.log(np.stack([of_gold, (1 - of_gold) / 2, (1 - of_gold) / 2], axis=-1))
    ids = [f"item-{row:02d}" for row in range(N)]
    made = Trajectory.from_arrays(
        logits=logits,
        ids=np.array(ids, dtype=object)[rows],
        gold=np.zeros(len(first), int),
        label_counts=COUNTS[rows],
        steps=given.pop("steps", [0, 100]),
        check_label_order=False,
        **given,
    )
    return replace(made, metrics=pd.DataFrame([{"step": 100, "val_accuracy": accuracy, "train_loss": 0.5}]))


def by_category(clean: float, ambiguous: float, contested: float) -> np.ndarray:
    """One number a category, as (N,)."""
    return np.repeat([clean, ambiguous, contested], 8)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, N)


def results(
    cells: Sequence[dict[str, Any]], axes: Sequence[Axis], runs: dict[str, Trajectory], **options: Any
) -> StudyResults:
    columns = ["run_id", "name", "seed", "main", "group", "status", "excluded", *(axis.name for axis in axes)]
    table = pd.DataFrame(list(cells), columns=[*columns, *(["setting"] if any("setting" in c for c in cells) else [])])
    return study_results(table, axes, runs, **{"n_resamples": 100, **options})


def only(frame: pd.DataFrame, **where: Any) -> pd.Series:
    """The one row with these values."""
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


@pytest.fixture(scope="session")
def any_study() -> SimpleNamespace:
    """The helpers of this file, for tests import by file and cannot import one another."""
    names = ("COUNTS", "EPOCHS", "MODEL", "N", "RATE", "by_category", "cell", "noise", "only", "results", "run")
    return SimpleNamespace(**{name: globals()[name] for name in names})
