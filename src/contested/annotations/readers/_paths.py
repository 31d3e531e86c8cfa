"""Columns that options name and a file has only within others: joined ids, and paths into objects and lists of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from contested.annotations.readers._cells import as_label
from contested.annotations.readers._format import ROW_NUMBER, Options
from contested.annotations.readers._printed import structure
from contested.errors import ConfigError
from contested.rows import Table
from contested.wording import did_you_mean, listed

_JOINT = "+"
_BETWEEN = "/"
_ROLES = {"item": "id_column", "annotator": "worker_column", "label": "labels_column"}


def joined_id(given: str | Sequence[str] | None) -> str | None:
    """Return the name of a column of ids, of several with ``+`` between them."""
    return given if given is None or isinstance(given, str) else _JOINT.join(given)


def as_options(roles: Mapping[str, str] | None, options: Options) -> Options:
    """Return options with the columns that were named by what they hold.

    Args:
        roles: ``item``, ``annotator`` and ``label`` to columns; None where not given.
        options: The others.

    Returns:
        The options.

    Raises:
        ConfigError: If a role is unknown, or its option was given too.
    """
    given = dict(roles or {})
    for role in given:
        if role not in _ROLES:
            raise ConfigError(f"Unknown role '{role}' in map{did_you_mean(role, _ROLES)}: use {listed(_ROLES)}.")
        if getattr(options, _ROLES[role]) is not None:
            raise ConfigError(f"map names the {role} ({given[role]}), and so does {_ROLES[role]}: give one.")
    named: dict[str, str | tuple[str]] = {_ROLES[role]: column for role, column in given.items()}
    if "label" in given:
        named["labels_column"] = (given["label"],)
    return dataclasses.replace(options, **named)  # type: ignore[arg-type]


def with_columns(table: Table, options: Options) -> Table:
    """Return a table that has the columns which options name within others.

    Args:
        table: The file.
        options: What was asked for.

    Returns:
        The table itself where nothing is to be made; else one with more columns, and with a row per object where a
        path leads through lists of them. A name that leads nowhere is left for its reader to report.
    """
    parts = _parts_of_id(table, options.id_column)
    wanted = [*parts, options.id_column, options.worker_column, options.annotators_column]
    for several in (options.labels_column, options.count_columns, options.distribution_column, options.text_columns):
        wanted += several or ()
    paths = [name for name in dict.fromkeys(wanted) if name is not None and name not in table.columns]
    found = with_paths(table, [name for name in paths if _split(table, name) is not None])
    return _with_id(found, options.id_column or "", parts) if parts else found


def _parts_of_id(table: Table, name: str | None) -> list[str]:
    if name is None or _JOINT not in name or name in table.columns:
        return []
    parts = [part.strip() for part in name.split(_JOINT)]
    unknown = [part for part in parts if part not in table.columns and _split(table, part) is None]
    for part in unknown:
        near = did_you_mean(part, table.columns)
        known = listed(column for column in table.columns if column != ROW_NUMBER)
        table.add_problem(0, f"there is no column '{part}' (id_column {name}){near}; columns: {known}")
    return [] if unknown else parts


def _with_id(table: Table, name: str, parts: Sequence[str]) -> Table:
    rows = [*zip(*([as_label(value) for value in table.columns[part]] for part in parts), strict=True)]
    ids = [None if None in row else _BETWEEN.join(map(str, row)) for row in rows]
    if len({row for row in rows if None not in row}) > len(set(ids) - {None}):
        table.add_problem(
            0,
            f"different values of {listed(parts)} give the same id once they are joined by {_BETWEEN}: write one "
            "column of ids into the file",
        )
    return dataclasses.replace(table, columns={**table.columns, name: [*ids]})


def _split(table: Table, name: str) -> tuple[str, list[str]] | None:
    """The column in which a path begins, and the keys that follow; None where no column begins it."""
    words = name.split(".")
    for length in range(len(words) - 1, 0, -1):
        column = ".".join(words[:length])
        if column in table.columns:
            return column, words[length:]
    return None


def with_paths(table: Table, paths: Sequence[str]) -> Table:
    """Return a table with a column for each path.

    Args:
        table: The file.
        paths: Names such as ``meta.id``, each of which begins with a column.

    Returns:
        The table; where paths lead through a list of objects, it has a row for each of these.

    Raises:
        ConfigError: If they lead through lists of several columns.
    """
    starts = {name: start for name in paths if (start := _split(table, name)) is not None}
    cells = {column: [structure(value) for value in table.columns[column]] for column, _ in starts.values()}
    listing = [column for column, values in cells.items() if any(isinstance(value, list) for value in values)]
    if len(listing) > 1:
        raise ConfigError(
            f"{listed(paths)} lead through lists of several columns: {listed(listing)}; name one of them."
        )
    made: dict[str, list[object]] = {
        name: [_value(cell, keys) for cell in cells[column]]
        for name, (column, keys) in starts.items()
        if column not in listing
    }
    table = dataclasses.replace(table, columns={**table.columns, **made}) if made else table
    return _opened(table, cells[listing[0]], listing[0], starts) if listing else table


def _opened(table: Table, cells: Sequence[object], column: str, starts: Mapping[str, tuple[str, list[str]]]) -> Table:
    """A row for each object in the lists of a column; an empty list leaves one row with nothing in it."""
    parts = [cell if isinstance(cell, list) and cell else [cell if isinstance(cell, dict) else None] for cell in cells]
    rows = [row for row, found in enumerate(parts) for _ in found]
    flat = [part for found in parts for part in found]
    columns: dict[str, Sequence[object]] = {
        name: [values[row] for row in rows] for name, values in table.columns.items() if name != column
    }
    for name, (begin, keys) in starts.items():
        if begin == column:
            columns[name] = [_value(part, keys) for part in flat]
    numbers = [table.line_numbers[row] for row in rows]
    return dataclasses.replace(table, columns=columns, line_numbers=numbers)


def _value(cell: object, keys: Sequence[str]) -> object:
    for at in range(len(keys)):
        if not isinstance(cell, dict):
            return None
        rest = ".".join(keys[at:])
        if rest in cell:
            return cell[rest]
        cell = cell.get(keys[at])
    return cell
