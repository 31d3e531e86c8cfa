"""Sheets of Excel workbooks as rows."""

from __future__ import annotations

import datetime
import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

from contested.errors import ConfigError, DataError, installation
from contested.rows.header import columns_of
from contested.rows.table import LARGEST_EXACT, PLAIN, Request, Rows
from contested.wording import listed


def parse_excel(path: Path, content: bytes, request: Request = PLAIN) -> Rows:
    """Read a sheet of a workbook (``.xlsx``).

    Args:
        path: The file, for messages.
        content: Its content.
        request: Which sheet is read, the first with rows where it does not say; and the names of the columns.

    Returns:
        The rows: numbers as numbers, empty cells as None.

    Raises:
        DataError: If it is damaged, or has no such sheet.
    """
    sheets = {name: rows for name, rows in _sheets(path, content).items() if rows}
    name = request.part if request.part is not None else next(iter(sheets), None)
    if name is None or name not in sheets:
        raise DataError(f"{path} has no sheet '{name or ''}' with rows (part); it has: {listed(sheets) or 'none'}.")
    notes = [f"Rows were read from the sheet '{name}'."]
    others = [other for other in sheets if other != name]
    if others and request.part is None:
        notes.append(f"The workbook has other sheets, which were not read: {listed(others)}. Name one with part.")
    rows = sheets[name]
    header = [str(cell) for cell in request.columns or ()] or [_name(cell) for cell in rows[min(rows)]]
    kept = {number: cells for number, cells in rows.items() if request.columns or number > min(rows)}
    return _columns(header, kept, notes)


def _sheets(path: Path, content: bytes) -> dict[str, dict[int, list[object]]]:
    """Each sheet's rows that hold anything, by their number from 1."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            # Of styles and validations, which are no data.
            warnings.simplefilter("ignore")
            frames: dict[str, Any] = pd.read_excel(
                io.BytesIO(content), sheet_name=None, header=None, dtype=object, keep_default_na=False, na_values=[""]
            )
    except ImportError as error:
        raise ConfigError(
            f"{path} is an Excel workbook, which needs openpyxl: {installation('excel')}, or save the sheet as CSV "
            "UTF-8."
        ) from error
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a readable Excel workbook: {error}. Save the sheet as CSV UTF-8.") from error
    plain = {
        name: {number: [_plain(cell) for cell in cells] for number, cells in enumerate(frame.to_numpy().tolist(), 1)}
        for name, frame in frames.items()
    }
    return {
        name: {number: cells for number, cells in rows.items() if any(cell is not None for cell in cells)}
        for name, rows in plain.items()
    }


def _plain(value: object) -> object:
    if value is None or value != value:
        return None
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    # Whole numbers come as such; a workbook has rounded larger ones, which ids must not hide.
    return float(value) if isinstance(value, int) and abs(value) > LARGEST_EXACT else value


def _name(cell: object) -> str:
    return "" if cell is None else str(cell).strip()


def _columns(header: list[str], rows: dict[int, list[object]], notes: list[str]) -> Rows:
    width = max(map(len, rows.values()), default=0)
    names = [*header, *[""] * (width - len(header))]
    values = [[cells[j] if j < len(cells) else None for cells in rows.values()] for j in range(len(names))]
    return columns_of(names, values, list(rows), [], notes)
