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
        host: Its machine; empty where unknown.
        pid: Its process there; None where unknown.
        since: Since when (UTC); None where unknown.
        beat_s: Seconds for which it has given no sign of life, by the looks of this process; 0 at the first.
        alive: Whether it is alive; None where that cannot be known from here.
        job: Where it works, such as "slurm 1234_5"; empty where unknown.
    """

    host: str
    pid: int | None
    since: datetime | None
    beat_s: float
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
        return Holder("", None, None, 0.0, True, "")
    host, _, rest = name.partition(" ")
    pid = rest.partition(" ")[0]
    return Holder(host, int(pid) if pid.isdigit() else None, since, 0.0, True, "")
