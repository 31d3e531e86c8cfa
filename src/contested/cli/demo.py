"""``contested demo``: the whole line on embedded data, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contested.cli.console import console, path
from contested.cli.progress import progress_bar

if TYPE_CHECKING:
    from contested.report import ReportPaths


def demo(
    out: Annotated[Path, typer.Option(parser=path, help="Folder for runs, tables, figures and report.html.")] = Path(
        "contested-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the two runs.", min=0)] = 42,
    files: Annotated[
        bool, typer.Option("--files", help="Train nothing: write data, encoder and configuration as files to --out.")
    ] = False,
) -> None:
    """Show what LoRA and full fine-tuning do to contested examples, on an embedded world and encoder.

    Needs no network, no data and about two minutes on two cores. If interrupted, the same command resumes.

    Example: contested demo --out contested-demo
    """
    from rich.text import Text

    if files:
        print_files(out)
        return
    from contested.beside import import_to_stay

    import_to_stay("contested.runs")
    from contested.demo.study import run_demo

    errors = console(stderr=True)
    errors.print(Text(f"Training the embedded encoder twice (LoRA r4, full) into {out} …"), soft_wrap=True)
    with progress_bar(errors) as bar:
        done = run_demo(out, seed=seed, on_progress=lambda name, progress: bar(progress, name))
    print_finding(done.report)


def print_files(out: Path) -> None:
    """Write the demo's files and say what each is."""
    from rich.table import Table
    from rich.text import Text

    from contested.demo.files import write_files

    table = Table(show_header=False, box=None)
    for name, text in write_files(out).items():
        table.add_row(name, text)
    show = console()
    show.print(Text(f"Wrote into {out}:"), soft_wrap=True)
    show.print(table)


def print_finding(report: ReportPaths) -> None:
    """Print the summary table, where the figures are, and what was found in one sentence per run."""
    import pandas as pd
    from rich.table import Table
    from rich.text import Text

    from contested.analysis import OVERALL
    from contested.analysis.sentences import MARKED
    from contested.formats import CHANGE, DAGGER, percent

    show = console()
    tables = {file.name: file for file in report.tables}
    summary, runs = pd.read_csv(tables["summary.csv"]), pd.read_csv(tables["runs.csv"]).set_index("run")
    table = Table("run", "category", box=None)
    for heading in ("n", "Δℓ in nats (95%)", "rose", "ρ"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in summary.to_dict("records"):
        change = f"{CHANGE(row['change'])} [{CHANGE(row['change_low'])}, {CHANGE(row['change_high'])}]"
        rho = CHANGE(runs.loc[row["run"], "rho"]) if row["category"] == OVERALL else ""
        cells = (row["run"], row["category"], row["n"], change, percent(row["rose_share"], 0), rho)
        table.add_row(*(Text(str(cell)) for cell in cells))
    show.print(table)
    for figure in report.figures:
        show.print(Text(f"figure  {figure}"), soft_wrap=True)
    show.print(Text(f"report  {report.html}"), soft_wrap=True)
    show.print()
    for run, statements in report.statements.items():
        show.print(Text(f"{run}: {statements[0]}"), soft_wrap=True)
    if any(DAGGER in statements[0] for statements in report.statements.values()):
        show.print(Text(MARKED), soft_wrap=True)
