"""The examples run as they stand, and show what they are there to show."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

import contested as ct

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, out: Path) -> Any:
    return runpy.run_path(str(EXAMPLES / name))["main"](out)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.name)
def test_an_example_is_short_and_in_the_readme(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 40
    assert f"examples/{file.name}" in (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")


def test_training_from_python(tmp_path: Path) -> None:
    found = run("train_and_analyze.py", tmp_path)
    # 160 of 200 annotated examples train with 400 others, 32 per step: 18 steps per epoch, 36 in two of them; a
    # checkpoint every 10 and at the ends of epochs.
    assert found.steps.tolist() == [0, 10, 18, 20, 30, 36]
    assert found.n_examples == 160
    assert ct.Trajectory.load(tmp_path / "run").status == "complete"
    assert (tmp_path / "report" / "report.html").is_file()


def test_a_trainer_of_ones_own(tmp_path: Path) -> None:
    found = run("trainer_callback.py", tmp_path)
    # 400 texts, 8 per step: 50 steps in one epoch.
    assert found.steps.tolist() == [0, 10, 20, 30, 40, 50]
    assert found.n_examples == 200
    saved = ct.Trajectory.load(tmp_path / "run")
    assert (saved.status, saved.origin["kind"]) == ("complete", "transformers.Trainer")
    # Trained on is the bulk alone.
    assert set(saved.examples["split"]) == {"validation"}


def test_completions_of_trls_trainer(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    found = run("sft_callback.py", tmp_path)
    # 400 pairs packed into 30 rows, 8 of them per step: 4 steps per epoch.
    assert found.steps.tolist() == [0, 4, 5, 8, 10, 12]
    saved = ct.Trajectory.load(tmp_path / "run")
    assert (saved.status, saved.label_names) == ("complete", ("entailment", "neutral", "contradiction"))
    assert set(saved.examples["split"]) == {"validation"}
    # A model that knew nothing has learned which words answer.
    probability = saved.extra["label_words_probability"].mean(axis=1)
    assert 5 * probability[0] < probability[-1]
    assert saved.extra["completion_loss_mean"][-1].mean() < 0.7 * saved.extra["completion_loss_mean"][0].mean()


def test_arrays_of_another_origin(tmp_path: Path) -> None:
    found = run("analyze_recorded.py", tmp_path)
    assert found.steps.tolist() == [1, 2, 3, 4, 5]
    # The model grows sure of five annotators' majority, which is wrong most often where people are split.
    changes = {row.category: row for row in found.unlearning.rows}
    assert changes["clean"].mean < 0 < changes["contested"].low
    saved = ct.Trajectory.load(tmp_path / "run")
    assert (saved.run_id, saved.step_unit) == ("recorded", "epoch")
    assert (tmp_path / "report" / "report.html").is_file()
