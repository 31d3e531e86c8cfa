"""Changes of a folder that go through another one: whoever removes that one has stopped them all, for good.

What is written into the folder is written in its *staging* folder and renamed into place; what is removed from it is
renamed into the staging folder and removed there. A rename needs both of its ends. So from the moment at which the
staging folder is gone no change of its owner arrives any more, not even one that was decided before: there is no moment
between a look and a write. Which folders have one is known to the process, and :mod:`contested.files` asks here.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

GONE = frozenset({errno.ENOENT, errno.ESTALE})
"""What a system answers that is asked for something that was removed; ESTALE on a disk of another machine."""


class Staging(NamedTuple):
    """The staging folder of a folder.

    Attributes:
        root: The folder that changes through it.
        folder: The staging folder, on the same disk.
        lost: The error to raise once it is gone.
    """

    root: Path
    folder: Path
    lost: Callable[[], Exception]


_STAGED: dict[str, Staging] = {}
"""Each folder with a staging folder, under the path that was given and under the one without links."""


def stage(staging: Staging) -> None:
    """Let all changes of a folder go through its staging folder from now on."""
    _STAGED.update(dict.fromkeys((os.path.abspath(staging.root), os.path.realpath(staging.root)), staging))


def unstage(staging: Staging) -> None:
    """Change the folder directly again."""
    for name in [name for name, each in _STAGED.items() if each is staging]:
        del _STAGED[name]


def staging_of(path: Path) -> Staging | None:
    """Find the staging folder through which a file or folder changes.

    Args:
        path: Its path, within a folder of :func:`stage` or anywhere else.

    Returns:
        The staging folder, or None where it is changed directly.
    """
    if not _STAGED:
        return None
    # As it was given, and with the links above it followed.
    for name in (os.path.abspath(path), os.path.join(os.path.realpath(path.parent), path.name)):
        above = os.path.dirname(name)
        while above != name:
            if above in _STAGED:
                return _STAGED[above]
            name, above = above, os.path.dirname(above)
    return None


def stands(folder: Path) -> bool:
    """Whether a folder is there; asked by opening it, which no disk answers from memory."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        return error.errno not in GONE
    return True


@contextlib.contextmanager
def fenced(staging: Staging | None) -> Iterator[None]:
    """Say that the staging folder is gone in place of whatever became of it.

    Args:
        staging: The staging folder that is used, or None.

    Yields:
        Nothing.

    Raises:
        Exception: The staging folder's own, where it is gone; else whatever is raised within.
    """
    try:
        yield
    except Exception as error:
        if staging is None or stands(staging.folder):
            raise
        raise staging.lost() from error


def replace(source: Path, target: Path) -> None:
    """Rename a file or folder, one of the two being in the staging folder of the other where it has one.

    Args:
        source: What is renamed.
        target: Its new path; a file there is replaced.

    Raises:
        OSError: If it cannot be renamed.
    """
    staging = staging_of(target)
    if staging is None:
        os.replace(source, target)
        return
    with fenced(staging):
        moved = os.lstat(source)
        try:
            os.replace(source, target)
        except FileNotFoundError:
            if not _is_at(moved, target):
                raise
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            why = f"{target.parent} is on another disk than {staging.root}, and a run is kept on one"
            raise OSError(errno.EXDEV, why) from None


def _is_at(moved: os.stat_result, target: Path) -> bool:
    """Whether it was renamed after all: a file server whose answer was lost is asked again, and finds nothing to do."""
    try:
        return os.path.samestat(moved, os.lstat(target))
    except OSError:
        return False
