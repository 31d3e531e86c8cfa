"""Dataset Cartography's coordinates, against a slow reference of its definitions."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from contested.analysis.measures import measure_columns
from contested.errors import ConfigError, DataError, RunError
from contested.exchange import export_run, import_run
from contested.trajectories import Trajectory


@pytest.fixture
def dynamics(tmp_path: Path) -> Path:
    """Files of 60 examples over seven epochs as the tool writes them; of the first three, how often they are right."""
    rng = np.random.default_rng(5)
    gold = rng.integers(3, size=60)
    (tmp_path / "training_dynamics").mkdir()
    for epoch in range(7):
        logits = rng.normal(size=(60, 3)) + 0.4 * epoch * np.eye(3)[gold]
        logits[0] = -9 * np.eye(3)[gold[0]]  # never right
        logits[1] = 9 * np.eye(3)[gold[1]]  # always right
        logits[2] = 9 * (-1) ** epoch * np.eye(3)[gold[2]]  # right, wrong, right, …: forgotten three times
        lines = [
            {"guid": row, f"logits_epoch_{epoch}": logits[row].tolist(), "gold": int(gold[row])} for row in range(60)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / "training_dynamics" / f"dynamics_epoch_{epoch}.jsonl").write_text(text)
    return tmp_path / "training_dynamics"


def _reference(logits: Sequence[Sequence[float]], gold: int) -> dict[str, float]:
    """One example's coordinates from its logits at each epoch, number by number, as the paper and the tool say.

    Confidence (paper, §2.1): mean over epochs of the gold label's probability. Variability: its standard deviation,
    divided by E. Correctness: the tool writes how many epochs are right, its paper takes their share. Forgetfulness
    (Toneva et al. 2019): changes from right to wrong; the tool writes 1000 where no epoch is right. Threshold
    closeness (Chang et al. 2017): mean probability times its complement.
    """
    probabilities, right = [], []
    for scores in logits:
        exponentials = [math.exp(score) for score in scores]
        probabilities.append(exponentials[gold] / sum(exponentials))
        right.append(all(score < scores[gold] for label, score in enumerate(scores) if label != gold))
    mean = sum(probabilities) / len(probabilities)
    forgotten = sum(before and not after for before, after in pairwise(right))
    return {
        "threshold_closeness": mean * (1 - mean),
        "confidence": mean,
        "variability": math.sqrt(sum((value - mean) ** 2 for value in probabilities) / len(probabilities)),
        "correctness": sum(right),
        "forgetfulness": forgotten if any(right) else 1000,
    }


def _references(dynamics: Path) -> list[dict[str, float]]:
    """From the text of the files, which our own reader never saw."""
    epochs = [
        [json.loads(line) for line in (dynamics / f"dynamics_epoch_{epoch}.jsonl").read_text().splitlines()]
        for epoch in range(7)
    ]
    return [
        _reference([lines[row][f"logits_epoch_{epoch}"] for epoch, lines in enumerate(epochs)], epochs[0][row]["gold"])
        for row in range(60)
    ]


def test_they_are_those_of_its_definitions(dynamics: Path, tmp_path: Path) -> None:
    run = import_run("cartography", dynamics).trajectory
    (note,) = export_run("coordinates", run, tmp_path / "td_metrics.jsonl")
    assert "7 checkpoints" in note
    found = [json.loads(line) for line in (tmp_path / "td_metrics.jsonl").read_text().splitlines()]
    # The columns of the tool's file, in its order, and an id that is a number stays one.
    assert list(found[0]) == [
        *("guid", "index", "threshold_closeness", "confidence", "variability"),
        *("correctness", "forgetfulness"),
    ]
    assert [(row["guid"], row["index"]) for row in found] == [(row, row) for row in range(60)]
    for row, expected in zip(found, _references(dynamics), strict=True):
        # Logits are kept as float32; the tool's softmax is float32, too.
        assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert [row["forgetfulness"] for row in found[:3]] == [1000, 0, 3]
    assert [row["correctness"] for row in found[:3]] == [0, 7, 4]
    assert len({row["forgetfulness"] for row in found}) > 3


def test_the_measures_are_the_same_but_for_two_that_are_told(dynamics: Path) -> None:
    run = import_run("cartography", dynamics).trajectory
    columns, expected = measure_columns(run), _references(dynamics)
    order = np.argsort(run.example_ids.astype(str), kind="stable")
    assert columns["confidence"].shape == order.shape
    for name in ("confidence", "variability"):
        assert columns[name].tolist() == pytest.approx([row[name] for row in expected], abs=1e-6)
    # The measure is the paper's: a share of the epochs.
    assert (7 * columns["correctness"]).tolist() == pytest.approx([row["correctness"] for row in expected])
    learned = ~columns["never_learned"]
    assert not learned.all()
    assert learned.tolist() == [row["forgetfulness"] != 1000 for row in expected]
    forgotten = [row["forgetfulness"] % 1000 for row in expected]
    assert columns["forgetting_events"].tolist() == forgotten  # 0 where never learned


def test_a_csv_file_holds_the_same(run: Trajectory, tmp_path: Path) -> None:
    export_run("coordinates", run, tmp_path / "map.jsonl")
    export_run("coordinates", run, tmp_path / "map.csv")
    lines = [json.loads(line) for line in (tmp_path / "map.jsonl").read_text().splitlines()]
    with (tmp_path / "map.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: json.loads(value) for name, value in row.items()} for row in rows] == lines


def test_what_has_no_coordinates(run: Trajectory, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.jsonl or \.csv"):
        export_run("coordinates", run, tmp_path / "map.txt")
    losses = Trajectory.from_arrays(losses=[[0.7, 0.7], [0.1, 1.2]])
    with pytest.raises(RunError, match="has no logits"):
        export_run("coordinates", losses, tmp_path / "map.csv")
    single = Trajectory.from_arrays(logits=[[[3.0, 0.0]]], gold=[0])
    with pytest.raises(DataError, match="given 1 checkpoint"):
        export_run("coordinates", single, tmp_path / "map.csv")
    assert not list(tmp_path.iterdir())
