"""The lock of a run folder: whoever holds it records the run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from contested.errors import RunError
from contested.trajectories import layout

_PATIENCE_S = 0.2  # Whoever only asks whether a run is held holds it for a moment.

_HELD: dict[Path, tuple[int, int] | None] = {}
"""The runs that this process holds: which file their lock is."""


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
        RunError: If the folder takes no lock.
    """
    # Reading a run needs no lock, nor the package.
    import filelock

    lock, key = filelock.FileLock(run / layout.LOCK), run.resolve()
    try:
        lock.acquire(timeout=_PATIENCE_S, poll_interval=_PATIENCE_S / 8)
    except filelock.Timeout:
        raise RunLockedError(f"{run} is being trained by another process. Wait for it{instead}.") from None
    except (OSError, NotImplementedError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise RunError(
            f"Cannot lock {run}: {reason}. Fix the permissions, or take a folder on a disk whose files can be locked."
        ) from None
    _HELD[key] = _which(run)
    try:
        yield
    finally:
        _HELD.pop(key, None)
        lock.release()


def check_lock(run: Path) -> None:
    """Refuse to write a run whose lock this process holds no longer, though it took it.

    Args:
        run: The run folder; one that this process never locked passes.

    Raises:
        RunError: If the lock was removed or replaced.
    """
    taken = _HELD.get(run.resolve())
    if taken is not None and _which(run) != taken:
        raise RunError(
            f"The lock of {run} was removed or replaced while this process recorded there, so another one may be "
            "writing the folder by now. Nothing more was written; see to it that one process uses the folder, then "
            "resume with the same command."
        )


def is_held(run: Path) -> bool:
    """Whether a process holds a run, or nobody can say.

    Args:
        run: The run folder.

    Returns:
        False where it could be locked now.
    """
    if run.resolve() in _HELD:
        return True
    if not (run / layout.LOCK).exists():
        return False
    try:
        with locked(run):
            return False
    except RunError:
        return True


def _which(run: Path) -> tuple[int, int] | None:
    """What tells the lock from another file of its name; None where it is not there."""
    try:
        found = os.stat(run / layout.LOCK, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
