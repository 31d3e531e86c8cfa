"""Studies over axes of one's own, from the file to the results, on the embedded world with its encoder."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from transformers import AutoModel, AutoTokenizer

from contested.analysis.study import StudyResults, study_results
from contested.analysis.study.columns import COLUMNS
from contested.demo import ENCODER_PATH, make_world
from contested.studies import Study, expand, load_study
from contested.studies.folder import StudyFolder
from contested.studies.local import LocalExecutor
from contested.studies.results import open_results
from contested.studies.running import run_study
from contested.trajectories import Trajectory

CATEGORIES = ("clean", "ambiguous", "contested")


def results(out: Path) -> StudyResults:
    opened = open_results(out)
    return study_results(opened.table, opened.axes, opened.trajectories, n_resamples=200)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty annotated examples of the embedded world, as a file."""
    made = make_world(n_annotated=60, n_bulk=1, seed=0).annotated
    texts = zip(made.fields["premise"], made.fields["hypothesis"], strict=True)
    rows = [
        {"uid": uid, "premise": premise, "hypothesis": hypothesis, "label_counts": counts.tolist()}
        for uid, counts, (premise, hypothesis) in zip(made.example_ids, made.label_counts, texts, strict=True)
    ]
    folder = tmp_path_factory.mktemp("world")
    (folder / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def trained(world: Path, name: str, axes: dict[str, Any], model: str | None = None) -> tuple[Study, Path]:
    content = {
        "defaults": {
            "model": {"max_length": 64} | ({"name": model} if model else {}),
            "task": {
                "annotated": {
                    "path": "people.jsonl",
                    "options": {"label_names": ["entailment", "neutral", "contradiction"]},
                }
            },
            "training": {"batch_size": 16},
            "tracking": {"every": 3},
            "execution": {"threads": 1},
        },
        "axes": axes,
    }
    file = world / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    study, out = load_study(file), world / name
    outcome = run_study(study, out, executor=LocalExecutor(1))
    assert len(outcome.complete) == outcome.n_runs, outcome
    return study, out


@pytest.fixture(scope="module")
def amounts(world: Path) -> tuple[Path, StudyResults, dict[tuple[int, float, int], Trajectory]]:
    """One and three epochs at two learning rates under two seeds."""
    axes = {"training.epochs": [1, 3], "training.learning_rate": [1.0e-3, 5.0e-3], "seed": [1, 2]}
    study, out = trained(world, "amounts", axes, str(ENCODER_PATH))
    cells = expand(study)
    folder = StudyFolder(out, cells)
    runs = {
        (cell.config.training.epochs, cell.config.training.learning_rate, cell.config.seed): Trajectory.load(
            folder.folder(cell)
        )
        for cell in cells
    }
    return out, results(out), runs


def only(frame: pd.DataFrame, **where: Any) -> pd.Series:
    for column, value in where.items():
        frame = frame[frame[column.replace("__", ".")] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


def change(run: Trajectory, category: str) -> np.ndarray:
    assert run.losses is not None
    return (run.losses[-1] - run.losses[0])[run.categories == category]


def test_groups_along_two_numeric_axes(amounts) -> None:
    _, found, runs = amounts
    axes = found.frames["axes"]
    assert axes["axis"].tolist() == ["training.epochs", "training.learning_rate"]
    assert axes["numeric"].tolist() == [True, True]
    groups = found.frames["groups"]
    assert groups["group"].tolist() == [
        f"epochs {epochs}, learning rate {rate}" for epochs in (1, 3) for rate in ("1e−3", "5e−3")
    ]
    assert groups["n_seeds"].tolist() == [2] * 4
    assert (groups["rho_low"] <= groups["rho_mean"]).all()
    assert (groups["rho_mean"] <= groups["rho_high"]).all()
    assert groups[["val_accuracy_mean", "train_loss_mean", "train_loss_high"]].notna().to_numpy().all()
    # Of a few validation examples two seeds may get as many right, and then there is no interval.
    assert (groups["val_accuracy_low"].isna() == (groups["val_accuracy_sd"] == 0)).all()
    for epochs, rate, category in itertools.product((1, 3), (1e-3, 5e-3), CATEGORIES):
        row = only(
            found.frames["group_measures"],
            training__epochs=epochs,
            training__learning_rate=rate,
            measure="loss_change",
            category=category,
        )
        by_seed = [change(runs[epochs, rate, seed], category).mean() for seed in (1, 2)]
        assert row["mean"] == pytest.approx(np.mean(by_seed))
        assert row["sd"] == pytest.approx(np.std(by_seed, ddof=1))
        assert row["low"] < row["mean"] < row["high"]


def test_curves_have_every_step_of_their_group(amounts) -> None:
    _, found, runs = amounts
    curves = found.frames["group_curves"]
    own = curves[(curves["training.epochs"] == 3) & (curves["training.learning_rate"] == 5e-3)]
    own = own[own["category"] == "contested"]
    pair = [runs[3, 5e-3, seed] for seed in (1, 2)]
    losses = np.mean([run.losses[:, run.categories == "contested"].mean(axis=1) for run in pair], axis=0)
    assert own["step"].tolist() == pair[0].steps.tolist()
    assert own["mean"].to_numpy() == pytest.approx(losses)


def test_paired_differences_along_both_axes(amounts) -> None:
    _, found, runs = amounts
    differences = found.frames["differences"]
    pairs = differences[["axis", "from", "to", "held"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [
        ["training.epochs", "1", "3", "learning rate 1e−3"],
        ["training.epochs", "1", "3", "learning rate 5e−3"],
        ["training.learning_rate", "1e−3", "5e−3", "epochs 1"],
        ["training.learning_rate", "1e−3", "5e−3", "epochs 3"],
    ]
    row = only(differences, axis="training.epochs", held="learning rate 5e−3", measure="loss_change", category="clean")
    by_seed = [change(runs[3, 5e-3, seed], "clean") - change(runs[1, 5e-3, seed], "clean") for seed in (1, 2)]
    assert row["difference"] == pytest.approx(np.mean(by_seed))
    assert row["low"] < row["difference"] < row["high"]
    assert row["n"] == len(by_seed[0])
    assert row["n_seeds"] == 2


def test_nothing_of_the_paper_is_said(amounts) -> None:
    _, found, _ = amounts
    assert set(found.frames) == set(COLUMNS)
    content = json.dumps(found.to_dict())
    assert "claims" not in found.to_dict()
    assert not any(word in content.lower() for word in ("table 1", "figure", "main condition", "paper"))
    assert found.gaps == ()


def test_a_study_over_models_alone(world: Path) -> None:
    shallow = world / "shallow"
    AutoModel.from_pretrained(ENCODER_PATH, num_hidden_layers=1).save_pretrained(shallow)
    AutoTokenizer.from_pretrained(ENCODER_PATH).save_pretrained(shallow)
    models = [str(ENCODER_PATH), str(shallow)]
    study, out = trained(world, "models", {"model.name": models})
    found = results(out).frames
    names = list(study.axes["model.name"])
    assert found["groups"]["group"].tolist() == names
    assert found["runs"]["name"].tolist() == names
    assert found["groups"]["note"].str.contains("one seed").all()
    # One seed: intervals over examples, and none over seeds.
    assert found["groups"]["rho_low"].notna().all()
    assert found["groups"]["val_accuracy_low"].isna().all()
    own = only(found["differences"], measure="loss_change", category="overall")
    runs = [Trajectory.load(out / "runs" / cell.run_id) for cell in expand(study)]
    assert (own["from"], own["to"]) == tuple(names)
    first, second = (run.losses[-1] - run.losses[0] for run in runs)
    assert own["difference"] == pytest.approx((second - first).mean())
    # From one seed on either side it cannot be told whether the models or their seeds made the difference.
    assert np.isnan([own["low"], own["high"]]).all()
    assert own["note"].startswith("one seed on a side: no interval, for another seed would give another difference")
