"""Recordings as Dataset Cartography writes them, and a run to write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from contested.trajectories import Trajectory

NAMES = ("entailment", "neutral", "contradiction")


@pytest.fixture
def run() -> Trajectory:
    """Six examples at steps 0, 50 and 100: logits that no short decimal writes, gold labels learned."""
    rng = np.random.default_rng(0)
    gold = np.array([0, 1, 2, 0, 1, 2])
    logits = rng.normal(size=(3, 6, 3)) + 4 * np.eye(3)[gold]
    return Trajectory.from_arrays(
        logits=logits.astype(np.float32),
        ids=[str(4734364254410 + row) for row in range(6)],
        gold=gold,
        label_names=NAMES,
        steps=[0, 50, 100],
        run_id="made",
    )


@pytest.fixture
def dynamics(tmp_path: Path) -> Path:
    """Two epochs of four examples; the second file is in another order."""
    folder = tmp_path / "model" / "training_dynamics"
    folder.mkdir(parents=True)
    logits = {"a": [2.0, 0.5, -1.0], "b": [0.25, 1.5, 0.0], "c": [-1.0, 0.0, 3.0], "d": [1.0, 0.0, 0.5]}
    gold = {"a": 0, "b": 1, "c": 2, "d": 0}
    for epoch, order in enumerate(("abcd", "dbca")):
        lines = [
            {"guid": guid, f"logits_epoch_{epoch}": [value * (epoch + 1) for value in logits[guid]], "gold": gold[guid]}
            for guid in order
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"dynamics_epoch_{epoch}.jsonl").write_text(text)
    return folder
