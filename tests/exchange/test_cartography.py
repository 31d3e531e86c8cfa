"""Dataset Cartography's folder: what it gives, what is refused, and that nothing changes on the way back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from contested.errors import ConfigError, DataError, RunError
from contested.exchange import export_run, import_run
from contested.trajectories import Trajectory


def test_a_folder_becomes_a_run(dynamics: Path) -> None:
    for source in (dynamics, dynamics.parent):
        found = import_run("cartography", source, label_names=["e", "n", "c"]).trajectory
        assert found.example_ids.tolist() == ["a", "b", "c", "d"]
        assert (found.steps.tolist(), found.step_unit) == ([0, 1], "epoch")
        assert found.logits is not None
        # Of d, first in the second file: [1, 0, 0.5] at epoch 0 and twice that at epoch 1.
        assert found.logits[:, 3].tolist() == [[1.0, 0.0, 0.5], [2.0, 0.0, 1.0]]
        assert found.gold is not None
        assert found.gold.tolist() == [0, 1, 2, 0]
        assert found.losses is not None
        # −ln softmax of [1, 0, 0.5] at class 0: ln(e + 1 + e^0.5) − 1 = ln 5.36700 − 1.
        assert found.losses[0, 3] == pytest.approx(0.680269, abs=1e-6)
        assert found.label_names == ("e", "n", "c")


def test_exported_and_imported_again_it_is_the_same(run: Trajectory, tmp_path: Path) -> None:
    notes = export_run("cartography", run, tmp_path / "maps")
    first = (tmp_path / "maps/training_dynamics/dynamics_epoch_1.jsonl").read_text().splitlines()[0]
    line = json.loads(first)
    assert set(line) == {"guid", "logits_epoch_1", "gold"}
    assert line["guid"] == 4734364254410  # a number, which the tool's filtering expects
    assert notes == [
        "Classes are numbered there: 0 entailment, 1 neutral, 2 contradiction.",
        "Files number the checkpoints: 0 is step 0, 2 is step 100.",
    ]
    back = import_run("cartography", tmp_path / "maps", label_names=run.label_names).trajectory
    assert back.example_ids.tolist() == run.example_ids.tolist()
    assert back.logits is not None
    assert back.logits.dtype == np.float32
    assert np.array_equal(back.logits, run.required("logits"))
    assert np.array_equal(back.required("gold"), run.required("gold"))
    assert np.array_equal(back.required("losses"), run.required("losses"))


def test_every_wrong_line_is_told_at_once(dynamics: Path) -> None:
    file = dynamics / "dynamics_epoch_1.jsonl"
    lines = file.read_text().splitlines()  # d, b, c, a
    lines[0] = lines[0].replace('"gold": 0', '"gold": 1')
    lines[1] = "{"
    lines[3] = lines[2]
    lines += ['{"guid": "x", "gold": 1}', '{"guid": "y", "logits_epoch_1": [1.0, 2.0], "gold": 1}', "[1]"]
    file.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        import_run("cartography", dynamics)
    told = "\n".join(caught.value.problems)
    assert "line 1: the gold label of 'd' is 1, before it was 0" in told
    assert "line 2 is not valid JSON: cut off or damaged at character 2 (Expecting property name" in told
    assert "line 4: 'c' is recorded a second time at checkpoint 1" in told
    assert "line 5: expected an object with guid, logits_epoch_1 and gold" in told
    assert "line 6: 2 logits, where the first record has 3" in told
    assert "line 7: expected an object" in told
    assert "checkpoint 1 lacks 2 of 4 examples: a, b" in told


def test_epochs_that_are_missing_and_folders_that_hold_none(dynamics: Path, tmp_path: Path) -> None:
    (dynamics / "dynamics_epoch_0.jsonl").rename(dynamics / "dynamics_epoch_2.jsonl")
    with pytest.raises(DataError, match="holds the epochs 1, 2; expected each from 0 to 2"):
        import_run("cartography", dynamics)
    with pytest.raises(DataError, match=r"holds no file dynamics_epoch_0\.jsonl"):
        import_run("cartography", tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        import_run("cartography", tmp_path / "nowhere")


def test_what_the_files_cannot_be_made_of(run: Trajectory, tmp_path: Path) -> None:
    losses = Trajectory.from_arrays(losses=[[0.7, 0.7], [0.1, 1.2]])
    with pytest.raises(RunError, match="has no logits"):
        export_run("cartography", losses, tmp_path / "maps")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(RunError, match="is not an empty folder"):
        export_run("cartography", run, tmp_path / "full")
    with pytest.raises(ConfigError, match="did you mean 'cartography'"):
        import_run("cartografy", tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["full"]
