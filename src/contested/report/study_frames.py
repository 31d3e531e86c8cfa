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
SHOWN = "_shown"
"""What the name of a frame ends in that has no more than a figure draws."""
MOST_GROUPS = {"changes": (24, 24), "group_curves": (24, 6), "decomposition": (8, 4)}
"""Groups up to which figures of a frame draw all, and how many of a study with more."""
_PROVENANCE = ("run_ids", "missing", "n_seeds", "n_expected")


def study_frames(frames: Frames) -> dict[str, pd.DataFrame]:
    """Frames made of those that every study has.

    Args:
        frames: The study's frames; what is missing is taken as empty.

    Returns:
        Under the names that a report of runs has them, too, for the figures of both: ``changes``, Δℓ by group and
        category, without that over all examples where there are categories; ``measures``; ``loss_curves``. What figures
        of many groups draw: ``changes_shown``, ``group_curves_shown``, ``decomposition_shown`` (:func:`at_the_ends`).
        ``matched_shown``: comparisons at the same loss reached, in words; ``matched_verdicts``: many of them, counted.
        ``group_summary``: one row per group, with Δℓ by category; ``change_differences``: differences of Δℓ.
    """
    measures = frames.get("group_measures", pd.DataFrame({"measure": []}))
    changes = measures[measures["measure"] == CHANGE_MEASURE]
    differences = frames.get("differences", pd.DataFrame({"measure": []}))
    own = differences[differences["measure"] == CHANGE_MEASURE]
    made = {**frames, "changes": categories_only(changes)}
    return {
        "changes": made["changes"],
        **{f"{name}{SHOWN}": at_the_ends(made, name) for name in MOST_GROUPS},
        "measures": measures,
        "loss_curves": frames.get("group_curves", pd.DataFrame()),
        "matched_shown": matched.shown(frames),
        "matched_verdicts": matched.verdicts(frames),
        "group_summary": _summary(frames.get("groups", pd.DataFrame()), changes),
        "change_differences": categories_only(own).assign(
            pair=lambda rows: [_pair(row) for row in rows.to_dict("records")]
        ),
    }


def at_the_ends(frames: Frames, name: str) -> pd.DataFrame:
    """The rows of a frame that its figure draws: all, or of many groups those that Δℓ is lowest and highest in.

    Args:
        frames: The frames; without ``changes`` the first groups are taken.
        name: A frame of :data:`MOST_GROUPS`.

    Returns:
        Its rows of the groups shown, in their order.
    """
    rows, (most, shown) = frames.get(name, pd.DataFrame()), MOST_GROUPS[name]
    if rows.empty or rows["group"].nunique() <= most:
        return rows
    ordered = top_changes(frames).sort_values("mean", kind="stable")["group"]
    ends = pd.concat([ordered.head(shown // 2), ordered.tail(shown // 2)])
    return rows[rows["group"].isin(ends if len(ends) else rows["group"].drop_duplicates().head(shown))]


def top_changes(frames: Frames) -> pd.DataFrame:
    """The rows of ``changes`` of the category of highest entropy, one per group whose Δℓ is known."""
    changes = frames.get("changes", pd.DataFrame())
    if not {"group", "category", "mean"} <= set(changes):
        return pd.DataFrame({"group": [], "category": [], "mean": []})
    return changes[(changes["category"] == changes["category"].iloc[-1:].squeeze()) & changes["mean"].notna()]


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
