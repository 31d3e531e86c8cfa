"""What the tables and figures of any study draw besides the study's own frames."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from contested.analysis import OVERALL
from contested.formats import Format, text
from contested.naming import axis_heading, value_name
from contested.report import matched
from contested.report.declarations import Frames
from contested.report.run_frames import change_column

CHANGE_MEASURE = "loss_change"
_PROVENANCE = ("run_ids", "missing", "n_seeds", "n_expected")


def study_frames(frames: Frames) -> dict[str, pd.DataFrame]:
    """Frames made of those that every study has.

    Args:
        frames: The study's frames; what is missing is taken as empty.

    Returns:
        Under the names that a report of runs has them, too, for the figures of both: ``changes``, Δℓ by group and
        category, without that over all examples where there are categories; ``measures``; ``loss_curves``.
        ``matched_shown``: comparisons at the same loss reached, in words. ``group_summary``: one row per group, with Δℓ
        by category; ``change_differences``: differences of Δℓ.
    """
    measures = frames.get("group_measures", pd.DataFrame({"measure": []}))
    changes = measures[measures["measure"] == CHANGE_MEASURE]
    differences = frames.get("differences", pd.DataFrame({"measure": []}))
    own = differences[differences["measure"] == CHANGE_MEASURE]
    return {
        "changes": categories_only(changes),
        "measures": measures,
        "loss_curves": frames.get("group_curves", pd.DataFrame()),
        "matched_shown": matched.shown(frames),
        "group_summary": _summary(frames.get("groups", pd.DataFrame()), changes),
        "change_differences": categories_only(own).assign(
            pair=lambda rows: [_pair(row) for row in rows.to_dict("records")]
        ),
    }


def varying_axes(frames: Frames) -> list[str]:
    """The axes along which the groups of a study differ, in the order of the study."""
    axes = frames.get("axes", pd.DataFrame({"axis": [], "varies": []}))
    return [str(name) for name in axes.loc[axes["varies"].astype(bool), "axis"]]


def is_numeric(frames: Frames, axis: str) -> bool:
    """Whether the values of an axis are numbers."""
    axes = frames["axes"]
    return bool(axes.loc[axes["axis"] == axis, "numeric"].astype(bool).any())


def categories_of(frames: Frames) -> list[str]:
    """The categories of a study's groups in order of rising entropy, without that of all examples."""
    measures = frames.get("group_measures", pd.DataFrame({"category": []}))
    return [str(name) for name in dict.fromkeys(measures["category"]) if name != OVERALL]


def categories_only(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of categories; those of all examples where there are no others."""
    if rows.empty:
        return rows
    whole = rows["category"] == OVERALL
    return rows if whole.all() else rows[~whole]


def _summary(groups: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """The groups with a column for the loss change of each category, before the columns of provenance."""
    if groups.empty:
        return groups
    found: dict[str, dict[str, Any]] = {str(group): {} for group in groups["group"]}
    for row in changes.to_dict("records"):
        name = change_column(str(row["category"]))
        ends = {f"{name}_{end}": row[end] for end in ("sd", "low", "high", "caution")}
        found.get(str(row["group"]), {}).update({name: row["mean"]} | ends)
    added = pd.DataFrame(list(found.values()), index=groups.index)
    last = [name for name in _PROVENANCE if name in groups]
    return pd.concat([groups.drop(columns=last), added, groups[last]], axis=1)


def axis_format(frames: Frames, axis: str) -> Format:
    """How the values of an axis read: rates in scientific form, other numbers and names as they are."""
    return partial(value_name, axis=axis, key=axis_key(frames, axis)) if is_numeric(frames, axis) else text


def axis_key(frames: Frames, axis: str) -> str:
    """The key of a run's configuration that an axis sets; empty where it sets several."""
    return str(frames["axes"].set_index("axis")["key"].get(axis, ""))


def _pair(row: dict[Any, Any]) -> str:
    """Which two groups a difference is of, in short."""
    held = f" ({row['held']})" if row.get("held") else ""
    return f"{axis_heading(str(row['axis']))} {row['from']} → {row['to']}{held}"
