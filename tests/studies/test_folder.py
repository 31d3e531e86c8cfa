"""A study's folder: runs are known by what their manifests say, whatever their folders are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contested.config import identified, identifying
from contested.studies import Cell, expand, load_study
from contested.studies import index as module
from contested.studies.folder import StudyFolder, run_folder


@pytest.fixture
def cells(tmp_path: Path) -> list[Cell]:
    return [cell for cell in expand(load_study("paper-main", [f"data.dir={tmp_path}"])) if not cell.excluded][:4]


def write(folder: Path, cell: Cell, *, version: int, status: str = "complete", name: str = "", **more: Any) -> Path:
    """A run's manifest, as the given version of the identity rule wrote it; its folder named as it liked."""
    identity: dict[str, Any] = {"version": 2, "config": identifying(cell.config)}
    if version == 1:
        full = identified(cell.config)
        for section in (full["task"]["annotated"], full["task"]["bulk"]):
            section.pop("in_memory")
        identity = {"config": full}
    run = folder / "runs" / (name or cell.run_id)
    run.mkdir(parents=True)
    listed = [{"step": 0, "epoch": 0.0}, {"step": 10, "epoch": 1.5}]
    manifest = {
        "schema_version": 1,
        "run_id": run.name,
        "status": status,
        "identity": {**identity, "data": "d", "model": "m"},
        "checkpoints": listed,
        **more,
    }
    (run / "manifest.json").write_text(json.dumps(manifest))
    return run


def test_an_old_studys_complete_runs_count_under_whatever_name(cells: list[Cell], tmp_path: Path) -> None:
    old = write(tmp_path, cells[0], version=1, name="roberta-snli-lora-r4-s42-01d1d000", counts={"total_params": 7})
    stopped = write(tmp_path, cells[1], version=1, status="cancelled", name="another-old-name")
    new = write(tmp_path, cells[2], version=2)
    found = StudyFolder(tmp_path, cells)
    assert [found.folder(cell) for cell in cells] == [old, stopped, new, run_folder(tmp_path, cells[3])]
    statuses = [found.states[cell.run_id].status for cell in cells]
    assert statuses == ["complete", "interrupted", "complete", "missing"]
    first = found.states[cells[0].run_id]
    assert (first.epoch, first.checkpoints, first.params) == (1.5, 2, 7.0)
    assert found.others == 0


def test_runs_of_no_cell_are_counted_and_a_folder_with_another_run_is_told(cells: list[Cell], tmp_path: Path) -> None:
    write(tmp_path, cells[0], version=1, name="old-name-of-a-run-that-is-not-asked-for")
    write(tmp_path, cells[3], version=2, name=cells[1].run_id)
    found = StudyFolder(tmp_path, cells[1:3])
    assert found.others == 1
    assert [found.states[cell.run_id].status for cell in cells[1:3]] == ["other", "missing"]


def test_of_two_folders_with_one_run_the_complete_one_counts(cells: list[Cell], tmp_path: Path) -> None:
    own = write(tmp_path, cells[0], version=2, status="running")
    old = write(tmp_path, cells[0], version=1, name="old")
    assert StudyFolder(tmp_path, cells[:1]).folder(cells[0]) == old
    (own / "manifest.json").unlink()
    both = write(tmp_path / "both", cells[0], version=2)
    write(tmp_path / "both", cells[0], version=1, name="old")
    assert StudyFolder(tmp_path / "both", cells[:1]).folder(cells[0]) == both


def test_a_run_with_a_damaged_manifest_is_unreadable(cells: list[Cell], tmp_path: Path) -> None:
    run = write(tmp_path, cells[0], version=2)
    (run / "manifest.json").write_text("{")
    state = StudyFolder(tmp_path, cells).states[cells[0].run_id]
    assert state.status == "unreadable"
    assert "is damaged" in state.error


def test_every_manifest_is_read_once(cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [write(tmp_path, cell, version=1, name=f"old-{index}") for index, cell in enumerate(cells)]
    reads: list[Path] = []
    read = module.read_manifest
    monkeypatch.setattr(module, "read_manifest", lambda folder: (reads.append(folder), read(folder))[1])
    found = StudyFolder(tmp_path, cells)
    assert [found.folder(cell) for cell in cells] == runs
    assert found.others == 0
    assert sorted(reads) == sorted(runs)
