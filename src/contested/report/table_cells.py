"""The cells of a table: declared columns and a frame in, text out, gaps marked and runs named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from contested.formats import DAGGER, MISSING, NATS, is_missing
from contested.report.declarations import Column, Table
from contested.report.labels import seeds_note, short_runs

_MOST_ROWS = 1000  # of a table on a page: with more it takes long to open, and nobody reads them there
MOST_OPEN = 120  # of a table that is not closed at first


class Cells(NamedTuple):
    """A table as text, ready for any renderer.

    Attributes:
        headings: One heading a column.
        rows: The cells, row by row.
        numeric: Which columns hold numbers and are set flush right.
        over: The heading over each column and its neighbours; empty where there is none.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    over: tuple[str, ...] = ()

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Name and width of each group of columns, from the left; none where columns are not grouped."""
        return [(name, len(list(same))) for name, same in groupby(self.over)] if any(self.over) else []


class RenderedTable(NamedTuple):
    """A table as it is read.

    Attributes:
        table: What it is.
        caption: How to read it, with the confidence in it.
        cells: Its cells; None where it is empty.
        foot: The runs behind it, what is missing, and why intervals are marked, as pairs of name and text.
    """

    table: Table
    caption: str
    cells: Cells | None
    foot: tuple[tuple[str, str], ...]

    @property
    def is_too_long(self) -> bool:
        """Whether it has more rows than a page can hold."""
        return self.cells is not None and len(self.cells.rows) > _MOST_ROWS

    @property
    def is_folded(self) -> bool:
        """Whether the page shows it closed: one that says so, or that would hide what comes after it."""
        return self.table.folded or (self.cells is not None and len(self.cells.rows) > MOST_OPEN)


def rendered(table: Table, frame: pd.DataFrame, confidence: str) -> RenderedTable:
    """Format a frame by the columns its table declares.

    Args:
        table: The table.
        frame: Its frame.
        confidence: The coverage of the intervals, such as "95%".

    Returns:
        The table as text.
    """
    legend = [sentence for column in table.columns if column.name in frame for sentence in column.legend]
    caption = " ".join([table.caption.strip(), *dict.fromkeys(legend)]).replace("{confidence}", confidence).strip()
    shown = to_cells(table.columns, frame) if len(frame) else None
    return RenderedTable(table, caption, shown, tuple(_foot(table, frame)))


def to_cells(columns: Sequence[Column], frame: pd.DataFrame) -> Cells:
    """The cells of a table: values with their intervals, gaps marked, known values beside ours.

    Args:
        columns: What is shown; columns that the frame lacks, and notes that say nothing, are left out.
        frame: The rows.

    Returns:
        The table as text.
    """
    rows = [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]
    found: list[tuple[Column, str, list[str]]] = []
    for column in columns:
        values = [_cell(column, row) for row in rows]
        if column.name not in frame or (column.name.startswith("note") and not any(values)):
            continue
        found.append((column, column.heading, values))
        known = f"{column.name}_paper"
        if known in frame and frame[known].notna().any():
            found.append((column._replace(format=NATS), f"{column.heading}, paper", [_known(column, r) for r in rows]))
    numeric = tuple(column.is_numeric for column, *_ in found)
    texts = [values for *_, values in found]
    headings = tuple(heading for _, heading, _ in found)
    return Cells(headings, tuple(zip(*texts, strict=True)), numeric, tuple(column.group for column, *_ in found))


def _cell(column: Column, row: Mapping[str, Any]) -> str:
    value = row.get(column.name)
    if column.name.startswith("note"):
        return "" if is_missing(value) else str(value)
    shown = _with_sd(column, value, row.get(column.sd))
    if column.star and row.get(column.star) is True and not is_missing(value):
        shown += "*"
    low, high = row.get(column.low), row.get(column.high)
    if not (is_missing(low) or is_missing(high)):
        shown += f" [{column.format(low)}, {column.format(high)}]"
    shown += DAGGER if _caution(column, row) else ""
    note = seeds_note(row) if column.seeded else ""
    return f"{shown} ({note})" if note else shown


def _caution(column: Column, row: Mapping[Any, Any]) -> str:
    """Why the interval of ``<name>low`` may cover the truth less often than it says: ``<name>caution``."""
    said = row.get(f"{column.low.removesuffix('low')}caution")
    return "" if any(map(is_missing, (row.get(column.low), row.get(column.high), said))) else str(said)


def _with_sd(column: Column, value: Any, sd: Any) -> str:
    if is_missing(value):
        return MISSING
    return column.format(value) if is_missing(sd) else f"{column.format(value)} ± {column.format(sd).removeprefix('+')}"


def _known(column: Column, row: Mapping[str, Any]) -> str:
    return _with_sd(column, row.get(f"{column.name}_paper"), row.get(f"{column.name}_paper_sd"))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _foot(table: Table, frame: pd.DataFrame) -> list[tuple[str, str]]:
    parts = []
    if "run_id" not in frame:
        parts = [("Runs", short_runs(frame)), ("Missing runs", short_runs(frame, "missing"))]
    rows = frame.to_dict("records")
    cautions = [part for column in table.columns for row in rows for part in _caution(column, row).split("; ") if part]
    parts.append((DAGGER, "; ".join(dict.fromkeys(cautions))))
    remarks = [
        f"{column.heading}: {'; '.join(said)}"
        for column in table.columns
        if f"{column.name}_paper_note" in frame
        and (said := [str(note) for note in frame[f"{column.name}_paper_note"].dropna().unique() if note])
    ]
    return [(name, said) for name, said in [*parts, ("On the paper's values", ". ".join(remarks))] if said]
