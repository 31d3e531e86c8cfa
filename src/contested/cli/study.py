"""``contested study``: many runs from one file."""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contested.errors import ConfigError, RunError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from contested.studies import Cell, Study
    from contested.studies.folder import RunState
    from contested.studies.local import Standing
    from contested.studies.plan import Device

study = typer.Typer(
    help="Many runs from one file.\n\n"
    "Presets: paper, paper-main, paper-deberta, paper-decoders, paper-rank-sweep, paper-composition, paper-noise, "
    "paper-soft-labels, paper-ia3, paper-gradients, paper-calibration, lr-control.",
    short_help="Many runs from one file: plan, run or resume, status.",
    no_args_is_help=True,
)

_FILE = typer.Argument(metavar="STUDY", help="A study file (YAML) or the name of a preset.", show_default=False)
_SETS = typer.Option(
    "--set",
    metavar="KEY=VALUE",
    help="Change the study: data.dir=FOLDER, backbone=PATH, backbone.roberta=PATH, seeds=[42], any dotted key.",
    show_default=False,
)
_SCALE = typer.Option(help="mini: the embedded world, small stand-ins and two seeds.", show_default=False)
_INTERRUPTED = 130
_REFRESH = 2.0
_PIPED = 200  # columns of a table that no terminal bounds


@study.command()
def plan(
    file: Annotated[str, _FILE],
    *,
    sets: Annotated[list[str] | None, _SETS] = None,
    scale: Annotated[str | None, _SCALE] = None,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder, to see what is done already.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON and nothing else.")] = False,
) -> None:
    """Show what would run and what it would cost.

    The matrix, its counts, and an estimate of arithmetic, memory and time on this device. Nothing is loaded or
    downloaded; a short measurement of this device gives the times, which are right within a
    factor of two or three.

    Example: contested study plan paper
    """
    from rich.console import Console
    from rich.text import Text

    from contested.studies import plan as planning
    from contested.studies.cells import expand

    content = _load(file, sets, scale, out)
    cells = expand(content)
    status = {} if out is None else _statuses(cells, out)
    device = planning.measure()
    if json:
        typer.echo(jsonlib.dumps(planning.plan_json(cells, device, status), indent=2, allow_nan=False))
        return
    console = Console(highlight=False)
    about = f": {content.description}" if content.description else ""
    console.print(Text(f"{content.name}{about}", style="bold"), soft_wrap=True)
    # What is piped goes to a file or a search, where a cut column is lost.
    wide = console if console.is_terminal else Console(highlight=False, width=_PIPED)
    wide.print(_matrix(cells, device.rate))
    for line in _totals(content, cells, device, status):
        console.print(Text(line), soft_wrap=True)
    for line in _warnings(cells, device, with_missing=scale is None):
        console.print(Text(f"Warning: {line}."), soft_wrap=True)


@study.command()
def run(
    file: Annotated[str, _FILE],
    out: Annotated[Path, typer.Option(help="The study's folder; the same folder resumes.", show_default=False)],
    *,
    sets: Annotated[list[str] | None, _SETS] = None,
    scale: Annotated[str | None, _SCALE] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at once; as cores, GPUs and memory allow without it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON and nothing else.")] = False,
) -> None:
    """Run a study, or go on with it.

    Finished runs are skipped, unfinished ones resumed, failed ones tried again. A failed run does not stop the
    others; the exit code is then 1. Ctrl-C saves every run's state. The same command
    twice at a time shares the work.

    Example: contested study run paper --scale mini --out mini
    """
    from rich.console import Console
    from rich.text import Text

    from contested.studies import local
    from contested.studies import plan as planning
    from contested.studies.cells import expand
    from contested.studies.folder import begin, others, run_folder, states

    content = _load(file, sets, scale, out)
    cells = [cell for cell in expand(content) if not cell.excluded]
    _prepare(content, out, scale)
    _check(cells)
    begin(content, out)
    _say_others(others(cells, out))
    found = states(cells, out)
    refused = [name for name, state in found.items() if state.status == "other"]
    todo = [cell for cell in cells if found[cell.run_id].status not in {"complete", "other"}]
    device = planning.measure(0.05)
    workers = jobs or planning.slots(todo, device)
    stacks = [
        local.stack_size(cell.config, "cuda" if device.on_gpu else None)
        for cell in todo
        if local.stack_key(cell.config)
    ]
    most = max(stacks, default=1)
    console = Console(stderr=True)
    console.print(
        Text(
            f"{content.name}: {len(cells)} runs, {len(cells) - len(todo) - len(refused)} complete already, "
            f"{len(todo)} to do, {workers} at once"
            + (f", each of up to {most} LoRA runs over one backbone" if most > 1 else "")
        )
    )
    for line in _slowdowns(todo, device):
        console.print(Text(f"Warning: {line}."))
    with _board(console, cells, found) as show:
        standings = local.run_jobs(
            [local.Job(cell.run_id, cell.config, run_folder(out, cell)) for cell in todo],
            workers=workers,
            threads=None if device.on_gpu else max(1, device.slots // workers),
            devices=[f"cuda:{index}" for index in range(device.slots)] if device.on_gpu else (),
            on_change=show,
        )
    _finish(out, cells, refused, standings, json=json)


@study.command()
def status(
    file: Annotated[str, typer.Argument(metavar="STUDY", help="The study's folder, file or preset.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder, where STUDY is a file or preset.", show_default=False)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print once, also on a terminal.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON and nothing else.")] = False,
) -> None:
    """Show where every run stands.

    On a terminal the table stays up to date until all is done or Ctrl-C.

    Example: contested study status mini
    """
    from rich.console import Console
    from rich.live import Live

    from contested.studies import PRESETS, load_study, open_study
    from contested.studies.cells import expand
    from contested.studies.folder import is_study, others, states

    folder = out or Path(file)
    if not is_study(folder):
        given = f"Give the folder of its runs: contested study status {file} --out FOLDER."
        raise ConfigError(
            given
            if out is None and (Path(file).is_file() or file in PRESETS)
            else f"{folder} is no study's folder: it has no study.yaml. Give the --out of contested study run."
        )
    content = open_study(folder) if is_study(Path(file)) else load_study(file)
    cells = [cell for cell in expand(content) if not cell.excluded]
    found = states(cells, folder)
    if json:
        rows = [{"run_id": cell.run_id, **cell.coordinates, **_plain(found[cell.run_id])} for cell in cells]
        typer.echo(jsonlib.dumps({"study": content.name, "counts": _counts(found), "runs": rows}, indent=2))
        return
    console = Console(highlight=False)
    if once or not console.is_terminal:
        console.print(_status_table(cells, found))
        _say_others(others(cells, folder))
        return
    with Live(console=console, auto_refresh=False) as live:
        while True:
            found = states(cells, folder)
            live.update(_status_table(cells, found, rows=console.height - 6), refresh=True)
            if all(state.status == "complete" for state in found.values()):
                return
            time.sleep(_REFRESH)


def _load(file: str, sets: Sequence[str] | None, scale: str | None, out: Path | None) -> Study:
    from contested.studies.file import load_study

    if scale is None:
        return load_study(file, sets or ())
    if scale != "mini":
        raise ConfigError(f"--scale is {scale!r}; the one scale there is, is mini.")
    from contested.studies.mini import shrink

    return load_study(file, sets or (), reshape=lambda content: shrink(content, out or Path("mini")))


def _statuses(cells: Sequence[Cell], out: Path) -> dict[str, str]:
    from contested.studies.folder import states

    return {name: state.status for name, state in states(cells, out).items()}


def _prepare(content: Study, out: Path, scale: str | None) -> None:
    if scale == "mini":
        from contested.studies.mini import make_parts

        try:
            make_parts(content, out)
        except OSError as error:
            raise RunError(f"Cannot write to {out}: {error.strerror or error}. Choose another --out.") from error


def _say_others(count: int) -> None:
    if count:
        typer.echo(f"{count} runs in this folder belong to another version of the study and are left alone.", err=True)


def _warnings(cells: Sequence[Cell], device: Device, *, with_missing: bool) -> list[str]:
    from contested.studies.inputs import missing, short_bulk

    configs = [cell.config for cell in cells if not cell.excluded]
    found = [problem for config in configs for problem in (missing(config) if with_missing else [])]
    found += _slowdowns(cells, device)
    return list(dict.fromkeys([*found, *(problem for config in configs for problem in short_bulk(config))]))


def _slowdowns(cells: Sequence[Cell], device: Device) -> list[str]:
    from contested.studies.backbone import slowdowns

    configs = [cell.config for cell in cells if not cell.excluded]
    cpus = {"cpu"} if device.on_gpu else {"cpu", "auto"}
    each = (slowdowns(config, on_cpu=config.execution.device in cpus) for config in configs)
    return list(dict.fromkeys(line for found in each for line in found))


def _check(cells: Sequence[Cell]) -> None:
    """Find what would stop runs before the first one starts: every problem of every cell, each once."""
    from contested.runs import check_run
    from contested.studies.inputs import short_bulk, unreadable

    # Files first: they need no network, which a backbone's name may.
    _refuse({cell.run_id: cell.config.task.missing_files for cell in cells})
    data: dict[str, list[str]] = {}
    for cell in cells:
        task = cell.config.task
        key = str((task.annotated, task.text_columns))
        if key not in data:
            data[key] = unreadable(cell.config)
    _refuse(
        {
            cell.run_id: [
                *short_bulk(cell.config),
                *data[str((cell.config.task.annotated, cell.config.task.text_columns))],
            ]
            for cell in cells
        }
    )
    known: dict[str, list[str]] = {}
    found: dict[str, list[str]] = {}
    for cell in cells:
        key = str((cell.config.model, cell.config.method, cell.config.execution.device))
        if key not in known:
            known[key] = check_run(cell.config)
        found[cell.run_id] = known[key]
    _refuse(found)


def _refuse(found: Mapping[str, Sequence[str]]) -> None:
    runs_of: dict[str, list[str]] = {}
    for run_id, problems in found.items():
        for problem in problems:
            runs_of.setdefault(problem, []).append(run_id)
    if runs_of:
        problems = [f"{problem} ({len(runs)} runs, such as {runs[0]})" for problem, runs in runs_of.items()]
        raise ConfigError("The study cannot start:", problems)


def _matrix(cells: Sequence[Cell], rate: float) -> Table:
    """One row for the cells that differ only in the seed, under the first group that asks for them."""
    from rich.table import Table
    from rich.text import Text

    from contested.studies.plan import cost

    rows: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        key = (cell.groups[0], *(value for axis, value in cell.coordinates.items() if axis != "seed"))
        rows.setdefault(key, []).append(cell)
    table = Table("", "seeds", box=None)
    for heading in ("steps", "checkpoints", "PFLOP", "GB", "time"):
        table.add_column(heading, justify="right")
    group = ""
    for (first, *place), members in rows.items():
        if first != group:
            group = first
            table.add_row(Text(group, style="bold"))
        needed = cost(members[0])
        seeds = " ".join(
            f"({cell.coordinates['seed']})" if cell.excluded else cell.coordinates["seed"] for cell in members
        )
        numbers = (
            f"{needed.steps:,}",
            f"{needed.checkpoints}",
            _number(needed.flops / 1e15),
            _number(needed.memory / 1e9),
            _time(needed.seconds(rate)),
        )
        named = [value for value in place if value != "none"]
        table.add_row(Text("  " + " ".join(named)), *(Text(text) for text in (seeds, *numbers)))
    return table


def _totals(content: Study, cells: Sequence[Cell], device: Any, status: Mapping[str, str]) -> list[str]:
    from contested.studies.plan import EFFICIENCY, by_group, cost, count_conditions, slots

    running = [cell for cell in cells if not cell.excluded]
    groups = ", ".join(f"{name} {len(members)}" for name, members in by_group(cells).items())
    marked = any(cell.condition for cell in cells)
    what = (
        "what differs in more than the seed, among the cells marked as the study's main conditions"
        if marked
        else "what differs in more than the seed"
    )
    lines = [
        "PFLOP, GB and time are of one run.",
        f"{len(running)} runs; by group: {groups}. A run of several groups is counted in each and runs once.",
        f"{count_conditions(cells)} conditions: {what}.",
        *(f"Not run: {cell.run_id} – {cell.excluded}." for cell in cells if cell.excluded),
    ]
    done = sum(status.get(cell.run_id) == "complete" for cell in running)
    if status:
        lines.append(f"{done} of them complete.")
    left = [cell for cell in running if status.get(cell.run_id) != "complete"]
    flops = sum(cost(cell).flops for cell in left)
    at_once = slots(left, device)
    # Runs at once share one device's arithmetic: they do not shorten the sum.
    seconds = flops / (device.rate * EFFICIENCY)
    unknown = "" if flops == flops else " (the size of a backbone is not known: give its facts in the study file)"
    lines.append(
        f"On this device ({device.name}, {device.rate / 1e9:,.0f} GFLOP/s measured, {at_once} runs at once): "
        f"{_number(flops / 1e15)} PFLOP, about {_time(seconds)}{unknown}. "
        f"Training is taken to reach {EFFICIENCY:.0%} of the measured rate."
    )
    return lines


def _time(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{_number(seconds / size)} {unit}"
    return f"{_number(seconds)} seconds" if seconds == seconds else "?"


def _number(value: float) -> str:
    if value != value:
        return "?"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


class _board:  # noqa: N801 - used as a context manager only
    """The live table of a study at work on stderr; one line a finished run where stderr is no terminal."""

    def __init__(self, console: Console, cells: Sequence[Cell], found: Mapping[str, RunState]) -> None:
        from rich.live import Live

        self._console = console
        self._complete = sum(found[cell.run_id].status == "complete" for cell in cells)
        self._total = len(cells)
        self._told: set[str] = set()
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> _board:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *unused: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, standings: Mapping[str, Standing]) -> None:
        """Show where the runs stand."""
        from rich.text import Text

        ended = {"complete", "failed", "skipped", "interrupted"}
        for name, standing in standings.items():
            if standing.state in ended and name not in self._told:
                self._told.add(name)
                done = self._complete + len(self._told)
                # A run that another process held was complete when its turn came.
                what: str = "done by another process" if standing.state == "skipped" else standing.state
                what += f": {_summary(standing.message)}" if standing.message else ""
                self._console.print(Text(f"[{done}/{self._total}] {name} {what}"), soft_wrap=True)
        if self._live is not None:
            self._live.update(self._table(standings), refresh=True)

    def _table(self, standings: Mapping[str, Standing]) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table("run", "step", "contested Δℓ", box=None)
        for name, standing in standings.items():
            if standing.state in {"running", "elsewhere"}:
                step = f"{standing.step:,} of {standing.total_steps:,}" if standing.total_steps else "starting"
                change = "–" if standing.contested_change is None else f"{standing.contested_change:+.3f}"
                where = "held by another process" if standing.state == "elsewhere" else step
                table.add_row(Text(name), where, change)
        waiting = sum(standing.state == "waiting" for standing in standings.values())
        table.add_row(Text(f"{waiting} waiting", style="dim"))
        return table


def _summary(message: str) -> str:
    """One line: a message's first, or a traceback's last."""
    lines = message.splitlines()
    return lines[-1 if lines[0].startswith("Traceback") else 0]


def _finish(
    out: Path, cells: Sequence[Cell], refused: Sequence[str], standings: Mapping[str, Standing], *, json: bool
) -> None:
    failed = {name: standing.message for name, standing in standings.items() if standing.state == "failed"}
    failed |= dict.fromkeys(refused, "its folder holds a run of another configuration; move it away")
    stopped = [
        name for name, standing in standings.items() if standing.state in {"interrupted", "waiting", "elsewhere"}
    ]
    done = len(cells) - len(failed) - len(stopped)
    if json:
        outcome = {"runs": len(cells), "complete": done, "failed": failed, "unfinished": stopped, "out": str(out)}
        typer.echo(jsonlib.dumps(outcome, indent=2, ensure_ascii=False))
    else:
        for name, message in failed.items():
            typer.echo(f"{name} failed:\n  " + message.replace("\n", "\n  "))
        waiting = sum(standing.state == "waiting" for standing in standings.values())
        unfinished = f"{len(stopped) - waiting} unfinished, {waiting} not started"
        typer.echo(f"{done} of {len(cells)} runs complete, {len(failed)} failed, {unfinished}: {out}")
        again = f"Next: contested report {out}"
        if stopped:
            again = "The same command goes on from here."
        elif failed:
            again = "Mend what failed; the same command then tries it again and skips what is complete."
        typer.echo(again)
    if stopped:
        raise typer.Exit(_INTERRUPTED)
    if failed:
        raise typer.Exit(1)


_STYLES = {"complete": "green", "failed": "red", "running": "yellow", "other": "red"}


def _status_table(cells: Sequence[Cell], found: Mapping[str, RunState], rows: int | None = None) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("run", "status", box=None)
    for heading in ("epoch", "checkpoints"):
        table.add_column(heading, justify="right")
    table.add_column("")
    # On a small screen what is at work or failed is worth more than what is done or waits.
    order = sorted(cells, key=lambda cell: found[cell.run_id].status in {"complete", "missing"}) if rows else cells
    for cell in order[:rows]:
        state = found[cell.run_id]
        epoch = f"{state.epoch:.1f} of {cell.config.training.epochs}" if state.checkpoints else "–"
        note = state.error.splitlines()[0] if state.error else ""
        label = Text(state.status, style=_STYLES.get(state.status, ""))
        table.add_row(Text(cell.run_id), label, epoch, str(state.checkpoints or "–"), Text(note))
    table.caption = ", ".join(f"{count} {name}" for name, count in _counts(found).items())
    return table


def _counts(found: Mapping[str, RunState]) -> dict[str, int]:
    names = sorted({state.status for state in found.values()})
    return {name: sum(state.status == name for state in found.values()) for name in names}


def _plain(state: RunState) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in state._asdict().items()}
