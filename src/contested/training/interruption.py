"""A request to stop, met between two steps with the state saved."""

from __future__ import annotations

from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Self

from contested.errors import ContestedError
from contested.stopping import stop_signals


class Interrupted(ContestedError):  # noqa: N818 - requested, not an error, but it ends the command all the same
    """Training stopped on request after a whole step, with its state saved."""

    exit_code = 130

    def __init__(self, step: int) -> None:
        super().__init__(f"interrupted after step {step}; the same command resumes from there")
        self.step = step


class StopRequest:
    """Turns a first Ctrl-C, SIGTERM or SIGHUP into a request, met between two steps; a second one acts at once."""

    def __init__(self) -> None:
        self.requested = False
        self._handled = ExitStack()

    def __enter__(self) -> Self:
        self._handled.enter_context(stop_signals(self._handle))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handled.close()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
