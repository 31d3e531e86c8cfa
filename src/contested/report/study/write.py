"""From the results of a study to its report: tabulate, draw, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from contested.analysis.study import StudyResults
from contested.files import write_json, write_text
from contested.report.html import Picture
from contested.report.study import prose
from contested.report.study.figure_list import FIGURES, SECTIONS, StudyFigure, alt, drawable, foot, rows_of
from contested.report.study.figures import by_entropy
from contested.report.study.names import panel_titles
from contested.report.study.page import Drawn, Section, StudyPage, claim_view, render_study, study_variables
from contested.report.study.table_list import TABLES
from contested.report.study.tables import Rendered, rendered, write_study_tables
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


def write_study_report(results: StudyResults, out: str | Path, *, title: str | None = None) -> StudyReportPaths:
    """Write every table and figure of a study and one self-contained page on all of them.

    The folder then holds, with the same bytes for the same results:

    - ``report.html``, complete in itself; ``results.json``, every frame, claim, note and gap;
    - ``tables/`` as .csv (unrounded, with the run ids behind each row), .md and .tex: those of the paper under its
      numbers (``table1_correlation`` to ``table7_composition``) and those beyond it; as .csv alone what
      the figures draw;
    - ``figures/`` as .pdf and .png: ``figure1_loss_lora`` to ``figure9_calibration`` and those beyond the paper.

    A figure that has nothing to draw is not written, and one of an earlier report is removed; a table without rows is
    written with its heading and the reason.

    Args:
        results: The results of the study.
        out: The folder; made where missing, files of the same names are replaced.
        title: The heading of the page.

    Returns:
        The paths written, and what is missing and why.
    """
    folder = Path(out)
    frames = {**results.frames, "claims": claims_frame(results)}
    confidence = f"{100 * results.confidence:g}%"
    tables = write_study_tables(TABLES, frames, folder / "tables", confidence)
    write_json(folder / "results.json", results.to_dict())
    palette = _Palette.of(frames)
    drawn, files = _draw(frames, folder / "figures", palette, confidence)
    shown = [rendered(table, frames[table.frame], confidence) for table in TABLES if table.section]
    page = StudyPage(
        title=title or prose.TITLE,
        lead=prose.lead(frames["runs"]),
        claims=[claim_view(claim) for claim in results.claims],
        sections=_sections(drawn, shown),
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
    missing = {figure.name: figure.missing for figure in FIGURES if not drawable(figure, frames)}
    missing |= {table.name: table.empty for table in TABLES if frames[table.frame].empty}
    return StudyReportPaths(folder / "report.html", tuple(tables), tuple(files), folder / "results.json", missing)


def claims_frame(results: StudyResults) -> pd.DataFrame:
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
    frames: Mapping[str, pd.DataFrame], folder: Path, palette: _Palette, confidence: str
) -> tuple[dict[str, Drawn], list[Path]]:
    folder.mkdir(parents=True, exist_ok=True)
    variables = study_variables(*palette)
    drawn: dict[str, Drawn] = {}
    files: list[Path] = []
    for figure in FIGURES:
        picture = None
        if drawable(figure, frames):
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
