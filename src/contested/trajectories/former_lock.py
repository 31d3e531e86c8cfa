"""The lock of versions before the lease: whoever holds the lease holds it too, where the disk has such locks."""

from __future__ import annotations

import contextlib
from pathlib import Path

from contested.trajectories import layout
from contested.trajectories.lease_chain import TakenError

_PATIENCE_S = 0.2  # Whoever only asks whether a run is held holds it for a moment.


def lock_too(run: Path, *, certain: bool) -> contextlib.ExitStack:
    """Keep processes of earlier versions away from a run, and keep away from them.

    Args:
        run: The run folder.
        certain: Whether nobody else holds the lease for certain. A process that is only silent holds the lock as long
            as it lives.

    Returns:
        What holds the lock until it is closed.

    Raises:
        TakenError: If a process of an earlier version holds it.
    """
    # Reading a run needs no lock, nor the package.
    import filelock

    lock = filelock.FileLock(run / layout.LOCK)
    with contextlib.ExitStack() as stack:
        try:
            lock.acquire(timeout=_PATIENCE_S, poll_interval=_PATIENCE_S / 8)
            stack.callback(lock.release)
        except filelock.Timeout:
            if certain:
                raise TakenError from None
        except (OSError, NotImplementedError):
            pass  # A disk without locks, on which earlier versions do not work either.
        return stack.pop_all()


def is_locked(run: Path) -> bool:
    """Whether a process of an earlier version holds a run whose lease is nobody's.

    Args:
        run: The run folder.

    Returns:
        False where there are no locks.
    """
    if not (run / layout.LOCK).exists():
        return False
    try:
        lock_too(run, certain=True).close()
    except TakenError:
        return True
    return False
