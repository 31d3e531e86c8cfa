"""Workers that share runs as machines of a cluster do, each in a network, a name and a space of processes of its own.

Line 1 of stdin has as JSON: ``runs`` (configuration file and folder in the study of each), ``period_s``, ``warm``
(where a first run is made) and ``clock`` (a file with the seconds by which all wall clocks are wrong). Every
further line starts a worker: its ``name``, the ``study`` folder as it sees it, and a ``log``. The answer is its
process id. Locks of files keep nobody apart. A worker goes through the runs until all are complete.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import random
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Self

_NEW_FOLDERS, _NEW_NAME, _NEW_PROCESSES, _NEW_NETWORK = 0x20000, 0x4000000, 0x20000000, 0x40000000


def main() -> None:
    """Import everything, then start workers until stdin ends."""
    import contested.runs
    from contested.config import load_config
    from contested.trajectories import lease, lease_silence

    given = json.loads(sys.stdin.readline())
    lease.PERIOD_S = lease_silence.PERIOD_S = given["period_s"]
    fcntl.flock = lambda handle, operation: None
    _shift_clocks(Path(given["clock"]))
    runs = [(load_config(Path(config)), name) for config, name in given["runs"]]
    warm = Path(given["warm"])
    contested.runs.train_config(runs[0][0], out=warm)
    print("ready", flush=True)
    for line in sys.stdin:
        started = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _start(started, runs)
        print(pid, flush=True)


def _shift_clocks(offset: Path) -> None:
    """Make the clocks of this process and its forks wrong by what a file says."""
    import contested.runs.folder as folder
    from contested.trajectories import lease_owner, writer

    right = time.time

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time(), tz)

    def wrong() -> float:
        return right() + float(offset.read_text() or 0)

    time.time = wrong
    for module in (folder, lease_owner, writer):
        module.datetime = Wrong  # type: ignore[attr-defined]


def _start(given: dict[str, str], runs: Sequence[tuple[Any, str]]) -> None:
    """Live in namespaces of one's own, where that is allowed, and work there."""
    os.setsid()
    libc = ctypes.CDLL(None, use_errno=True)
    apart = libc.unshare(_NEW_FOLDERS | _NEW_NAME | _NEW_PROCESSES | _NEW_NETWORK) == 0
    name = given["name"].encode()
    if apart:
        libc.sethostname(name, len(name))
        child = os.fork()  # The first process of the new space ends all others with it.
        if child:
            _, status = os.waitpid(child, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        libc.prctl(1, 9)  # dies with the one above it
        libc.mount(b"none", b"/", None, 0x44000, None)  # what is mounted here is nobody else's business
        libc.mount(b"proc", b"/proc", b"proc", 0, None)
    from contested.trajectories import lease_owner

    platform._uname_cache = None  # type: ignore[attr-defined]
    lease_owner._machine.cache_clear()
    if not apart:
        _, machine, boot = lease_owner._machine()
        lease_owner._machine = lambda: (given["name"], machine, boot)  # type: ignore[assignment]
    for stream in (1, 2):
        os.dup2(os.open(given["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        _work(Path(given["study"]), runs)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _work(study: Path, runs: Sequence[tuple[Any, str]]) -> None:
    from contested.errors import ContestedError
    from contested.runs import DataCache, RunLockedError, RunResult, train_stacked

    cache, rng, left = DataCache(), random.Random(os.getpid() ^ time.monotonic_ns()), list(runs)
    ended: list[RunResult | ContestedError] = []

    def slowly(index: int, progress: Any) -> None:
        time.sleep(0.02)

    def on_end(index: int, end: RunResult | ContestedError) -> None:
        ended.append(end)

    while left:
        rng.shuffle(left)
        ended.clear()
        for config, name in left:
            train_stacked([(config, study / name)], on_end=on_end, on_progress=slowly, cache=cache)
        for (_, name), end in zip(left, ended, strict=True):
            if not isinstance(end, RunResult) or end.trained:
                print(name, end if isinstance(end, RunResult) else f"{type(end).__name__}: {end}", flush=True)
            # What goes wrong beside a run that is another's is what is looked for here.
            if not isinstance(end, RunResult | RunLockedError):
                raise end
        left = [run for run, end in zip(left, ended, strict=True) if not isinstance(end, RunResult)]
        with contextlib.suppress(InterruptedError):
            time.sleep(0.1)


if __name__ == "__main__":
    main()
