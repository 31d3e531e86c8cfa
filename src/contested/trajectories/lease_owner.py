"""Who holds a run: a process, by what tells it from every other one, and whether it is alive if that can be known."""

from __future__ import annotations

import functools
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_ENDED = frozenset("ZXx")
"""States of a process that runs no more, though it is still listed."""


class Owner(NamedTuple):
    """A process that holds, or held, a run, as it wrote itself down.

    Attributes:
        token: Its own for this run and this session of it.
        host: The machine's name in the network.
        machine: What the system has as the machine's identity; empty where it has none.
        boot: What tells one start of the machine from another; empty where unknown.
        space: The space of process ids, of which containers have one each; empty where unknown.
        pid: The process.
        started: When the process began, in the machine's own ticks; 0 where unknown.
        since: When it took the run, ISO 8601.
        period_s: Seconds without a sign of life after which others may take the run.
        job: The job of a scheduler that it belongs to, such as ``slurm 1234_5``; empty where there is none.
    """

    token: str
    host: str
    machine: str
    boot: str
    space: str
    pid: int
    started: int
    since: str
    period_s: float
    job: str

    @property
    def name(self) -> str:
        """The process in words."""
        return f"process {self.pid} on {self.host}{f' ({self.job})' * bool(self.job)}"

    def to_json(self) -> str:
        """What :func:`read_owner` reads."""
        return json.dumps(self._asdict(), indent=1) + "\n"


def this_process(token: str, period_s: float) -> Owner:
    """This process as the owner of a run.

    Args:
        token: Its token.
        period_s: Its period in seconds.

    Returns:
        The owner, since now.
    """
    pid = os.getpid()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return Owner(token, *_machine(), _space(), pid, _started(pid) or 0, since, period_s, _job())


def read_owner(content: bytes) -> Owner | None:
    """Read what an owner wrote of itself.

    Args:
        content: The file's content.

    Returns:
        The owner; None where the content is no owner's, as after a power cut.
    """
    try:
        known = json.loads(content)
        since = datetime.fromisoformat(known["since"])
        owner = Owner(*(known[name] for name in Owner._fields))
    except (ValueError, KeyError, TypeError):
        return None
    texts = (owner.token, owner.host, owner.machine, owner.boot, owner.space, owner.job)
    right = all(type(text) is str for text in texts) and type(owner.pid) is type(owner.started) is int
    return owner if right and type(owner.period_s) in {int, float} and owner.period_s > 0 and since.tzinfo else None


def same_kernel(owner: Owner) -> bool:
    """Whether an owner runs, or ran, on this machine since its last start, so that both see the same files at once."""
    return (owner.host, owner.machine, owner.boot) == _machine() and bool(owner.boot)


def is_alive(owner: Owner) -> bool | None:
    """Whether an owner is alive; None where this process cannot know."""
    host, machine, boot = _machine()
    if boot and owner.boot != boot and owner.boot and machine and (owner.host, owner.machine) == (host, machine):
        return False  # The machine was started again since.
    if not same_kernel(owner) or owner.space != _space():
        return None
    started = _started(owner.pid)
    return (None if _may_exist(owner.pid) else False) if started is None else started == owner.started


def _may_exist(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    # It is there and has ended, where the system lists processes.
    return not (_PROC / "self" / "stat").exists()


@functools.cache
def _machine() -> tuple[str, str, str]:
    return platform.node(), _line(Path("/etc/machine-id")), _line(_PROC / "sys" / "kernel" / "random" / "boot_id")


def _line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _space() -> str:
    try:
        return os.readlink(_PROC / "self" / "ns" / "pid")
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """When a process began; None where it is not listed, or has ended."""
    try:
        # Its name may hold spaces and parentheses; the state is what follows, the start the 20th of what follows.
        state, *rest = (
            (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except (OSError, ValueError):
        return None
    return None if state in _ENDED else int(rest[18])


def _job() -> str:
    """The job of a scheduler in which this process runs."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"slurm {array}_{task}"
    if job := os.environ.get("SLURM_JOB_ID"):
        return f"slurm {job}"
    return "ray" if os.environ.get("RAY_JOB_ID") else ""
