"""One example per row, with a list of objects, each of them one annotator's label: HateXplain, MFTC and the like."""

from __future__ import annotations

import dataclasses
from itertools import islice

from contested.annotations.core import Annotations
from contested.annotations.readers import long
from contested.annotations.readers._format import SAMPLE, WORKER_ALIASES, Format, Options, alias_key, refuse
from contested.annotations.readers._paths import with_paths
from contested.annotations.readers._printed import structure
from contested.rows import Table
from contested.wording import listed


def matches(table: Table, options: Options) -> bool:
    """Whether exactly one column, or the one that is named, holds lists of objects with a usual name for a label."""
    return len(_columns(table, options)) == 1


def _columns(table: Table, options: Options) -> dict[str, dict[str, object]]:
    """The columns of lists of objects that hold labels, each with one of its objects that has all keys."""
    names = options.labels_column or tuple(table.columns)
    found = {name: _object(table, name) for name in names if name in table.columns}
    return {name: entry for name, entry in found.items() if alias_key(entry, long.LABEL_ALIASES)}


def _object(table: Table, name: str) -> dict[str, object]:
    """An object with the keys of all objects that lists of a column hold; empty where it holds anything else."""
    keys: dict[str, object] = {}
    for value in islice((value for value in table.columns[name] if value is not None), SAMPLE):
        cell = _list(value)
        if cell is None or not all(isinstance(part, dict) for part in cell):
            return {}
        for part in cell:
            keys.update(part)
    return keys


def _list(value: object) -> list[dict[str, object]] | None:
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return None
    found = structure(value)
    return found if isinstance(found, list) else None


def read(table: Table, options: Options) -> Annotations:
    """Read each object as an annotation of its example."""
    columns = _columns(table, options)
    if len(columns) != 1:
        usual = listed(long.LABEL_ALIASES[:3])
        told = (
            f"several columns hold lists of objects with a label: {listed(columns)}"
            if columns
            else (f"no column holds lists of objects with a label under a usual name ({usual}, …)")
        )
        refuse(table, FORMAT.name, f"{told}; name it with labels_column, such as labels_column=annotators.label")
    [(column, entry)] = columns.items()
    label, worker = alias_key(entry, long.LABEL_ALIASES), alias_key(entry, WORKER_ALIASES)
    paths = [f"{column}.{key}" for key in (label, worker) if key is not None]
    others = [key for key in entry if key not in (label, worker)]
    if others:
        table.add_note(f"Not read from the objects in {column}: {listed(others)}.")
    named = dataclasses.replace(options, labels_column=(paths[0],), worker_column=paths[1] if worker else None)
    return long.read(with_paths(table, paths), named)


FORMAT = Format(
    name="annotator-objects",
    summary="one row per example, with a list of objects such as {annotator, label}",
    options=frozenset({"label_names", "id_column", "text_columns", "labels_column", "missing", "multilabel", "bins"}),
    claims=frozenset(),
    matches=matches,
    read=read,
    is_layout=True,
)
