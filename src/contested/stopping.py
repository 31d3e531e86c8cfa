"""Requests to stop: the signals that ask for an orderly end, and a terminal that is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2") if hasattr(signal, name)
)
"""Ctrl-C, a request to end, and where there are such signals the terminal's end and a scheduler's warning."""

_SAME = 1.0  # seconds within which a scheduler's signals are one request: it sends them to a parent and to its children


@contextlib.contextmanager
def stop_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle every signal that asks to stop, but for those that are ignored: ``nohup`` means that SIGHUP stops nothing.

    A signal other than Ctrl-C that follows another within a second is the same request, and is not handled again.

    Args:
        handler: Called with the signal's number and the frame at hand.

    Yields:
        Nothing; the former handlers are back when the block ends.
    """
    last = -_SAME

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if number != signal.SIGINT and last - before < _SAME:
            return
        if number == getattr(signal, "SIGHUP", None):
            leave_terminal()
        handler(number, frame)

    former: dict[int, Any] = {}
    # Only the main thread may handle signals; elsewhere the caller decides.
    with contextlib.suppress(ValueError):
        for asking in STOP_SIGNALS:
            if signal.getsignal(asking) is not signal.SIG_IGN:
                former[asking] = signal.signal(asking, handle)
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)


def leave_terminal() -> None:
    """Let stdout and stderr lead nowhere where they led to a terminal that is gone: writing to it is an error."""
    for stream in (1, 2):
        try:
            os.write(stream, b"")
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream)
            os.close(nowhere)
