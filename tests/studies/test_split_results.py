"""``--split``: the results of a study, or of runs, of validation examples alone."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contested.analysis.study.runs import measure
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
        "tracking": {"validation": True},
    },
    "axes": {"method": ["full", {"name": "lora", "r": 2}], "seed": [1, 2]},
}
N = 60
VALIDATION = np.arange(N) % 3 == 0


def recorded(seed: int) -> Trajectory:
    """Losses fall by 0.5 nats on training examples and by 0.1 on validation examples."""
    rng = np.random.default_rng(seed)
    start = 1.2 + rng.normal(0, 0.05, N)
    fallen = start - np.where(VALIDATION, 0.1, 0.5) + rng.normal(0, 0.01, N)
    run = Trajectory.from_arrays(
        losses=np.stack([start, fallen]),
        gold="majority",
        label_counts=np.random.default_rng(0).multinomial(100, [0.6, 0.4], N),
        label_names=["yes", "no"],
        steps=[0, 16],
    )
    split, topic = np.where(VALIDATION, "validation", "train"), [f"topic {row // 3}" for row in range(N)]
    return dataclasses.replace(run, examples=run.examples.assign(split=split, topic=topic))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    (folder / "made.yaml").write_text(json.dumps(STUDY))
    begin(load_study(str(folder / "made.yaml")), folder / "study")
    for number, cell in enumerate(expand(open_study(folder / "study"))):
        identity = {"version": 2, "config": identifying(cell.config), "data": "d", "model": "m"}
        manifest = {"identity": identity, "tracked_splits": ["train", "validation"]}
        run = dataclasses.replace(recorded(number), run_id=cell.run_id, manifest=manifest)
        run.save(run_folder(folder / "study", cell))
    return folder / "study"


def mean_change(results: Path) -> float:
    table = pd.read_csv(results / "tables" / "group_measures.csv")
    return float(table.query("measure == 'loss_change' and category == 'overall'")["mean"].mean())


def test_a_study_is_of_the_examples_that_train_or_of_one_split(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(study), "--resamples", "100"]) == 0
    assert main(["analyze", str(study), "--resamples", "100", "--split", "validation"]) == 0
    told = capsys.readouterr()
    assert str(study / "results-validation") in told.out
    assert mean_change(study / "results") == pytest.approx(-0.5, abs=0.02)
    assert mean_change(study / "results-validation") == pytest.approx(-0.1, abs=0.02)
    notes = json.loads((study / "results-validation" / "results.json").read_text())["notes"]
    assert notes[0].startswith("Every number is of validation examples")


def test_a_study_is_reported_over_the_clusters_that_are_named(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--resamples", "100", "--out", str(tmp_path), "--clusters"]
    assert main(["report", str(study), *options, "topic"]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    explorer = json.loads(re.search(r'id="explorer-index">(.*?)</script>', page)[1])
    assert explorer["n"] == 40  # those that train, as all numbers are of them
    assert "100 bootstrap resamples of clusters of examples that share topic" in page
    assert "share topic are one cluster in intervals and tests: 20 clusters of 40 examples." in page
    clustered = json.loads((tmp_path / "results.json").read_text())
    assert clustered["clusters"] == "topic"
    capsys.readouterr()
    assert main(["analyze", str(study), *options, "none", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clusters"] == ""
    for command in ("report", "analyze"):
        assert main([command, str(study), *options, "subject"]) == 2
        assert "no column 'subject'" in capsys.readouterr().err


def test_of_validation_examples_none_trained() -> None:
    run = recorded(0)
    assert measure("a", run).n_trained == int((~VALIDATION).sum())
    assert measure("a", run.of_split("validation")).n_trained == 0


def test_a_run_is_analysed_by_one_split_and_refused_without_it(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = next((study / "runs").iterdir())
    out = ["--out", str(tmp_path), "--resamples", "100"]
    assert main(["analyze", str(run), "--split", "validation", "--json", *out]) == 0
    assert json.loads(capsys.readouterr().out)["n_examples"] == int(VALIDATION.sum())
    Trajectory.load(run).of_split("train").save(tmp_path / "alone")
    assert main(["analyze", str(tmp_path / "alone"), "--split", "validation", *out]) == 2
    assert "tracks no examples of the split validation (it has train)" in capsys.readouterr().err
