from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from contested.cli import main
from contested.studies import Cell, expand, load_study
from contested.studies.folder import RunState
from contested.studies.plan import Device, cost
from contested.studies.times import Finished, Times, learn, left

FACTS = {"params": 2e6, "body": 1e6, "layers": 2, "hidden": 64, "tokens": 20, "annotated": 400}


@pytest.fixture
def cells(tmp_path: Path) -> list[Cell]:
    """LoRA and full fine-tuning, two seeds each, on a backbone of known size."""
    content = {
        "name": "toy",
        "facts": FACTS,
        "defaults": {"model": {"name": "some/encoder"}, "task": {"annotated": {"path": "a.csv"}}},
        "axes": {"method": ["full", "lora"], "training.epochs": [2, 4], "seed": [1, 2]},
    }
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return expand(load_study(tmp_path / "toy.yaml"))


def finished(cell: Cell, seconds: float, device: str = "a GPU", kind: str | None = None) -> Finished:
    from contested.studies import times

    return Finished(cell.setting, times._kind(cell) if kind is None else kind, device, cost(cell).flops, seconds)


def test_a_run_takes_what_its_other_seeds_took(cells: list[Cell]) -> None:
    full1, full2, longer, *_ = cells
    times = Times([finished(full1, 100), finished(full1, 300), finished(full1, 120), finished(longer, 9)])
    assert times.seconds_of(full2) == 120  # the median


def test_another_setting_takes_what_its_operations_took_in_runs_of_its_kind(cells: list[Cell]) -> None:
    full, _, full4, _, lora, *_ = cells
    times = Times([finished(full, 100), finished(full, 1000, device="another"), finished(full, 1000, device="another")])
    # Most runs are of the other device.
    assert (times.device, times.seconds_of(full)) == ("another", 1000)
    times = Times([finished(full, 100), finished(lora, 7, kind="of another backbone")])
    assert times.seconds_of(full4) == pytest.approx(100 * cost(full4).flops / cost(full).flops)
    # LoRA has no run of its kind: the median pace of all.
    paces = sorted([100 / cost(full).flops, 7 / cost(lora).flops])
    lora4 = cells[6]
    assert times.seconds_of(lora4) == pytest.approx(cost(lora4).flops * sum(paces) / 2)


def test_without_finished_runs_it_is_the_plans_estimate(cells: list[Cell]) -> None:
    assert math.isnan(Times([]).seconds_of(cells[0]))
    assert Times([]).seconds_of(cells[0], 1e9) == cost(cells[0]).seconds(1e9)


def test_what_is_left_of_a_run(cells: list[Cell]) -> None:
    assert left(cells[0], 0.5, 100) == 75  # of two epochs
    assert left(cells[0], 2.0, 100) == 0


class Folder:
    """A study's folder in which the first runs are complete."""

    def __init__(self, out: Path, cells: list[Cell], n_complete: int) -> None:
        self.out = out
        done = {cell.run_id for cell in cells[:n_complete]}
        self.states = {
            cell.run_id: RunState("complete" if cell.run_id in done else "missing", 0, 0, 0, "") for cell in cells
        }

    def folder(self, cell: Cell) -> Path:
        return self.out / cell.run_id


def write(run: Path, provenance: dict[str, Any], *lines: dict[str, Any]) -> None:
    run.mkdir(parents=True)
    (run / "manifest.json").write_text(json.dumps({"provenance": provenance}))
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


GPU = {"device": "cuda", "device_name": "a GPU", "threads": 4}
CPU = {"device": "cpu", "device_name": "x86_64", "threads": 4}


@pytest.mark.parametrize(("most", "fewer", "device"), [(GPU, CPU, "a GPU"), (CPU, GPU, "x86_64, 4 threads")])
def test_times_are_read_from_finished_runs(
    most: dict[str, Any], fewer: dict[str, Any], device: str, cells: list[Cell], tmp_path: Path
) -> None:
    folder: Any = Folder(tmp_path, cells, n_complete=4)
    # Seconds of a line are those since the line before; probes are counted beside them.
    lines = [{"step": 0, "seconds": 1.5}, {"step": 9, "seconds": 8.5, "probe_seconds": 2.0}]
    write(folder.folder(cells[0]), most, *lines)
    write(folder.folder(cells[1]), most, *lines)
    write(folder.folder(cells[2]), fewer, {"step": 0, "seconds": 99.0})
    (folder.folder(cells[3])).mkdir()  # what it took cannot be read
    times = learn(folder, cells)
    assert (times.device, times.seconds_of(cells[0])) == (device, 12.0)
    # Of the device that few were made on nothing is taken, also where it is the only one of a setting.
    assert times.seconds_of(cells[2]) == pytest.approx(12 * cost(cells[2]).flops / cost(cells[0]).flops)


def test_a_plan_says_what_finished_runs_took(
    cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = Times([finished(cell, 7200.0) for cell in cells])
    monkeypatch.setattr("contested.studies.times.learn", lambda folder, cells: known)
    monkeypatch.setattr("contested.studies.plan.measure", lambda: Device("a CPU", 1e9, 2, 1e12))
    assert main(["study", "plan", str(tmp_path / "toy.yaml"), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "As finished runs of this study took it on a GPU:" in said
    assert "about 16 hours one after the other" in said  # eight of two hours
    assert [line.split()[-2:] for line in said.splitlines() if "full" in line] == [["2", "hours"]] * 2
    assert main(["study", "plan", str(tmp_path / "toy.yaml"), "--out", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] == 8 * 7200
    assert main(["study", "plan", str(tmp_path / "toy.yaml")]) == 0
    assert "On this device (a CPU" in capsys.readouterr().out
