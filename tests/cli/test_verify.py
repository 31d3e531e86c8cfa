"""``contested verify``: what is damaged, what is left over, what can still be read; and ``--repair``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contested.cli import main
from contested.trajectories import Trajectory, held

N = 20


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "mine"
    Trajectory.from_arrays(
        logits=rng.normal(size=(3, N, 2)),
        gold=rng.integers(0, 2, N),
        label_counts=rng.integers(1, 50, (N, 2)),
        steps=[0, 8, 16],
        check_label_order=False,
        run_id="mine",
    ).save(folder)
    return folder


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command, and gives what it printed."""

    def check(*argv: object, code: int = 0) -> str:
        assert main(["verify", *map(str, argv)]) == code
        shown = capsys.readouterr()
        assert shown.err == ""
        return shown.out

    return check


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def leave_behind(folder: Path) -> Path:
    left = folder / ".examples.parquet.0123456789abcdef.contested-tmp"
    left.write_bytes(b"half")
    return left


def test_a_whole_run_is_as_it_was_written(verify: Callable[..., str], run: Path) -> None:
    assert verify(run) == f"mine ({run}): complete, as it was written\n"


@pytest.mark.parametrize("name", ["examples.parquet", "checkpoints/step-00000008.parquet", "metrics.jsonl"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_every_damaged_file_is_named_and_what_can_be_read_told(
    name: str, damage: str, verify: Callable[..., str], run: Path
) -> None:
    file = run / name
    if damage == "flipped" and not file.stat().st_size:
        file.write_bytes(b"x")  # nothing to flip: a byte too many
    elif damage == "flipped":
        flip(file)
    elif damage == "cut" and file.stat().st_size:
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    said = verify(run, code=0 if name == "metrics.jsonl" and damage == "flipped" else 1)
    assert name in said
    if name.startswith("checkpoints"):
        assert "2 of 3 checkpoints can be read" in said


def test_a_damaged_manifest_is_named_too(verify: Callable[..., str], run: Path) -> None:
    flip(run / "manifest.json")
    said = verify(run, code=1)
    assert "manifest.json" in said
    assert "damaged" in said
    assert "3 files of checkpoints lie there" in said
    (run / "manifest.json").unlink()
    said = verify(run, code=1)
    assert "it has no manifest.json" in said
    assert "3 files of checkpoints lie there" in said


def test_a_run_of_a_folder_that_lost_its_manifest_is_not_passed_over(
    verify: Callable[..., str], fails: Callable[..., str], run: Path
) -> None:
    shutil.copytree(run, run.with_name("other"))
    (run / "manifest.json").unlink()
    said = verify(run.parent, code=1)
    assert f"{run.name} ({run}): damaged" in said
    assert "other): complete, as it was written" in said
    assert f"{run} is not a run folder: it has no manifest.json" in fails("report", run.parent)


def test_what_is_left_over_is_no_damage_and_goes_on_demand(verify: Callable[..., str], run: Path) -> None:
    left = leave_behind(run)
    deep = run / "report"
    deep.mkdir()
    other = leave_behind(deep)
    said = verify(run)
    assert f"left over: {left.name}" in said
    assert f"left over: report/{other.name}" in said
    assert "--repair removes it" in said
    assert left.exists()
    before = {
        file: file.read_bytes()
        for file in run.rglob("*")
        if file.is_file() and file not in {left, other} and ".lease" not in file.parts
    }
    said = verify(run, "--repair")
    assert f"removed: {left.name}" in said
    assert f"removed: report/{other.name}" in said
    assert not left.exists()
    assert not other.exists()
    now = {
        file: file.read_bytes()
        for file in run.rglob("*")
        if file.is_file() and file.name != ".lock" and ".lease" not in file.parts
    }
    assert now == before
    assert verify(run) == f"mine ({run}): complete, as it was written\n"


def test_repair_takes_nothing_from_what_is_damaged(verify: Callable[..., str], run: Path) -> None:
    flip(run / "examples.parquet")
    left = leave_behind(run)
    damaged = (run / "examples.parquet").read_bytes()
    verify(run, "--repair", code=1)
    assert not left.exists()
    assert (run / "examples.parquet").read_bytes() == damaged


def test_a_run_that_is_being_written_is_left_alone(verify: Callable[..., str], run: Path) -> None:
    with held(run):
        left = leave_behind(run)
        assert "A process is writing this run" in verify(run, "--repair")
        assert left.exists()


def test_the_findings_as_json(verify: Callable[..., str], run: Path) -> None:
    left = leave_behind(run)
    flip(run / "checkpoints" / "step-00000016.parquet")
    (found,) = json.loads(verify(run, "--json", code=1))
    assert (found["name"], found["path"], found["summary"]) == ("mine", str(run), "complete, damaged")
    (damage,) = found["damage"]
    assert "step-00000016.parquet" in damage
    assert (found["left_over"], found["removed"]) == ([str(left)], [])
    (found,) = json.loads(verify(run, "--repair", "--json", code=1))
    assert (found["left_over"], found["removed"]) == ([], [str(left)])


def test_a_folder_of_an_earlier_version_has_no_checksums_and_that_is_said(
    verify: Callable[..., str], run: Path, former: Callable[[Path], None]
) -> None:
    former(run)
    assert "an earlier version wrote it without checksums" in verify(run)
    (run / "examples.parquet").write_bytes(b"PAR1")
    assert "examples.parquet" in verify(run, code=1)


@pytest.fixture
def former() -> Callable[[Path], None]:
    def make(run: Path) -> None:
        manifest = json.loads((run / "manifest.json").read_text())
        for key in ("files", "digest"):
            manifest.pop(key)
        (run / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 2}))

    return make


def test_a_folder_of_runs_and_several_folders(verify: Callable[..., str], run: Path, tmp_path: Path) -> None:
    Trajectory.load(run).save(tmp_path / "runs" / "one")
    Trajectory.load(run).save(tmp_path / "runs" / "two")
    said = verify(tmp_path / "runs", run).splitlines()
    assert [line.partition(":")[0] for line in said] == [
        f"mine ({folder})" for folder in (tmp_path / "runs" / "one", tmp_path / "runs" / "two", run)
    ]


def test_what_is_no_run_is_said_to_be_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "There is no run in" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "nowhere")]) == 2
    assert "does not exist. Give the folder of a run or study." in capsys.readouterr().err


@pytest.fixture
def study(run: Path, tmp_path: Path) -> Path:
    """A study's folder with two runs, one that has just begun, and a miniature's world."""
    folder = tmp_path / "study"
    for name in ("one", "two"):
        Trajectory.load(run).save(folder / "runs" / name)
    (folder / "runs" / "begun").mkdir()
    content: dict[str, Any] = {
        "name": "made",
        "defaults": {"model": {"name": "org/none"}, "task": {"annotated": {"path": "people.jsonl"}}},
        "axes": {"seed": [1, 2]},
    }
    (folder / "study.yaml").write_text(json.dumps(content))
    (folder / "world").mkdir()
    (folder / "world" / "data.jsonl").write_text("{}\n")
    digest = "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"  # sha256sum of "{}\n"
    (folder / "world" / "parts.json").write_text(json.dumps({"data": {"data.jsonl": digest}}))
    return folder


def test_a_study_is_its_own_files_and_its_runs(verify: Callable[..., str], study: Path) -> None:
    assert verify(study).splitlines() == [
        f"study ({study}): study, 2 runs, 1 begun without a checkpoint",
        f"mine ({study / 'runs' / 'one'}): complete, as it was written",
        f"mine ({study / 'runs' / 'two'}): complete, as it was written",
        f"begun ({study / 'runs' / 'begun'}): nothing is recorded yet",
    ]


def test_damage_and_leftovers_of_a_study_are_told_where_they_are(verify: Callable[..., str], study: Path) -> None:
    flip(study / "world" / "data.jsonl")
    flip(study / "runs" / "two" / "examples.parquet")
    lefts = [leave_behind(folder) for folder in (study, study / "runs" / "begun", study / "runs" / "one")]
    said = verify(study, code=1)
    assert "world/data is not as it was made" in said
    assert said.endswith("there is no copy: contested study run --from-start begins them again.\n")
    assert "examples.parquet" in said.partition(str(study / "runs" / "two"))[2]
    assert said.count("left over: .examples") == 3
    verify(study, "--repair", code=1)
    assert not any(left.exists() for left in lefts)
    (study / "study.yaml").write_text("axes: [")
    assert "study.yaml cannot be read" in verify(study, code=1)
