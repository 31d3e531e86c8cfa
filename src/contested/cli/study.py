"""``contested study``: many runs from one file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contested.cli.console import console, echo, path, print_json
from contested.cli.study_files import FILE, SCALE, SETS, load, make_miniature, open_folder
from contested.cli.study_outcome import exit_code, tell
from contested.cli.study_submit import SubmitCommand, cancel, submit
from contested.studies.presets import PRESETS

if TYPE_CHECKING:
    from contested.studies import Cell
    from contested.studies.times import Times

study = typer.Typer(
    help=f"Many runs from one file.\n\nPresets: {', '.join(PRESETS)}.",
    short_help="Many runs from one file: plan, run or resume, status.",
    no_args_is_help=True,
)

study.command(cls=SubmitCommand)(submit)
study.command()(cancel)

_REFRESH = 2.0
_ASKED = 30.0  # seconds between two questions to SLURM
_MOST_ROWS = 300  # of a table of runs


@study.command()
def plan(
    file: Annotated[str, FILE],
    *,
    sets: Annotated[list[str] | None, SETS] = None,
    scale: Annotated[str | None, SCALE] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="The study's folder, to show which runs are complete.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON and nothing else.")] = False,
) -> None:
    """Show what would run and what it would cost.

    The matrix of runs, their number, and an estimate of arithmetic, memory and time on this device. Nothing is loaded
    or downloaded. The times come from a short measurement of this device and are right within a factor of two or three;
    with --out they are what the finished runs there took.

    Example: contested study plan paper
    """
    from rich.text import Text

    from contested.cli.study_tables import matrix, totals
    from contested.studies import expand
    from contested.studies.checks import misfits, missing_inputs, short_bulks, slow_cells
    from contested.studies.plan import measure, plan_json
    from contested.studies.times import Times

    content = load(file, sets, scale, out)
    cells = expand(content)
    status, times = ({}, Times([])) if out is None else _found(cells, out)
    device = measure()

    def seconds_of(cell: Cell) -> float:
        return times.seconds_of(cell, device.rate)

    if json:
        print_json(plan_json(cells, device, status, seconds_of))
        return
    show = console()
    about = f": {content.description}" if content.description else ""
    show.print(Text(f"{content.name}{about}", style="bold"), soft_wrap=True)
    console(wide=True).print(matrix(cells, seconds_of))
    for line in totals(cells, device, status, times):
        show.print(Text(line), soft_wrap=True)
    # The files of a miniature are made when it runs.
    inputs = missing_inputs(cells) if scale is None else short_bulks(cells)
    for line in (*misfits(cells), *inputs, *slow_cells(cells, on_cpu=not device.on_gpu)):
        show.print(Text(f"Warning: {line}{'' if line.endswith('?') else '.'}"), soft_wrap=True)


@study.command()
def run(
    file: Annotated[str, FILE],
    out: Annotated[
        Path,
        typer.Option(
            parser=path, help="The study's folder; a study that it already holds is resumed.", show_default=False
        ),
    ],
    *,
    sets: Annotated[list[str] | None, SETS] = None,
    scale: Annotated[str | None, SCALE] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at the same time; by default as many as cores, GPUs and memory allow."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Save what is trained and stop before this time, and start nothing that does not fit into what is "
            "left: 18:30, 2026-11-30T18:30 or seconds since 1970.",
            show_default=False,
        ),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin damaged runs again from the start; whole ones stay as they are.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON and nothing else.")] = False,
) -> None:
    """Run a study, or resume it.

    Complete runs are checked and skipped, interrupted ones resumed, failed ones tried again. A failed run does not stop
    the others, nor does a damaged one, which is left as it is unless --from-start is given; the exit code is then 1.
    Longest runs start first. Ctrl-C saves the state of every run. Two terminals that give the same command share the
    work; with --until one leaves to the others what they hold, and the exit code is then 3.

    Example: contested study run paper --scale mini --out mini
    """
    from contested.cli.progress import study_board
    from contested.studies import LocalExecutor, run_study
    from contested.studies.clock import moment

    executor = LocalExecutor(jobs, until=None if until is None else moment(until))
    content = load(file, sets, scale, out)
    make_miniature(content, out, scale)
    with study_board(console(stderr=True)) as show:
        outcome = run_study(content, out, executor=executor, on_start=show.start, on_change=show, from_start=from_start)
    tell(outcome, json=json)
    raise typer.Exit(exit_code(outcome, timed=until is not None))


@study.command()
def status(
    file: Annotated[str, typer.Argument(metavar="STUDY", help="The study's folder, file or preset.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="The study's folder, where STUDY is a file or preset.", show_default=False),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print once, also on a terminal.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON and nothing else.")] = False,
) -> None:
    """Show the status of every run.

    On a terminal the table stays up to date until all is done or Ctrl-C is pressed.

    Example: contested study status mini
    """
    from contested.cli.study_tables import status_json, status_table
    from contested.studies import expand
    from contested.studies.folder import StudyFolder
    from contested.studies.slurm import queue_lines, submissions
    from contested.studies.status import progress

    folder = out or path(file)
    content = open_folder(file, folder, given=out is not None)
    cells = [cell for cell in expand(content) if not cell.excluded]
    if not json and not once and console().is_terminal:
        _follow(cells, folder)
        return
    held = StudyFolder(folder, cells, verify=True)
    now = progress(held, cells)
    if json:
        submitted = [each._asdict() for each in submissions(folder)]
        print_json(status_json(content.name, cells, held.states, now) | {"submitted": submitted})
        return
    few = len(cells) <= _MOST_ROWS
    console(wide=True).print(status_table(cells, held.states, now, rows=None if few else _MOST_ROWS))
    if not few:
        more = "first those at work or in trouble; --json lists all."
        echo(f"{_MOST_ROWS} of {len(cells):,} runs shown, {more}", err=True)
    is_left = any(state.status != "complete" for state in held.states.values())
    for line in queue_lines(folder, training=now.workers, is_left=is_left):
        echo(line)
    if held.others:
        echo(f"{held.others} runs in this folder belong to another version of the study; left alone.", err=True)


def _follow(cells: Sequence[Cell], folder: Path) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from contested.cli.study_tables import counts, status_table
    from contested.studies.folder import StudyFolder
    from contested.studies.slurm import queue_lines
    from contested.studies.status import progress
    from contested.studies.times import learn

    show, times, n_known = console(), None, 0
    lines: list[str] = []
    due = time.monotonic()
    with Live(console=show, auto_refresh=False) as live:
        while True:
            held = StudyFolder(folder, cells)
            n_complete = counts(held.states).get("complete", 0)
            done = n_complete == len(cells)
            if done:
                held = StudyFolder(folder, cells, verify=True)
            if times is None or n_complete != n_known:
                times, n_known = learn(held, cells), n_complete
            now = progress(held, cells, times)
            if done or time.monotonic() >= due:
                lines = queue_lines(folder, training=now.workers, is_left=not done)
                due = time.monotonic() + _ASKED
            rows = max(1, show.height - 6 - 2 * len(lines))
            live.update(Group(status_table(cells, held.states, now, rows=rows), *map(Text, lines)), refresh=True)
            if done:
                return
            time.sleep(_REFRESH)


def _found(cells: Sequence[Cell], out: Path) -> tuple[dict[str, str], Times]:
    """Run id to status, and what finished runs took."""
    from contested.studies.folder import StudyFolder
    from contested.studies.times import learn

    folder = StudyFolder(out, cells, verify=True)
    return {name: state.status for name, state in folder.states.items()}, learn(folder, cells)
