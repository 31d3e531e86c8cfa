"""Tables: columns declared as data, one line each, and three renderings of the same rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from contested.files import write_text
from contested.report.formats import CHANGE, COUNT, EPOCHS, MISSING, NATS, SHARE, Format, p_value, text

Heading = str | tuple[str, ...]


class Column(NamedTuple):
    """How a column of numbers is shown.

    Attributes:
        name: The column's name in the data and in the CSV file.
        heading: What stands above it for people.
        format: One value to text.
        low: The column with the lower ends of the intervals, shown in the same cell.
        high: The column with the upper ends.
    """

    name: str
    heading: str
    format: Format
    low: str = ""
    high: str = ""


# In any table.
COLUMNS = (
    Column("run", "run", text),
    Column("run_id", "run", text),
    Column("category", "category", text),
    Column("reference", "compared with", text),
    Column("measure", "measure", text),
    Column("n", "n", COUNT),
    Column("n_reference", "n compared with", COUNT),
    Column("n_skipped", "left out", COUNT),
    Column("share", "share", SHARE),
    Column("mean_entropy", "mean H (nats)", NATS),
    Column("mean", "mean", NATS, "low", "high"),
    Column("difference", "difference (nats)", CHANGE, "low", "high"),
    Column("rose", "rose", COUNT),
    Column("rose_share", "share that rose", SHARE, "rose_low", "rose_high"),
    Column("rho", "ρ", CHANGE, "low", "high"),
    Column("p_value", "p", p_value),
    Column("step", "step", COUNT),
    Column("epoch", "epoch", EPOCHS),
    Column("change", "Δℓ (nats)", CHANGE, "change_low", "change_high"),
    Column("kl_change", "ΔKL (nats)", CHANGE, "kl_change_low", "kl_change_high"),
    Column("accuracy", "accuracy", SHARE, "accuracy_low", "accuracy_high"),
)

# In one table, before those above.
TABLE_COLUMNS = {
    "unlearning": (Column("mean", "mean Δℓ (nats)", CHANGE, "low", "high"),),
    "kl": (Column("mean", "mean ΔKL (nats)", CHANGE, "low", "high"),),
    "correlation": (Column("rho", "ρ(AULC, H)", CHANGE, "low", "high"),),
    "summary": (
        Column("rose_share", "rose", SHARE),
        Column("accuracy", "accuracy", SHARE),
    ),
}


class Cells(NamedTuple):
    """A table as text, ready for any renderer.

    Attributes:
        headings: One heading a column; tuples where columns stand in groups.
        rows: The cells, row by row.
        numeric: Which columns hold numbers and are set flush right.
    """

    headings: tuple[Heading, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The heading of each column, without its group."""
        return tuple(_levels(heading)[-1] for heading in self.headings)

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Name and width of each group of columns, from the left; none where columns are not grouped."""
        if not any(len(_levels(heading)) > 1 for heading in self.headings):
            return []
        names = [("", *_levels(heading))[-2] for heading in self.headings]
        return [(name, len(list(same))) for name, same in groupby(names)]


def to_cells(frame: pd.DataFrame, name: str = "") -> Cells:
    """Format a table by the declared columns; an undeclared one is shown by its type.

    Args:
        frame: The table. Where its columns have two levels, the last one names the quantity.
        name: The table's name, which may have its own headings and formats.

    Returns:
        The table as text, with the ends of each interval in the cell of its number.
    """
    declared = {column.name: column for column in (*COLUMNS, *TABLE_COLUMNS.get(name, ()))}
    shown = [
        (key, _column(key, frame[key], declared))
        for key in frame.columns
        if not _is_end(key, frame, declared) and not _says_nothing(key, frame[key])
    ]
    headings = tuple(_heading(key, column.heading) for key, column in shown)
    columns = [_texts(frame, key, column) for key, column in shown]
    numeric = tuple(column.format is not text for _, column in shown)
    return Cells(headings, tuple(zip(*columns, strict=True)), numeric)


def write_tables(tables: Mapping[str, pd.DataFrame], out: Path, formats: Sequence[str] | None = None) -> list[Path]:
    """Write each table atomically: CSV with unrounded numbers, Markdown and LaTeX (booktabs) for people.

    Args:
        tables: File name without ending to table.
        out: The folder; made where missing.
        formats: Which of csv, md and tex to write; without it all three, but CSV alone for curves and
            examples, whose hundreds of rows nobody reads on a page.

    Returns:
        The paths, in the order of ``tables``.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, frame in tables.items():
        for ending in formats or (("csv",) if name in _FOR_MACHINES else tuple(_RENDERERS)):
            path = out / f"{name}.{ending}"
            write_text(path, _RENDERERS[ending](frame, name))
            written.append(path)
    return written


def to_csv(frame: pd.DataFrame, name: str = "") -> str:
    """The table as CSV: every digit of every number, an empty field where one is missing."""
    return str(frame.to_csv(index=False, lineterminator="\n"))


def to_markdown(frame: pd.DataFrame, name: str = "") -> str:
    """The table as Markdown, its columns padded so that it also reads as plain text."""
    return markdown(to_cells(frame, name))


def markdown(cells: Cells) -> str:
    """A table as Markdown, its columns padded so that it also reads as plain text."""
    body = [[escape_markdown(" · ".join(_levels(heading))) for heading in cells.headings]]
    body += [[escape_markdown(cell) for cell in row] for row in cells.rows]
    widths = [max(3, *(len(row[index]) for row in body)) for index in range(len(cells.headings))]
    rule = ["-" * (w - 1) + ":" if right else "-" * w for w, right in zip(widths, cells.numeric, strict=True)]
    lines = [_padded(row, widths, cells.numeric) for row in body]
    return "\n".join([lines[0], f"| {' | '.join(rule)} |", *lines[1:]]) + "\n"


def to_latex(frame: pd.DataFrame, name: str = "") -> str:
    """The table as a LaTeX ``tabular`` with booktabs rules; every text is escaped."""
    return latex(to_cells(frame, name))


def latex(cells: Cells, column_format: str = "") -> str:
    """A table as a LaTeX ``tabular`` with booktabs rules; every text is escaped.

    Args:
        cells: The table.
        column_format: LaTeX's own, one part a column; without it numbers stand right and text left.

    Returns:
        The environment.
    """
    headings = [tuple(escape_latex(level) for level in _levels(heading)) for heading in cells.headings]
    rows = [[escape_latex(cell) for cell in row] for row in cells.rows]
    # Behind the end of a row LaTeX would take either sign for an option of the line break.
    rows = [["{}" + first if first.startswith(("[", "*")) else first, *others] for first, *others in rows]
    escaped = pd.DataFrame(rows, columns=range(len(cells.headings)))
    grouped = any(len(heading) > 1 for heading in headings)
    escaped.columns = (
        pd.MultiIndex.from_tuples([("", *heading)[-2:] for heading in headings])
        if grouped
        else pd.Index([heading[0] for heading in headings])
    )
    columns = column_format or "".join("r" if right else "l" for right in cells.numeric)
    styled = escaped.style.hide(axis="index")
    return str(styled.to_latex(hrules=True, column_format=columns, multicol_align="c"))


_RENDERERS = {"csv": to_csv, "md": to_markdown, "tex": to_latex}

_FOR_MACHINES = {"curves", "examples"}

_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "’": "'",
    "“": "``",
    "”": "''",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≠": r"$\ne$",
    "°": r"$^{\circ}$",
    "²": r"$^2$",
    "∞": r"$\infty$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "τ": r"$\tau$",
    "…": r"\ldots{}",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "ρ": r"$\rho$",
    "Δ": r"$\Delta$",
    "ℓ": r"$\ell$",
    "‖": r"$\|$",
    "→": r"$\to$",
}


def escape_latex(value: str) -> str:
    r"""Text for LaTeX: its special characters escaped, the signs of the field as mathematics.

    >>> escape_latex("a_b & 5%: Δℓ")
    'a\\_b \\& 5\\%: $\\Delta\\ell$'
    """
    signs = "".join(_LATEX.get(sign, sign) for sign in value.replace("\n", " "))
    return re.sub(r"(?<!\\)\$\$", "", signs)


def _column(key: Any, values: pd.Series[Any], declared: Mapping[str, Column]) -> Column:
    name = _levels(key)[-1]
    if name in declared:
        return declared[name]
    heading = name.replace("_", " ")
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        return Column(name, heading, text)
    return Column(name, heading, COUNT if pd.api.types.is_integer_dtype(values) else NATS)


def _is_end(key: Any, frame: pd.DataFrame, declared: Mapping[str, Column]) -> bool:
    """Whether a column holds one end of an interval that another column of its group shows."""
    *group, name = _levels(key)
    there = {_levels(other)[-1] for other in frame.columns if list(_levels(other)[:-1]) == group}
    return any(name in {column.low, column.high} for column in declared.values() if column.name in there)


def _says_nothing(key: Any, values: pd.Series[Any]) -> bool:
    return _levels(key)[-1] == "note" and not values.astype(bool).any()


def _texts(frame: pd.DataFrame, key: Any, column: Column) -> list[str]:
    values = [column.format(value) for value in _plain(frame[key])]
    *group, _ = _levels(key)
    ends = [(*group, end) if group else end for end in (column.low, column.high)]
    if not column.low or any(end not in frame.columns for end in ends):
        return values
    lows, highs = ([column.format(value) for value in _plain(frame[end])] for end in ends)
    return [
        value if low == high == MISSING else f"{value} [{low}, {high}]"
        for value, low, high in zip(values, lows, highs, strict=True)
    ]


def _plain(values: pd.Series[Any]) -> list[Any]:
    return [value.item() if isinstance(value, np.generic) else value for value in values.tolist()]


def _levels(heading: Any) -> tuple[str, ...]:
    return tuple(level for level in heading if level) if isinstance(heading, tuple) else (str(heading),)


def _heading(key: Any, shown: str) -> Heading:
    return (*_levels(key)[:-1], shown) if isinstance(key, tuple) else shown


def escape_markdown(cell: str) -> str:
    r"""Text for a cell of a Markdown table.

    >>> escape_markdown("a|b, p < 0.001")
    'a\\|b, p < 0.001'
    """
    escaped = cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    # A "<" before a letter or a sign would open a tag; "< 0.001" is read as it stands.
    return "".join(
        "\\<" if sign == "<" and escaped[index + 1 : index + 2].strip() else sign for index, sign in enumerate(escaped)
    )


def _padded(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    cells = [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(row, widths, numeric, strict=True)
    ]
    return f"| {' | '.join(cells)} |"
