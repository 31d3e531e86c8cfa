"""How long the holder of a run has given no sign of life, by this process's own clock and looks."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from contested.trajectories.lease_chain import Generation
from contested.trajectories.lease_owner import is_alive

PERIOD_S = 60.0
"""Seconds without a sign of life after which a lease may be taken from another machine's process."""
_MOST_OF_PERIOD = 0.25
"""Share of the period that one look adds at most."""


class _Silence(NamedTuple):
    """How long a generation has given no sign of life, and when that was last looked at."""

    token: str
    beats: int
    silent_s: float
    looked_at: float


class Silences:
    """Remembers when it saw signs of life of those that hold runs."""

    def __init__(self) -> None:
        self._seen: dict[str, _Silence] = {}

    def finds_free(self, run: Path, found: Generation) -> bool:
        """Whether a generation is released, or its owner dead or silent for its period.

        Args:
            run: The run folder.
            found: Its latest generation, as just read.

        Returns:
            Whether it may be taken.
        """
        return is_over(found) or self.silence_s(run, found) > period_s(found)

    def silence_s(self, run: Path, found: Generation) -> float:
        """Seconds for which a generation has given no sign of life, as far as was looked.

        Args:
            run: The run folder.
            found: Its latest generation, as just read.

        Returns:
            0 at the first look, and after a sign of life.
        """
        key, now = os.path.realpath(run), time.monotonic()
        before = self._seen.get(key)
        silent_s = 0.0
        if before is not None and (before.token, before.beats) == (found.token, found.beats):
            silent_s = before.silent_s + min(now - before.looked_at, period_s(found) * _MOST_OF_PERIOD)
        self._seen[key] = _Silence(found.token, found.beats, silent_s, now)
        return silent_s


def period_s(found: Generation) -> float:
    """Seconds without a sign of life after which a generation may be taken, as its owner has it."""
    return PERIOD_S if found.owner is None else found.owner.period_s


def is_over(found: Generation | None) -> bool:
    """Whether nobody holds a generation for certain: there is none, it was released, or its process has ended."""
    if found is None or found.left is not None:
        return True
    return found.owner is not None and is_alive(found.owner) is False
