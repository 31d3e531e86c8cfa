"""Signals that ask to stop, and a terminal that goes away."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from contested.stopping import STOP_SIGNALS, stop_signals


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_each_signal_asks_to_stop_and_its_former_handler_comes_back(number: signal.Signals) -> None:
    def former(number: int, frame: object) -> None:
        raise AssertionError("the former handler was asked")

    before = signal.signal(number, former)  # where tests run under nohup, the one before ignores the signal
    try:
        seen: list[int] = []
        with stop_signals(lambda number, frame: seen.append(number)):
            signal.raise_signal(number)
        assert seen == [number]
        assert signal.getsignal(number) is former
    finally:
        signal.signal(number, before)


def test_signals_of_one_moment_are_one_request_and_ctrl_c_is_always_another(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    now = 100.0
    monkeypatch.setattr("contested.stopping.time.monotonic", lambda: now)
    with stop_signals(lambda number, frame: seen.append(number)):
        signal.raise_signal(signal.SIGUSR2)
        now += 0.5
        signal.raise_signal(signal.SIGTERM)  # of a scheduler, to a parent and to its children
        assert seen == [signal.SIGUSR2]
        signal.raise_signal(signal.SIGINT)
        now += 1.5
        signal.raise_signal(signal.SIGTERM)
    assert seen == [signal.SIGUSR2, signal.SIGINT, signal.SIGTERM]


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        seen: list[int] = []
        with stop_signals(lambda number, frame: seen.append(number)):
            signal.raise_signal(signal.SIGHUP)
        assert seen == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# A process that says where it is on its terminal until it is asked to stop, and then leaves its last words in a file.
TALKING = """
import os, sys, time
from contested.cli.console import console
from contested.stopping import stop_signals
asked = []
show = console(stderr=True)
with stop_signals(lambda number, frame: asked.append(number)):
    end = time.monotonic() + 60
    while not asked and time.monotonic() < end:
        show.print("working")
        time.sleep(0.001)
    for _ in range(100):
        show.print("saving")
        print("saving", flush=True)
open(sys.argv[1], "w").write(str(asked))
"""


def test_a_terminal_that_is_closed_asks_to_stop_and_breaks_nothing(tmp_path: Path) -> None:
    words = tmp_path / "words"
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(TALKING), str(words)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
    finally:
        os.close(theirs)
    seen = b""
    while b"working" not in seen:
        seen += os.read(ours, 1000)
    os.close(ours)
    assert process.wait(60) == 0
    assert words.read_text() == f"[{int(signal.SIGHUP)}]"


def _take_terminal() -> None:
    """Make the terminal on stdin the one that controls this session: its end is told by SIGHUP."""
    import fcntl
    import termios

    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
