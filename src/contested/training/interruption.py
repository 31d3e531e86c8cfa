"""A request to stop, met between two steps with the state saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from contested.errors import ContestedError


class Interrupted(ContestedError):  # noqa: N818 - requested, not an error, but it ends the command all the same
    """Training stopped on request after a whole step, with its state saved."""

    exit_code = 130

    def __init__(self, step: int) -> None:
        super().__init__(f"interrupted after step {step}; the same command resumes from there")
        self.step = step


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a request that is met between two steps; a second one acts at once."""

    def __init__(self) -> None:
        self.requested = False
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread may handle signals; elsewhere the caller decides.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
