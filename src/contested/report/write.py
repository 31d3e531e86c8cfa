"""From run folders to a report: analyse, draw, tabulate, write."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from contested.analysis import statements
from contested.errors import RunError
from contested.files import write_json, write_text
from contested.report import prose
from contested.report.examples import most_unlearned
from contested.report.html import Page, Picture, RunView, render_page
from contested.report.pictures import draw_pictures
from contested.report.provenance import facts, flattened
from contested.report.runs import Run, all_categories, analyzed
from contested.report.summary import side_by_side, stacked, summary_table
from contested.report.tables import to_cells, write_tables
from contested.trajectories import Trajectory

_CARDS = 12
_CARDS_IN_ALL = 36  # cards of one category over all runs, so that many runs still make a page one can open


class ReportPaths(NamedTuple):
    """What :func:`write_report` wrote.

    Attributes:
        html: The page.
        tables: The tables.
        figures: The figures.
        results: Every statistic as JSON.
        statements: What happened in each run and how sure, by the run's name on the page.
    """

    html: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    results: Path
    statements: dict[str, list[str]]


def write_report(
    trajectories: Sequence[Trajectory],
    out: str | Path,
    *,
    title: str | None = None,
    rng: np.random.Generator | None = None,
    n_resamples: int = 2000,
) -> ReportPaths:
    """Write tables, figures and one self-contained page on one run or several side by side.

    The folder then holds, with the same bytes for the same runs:

    - ``report.html``, complete in itself; ``results.json``, every statistic of every run;
    - ``figures/`` as .pdf and .png: ``figure1_loss_by_category``, ``figure3_entropy`` (numbered as in the
      paper), ``loss_change``, ``people_by_category``, ``accuracy_by_category``;
    - ``tables/`` as .csv, .md and .tex: ``summary``, ``categories``, ``unlearning``, ``people``,
      ``contrasts``, ``correlation``; as .csv alone: ``curves``, ``examples``.

    Args:
        trajectories: The runs, in the order in which they shall stand.
        out: The folder; made where missing, files of the same names are replaced.
        title: The heading of the page.
        rng: Source of all resamples, from where it stands for every run, so that a run's numbers are
            those of :func:`contested.analysis.analyze` and the same beside any other run.
        n_resamples: Bootstrap resamples of each interval.

    Returns:
        The paths written.

    Raises:
        RunError: If no run is given, or one has too little to analyse.
    """
    if not trajectories:
        raise RunError("A report needs at least one run; none was given.")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    runs = analyzed(trajectories, rng, n_resamples)
    summary = summary_table({run.name: run.analysis for run in runs})
    tables = _write_tables(runs, summary, folder / "tables")
    results = folder / "results.json"
    write_json(results, {"runs": [{"name": run.name, **run.analysis.to_dict()} for run in runs]})
    pictures, files = draw_pictures(runs, folder / "figures")
    html = folder / "report.html"
    write_text(html, render_page(_page(runs, summary, pictures, title or prose.TITLE)))
    said = {run.name: statements(run.analysis) for run in runs}
    return ReportPaths(html, tuple(tables), tuple(files), results, said)


def _write_tables(runs: Sequence[Run], summary: pd.DataFrame, folder: Path) -> list[Path]:
    every = [(run.name, run.analysis.tables()) for run in runs]
    tables = {name: stacked([(run, found[name]) for run, found in every]) for name in every[0][1]}
    return [
        # Markdown knows no headings over several columns: there the runs stand under each other.
        *write_tables({"summary": summary}, folder, ("csv", "md")),
        *write_tables({"summary": side_by_side(summary)}, folder, ("tex",)),
        *write_tables(tables, folder),
    ]


def _page(runs: Sequence[Run], summary: pd.DataFrame, pictures: Sequence[Picture], title: str) -> Page:
    trajectories, analyses = [run.trajectory for run in runs], [run.analysis for run in runs]
    by_category = summary.drop(columns=["rho", "low", "high"])
    shown = side_by_side(by_category) if len(runs) > 1 else by_category.drop(columns="run")
    correlations = [
        {"run": run.name, **run.analysis.correlation.aulc._asdict()} for run in runs if run.analysis.correlation
    ]
    correlation = pd.DataFrame(correlations)[["run", "rho", "low", "high", "p_value", "n", "note"]]
    cards = max(1, min(_CARDS, _CARDS_IN_ALL // len(runs)))
    return Page(
        title=title,
        lead=prose.lead(trajectories),
        runs=[_view(run, cards) for run in runs],
        summary=to_cells(shown, "summary"),
        correlation=to_cells(correlation, "correlation"),
        summary_note=prose.summary_note(analyses),
        pictures=pictures,
        categories=all_categories(runs),
        notes=prose.notes(trajectories, analyses),
        version=version("contested"),
    )


def _view(run: Run, cards: int) -> RunView:
    name, trajectory, analysis = run
    return RunView(
        name=name,
        complete=trajectory.status == "complete",
        status=trajectory.status,
        # One way to write a percentage on one page, and none that breaks before its sign.
        statements=statements(analysis),
        label_names=trajectory.label_names,
        examples={
            category: most_unlearned(trajectory, analysis.examples, category=category, limit=cards)
            for category in trajectory.category_names
        },
        facts=facts(trajectory),
        config=flattened(trajectory.manifest, "config"),
        provenance=flattened(trajectory.manifest, "provenance"),
    )
