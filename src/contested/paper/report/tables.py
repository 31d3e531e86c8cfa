"""The tables of a study: declared columns and a frame in, .csv, .md and .tex out, gaps marked and runs named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from contested.files import write_text
from contested.paper.report.names import seeds_note, short_runs
from contested.report.formats import NATS, Format, is_missing, text
from contested.report.tables import Cells, escape_latex, escape_markdown, latex, markdown, to_csv

GAP = "—"

_LONG_TEXT = 36  # characters from which a column is set as a paragraph
_LINE = 95  # small characters in a line of a plain article
_ROWS_A_PAGE, _ROWS_OF_TEXT = 42, 24  # where cells are numbers, and where some are paragraphs


class StudyColumn(NamedTuple):
    """How one quantity of a frame is shown; the paper's value, where the frame has it, follows by itself.

    Attributes:
        name: The frame's column.
        heading: What stands above it for people.
        format: One value to text.
        low: The column with the lower ends of its intervals, shown in the same cell.
        high: The column with the upper ends.
        sd: The column with its standard deviation over seeds, shown in the same cell.
        star: The column that says whether a star marks the value.
        seeded: Whether the cell says how many of the seeds asked for it rests on, where that is not all.
    """

    name: str
    heading: str
    format: Format = text
    low: str = ""
    high: str = ""
    sd: str = ""
    star: str = ""
    seeded: bool = False


class StudyTable(NamedTuple):
    """A table of a study.

    Attributes:
        name: Its file name without ending.
        frame: The frame it shows.
        section: Where it stands on the page.
        number: The paper's number, such as "Table 1"; empty where the paper has no such table.
        title: What it is.
        caption: How to read it.
        needs: What a study must have for it to have rows.
        columns: The columns shown; none for data that only a machine reads, which is written as .csv alone.
        folded: Whether the page shows it closed.
    """

    name: str
    frame: str
    section: str
    number: str
    title: str
    caption: str
    needs: str
    columns: tuple[StudyColumn, ...] = ()
    folded: bool = False

    @property
    def heading(self) -> str:
        """Number and title."""
        return f"{self.number}. {self.title}" if self.number else self.title

    @property
    def empty(self) -> str:
        """Why it has no rows."""
        return f"Empty: this table needs {self.needs}, and the study has none."


class Rendered(NamedTuple):
    """A table as people read it.

    Attributes:
        table: What it is.
        caption: How to read it, with the study's confidence in it.
        cells: Its cells; None where it is empty.
        foot: The runs behind it, and what is missing, as pairs of name and text.
    """

    table: StudyTable
    caption: str
    cells: Cells | None
    foot: tuple[tuple[str, str], ...]


def rendered(table: StudyTable, frame: pd.DataFrame, confidence: str) -> Rendered:
    """Format a frame by the columns its table declares.

    Args:
        table: The table.
        frame: Its frame.
        confidence: The coverage of the intervals, such as "95%".

    Returns:
        The table as text.
    """
    caption = table.caption.replace("{confidence}", confidence).strip()
    return Rendered(table, caption, study_cells(table, frame) if len(frame) else None, tuple(_foot(table, frame)))


def study_cells(table: StudyTable, frame: pd.DataFrame) -> Cells:
    """The cells of a table: values with their intervals, gaps marked, the paper's values beside ours."""
    rows = [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]
    columns: list[tuple[str, bool, list[str]]] = []
    for column in table.columns:
        values = [_cell(column, row) for row in rows]
        if column.name.startswith("note") and not any(values):
            continue
        columns.append((column.heading, column.format is not text, values))
        paper = f"{column.name}_paper"
        if paper in frame and frame[paper].notna().any():
            columns.append((f"{column.heading}, paper", True, [_paper(column, row) for row in rows]))
    headings, numeric, texts = zip(*columns, strict=True)
    return Cells(headings, tuple(zip(*texts, strict=True)), numeric)


def _cell(column: StudyColumn, row: Mapping[str, Any]) -> str:
    value = row.get(column.name)
    if column.name.startswith("note"):
        return "" if is_missing(value) else str(value)
    shown = _with_sd(column, value, row.get(column.sd))
    if column.star and row.get(column.star) is True and not is_missing(value):
        shown += "*"
    low, high = row.get(column.low), row.get(column.high)
    if not (is_missing(low) or is_missing(high)):
        shown += f" [{column.format(low)}, {column.format(high)}]"
    note = seeds_note(row) if column.seeded else ""
    return f"{shown} ({note})" if note else shown


def _with_sd(column: StudyColumn, value: Any, sd: Any) -> str:
    if is_missing(value):
        return GAP
    return column.format(value) if is_missing(sd) else f"{column.format(value)} ± {NATS(sd)}"


def _paper(column: StudyColumn, row: Mapping[str, Any]) -> str:
    return _with_sd(column, row.get(f"{column.name}_paper"), row.get(f"{column.name}_paper_sd"))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _foot(table: StudyTable, frame: pd.DataFrame) -> list[tuple[str, str]]:
    parts = []
    if "run_id" not in frame:
        parts = [("Runs", short_runs(frame)), ("Missing runs", short_runs(frame, "missing"))]
    remarks = [
        f"{column.heading}: {'; '.join(said)}"
        for column in table.columns
        if f"{column.name}_paper_note" in frame
        and (said := [str(note) for note in frame[f"{column.name}_paper_note"].dropna().unique() if note])
    ]
    return [(name, said) for name, said in [*parts, ("On the paper's values", ". ".join(remarks))] if said]


def write_study_tables(
    tables: Sequence[StudyTable], frames: Mapping[str, pd.DataFrame], folder: Path, confidence: str
) -> list[Path]:
    """Write each table as .csv, .md and .tex, or as .csv alone where it is for machines.

    Args:
        tables: The tables.
        frames: The frames by name.
        folder: Where the files go; made where missing.
        confidence: The coverage of the intervals, such as "95%".

    Returns:
        The paths written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table in tables:
        frame = frames[table.frame]
        texts = {"csv": to_csv(frame)}
        if table.columns:
            shown = rendered(table, frame, confidence)
            texts |= {"md": study_markdown(shown), "tex": study_latex(shown)}
        for ending, content in texts.items():
            path = folder / f"{table.name}.{ending}"
            write_text(path, content)
            written.append(path)
    return written


def study_markdown(shown: Rendered) -> str:
    """A table as Markdown: heading, caption, rows or why there are none, and the runs behind it."""
    body = shown.table.empty + "\n" if shown.cells is None else markdown(shown.cells)
    foot = [f"{name}: {escape_markdown(said)}" for name, said in shown.foot]
    parts = [f"**{escape_markdown(shown.table.heading)}.** {escape_markdown(shown.caption)}", body.rstrip("\n"), *foot]
    return "\n\n".join(parts) + "\n"


def study_latex(shown: Rendered) -> str:
    """A table as LaTeX floats that need booktabs alone; one of many rows is cut into several."""
    label = shown.table.name.replace("_", "-")
    caption = f"{escape_latex(shown.table.title)}. {escape_latex(shown.caption)}"
    foot = [f"{escape_latex(name)}: {escape_latex(said)}." for name, said in shown.foot]
    intro = "% Needs \\usepackage{booktabs} and nothing else." + (
        f" In the paper: {shown.table.number}." if shown.table.number else ""
    )
    if shown.cells is None:
        return f"{intro}\n{_float(caption, label, escape_latex(shown.table.empty), foot)}"
    widths = _column_format(shown.cells)
    size = _ROWS_OF_TEXT if "p{" in widths else _ROWS_A_PAGE
    cuts = range(0, len(shown.cells.rows), size)
    floats = []
    for number, start in enumerate(cuts):
        part = shown.cells._replace(rows=shown.cells.rows[start : start + size])
        whole = caption if number == 0 else f"{escape_latex(shown.table.title)}, part {number + 1} of {len(cuts)}."
        last = foot if start == cuts[-1] else []
        body = f"\\makebox[\\linewidth][c]{{%\n{latex(part, widths).rstrip()}%\n}}"
        own = label if number == 0 else f"{label}-{number + 1}"
        floats.append(_float(whole, own, body, last, size="tiny" if _is_wide(shown.cells) else "scriptsize"))
    return f"{intro}\n" + "\n".join(floats)


def _float(caption: str, label: str, body: str, foot: Sequence[str], size: str = "scriptsize") -> str:
    # Run ids are long words: without a stretch of the spaces they would run out of the margin.
    below = f"\\par\\smallskip\n\\begin{{minipage}}{{\\linewidth}}\\sloppy\n{' '.join(foot)}\n\\end{{minipage}}\n"
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n\\label{{tab:{label}}}\n"
        f"\\{size}\\setlength{{\\tabcolsep}}{{3pt}}\n{body.rstrip()}\n{below if foot else ''}\\end{{table}}\n"
    )


def _lengths(cells: Cells) -> list[int]:
    """The most characters of each column."""
    rows = (cells.names, *cells.rows)
    return [max(len(row[index]) for row in rows) for index in range(len(cells.headings))]


def _is_wide(cells: Cells) -> bool:
    """Whether a table's lines are too long for a column of text: then it is set smaller and over both margins."""
    return sum(min(length, _LONG_TEXT) + 2 for length in _lengths(cells)) > _LINE


def _column_format(cells: Cells) -> str:
    long = [length > _LONG_TEXT and not right for length, right in zip(_lengths(cells), cells.numeric, strict=True)]
    # Paragraphs share what the other columns leave.
    share = 0.75 / max(sum(long), 1) if len(long) - sum(long) < 5 else 0.2
    width = f"p{{{min(share, 0.35):.2f}\\linewidth}}"
    return "".join(
        "r" if right else width if is_long else "l" for right, is_long in zip(cells.numeric, long, strict=True)
    )


def yes_no(value: Any) -> str:
    """A truth value in a word; nothing where it is missing.

    >>> yes_no(True), yes_no(float("nan"))
    ('yes', '—')
    """
    return GAP if is_missing(value) else "yes" if value else "no"
