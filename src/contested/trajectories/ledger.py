"""What a writer knows of its files: the checksums that the manifest has, and those that its next version will have."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contested.errors import RunError
from contested.files import sync_folder
from contested.trajectories import layout
from contested.trajectories.checksums import checksum_of

_KEPT_SNAPSHOTS = 2


class Ledger:
    """The files of a run folder as they are written, each with its size and checksum.

    Args:
        run: The run folder.
        files: What its manifest has of them.
    """

    def __init__(self, run: Path, files: Mapping[str, Any]) -> None:
        self._run = run
        self._files = dict(files)
        self._growing: dict[str, tuple[int, Any]] = {}
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
        size, digest = self._beginning(name)
        new = not file.exists()
        with file.open("ab") as opened:
            if opened.tell() != size:
                raise RunError(
                    f"{file} has {opened.tell():,} bytes and should have {size:,}: something else has changed it while "
                    "this run was recorded. Nothing was written; see to it that nothing else uses the folder, then "
                    "resume with the same command."
                )
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        if new:
            sync_folder(file.parent)
        digest.update(content)
        self._growing[name] = (size + len(content), digest)

    def listing(self, checkpoints: set[int], *, snapshots: bool) -> dict[str, Any]:
        """What the manifest is to have of the files.

        Args:
            checkpoints: Steps of the checkpoints that count; those of others are left out.
            snapshots: Whether the last two snapshots count.

        Returns:
            Size and checksum by path, sorted.
        """
        for name, (size, digest) in self._growing.items():
            self._files[name] = {"bytes": size, "sha256": digest.hexdigest()}
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

    def _beginning(self, name: str) -> tuple[int, Any]:
        """Size and running checksum of a growing file."""
        if name not in self._growing:
            known, digest = self._files.get(name, {"bytes": 0}), hashlib.sha256()
            if known["bytes"]:
                digest.update((self._run / name).read_bytes()[: known["bytes"]])
            self._growing[name] = (known["bytes"], digest)
        return self._growing[name]


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What tells a file from another that takes its name."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
