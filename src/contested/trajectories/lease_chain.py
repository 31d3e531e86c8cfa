"""The generations of a run's lease, as folders in ``.lease``: who takes the lease takes the folder of the one before.

The folder of a generation is called by its number and its owner's token. In it are ``holder`` (its owner), ``beat-N``
(renamed to the next number as a sign of life) and the owner's temporary files; once it is released, the one file
``released-X``, X telling the manifest that was left. What :mod:`contested.trajectories.lease` says of it is proved
here:

- *Taking is exact.* A claimant prepares a folder of its own and renames the folder of the latest generation into it.
  That name has a token, and no folder ever gets it again; so however late the claimant is, and whatever it believes,
  it takes the generation that it has judged or none. Of two claimants one finds it gone.
- *One folder at most is taken from at any time.* The first generation comes with ``.lease`` itself, which is renamed
  into place with it inside: that fails where ``.lease`` is there and not empty, and it is never empty again.
- *No crash loses it.* A claim that holds the folder of a generation is the latest one, published or not.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from contested.errors import RunError
from contested.staging import GONE
from contested.trajectories import layout
from contested.trajectories.lease_owner import Owner, read_owner, same_kernel

_NAME = re.compile(r"(\d{6,})-([0-9a-f]{16})", re.ASCII)
_CLAIM = "claim-"
_BEFORE = "before"
_HOLDER = "holder"
_BEAT = re.compile(r"beat-(\d+)", re.ASCII)
_RELEASED = "released-"
_LOOKS = 20
_LOOK_S = 0.02
_VISIBLE_S = 5.0
"""Seconds within which what one machine did to a shared disk is seen by every other one."""


class TakenError(Exception):
    """Another process was quicker."""


class Generation(NamedTuple):
    """One generation of a run's lease.

    Attributes:
        folder: Its folder.
        number: From 1.
        token: Its owner's.
        owner: Who holds or held it; None where that cannot be read.
        beats: How many signs of life it has given.
        left: What tells the manifest that it left when it was released; None where it was not.
    """

    folder: Path
    number: int
    token: str
    owner: Owner | None
    beats: int
    left: str | None


def latest(run: Path) -> Generation | None:
    """Find the latest generation of a run's lease.

    Args:
        run: The run folder.

    Returns:
        The generation; None where nobody has ever held the run.

    Raises:
        RunError: If there is none though there should be.
        OSError: If it cannot be read.
    """
    lease = run / layout.LEASE
    end = time.monotonic() + _VISIBLE_S
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError):
            names = os.listdir(lease) if lease.exists() else []
            if not names:
                return None
            found = [(int(name[1]), name[2], lease / name[0]) for name in map(_NAME.fullmatch, names) if name]
            found = found or list(_unpublished(lease, names))
            if found:
                return _read(*max(found))
        # It is changing hands.
        time.sleep(_LOOK_S)
    raise RunError(
        f"{lease} says of no process that it is the last to have held the run, as only a power cut or somebody's hand "
        f"makes it. See to it that no process records the run, then remove {lease}."
    )


def _unpublished(lease: Path, names: list[str]) -> Iterator[tuple[int, str, Path]]:
    """The claim that holds the generation before it, where it has not got its own name yet."""
    for name in names:
        number = _NAME.fullmatch(name.removeprefix(_CLAIM)) if name.startswith(_CLAIM) else None
        if number is not None and _BEFORE in os.listdir(lease / name):
            yield int(number[1]), number[2], lease / name


def _read(number: int, token: str, folder: Path) -> Generation:
    names = os.listdir(folder)
    beats = max((int(beat[1]) for beat in map(_BEAT.fullmatch, names) if beat), default=0)
    left = [name.removeprefix(_RELEASED) for name in names if name.startswith(_RELEASED)]
    holder = folder / (f"{_RELEASED}{left[0]}" if left else _HOLDER)
    owner = read_owner(holder.read_bytes()) if holder.name in names else None
    return Generation(folder, number, token, owner, beats, left[0] if left else None)


def take(run: Path, before: Generation | None, owner: Owner) -> Path:
    """Take a run's lease, once it is known that nobody holds it any more; then nothing changes the run but its owner.

    Args:
        run: The run folder.
        before: The latest generation, to be followed; None to be the first one.
        owner: This process.

    Returns:
        The folder of the new generation.

    Raises:
        TakenError: If another process was quicker.
        RunError: If the disk renames folders onto others that are not empty.
        OSError: If the disk does not allow it.
    """
    try:
        folder = _first(run, owner) if before is None else _next(before, owner)
        _fence(run, folder, before)
    except OSError as error:
        # What this process prepares goes when another one takes the lease, also from this one.
        if error.errno in GONE and run.is_dir():
            raise TakenError from None
        raise
    return folder


def _first(run: Path, owner: Owner) -> Path:
    name, lease = f"{1:06d}-{owner.token}", run / layout.LEASE
    if not _placed(_prepared(run / f"{layout.LEASE}-{owner.token}", name, owner), lease, name):
        raise TakenError
    # A disk that puts this one there, too, would let any process take the lease of another one.
    if _placed(_prepared(run / f"{layout.LEASE}-{owner.token}", "probe", owner), lease, "probe"):
        raise RunError(
            f"Cannot lock {run}: its disk renames a folder onto another one that is not empty, so nothing there can be "
            "held by one process alone. Take a folder on a disk that does as POSIX says."
        )
    return lease / name


def _prepared(new: Path, name: str, owner: Owner) -> Path:
    new.mkdir()
    _write(new / name, owner)
    return new


def _placed(new: Path, lease: Path, name: str) -> bool:
    """Put a prepared folder into the place of a run's lease, if that is free."""
    try:
        os.rename(new, lease)
    except OSError:
        # The answer may have been lost.
        if not new.exists() and (lease / name).exists():
            return True
        shutil.rmtree(new, ignore_errors=True)
        if not lease.exists():
            raise
        return False
    return True


def _write(folder: Path, owner: Owner) -> None:
    folder.mkdir()
    (folder / _HOLDER).write_text(owner.to_json(), encoding="utf-8")
    (folder / "beat-0").touch()


def _next(before: Generation, owner: Owner) -> Path:
    lease, name = before.folder.parent, f"{before.number + 1:06d}-{owner.token}"
    claim = lease / f"{_CLAIM}{name}"
    _write(claim, owner)
    for source, target in ((before.folder, claim / _BEFORE), (claim, lease / name)):
        try:
            os.rename(source, target)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                if target.name in os.listdir(target.parent):  # The answer was lost.
                    continue
            shutil.rmtree(claim, ignore_errors=True)
            raise
    return lease / name


def _fence(run: Path, folder: Path, before: Generation | None) -> None:
    """Remove whatever an earlier owner could still rename something out of, or into.

    Each goes into the folder of the new generation first: who has lost that already takes nothing away from others.
    """
    for place in (folder.parent, run):
        for name in os.listdir(place):
            if place / name != folder and (place != run or name.startswith(f"{layout.LEASE}-")):
                with contextlib.suppress(FileNotFoundError):  # a claimant that has given up
                    os.rename(place / name, folder / f"old-{name}")
    here = before is not None and before.owner is not None and same_kernel(before.owner)
    for name in os.listdir(folder):
        if name == _BEFORE or name.startswith("old-"):
            _clear(folder / name, surely=not here)


def _clear(folder: Path, *, surely: bool) -> None:
    """Remove a folder, however often somebody puts something into it meanwhile.

    On this machine nobody finds it under its former name. Another one may remember where it was; it must be gone.
    """
    for look in range(_LOOKS):
        try:
            shutil.rmtree(folder)
            return
        except FileNotFoundError:
            if not folder.exists():
                return
        except OSError:
            if look == _LOOKS - 1 and surely:
                raise
        time.sleep(_LOOK_S)


def await_visible(run: Path, before: Generation | None) -> None:
    """Wait until what another machine did to a run is seen here: the manifest that it left, or whatever it did.

    Args:
        run: The run folder, whose lease this process has taken.
        before: The generation before; nothing that this machine did is waited for.
    """
    if before is None or (before.owner is not None and same_kernel(before.owner)):
        return
    left = before.left
    end = time.monotonic() + _VISIBLE_S
    while time.monotonic() < end and (left is None or manifest_mark(run) != left):
        time.sleep(_LOOK_S * 5)
    for folder in (run, run / layout.CHECKPOINTS, run / layout.GRADIENTS, run / layout.STATE):
        if folder.exists():
            os.listdir(folder)  # Network disks look anew at a folder that is opened.


def manifest_mark(run: Path) -> str:
    """What tells a run's manifest from another one; ``none`` where there is none."""
    try:
        return hashlib.sha256((run / layout.MANIFEST).read_bytes()).hexdigest()[:16]
    except OSError:
        return "none"


def beat(folder: Path, number: int) -> bool:
    """Give a sign of life.

    Args:
        folder: The folder of the generation.
        number: How many were given before.

    Returns:
        Whether the lease still is this process's.

    Raises:
        OSError: If the disk does not allow it.
    """
    try:
        os.rename(folder / f"beat-{number}", folder / f"beat-{number + 1}")
    except OSError as error:
        if error.errno not in GONE:
            raise
        return (folder / f"beat-{number + 1}").exists()
    return True


def release(run: Path, folder: Path) -> None:
    """Let others take a run's lease.

    Args:
        run: The run folder.
        folder: The folder of the generation; nothing is done where it was taken.

    Raises:
        OSError: If the disk does not allow it.
    """
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if name == _HOLDER:
                continue
            if (folder / name).is_dir():
                _clear(folder / name, surely=False)
            else:
                (folder / name).unlink(missing_ok=True)
        os.rename(folder / _HOLDER, folder / f"{_RELEASED}{manifest_mark(run)}")


def staged(run: Path) -> list[Path]:
    """The temporary files of owners that are gone.

    Args:
        run: The run folder, which nobody holds.

    Returns:
        Their paths, sorted.
    """
    own = re.compile(rf"{_HOLDER}|{_BEAT.pattern}|{_RELEASED}.*")
    found = [path for path in (run / layout.LEASE).glob("*/*") if own.fullmatch(path.name) is None]
    return sorted([*found, *run.glob(f"{layout.LEASE}-*"), *(run / layout.LEASE).glob(f"{_CLAIM}*")])
