"""What a disk holds after a power cut: only what was flushed is sure, and of the rest whatever it pleases.

A file's content is sure as of its last fsync; that a folder holds a file under a name is sure as of the folder's last
fsync. Names may have reached the disk without their content, and content without its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from faulty import Done, Kind


class _File:
    """A file: what was written into it, and what of that is sure."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.sure = b""


class _Folder:
    """A folder: what it holds under which names, and what of that is sure."""

    def __init__(self) -> None:
        self.named: dict[str, _File | _Folder] = {}
        self.sure: dict[str, _File | _Folder] = {}


class Cut(NamedTuple):
    """What may be found after a power cut.

    Attributes:
        after: How many operations were done before.
        how: What of the unflushed is there: nothing, the names alone, the content alone under the sure names, or one
            name alone.
        files: Path to content.
    """

    after: int
    how: str
    files: dict[str, bytes]


class Disk:
    """Does recorded operations again, in memory.

    Args:
        root: The folder that was watched, empty as it begins.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._top = _Folder()
        # Who recorded them saw which file every one was by its inode, but not every rename.
        self._files: dict[int, tuple[_File, str]] = {}

    def do(self, done: Done) -> None:
        """Do one operation."""
        if done.kind is Kind.CREATE:
            file = _File()
            self._place(done.path)[0].named[self._place(done.path)[1]] = file
            self._files[done.inode] = file, done.path
            return
        if done.inode in self._files:
            self._follow(done.inode, done.path)
        if done.kind is Kind.WRITE:
            self._write(done)
        elif done.kind is Kind.TRUNCATE:
            file, _ = self._files[done.inode]
            del file.written[done.offset :]
            file.written.extend(bytes(done.offset - len(file.written)))
        elif done.kind is Kind.SYNC:
            self._sync(done)
        elif done.kind is Kind.RENAME:
            self._rename(done.path, done.target)
        elif done.kind is Kind.UNLINK:
            folder, name = self._place(done.path)
            folder.named.pop(name, None)
            self._forget(done.path)
        else:
            folder, name = self._place(done.path)
            folder.named[name] = _Folder()

    def cuts(self, after: int) -> Iterator[Cut]:
        """What may be found if the power goes now."""
        for how, names, content in (
            ("nothing unflushed", "sure", "sure"),
            ("names without content", "named", "sure"),
            ("content without names", "sure", "written"),
        ):
            yield Cut(after, how, dict(_files(self._top, "", names, content)))
        for folder, name, path in _unsure(self._top, ""):
            sure = folder.sure
            folder.sure = {**sure, name: folder.named[name]} if name in folder.named else _without(sure, name)
            yield Cut(after, f"nothing unflushed but the name {path}", dict(_files(self._top, "", "sure", "sure")))
            folder.sure = sure

    @property
    def content(self) -> dict[str, bytes]:
        """What the disk holds where nothing goes wrong."""
        return dict(_files(self._top, "", "named", "written"))

    def _place(self, path: str) -> tuple[_Folder, str]:
        """The folder that a path leads to, and the name in it."""
        *folders, name = os.path.relpath(path, self._root).split(os.sep)
        found = self._top
        for folder in folders:
            inner = found.named[folder]
            assert isinstance(inner, _Folder)
            found = inner
        return found, name

    def _follow(self, inode: int, path: str) -> None:
        """A file that is met under another name was renamed by somebody who asked the kernel directly."""
        _, former = self._files[inode]
        if former != path and not path.endswith(" (deleted)"):
            self._rename(former, path)

    def _forget(self, path: str) -> None:
        """A file without a name is never met again, but its inode is."""
        self._files = {inode: known for inode, known in self._files.items() if known[1] != path}

    def _write(self, done: Done) -> None:
        file, _ = self._files[done.inode]
        file.written.extend(bytes(max(0, done.offset - len(file.written))))
        file.written[done.offset : done.offset + len(done.data)] = done.data

    def _sync(self, done: Done) -> None:
        if done.inode in self._files:
            file, _ = self._files[done.inode]
            file.sure = bytes(file.written)
            return
        folder: _File | _Folder = self._top
        if os.path.relpath(done.path, self._root) != ".":
            outer, name = self._place(done.path)
            folder = outer.named[name]
        assert isinstance(folder, _Folder)
        folder.sure = dict(folder.named)

    def _rename(self, old: str, new: str) -> None:
        self._forget(new)
        (before, was), (after, name) = self._place(old), self._place(new)
        after.named[name] = before.named.pop(was)
        for inode, (file, path) in self._files.items():
            if path == old or path.startswith(old + os.sep):
                self._files[inode] = file, new + path[len(old) :]


def _files(folder: _Folder, prefix: str, names: str, content: str) -> Iterator[tuple[str, bytes]]:
    for name, entry in getattr(folder, names).items():
        if isinstance(entry, _Folder):
            yield from _files(entry, f"{prefix}{name}/", names, content)
        else:
            yield prefix + name, bytes(getattr(entry, content))


def _unsure(folder: _Folder, prefix: str) -> Iterator[tuple[_Folder, str, str]]:
    """Every name that was given, taken away or given to something else since its folder was flushed."""
    for name in sorted(folder.named.keys() | folder.sure.keys()):
        if folder.named.get(name) is not folder.sure.get(name):
            yield folder, name, prefix + name
        inner = folder.sure.get(name)
        if isinstance(inner, _Folder):
            yield from _unsure(inner, f"{prefix}{name}/")


def _without(names: dict[str, _File | _Folder], name: str) -> dict[str, _File | _Folder]:
    return {other: entry for other, entry in names.items() if other != name}


def replay(operations: Sequence[Done], root: Path) -> Iterator[Cut]:
    """What may be found after a power cut just before and just after every flush, and at the very end.

    Args:
        operations: What was done.
        root: The folder that was watched.

    Yields:
        Every state that may be found.
    """
    disk = Disk(root)
    for number, done in enumerate(operations):
        if done.kind is Kind.SYNC:
            yield from disk.cuts(number)
        disk.do(done)
        if done.kind is Kind.SYNC:
            yield from disk.cuts(number + 1)
    yield from disk.cuts(len(operations))


def lay_out(files: dict[str, bytes], folder: Path) -> None:
    """Write files into a folder."""
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
