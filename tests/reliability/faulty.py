"""Commands that meet a fault: at the n-th thing that they do to the files below a folder, a disk fails or they die."""

from __future__ import annotations

import enum
import itertools
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

_HERE = Path(__file__).parent


class Action(enum.IntEnum):
    """What happens at the operation."""

    COUNT = 0
    FAIL_ONCE = 1  # EIO
    FULL = 2  # half a write and then ENOSPC, to everything from there on
    KILL_BEFORE = 3
    KILL_HALF = 4  # of a write, half is done
    KILL_AFTER = 5


KILLS = (Action.KILL_BEFORE, Action.KILL_HALF, Action.KILL_AFTER)


class Victim(enum.IntEnum):
    """Who is killed: the process itself, the command that was started, it and its workers, or one worker."""

    OWN = 0
    LEADER = 1
    GROUP = 2
    WORKER = 3


class Ended(NamedTuple):
    """How a command ended: below zero is the signal that killed it, 70 a traceback that nothing caught."""

    code: int
    out: str
    err: str
    cpu: float
    pid: int

    @property
    def killed(self) -> bool:
        return self.code == -9


class Kind(enum.IntEnum):
    """What was done."""

    WRITE = 1
    SYNC = 2
    RENAME = 3
    CREATE = 4
    FOLDER = 5
    UNLINK = 6
    TRUNCATE = 7


class Done(NamedTuple):
    """Something that was done to a file or a folder."""

    kind: Kind
    path: str
    target: str
    inode: int
    offset: int
    data: bytes


def build(folder: Path) -> Path | None:
    """Build the shim; None where there is no C compiler, or no LD_PRELOAD."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "shim.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(_HERE / "shim.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


class Machine:
    """Does commands that meet faults; what it imports, it imports once.

    Args:
        library: The built shim.
        folder: For its own files, outside of what is watched.
        warm: Commands that are done once before, with WARM for a folder that goes again.
    """

    def __init__(self, library: Path, folder: Path, warm: Sequence[Sequence[object]] = ()) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        own = {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        own |= {"TMPDIR": str(folder)}
        self._server = subprocess.Popen(
            [sys.executable, str(_HERE / "server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            stderr=subprocess.DEVNULL,
            env=os.environ | own,
        )
        self._send([[str(part) for part in argv] for argv in warm])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        if self._server.stdin is not None:
            self._server.stdin.close()
        self._server.wait(60)

    def run(
        self,
        argv: Sequence[object],
        root: Path,
        *,
        at: int = 0,
        action: Action = Action.COUNT,
        victim: Victim = Victim.OWN,
        blind: bool = False,
        seconds: float = 120,
    ) -> Ended:
        """Do a command, with a fault at one operation below ``root``, counted from 1."""
        return self._ask([self._trial(argv, root, at, action, victim, blind, seconds)])[0]

    def together(self, commands: Sequence[Sequence[object]], root: Path, *, blind: bool = False) -> list[Ended]:
        """Do commands at the same time; ``blind``: no lock below ``root`` keeps them apart."""
        return self._ask([self._trial(argv, root, 0, Action.COUNT, Victim.OWN, blind, 300) for argv in commands])

    def count(self, argv: Sequence[object], root: Path) -> int:
        """How many operations a command does below ``root``, its workers' included."""
        trial = self._trial(argv, root, 0, Action.COUNT, Victim.OWN, False, 300)
        ended = self._ask([trial])[0]
        assert ended.code == 0, ended
        return int(struct.unpack("l", Path(trial["counter"]).read_bytes())[0])

    def record(self, argv: Sequence[object], root: Path) -> list[Done]:
        """Everything that a command does below ``root``, in order."""
        trial = self._trial(argv, root, 0, Action.COUNT, Victim.OWN, False, 120)
        trial["log"] = str(self._folder / f"log-{next(self._numbers)}")
        ended = self._ask([trial])[0]
        assert ended.code == 0, ended
        return list(_operations(Path(trial["log"]).read_bytes()))

    def _trial(
        self, argv: Sequence[object], root: Path, at: int, action: Action, victim: Victim, blind: bool, seconds: float
    ) -> dict[str, Any]:
        return {
            "argv": [str(part) for part in argv],
            "root": str(root.resolve()),
            "at": at,
            "action": int(action),
            "victim": int(victim),
            "blind": int(blind),
            "log": "",
            "counter": str(self._folder / f"counter-{next(self._numbers)}"),
            "seconds": seconds,
        }

    def _send(self, what: object) -> None:
        assert self._server.stdin is not None
        print(json.dumps(what), file=self._server.stdin, flush=True)

    def _ask(self, trials: list[dict[str, Any]]) -> list[Ended]:
        self._send(trials)
        assert self._server.stdout is not None
        answer = self._server.stdout.readline()
        assert answer, f"the server ended with {self._server.wait(10)}"
        return [Ended(**found) for found in json.loads(answer)]


def _operations(log: bytes) -> Iterator[Done]:
    head, place = struct.Struct("6Q"), 0
    while place < len(log):
        kind, first, second, inode, offset, length = head.unpack_from(log, place)
        place += head.size
        parts = []
        for size in (first, second, length):
            parts.append(log[place : place + size])
            place += size
        yield Done(Kind(kind), os.fsdecode(parts[0]), os.fsdecode(parts[1]), inode, offset, parts[2])
