"""``contested analyze``: every statistic of a run, as results.json and tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contested.cli import options
from contested.cli.console import console, echo, path, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from contested.analysis import Analysis, ChangeRow
    from contested.trajectories import Trajectory
    from contested.trajectories.splits import Split


def analyze(
    run: Annotated[Path, typer.Argument(parser=path, help="A RUN folder or a STUDY folder.", show_default=False)],
    *,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="Folder for the results; RUN/results by default.", show_default=False),
    ] = None,
    clusters: options.Clusters = None,
    split: options.OfSplit = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples of each interval.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.", min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print results.json and nothing else.")] = False,
) -> None:
    """Compute every statistic of a run: tables (csv, md, tex) and results.json.

    Intervals are over the tracked examples of this run, those that share a text together; an interrupted run is
    analysed up to its last checkpoint. The complete runs of a study are analysed together.

    Example: contested analyze runs/lora
    """
    import numpy as np

    from contested.analysis import analyze as compute
    from contested.cli.study_results import results_name
    from contested.files import write_json
    from contested.report import write_run_tables
    from contested.studies.folder import is_study
    from contested.trajectories import Trajectory

    if is_study(run):
        _analyze_study(run, out, resamples=resamples, seed=seed, json=json, split=split, clusters=clusters)
        return
    trajectory = Trajectory.load(run) if split is None else Trajectory.load(run).of_split(split)
    found = compute(trajectory, clusters=clusters, rng=np.random.default_rng(seed), n_resamples=resamples)
    results = {**found.to_dict(), "seed": seed}
    folder = run / results_name(split) if out is None else out
    tables = write_run_tables(found, folder)
    # Last, so that results.json is never next to tables of an earlier analysis.
    write_json(folder / "results.json", results)
    if json:
        print_json(results)
    else:
        _print(found, trajectory)
        echo(f"Wrote results.json and {len(tables)} table files to {folder}")


def _analyze_study(
    folder: Path, out: Path | None, *, resamples: int, seed: int, json: bool, split: Split | None, clusters: str | None
) -> None:
    from contested.cli.study_results import print_claims, read_study, results_name
    from contested.files import write_json
    from contested.report import write_study_tables

    study, found, spec, claims, _ = read_study(folder, seed=seed, resamples=resamples, split=split, clusters=clusters)
    where = out or folder / results_name(split)
    content = found.to_dict()
    tables = write_study_tables(found, where / "tables", wanted=study.analyses, spec=spec)
    write_json(where / "results.json", content)
    if json:
        print_json(content)
        return
    echo(f"{study.name}: {study.description}" if study.description else study.name)
    print_claims(claims)
    for gap in found.gaps:
        echo(gap)
    echo(f"Wrote results.json and {len(tables)} table files to {where}")


def _print(found: Analysis, trajectory: Trajectory) -> None:
    from rich.text import Text

    from contested.analysis import statements
    from contested.report.banners import alarm_banners, learning_banners
    from contested.report.runs import ReportRun

    # Text, not markup: a name may hold square brackets.
    show = console(wide=True)
    show.print(Text(found.run_id, style="bold"), soft_wrap=True)
    own = trajectory if found.validation is None else trajectory.of_split("train")
    runs = [ReportRun(found.run_id, own, found)]
    # What the alert found is among the statements in full.
    for banner in [*(alarm._replace(text="") for alarm in alarm_banners(runs)), *learning_banners(runs)]:
        show.print(Text(f"{banner.strong} {banner.text}".strip()), soft_wrap=True)
    show.print(_changes(found))
    for sentence in statements(found):
        show.print(Text(f"- {sentence}"), soft_wrap=True)


def _changes(found: Analysis) -> Table:
    """What changed on each category's examples, as far as the run knows."""
    from rich.table import Table
    from rich.text import Text

    from contested.formats import MISSING

    table = Table("category", box=None)
    columns = [("n", [f"{size.n:,}" for size in found.categories])]
    if found.unlearning:
        rows = found.unlearning.every
        columns += [("Δℓ in nats", [_mean(row) for row in rows]), ("rose", [_rose(row) for row in rows])]
    if found.kl:
        columns.append(("ΔKL(annotators ‖ model)", [_mean(row) for row in found.kl.every]))
    for heading, _ in columns:
        table.add_column(heading, justify="right")
    if found.kl:
        table.add_column("annotators")
        columns.append(("annotators", [_ANNOTATORS[row.verdict] if row.n else MISSING for row in found.kl.every]))
    for index, size in enumerate(found.categories):
        table.add_row(Text(size.category), *(Text(cells[index]) for _, cells in columns))
    return table


_ANNOTATORS = {"rises": "further away", "falls": "closer", "unclear": "unclear"}


def _rose(row: ChangeRow) -> str:
    from contested.formats import MISSING, percent

    return percent(row.rose_share, 0) if row.n else MISSING


def _mean(row: ChangeRow) -> str:
    from contested.formats import CHANGE, MISSING

    if not row.n:
        return MISSING
    interval = "" if row.note else f" [{CHANGE(row.low)}, {CHANGE(row.high)}]"
    return f"{CHANGE(row.mean)}{interval}"
