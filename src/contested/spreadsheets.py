"""Cells of CSV files that a spreadsheet would compute: written so that they are read as the texts that they are."""

from __future__ import annotations

import re

import pandas as pd

# What spreadsheets take for the beginning of a formula, also after the mark that is put before it here.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d[\d.,_]*|\.\d+)([eE][+-]?\d+)?%?|[+-]")


def guarded(cell: object) -> object:
    """A cell that no spreadsheet computes: texts that begin like a formula get an apostrophe before them.

    Args:
        cell: Any value.

    Returns:
        The cell; numbers, also those that are texts, are as they were.

    Examples:
        >>> [guarded(cell) for cell in ("=1+1", "- he said", "-12", "'=x", "a=b", -3)]
        ["'=1+1", "'- he said", '-12', "''=x", 'a=b', -3]
    """
    if not isinstance(cell, str) or not _FORMULA.match(cell) or _NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"


def unguarded(cell: str) -> str:
    """What :func:`guarded` was given.

    Args:
        cell: A cell of a file that was written so.

    Returns:
        The text.

    Examples:
        >>> [unguarded(str(guarded(cell))) for cell in ("=1+1", "'=x", "'a", "-12")]
        ['=1+1', "'=x", "'a", '-12']
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def guarded_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts and headings no spreadsheet computes.

    Args:
        frame: The table.

    Returns:
        A table to be written as CSV.
    """
    columns = [column if column.dtype.kind in "biufM" else column.map(guarded) for _, column in frame.items()]
    made = pd.DataFrame(dict(enumerate(columns)), index=frame.index)
    made.columns = pd.Index([guarded(name) for name in frame.columns], dtype=object)
    return made
