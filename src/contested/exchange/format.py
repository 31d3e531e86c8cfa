"""What a format of another tool is, and what the formats share."""

from __future__ import annotations

import contextlib
import struct
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from contested.errors import RunError
from contested.exchange.records import Recording
from contested.files import atomic_folder, atomic_path, make_folder
from contested.wording import listed

if TYPE_CHECKING:
    from contested.trajectories.trajectory import Known, Trajectory

Reader = Callable[[Any, Container[str] | None, tuple[str, ...] | None], Recording]
Writer = Callable[["Trajectory", Path], list[str]]


NOT_ARRAYS: tuple[type[Exception], ...] = (
    *(OSError, ValueError, EOFError, MemoryError, RuntimeError, OverflowError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)
"""What NumPy and zipfile raise of a damaged file: an odd header, an encrypted entry, a shape that no memory holds."""


@dataclass(frozen=True)
class Format:
    """A format of another tool.

    Attributes:
        name: What it is called on the command line.
        summary: What it holds, in a line.
        read: Source (a path, or what else the format takes), wanted ids (None: all) and class names (None: not given)
            to a recording; None where it cannot be read.
        write: Writes a trajectory to a path and says what was lost, a sentence each; None where it cannot be written.
    """

    name: str
    summary: str
    read: Reader | None = None
    write: Writer | None = None


def required(trajectory: Trajectory, *names: Known) -> list[NDArray[Any]]:
    """What a format cannot do without.

    Args:
        trajectory: The run.
        *names: Arrays that it must have.

    Returns:
        The arrays.

    Raises:
        RunError: If it lacks one.
    """
    return [trajectory.required(name) for name in names]


def not_held(trajectory: Trajectory, where: str) -> list[str]:
    """Say what a table of losses and logits does not hold of a run.

    Args:
        trajectory: The run.
        where: What does not hold them.

    Returns:
        A sentence, or none.
    """
    gone = ["annotators' labels"] if "annotators" in trajectory.has else []
    gone += [*trajectory.text_columns, *trajectory.extra]
    return [f"Not in {where}: {listed(gone)}."] if gone else []


def runs_inside(folder: Path, holds: Callable[[Path], bool]) -> str:
    """Say which folders in a folder hold what was looked for in it: other seeds are runs of their own.

    Args:
        folder: What was given.
        holds: Whether a folder holds a recording.

    Returns:
        A sentence with the space before it; empty where none does.
    """
    inside = [entry.name for entry in sorted(folder.iterdir()) if entry.is_dir() and holds(entry)]
    return f" Its folders {listed(inside)} hold such; import each as a run of its own with --each." if inside else ""


def check_new_folder(target: Path) -> None:
    """Refuse a folder that holds something, before anything is read for it.

    Args:
        target: The folder that shall be made.

    Raises:
        RunError: If it is no empty folder.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunError(f"{target} exists and is not an empty folder. Give a new folder.")


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``target`` when the block ends well.

    Args:
        target: A new or empty folder; its parents are made.

    Yields:
        The folder to write in.

    Raises:
        RunError: If ``target`` holds something already or cannot be written.
    """
    check_new_folder(target)
    try:
        make_folder(target.parent)
        with atomic_folder(target) as made:
            yield made
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror or error}.") from error


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield a temporary file that becomes ``target`` when the block ends well.

    Args:
        target: A new file; its parents are made.

    Yields:
        The file to write to.

    Raises:
        RunError: If ``target`` exists or cannot be written.
    """
    if target.exists():
        raise RunError(f"{target} exists. Give a new file.")
    try:
        make_folder(target.parent)
        with atomic_path(target) as made:
            yield made
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror or error}.") from error
