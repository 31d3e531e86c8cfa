"""From the results of a study to its report: tabulate, draw, write."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from contested.errors import ConfigError
from contested.files import write_json, write_text
from contested.paper.report import prose
from contested.paper.report.figure_list import FIGURES, SECTIONS, StudyFigure, alt, drawable, foot, rows_of
from contested.paper.report.figures import by_entropy
from contested.paper.report.names import panel_titles
from contested.paper.report.page import Drawn, Section, StudyPage, claim_view, render_study, study_variables
from contested.paper.report.table_list import TABLES
from contested.paper.report.tables import Rendered, StudyTable, rendered, write_study_tables
from contested.paper.results import PaperResults
from contested.report.html import Picture
from contested.report.style import inline_svg, save_figure, settled


class StudyReportPaths(NamedTuple):
    """What :func:`write_study_report` wrote.

    Attributes:
        html: The page.
        tables: The tables.
        figures: The figures.
        results: Every frame and claim as JSON.
        missing: Figure or table that has nothing to show to the sentence why.
    """

    html: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    results: Path
    missing: dict[str, str]


def write_study_report(
    results: PaperResults, out: str | Path, *, title: str | None = None, wanted: Collection[str] | None = None
) -> StudyReportPaths:
    """Write every table and figure of a study and one self-contained page on all of them.

    The folder then holds, with the same bytes for the same results:

    - ``report.html``, complete in itself; ``results.json``, every frame, claim, note and gap;
    - ``tables/`` as .csv (unrounded, with the run ids behind each row), .md and .tex: those of the paper under its
      numbers (``table1_correlation`` to ``table7_composition``) and those beyond it; as .csv alone what
      the figures draw;
    - ``figures/`` as .pdf and .png: ``figure1_loss_lora`` to ``figure9_calibration`` and those beyond the paper.

    A figure that has nothing to draw is not written, and one of an earlier report is removed; a table without rows is
    written with its heading and the reason. Of sections that are not wanted there are neither tables nor figures, and
    those of an earlier report are removed; claims and ``results.json`` do not depend on ``wanted``.

    Args:
        results: The results of the study.
        out: The folder; made where missing, files of the same names are replaced.
        title: The heading of the page.
        wanted: Names of the sections (:data:`~contested.paper.report.figure_list.SECTIONS`); None takes all.

    Returns:
        The paths written, and what is missing and why.

    Raises:
        ConfigError: If there is no such section.
    """
    folder = Path(out)
    left_out = _left_out(wanted)
    kept = _tables(left_out)
    frames = {**results.frames, "claims": claims_frame(results)}
    confidence = f"{100 * results.confidence:g}%"
    tables = write_tables_of(frames, folder / "tables", confidence, wanted=wanted)
    write_json(folder / "results.json", results.to_dict())
    palette = _Palette.of(frames)
    figures = [figure for figure in FIGURES if figure.section not in left_out]
    drawn, files = _draw(figures, frames, folder / "figures", palette, confidence)
    shown = [rendered(table, frames[table.frame], confidence) for table in kept if table.section]
    page = StudyPage(
        title=title or prose.TITLE,
        lead=prose.lead(frames["runs"]),
        claims=[claim_view(claim) for claim in results.claims],
        sections=[section for section in _sections(drawn, shown) if section.name not in left_out],
        left_out=left_out,
        gaps=results.gaps,
        excluded=prose.excluded(frames["runs"]),
        notes=results.notes,
        method=prose.method(confidence, results.n_resamples),
        categories=palette.categories,
        methods=palette.methods,
        lines=palette.lines,
        version=version("contested"),
    )
    write_text(folder / "report.html", render_study(page))
    missing = {figure.name: figure.missing for figure in figures if not drawable(figure, frames)}
    missing |= {table.name: table.empty for table in kept if frames[table.frame].empty}
    return StudyReportPaths(folder / "report.html", tuple(tables), tuple(files), folder / "results.json", missing)


def write_tables_of(
    frames: Mapping[str, pd.DataFrame], folder: Path, confidence: str, *, wanted: Collection[str] | None = None
) -> list[Path]:
    """Write the tables of the sections wanted, the claims and the data of their figures; remove those of the others.

    Args:
        frames: The frames by name, claims included.
        folder: Where the files go; made where missing.
        confidence: The coverage of the intervals, such as "95%".
        wanted: Names of the sections; None takes all.

    Returns:
        The paths written.

    Raises:
        ConfigError: If there is no such section.
    """
    kept = _tables(_left_out(wanted))
    # A table of an earlier report would pass for one of these results.
    for table in TABLES:
        for ending in ("csv", "md", "tex") if table not in kept else ():
            (folder / f"{table.name}.{ending}").unlink(missing_ok=True)
    return write_study_tables(kept, frames, folder, confidence)


def _left_out(wanted: Collection[str] | None) -> list[str]:
    """The sections that are not wanted, in reading order."""
    known = [name for name, _ in SECTIONS]
    unknown = [name for name in wanted or () if name not in known]
    if unknown:
        raise ConfigError(
            f"A study's report has no section {', '.join(map(repr, unknown))}. Its sections: {', '.join(known)}."
        )
    return [] if wanted is None else [name for name in known if name not in wanted]


def _tables(left_out: Collection[str]) -> list[StudyTable]:
    """The tables but for those of sections left out; the data of a figure go with it."""
    drawn = {frame: figure.section for figure in FIGURES for frame, _ in figure.frames}
    sections = {table.name: table.section or drawn.get(table.frame, "") for table in TABLES}
    return [table for table in TABLES if sections[table.name] not in left_out]


def claims_frame(results: PaperResults) -> pd.DataFrame:
    """The claims as a table: one row each, evidence and run ids joined."""
    columns = ["key", "claim", "verdict", "answer", "evidence", "run_ids"]
    rows = [
        {**claim._asdict(), "evidence": "; ".join(claim.evidence), "run_ids": ",".join(claim.run_ids)}
        for claim in results.claims
    ]
    return pd.DataFrame(rows, columns=columns)


class _Palette(NamedTuple):
    """What has a colour anywhere in the report."""

    categories: tuple[str, ...]
    methods: tuple[str, ...]
    lines: tuple[str, ...]

    @classmethod
    def of(cls, frames: Mapping[str, pd.DataFrame]) -> _Palette:
        entropy, sweep = frames["figure3"], frames["table6"]
        sweep = sweep[sweep["rho"].notna()]
        lines = tuple(panel_titles(sweep, ("backbone", "dataset")).short.values())
        methods = tuple(dict.fromkeys(frames["runs"]["method"].astype(str)))
        return cls(by_entropy(entropy) if len(entropy) else (), methods, lines)


def _draw(
    asked: Sequence[StudyFigure],
    frames: Mapping[str, pd.DataFrame],
    folder: Path,
    palette: _Palette,
    confidence: str,
) -> tuple[dict[str, Drawn], list[Path]]:
    folder.mkdir(parents=True, exist_ok=True)
    variables = study_variables(*palette)
    drawn: dict[str, Drawn] = {}
    files: list[Path] = []
    for figure in FIGURES:
        picture = None
        if figure in asked and drawable(figure, frames):
            picture, written = _picture(figure, rows_of(figure, frames), folder, variables, confidence)
            files += written
        else:
            # A figure of an earlier report would pass for one of these results.
            for ending in ("pdf", "png"):
                (folder / f"{figure.name}.{ending}").unlink(missing_ok=True)
        said = "" if picture else figure.missing
        drawn[figure.name] = Drawn(figure.name, figure.heading, picture, said, foot(figure, frames))
    return drawn, files


def _picture(
    figure: StudyFigure, rows: Sequence[pd.DataFrame], folder: Path, variables: dict[str, str], confidence: str
) -> tuple[Picture, list[Path]]:
    wide, narrow = settled(figure.draw(*rows)), settled(figure.draw(*rows, narrow=True))
    written = save_figure(wide, folder / figure.name)
    sizes = {"wide": wide, "narrow": narrow}
    svgs = [inline_svg(drawing, f"{figure.name}-{size}", variables) for size, drawing in sizes.items()]
    caption = figure.caption.replace("{confidence}", confidence).strip()
    return Picture(figure.name, f"{figure.heading}.", caption, alt(figure, rows[0]), *svgs), written


def _sections(drawn: Mapping[str, Drawn], shown: Sequence[Rendered]) -> list[Section]:
    return [
        Section(
            name,
            heading,
            [drawn[figure.name] for figure in FIGURES if figure.section == name],
            [table for table in shown if table.table.section == name],
        )
        for name, heading in SECTIONS
    ]
