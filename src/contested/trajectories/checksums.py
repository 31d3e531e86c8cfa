"""Sizes and checksums of a run's files: taken when a file is written, compared whenever it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from contested.errors import RunError
from contested.trajectories import layout

_BLOCK = 1 << 20


class Fault(NamedTuple):
    """What is wrong with a file.

    Attributes:
        kind: ``missing`` or ``damaged``.
        what: What is the matter with it, the second half of a sentence.
    """

    kind: Literal["missing", "damaged"]
    what: str


def checksum(content: bytes) -> dict[str, Any]:
    """What a manifest says of a file with this content."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def checksum_of(file: Path) -> dict[str, Any]:
    """What a manifest says of a file, read piece by piece."""
    size, found = _digest(file, None)
    return {"bytes": size, "sha256": found}


def restore(run: Path) -> str:
    """What to do about a damaged file of a run: a sentence."""
    return f"Restore it from a copy; contested verify {run} says what can still be read."


class RunFiles:
    """The files of a run folder, held against what its manifest says of them.

    Args:
        run: The run folder.
        manifest: Its manifest. Those of schema 1 and 2 say nothing of files: every file then counts as it lies there.

    Attributes:
        run: The run folder.
        verified: Whether the manifest knows the files.
    """

    def __init__(self, run: Path, manifest: Mapping[str, Any]) -> None:
        self.run = run
        self.verified = layout.FILES in manifest
        self._known: Mapping[str, Any] = manifest.get(layout.FILES, {})

    def has(self, name: str) -> bool:
        """Whether a file is part of the run.

        Args:
            name: Its path in the folder, with slashes.

        Returns:
            True where the manifest lists it, or knows no files and it is there.
        """
        return name in self._known if self.verified else (self.run / name).is_file()

    def named(self, folder: str) -> list[str]:
        """The names of the files in one of the run's folders that are part of it, sorted."""
        if self.verified:
            return sorted(name for name in self._known if name.startswith(f"{folder}/"))
        return sorted(
            f"{folder}/{file.name}" for file in (self.run / folder).glob("*") if not file.name.startswith(".")
        )

    def read(self, name: str) -> bytes:
        """Read a file of the run, all that counts of it.

        Args:
            name: Its path in the folder, with slashes.

        Returns:
            Its content; of a file that grows what the manifest knows of it.

        Raises:
            RunError: If it is missing, or is not what was written.
        """
        file = self.run / name
        wanted = self._known.get(name)
        try:
            if self.verified and wanted is None:
                raise RunError(f"Cannot read {file}: the manifest does not list it. {restore(self.run)}")
            with file.open("rb") as opened:
                content = opened.read() if wanted is None else opened.read(_length(name, wanted))
        except OSError as error:
            raise RunError(f"Cannot read {file}: {error.strerror or error}. {restore(self.run)}") from None
        fault = None if wanted is None else _fault(wanted, len(content), hashlib.sha256(content).hexdigest())
        if fault is not None:
            raise RunError(f"Cannot read {file}: it {fault.what}. {restore(self.run)}")
        return content

    def check(self, folder: str, what: str) -> None:
        """Hold the files of one of the run's folders against the manifest.

        Args:
            folder: Its name.
            what: What it holds, for the message.

        Raises:
            RunError: If one is missing or damaged; the error names all of them.
        """
        named = self.named(folder) if self.verified else []
        problems = [f"{name} {fault.what}" for name in named if (fault := self.fault(name)) is not None]
        if problems:
            raise RunError(f"{what} of this run are not as they were written. {restore(self.run)}", problems)

    def fault(self, name: str, *, content: bool = True) -> Fault | None:
        """Hold a file of the run against the manifest, without keeping its content.

        Args:
            name: Its path in the folder, with slashes.
            content: Whether the content is compared, and not the size alone.

        Returns:
            What is wrong with it, or None.
        """
        wanted = self._known.get(name)
        if wanted is None:
            there = (self.run / name).exists()
            return Fault("damaged", "is not among the manifest's files") if there else Fault("missing", "is missing")
        try:
            if content:
                found = _digest(self.run / name, _length(name, wanted))
            else:
                found = (self.run / name).stat().st_size, wanted["sha256"]
        except FileNotFoundError:
            return Fault("missing", "is missing")
        except OSError as error:
            return Fault("damaged", f"cannot be read ({error.strerror or error})")
        return _fault(wanted, *found)


def _length(name: str, wanted: Mapping[str, Any]) -> int:
    """How many bytes of a file to read at most: one more than it should have, unless it may grow."""
    return int(wanted["bytes"]) + (name not in layout.GROWING)


def _fault(wanted: Mapping[str, Any], size: int, found: str) -> Fault | None:
    if size < wanted["bytes"]:
        return Fault("damaged", f"has {size:,} bytes of the {wanted['bytes']:,} that were written")
    if size > wanted["bytes"]:
        return Fault("damaged", f"has more than the {wanted['bytes']:,} bytes that were written")
    if found != wanted["sha256"]:
        return Fault("damaged", "is not what was written (its checksum is another one)")
    return None


def _digest(file: Path, length: int | None) -> tuple[int, str]:
    """Size and SHA-256 of a file, or of its beginning."""
    content, size = hashlib.sha256(), 0
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK if length is None else min(_BLOCK, length - size)):
            content.update(block)
            size += len(block)
    return size, content.hexdigest()
