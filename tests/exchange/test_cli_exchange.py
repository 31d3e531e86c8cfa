"""The commands of docs/exchange.md, and what a mistake is told."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from contested.cli import main
from contested.exchange import FORMATS
from contested.trajectories import Trajectory

PAGE = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text(encoding="utf-8")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 examples over three epochs in training_dynamics, and annotations of 36 of them and of one more."""
    rng = np.random.default_rng(3)
    gold = rng.integers(3, size=40)
    (tmp_path / "training_dynamics").mkdir()
    for epoch in range(3):
        logits = rng.normal(size=(40, 3)) + epoch * np.eye(3)[gold]
        lines = [
            {"guid": row, f"logits_epoch_{epoch}": logits[row].tolist(), "gold": int(gold[row])} for row in range(40)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / "training_dynamics" / f"dynamics_epoch_{epoch}.jsonl").write_text(text)
    names = ("entailment", "neutral", "contradiction")
    items = []
    for row in [*range(36), 99]:
        votes = rng.multinomial(10, [0.15, 0.15, 0.15]) + 6 * (np.arange(3) == gold[row % 40])
        items.append({"uid": str(row), "counts": dict(zip(names, votes.tolist(), strict=True))})
    (tmp_path / "annotated.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_page(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = PAGE.split("```sh\n")[1].split("```")[0].splitlines()
    told = []
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, (command, capsys.readouterr().err)
        told.append(capsys.readouterr().out)
    assert told[0].splitlines() == [
        "4 of 40 recorded examples have no annotations and are left out: 36, 37, 38, 39",
        "1 of 37 annotated examples were not recorded: 99",
        "Wrote 36 examples at 3 checkpoints to runs/maps",
    ]
    first, again = Trajectory.load("runs/maps"), Trajectory.load("runs/again")
    assert first.run_id == "maps"
    assert first.origin["format"] == "cartography"
    assert first.has == {"losses", "logits", "classes", "gold", "annotators"}
    assert np.array_equal(first.required("logits"), again.required("logits"))
    assert (recorded / "last.npz").exists()
    assert (recorded / "maps/training_dynamics/dynamics_epoch_2.jsonl").exists()


def test_every_format_is_on_the_page() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    for made in FORMATS:
        (row,) = [line for line in rows if f"`{made.name}`" in line.split("|")[1]]
        cells = [cell.strip() for cell in row.split("|")]
        assert cells[2:4] == ["yes" if use else "no" for use in (made.read, made.write)]


def test_mistakes_are_one_text_and_leave_nothing(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "nothing", "training_dynamics", "--out", "runs/x"]) == 2
    assert "Formats: cartography (" in capsys.readouterr().err
    assert main(["import", "cartography", "training_dynamic", "--out", "runs/x"]) == 2
    assert "training_dynamic is not a folder" in capsys.readouterr().err
    assert main(["import", "cartography", "training_dynamics", "--out", "training_dynamics"]) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert not (recorded / "runs").exists()
