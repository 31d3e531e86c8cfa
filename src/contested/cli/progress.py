"""Progress on stderr: live where it is a terminal, one line per checkpoint where it is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from contested.formats import CHANGE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from contested.runs import Progress
    from contested.studies import JobStatus, StudyStart


def checkpoint_line(run: str, state: Progress | JobStatus) -> str:
    """The progress of a run at its last checkpoint.

    Args:
        run: The run's name.
        state: Its progress.

    Returns:
        One line.
    """
    loss = math.nan if state.loss is None else state.loss
    change = CHANGE(state.contested_change)
    return f"{run}: step {state.checkpoint:,} of {state.total_steps:,}, loss {loss:.3f}, contested Δℓ {change}"


class progress_bar:  # noqa: N801 - used as a context manager only
    """Progress of runs: a live bar with loss, contested Δℓ so far and time left on a terminal, else lines.

    Args:
        console: The console of stderr.
    """

    def __init__(self, console: Console) -> None:
        from rich import progress

        self._console = console
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("loss {task.fields[loss]:.3f}  contested Δℓ {task.fields[change]}"),
            progress.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, progress.TaskID] = {}
        self._told: dict[str, int] = {}
        self._warned: set[str] = set()

    def __enter__(self) -> progress_bar:
        self._bar.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._bar.stop()

    def __call__(self, state: Progress, run: str = "training") -> None:
        """Show the progress of a run; each run has a line of its own."""
        from rich.text import Text

        for sentence in state.notes:
            self._print_once(Text(f"Note: {sentence}"))
        for sentence in (*state.unwatched, *(alarm.message for alarm in state.alarms)):
            self._print_once(Text(f"Warning: {sentence}", style="bold yellow"))
        if not self._console.is_terminal:
            if state.checkpoint > self._told.get(run, 0):
                self._console.print(Text(checkpoint_line(run, state)), soft_wrap=True)
                self._told[run] = state.checkpoint
            return
        change = CHANGE(state.contested_change)
        if run not in self._tasks:
            self._tasks[run] = self._bar.add_task(run, total=state.total_steps, loss=state.loss, change=change)
        self._bar.update(self._tasks[run], completed=state.step, loss=state.loss, change=change)

    def _print_once(self, line: Text) -> None:
        if line.plain not in self._warned:
            self._warned.add(line.plain)
            self._console.print(line, soft_wrap=True)


class study_board:  # noqa: N801 - used as a context manager only
    """A running study: a live table of its runs on a terminal, else lines; and a line for each run that ended.

    Args:
        console: The console of stderr.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._before = self._total = 0
        self._ended: set[str] = set()
        self._told: dict[str, int] = {}
        self._warned: dict[str, int] = {}
        self._noted: set[str] = set()
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> study_board:
        return self

    def __exit__(self, *unused: object) -> None:
        if self._live is not None:
            self._live.stop()

    def start(self, start: StudyStart) -> None:
        """Say what is to be done.

        Args:
            start: What the study found as it starts.
        """
        self._before, self._total = start.n_complete, len(start.cells)
        if start.n_other_version:
            self._say(
                f"{start.n_other_version} runs in this folder belong to another version of the study; left alone."
            )
        refused = f"{len(start.refused)} left as they are, " if start.refused else ""
        self._say(
            f"{start.study}: {self._total} runs, {self._before} already complete, {refused}{len(start.todo)} to do, "
            f"{start.how}"
        )
        for line in start.warnings:
            self.warn(line)
        if self._live is not None:
            self._live.start()

    def __call__(self, statuses: Mapping[str, JobStatus]) -> None:
        """Show the status of the runs."""
        for name, status in statuses.items():
            self._warn(name, status)
            if self._live is None:
                self._tell_checkpoint(name, status)
            if status.state in _ENDED and name not in self._ended:
                self._ended.add(name)
                self._say(f"[{self._before + len(self._ended)}/{self._total}] {name} {_end(status)}")
        if self._live is not None:
            self._live.update(_table(statuses), refresh=True)

    def warn(self, line: str) -> None:
        """Show a warning.

        Args:
            line: It, without a full stop.
        """
        self._say(f"Warning: {line}.")

    def _warn(self, name: str, status: JobStatus) -> None:
        for sentence in status.notes:
            if sentence not in self._noted:  # runs of one study have much in common
                self._noted.add(sentence)
                self._say(f"Note: {name}: {sentence}")
        for sentence in status.alarms[self._warned.get(name, 0) :]:
            self._say(f"Warning: {name}: {sentence}")
        self._warned[name] = max(self._warned.get(name, 0), len(status.alarms))

    def _tell_checkpoint(self, name: str, status: JobStatus) -> None:
        if status.checkpoint > self._told.get(name, 0):
            self._say(checkpoint_line(name, status))
            self._told[name] = status.checkpoint

    def _say(self, line: str) -> None:
        from rich.text import Text

        self._console.print(Text(line), soft_wrap=True)


_ENDED = frozenset({"complete", "failed", "skipped", "interrupted"})


def _end(status: JobStatus) -> str:
    # A run that another process held was complete when its turn came.
    what: str = "done by another process" if status.state == "skipped" else status.state
    return f"{what}: {_summary(status.message)}" if status.message else what


def _summary(message: str) -> str:
    """One line: a message's first, or a traceback's last."""
    lines = message.splitlines()
    return lines[-1 if lines[0].startswith("Traceback") else 0]


def _table(statuses: Mapping[str, JobStatus]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("run", "step", "contested Δℓ", box=None)
    for name, status in statuses.items():
        if status.state in {"running", "locked"}:
            step = f"{status.step:,} of {status.total_steps:,}" if status.total_steps else "starting"
            where = "held by another process" if status.state == "locked" else step
            table.add_row(Text(name), where, CHANGE(status.contested_change))
    waiting = sum(status.state == "waiting" for status in statuses.values())
    table.add_row(Text(f"{waiting} waiting", style="dim"))
    return table
