"""From the results of a study to its report: tabulate, draw, write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from contested.analysis.study import COLUMNS, StudyResults
from contested.errors import ConfigError
from contested.files import user_path, write_json, write_text
from contested.formats import percent
from contested.report import decomposition, matched, prose, study_prose, sure
from contested.report.declarations import FigureSpec, Frames, ReportSpec, Section, Table
from contested.report.explorer.of_groups import explorer_of_groups
from contested.report.headline import headline
from contested.report.page import Banner, Page, placed_sections, render_page
from contested.report.pictures import TOP, PlacedFigure, draw_figures, remove_files
from contested.report.study_figures import study_figures
from contested.report.study_frames import SHOWN, categories_of, study_frames
from contested.report.study_tables import study_tables
from contested.report.table_cells import RenderedTable
from contested.report.tables import WrittenTables, write_tables
from contested.trajectories import Trajectory

SECTIONS = (
    Section("groups", "What happened, group by group"),
    Section("axes", "What happened along each axis"),
    matched.SECTION,
    decomposition.SECTION,
    Section("differences", "Differences along each axis"),
    sure.SECTION,
    Section("runs", "Every run"),
)


class StudyReportPaths(NamedTuple):
    """What :func:`write_study_report` wrote.

    Attributes:
        html: The page.
        tables: The tables.
        figures: The figures.
        results: Every frame as JSON.
        missing: Figure or table that has nothing to show to the sentence why.
        headline: The page's first sentence; empty where no loss change is known.
    """

    html: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    results: Path
    missing: dict[str, str]
    headline: str


class _Report(NamedTuple):
    """What is shown of a study: what every study has, and what a spec adds before it."""

    frames: Frames
    sections: tuple[Section, ...]
    tables: tuple[Table, ...]
    figures: tuple[FigureSpec, ...]
    left_out: list[str]

    @classmethod
    def of(cls, results: StudyResults, wanted: Collection[str] | None, spec: ReportSpec) -> _Report:
        frames = {**results.frames, **spec.frames}
        frames |= {"examples": results.examples, **study_frames(frames)}
        sections = {section.name: section for section in (*spec.sections, *SECTIONS)}
        declared = (*study_tables(frames), *spec.tables)
        shown = {name for table in declared for name in (table.frame, table.name)}
        # What no table shows is written for whoever computes with it.
        others = [Table(name, name, "", name.replace("_", " ").capitalize()) for name in COLUMNS if name not in shown]
        tables = {table.name: table for table in (*declared, *others)}
        figures = {figure.name: figure for figure in (*study_figures(frames), *spec.figures)}
        # How sure numbers are goes with whichever are shown.
        left_out = _left_out(wanted, [name for name in sections if name != sure.SECTION.name])
        return cls(frames, tuple(sections.values()), tuple(tables.values()), tuple(figures.values()), left_out)

    @property
    def wanted_tables(self) -> list[Table]:
        """The tables but for those of sections left out; the data of a figure go with it."""
        drawn = {frame.removesuffix(SHOWN): figure.section for figure in self.figures for frame, *_ in figure.frames}
        sections = {table.name: table.section or drawn.get(table.frame, "") for table in self.tables}
        return [table for table in self.tables if sections[table.name] not in self.left_out]

    def is_gap(self, table: Table) -> bool:
        """Whether a table has no rows although it says what it needs."""
        return bool(table.needs) and not len(self.frames.get(table.frame, ()))

    @property
    def wanted_sections(self) -> list[Section]:
        """The sections but for those left out."""
        return [section for section in self.sections if section.name not in self.left_out]

    @property
    def wanted_figures(self) -> list[FigureSpec]:
        """The figures but for those of sections left out."""
        return [figure for figure in self.figures if figure.section not in self.left_out]


def write_study_report(
    results: StudyResults,
    out: str | Path,
    *,
    title: str | None = None,
    wanted: Collection[str] | None = None,
    spec: ReportSpec | None = None,
    trajectories: Mapping[str, Trajectory] | None = None,
) -> StudyReportPaths:
    """Write every table and figure of a study and one self-contained page on all of them.

    The folder then holds, with the same bytes for the same results:

    - ``report.html``, self-contained; ``results.json``, every frame, note and gap;
    - ``tables/`` as .csv (unrounded, with the run ids behind each row), .md and .tex: ``groups``, ``group_measures``,
      ``differences``, ``runs`` and those of ``spec``; as .csv alone what figures draw;
    - ``figures/`` as .pdf and .png: ``loss_change``, ``along_<axis>`` for each axis that varies, ``differences``,
      ``group_curves`` and those of ``spec``.

    What has nothing to show is left out, or named with the reason where its declaration says what it needs. Of sections
    that are not wanted there are neither tables nor figures. Tables and figures that an earlier report left there are
    removed. ``results.json`` does not depend on ``wanted``.

    Args:
        results: The results of the study.
        out: The folder; made where missing, files of the same names are replaced.
        title: The heading of the page.
        wanted: Names of the sections; None takes all.
        spec: What is shown beyond what every study's report shows.
        trajectories: The study's complete runs by run id, for the page's explorer; without them it has none.

    Returns:
        The paths written, and what is missing and why.

    Raises:
        ConfigError: If there is no such section.
    """
    folder, spec = user_path(out), spec or ReportSpec()
    report = _Report.of(results, wanted, spec)
    confidence = percent(results.confidence)
    with draw_figures(report.wanted_figures, report.frames, folder / "figures", confidence) as drawn:
        tables, shown = _write_tables(report, folder / "tables", confidence)
        write_json(folder / "results.json", results.to_dict())
        figures, files = drawn()
    remove_files(folder / "figures", [*(figure.name for figure in report.figures), "along_*"], ("pdf", "png"), files)
    explorer = None if trajectories is None else explorer_of_groups(results, trajectories)
    page = _page(results, report, spec, figures, shown)._replace(title=title or prose.TITLE, explorer=explorer)
    write_text(folder / "report.html", render_page(page))
    missing = {placed.spec.name: placed.spec.absent for placed in figures if placed.picture is None}
    return StudyReportPaths(
        html=folder / "report.html",
        tables=tuple(tables),
        figures=tuple(files),
        results=folder / "results.json",
        missing=missing | {table.name: table.absent for table in report.wanted_tables if report.is_gap(table)},
        headline=page.headline,
    )


def _page(
    results: StudyResults,
    report: _Report,
    spec: ReportSpec,
    figures: Sequence[PlacedFigure],
    tables: Sequence[RenderedTable],
) -> Page:
    confidence = percent(results.confidence)
    return Page(
        title="",
        lead=spec.lead or study_prose.lead(report.frames),
        headline=_headline(report.frames),
        top=[placed for placed in figures if placed.spec.section == TOP],
        banners=_banners(results),
        findings=spec.findings,
        findings_heading=spec.findings_heading,
        sections=placed_sections(
            report.wanted_sections,
            figures,
            tables,
            {
                sure.SECTION.name: sure.of_study(
                    report.frames.get("groups", pd.DataFrame()), report.frames["changes"], confidence
                )
            },
        ),
        left_out=report.left_out,
        gaps=results.gaps,
        excluded=study_prose.excluded(report.frames["runs"]),
        notes=results.notes,
        method=[*study_prose.method(confidence, results.n_resamples, results.clusters), *spec.method],
        categories=categories_of(report.frames),
    )


def _headline(frames: Frames) -> str:
    """What happened, whether it was the method or how far training got, and towards the annotators or away."""
    said = (headline(frames["changes"], "group", "group"), matched.sentence(frames), decomposition.sentence(frames))
    return " ".join(filter(None, said))


def write_study_tables(
    results: StudyResults, folder: str | Path, *, wanted: Collection[str] | None = None, spec: ReportSpec | None = None
) -> list[Path]:
    """Write the tables of a study alone, and remove those of an earlier report.

    Args:
        results: The results of the study.
        folder: Where the files go; made where missing.
        wanted: Names of the sections; None takes all.
        spec: What is shown beyond what every study's report shows.

    Returns:
        The paths written.

    Raises:
        ConfigError: If there is no such section.
    """
    report = _Report.of(results, wanted, spec or ReportSpec())
    return _write_tables(report, user_path(folder), percent(results.confidence)).files


def _write_tables(report: _Report, folder: Path, confidence: str) -> WrittenTables:
    written = write_tables(report.wanted_tables, report.frames, folder, confidence)
    remove_files(folder, [table.name for table in report.tables], ("csv", "md", "tex"), written.files)
    return written


def _left_out(wanted: Collection[str] | None, known: Sequence[str]) -> list[str]:
    """The sections that are not wanted, in reading order."""
    unknown = [name for name in wanted or () if name not in known]
    if unknown:
        raise ConfigError(
            f"This study's report has no section {', '.join(map(repr, unknown))}. Its sections: {', '.join(known)}. "
            "Choose among them with `analyses` in the study's file."
        )
    return [] if wanted is None else [name for name in known if name not in wanted]


def _banners(results: StudyResults) -> list[Banner]:
    warnings = [Banner(*_first_sentence(warning)) for warning in results.warnings]
    if not results.gaps:
        return warnings
    are = "run is" if len(results.gaps) == 1 else "runs are"
    text = "Their results are marked as gaps, never filled in."
    return [*warnings, Banner(f"{len(results.gaps)} {are} missing.", text, ("gaps", "Which ones"))]


def _first_sentence(text: str) -> tuple[str, str]:
    """What a text begins with, up to a colon or a full stop, and the rest."""
    strong, mark, rest = text.partition(":")
    return strong + mark, rest.strip()
