"""A request to stop, met between two steps with the state saved."""

from __future__ import annotations

from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Self

from contested.errors import ContestedError
from contested.stopping import stop_signals
from contested.training.processes import ALONE, Processes


class Interrupted(ContestedError):  # noqa: N818 - requested, not an error, but it ends the command all the same
    """Training stopped on request after a whole step, with its state saved."""

    exit_code = 130

    def __init__(self, step: int) -> None:
        super().__init__(f"interrupted after step {step}; the same command resumes from there")
        self.step = step


class StopRequest:
    """Turns a first signal to stop (``STOP_SIGNALS``) into a request, met between two steps; a second acts at once.

    Args:
        processes: Those that train together: they stop after the same step, whichever of them was asked.

    Attributes:
        requested: Whether to stop.
    """

    def __init__(self, processes: Processes = ALONE) -> None:
        self.requested = False
        self._asked = False
        self._processes = processes
        self._handled = ExitStack()

    def __enter__(self) -> Self:
        self._handled.enter_context(stop_signals(self._handle))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handled.close()

    def agree(self) -> None:
        """Let every process know of a request to any of them."""
        self.requested = self._processes.any(self._asked)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        # Of several processes none may stop before the others know.
        self.requested = self._processes.size == 1
