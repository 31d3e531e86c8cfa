"""The index of a study's folder: what was read of each run, so that only what has changed since is read again.

An entry holds as long as the files that it was made of are the same ones: their inode, size and both times. Times are
no proof of files that changed a moment ago, so of these nothing is kept. The index is a cache: it may be deleted, and
one of another version, or that is not as it was written, counts as none. ``contested verify`` does not use it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from contested import __version__
from contested.beside import each_beside
from contested.config import RunConfig, identifying, recorded
from contested.errors import RunError
from contested.files import write_text
from contested.trajectories import layout, read_manifest
from contested.trajectories.identity import IDENTITY_VERSION, digest

INDEX = ".index"
UNREADABLE = "unreadable"
"""The status of a run whose manifest cannot be read."""

_RULES = [2, __version__, IDENTITY_VERSION, layout.SCHEMA_VERSION]
"""What an entry depends on besides files: the form of the index, and the code that read them."""
_SETTLED = 3 * 10**9  # nanoseconds after which a file that changes again has another time, on any disk
_TOGETHER = 256  # manifests that a process reads before it takes the next ones
_FOLDERS = (layout.CHECKPOINTS, layout.GRADIENTS, layout.STATE, *layout.WEIGHTS)


class Recorded(NamedTuple):
    """What a run's manifest says that a study asks for.

    Attributes:
        key: The digest of the run's identity by the present rule; empty where it is unknown.
        status: Its status, or :data:`UNREADABLE`.
        epoch: Epochs done at the last checkpoint.
        checkpoints: Checkpoints recorded.
        params: Weights of its model; NaN where unknown.
        error: Why it failed or cannot be read; empty otherwise.
        digest: Its own digest; empty where it has none.
    """

    key: str
    status: str
    epoch: float
    checkpoints: int
    params: float
    error: str
    digest: str


class _Entry(NamedTuple):
    """What was read of a run: the stamp of its manifest, what that says, and the stamp of all files if found whole."""

    stamp: str
    said: Recorded
    whole: str


class Index:
    """What is recorded in a study's folder, read where it has changed since the last time.

    Args:
        runs: The folder of its runs.

    Attributes:
        found: The folders that hold a manifest to what it says, sorted.
    """

    def __init__(self, runs: Path) -> None:
        self._file = runs.parent / INDEX
        before = _load(self._file)
        stamps = dict(sorted(_manifests(runs)))
        new = [name for name, stamp in stamps.items() if name not in before or before[name].stamp != stamp]
        said = dict(zip(new, each_beside(lambda name: recorded_in(runs / name), new, _TOGETHER), strict=True))
        self._entries = {
            name: _Entry(stamp, said[name], "") if name in said else before[name] for name, stamp in stamps.items()
        }
        self._changed = any(stamps[name] for name in new) or before.keys() != stamps.keys()
        self.found = {runs / name: entry.said for name, entry in self._entries.items()}

    def stamp(self, run: Path) -> str:
        """The state of all files of a run, to be taken before they are held against the manifest.

        Args:
            run: Its folder.

        Returns:
            Its stamp; empty where one of them changed a moment ago.
        """
        return _stamp(_files(run))

    def is_whole(self, run: Path, stamp: str) -> bool:
        """Whether a run was found as it was written when its files had this stamp."""
        return bool(stamp) and self._entries[run.name].whole == stamp

    def note_whole(self, run: Path, stamp: str) -> None:
        """Keep that a run was found as it was written when its files had this stamp."""
        self._entries[run.name] = self._entries[run.name]._replace(whole=stamp)
        self._changed |= bool(stamp)

    def save(self) -> None:
        """Write the index, if it has changed, in the place of the one that is there."""
        if not self._changed:
            return
        kept = {name: [stamp, said, whole] for name, (stamp, said, whole) in self._entries.items() if stamp}
        text = json.dumps([_RULES, kept], separators=(",", ":"))
        with contextlib.suppress(OSError):  # whoever may only read the folder reads all of it the next time, too
            write_text(self._file, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")


def identity_key(config: RunConfig) -> str:
    """The digest of what identifies a run, by which its folder is known whatever it is called."""
    return digest({"config": identifying(config)})


def recorded_in(run: Path) -> Recorded:
    """Read what a run's manifest says.

    Args:
        run: Its folder.

    Returns:
        What it says; of one that cannot be read, why.
    """
    try:
        manifest = read_manifest(run)
    except RunError as error:
        return Recorded("", UNREADABLE, 0.0, 0, math.nan, str(error), "")
    listed = manifest["checkpoints"]
    try:
        key = identity_key(recorded(manifest.get("identity", {})))
    except ValueError:
        key = ""
    return Recorded(
        key=key,
        status=manifest["status"],
        epoch=float(listed[-1].get("epoch") or 0.0) if listed else 0.0,
        checkpoints=len(listed),
        params=float((manifest.get("counts") or {}).get("total_params") or math.nan),
        error=str(manifest.get("error", "")),
        digest=str(manifest.get(layout.DIGEST, "")),
    )


def _load(file: Path) -> dict[str, _Entry]:
    try:
        checksum, _, text = file.read_text(encoding="utf-8").partition("\n")
    except (OSError, ValueError):
        return {}
    if hashlib.sha256(text.encode()).hexdigest() != checksum:
        return {}
    rules, entries = json.loads(text)
    if rules != _RULES:
        return {}
    return {name: _Entry(stamp, Recorded(*said), whole) for name, (stamp, said, whole) in entries.items()}


def _manifests(runs: Path) -> Iterator[tuple[str, str]]:
    """The names of the folders that hold a manifest, with its stamp."""
    try:
        names = os.listdir(runs)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield name, _stamp([("", os.stat(f"{runs}/{name}/{layout.MANIFEST}"))])


def _files(run: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file that is part of a run, or may have been left there by who wrote it."""
    folders = [str(run)]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    if folder != str(run) or entry.name in _FOLDERS:
                        folders.append(entry.path)
                elif entry.name != layout.LOCK:
                    yield entry.path, entry.stat()


def _stamp(files: Iterator[tuple[str, os.stat_result]] | list[tuple[str, os.stat_result]]) -> str:
    """The state of files, 16 characters; empty where one of them changed a moment ago."""
    state = [(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns) for path, found in files]
    if max(max(each[3:]) for each in state) > time.time_ns() - _SETTLED:
        return ""
    return hashlib.blake2b(repr(sorted(state)).encode(), digest_size=8).hexdigest()
