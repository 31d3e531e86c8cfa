"""The lease of a run: whoever holds it records the run, and nobody else can change it, on any disk and any machine.

**What it promises.** At any moment at most one process can change what counts of a run, also where processes stop in
the middle of a write and go on hours later, clocks jump, the disk keeps no locks, or shows late what other machines
did. It rests on one thing: that renames of files and folders are done by the disk one after the other, each wholly or
not at all, and fail where what they name is gone. Every POSIX file system does so, and NFS by its server.

**Why it holds.** Each lease is a *generation*, a folder of its own whose name never comes back
(:mod:`contested.trajectories.lease_chain`). To take the lease is to rename the folder of the latest generation into
one's own. Of several that try, one succeeds; who judged an older generation dead finds its name gone. So the
generations are one chain, and its last member is known to the disk alone, whatever anybody believes.

Its owner changes the run by renames into or out of that folder only (:mod:`contested.staging`): what is written is
renamed out of it, what is removed is renamed into it. Lines are added to growing files through a descriptor that was
opened on a new copy, before that copy was renamed into place. The new owner removes the folder of the former one,
*then* reads what the run has. From there on every rename of the former owner fails, however far it had come, and
lines that it still adds belong to a file that the run no longer has, as soon as the new owner adds its first. Before,
the former owner was the only one that changed the run. So the changes of a run are those of the first generation,
then those of the second, and so on, never mixed.

**When it passes on.** That decides who works, not whether the run is right. A lease is free when it was released,
when its process is known to have ended (on the same machine, or as that was started again), or when whoever wants it
has seen no sign of life for the owner's period. A sign of life is a counter, and its age is measured by the
observer's own clock from its own first look; no two clocks are ever compared. Each look adds a quarter of the period
at most, so that an observer that was suspended, its owner with it, looks again before it judges.

Versions before the lease lock ``.lock``. Whoever holds the lease holds that too where the disk has such locks.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from contested.errors import RunError, write_error
from contested.staging import Staging, stage, stands, unstage
from contested.trajectories import layout
from contested.trajectories.former_lock import is_locked, lock_too
from contested.trajectories.lease_chain import Generation, TakenError, await_visible, beat, latest, release, take
from contested.trajectories.lease_owner import is_alive, this_process
from contested.trajectories.lease_silence import PERIOD_S, Silences, is_over, period_s

_BEATS = 6
"""Signs of life in a period."""


class RunLockedError(RunError):
    """Another process holds the run."""


class LeaseLostError(RunLockedError):
    """Another process has taken the run from this one, which it found silent."""


class Holder(NamedTuple):
    """Who holds a run.

    Attributes:
        host: The machine's name; empty where an earlier version of the program holds it, which says nothing of itself.
        pid: The process there; None where unknown.
        since: When it took the run (UTC, by that machine's clock); None where unknown.
        silent_s: Seconds for which this process has seen no sign of life, by looks that it has made; 0 at the first.
        alive: Whether it is alive; None where that cannot be known from here.
        job: Its job, such as ``slurm 1234_5`` or ``ray``; empty where it has none.
    """

    host: str
    pid: int | None
    since: datetime | None
    silent_s: float
    alive: bool | None
    job: str


_SILENCES = Silences()
"""What this process has seen."""


class _Lease:
    """A lease that this process holds."""

    def __init__(self, run: Path, generation: Generation | None, former: contextlib.ExitStack) -> None:
        self.run = Path(os.path.abspath(run))  # wherever the process goes meanwhile
        self._key, self._former = run.resolve(), former
        self.owner = this_process(secrets.token_hex(8), PERIOD_S)
        self.before = generation
        self.number = 1 if generation is None else generation.number + 1
        self.folder = take(self.run, generation, self.owner)
        self.staging = Staging(self.run, self.folder, self.lost)
        self._beats = 0
        self._over = False
        self._lock = threading.Lock()
        _HELD[self._key] = self
        stage(self.staging)
        _HEART.add(self)

    def lost(self) -> LeaseLostError:
        """What to say where it was lost."""
        try:
            found = latest(self.run)
        except (OSError, RunError):
            found = None
        if found is None:
            return LeaseLostError(
                f"The lease of {self.run} was removed while this process recorded there, so another one may be "
                "recording it by now. Nothing more was written; see to it that nobody else changes the folder, then "
                "resume with the same command."
            )
        return LeaseLostError(
            f"Another process took {self.run} while this one recorded there: {_name(found)}. It saw no sign of life of "
            f"this one for {self.owner.period_s:.0f} s, as where a process is paused or cut off from its disk. Nothing "
            "more was written; what was recorded before counts, and the other one resumes from it."
        )

    def beat(self) -> None:
        """Give a sign of life."""
        with self._lock:
            if self._over:
                return
            # A disk that fails now may do better the next time, and whoever writes to it hears of it.
            with contextlib.suppress(OSError):
                self._over = not beat(self.folder, self._beats)
                self._beats += 1

    def end(self) -> None:
        """Let others take it."""
        _HEART.drop(self)
        with self._lock:
            self._over = True
        unstage(self.staging)
        del _HELD[self._key]
        self._former.close()
        # Where even a rename fails, the lease ends with this process, or its period after that.
        with contextlib.suppress(OSError):
            release(self.run, self.folder)


class _Heart:
    """One thread that gives the signs of life of all leases of this process."""

    def __init__(self) -> None:
        self._leases: list[_Lease] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def add(self, lease: _Lease) -> None:
        with self._lock:
            self._leases.append(lease)
            if len(self._leases) == 1:
                self._stop = threading.Event()
                threading.Thread(target=self._live, args=(self._stop,), name="contested leases", daemon=True).start()

    def drop(self, lease: _Lease) -> None:
        with self._lock:
            self._leases.remove(lease)
            if not self._leases:
                self._stop.set()

    def _live(self, stop: threading.Event) -> None:
        while not stop.wait(PERIOD_S / _BEATS):
            for lease in list(self._leases):
                lease.beat()


_HEART = _Heart()
_HELD: dict[Path, _Lease] = {}
"""The runs that this process holds, or the one that it was forked from: what a fork writes is fenced as well."""


def _in_fork() -> None:
    global _HEART
    _HEART = _Heart()  # Threads stay with the parent, which goes on to give its signs of life.


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_fork)


@contextlib.contextmanager
def held(run: Path, *, instead: str = ", or choose another --out", wait: bool = False) -> Iterator[None]:
    """Hold a run folder for this process alone; whatever changes the run within is fenced.

    Args:
        run: The folder, which exists.
        instead: What to do where waiting is not wanted, for the message.
        wait: Whether to watch the process of another machine that holds it until that gives a sign of life, for its
            period at most. Who comes back to a run does not need that: what was seen is remembered.

    Yields:
        Nothing.

    Raises:
        RunLockedError: If another process holds it. Within, whatever writes raises LeaseLostError once it is taken from
            this one; so does what finds the run not as it should be, where that is another one's doing.
        RunError: If the folder takes no lease.
    """
    lease = _taken(run, instead, wait=wait)
    try:
        await_visible(lease.run, lease.before)
        yield
    except RunError as error:
        if isinstance(error, LeaseLostError) or stands(lease.folder):
            raise
        raise lease.lost() from error
    finally:
        if lease.owner.pid == os.getpid():
            lease.end()


def _taken(run: Path, instead: str, *, wait: bool) -> _Lease:
    try:
        os.stat(run)  # What locks makes folders.
        found = _free(run, instead, wait=wait)
        lock = lock_too(run, certain=is_over(found))
        try:
            return _Lease(run, found, lock)
        except BaseException:
            lock.close()
            raise
    except TakenError:
        raise _locked(run, None, instead) from None
    except OSError as error:
        reason = error.strerror or error
        what = f"Cannot lock {run}: {reason}. Fix the permissions, or take a folder on another disk."
        raise write_error(error, what) from error


def _free(run: Path, instead: str, *, wait: bool) -> Generation | None:
    """The latest generation of a run, which may be taken."""
    first = found = latest(run)
    while True:
        if run.resolve() in _HELD:
            raise _locked(run, found, instead)
        if found is None or _SILENCES.finds_free(run, found):
            return found
        alive = None if found.owner is None else is_alive(found.owner)
        if not wait or alive or first is None or (first.token, first.beats) != (found.token, found.beats):
            raise _locked(run, found, instead)
        time.sleep(period_s(found) / _BEATS / 4)
        found = latest(run)


def _locked(run: Path, found: Generation | None, instead: str) -> RunLockedError:
    who = "" if found is None else f" ({_name(found)})"
    return RunLockedError(f"{run} is being trained by another process{who}. Wait for it{instead}.")


def _name(found: Generation) -> str:
    return "a process of which nothing is known" if found.owner is None else found.owner.name


def check_lease(run: Path) -> None:
    """Refuse to work on a run that this process holds no longer, though it took it.

    Writing is fenced whether this is asked or not: it tells before the work, not after it.

    Args:
        run: The run folder; one that this process never took passes.

    Raises:
        LeaseLostError: If another process has taken it, or its lease was removed.
    """
    lease = _HELD.get(run.resolve())
    if lease is not None and not stands(lease.folder):
        raise lease.lost()


def lease_mark(run: Path) -> dict[str, Any]:
    """What a manifest says of who wrote it, under ``lease``.

    Args:
        run: The run folder.

    Returns:
        The key with generation and token; nothing where this process does not hold the run.
    """
    lease = _HELD.get(run.resolve())
    return {} if lease is None else {layout.LEASE_MARK: {"generation": lease.number, "token": lease.owner.token}}


def is_held(run: Path) -> bool:
    """Whether a process holds a run, or nobody can say.

    Asked again and again, it finds those free whose holders have died on another machine.

    Args:
        run: The run folder.

    Returns:
        False where it could be taken now.
    """
    try:
        found = latest(run)
    except (OSError, RunError):
        return True
    if run.resolve() in _HELD or (found is not None and not _SILENCES.finds_free(run, found)):
        return True
    return is_over(found) and is_locked(run)


def holder(run: Path) -> Holder | None:
    """Find out who holds a run.

    Args:
        run: The run folder.

    Returns:
        The process, also one that has died without releasing the run; None where the run is nobody's.

    Raises:
        RunError: If that cannot be read.
    """
    try:
        found = latest(run)
    except OSError as error:
        raise RunError(f"Cannot read the lease of {run}: {error.strerror or error}. Fix the permissions.") from error
    if found is None or found.left is not None:
        return Holder("", None, None, 0.0, True, "") if is_locked(run) else None
    silent_s, owner = _SILENCES.silence_s(run, found), found.owner
    if owner is None:
        return Holder("", None, None, silent_s, None, "")
    alive = False if silent_s > owner.period_s else is_alive(owner)
    return Holder(owner.host, owner.pid, datetime.fromisoformat(owner.since), silent_s, alive, owner.job)
