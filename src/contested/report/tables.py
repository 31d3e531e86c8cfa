"""Tables as files: .csv for machines, Markdown and LaTeX to be read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from contested.files import write_text
from contested.report.declarations import Frames, Table
from contested.report.latex import to_latex
from contested.report.table_cells import Cells, RenderedTable, rendered
from contested.spreadsheets import guarded_frame
from contested.wording import visible

_MOST_IDS = 10_000_000  # characters of run ids in a file; results.json has those of each row, every text once


class WrittenTables(NamedTuple):
    """Tables of a report.

    Attributes:
        files: The paths written.
        shown: Those that have a section of the page, as they are read.
    """

    files: list[Path]
    shown: list[RenderedTable]


def write_tables(tables: Sequence[Table], frames: Frames, folder: Path, confidence: str) -> WrittenTables:
    """Write each table as .csv, .md and .tex, or as .csv alone where it declares no columns.

    Args:
        tables: The tables; one whose frame is missing or empty is left out if it does not say what it needs.
        frames: The frames by name.
        folder: Where the files go; made where missing.
        confidence: The coverage of the intervals, such as "95%".

    Returns:
        The tables that are not left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = WrittenTables([], [])
    for table in tables:
        frame = frames.get(table.frame, pd.DataFrame())
        if frame.empty and not table.needs:
            continue
        texts = {"csv": to_csv(frame)}
        if table.columns:
            shown = rendered(table, frame, confidence)
            texts |= {"md": to_markdown(shown), "tex": to_latex(shown)}
            if table.section:
                written.shown.append(shown)
        for ending, content in texts.items():
            path = folder / f"{table.name}.{ending}"
            write_text(path, content)
            written.files.append(path)
    return written


def to_csv(frame: pd.DataFrame) -> str:
    """The table as CSV: every digit of every number, an empty field where one is missing, no cell a formula.

    Where run ids would take more than ten million characters, each row says how many they are and where they stand.
    """
    long = [name for name in ("run_ids", "missing") if name in frame and frame[name].str.len().sum() > _MOST_IDS]
    short = {name: frame[name].map(_counted_ids) for name in long}
    return str(guarded_frame(frame.assign(**short)).to_csv(index=False, lineterminator="\n"))


def _counted_ids(cell: str) -> str:
    return f"{cell.count(',') + 1} runs, listed in results.json" if "," in cell else cell


def to_markdown(shown: RenderedTable) -> str:
    """A table as Markdown: heading, caption, rows or why there are none, and the runs behind it."""
    body = shown.table.absent + "\n" if shown.cells is None else markdown_rows(shown.cells)
    foot = [f"{name}: {escape_markdown(said)}" for name, said in shown.foot]
    heading = f"**{escape_markdown(shown.table.heading)}.** {escape_markdown(shown.caption)}".rstrip()
    terms = "\n".join(f"- {escape_markdown(term)}: {escape_markdown(said)}" for term, said in shown.table.legend)
    return "\n\n".join([heading, body.rstrip("\n"), *filter(None, [terms]), *foot]) + "\n"


def markdown_rows(cells: Cells) -> str:
    """The rows of a table as Markdown, its columns padded so that it also reads as plain text."""
    over = cells.over or ("",) * len(cells.headings)
    headings = [" · ".join(part for part in pair if part) for pair in zip(over, cells.headings, strict=True)]
    body = [[escape_markdown(cell) for cell in row] for row in (headings, *cells.rows)]
    widths = [max(3, *(len(row[index]) for row in body)) for index in range(len(headings))]
    rule = ["-" * (w - 1) + ":" if right else "-" * w for w, right in zip(widths, cells.numeric, strict=True)]
    lines = [_padded(row, widths, cells.numeric) for row in body]
    return "\n".join([lines[0], f"| {' | '.join(rule)} |", *lines[1:]]) + "\n"


def escape_markdown(cell: str) -> str:
    r"""Text for a cell of a Markdown table: no cell ends, no tag or link begins, nothing acts within it.

    >>> print(escape_markdown("a|b, p < 0.001, [a](b:c)"))
    a\|b, p < 0.001, [a\](b:c)
    """
    escaped = visible(cell).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    # Brackets are those of intervals, until what follows makes a link of them.
    escaped = re.sub(r"\](?=[(\[:])", r"\\]", escaped)
    # A "<" before a letter or a sign would open a tag; "< 0.001" is read as it stands.
    return re.sub(r"<(?=\S)", r"\\<", escaped)


def _padded(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    cells = [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(row, widths, numeric, strict=True)
    ]
    return f"| {' | '.join(cells)} |"
