"""Atomic files: written under a temporary name, flushed, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contested.errors import ConfigError

_TEMPORARY = ".tmp"
_MAX_NAME = 255
_MAX_PATH = 4095


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path as a user writes it: ``~`` is the user's home folder.

    Args:
        path: The path.

    Returns:
        The path, its home folder filled in.

    Raises:
        ConfigError: If no file can have such a path, or there is no such user.
    """
    text = os.fspath(path)
    if why := _impossible(text):
        raise ConfigError(f"The path {text[:60]!r}{'…' * (len(text) > 60)} {why}. Give the path of a file or folder.")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"The path {text!r} begins with a user's home folder, and there is no such user. Write the folder out."
        ) from None


def _impossible(path: str) -> str:
    """Why the system would refuse to look for a path; Linux and macOS know names of 255 bytes at most."""
    try:
        names = os.fsencode(path).split(os.fsencode(os.sep))
    except UnicodeEncodeError as error:
        return f"holds the character U+{ord(path[error.start]):04X}, which no name can have"
    if "\0" in path:
        return "holds a null character, which no name can have"
    longest = max(map(len, names))
    too_long = longest > _MAX_NAME or len(path) > _MAX_PATH
    return f"is too long: {max(longest, len(path)):,} characters" if too_long else ""


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the same folder that replaces ``path`` when the block ends well.

    Args:
        path: The final path of the file; its folder must exist.

    Yields:
        A path to write to. If the block raises, it is removed and ``path`` is left as it was.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=_TEMPORARY, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private; give the result the rights an ordinary open() would have.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """Yield a temporary folder next to ``beside``, for what shall take its place; it is removed in the end."""
    with tempfile.TemporaryDirectory(
        prefix=f".{beside.name}.", suffix=_TEMPORARY, dir=beside.parent, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes left in ``folder``; nobody may be writing there."""
    for leftover in folder.glob(f".*{_TEMPORARY}"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` atomically; NaN is refused, not written."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
