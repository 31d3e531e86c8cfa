from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contested.cli import main
from contested.demo import make_world, study
from contested.tasks import NLITask
from contested.trajectories import Trajectory


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    def task() -> Any:
        world = make_world(n_annotated=60, n_bulk=80, seed=0)
        return NLITask(annotated=world.annotated, bulk=world.bulk)

    monkeypatch.setattr(study, "demo_task", task)
    monkeypatch.setitem(study.SETTINGS, "training", {"learning_rate": 1e-3, "epochs": 1})
    monkeypatch.setitem(study.SETTINGS, "tracking", {"every": 2})


@pytest.mark.usefixtures("small")
def test_the_demo_ends_with_table_figures_page_and_a_sentence_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "Δℓ in nats" in shown
    assert str(out / "results" / "report.html") in shown
    assert "LoRA r4: In this run" in shown
    assert "full fine-tuning: In this run" in shown
    page = (out / "results" / "report.html").read_text().replace("http://www.w3.org", "")
    assert "http://" not in page
    assert "https://" not in page
    for name, method in study.METHODS.items():
        manifest = Trajectory.load(out / "runs" / name).manifest
        assert (manifest["status"], manifest["config"]["method"]["name"]) == ("complete", method.name)
        assert manifest["config"]["training"]["learning_rate"] == 1e-3

    assert main(["demo", "--out", str(out)]) == 0  # finished runs are not repeated
    assert "training" not in capsys.readouterr().err.lower().replace("training the embedded", "")


def test_the_demo_follows_the_papers_recipe_but_for_the_stated_numbers() -> None:
    assert set(study.SETTINGS["training"]) <= {"learning_rate", "epochs"}
    assert set(study.SETTINGS) == {"training", "tracking", "execution"}
