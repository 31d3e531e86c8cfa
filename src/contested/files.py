"""Files that are whole or not there: written under a temporary name, flushed to the disk, then renamed.

Whoever writes a temporary file or folder holds a lock on it, which goes with the process however it ends. So what a
dead process left behind is told from what another one is writing, and goes when the next file is written beside it.
Where a folder has a staging folder (:mod:`contested.staging`), temporary files are made there and hold no lock.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from contested.errors import ConfigError
from contested.staging import fenced, staging_of
from contested.staging import replace as move

# Windows has no such locks: nothing can be told there of another process's temporary files.
_fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None

_TEMPORARY = ".contested-tmp"
_FORMER_TEMPORARY = ".tmp"
"""How earlier versions named them, which held no lock."""
_FORMER = ".former"
_LONGEST = 100
"""Bytes of a file's name in that of its temporary file: a name has 255 at most."""
_MAX_NAME = 255
_MAX_PATH = 4095
_LATER: ContextVar[dict[Path, None] | None] = ContextVar("later", default=None)
"""The folders that are flushed at the end of :func:`flushed_once`."""
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP}
"""What a file system answers that knows no flushing of folders."""


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

    File and folder are then on the disk: what is written afterwards may rely on them, whatever stops the machine.

    Args:
        path: The final path of the file; its folder must exist.

    Yields:
        An empty file to write to. If the block raises, it is removed and ``path`` is left as it was.
    """
    target = Path(path)
    with _temporary(target, _new_file) as temporary:
        try:
            yield temporary
            _sync(temporary)
            move(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    sync_folder(target.parent)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of ``path`` when the block ends well, with all that is in it.

    Args:
        path: The final path of the folder; its parent must exist. An empty folder may be there already.
        replace: Whether a folder that is not empty may be there too; it is removed.

    Yields:
        An empty folder of the same name to write in. If the block raises, it is removed and ``path`` is left as it was.
    """
    target = Path(path).resolve()
    with temporary_folder(target) as holder:
        made = holder / target.name
        made.mkdir()
        yield made
        settle(made)
        if replace and target.is_dir():
            move(target, holder / _FORMER)
        move(made, target)
    sync_folder(target.parent)


@contextlib.contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """Yield a temporary folder next to ``beside``, for what shall take its place; it is removed in the end."""
    with _temporary(beside, _new_folder) as made:
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


def settle(folder: Path) -> None:
    """Give what was written into a new folder ordinary rights, whoever wrote it, and flush all of it to the disk."""
    rights = folder.stat().st_mode & 0o666
    found = [(Path(root), folders, [Path(root, name) for name in names]) for root, folders, names in os.walk(folder)]
    files = [file for _, _, inside in found for file in inside]
    for file in files:
        file.chmod(rights)
    # After all else: what has changed meanwhile a disk would write down again for each file.
    for file in files:
        _sync(file)
    for root, folders, inside in found:
        if folders or inside:
            _flush(root)


def make_folder(path: Path) -> None:
    """Make a folder with its parents where they are missing, each on the disk before the next."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        if staging_of(folder) is None:
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)
        else:
            with atomic_folder(folder):
                pass


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing where there is none.

    Args:
        path: Its path.

    Raises:
        OSError: If it cannot be removed.
    """
    staging = staging_of(path)
    with fenced(staging):
        if staging is not None:
            gone = staging.folder / _temporary_name(path)
            try:
                move(path, gone)
            except FileNotFoundError:
                return
            path = gone
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def try_writing(folder: Path) -> None:
    """Write into a folder and leave nothing there.

    Args:
        folder: The folder.

    Raises:
        OSError: If it takes no file.
    """
    with tempfile.TemporaryFile(dir=folder, prefix=".", suffix=_TEMPORARY):
        pass


@contextlib.contextmanager
def flushed_once() -> Iterator[None]:
    """Flush each folder in which files are put within once, in the end, for files of which none relies on another.

    Yields:
        Nothing.
    """
    folders: dict[Path, None] = {}
    token = _LATER.set(folders)
    try:
        yield
    finally:
        _LATER.reset(token)
    for folder in folders:
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Flush which files a folder holds, and under which names, to the disk; within :func:`flushed_once` in its end."""
    later = _LATER.get()
    if later is None:
        _flush(folder)
    else:
        later[folder] = None


def _flush(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders.
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(handle)


def temporaries(folder: Path, *, former: bool = False) -> list[Path]:
    """Find the temporary files and folders that dead processes left in a folder.

    Args:
        folder: Where to look; it may be missing.
        former: Whether those of earlier versions count too, of which nobody knows whether they are being written: only
            where nobody else may write.

    Returns:
        Their paths, sorted.
    """
    return sorted(path for path in _named_temporary(folder, former=former) if _left_behind(path))


def remove_temporaries(folder: Path, *, former: bool = False) -> None:
    """Remove what :func:`temporaries` finds."""
    for path in _named_temporary(folder, former=former):
        _left_behind(path, then=_remove)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as :func:`indented` JSON to ``path`` atomically; NaN is refused, not written."""
    write_text(path, indented(value) + "\n")


def indented(value: Any, within: str = "") -> str:
    """JSON with a line for each entry of an object and each row of a table: a list of plain values is one line.

    Args:
        value: What JSON can hold, keys of objects being text.
        within: What its lines begin with.

    Returns:
        The text, without an end of line.

    Raises:
        ValueError: If a number is NaN or infinite.

    >>> print(indented({"rows": [[1, "a"], [2, "b"]]}))
    {
      "rows": [
        [1, "a"],
        [2, "b"]
      ]
    }
    """
    deeper = within + "  "
    if isinstance(value, dict) and value:
        begin, end = "{}"
        parts = [f"{_plain_json(str(key))}: {indented(part, deeper)}" for key, part in value.items()]
    elif isinstance(value, list | tuple) and any(isinstance(part, dict | list | tuple) for part in value):
        begin, end = "[]"
        parts = [indented(part, deeper) for part in value]
    else:
        return _plain_json(value)
    return f"{begin}\n" + ",\n".join(deeper + part for part in parts) + f"\n{within}{end}"


def _plain_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


@contextlib.contextmanager
def _temporary(target: Path, make: Callable[[Path], int]) -> Iterator[Path]:
    """Yield a new temporary path beside ``target``, held by this process; the block removes or renames it."""
    staging = staging_of(target)
    if staging is not None:
        path = staging.folder / _temporary_name(target)
        with fenced(staging):
            os.close(make(path))
            yield path
        return
    remove_temporaries(target.parent)
    path, handle = _make_held(target, make)
    try:
        yield path
    finally:
        os.close(handle)


def _temporary_name(target: Path) -> str:
    start = target.name.encode()[:_LONGEST].decode(errors="ignore")
    return f".{start}.{secrets.token_hex(8)}{_TEMPORARY}"


def _make_held(target: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    while True:
        path = target.parent / _temporary_name(target)
        handle = make(path)
        _hold(handle, wait=True)
        # Before it was held, somebody may have taken it for left behind and removed it.
        if _is_at(handle, path):
            return path, handle
        os.close(handle)


def _new_file(path: Path) -> int:
    # The system takes the process's umask off these rights, as of any file that a program writes.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)


def _new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY) if hasattr(os, "O_DIRECTORY") else os.open(os.devnull, os.O_RDONLY)


def _hold(handle: int, *, wait: bool = False) -> bool:
    """Lock what is open; False where another process holds it, or nobody can say."""
    if _fcntl is None:
        return False
    try:
        _fcntl.flock(handle, _fcntl.LOCK_EX | (0 if wait else _fcntl.LOCK_NB))
    except OSError:  # held, or on a file system without locks
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.name == "nt" or os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _named_temporary(folder: Path, *, former: bool) -> list[Path]:
    endings = (_TEMPORARY, _FORMER_TEMPORARY) if former else (_TEMPORARY,)
    try:
        with os.scandir(folder) as entries:
            return [
                Path(entry.path) for entry in entries if entry.name.startswith(".") and entry.name.endswith(endings)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _left_behind(path: Path, then: Callable[[Path], None] | None = None) -> bool:
    """Whether nobody writes a temporary file or folder; where so, ``then`` is called while nobody else can hold it."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:  # gone by now, no file of ours, or not for us to read
        return False
    try:
        if not _hold(handle):
            return False
        if then is not None:
            then(path)
        return True
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    # Where it cannot be removed it stays: whoever is writing beside it will hear of the same trouble.
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _sync(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())
