"""Known values next to the found ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from contested.errors import DataError
from contested.paper.frames.columns import COLUMNS


def check_expected(expected: Sequence[Mapping[str, Any]]) -> None:
    """Refuse known values of frames and columns that do not exist, before anything is computed.

    Args:
        expected: As for :func:`with_expected`.

    Raises:
        DataError: With every problem at once.
    """
    problems = []
    for entry in expected:
        name = str(entry["artefact"])
        if name not in COLUMNS:
            problems.append(f"there is no frame {name}; the frames are {', '.join(COLUMNS)}")
            continue
        named = [*entry["where"], entry["quantity"]]
        unknown = [str(column) for column in named if column not in COLUMNS[name]]
        if unknown:
            problems.append(f"{name} has no column {', '.join(unknown)}; it has {', '.join(COLUMNS[name])}")
    if problems:
        raise DataError("The expected values do not fit the frames:", list(dict.fromkeys(problems)))


def with_expected(
    frames: Mapping[str, pd.DataFrame], expected: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Join known values into the frames, as columns ``<quantity>_paper`` next to the found ones.

    Args:
        frames: Frames by name.
        expected: ``artefact``, ``where``, ``quantity``, ``value``, and perhaps ``sd`` and ``note``; a value goes to
            every row that ``where`` fits.

    Returns:
        The frames, and a sentence for each frame in which a known value has no row.
    """
    found = {name: table.copy() for name, table in frames.items()}
    unmatched: dict[str, int] = {}
    for entry in expected:
        name, where = str(entry["artefact"]), dict(entry["where"])
        table = found[name]
        rows = np.logical_and.reduce(
            [np.ones(len(table), bool), *(table[key] == value for key, value in where.items())]
        )
        unmatched[name] = unmatched.get(name, 0) + int(not rows.any())
        for column, value in _columns(entry).items():
            if column not in table:
                table[column] = "" if isinstance(value, str) else np.nan
            table.loc[rows, column] = value
    return found, [f"{n} known values have no row in {name}." for name, n in unmatched.items() if n]


def _columns(entry: Mapping[str, Any]) -> dict[str, float | str]:
    name = f"{entry['quantity']}_paper"
    columns: dict[str, float | str] = {name: float(entry["value"])}
    if entry.get("sd") is not None:
        columns[f"{name}_sd"] = float(entry["sd"])
    if entry.get("note"):
        columns[f"{name}_note"] = str(entry["note"])
    return columns
