"""What a writer knows of its files: the checksums that the manifest has, and those that its next version will have."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from contested.errors import RunError
from contested.files import atomic_path
from contested.trajectories import layout
from contested.trajectories.checksums import checksum_of

_KEPT_SNAPSHOTS = 2
_APPEND = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)


class _Growing(NamedTuple):
    """A file that lines are added to: open for that, with its size and running checksum."""

    descriptor: int
    size: int
    digest: Any


class Ledger:
    """The files of a run folder as they are written, each with its size and checksum.

    Args:
        run: The run folder.
        files: What its manifest has of them.
    """

    def __init__(self, run: Path, files: Mapping[str, Any]) -> None:
        self._run = run
        self._files = dict(files)
        self._growing: dict[str, _Growing] = {}
        self._snapshots = {
            name: (_stamp(run / name), known) for name, known in files.items() if name.startswith(f"{layout.STATE}/")
        }

    def wrote(self, name: str, temporary: Path | None = None) -> None:
        """Take a file into account.

        Args:
            name: Its path in the run folder, with slashes.
            temporary: Where it still is under another name.
        """
        self._files[name] = checksum_of(self._run / name if temporary is None else temporary)

    def append(self, name: str, line: str) -> None:
        """Add a line to a growing file and flush it to the disk.

        Args:
            name: Its path in the run folder, with slashes.
            line: The line, with its newline.

        Raises:
            RunError: If the file is not as this process left it.
        """
        file, content = self._run / name, line.encode("utf-8")
        grown = self._growing.get(name)
        size = self._files.get(name, {"bytes": 0})["bytes"] if grown is None else grown.size
        inode, found = _place(file)
        if found != size or (grown is not None and inode != os.fstat(grown.descriptor).st_ino):
            raise RunError(
                f"{file} has {found:,} bytes and should have {size:,}, as this process left it: something else has "
                "changed it while this run was recorded. Nothing was written; see to it that nothing else uses the "
                "folder, then resume with the same command."
            )
        grown = grown or self._begin(name, size)
        if content:
            _write(grown.descriptor, content)
            os.fsync(grown.descriptor)
        grown.digest.update(content)
        self._growing[name] = grown._replace(size=grown.size + len(content))

    def listing(self, checkpoints: set[int], *, snapshots: bool) -> dict[str, Any]:
        """What the manifest is to have of the files.

        Args:
            checkpoints: Steps of the checkpoints that count; those of others are left out.
            snapshots: Whether the last two snapshots count.

        Returns:
            Size and checksum by path, sorted.
        """
        for name, grown in self._growing.items():
            self._files[name] = {"bytes": grown.size, "sha256": grown.digest.hexdigest()}
        self.without(layout.STATE)
        if snapshots:
            self._find_snapshots()
        return {name: known for name, known in sorted(self._files.items()) if self._counts(name, checkpoints)}

    def without(self, folder: str) -> None:
        """Forget the files of one of the run's folders."""
        self._files = {name: known for name, known in self._files.items() if not name.startswith(f"{folder}/")}

    def _counts(self, name: str, checkpoints: set[int]) -> bool:
        return not name.startswith(f"{layout.CHECKPOINTS}/") or layout.step_of(name) in checkpoints

    def _find_snapshots(self) -> None:
        """Know the last two snapshots, which training writes itself; those that are known already stay as they are."""
        kept = layout.snapshot_steps(self._run)[-_KEPT_SNAPSHOTS:]
        names = [f"{layout.STATE}/{layout.snapshot_name(step)}" for step in kept]
        stamps = {name: _stamp(self._run / name) for name in names}
        known = {name: known for name, (stamp, known) in self._snapshots.items() if stamps.get(name) == stamp}
        self._snapshots = {name: (stamps[name], known.get(name) or checksum_of(self._run / name)) for name in names}
        self._files |= {name: found for name, (_, found) in self._snapshots.items()}

    def _begin(self, name: str, size: int) -> _Growing:
        """Replace a growing file by a copy, to add to that: to the former one a process that lost the run may add."""
        file = self._run / name
        content = file.read_bytes() if size else b""
        descriptor = -1
        with atomic_path(file) as temporary:
            temporary.write_bytes(content)
            if os.name != "nt":  # Later, another process's copy may have its name; Windows renames nothing open.
                descriptor = os.open(temporary, _APPEND)
        descriptor = os.open(file, _APPEND) if descriptor < 0 else descriptor
        weakref.finalize(self, os.close, descriptor)
        return _Growing(descriptor, len(content), hashlib.sha256(content))


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _place(file: Path) -> tuple[int, int]:
    """Which file is there, and its size; 0 and 0 where there is none."""
    inode, _, size = _stamp(file) or (0, 0, 0)
    return inode, size


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What tells a file from another that takes its name."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
