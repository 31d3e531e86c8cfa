"""Rows of prompts, completions and conversations as users have them, and which of them are followed."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.annotations import Annotations
from contested.annotations.disagreement import PLAIN, Disagreement
from contested.errors import ConfigError, DataError
from contested.integrations.columns import columns_of, covariate_of, join_annotations
from contested.integrations.sequences import is_conversation
from contested.wording import listed

_SPLIT = "split"


class TextRows(NamedTuple):
    """N rows as they were given.

    Attributes:
        ids: Ids, unique, (N,).
        columns: Names of the columns.
        rows: Values by column name, N mappings.
        texts: Columns to show in reports, N texts each.
        covariates: Further columns to keep, and ``split`` where there is one, (N,) each.
    """

    ids: tuple[str, ...]
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    texts: dict[str, list[str]]
    covariates: dict[str, NDArray[Any]]


class Followed(NamedTuple):
    """The M rows that are followed, and what is known of them.

    Attributes:
        rows: Which of the rows given, (M,).
        ids: Ids, (M,).
        texts: Text columns by name, M texts each.
        label_counts: How many annotators chose each class, (M, K), or None.
        label_names: The classes of ``label_counts``; empty without annotations.
        counts: How many are followed, and how many were left out and why.
        covariates: Further columns by name, (M,) each.
        disagreement: The measure by which the annotations are cut.
    """

    rows: NDArray[np.int64]
    ids: tuple[str, ...]
    texts: dict[str, list[str]]
    label_counts: NDArray[np.int64] | None
    label_names: tuple[str, ...]
    counts: dict[str, int]
    covariates: dict[str, NDArray[Any]]
    disagreement: Disagreement


def read_text_rows(
    given: Any,
    *,
    id_column: str,
    text_columns: Sequence[str],
    covariates: Sequence[str] = (),
    annotations: Annotations | None = None,
) -> TextRows:
    """Read rows with ids.

    Args:
        given: A ``datasets.Dataset``, columns by name, or a list of rows.
        id_column: The column of ids.
        text_columns: Columns to show in reports; a conversation becomes one text.
        covariates: Columns to keep as they are, of these rows or of the annotated examples.
        annotations: The annotated examples, or None.

    Returns:
        The rows.

    Raises:
        DataError: If there are none, columns are missing or of different lengths, or ids occur more than once.
    """
    columns = columns_of(given)
    annotated = () if annotations is None else tuple(map(str, annotations.fields))
    problems = [
        f"the column {name} is missing; it has {listed(columns)}"
        for name in (id_column, *text_columns, *(name for name in covariates if name not in annotated))
        if name not in columns
    ]
    ids = tuple(str(value) for value in columns.get(id_column, ()))
    problems += [
        f"the column {name} has {len(values)} values for {len(ids)} ids"
        for name, values in columns.items()
        if id_column in columns and len(values) != len(ids)
    ]
    if repeated := [name for name, times in Counter(ids).items() if times > 1]:
        problems.append(f"{id_column}: ids occur more than once: {listed(repeated)}")
    unknown = sorted({str(value) for value in columns.get(_SPLIT, ())} - {"train", "validation"})
    if unknown:
        problems.append(f"{_SPLIT}: {listed(unknown)}; expected train or validation")
    if not ids and not problems:
        problems.append("there are none")
    if problems:
        raise DataError("The tracked examples cannot be used:", problems)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    texts = {name: [as_text(value) for value in columns[name]] for name in text_columns}
    kept = {name: covariate_of(name, columns.get(name), annotations, ids) for name in covariates}
    if _SPLIT in columns:
        kept[_SPLIT] = np.array([str(value) for value in columns[_SPLIT]], object)
    return TextRows(ids, tuple(columns), rows, texts, kept)


def as_text(value: Any) -> str:
    """A text as it is, a conversation as one line per message."""
    if not is_conversation(value):
        return str(value)
    return "\n".join(f"{message['role']}: {message['content']}" for message in value)


def follow(
    given: TextRows,
    left_out: Mapping[str, NDArray[np.bool_]],
    annotations: Annotations | None,
    classes: tuple[str, ...] | None,
) -> Followed:
    """Choose the rows that are followed; those left out are counted, in a warning too.

    Args:
        given: N rows.
        left_out: Rows left out, (N,), by the reason (``too long``).
        annotations: Annotators' labels by id, or None.
        classes: The classes that annotations must have, or None for any.

    Returns:
        The rows.

    Raises:
        DataError: If none is left, or no id has annotations.
        ConfigError: If the annotations have other classes.
    """
    counts: dict[str, int] = {}
    kept = np.ones(len(given.ids), bool)
    for reason, mask in left_out.items():
        kept &= ~mask
        if mask.any():
            counts[f"tracked_{reason.replace(' ', '_')}"] = int(mask.sum())
            first = [given.ids[row] for row in np.flatnonzero(mask)[:10]]
            told = f"{mask.sum()} of {len(mask)} tracked examples are left out, for they are {reason}"
            warnings.warn(f"{told}: {listed(first)}", stacklevel=3)
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise DataError(f"None of the {len(kept)} tracked examples can be followed: all are {' or '.join(left_out)}.")
    label_counts: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    measure = PLAIN if annotations is None else annotations.disagreement
    if annotations is not None:
        names = annotations.label_names
        _check_classes(names, classes)
        found, label_counts, joined = join_annotations([given.ids[row] for row in rows], annotations)
        rows, counts = rows[found], {**joined, **counts}
    texts = {name: [values[row] for row in rows] for name, values in given.texts.items()}
    ids = tuple(given.ids[row] for row in rows)
    kept_columns = {name: values[rows] for name, values in given.covariates.items()}
    return Followed(rows, ids, texts, label_counts, names, {**counts, "tracked": len(rows)}, kept_columns, measure)


def fingerprint(facts: Sequence[Any], arrays: Sequence[NDArray[Any] | None]) -> str:
    """Of whatever decides what is recorded; the same on every machine.

    Args:
        facts: Ready for JSON.
        arrays: Of whole numbers or masks.

    Returns:
        16 hexadecimal digits.
    """
    content = hashlib.sha256(json.dumps(list(facts)).encode())
    for array in arrays:
        content.update(b"-" if array is None else np.asarray(array, "<i8").tobytes())
    return content.hexdigest()[:16]


def _check_classes(names: tuple[str, ...], classes: tuple[str, ...] | None) -> None:
    if classes is not None and sorted(names) != sorted(classes):
        raise ConfigError(
            f"The classes here are {', '.join(classes)}, those of the annotations {', '.join(names)}. Give both the "
            "same names."
        )
