"""A few kills and failing disks, and power cuts at every flush; test_many_faults.py has them by the hundred."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import NamedTuple

import pytest
from comparing import content, hidden
from faulty import KILLS, Action, Machine
from power_cut import Disk, lay_out, replay

from contested.trajectories import Trajectory, inspect_run


class Whole(NamedTuple):
    """A run that was done without a fault: its method, the folder above it, and how many operations it took."""

    method: str
    root: Path
    operations: int


@pytest.fixture(scope="module", params=["lora", "full"])
def whole(
    request: pytest.FixtureRequest, machine: Machine, inputs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    root = tmp_path_factory.mktemp("whole")
    return Whole(request.param, root, machine.count(train(inputs, request.param, root), root))


def train(inputs: Path, method: str, root: Path) -> list[object]:
    return ["train", inputs / f"{method}.yaml", "--out", root / "run"]


def test_a_killed_run_comes_back_bit_for_bit(whole: Whole, machine: Machine, inputs: Path, tmp_path: Path) -> None:
    rng = random.Random(whole.method)
    command, at = train(inputs, whole.method, tmp_path), rng.randint(1, whole.operations)
    ended = machine.run(command, tmp_path, at=at, action=rng.choice(KILLS))
    assert ended.killed, ended
    assert machine.run(command, tmp_path).code == 0
    assert content(tmp_path / "run") == content(whole.root / "run")
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("action", [Action.FAIL_ONCE, Action.FULL])
def test_a_failing_disk_is_one_message_and_a_full_one_ends_with_1(
    action: Action, whole: Whole, machine: Machine, inputs: Path, tmp_path: Path
) -> None:
    # Later than the first writes, which decide whether the folder will do at all.
    at = random.Random(whole.method).randint(whole.operations // 3, whole.operations * 9 // 10)
    ended = machine.run(train(inputs, whole.method, tmp_path), tmp_path, at=at, action=action)
    assert ended.code == 1, ended
    assert "Traceback" not in ended.err
    assert "contested: " in ended.err
    assert machine.run(train(inputs, whole.method, tmp_path), tmp_path).code == 0
    assert content(tmp_path / "run") == content(whole.root / "run")
    assert hidden(tmp_path) == []


def test_a_power_cut_at_any_flush_leaves_nothing_that_is_said_to_be_there_and_is_not(
    whole: Whole, machine: Machine, inputs: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    operations = machine.record(train(inputs, whole.method, root), root)
    disk = Disk(root)
    for done in operations:
        disk.do(done)
    # Nothing was written that the recording has not seen.
    assert disk.content == {
        str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()
    }
    reference, seen, complete = Trajectory.load(whole.root / "run"), set(), 0
    for cut in replay(operations, root):
        key = frozenset(cut.files.items())
        if key in seen or "run/manifest.json" not in cut.files:
            continue
        seen.add(key)
        found = tmp_path / str(len(seen))
        lay_out(cut.files, found)
        complete += right_after_cut(found / "run", reference, whole.root / "run", cut.how)
    assert len(seen) > 20
    assert complete > 0


def right_after_cut(run: Path, reference: Trajectory, whole: Path, how: str) -> bool:
    """Check that all that is read after a power cut is right; say whether the run is complete, with its weights."""
    health = inspect_run(run)
    assert health.damage == (), (how, health)
    if json.loads((run / "manifest.json").read_text())["checkpoints"]:
        found = Trajectory.load(run)
        length = len(found.steps)
        assert found.steps.tolist() == reference.steps.tolist()[:length]
        assert found.logits.tobytes() == reference.logits[:length].tobytes()
    if health.status != "complete":
        return False
    (weights,) = {"adapter", "model"} & {path.name for path in whole.iterdir()}
    assert content(run / weights) == content(whole / weights)
    return True
