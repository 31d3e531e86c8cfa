"""The lock of a run folder: whoever holds it records the run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from contested.errors import RunError
from contested.trajectories import layout


class RunLockedError(RunError):
    """Another process holds the run's lock."""


@contextlib.contextmanager
def locked(run: Path, *, instead: str = ", or choose another --out") -> Iterator[None]:
    """Hold a run folder for this process alone; the lock goes with the process, however it ends.

    Args:
        run: The folder, which exists.
        instead: What to do where waiting is not wanted, for the message.

    Yields:
        Nothing.

    Raises:
        RunLockedError: If another process holds it.
    """
    # Reading a run needs no lock, nor the package.
    import filelock

    lock = filelock.FileLock(run / layout.LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RunLockedError(f"{run} is being trained by another process. Wait for it{instead}.") from None
    try:
        yield
    finally:
        lock.release()
