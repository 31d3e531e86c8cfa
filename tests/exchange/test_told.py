"""What is said of files that are nearly right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contested.analysis.absent import absent
from contested.errors import DataError, RunError
from contested.exchange import import_run
from contested.trajectories import Trajectory


def _table(file: Path, **columns: object) -> Path:
    rows = [{"id": name, "step": step, **columns} for step in (1, 2) for name in "ab"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_what_makes_no_run_is_told_by_its_file_and_its_ids(tmp_path: Path) -> None:
    file = _table(tmp_path / "table.jsonl", logits=[1.0, 2.0], gold=2)
    with pytest.raises(DataError) as caught:
        import_run("jsonl", file)
    assert caught.value.message == f"What {file} holds does not make a run:"
    assert caught.value.problems == ("gold: 2 of 2 are not class indices from 0 to 1, the first 2 at the example 'a'",)


@pytest.mark.parametrize("name", ["cross_entropy", "nll"])
def test_a_loss_has_other_names(name: str, tmp_path: Path) -> None:
    made = import_run("jsonl", _table(tmp_path / "table.jsonl", **{name: 0.25})).trajectory
    assert np.array_equal(made.required("losses"), np.full((2, 2), 0.25))
    wide = tmp_path / "wide.jsonl"
    wide.write_text(json.dumps({"id": "a", f"{name}_epoch_1": 1.5, f"{name}_epoch_2": 0.5}) + "\n")
    made = import_run("jsonl", wide).trajectory
    assert made.required("losses").tolist() == [[1.5], [0.5]]


def test_the_number_of_classes_of_losses_comes_with_their_names(tmp_path: Path) -> None:
    file = _table(tmp_path / "table.jsonl", loss=0.25)
    without, named = (import_run("jsonl", file, label_names=names).trajectory for names in (None, ["yes", "no"]))
    told = [sentence for sentence in absent(without) if "learning time" in sentence]
    assert told[0].startswith("The run has no number of its classes (its label names give it, in an import --label-")
    assert not any("learning time" in sentence for sentence in absent(named))


def test_a_mistake_is_told_before_scipy_is_loaded(tmp_path: Path) -> None:
    code = "import sys; from contested.cli import main; main(sys.argv[1:]); print('scipy' in sys.modules)"
    command = [sys.executable, "-c", code, "import", "nothing", str(tmp_path), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "No format 'nothing'" in done.stderr
    assert done.stdout == "False\n"


@pytest.mark.parametrize("format", ["cartography", "jsonl", "tracker"])
def test_a_folder_of_seeds_is_told_of_each(format: str, tmp_path: Path) -> None:
    for seed in ("seed1", "seed2"):
        folder = tmp_path / "seeds" / seed
        _table(folder / "steps.jsonl", loss=1.0)
        (folder / "tracker.json").write_text('{"records": {"a": {"losses": [1]}}}')
        _table(folder / "training_dynamics" / "dynamics_epoch_0.jsonl", loss=1.0)
    (tmp_path / "seeds" / "logs").mkdir()
    with pytest.raises(DataError, match=r"Its folders seed1, seed2 hold such; import each .* with --each"):
        import_run(format, tmp_path / "seeds")


def test_a_folder_of_runs_names_them(tmp_path: Path) -> None:
    for seed in ("seed1", "seed2"):
        Trajectory.from_arrays(losses=[[1.0], [0.5]]).save(tmp_path / "runs" / seed)
    with pytest.raises(RunError, match=r"The folders seed1, seed2 in it are runs: give .*runs/seed1\.$"):
        Trajectory.load(tmp_path / "runs")
    with pytest.raises(RunError, match=r"Give the folder that contested train, contested import or Trajectory"):
        Trajectory.load(tmp_path)
