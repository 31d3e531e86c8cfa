"""``contested report``: tables, figures and one offline page on one run or several."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="One RUN folder or several, or a folder with runs in it.", show_default=False),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the report; without it FOLDER/report, or ./report for several.", show_default=False
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.", show_default=False)] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of each interval.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.", min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print paths and statements as JSON and nothing else.")] = False,
) -> None:
    """Show what runs did to the examples people disagree on: tables, figures and one report.html.

    The page is complete in itself and opens offline. Several runs stand side by side in the order given.

    Example: contested report runs/lora-r4 runs/full --out report
    """
    import numpy as np

    from contested.report import find_runs, write_report
    from contested.trajectories import Trajectory

    trajectories = [Trajectory.load(run) for run in find_runs(runs)]
    folder = out or (runs[0] if len(runs) == 1 else Path()) / "report"
    paths = write_report(trajectories, folder, title=title, rng=np.random.default_rng(seed), n_resamples=resamples)
    if json:
        written = {name: str(path) for name, path in (("html", paths.html), ("results", paths.results))}
        files = {"tables": [str(path) for path in paths.tables], "figures": [str(path) for path in paths.figures]}
        said = {"statements": paths.statements}
        typer.echo(jsonlib.dumps(written | files | said, indent=2, ensure_ascii=False))
        return
    for run, statements in paths.statements.items():
        typer.echo(run)
        for statement in statements:
            typer.echo(f"  - {statement}")
    for path in (paths.html, paths.results, *paths.tables, *paths.figures):
        typer.echo(str(path))
