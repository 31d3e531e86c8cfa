"""The tables and sentences of ``contested study``: the plan's matrix and totals, and the status of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contested.studies.plan import cost

if TYPE_CHECKING:
    from rich.table import Table

    from contested.studies import Cell
    from contested.studies.folder import RunState
    from contested.studies.plan import Device
    from contested.studies.status import Progress
    from contested.studies.times import Times
    from contested.trajectories import Holder

_STYLES = {"complete": "green", "failed": "red", "running": "yellow", "other": "red"}
_STYLES |= {"unreadable": "red", "damaged": "red"}


def matrix(cells: Sequence[Cell], seconds_of: Callable[[Cell], float]) -> Table:
    """The plan: one row for the cells that differ only in the seed, under the first group that contains them.

    Args:
        cells: Every cell.
        seconds_of: What a run takes.

    Returns:
        The table.
    """
    from rich.table import Table
    from rich.text import Text

    rows: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.groups[0], cell.label), []).append(cell)
    table = Table("", "seeds", box=None)
    for heading in ("steps", "checkpoints", "PFLOP", "GB", "time"):
        table.add_column(heading, justify="right")
    group = ""
    for (first, label), members in rows.items():
        if first != group:
            group = first
            table.add_row(Text(group, style="bold"))
        table.add_row(Text(f"  {label}"), *(Text(text) for text in _costs(members, seconds_of)))
    return table


def _costs(members: Sequence[Cell], seconds_of: Callable[[Cell], float]) -> list[str]:
    needed = cost(members[0])
    seeds = (f"({cell.config.seed})" if cell.excluded else str(cell.config.seed) for cell in members)
    sizes = (_number(needed.flops / 1e15), _number(needed.memory / 1e9), _time(seconds_of(members[0])))
    steps, checkpoints = ("?" if count is None else f"{count:,}" for count in (needed.steps, needed.checkpoints))
    return [" ".join(seeds), steps, checkpoints, *sizes]


def totals(cells: Sequence[Cell], device: Device, status: Mapping[str, str], times: Times) -> list[str]:
    """What the plan adds up to.

    Args:
        cells: Every cell.
        device: Where the runs would be done.
        status: Run id to status; empty where there is no folder yet.
        times: What finished runs took.

    Returns:
        Sentences.
    """
    from contested.studies.plan import by_group, count_conditions
    from contested.wording import counted

    running = [cell for cell in cells if not cell.excluded]
    groups = ", ".join(f"{name} {len(members)}" for name, members in by_group(cells).items())
    marked = ", among the cells marked as the study's main conditions" if any(cell.condition for cell in cells) else ""
    left = [cell for cell in running if status.get(cell.run_id) != "complete"]
    return [
        "PFLOP, GB and time are per run.",
        f"{len(running)} runs; by group: {groups}. A run of several groups is counted in each and runs once.",
        f"{counted(count_conditions(cells), 'condition')}: settings that differ in more than the seed{marked}.",
        *(f"Not run: {cell.run_id} – {cell.excluded}." for cell in cells if cell.excluded),
        *([f"{len(running) - len(left)} of them complete."] if status else []),
        _estimate(left, device) if not times.device else _learned(left, times),
    ]


def _learned(cells: Sequence[Cell], times: Times) -> str:
    flops = sum(cost(cell).flops for cell in cells)
    seconds = sum(times.seconds_of(cell) for cell in cells)
    return (
        f"As finished runs of this study took it on {times.device}: {_number(flops / 1e15)} PFLOP, about "
        f"{_time(seconds)} one after the other."
    )


def _estimate(cells: Sequence[Cell], device: Device) -> str:
    from contested.studies.plan import EFFICIENCY, slots

    costs = [cost(cell) for cell in cells]
    flops = sum(each.flops for each in costs)
    # Runs at once share one device's arithmetic: they do not shorten the sum.
    seconds = flops / (device.rate * EFFICIENCY)
    unknown = "" if flops == flops else " (the size of a backbone is not known: give its facts in the study file)"
    if any(each.steps is None for each in costs):
        unknown = " (task.bulk.size: null takes all examples, and how many those are is not known here)"
    return (
        f"On this device ({device.name}, {device.rate / 1e9:,.0f} GFLOP/s measured, {slots(costs, device)} runs at "
        f"once): {_number(flops / 1e15)} PFLOP, about {_time(seconds)}{unknown}. "
        f"Training is assumed to reach {EFFICIENCY:.0%} of the measured rate."
    )


def status_table(cells: Sequence[Cell], found: Mapping[str, RunState], now: Progress, rows: int | None = None) -> Table:
    """The status of every run.

    Args:
        cells: The runs.
        found: Run id to state.
        now: Who is at work, and what is left.
        rows: Most rows; all where not given.

    Returns:
        The table.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table("run", "status", box=None)
    for heading in ("epoch", "checkpoints", "left"):
        table.add_column(heading, justify="right")
    for heading in ("trained by", "since", ""):
        table.add_column(heading)
    # On a small screen what is at work or failed is worth more than what is done or waits.
    idle = {run_id for run_id in found if run_id not in now.holders and found[run_id].status in {"complete", "missing"}}
    order = sorted(cells, key=lambda cell: cell.run_id in idle) if rows else cells
    for cell in order[:rows]:
        state = found[cell.run_id]
        epoch = f"{state.epoch:.1f} of {cell.config.training.epochs}" if state.checkpoints else "–"
        note = state.error.splitlines()[0] if state.error else ""
        label = Text(state.status, style=_STYLES.get(state.status, ""))
        remaining = "" if state.status == "complete" else _time(now.left[cell.run_id])
        row = (epoch, str(state.checkpoints or "–"), remaining, *_holder(now.holders.get(cell.run_id)), note)
        table.add_row(Text(cell.run_id), label, *map(Text, row))
    table.caption = ", ".join([*(f"{count} {name}" for name, count in counts(found).items()), *time_left(now)])
    return table


def _holder(held: Holder | None) -> tuple[str, str]:
    """Who trains a run, and since when in local time."""
    if held is None:
        return "", ""
    where = " ".join(filter(None, (held.host, held.job and f"({held.job})", "(silent)" * (held.alive is False))))
    return where or "?", f"{held.since.astimezone():%m-%d %H:%M}" if held.since else ""


def time_left(now: Progress) -> list[str]:
    """What is left of a study, as the end of a sentence.

    Args:
        now: Who is at work, and what is left.

    Returns:
        The words, or none where nothing is left.
    """
    from contested.wording import counted

    if not now.left:
        return []
    about = f", about {_time(now.seconds)} left" if now.seconds == now.seconds else ""
    return [f"{counted(now.workers, 'worker')} now{about}"]


def counts(found: Mapping[str, RunState]) -> dict[str, int]:
    """How many runs have each status.

    Args:
        found: Run id to state.

    Returns:
        Status to number.
    """
    names = sorted({state.status for state in found.values()})
    return {name: sum(state.status == name for state in found.values()) for name in names}


def status_json(study: str, cells: Sequence[Cell], found: Mapping[str, RunState], now: Progress) -> dict[str, Any]:
    """The status of every run, machine-readable.

    Args:
        study: The study's name.
        cells: The runs.
        found: Run id to state.
        now: Who is at work, and what is left.

    Returns:
        study, counts, workers, seconds_left, and one entry per run.
    """
    runs = []
    for cell in cells:
        known = {name: _known(value) for name, value in found[cell.run_id]._asdict().items()}
        held, remaining = now.holders.get(cell.run_id), now.left.get(cell.run_id, 0.0)
        by = (
            None
            if held is None
            else held._asdict() | {"since": held.since and held.since.isoformat(timespec="seconds")}
        )
        runs.append(
            {"run_id": cell.run_id, **cell.coordinates, **known, "holder": by, "seconds_left": _known(remaining)}
        )
    return {
        "study": study,
        "counts": counts(found),
        "workers": now.workers,
        "seconds_left": _known(now.seconds),
        "runs": runs,
    }


def _known(value: Any) -> Any:
    """The value; None where it is a number that is not known."""
    return None if value != value else value


def _time(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{_number(seconds / size)} {unit}"
    return f"{_number(seconds)} seconds" if seconds == seconds else "?"


def _number(value: float) -> str:
    if value != value:
        return "?"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
