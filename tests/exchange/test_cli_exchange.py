"""The commands of docs/exchange.md, and what a mistake is told."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contested.cli import main
from contested.exchange import FORMATS, export_run
from contested.trajectories import Trajectory

PAGE = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text(encoding="utf-8")


_CLASSES = ("entailment", "neutral", "contradiction")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What each tool of the page left of 40 examples at three checkpoints; 36 of them and one more have annotations."""
    rng = np.random.default_rng(3)
    gold = rng.integers(3, size=40)
    logits = rng.normal(size=(3, 40, 3)) + np.arange(3)[:, None, None] * np.eye(3)[gold]
    made = Trajectory.from_arrays(logits=logits, gold=gold, ids=range(40), steps=[0, 100, 200])
    export_run("cartography", made, tmp_path)
    _write_lm_eval(tmp_path / "evals", logits, gold)
    _write_tracker(tmp_path / "tracker", made)
    two = Trajectory.from_arrays(logits=logits[:, :, :2], gold=gold % 2, label_names=["no", "yes"])
    export_run("aum", two, tmp_path / "aum_logs")
    np.savez(tmp_path / "pred_probs.npz", pred_probs=np.full((40, 3), 1 / 3), labels=gold)
    export_run("csv", Trajectory.from_arrays(losses=made.required("losses")), tmp_path / "losses.csv")
    items = []
    for row in [*range(36), 99]:
        votes = rng.multinomial(10, [0.15, 0.15, 0.15]) + 6 * (np.arange(3) == gold[row % 40])
        items.append({"uid": str(row), "counts": dict(zip(_CLASSES, votes.tolist(), strict=True))})
    _write_lines(tmp_path / "annotated.jsonl", items)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write_lines(file: Path, rows: Iterable[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _write_lm_eval(folder: Path, logits: NDArray[np.float64], gold: NDArray[np.int64]) -> None:
    asked = {f"gen_args_{label}": {"arg_0": "?", "arg_1": f" {name}"} for label, name in enumerate(_CLASSES)}
    for step, scores in zip((0, 100, 200), logits, strict=True):
        rows = (
            {
                "doc_id": row,
                "doc": {"id": row},
                "target": str(label),
                "arguments": asked,
                "filtered_resps": [[str(value), "False"] for value in scores[row]],
                "acc": float(scores[row].argmax() == label),
            }
            for row, label in enumerate(gold.tolist())
        )
        _write_lines(folder / f"out__checkpoint-{step}" / "samples_nli_2026-11-29T17-12-27.97.jsonl", rows)


def _write_tracker(folder: Path, made: Trajectory) -> None:
    records = {
        name: {"losses": losses.tolist(), "true_label": int(label)}
        for name, losses, label in zip(made.example_ids, made.required("losses").T, made.required("gold"), strict=True)
    }
    _write_lines(folder / "tracker.json", [{"records": records}])
    _write_lines(folder / "results.json", [{"tracking_steps": [0, 100, 200]}])


def test_the_commands_of_the_page(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = PAGE.split("```sh\n")[1].split("```")[0].splitlines()
    told = {}
    for command in (line for line in lines if line and not line.startswith("#")):
        assert main(shlex.split(command)[1:]) == 0, (command, capsys.readouterr().err)
        told[command.split(" --")[0]] = capsys.readouterr().out.splitlines()
    assert told["contested import cartography training_dynamics"] == [
        "4 of 40 recorded examples have no annotations and are left out: 36, 37, 38, 39",
        "1 of 37 annotated examples were not recorded: 99",
        "The tool's training script takes the logits of an epoch during it, with dropout on: epoch 0 is not the "
        "untrained model.",
        "Wrote 36 examples at 3 checkpoints to runs/maps",
    ]
    runs = {file.name: Trajectory.load(file) for file in (recorded / "runs").iterdir()}
    maps = runs["maps"]
    assert (maps.run_id, maps.origin["format"]) == ("maps", "cartography")
    assert maps.has == {"losses", "logits", "classes", "gold", "annotators"}
    assert np.array_equal(maps.required("logits"), runs["again"].required("logits"))
    # The same training as three tools recorded it.
    assert np.allclose(runs["evals"].required("logits"), maps.required("logits"), atol=1e-6)
    for other in ("evals", "tracked"):
        assert np.allclose(runs[other].required("losses"), maps.required("losses"), atol=1e-6)
        assert np.array_equal(runs[other].required("label_counts"), maps.required("label_counts"))
        assert runs[other].steps.tolist() == [0, 100, 200]
    assert runs["aum"].required("logits").shape == (3, 40, 2)
    assert runs["final"].required("losses") == pytest.approx(np.log(3))
    assert runs["losses"].has == {"losses"}
    written = ("report/report.html", "last.npz", "td_metrics.jsonl", "aum/aum_values.csv")
    page = (recorded / "report" / "report.html").read_text(encoding="utf-8")
    assert "followed over 3 checkpoints and epochs 0 to 2. 4 of 40 recorded examples have no annotations" in page
    assert "epoch 0 is not the untrained model, and what" in page
    assert "have an id in common" not in page
    assert all((recorded / name).exists() for name in (*written, "maps/training_dynamics/dynamics_epoch_2.jsonl"))


def test_the_python_of_the_page(recorded: Path) -> None:
    exec(PAGE.split("```python\n")[1].split("```")[0], {})
    assert Trajectory.load("runs/maps").text_columns == ()
    assert len((recorded / "td_metrics.jsonl").read_text().splitlines()) == 36


def test_every_format_is_on_the_page() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    for made in FORMATS:
        (row,) = [line for line in rows if f"`{made.name}`" in line.split("|")[1]]
        cells = [cell.strip() for cell in row.split("|")]
        assert cells[2:4] == ["yes" if use else "no" for use in (made.read, made.write)]


def test_mistakes_are_one_text_and_leave_nothing(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "cartografy", "training_dynamics", "--out", "runs/x"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "contested: No format 'cartografy' (did you mean 'cartography'?) can be read. Formats:"
    assert lines[1].startswith("  - cartography: Dataset Cartography's folder")
    assert len(lines) == 1 + sum(made.read is not None for made in FORMATS)
    assert main(["import", "cartography", "training_dynamic", "--out", "runs/x"]) == 2
    assert "training_dynamic is not a folder" in capsys.readouterr().err
    assert main(["import", "cartography", "training_dynamics", "--out", "training_dynamics"]) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert not (recorded / "runs").exists()
