"""``contested verify``: whether run folders are as they were written, and what can still be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from contested.cli.console import path, print_json
from contested.errors import RunError

if TYPE_CHECKING:
    from contested.trajectories import RunHealth


class _Seen(NamedTuple):
    """What there is to say of a run, of a folder of runs, or of a study."""

    name: str
    path: Path
    summary: str
    damage: list[str]
    readable: list[str]
    leftovers: list[Path]
    of_study: bool = False


def verify(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_OR_STUDY...",
            parser=path,
            help="RUN folders, folders of runs, or STUDY folders.",
            show_default=False,
        ),
    ],
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what is left over; nothing that belongs to a run is touched.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON and nothing else.")] = False,
) -> None:
    """Check whether runs are as they were written: every file's size and SHA-256.

    Says what is damaged, missing or unlisted, what processes that are gone left over, and what can still be read. The
    exit code is 1 where anything is damaged. What is being written at the moment is checked as far as it is recorded.

    Example: contested verify runs/lora --repair
    """
    seen = [one for folder in folders for one in _seen(folder)]
    repaired = _repair(seen) if repair else {}
    if json:
        print_json([_content(one, repaired) for one in seen])
    else:
        for one in seen:
            _print(one, repaired, repair=repair)
        if any(one.damage and one.of_study for one in seen):
            typer.echo("Damaged runs of which there is no copy: contested study run --from-start begins them again.")
    if any(one.damage for one in seen):
        raise typer.Exit(1)


def _seen(folder: Path) -> Iterator[_Seen]:
    from contested.report import find_runs
    from contested.studies.folder import is_study
    from contested.studies.health import inspect_study, stray
    from contested.trajectories import inspect_run

    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise RunError(f"{folder} {what}. Give the folder of a run or study.")
    if not is_study(folder):
        for run in find_runs([folder]):
            yield _run(run, inspect_run(run), [*stray(run)])
        return
    health = inspect_study(folder)
    begun = f", {len(health.begun)} begun without a checkpoint" if health.begun else ""
    inside = [*health.runs, *health.begun]
    beside = [found for found in health.leftovers if not any(run in found.parents for run in inside)]
    yield _Seen(folder.name, folder, f"study, {len(health.runs)} runs{begun}", list(health.damage), [], beside)
    for run, found in health.runs.items():
        yield _run(run, found, [left for left in health.leftovers if run in left.parents])._replace(of_study=True)
    for run in health.begun:
        left = [left for left in health.leftovers if run in left.parents]
        yield _Seen(run.name, run, "nothing is recorded yet", [], [], left)


def _run(run: Path, health: RunHealth, stray: list[Path]) -> _Seen:
    damage = [damage.what for damage in health.damage]
    state = "damaged" if damage else "as it was written"
    if not health.verified and not damage:
        state = "readable; an earlier version wrote it without checksums, so nothing more can be told"
    leftovers = sorted({*health.leftovers, *stray})
    return _Seen(
        health.run_id or run.name,
        run,
        f"{health.status}, {state}" if health.status else state,
        damage,
        [*health.readable] if damage else [],
        leftovers,
    )


def _repair(seen: list[_Seen]) -> dict[Path, list[Path] | None]:
    """What was removed of each folder that had something left over; None where a process holds the run."""
    from contested.studies.folder import is_study
    from contested.studies.health import remove_stray, repair_run

    removed: dict[Path, list[Path] | None] = {}
    for one in seen:
        if not one.leftovers:
            continue
        found = remove_stray(one.path) if is_study(one.path) else repair_run(one.path)
        removed[one.path] = None if found is None else [left for left in one.leftovers if not left.exists()]
    return removed


def _content(one: _Seen, repaired: dict[Path, list[Path] | None]) -> dict[str, Any]:
    removed = repaired.get(one.path) or []
    return {
        "name": one.name,
        "path": str(one.path),
        "summary": one.summary,
        "damage": one.damage,
        "readable": one.readable,
        "left_over": [str(left) for left in one.leftovers if left not in removed],
        "removed": [str(left) for left in removed],
    }


def _print(one: _Seen, repaired: dict[Path, list[Path] | None], *, repair: bool) -> None:
    typer.echo(f"{one.name} ({one.path}): {one.summary}")
    for what in one.damage:
        typer.echo(f"  - {what}".replace("\n", "\n    "))
    for what in one.readable:
        typer.echo(f"  readable: {what}")
    removed = repaired.get(one.path)
    for left in one.leftovers:
        done = "removed" if removed and left in removed else "left over"
        typer.echo(f"  {done}: {left.relative_to(one.path)}")
    if one.leftovers and not repair:
        typer.echo("  What is left over is part of nothing; --repair removes it.")
    if repair and one.leftovers and removed is None:
        typer.echo("  A process is writing this run; what is left over stays until it has ended.")
