"""Tables written in the format of their file's suffix, atomically."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from contested.errors import ConfigError, DataError
from contested.files import atomic_path
from contested.spreadsheets import guarded_frame
from contested.wording import listed


def check_writable(path: Path) -> None:
    """Raise ConfigError where `write_table` could not write to ``path``."""
    if path.suffix.lower() not in _WRITERS:
        raise ConfigError(
            f"Cannot write a table to {path}: the suffix '{path.suffix}' is unknown. Use one of {listed(_WRITERS)}."
        )
    if path.is_dir() or not path.parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"the folder {path.parent} does not exist"
        raise ConfigError(f"Cannot write a table to {path}: {what}. Name a file in an existing folder.")


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in the format of the suffix of ``path``, atomically.

    Args:
        frame: The table; in CSV and TSV, cells that hold lists or mappings become JSON.
        path: The file; an existing one is replaced.

    Raises:
        DataError: If the file system refuses.
    """
    check_writable(path)
    try:
        with atomic_path(path) as temporary:
            _WRITERS[path.suffix.lower()](frame, temporary)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror}.") from error


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    _write_delimited(frame, path, ",")


def _write_tsv(frame: pd.DataFrame, path: Path) -> None:
    _write_delimited(frame, path, "\t")


def _write_delimited(frame: pd.DataFrame, path: Path, separator: str) -> None:
    plain = frame.apply(lambda column: column.map(_flat), axis=0)
    guarded_frame(plain).to_csv(path, sep=separator, index=False, lineterminator="\n")


def _flat(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _write_jsonl(frame: pd.DataFrame, path: Path) -> None:
    records: Iterable[dict[str, object]] = frame.to_dict("records")  # type: ignore[assignment]
    with path.open("w", encoding="utf-8", newline="\n") as lines:
        for record in records:
            plain = {name: None if value != value else value for name, value in record.items()}
            lines.write(json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False)


_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}
