"""Damaged runs of a study: left out by name, with the reason, and the rest is reported."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from contested.cli import main
from contested.config import identifying
from contested.studies import expand, open_study
from contested.studies.file import load_study
from contested.studies.folder import begin, run_folder
from contested.trajectories import Trajectory

STUDY = {
    "defaults": {
        "model": {"name": "org/none"},
        "task": {"annotated": {"path": "people.jsonl"}, "text_columns": ["premise", "hypothesis"]},
    },
    "axes": {"method": ["full", {"name": "lora", "r": 2}], "seed": [1, 2]},
}
N = 30


def recorded(seed: int) -> Trajectory:
    rng = np.random.default_rng(seed)
    counts = np.stack([rng.multinomial(100, p) for p in rng.dirichlet([0.6, 0.6], N)])
    return Trajectory.from_arrays(
        logits=rng.normal(size=(3, N, 2)),
        gold="majority",
        label_counts=counts,
        label_names=["yes", "no"],
        steps=[0, 8, 16],
        epochs=[0, 1, 2],
        check_label_order=False,
    )


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """The folders of a study's four complete runs: two seeds of full fine-tuning, two of LoRA."""
    file = tmp_path / "made.yaml"
    file.write_text(json.dumps(STUDY))
    out = tmp_path / "study"
    begin(load_study(str(file)), out)
    found = []
    for number, cell in enumerate(expand(open_study(out))):
        identity = {"version": 2, "config": identifying(cell.config), "data": "d", "model": "m"}
        trajectory = dataclasses.replace(recorded(number), run_id=cell.run_id, manifest={"identity": identity})
        found.append(run_folder(out, cell))
        trajectory.save(found[-1])
    return found


def flip(file: Path, place: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(len(content) * place)] ^= 16
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_damaged_runs_are_left_out_by_name_and_the_rest_is_reported(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(runs[1] / "checkpoints" / "step-00000008.parquet")
    cut(runs[2] / "manifest.json")
    study = tmp_path / "study"
    for command in ("analyze", "report"):
        assert main([command, str(study), "--resamples", "50"]) == 0
        said = capsys.readouterr().out
        for damaged, why in ((runs[1], "step-00000008.parquet"), (runs[2], "manifest.json is damaged")):
            (line,) = [line for line in said.splitlines() if line.startswith(damaged.name)]
            assert "is missing: it cannot be used: " in line
            assert why in line
            assert "1 of 2 seeds" in line
        assert not any(line.startswith(runs[0].name) for line in said.splitlines())
    found = json.loads((study / "results" / "results.json").read_text())
    frame = found["frames"]["runs"]
    rows = {row["run_id"]: row for row in (dict(zip(frame["columns"], row, strict=True)) for row in frame["rows"])}
    assert [rows[run.name]["status"] for run in runs] == ["complete", "unreadable", "unreadable", "complete"]
    # The numbers of the others are those of the others.
    for run in (runs[0], runs[3]):
        assert rows[run.name]["rho"] is not None
    assert len(found["gaps"]) == 2
    assert runs[1].name in (study / "results" / "report.html").read_text()


def test_a_study_of_which_no_run_can_be_read_says_so(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in runs:
        cut(run / "examples.parquet")
    assert main(["report", str(tmp_path / "study")]) == 2
    said = capsys.readouterr().err
    assert "No complete run of the study made in" in said
    assert f"contested verify {tmp_path / 'study'} says more" in said
    assert all(run.name in said for run in runs)
    assert "Traceback" not in said


def test_the_status_of_a_study_names_runs_whose_manifest_is_damaged(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(runs[0] / "manifest.json")
    assert main(["study", "status", str(tmp_path / "study"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"complete": 3, "unreadable": 1}
    (damaged,) = [run for run in found["runs"] if run["status"] == "unreadable"]
    assert damaged["run_id"] == runs[0].name
    assert "is damaged" in damaged["error"]


def test_the_status_of_a_study_names_complete_runs_that_are_not_whole(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(runs[1] / "checkpoints" / "step-00000008.parquet")
    flip(runs[2] / "examples.parquet", 0.5)
    assert main(["study", "status", str(tmp_path / "study"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"complete": 2, "damaged": 2}
    errors = {run["run_id"]: run["error"] for run in found["runs"] if run["status"] == "damaged"}
    assert errors.keys() == {runs[1].name, runs[2].name}
    assert "step-00000008.parquet has" in errors[runs[1].name]
    assert "examples.parquet is not what was written" in errors[runs[2].name]
