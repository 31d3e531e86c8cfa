"""Columns and rows of examples as users have them, and the annotators' labels of those examples."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contested.annotations import Annotations
from contested.errors import DataError
from contested.wording import listed


def columns_of(tracked: Any) -> dict[str, list[Any]]:
    """Columns by name of a ``datasets.Dataset``, of columns, or of a list of rows; a DataError of anything else."""
    names, column, _ = access(tracked)
    return {name: column(name) for name in names}


def access(tracked: Any) -> tuple[list[str], Callable[[str], list[Any]], Callable[[int], Mapping[str, Any]]]:
    """Names of columns, and how to get a column and a row; nothing is read that is not asked for."""
    if isinstance(tracked, list | tuple) and all(isinstance(row, Mapping) for row in tracked):
        names = list(dict.fromkeys(str(name) for row in tracked for name in row))
        return names, lambda name: [row[name] for row in tracked if name in row], lambda row: tracked[row]
    given: Any = list(tracked) if isinstance(tracked, Mapping) else getattr(tracked, "column_names", None)
    if not isinstance(given, list):
        raise DataError(
            f"tracked is a {type(tracked).__name__}; expected a datasets.Dataset, columns by name, or a list of rows."
        )
    names = [str(name) for name in given]
    if isinstance(tracked, Mapping):
        return names, lambda name: list(tracked[name]), lambda row: {name: tracked[name][row] for name in names}
    return names, lambda name: list(tracked[name]), lambda row: tracked[row]


def values_of(column: Iterable[Any]) -> list[Any]:
    """The values of a column as Python has them, whatever array or tensor they are of."""
    return [value.item() if hasattr(value, "item") else value for value in column]


def covariate_of(
    name: str, column: list[Any] | None, annotations: Annotations | None, ids: Sequence[str]
) -> NDArray[Any]:
    """One value per example, of its own column or of the annotated example with its id; None where there is neither."""
    if column is not None or annotations is None:
        return np.array(values_of(column or ()), dtype=object)
    known = dict(zip(annotations.example_ids, annotations.fields[name], strict=True))
    return np.array([known.get(example) for example in ids], dtype=object)


def join_annotations(
    ids: Sequence[str], annotations: Annotations
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
    """Find annotators' labels by id; what is missing on either side is counted in a warning.

    Args:
        ids: Ids of the examples, N of them.
        annotations: Annotators' labels.

    Returns:
        Rows of the examples that have annotations (M,), their label counts (M, K), and the numbers for the manifest.

    Raises:
        DataError: If no id has annotations.
    """
    known = {name: row for row, name in enumerate(annotations.example_ids)}
    rows = np.array([row for row, name in enumerate(ids) if name in known], np.int64)
    without = [name for name in ids if name not in known]
    unused = sorted(set(known) - set(ids))
    if not len(rows):
        raise DataError(
            f"None of the {len(ids)} ids of the tracked examples (such as {ids[0]!r}) is among the ids of the "
            f"annotations (such as {annotations.example_ids[0]!r}). Give the column with the same ids as id_column."
        )
    if without:
        warnings.warn(
            f"{len(without)} of {len(ids)} tracked examples have no annotations and are left out: "
            f"{listed(without[:10])}",
            stacklevel=4,
        )
    if unused:
        warnings.warn(
            f"{len(unused)} of {len(known)} annotated examples are not among the tracked ones: {listed(unused[:10])}",
            stacklevel=4,
        )
    counts = annotations.label_counts[[known[ids[row]] for row in rows.tolist()]]
    found = {"tracked": len(rows), "tracked_without_annotations": len(without), "annotated_not_tracked": len(unused)}
    return rows, counts, found
