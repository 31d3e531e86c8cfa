"""The frames that every study has, and their columns: what tables and figures may rely on.

Losses and their changes are in nats; ``low`` and ``high`` are the ends of the interval of the number they stand
beside. A number that does not exist is NaN, and ``note`` beside it says why; ``caution`` says why an interval
may cover the truth less often than it says (``<name>caution`` that of ``<name>low`` and ``<name>high``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from contested.analysis.decomposition import APART_COLUMNS, ORIGINAL_COLUMNS
from contested.analysis.first_loss import FIRST_LOSS_COLUMNS

PROVENANCE = ("run_ids", "missing", "n_seeds", "n_expected")
"""Runs that a row rests on and runs that it lacks (comma-joined), how many it has, and how many are expected."""

CELL_COLUMNS: tuple[str, ...] = ("run_id", "name", "seed", "main", "group", "status", "excluded")
"""Columns of ``cells`` besides the axes: one row per run of the study."""

AXES = "<axes>"
"""A placeholder in :data:`COLUMNS` where a frame has one column for each axis of the study."""

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # values: in the order of the study, comma-joined
        "axes": ("axis", "key", "numeric", "varies", "values"),
        # name: what distinguishes the run from the others
        "runs": (
            *("run_id", "name", AXES, "seed", "status", "excluded", "n", "rho", "p_value"),
            *("val_accuracy", "train_loss", "notes", *PROVENANCE),
        ),
        # group: what distinguishes its cells from those of the others, without the seed
        "groups": (
            *("group", AXES, "rho_mean", "rho_sd", "rho_low", "rho_high"),
            *("val_accuracy_mean", "val_accuracy_sd", "val_accuracy_low", "val_accuracy_high"),
            *("train_loss_mean", "train_loss_sd", "train_loss_low", "train_loss_high", "note", *PROVENANCE),
        ),
        # categories by rising entropy, "overall" last; sd: over seeds; rose_share: of a change, the share of examples
        # and seeds in which it is above 0
        "group_measures": (
            *("group", AXES, "measure", "unit", "category", "n", "mean", "sd", "low", "high"),
            *("rose_share", "note", "caution", *PROVENANCE),
        ),
        "group_curves": ("group", AXES, "category", "n", "step", "mean", "low", "high", "note", "caution", *PROVENANCE),
        # difference: mean of group_to minus mean of group_from; from and to: their values on the axis; held: the
        # values of the other axes that vary
        "differences": (
            *("axis", "from", "to", "held", "group_from", "group_to", "measure", "category"),
            *("n", "difference", "low", "high", "note", "caution", *PROVENANCE),
        ),
        # as contested.analysis.decomposition.taken_apart gives them, over seeds
        "decomposition": ("group", AXES, *APART_COLUMNS, *ORIGINAL_COLUMNS, "note", *PROVENANCE),
        # as contested.analysis.first_loss.at_equal_first_loss gives them
        "first_loss": ("group", AXES, *FIRST_LOSS_COLUMNS, *PROVENANCE),
        # axis, from, to, held: as in differences; kind: method or training; against: the loss that runs are matched at;
        # loss_from, loss_to: from which to which; at_loss: where the difference is clearest; within: none lies beyond
        # it; end: the difference at the last checkpoints, unmatched
        "matched": (
            *("axis", "kind", "from", "to", "held", "against", "quantity", "category", "n", "n_clusters", "verdict"),
            *("loss_from", "loss_to", "at_loss", "difference", "low", "high", "within", "margin"),
            *("end", "end_low", "end_high", "note", *PROVENANCE),
        ),
        # side: a value of the axis, its runs pooled over what "matched" pools
        "matched_curves": (
            *("axis", "side", "held", "against", "quantity", "category", "n", "loss", "n_runs"),
            *("mean", "low", "high", "note"),
        ),
        # low, high: the simultaneous band
        "matched_differences": (
            *("axis", "from", "to", "held", "against", "quantity", "category", "n", "loss", "n_from", "n_to"),
            *("difference", "low", "high", "low_each", "high_each", "note"),
        ),
    }
)
"""Frame to its columns, in order."""

RESERVED = frozenset(name for columns in COLUMNS.values() for name in columns) | {*CELL_COLUMNS, "setting"} - {AXES}
"""Names that no axis may have."""

_SHARED = frozenset({"run_ids", "missing"})
_TEXT = frozenset({"unit", "note", "notes", "run_ids", "missing"})


def columns_of(name: str, axes: Sequence[str]) -> tuple[str, ...]:
    """The columns of a frame of a study with these axes.

    >>> columns_of("axes", ["rate"])
    ('axis', 'key', 'numeric', 'varies', 'values')
    """
    return tuple(own for column in COLUMNS[name] for own in (axes if column == AXES else (column,)))


def is_caution(column: str) -> bool:
    """Whether a column says how far intervals are to be trusted.

    >>> is_caution("contested_caution"), is_caution("note")
    (True, False)
    """
    return column == "caution" or column.endswith("_caution")


def frame_of(name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A frame of the results, with its columns in their order even when it has no rows.

    Args:
        name: What it is called, for errors.
        columns: Its columns.
        rows: One mapping a row; a column that it leaves out is NaN, or "" for a note.

    Returns:
        The frame.

    Raises:
        KeyError: If a row has a column that the frame does not know.
    """
    empty = {column: "" if column in _TEXT or is_caution(column) else float("nan") for column in columns}
    given = [empty | dict(row) for row in rows]
    if unknown := {column for row in given for column in row} - set(columns):
        raise KeyError(f"{name}: rows have columns that the frame does not: {sorted(unknown)}.")
    return pd.DataFrame({name: _column(name, [row[name] for row in given]) for name in columns}, columns=list(columns))


def _column(name: str, values: list[Any]) -> pd.Series[Any]:
    # As objects, rows that rest on the same thousands of runs share one text.
    return pd.Series(values, dtype=object) if name in _SHARED else pd.Series(values)
