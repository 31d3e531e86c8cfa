"""From run folders to a report: analyse, draw, tabulate, write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contested.analysis import Analysis, statements, statements_by_topic
from contested.errors import RunError
from contested.files import user_path, write_json, write_text
from contested.formats import percent
from contested.report import decomposition, matched, prose, sure
from contested.report.banners import banners
from contested.report.declarations import Frames, Section
from contested.report.examples import ALL, examples_by_category
from contested.report.explorer.of_runs import explorer_of_runs
from contested.report.explorer.payload import TOO_MANY
from contested.report.headline import headline
from contested.report.page import Page, PlacedSection, RunView, placed_sections, render_page
from contested.report.parts import written_parts
from contested.report.pictures import TOP, PlacedFigure
from contested.report.provenance import facts
from contested.report.run_figures import FIGURES
from contested.report.run_frames import run_frames, stacked_tables
from contested.report.run_names import flattened
from contested.report.run_tables import runs_table, tables_of
from contested.report.runs import ReportRun, all_categories, analyzed
from contested.report.tables import write_tables
from contested.trajectories import Trajectory

_CARDS = 12
_CARDS_IN_ALL = 36  # cards of one category over all runs, so that many runs still make a page one can open

SECTIONS = (
    Section("happened", "What happened?"),
    matched.SECTION,
    decomposition.SECTION,
    Section("disagreement", "How does it go with disagreement?"),
    sure.SECTION,
)


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
    clusters: str | None = None,
    rng: np.random.Generator | None = None,
    n_resamples: int = 2000,
) -> ReportPaths:
    """Write tables, figures and one self-contained page on one run or several.

    The folder then holds, with the same bytes for the same runs:

    - ``report.html``, self-contained; ``results.json``, every statistic of every run;
    - ``figures/`` as .pdf and .png: those of :data:`contested.report.run_figures.FIGURES`;
    - ``tables/`` as .csv, .md and .tex: ``runs`` and those of :data:`contested.report.run_tables.TABLES`; as .csv
      alone ``curves`` and ``examples``.

    What a run has no data for is left out, and the page says why; tables and figures that an earlier report left there
    are removed.

    Args:
        trajectories: The runs, in the order in which they are shown.
        out: The folder; made where missing, files of the same names are replaced.
        title: The heading of the page.
        clusters: The column of the examples that says which belong together, or ``"none"``; without it those that
            share a text.
        rng: Source of all resamples, in its present state for every run, so that a run's numbers are
            those of :func:`contested.analysis.analyze` and the same beside any other run.
        n_resamples: Bootstrap resamples of each interval.

    Returns:
        The paths written.

    Raises:
        RunError: If no run is given, or one has too little to analyse.
    """
    if not trajectories:
        raise RunError("A report needs at least one run; none was given.")
    folder = user_path(out)
    folder.mkdir(parents=True, exist_ok=True)
    runs = analyzed(trajectories, rng, n_resamples, clusters)
    tables_of_runs = stacked_tables(runs)
    frames = tables_of_runs | run_frames(runs, tables_of_runs)
    confidence = percent(runs[0].analysis.confidence)
    declared, drawn = [runs_table(all_categories(runs)), *tables_of(tables_of_runs)], list(FIGURES)
    if not all_categories(runs):
        declared = [table.without_categories() for table in declared]
        drawn = [figure.without_categories() for figure in drawn]
    html, results = folder / "report.html", folder / "results.json"
    with written_parts(declared, drawn, frames, folder, confidence) as written:
        write_json(
            results, {"runs": [{"name": run.name, **run.analysis.to_dict()} for run in runs if not run.held_out]}
        )
        parts = written()
    sections = placed_sections(SECTIONS, parts.placed, parts.shown, {sure.SECTION.name: sure.of_runs(runs, frames)})
    write_text(
        html,
        render_page(
            _page(runs, frames, parts.placed, sections, title or prose.title([run.trajectory for run in runs]))
        ),
    )
    said = {run.name: statements(run.analysis) for run in runs}
    return ReportPaths(html, parts.tables, parts.figures, results, said)


def write_run_tables(analysis: Analysis, folder: str | Path) -> list[Path]:
    """Write the tables of one run's analysis; those of validation examples beside others in a folder ``validation``.

    Args:
        analysis: The statistics of the run.
        folder: Where they go; made where missing.

    Returns:
        The paths written.
    """
    frames, out = analysis.tables(), user_path(folder)
    written = write_tables(tables_of(frames), frames, out, percent(analysis.confidence)).files
    return written + ([] if analysis.validation is None else write_run_tables(analysis.validation, out / "validation"))


def _page(
    runs: Sequence[ReportRun],
    frames: Frames,
    figures: Sequence[PlacedFigure],
    sections: Sequence[PlacedSection],
    title: str,
) -> Page:
    trajectories, analyses = [run.trajectory for run in runs], [run.analysis for run in runs]
    trained = [run for run in runs if not run.held_out]
    changes = frames["changes"]
    if len(trained) < len(runs) and len(changes):
        changes = changes[changes["run"].isin([run.name for run in trained])]
    explorer = explorer_of_runs(runs)
    cards = max(1, min(_CARDS, _CARDS_IN_ALL // len(runs)))
    return Page(
        title=title,
        lead=prose.lead([run.trajectory for run in trained]),
        headline=headline(changes, "run", "run") or (statements(analyses[0])[0] if len(trained) == 1 else ""),
        top=[placed for placed in figures if placed.spec.section == TOP],
        banners=banners(runs),
        absent=[*sure.once([(run.name, run.analysis.absent) for run in runs]), *([] if explorer else [TOO_MANY])],
        sections=sections,
        runs=[_view(run, cards) for run in runs],
        method=prose.notes(trajectories, analyses),
        categories=[*all_categories(runs), *([ALL] if any(not run.trajectory.category_names for run in runs) else [])],
        explorer=explorer,
    )


def _view(run: ReportRun, cards: int) -> RunView:
    name, trajectory, analysis, _ = run
    return RunView(
        name=name,
        # What is absent, and how sure numbers are, is stated once, for the whole page.
        statements={name: said for name, said in statements_by_topic(analysis).items() if name != sure.SECTION.name},
        label_names=trajectory.label_names,
        examples=examples_by_category(trajectory, analysis.examples, cards),
        facts=facts(trajectory),
        config=flattened(trajectory.manifest, "config"),
        provenance=flattened(trajectory.manifest, "provenance"),
    )
