"""The index of a study's folder: what has not changed is not read again, what has changed always is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contested.config import identifying
from contested.studies import Cell, expand, load_study
from contested.studies import index as module
from contested.studies.folder import StudyFolder, begin, run_folder
from contested.studies.index import INDEX
from contested.trajectories import RunWriter, resuming
from contested.trajectories.manifest import read_manifest, write_manifest

STUDY = {
    "defaults": {"model": {"name": "org/none"}, "task": {"annotated": {"path": "people.jsonl"}}},
    "axes": {"method": ["full", "lora"], "seed": [1, 2]},
}


@pytest.fixture
def cells(tmp_path: Path) -> list[Cell]:
    file = tmp_path / "made.yaml"
    file.write_text(json.dumps(STUDY))
    study = load_study(file)
    file.unlink()  # a study's folder holds nothing else
    begin(study, tmp_path)
    return expand(study)


@pytest.fixture
def runs(cells: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Four complete runs, written long ago as the index sees it."""
    pd = pytest.importorskip("pandas")
    examples = pd.DataFrame({"row_key": [0, 1], "example_id": ["a", "b"], "split": "train"})
    for cell in cells:
        identity = {"version": 2, "config": identifying(cell.config), "data": "d", "model": "m"}
        header = {"run_id": cell.run_id, "identity": identity, "label_names": [], "category_names": []}
        writer = RunWriter.create(run_folder(tmp_path, cell), header=header, examples=examples, text_columns=())
        for step in (0, 8):
            writer.write_checkpoint(step=step, epoch=step / 8, losses=np.array([1.0, 2.0]), logits=None)
            writer.list_checkpoint(step=step, epoch=step / 8)
        writer.finish("complete")
    monkeypatch.setattr(module, "_SETTLED", 0)
    return [run_folder(tmp_path, cell) for cell in cells]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[list[str], list[str]]]:
    """The names of the runs whose manifests were read, and of those whose files were, since the last call."""
    manifests: list[str] = []
    files: list[str] = []
    parse, check = module.read_manifest, resuming.check_whole
    monkeypatch.setattr(module, "read_manifest", lambda run: (manifests.append(run.name), parse(run))[1])
    monkeypatch.setattr(
        resuming, "check_whole", lambda run, **how: (files.append(run.name), check(run, **how))[1], raising=True
    )

    def since() -> tuple[list[str], list[str]]:
        found = sorted(manifests), sorted(files)
        manifests.clear()
        files.clear()
        return found

    return since


def statuses(folder: Path, cells: list[Cell], *, verify: bool = True) -> list[str]:
    found = StudyFolder(folder, cells, verify=verify).states
    return [found[cell.run_id].status for cell in cells]


def test_what_has_not_changed_is_read_once(
    cells: list[Cell], runs: list[Path], tmp_path: Path, read: Callable[[], Any]
) -> None:
    names = sorted(run.name for run in runs)
    first = StudyFolder(tmp_path, cells).states
    assert read() == (names, [])
    assert statuses(tmp_path, cells) == ["complete"] * 4
    assert read() == ([], names)
    assert StudyFolder(tmp_path, cells, verify=True).states.keys() == first.keys()
    assert read() == ([], [])
    again = StudyFolder(tmp_path, cells).states
    assert [again[cell.run_id][:3] for cell in cells] == [first[cell.run_id][:3] for cell in cells]
    # A run that is gone is missing, and one that is written anew is read anew.
    (runs[0] / "manifest.json").unlink()
    write_manifest(runs[1], read_manifest(runs[1]) | {"status": "failed", "error": "why"})
    assert statuses(tmp_path, cells) == ["missing", "failed", "complete", "complete"]
    assert read() == ([runs[1].name], [])


@pytest.mark.parametrize("name", ["manifest.json", "examples.parquet", "checkpoints/step-00000008.parquet"])
def test_a_file_that_changes_is_found_out_also_where_size_and_time_are_as_before(
    name: str, cells: list[Cell], runs: list[Path], tmp_path: Path
) -> None:
    assert statuses(tmp_path, cells) == ["complete"] * 4
    file = runs[2] / name
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    with file.open("r+b") as opened:
        opened.write(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_ino, file.stat().st_size, file.stat().st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )
    wrong = "unreadable" if name == "manifest.json" else "damaged"
    assert statuses(tmp_path, cells) == ["complete", "complete", wrong, "complete"]
    # Nor is it forgotten again.
    assert statuses(tmp_path, cells) == ["complete", "complete", wrong, "complete"]


@pytest.mark.parametrize("name", ["examples.parquet", "checkpoints/step-00000000.parquet"])
def test_a_file_that_is_gone_or_new_is_found_out(
    name: str, cells: list[Cell], runs: list[Path], tmp_path: Path
) -> None:
    assert statuses(tmp_path, cells) == ["complete"] * 4
    (runs[0] / name).unlink()
    (runs[1] / "checkpoints" / "step-00000004.parquet").write_bytes(b"")
    assert statuses(tmp_path, cells) == ["damaged", "damaged", "complete", "complete"]


def test_of_files_that_changed_a_moment_ago_nothing_is_kept(
    cells: list[Cell], runs: list[Path], tmp_path: Path, read: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED", 3600 * 10**9)
    for _ in range(2):
        assert statuses(tmp_path, cells) == ["complete"] * 4
        assert read() == (sorted(run.name for run in runs),) * 2


@pytest.mark.parametrize("how", ["of another version", "changed", "cut", "no text"])
def test_an_index_that_is_not_as_it_was_written_counts_as_none(
    how: str,
    cells: list[Cell],
    runs: list[Path],
    tmp_path: Path,
    read: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / INDEX
    statuses(tmp_path, cells)
    read()
    content = file.read_bytes()
    if how == "of another version":
        monkeypatch.setattr(module, "_RULES", [0])
    else:
        other = {"changed": content.replace(b"complete", b"modified"), "cut": content[:-9], "no text": b"\xff\xfe"}
        file.write_bytes(other[how])
    assert statuses(tmp_path, cells) == ["complete"] * 4
    assert read() == (sorted(run.name for run in runs),) * 2
    assert statuses(tmp_path, cells) == ["complete"] * 4
    assert read() == ([], [])


def test_who_may_only_read_a_study_sees_its_state(
    cells: list[Cell], runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(module, "write_text", refuse)
    assert statuses(tmp_path, cells) == ["complete"] * 4
    assert not (tmp_path / INDEX).exists()


_ON_CORES = """
import sys
from pathlib import Path
import contested.beside
from contested.studies import expand, open_study
import contested.studies.folder as folder
import contested.studies.index as index
contested.beside.processes = lambda: 2
folder._TOGETHER, index._TOGETHER = map(int, sys.argv[2:])
found = folder.StudyFolder(Path(sys.argv[1]), expand(open_study(Path(sys.argv[1]))), verify=True)
print([state[:4] + (state.error.splitlines()[0] if state.error else "",) for state in found.states.values()])
print(found.untidy)
"""


def test_runs_that_are_read_on_all_cores_are_what_they_are_on_one(runs: list[Path], tmp_path: Path) -> None:
    (runs[0] / "metrics.jsonl").write_text("no metrics\n")
    (runs[1] / ".manifest.json.partial").write_text("left by a process that died")
    (runs[2] / "manifest.json").write_text("no manifest")
    told = []
    for together in (1, 100):
        (tmp_path / INDEX).unlink(missing_ok=True)
        command = [sys.executable, "-c", _ON_CORES, str(tmp_path), str(together), str(together)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told[0] == told[1]
    assert not told[0].endswith("[]\n")
    assert [word in told[0] for word in ("damaged", "unreadable", "complete")] == [True, True, True]
