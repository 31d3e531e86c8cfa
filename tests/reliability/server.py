"""Runs commands of the package in processes of their own, each forked from one that has imported everything.

Each line of stdin is a trial as JSON: ``argv``, ``root`` (the folder to watch), ``at``, ``action``, ``victim``,
``blind``, ``log``, ``counter``, ``seconds``; a list of trials starts them together. The answer is a line: how each
ended. A trial is the leader of a process group of its own. The shim is in this process already, by LD_PRELOAD.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

_NAMES = ("root", "at", "action", "victim", "blind", "log", "counter")


def main() -> None:
    """Import everything, then do as told until stdin ends."""
    import contested.cli
    import contested.runs
    import contested.studies
    import contested.studies.mini_world

    contested.cli.register()
    shim = ctypes.CDLL(None)
    # What is imported at the first use is imported here once, not by every trial.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        os.environ["CONTESTED_CACHE"] = folder
        for argv in json.loads(sys.stdin.readline()):
            contested.cli.main([part.replace("WARM", folder) for part in argv])
    for line in sys.stdin:
        trials = json.loads(line)
        started = [(_start(trial, shim), trial) for trial in trials]
        print(json.dumps([_end(*one, trial) for one, trial in started]), flush=True)


def _start(trial: dict[str, Any], shim: ctypes.CDLL) -> tuple[int, Path, Path]:
    folder = Path(tempfile.mkdtemp())
    out, err = folder / "out", folder / "err"
    pid = os.fork()
    if pid:
        return pid, out, err
    os.setsid()
    for file, stream in ((out, 1), (err, 2)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["CONTESTED_CACHE"] = str(Path(trial["root"]) / "cache")
    # For the workers that a study starts.
    os.environ.update({f"SHIM_{name.upper()}": str(trial[name]) for name in _NAMES})
    given = [value.encode() if isinstance(value, str) else value for value in (trial[name] for name in _NAMES)]
    shim.shim_set(given[0], ctypes.c_long(given[1]), *given[2:])
    os._exit(_do(trial))


def _do(trial: dict[str, Any]) -> int:
    from contested.cli import main as command

    try:
        code = command(trial["argv"])
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        code = 70
    return code


def _end(pid: int, out: Path, err: Path, trial: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + trial["seconds"]
    while not (found := os.wait4(pid, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.005)
    usage: resource.struct_rusage = found[2]
    said = {name: file.read_text(errors="replace") for name, file in (("out", out), ("err", err)) if file.exists()}
    return {"code": os.waitstatus_to_exitcode(found[1]), "cpu": usage.ru_utime + usage.ru_stime, "pid": pid} | said


if __name__ == "__main__":
    main()
