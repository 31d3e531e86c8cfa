"""A run of any origin as a run folder again."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from contested.errors import RunError
from contested.trajectories import RunWriter, Trajectory

HEADER = {"run_id": "r", "config": {"seed": 4}, "label_names": ["x", "y"], "category_names": ["clean", "contested"]}


@pytest.fixture
def probed(tmp_path) -> Trajectory:
    """A run with metrics and gradient probes, as training writes it."""
    table = pd.DataFrame(
        {
            "row_key": [4, 5, 6],
            "example_id": ["a", "b", "c"],
            "gold": [0, 1, 1],
            "label_counts": [[3, 0], [1, 2], [1, 2]],
            "entropy": [0.0, 0.64, 0.64],
            "category": ["clean", "contested", "contested"],
            "split": "train",
            "genre": "fiction",
        }
    )
    writer = RunWriter.create(tmp_path / "first", header=HEADER, examples=table, text_columns=[])
    for step in (0, 10):
        writer.write_checkpoint(step=step, epoch=step / 10, losses=np.full(3, 0.1), logits=np.full((3, 2), step))
        writer.write_metrics({"step": step, "train_loss": None if step == 0 else 0.5})
        writer.list_checkpoint(step=step, epoch=step / 10)
    facts = {"head": True, "mode": "eval", "method": "layerwise", "notes": []}
    writer.write_gradient_norms(step=10, norms=np.array([0.1, 0.2, 0.3]), facts=facts)
    writer.write_alignment(
        {
            "step": 10,
            "groups": ["clean", "ambiguous", "contested"],
            "counts": [1, 2, 0],
            "norms": [1.5, 0.5, None],
            "cosines": [[1.0, -0.25, None], [-0.25, 1.0, None], [None, None, None]],
            "head": True,
            "mode": "eval",
            "method": "summed",
            "notes": ["contested: no examples"],
        }
    )
    writer.finish("complete")
    return Trajectory.load(tmp_path / "first")


def test_metrics_gradients_and_manifest_are_saved_too(probed, tmp_path):
    probed.save(tmp_path / "second")
    again = Trajectory.load(tmp_path / "second")
    pd.testing.assert_frame_equal(again.metrics, probed.metrics)
    pd.testing.assert_frame_equal(again.examples, probed.examples)
    assert again.gradients is not None
    np.testing.assert_array_equal(again.gradients.norms, probed.gradients.norms)
    pd.testing.assert_frame_equal(again.gradients.alignment, probed.gradients.alignment)
    assert again.gradients[3:] == (True, "eval")
    lines = [json.loads((folder / "gradients/alignment.jsonl").read_text()) for folder in (probed.path, again.path)]
    assert {**lines[1], "method": "summed"} == lines[0]
    assert again.manifest["config"] == {"seed": 4}
    # float32 as training writes it, read as float64: not rounded another time
    assert again.losses.tolist() == probed.losses.tolist()


def test_a_folder_that_holds_something_is_refused(probed, tmp_path):
    with pytest.raises(RunError, match="exists and is not an empty folder"):
        probed.save(tmp_path / "first")


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    Trajectory.from_arrays(losses=[[1.0], [0.5]]).save("~/run")
    assert (tmp_path / "run/manifest.json").is_file()
    assert Trajectory.load("~/run").path == tmp_path / "run"
