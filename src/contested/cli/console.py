"""What the commands share: consoles, JSON on stdout, paths."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from contested.files import indented
from contested.stopping import leave_terminal
from contested.wording import visible

if TYPE_CHECKING:
    from rich.console import Console

_PIPED = 200  # columns of a table that no terminal bounds


def console(*, stderr: bool = False, wide: bool = False) -> Console:
    """A console that prints text as it is given.

    Args:
        stderr: Whether it prints to stderr.
        wide: Whether tables are wide where no terminal bounds them: what is piped goes to a file or a search, where a
            cut column is lost.

    Returns:
        The console; a reader that has gone away raises BrokenPipeError.
    """
    from rich.console import Console

    class Piped(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(_encodable(shown, self.encoding) for shown in objects), **options)

        def on_broken_pipe(self) -> None:
            # Rich ends the process with 1 here; main() decides whether a closed pipe is a failure.
            raise

    # The stream of this moment, as a console finds it: tests and notebooks replace it.
    stream: Any = _Lasting(sys.stderr if stderr else sys.stdout)
    made = Piped(file=stream, highlight=False)
    return Piped(file=stream, highlight=False, width=_PIPED) if wide and not made.is_terminal else made


class _Lasting:
    """A stream that outlives its terminal: what is written after the terminal's end is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> Any:
        """Write as the stream does."""
        return self._until_gone(lambda: self._stream.write(text))

    def flush(self) -> None:
        """Flush as the stream does."""
        self._until_gone(self._stream.flush)

    def _until_gone(self, write: Callable[[], Any]) -> Any:
        try:
            return write()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            leave_terminal()
            return 0


def _encodable(shown: Any, encoding: str) -> Any:
    """What is printed, with escapes for what would act and what the stream lacks: before a table measures columns."""
    from rich.table import Table
    from rich.text import Text

    if isinstance(shown, str):
        return visible(shown).encode(encoding, "backslashreplace").decode(encoding)
    if isinstance(shown, Text):
        shown.plain = _encodable(shown.plain, encoding)
    if isinstance(shown, Table):
        for column in shown.columns:
            column.header = _encodable(column.header, encoding)
            column._cells = [_encodable(cell, encoding) for cell in column._cells]
    return shown


def echo(text: str, *, err: bool = False) -> None:
    """Print a line as it is given, with escapes for what a terminal would obey.

    Args:
        text: The line.
        err: Whether it goes to stderr.
    """
    typer.echo(visible(text), err=err)


def print_json(content: Any) -> None:
    """Print a value as JSON, as plain ASCII where stdout can encode nothing else.

    Args:
        content: The value.
    """
    # Within a JSON text the escapes are those of JSON.
    text = visible(indented(content))
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(content, indent=2, allow_nan=False)
    print(text)


def path(text: str) -> Path:
    """A path as given on the command line; ``~`` is the home folder, also behind ``--out=``, where no shell expands it.

    Args:
        text: What was given.

    Returns:
        The path.
    """
    return Path(text).expanduser()
