"""Requests to stop: the signals that ask for an orderly end, and a terminal that is gone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Ctrl-C, a request to end, and where there is such a signal the terminal's end."""


@contextlib.contextmanager
def stop_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle every signal that asks to stop, but for those that are ignored: ``nohup`` means that SIGHUP stops nothing.

    Args:
        handler: Called with the signal's number and the frame at hand.

    Yields:
        Nothing; the former handlers are back when the block ends.
    """

    def handle(number: int, frame: FrameType | None) -> None:
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
