"""``contested report``: tables, figures and one offline page on one run or several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contested.cli import options
from contested.cli.console import echo, path, print_json

if TYPE_CHECKING:
    from contested.trajectories.splits import Split


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            parser=path,
            help="One or more RUN folders, a folder of runs, or a STUDY folder.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="Folder of the report; by default RUN/report, ./report for several runs, STUDY/results for a study.",
            show_default=False,
        ),
    ] = None,
    split: options.OfSplit = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.", show_default=False)] = None,
    clusters: options.Clusters = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of each interval.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.", min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print paths and statements as JSON and nothing else.")] = False,
) -> None:
    """Show what runs did to the examples people disagree on: tables, figures and one report.html.

    The page is self-contained and opens offline; several runs are compared side by side, in the order given. For a
    study's folder it shows what each group did along each axis, and for the paper's study its tables, figures and
    claims, in STUDY/results.

    Example: contested report runs/lora runs/full --out report
    """
    from contested.beside import collector_paused

    with collector_paused():  # to import takes a tenth less
        import numpy as np

        from contested.report import find_runs, write_report
        from contested.studies.folder import is_study
        from contested.trajectories import Trajectory

    if len(runs) == 1 and is_study(runs[0]):
        _report_study(
            runs[0], out, title=title, resamples=resamples, seed=seed, json=json, split=split, clusters=clusters
        )
        return
    trajectories = [Trajectory.load(run) for run in find_runs(runs)]
    if split is not None:
        trajectories = [trajectory.of_split(split) for trajectory in trajectories]
    name = "report" if split is None else f"report-{split}"
    folder = out or (runs[0] if len(runs) == 1 else Path()) / name
    paths = write_report(
        trajectories, folder, title=title, clusters=clusters, rng=np.random.default_rng(seed), n_resamples=resamples
    )
    if json:
        written = {name: str(file) for name, file in (("html", paths.html), ("results", paths.results))}
        files = {"tables": [str(file) for file in paths.tables], "figures": [str(file) for file in paths.figures]}
        said = {"statements": paths.statements}
        print_json(written | files | said)
        return
    for run, statements in paths.statements.items():
        echo(run)
        for statement in statements:
            echo(f"  - {statement}")
    for file in (paths.results, *paths.tables, *paths.figures):
        echo(str(file))
    echo(f"Open {paths.html}")


def _report_study(
    folder: Path,
    out: Path | None,
    *,
    title: str | None,
    resamples: int,
    seed: int,
    json: bool,
    split: Split | None,
    clusters: str | None,
) -> None:
    from contested.cli.study_results import print_claims, read_study, results_name
    from contested.report import write_study_report

    study, found, spec, claims, trajectories = read_study(
        folder, seed=seed, resamples=resamples, split=split, clusters=clusters
    )
    where = out or folder / results_name(split)
    heading = title or study.description or f"Study {study.name}"
    if split is not None and title is None:
        heading += f" ({'validation' if split == 'validation' else 'training'} examples)"
    paths = write_study_report(found, where, title=heading, wanted=study.analyses, spec=spec, trajectories=trajectories)
    if json:
        written = {
            "html": str(paths.html),
            "results": str(paths.results),
            "tables": [str(file) for file in paths.tables],
            "figures": [str(file) for file in paths.figures],
            "missing": paths.missing,
            "headline": paths.headline,
        }
        answers = {claim.key: {"verdict": claim.verdict, "answer": claim.answer} for claim in claims}
        print_json(written | ({"claims": answers} if answers else {}))
        return
    echo(str(paths.html))
    if paths.headline:
        echo(paths.headline)
    print_claims(claims)
    for gap in found.gaps:
        echo(gap)
    if paths.missing:
        echo(f"Nothing to show in {len(paths.missing)} of the tables and figures: {', '.join(paths.missing)}")
    echo(f"Wrote {len(paths.tables)} table files and {len(paths.figures)} figure files beside {paths.html}")
