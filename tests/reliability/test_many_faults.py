"""Kills by the hundred, a failing disk at every third operation, and races, again and again; minutes each."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from comparing import content, hidden
from faulty import KILLS, Action, Ended, Machine, Victim

from contested.errors import RunError
from contested.trajectories import Trajectory, inspect_run

pytestmark = pytest.mark.slow


def train(inputs: Path, method: str, root: Path) -> list[object]:
    return ["train", inputs / f"{method}.yaml", "--out", root / "run"]


def folder(parent: Path, number: object) -> Path:
    made = parent / str(number)
    made.mkdir()
    return made


def told(ended: Ended) -> None:
    """A command that a disk failed: a message, no traceback, and the exit code of neither bad input nor a bug."""
    assert ended.code in {0, 1, 2}, ended
    assert "Traceback" not in ended.err, ended
    assert ended.code == 0 or "contested: " in ended.err, ended


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_killed_50_times_comes_back_bit_for_bit(
    method: str, machine: Machine, inputs: Path, tmp_path: Path
) -> None:
    whole = folder(tmp_path, "whole")
    total = machine.count(train(inputs, method, whole), whole)
    rng = random.Random(7)
    for number in range(50):
        root = folder(tmp_path, number)
        command, at, action = train(inputs, method, root), rng.randint(1, total), rng.choice(KILLS)
        where = (at, action)
        ended = machine.run(command, root, at=at, action=action)
        assert ended.killed, (where, ended)
        assert machine.run(command, root).code == 0, where
        assert content(root / "run") == content(whole / "run"), where
        assert hidden(root) == [], where
        shutil.rmtree(root)


def test_a_run_killed_again_and_again_on_its_way_comes_back_bit_for_bit(
    machine: Machine, inputs: Path, tmp_path: Path
) -> None:
    whole, root = folder(tmp_path, "whole"), folder(tmp_path, "root")
    assert machine.run(train(inputs, "lora", whole), whole).code == 0
    rng = random.Random(3)
    command, kills = train(inputs, "lora", root), 0
    while (ended := machine.run(command, root, at=rng.randint(1, 250), action=rng.choice(KILLS))).killed:
        kills += 1
        assert kills < 100
    assert ended.code == 0, ended
    assert kills > 0
    assert content(root / "run") == content(whole / "run")
    assert hidden(root) == []


@pytest.mark.parametrize("action", [Action.FAIL_ONCE, Action.FULL])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_disk_that_fails_at_every_third_operation_is_told_and_nothing_is_lost(
    method: str, action: Action, machine: Machine, inputs: Path, tmp_path: Path
) -> None:
    whole = folder(tmp_path, "whole")
    total = machine.count(train(inputs, method, whole), whole)
    wrong = []
    for number, at in enumerate(range(1, total + 1, 3)):
        root = folder(tmp_path, at)
        ended = machine.run(train(inputs, method, root), root, at=at, action=action)
        try:
            told(ended)
            # What comes of it afterwards is asked of every fifth, and of all that had nothing to say.
            if number % 5 == 0 or ended.code == 0:
                again = machine.run(train(inputs, method, root), root)
                assert again.code == 0, again
                assert content(root / "run") == content(whole / "run")
                assert hidden(root) == []
        except AssertionError as error:
            wrong.append((at, ended, str(error)[-2000:]))
        shutil.rmtree(root)
    assert wrong == []


def study(inputs: Path, root: Path) -> list[object]:
    return ["study", "run", inputs / "study.yaml", "--out", root / "study", "--jobs", "1"]


def runs_of(root: Path) -> dict[str, dict[str, Any]]:
    return {run.name: content(run, of_workers=True) for run in sorted((root / "study" / "runs").iterdir())}


def test_a_study_whose_processes_are_killed_20_times_comes_back_bit_for_bit(
    machine: Machine, inputs: Path, tmp_path: Path
) -> None:
    whole = folder(tmp_path, "whole")
    total = machine.count(study(inputs, whole), whole)
    rng = random.Random(11)
    for number in range(20):
        root = folder(tmp_path, number)
        victim = (Victim.GROUP, Victim.LEADER, Victim.WORKER)[number % 3]
        at, action = rng.randint(1, total * 9 // 10), rng.choice(KILLS)
        where = (number, victim, at, action)
        ended = machine.run(study(inputs, root), root, at=at, action=action, victim=victim)
        # Without one of its workers a study goes on and says what it lost.
        assert ended.code == 1 if victim is Victim.WORKER else ended.killed, (where, ended)
        assert "Traceback" not in ended.err, (where, ended)
        again = machine.run(study(inputs, root), root)
        assert again.code == 0, (where, again)
        assert runs_of(root) == runs_of(whole), where
        assert hidden(root) == [], where
        shutil.rmtree(root)


COMMANDS: dict[str, Sequence[str]] = {
    "report": ("report", "RUN", "--out", "ROOT/report", "--resamples", "50"),
    "analyze": ("analyze", "RUN", "--out", "ROOT/results", "--resamples", "50"),
    "import": ("import", "csv", "INPUTS/losses.csv", "--out", "ROOT/imported"),
    "verify": ("verify", "RUN", "--repair"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_other_commands_killed_20_times_end_as_if_they_had_not_been(
    name: str, machine: Machine, inputs: Path, tmp_path: Path
) -> None:
    source = folder(tmp_path, "source")
    assert machine.run(train(inputs, "lora", source), source).code == 0

    def command(root: Path) -> list[object]:
        shutil.copytree(source / "run", root / "run", dirs_exist_ok=True)
        (root / "run" / ".examples.parquet.0123456789abcdef.contested-tmp").write_text("left by a dead process")
        names = {"RUN": root / "run", "ROOT/report": root / "report", "ROOT/results": root / "results"}
        names |= {"ROOT/imported": root / "imported", "INPUTS/losses.csv": inputs / "losses.csv"}
        return [names.get(part, part) for part in COMMANDS[name]]

    whole = folder(tmp_path, "whole")
    total = machine.count(command(whole), whole)
    rng = random.Random(5)
    for number in range(20):
        root = folder(tmp_path, number)
        where = (at := rng.randint(1, total), action := rng.choice(KILLS))
        ended = machine.run(given := command(root), root, at=at, action=action)
        assert ended.killed, (where, ended)
        again = machine.run(given, root)
        # An import that was killed at its very end is there, and a folder that is there is not written again.
        assert again.code == 0 or "exists" in again.err, (where, again)
        assert same(content(root), root) == same(content(whole), whole), where
        assert hidden(root / name if name != "verify" else root) == [], where
        shutil.rmtree(root)


def same(found: dict[str, Any], root: Path) -> dict[str, Any]:
    """Contents that do not name their folder."""
    return {
        name: value.replace(str(root).encode(), b"ROOT") if isinstance(value, bytes) else value
        for name, value in found.items()
        if "/." not in f"/{name}"
    }


def test_two_miniatures_started_together_20_times_share_one_whole_world(machine: Machine, tmp_path: Path) -> None:
    sets = ["seeds=[42]", "select=[soft-labels]", "defaults.training.epochs=1", "defaults.task.bulk.size=40"]
    command = ["study", "run", "paper", "--scale", "mini", "--jobs", "1"]
    command += [part for value in sets for part in ("--set", value)]
    worlds = []
    for number in range(20):
        root = folder(tmp_path, number)
        both = machine.together([[*command, "--out", root / "mini"]] * 2, root)
        for ended in both:
            assert ended.code == 0, (number, ended)
        worlds.append(content(root / "mini" / "world"))
        assert worlds[-1] == worlds[0], number
        assert hidden(root) == [], number
        shutil.rmtree(root)


@pytest.mark.parametrize("seed", range(5))
def test_two_processes_that_no_lock_keeps_apart_leave_nothing_wrong(
    seed: int, machine: Machine, inputs: Path, tmp_path: Path
) -> None:
    whole, root = folder(tmp_path, "whole"), folder(tmp_path, "root")
    assert machine.run(train(inputs, "lora", whole), whole).code == 0
    both = machine.together([train(inputs, "lora", root)] * 2, root, blind=True)
    for ended in both:
        told(ended)
    again = machine.run(train(inputs, "lora", root), root)
    assert again.code == 0, again
    assert content(root / "run") == content(whole / "run")
    assert hidden(root) == []


def loaded(run: Path) -> Trajectory | None:
    """What is recorded of a run; None before there is a checkpoint."""
    try:
        return Trajectory.load(run)
    except RunError as error:
        if any(text in str(error) for text in ("does not exist", "is not a run folder", "no checkpoint yet")):
            return None
        raise


def test_readers_in_a_loop_never_see_anything_half(machine: Machine, inputs: Path, tmp_path: Path) -> None:
    whole, root = folder(tmp_path, "whole"), folder(tmp_path, "root")
    assert machine.run(train(inputs, "lora", whole), whole).code == 0
    reference = Trajectory.load(whole / "run")
    read = 0
    for _ in range(5):
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(machine.run, train(inputs, "lora", root), root)
            while not writing.done():
                found = loaded(root / "run")
                if found is None:
                    continue
                length = len(found.steps)
                assert found.logits.tobytes() == reference.logits[:length].tobytes()
                assert found.losses.tobytes() == reference.losses[:length].tobytes()
                read += 1
        assert writing.result().code == 0
        shutil.rmtree(root / "run")
    assert read > 100


@pytest.mark.parametrize("what", ["train", "study"])
def test_a_terminal_that_is_closed_saves_the_state(what: str, inputs: Path, tmp_path: Path) -> None:
    long = ["training.epochs=2000"] if what == "train" else ["--set", "defaults.training.epochs=2000"]
    given = train(inputs, "lora", tmp_path) if what == "train" else study(inputs, tmp_path)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "contested", *map(str, given), *long]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=take_terminal
    )
    os.close(theirs)
    wait_for(lambda: drain(ours) or list(tmp_path.rglob("state/*.pt")), process)
    os.close(ours)
    assert process.wait(120) == 130
    (run,) = [file.parent for file in tmp_path.rglob("manifest.json")]
    health = inspect_run(run)
    assert (health.status, health.damage) == ("interrupted", ())
    # Every step up to there is kept: the snapshot is of the last one.
    assert len(Trajectory.load(run).steps) > 0


def take_terminal() -> None:
    """Make the terminal on stdin the one that controls this session."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def drain(terminal: int) -> None:
    """Read what was printed, so that whoever prints can go on."""
    while select.select([terminal], [], [], 0)[0]:
        os.read(terminal, 10000)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, "it ended too soon"
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
