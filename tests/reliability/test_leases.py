"""Workers on disks that lie, killed, stopped, told wrong times: never two writers of a run, nothing lost; minutes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comparing import content, hidden

from contested.config import load_config
from contested.runs import train_config
from contested.trajectories import inspect_run

pytestmark = pytest.mark.slow

PERIOD_S = 2.0
KILLS = 50
LATE = "entry_timeout=3,attr_timeout=3,negative_timeout=3"


class Workers:
    """Starts workers, and knows which are at work.

    Args:
        folder: For logs and the clocks' offsets.
        runs: Configuration file and name of each run.
        places: The study's folder as each worker sees it.
    """

    def __init__(self, folder: Path, runs: list[tuple[Path, str]], places: list[Path]) -> None:
        self._folder = folder
        self._places = places
        self.clock = folder / "clock"
        self.clock.write_text("0")
        env = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "workers.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        told = {"runs": [(str(config), name) for config, name in runs], "period_s": PERIOD_S}
        assert self._ask(told | {"warm": str(folder / "warm"), "clock": str(self.clock)}) == "ready"
        self.pids: dict[int, int] = {}

    def start(self, number: int, study: str) -> None:
        """Start the worker with a number, on a machine of its own, with the runs of a folder."""
        place = self._places[number] / study
        log = self._folder / f"log-{number}"
        self.pids[number] = int(self._ask({"name": f"host{number}", "study": str(place), "log": str(log)}))

    def _ask(self, what: object) -> str:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(what), file=self._server.stdin, flush=True)
        return self._server.stdout.readline().strip()

    def running(self, number: int) -> bool:
        try:
            stat = Path(f"/proc/{self.pids[number]}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send something to a worker and all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pids[number], what)

    @property
    def log(self) -> str:
        return "".join(file.read_text() for file in sorted(self._folder.glob("log-*")))

    def close(self) -> None:
        for number in self.pids:
            self.signal(number, signal.SIGKILL)
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(60)


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Path]]:
    """The study's folder as each of six workers sees it: the same one, or each through a cache of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if request.param == "without locks":
        yield [disk] * 6
        return
    if shutil.which("bindfs") is None or os.geteuid() != 0:
        pytest.skip("a disk that shows late what others did needs bindfs, and root")
    seen = [tmp_path / f"seen{number}" for number in range(6)]
    for path in seen:
        path.mkdir()
        subprocess.run(["bindfs", "-o", LATE, str(disk), str(path)], check=True)
    try:
        yield seen
    finally:
        for path in seen:
            subprocess.run(["umount", "-l", str(path)], check=True)


def lay_out_runs(inputs: Path) -> list[tuple[Path, str]]:
    made = []
    for number in range(6):
        method = "full" if number == 5 else "lora"
        config: dict[str, Any] = json.loads((inputs / f"{method}.yaml").read_text())
        config |= {"seed": number, "training": {**config["training"], "epochs": 4}}
        made.append((inputs / f"run{number}.yaml", f"run{number}"))
        made[-1][0].write_text(json.dumps(config))
    return made


def state(run: Path) -> tuple[int, int]:
    """Who wrote the manifest last, and how far it had come."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = json.loads((run / "manifest.json").read_text())
        return found["lease"]["generation"], len(found["checkpoints"]) + (found["status"] == "complete")
    return 0, 0


class Chaos:
    """Kills, stops and deceives workers until the runs of as many rounds are complete as that takes.

    Args:
        workers: The workers.
        disk: Where each round's folder is.
        names: The runs.
    """

    def __init__(self, workers: Workers, disk: Path, names: list[str]) -> None:
        self.kills = self.stops = self.jumps = 0
        self.rounds = [disk / "0"]
        self.seen: dict[Path, tuple[int, int]] = {}
        self._workers = workers
        self._names = names
        self._asleep: dict[int, float] = {}
        self._rng = random.Random(5)
        self._end = time.monotonic() + 1500

    def run(self) -> None:
        """Do it."""
        for number in range(6):
            self._start(number)
        next_event = 0.0
        while not self._done():
            assert time.monotonic() < self._end, (self.kills, self.stops, self.seen, self._workers.log[-3000:])
            self._look()
            if time.monotonic() > next_event:
                next_event = time.monotonic() + self._rng.uniform(0.2, 1.2)
                self._happen(self._rng.randrange(6))
            time.sleep(0.002)
        for number in range(6):
            self._workers.signal(number, signal.SIGCONT)
            while self._workers.running(number):
                assert time.monotonic() < self._end, self._workers.log[-3000:]
                time.sleep(0.1)

    def _start(self, number: int) -> None:
        self.rounds[-1].mkdir(exist_ok=True)
        self._workers.start(number, self.rounds[-1].name)

    def _done(self) -> bool:
        if not all(complete(self.rounds[-1] / name) for name in self._names):
            return False
        if self.kills < KILLS:
            self.rounds.append(self.rounds[-1].with_name(str(len(self.rounds))))
            return False
        return True

    def _look(self) -> None:
        """Two that write one run by turns would be seen here: the number of who wrote last never falls."""
        for name in self._names:
            run = self.rounds[-1] / name
            before, now = self.seen.get(run, (0, 0)), state(run)
            assert now >= before, (run, before, now)
            self.seen[run] = now
        for number, until in list(self._asleep.items()):
            if time.monotonic() > until:
                self._workers.signal(number, signal.SIGCONT)
                del self._asleep[number]

    def _happen(self, number: int) -> None:
        what = self._rng.random()
        if number in self._asleep:
            return
        if not self._workers.running(number):
            assert "Traceback" not in self._workers.log, self._workers.log[-5000:]
            self._start(number)
        elif what < 0.5 and self.kills < KILLS:
            self._workers.signal(number, signal.SIGKILL)
            self.kills += 1
        elif what < 0.8:
            self._workers.signal(number, signal.SIGSTOP)
            self._asleep[number] = time.monotonic() + self._rng.uniform(0.5, 4) * PERIOD_S
            self.stops += 1
        else:
            self._workers.clock.write_text(str(self._rng.choice((-1, 1)) * self._rng.randrange(10**6)))
            self.jumps += 1


@pytest.mark.parametrize("places", ["without locks", "late"], indirect=True)
def test_killed_stopped_and_deceived_workers_record_each_run_as_if_it_were_alone(
    places: list[Path], inputs: Path, tmp_path: Path
) -> None:
    runs = lay_out_runs(inputs)
    for config, name in runs:
        train_config(load_config(config), out=tmp_path / "whole" / name)
    workers = Workers(tmp_path, runs, places)
    chaos = Chaos(workers, tmp_path / "disk", [name for _, name in runs])
    try:
        chaos.run()
        log = workers.log
    finally:
        workers.close()
    print(f"{chaos.kills} kills, {chaos.stops} stops, {chaos.jumps} jumps of the clock, {len(chaos.rounds)} rounds")
    print(f"{log.count('LeaseLostError')} cut off, {sum(found[0] for found in chaos.seen.values())} generations")
    assert "Traceback" not in log, log[-5000:]
    assert log.count("LeaseLostError") > 0
    for run in chaos.seen:
        assert inspect_run(run).damage == ()
        assert content(run, of_workers=True) == content(tmp_path / "whole" / run.name, of_workers=True)
        assert hidden(run) == []


def complete(run: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return bool(json.loads((run / "manifest.json").read_text())["status"] == "complete")
    return False
