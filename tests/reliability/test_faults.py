"""A few kills and failing disks; test_many_faults.py has them by the hundred."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import pytest
from comparing import content, hidden
from faulty import KILLS, Action, Machine


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
    for number, action in enumerate(rng.sample(KILLS, 2)):
        root = tmp_path / str(number)
        root.mkdir()
        command = train(inputs, whole.method, root)
        ended = machine.run(command, root, at=rng.randint(1, whole.operations), action=action)
        assert ended.killed, ended
        assert machine.run(command, root).code == 0
        assert content(root / "run") == content(whole.root / "run")
        assert hidden(root) == []


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
