"""Covariates of the annotated set that are in a file of their own, such as the genre of MNLI's pairs."""

from __future__ import annotations

import dataclasses
import os

import pandas as pd

from contested.annotations import Annotations
from contested.errors import DataError
from contested.files import user_path
from contested.tasks.bulk import ALIASES, id_text, read_rows
from contested.wording import listed

_SHOWN = 3


def with_covariates(annotated: Annotations, path: str | os.PathLike[str]) -> Annotations:
    """Add a file's columns to the fields of annotated examples, matched by example id.

    Args:
        annotated: The examples.
        path: A file of rows, one per example: ``example_id`` (or ``uid``, ``id``) and
            further columns, whose values may be missing. Rows of other examples are left out.

    Returns:
        The examples with the further fields.

    Raises:
        DataError: With every problem at once: no id column, ids that repeat or are absent, columns that the
            examples have already.
    """
    file = user_path(path)
    problems: list[str] = []
    table = read_rows(file, problems)
    if table is None or problems:
        raise DataError("The covariates cannot be used:", problems)
    unit, lines = table.attrs.get("unit", "row"), table["_line"].tolist()
    table = table.drop(columns="_line", errors="ignore").rename(columns=str)
    names = [str(name) for name in table.columns]
    key = next((name for name in ("example_id", *ALIASES["example_id"]) if name in names), None)
    if key is None:
        raise DataError(f"The covariates {file} have no column example_id, uid or id; they have {listed(names)}.")
    ids = table[key].map(id_text)
    nameless = [f"{file.name}, {unit} {line}: has no {key}" for line, own in zip(lines, ids, strict=True) if not own]
    if nameless:
        raise DataError("The covariates cannot be used:", nameless)
    repeated = ids[ids.duplicated()].unique().tolist()
    absent = sorted(set(annotated.example_ids) - set(ids))
    taken = [name for name in names if name != key and name in annotated.fields]
    problems += [f"{file.name}: duplicated ids: {_some(repeated)}"] if repeated else []
    problems += [f"{file.name}: annotated examples without a row: {_some(absent)}"] if absent else []
    problems += [f"{file.name}: the annotated set has such columns already: {_some(taken)}"] if taken else []
    if problems:
        raise DataError("The covariates cannot be used:", problems)
    columns = table.drop(columns=key).set_axis(ids).loc[list(annotated.example_ids)].reset_index(drop=True)
    fields = pd.concat([annotated.fields.reset_index(drop=True), columns], axis=1)
    made = dataclasses.replace(annotated, fields=fields)
    if annotated.receipt is not None:
        made.with_receipt(annotated.receipt)
    known = annotated.reading
    if known is None or "covariates" in known:
        return made
    return made.read_by(**known, covariates=str(file.resolve()))


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
