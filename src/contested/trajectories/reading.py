"""Reading the files of a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contested.errors import RunError


def read_table(file: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file of a run.

    Args:
        file: The file.
        columns: Which columns; all of them without it.

    Returns:
        Its table.

    Raises:
        RunError: If it is missing or damaged.
    """
    try:
        return pq.read_table(file, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"Cannot read {file}: {error}. The manifest lists it; restore it from a copy.") from None


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; a last line cut short by a crash is left out."""
    if not file.exists():
        return []
    # Every whole line ends in a newline, so what follows the last one is either empty or half a line.
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
