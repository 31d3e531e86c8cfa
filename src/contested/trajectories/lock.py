"""The lock of a run folder: whoever holds it records the run.

A lock can be lost: its file is removed, or the disk keeps no locks between machines. So whoever takes it signs its name
in a second file, and looks for it before every write: who finds another one's stops.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from contested.errors import RunError, write_error
from contested.trajectories import layout

_PATIENCE_S = 0.2  # Whoever only asks whether a run is held holds it for a moment.


class _Held(NamedTuple):
    """How this process knows that a run is still its own: which file the lock is, and the name that it signed."""

    lock: tuple[int, int] | None
    name: str


_HELD: dict[Path, _Held] = {}
"""The runs that this process holds."""


class RunLockedError(RunError):
    """Another process holds the run's lock."""


@contextlib.contextmanager
def locked(run: Path, *, instead: str = ", or choose another --out", signed: bool = True) -> Iterator[None]:
    """Hold a run folder for this process alone; the lock goes with the process, however it ends.

    Args:
        run: The folder, which exists.
        instead: What to do where waiting is not wanted, for the message.
        signed: Whether a former owner that the lock does not keep away shall stop: not where nothing is recorded.

    Yields:
        Nothing.

    Raises:
        RunLockedError: If another process holds it.
        RunError: If the folder takes no lock.
    """
    with _locked(run, instead):
        if not signed:
            yield
            return
        key, owner = run.resolve(), run / layout.OWNER
        _HELD[key] = _sign(run)
        try:
            yield
        finally:
            if _signed(owner) == _HELD.pop(key).name:
                owner.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(run: Path, instead: str) -> Iterator[None]:
    # Reading a run needs no lock, nor the package.
    import filelock

    lock = filelock.FileLock(run / layout.LOCK)
    try:
        lock.acquire(timeout=_PATIENCE_S, poll_interval=_PATIENCE_S / 8)
    except filelock.Timeout:
        raise RunLockedError(f"{run} is being trained by another process. Wait for it{instead}.") from None
    except (OSError, NotImplementedError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise RunError(
            f"Cannot lock {run}: {reason}. Fix the permissions, or take a folder on a disk whose files can be locked."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _sign(run: Path) -> _Held:
    """Write a name that no other process has beside the lock, in the place of any that is there."""
    name = f"{platform.node()} {os.getpid()} {secrets.token_hex(8)}"
    try:
        (run / layout.OWNER).write_text(name, encoding="utf-8")
    except OSError as error:
        what = f"Cannot write to {run}: {error.strerror or error}. Make room, or fix the permissions."
        raise write_error(error, what) from error
    return _Held(_which(run), name)


def _signed(owner: Path) -> str:
    try:
        return owner.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def check_lock(run: Path) -> None:
    """Refuse to write a run whose lock this process holds no longer, though it took it.

    Args:
        run: The run folder; one that this process never locked passes.

    Raises:
        RunError: If the lock was removed or replaced, or another process has taken it although it was held.
    """
    held = _HELD.get(run.resolve())
    if held is None:
        return
    name = _signed(run / layout.OWNER)
    if name not in {held.name, ""}:
        raise RunError(
            f"Another process took {run} while this one recorded there: {_process(name)}. The disk keeps no "
            "locks between them. Nothing more was written; see to it that one process uses the folder, then "
            "resume with the same command."
        )
    if not name or _which(run) != held.lock:
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
        with _locked(run, ""):
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


def _process(name: str) -> str:
    """Who signed with a name, for a message."""
    machine, _, rest = name.partition(" ")
    return f"process {rest.partition(' ')[0]} on {machine}"
