"""``contested compare``, and the commands of docs/compare.md."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contested.analysis import compare
from contested.cli import main
from contested.trajectories import Trajectory

PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8")


def saved(folder: Path, seed: int, rise: float, **given: Any) -> Trajectory:
    """A run of 40 examples over three steps, and its folder."""
    rng = np.random.default_rng(seed)
    counts = np.random.default_rng(0).multinomial(20, [0.6, 0.25, 0.15], size=40)
    gold = np.eye(3)[counts.argmax(axis=1)]
    logits = rng.normal(size=(3, 40, 3)) + np.linspace(0, rise, 3)[:, None, None] * gold
    options = {"label_counts": counts, "gold": "majority", "label_names": ("e", "n", "c"), "steps": [0, 100, 200]}
    run = Trajectory.from_arrays(
        logits=logits, ids=[f"item-{row}" for row in range(40)], run_id=folder.name, **{**options, **given}
    )
    run.save(folder)
    return run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Trajectory, Trajectory]:
    monkeypatch.chdir(tmp_path)
    return saved(tmp_path / "one", 1, 2.0), saved(tmp_path / "other", 2, 3.0)


def test_two_runs_in_words_and_numbers(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "one", "other"]) == 0
    told = capsys.readouterr().out
    found = compare(*runs)
    assert told.splitlines()[0] == "other compared with one"
    assert told.splitlines()[1] == "40 examples; * adjusted p at most 0.05"
    headings = told.splitlines()[2]
    assert headings.split()[:4] == ["category", "n", "1→0", "0→1"]
    for row in found.transitions:
        (line,) = [line for line in told.splitlines() if line.startswith(f" {row.category} ")][:1]
        assert line.split()[1:4] == [str(row.n), str(row.lost), str(row.gained)]
    assert found.examples["example_id"].iloc[0] in told
    assert [line.removeprefix("- ") for line in told.splitlines() if line.startswith("- ")] == found.statements()
    assert not Path("comparison").exists()


def test_runs_of_losses_alone(runs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run in runs:
        ids = run.example_ids.tolist()
        Trajectory.from_arrays(losses=run.losses, ids=ids, run_id="losses").save(tmp_path / f"losses-{run.run_id}")
    assert main(["compare", "losses-one", "losses-other"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "losses-other compared with losses-one"  # both have the id "losses"
    assert told[2].split() == ["category", "n", "loss", "(nats)"]
    assert told[3].split()[:2] == ["overall", "40"]


def test_long_names_give_way_to_those_of_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "other")):
        run = saved(tmp_path / "first" / name, seed, 2.0)
        settings = {"model": {"name": "m"}, "task": {"option_with_a_long_name": seed, "another_one_of_them": seed}}
        replace(run, manifest={"config": settings}).save(tmp_path / name)
    assert main(["compare", "one", "other"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "other compared with one"


def test_json_is_all_that_is_printed(runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compare", "one", "other", "--json", "--names", "A, B", "--seed", "3", "--resamples", "100"]
    assert main(command) == 0
    expected = compare(*runs, names=("A", "B"), rng=np.random.default_rng(3), n_resamples=100).to_dict()
    assert json.loads(capsys.readouterr().out) == {**expected, "seed": 3}


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        (["one"], [0, 200]),
        (["one", "--at", "100,last"], [100, 200]),
        (["one", "other", "--at", "100"], [100, 100]),
        (["one", "other", "--at", "first, 200"], [0, 200]),
    ],
)
@pytest.mark.usefixtures("runs")
def test_checkpoints(arguments: list[str], steps: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *arguments, "--json", "--resamples", "100"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [told[side]["step"] for side in ("first", "second")] == steps


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["one", "other", "--at", "now"], "--at: given 'now', expected steps, first or last"),
        (["one", "other", "--at", "1,2,3"], "--at: given 3 checkpoints"),
        (["one", "other", "--at", "150"], "no checkpoint at step 150. Nearest are 0, 100, 200"),
        (["one", "--at", "100"], "only one model to compare: step 100 of one"),
        (["one", "other", "--names", "A"], "--names: given 'A', expected two different names"),
        (["one", "other", "--clusters", "topic"], "no column 'topic'"),
        (["one", "nowhere"], "nowhere"),
    ],
)
@pytest.mark.usefixtures("runs")
def test_mistakes_are_one_text(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.usefixtures("runs")
def test_other_examples_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path / "elsewhere", 3, 1.0, gold=[0] * 40)
    assert main(["compare", "one", "elsewhere"]) == 2
    assert "examples with the same id have another gold label in them" in capsys.readouterr().err


def test_the_commands_and_the_code_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("contested.report.pictures.save_figure", lambda figure, stem: [])
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("lora", "full")):
        saved(tmp_path / "runs" / name, seed, 2.0 + seed)
    commands = PAGE.split("```sh\n")[1].split("```")[0].splitlines()
    for command in commands:
        assert main(shlex.split(command, comments=True)[1:]) == 0, (command, capsys.readouterr().err)
    told = capsys.readouterr().out
    assert json.loads(told[told.rindex("\n{") :])["first"]["step"] == 100
    assert Path("comparison/report.html").exists()
    exec(
        compile("import contested as ct\n" + PAGE.split("```python\n")[1].split("```")[0], "docs/compare.md", "exec"),
        {},
    )
    said = capsys.readouterr().out
    assert re.search(r"are right with LoRA and wrong with full", said)


def test_every_table_is_on_the_page(runs: Any) -> None:
    named = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert set(named) == set(compare(*runs).tables())
