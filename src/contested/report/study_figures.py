"""The figures of any study: how each is drawn from the frames, and its declaration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from contested.formats import CHANGE, NATS, Format, shorten
from contested.report import figures
from contested.report.declarations import FigureSpec, Frames
from contested.report.labels import seeds_note
from contested.report.run_figures import change_groups
from contested.report.study_frames import is_numeric, varying_axes
from contested.report.study_tables import axis_format
from contested.report.style import (
    INK,
    NARROW_WIDTH,
    QUIET,
    WIDTH,
    CategoryColor,
    category_colors,
    new_grid,
    style_context,
)

Floats = NDArray[np.float64]

_LOG_FROM = 10.0  # ratio of the largest to the smallest value from which an axis is logarithmic
_MOST_ROWS = 4  # of panels in a figure along an axis, one for each setting of the other axes
_MOST_LINES = 12  # that a key names
_MOST_PAIRS = 24
_MOST_TICK_LETTERS = 42  # below a panel, before they are turned
_MOST_CURVES = 24


def group_curves(curves: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Mean loss of each category over training, one panel a group."""
    kept = list(dict.fromkeys(curves["group"]))[:_MOST_CURVES]
    shown = curves[curves["group"].isin(kept)]
    seeds = {str(row["group"]): seeds_note(row) for row in shown.drop_duplicates("group").to_dict("records")}
    below = {name: f"optimiser steps ({note})" for name, note in seeds.items() if note}
    return figures.loss_by_category(figures.curve_panels(shown, "group", below), narrow=narrow)


def group_changes(changes: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Mean loss change by category, one row a group."""
    return figures.loss_change(change_groups(changes, "group"), narrow=narrow)


def differences(rows: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Differences of mean loss changes of two groups, those of the largest first where there are too many."""
    largest = rows.assign(size=rows["difference"].abs()).groupby("pair", sort=False)["size"].max()
    kept = set(largest.nlargest(_MOST_PAIRS).index)
    shown = rows[rows["pair"].isin(kept)].assign(mean=lambda own: own["difference"])
    figure = figures.loss_change(change_groups(shown, "pair"), narrow=narrow)
    figure.axes[0].set_xlabel("difference of mean loss changes (nats)")
    for text in figure.axes[0].texts:
        text.set_text(text.get_text().replace("← learned", "← lower").replace("un-learned →", "higher →"))
    return figure


def along(
    changes: pd.DataFrame,
    groups: pd.DataFrame,
    *,
    axis: str,
    others: Sequence[str],
    scale: AxisScale,
    narrow: bool = False,
) -> Figure:
    """Δℓ by category and ρ along one axis of a study.

    Args:
        changes: Loss changes by group and category, with the axes as columns.
        groups: The groups with their ρ.
        axis: The column along x.
        others: The other axes that vary: a row of panels for each setting of them, or one line each where there are
            many.
        scale: How values of the axis are placed.
        narrow: The panels under each other, for a phone.

    Returns:
        The figure.
    """
    settings = _settings(changes, axis, others)
    rows = len(settings) if len(settings) <= _MOST_ROWS else 1
    shape = (2 * rows, 1) if narrow else (rows, 2)
    with style_context():
        figure, grid = new_grid(*shape, size=(NARROW_WIDTH if narrow else WIDTH, 2.5 * shape[0] + 0.4))
        if len(settings) <= _MOST_ROWS:
            colors = category_colors([str(name) for name in dict.fromkeys(changes["category"])])
            for index, (title, where) in enumerate(settings.items()):
                change, rho = grid[2 * index : 2 * index + 2]
                for category, own in changes[where(changes)].groupby("category", sort=False):
                    _draw_line(change, own, ("mean", "low", "high"), axis, scale, colors[str(category)].line)
                _draw_line(rho, groups[where(groups)], ("rho_mean", "rho_low", "rho_high"), axis, scale, INK)
                change.set_title(shorten(title, 44))
        else:
            colors = _draw_many(grid[0], grid[1], changes, groups, settings, axis, scale)
        for index, axes in enumerate(grid):
            scale.label(axes, axis)
            axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
            axes.set_ylabel("Spearman ρ(AULC, H)" if index % 2 else "mean Δℓ (nats)")
        if len(colors) <= _MOST_LINES:
            figures.color_key(figure, {shorten(name, 30): color.line for name, color in colors.items()})
    return figure


class AxisScale:
    """Where the values of an axis lie along x.

    Args:
        values: The values in the order of the study; those of a numeric axis are sorted.
        numeric: Whether they are numbers.
        form: One value to text.
    """

    def __init__(self, values: Sequence[Any], *, numeric: bool, form: Format) -> None:
        self.values = sorted(set(values)) if numeric else list(dict.fromkeys(values))
        self.numeric = numeric
        self._form = form
        self.log = numeric and min(self.values) > 0 and max(self.values) / min(self.values) >= _LOG_FROM

    def places(self, values: pd.Series[Any]) -> Floats:
        """Where values lie."""
        if self.numeric:
            return values.to_numpy(np.float64)
        return np.array([self.values.index(value) for value in values], np.float64)

    def label(self, axes: Axes, axis: str) -> None:
        """Scale a panel's x axis, and write the values below it."""
        ticks = self.places(pd.Series(self.values))
        if self.log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            room = 0.08 * float(np.ptp(ticks)) or 0.5
            axes.set_xlim(float(ticks.min()) - room, float(ticks.max()) + room)
        names = [shorten(self._form(value), 18) for value in self.values]
        crowded = sum(map(len, names)) > _MOST_TICK_LETTERS
        axes.set_xticks(ticks.tolist(), names, rotation=30 if crowded else 0, ha="right" if crowded else "center")
        axes.set_xlabel(axis.replace("_", " ") + (" (log scale)" if self.log else ""))


def _settings(changes: pd.DataFrame, axis: str, others: Sequence[str]) -> dict[str, Any]:
    """The settings of the other axes that have several values on this one, by name, each as a choice of rows."""
    if not others:
        return {"": lambda frame: pd.Series(True, frame.index)}
    found = {}
    for key, own in changes.groupby(list(others), sort=False, dropna=False):
        if own[axis].nunique() > 1:
            found[", ".join(str(part) for part in key)] = partial(_chosen, others=tuple(others), key=key)
    return found


def _chosen(frame: pd.DataFrame, *, others: Sequence[str], key: Sequence[Any]) -> pd.Series[bool]:
    alike = [
        (frame[name] == part) | (frame[name].isna() & pd.isna(part)) for name, part in zip(others, key, strict=True)
    ]
    chosen: pd.Series[bool] = pd.concat(alike, axis=1).all(axis=1)
    return chosen


def _draw_line(
    axes: Axes, rows: pd.DataFrame, names: tuple[str, str, str], axis: str, scale: AxisScale, color: str
) -> None:
    """The means of groups along the axis, each with its interval; hollow where not all seeds are there."""
    rows = rows[rows[names[0]].notna()]
    x = scale.places(rows[axis])
    order = np.argsort(x, kind="stable")
    mean, low, high = (rows[name].to_numpy(np.float64)[order] for name in names)
    axes.plot(x[order], mean, color=color, linewidth=1.3)
    axes.vlines(x[order], low, high, color=color, linewidth=1.3)
    faces = ["#ffffff" if seeds_note(row) else color for row in rows.to_dict("records")]
    for place, value, index in zip(x[order], mean, order, strict=True):
        axes.plot([place], [value], "o", color=color, markerfacecolor=faces[index], markersize=5)


def _draw_many(
    change: Axes,
    rho: Axes,
    changes: pd.DataFrame,
    groups: pd.DataFrame,
    settings: Mapping[str, Any],
    axis: str,
    scale: AxisScale,
) -> dict[str, CategoryColor]:
    """One line for each setting of the other axes: Δℓ of the category of highest entropy, and ρ."""
    top = str(changes["category"].iloc[-1])
    colors = category_colors(list(settings))
    own = changes[changes["category"] == top]
    for (_, where), color in zip(settings.items(), colors.values(), strict=True):
        _draw_line(change, own[where(own)], ("mean", "low", "high"), axis, scale, color.line)
        _draw_line(rho, groups[where(groups)], ("rho_mean", "rho_low", "rho_high"), axis, scale, color.line)
    change.set_title(f"{top} examples", color=QUIET)
    return colors


_GROUP_ENDS = ("group", "category", "mean")
_HOLLOW = "Hollow points lack some of their seeds. "


def study_figures(frames: Frames) -> tuple[FigureSpec, ...]:
    """The figures of a study, one along each axis that varies among them.

    Args:
        frames: Its frames, of which the axes are taken.

    Returns:
        The declarations, in reading order.
    """
    axes = varying_axes(frames)
    found = [_along(frames, axis, [other for other in axes if other != axis]) for axis in axes]
    return (
        FigureSpec(
            "loss_change", "top", "Change of the loss by group",
            "Mean loss at the last checkpoint minus that at the first, mean over seeds, with its {confidence} "
            "interval. Right of zero the category was un-learned, left of zero it was learned; an interval across zero "
            "is inconclusive.",
            (("group_changes", "mean"),), group_changes, _GROUP_ENDS, CHANGE,
        ),
        *[figure for figure in found if figure],
        FigureSpec(
            "differences", "differences", "Difference of the loss change between two groups",
            "Δℓ of the second group minus Δℓ of the first, on the same examples, with its {confidence} interval. Of "
            f"more than {_MOST_PAIRS} pairs those that differ most; all are in the table.",
            (("change_differences", "difference"),), differences, ("pair", "category", "difference"), CHANGE,
        ),
        FigureSpec(
            "group_curves", "groups", "Loss by category over training",
            "Each line is the mean over seeds and over the examples of one category, each band its {confidence} "
            f"interval. Of more than {_MOST_CURVES} groups the first.",
            (("group_curves", "mean"),), group_curves, _GROUP_ENDS, NATS,
        ),
    )  # fmt: skip


def _along(frames: Frames, axis: str, others: Sequence[str]) -> FigureSpec | None:
    groups = frames.get("groups", pd.DataFrame({axis: []}))
    known = groups[axis].dropna()
    if known.nunique() < 2:
        return None
    scale = AxisScale(known.tolist(), numeric=is_numeric(frames, axis), form=axis_format(frames, axis))
    return FigureSpec(
        f"along_{axis}", "axes", f"Along {axis.replace('_', ' ')}",
        "Left: mean loss change of each category; right: Spearman's ρ of AULC with annotation entropy. Intervals: "
        "{confidence}, seeds nested in examples. " + _HOLLOW,
        (("group_changes", "mean"), ("groups", "rho_mean")),
        partial(along, axis=axis, others=tuple(others), scale=scale), (axis, *others, "category", "mean"), CHANGE,
    )  # fmt: skip
