from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from contested.cli import main
from contested.cli.demo import print_finding
from contested.demo import make_world, study
from contested.report import ReportPaths
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
    # The licences in the explorer's script name addresses, which nothing loads.
    page = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "http://" not in page
    assert "https://" not in page
    for name, method in study.METHODS.items():
        manifest = Trajectory.load(out / "runs" / name).manifest
        assert (manifest["status"], manifest["config"]["method"]["name"]) == ("complete", method.name)
        assert manifest["config"]["training"]["learning_rate"] == 1e-3

    assert main(["demo", "--out", str(out)]) == 0  # finished runs are not repeated
    assert "training" not in capsys.readouterr().err.lower().replace("training the embedded", "")


@pytest.mark.parametrize(("mark", "lines"), [("†", 1), ("", 0)])
def test_a_mark_in_a_sentence_of_the_demo_is_explained_once(
    mark: str, lines: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = (tmp_path / "summary.csv", tmp_path / "runs.csv")
    tables[0].write_text("run,category,n,change,change_low,change_high,rose_share\na,clean,9,0.1,0.0,0.2,0.5\n")
    tables[1].write_text("run,rho\na,0.2\n")
    said = {name: [f"In this run it rose (95% interval 0.0 to 0.2{mark})."] for name in ("a", "b")}
    print_finding(ReportPaths(tmp_path / "report.html", tables, (), tmp_path / "results.json", said))
    assert capsys.readouterr().out.count("† This interval may cover the truth less often than it says") == lines


def test_the_demo_follows_the_papers_recipe_but_for_the_stated_numbers() -> None:
    assert set(study.SETTINGS["training"]) <= {"learning_rate", "epochs"}
    assert set(study.SETTINGS) == {"training", "tracking", "execution"}
