"""Columns of examples for a run made of arrays: the model's input texts, and covariates."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from contested.trajectories.given import Checks, as_entries, shown

Texts = Sequence[str] | Mapping[str, Sequence[str]] | pd.DataFrame
"""N texts, or text columns by name."""

Covariates = Mapping[str, Sequence[Any]] | pd.DataFrame
"""N values by name."""

OWN_COLUMNS = frozenset({"row_key", "example_id", "gold", "label_counts", "entropy", "category", "split"})
"""Names of a run's example table that have a meaning there."""

# What pandas calls a column that a Parquet file can hold; a value may be missing.
_KINDS = frozenset({"string", "boolean", "integer", "floating", "mixed-integer-float", "empty", "datetime", "date"})


def texts_of(given: Texts | None, n_examples: int | None, checks: Checks) -> dict[str, list[str]]:
    """Take text columns.

    Args:
        given: N texts, or columns by name.
        n_examples: Examples N; None where nothing says it.
        checks: Where problems are noted.

    Returns:
        The texts by column; something usable beside a problem.
    """
    if given is None:
        return {}
    by_name = given if isinstance(given, Mapping | pd.DataFrame) else {"text": given}
    columns: dict[str, list[str]] = {}
    for name, column in by_name.items():
        entries = checks.entries(f"texts {str(name)!r}", column, n_examples)
        columns[str(name)] = [str(text) for text in entries or ()]
    _check_names("texts", columns, OWN_COLUMNS, checks)
    return columns


def covariates_of(
    given: Covariates | None, n_examples: int | None, *, texts: Collection[str], checks: Checks
) -> dict[str, list[Any]]:
    """Take further columns of the examples; values may be missing.

    Args:
        given: N values by name.
        n_examples: Examples N; None where nothing says it.
        texts: Names of the text columns.
        checks: Where problems are noted.

    Returns:
        The values by column; something usable beside a problem.
    """
    columns: dict[str, list[Any]] = {}
    for name, column in ({} if given is None else given).items():
        entries = as_entries(column)
        if entries is None:
            checks.add(f"covariates {str(name)!r}: given {shown(column)}, expected one per example, in one dimension")
        elif checks.fits(f"covariates {str(name)!r}", len(entries), n_examples):
            columns[str(name)] = entries
            kind = pd.api.types.infer_dtype(entries, skipna=True)
            if kind not in _KINDS:
                checks.add(f"covariates {str(name)!r}: given {kind} values, expected only numbers or only text")
    _check_names("covariates", columns, {*OWN_COLUMNS, *texts}, checks)
    return columns


def _check_names(what: str, columns: Mapping[str, Any], taken: Collection[str], checks: Checks) -> None:
    if both := sorted(set(columns) & set(taken)):
        checks.add(f"{what}: the column {', '.join(both)} has another meaning in a run; rename it")
