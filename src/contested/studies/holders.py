"""Who trains a run now."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from contested.trajectories import layout
from contested.trajectories.lock import is_held


class Holder(NamedTuple):
    """Who holds a run.

    Attributes:
        host: Its machine.
        pid: Its process there.
        since: Since when (UTC).
        beat_s: Seconds since it last gave a sign; None where unknown.
        alive: Whether it is at work; None where nobody can say yet.
        job: Where it works, such as "slurm 1234_5"; empty where unknown.
    """

    host: str
    pid: int
    since: datetime
    beat_s: float | None
    alive: bool | None
    job: str


def holder(run: Path) -> Holder | None:
    """Who holds a run now.

    Args:
        run: The run folder.

    Returns:
        None where nobody does.
    """
    if not is_held(run):
        return None
    try:
        name = (run / layout.OWNER).read_text(encoding="utf-8", errors="replace")
        since = datetime.fromtimestamp((run / layout.OWNER).stat().st_mtime, UTC)
    except OSError:
        return Holder("", 0, datetime.now(UTC), None, True, "")
    host, _, rest = name.partition(" ")
    pid = rest.partition(" ")[0]
    return Holder(host, int(pid) if pid.isdigit() else 0, since, None, True, "")
