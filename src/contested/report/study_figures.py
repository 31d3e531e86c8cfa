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

from contested.analysis.sentences import examples_of
from contested.formats import CHANGE, NATS, Format, shorten
from contested.naming import Part, axis_heading, part_name
from contested.report import change_figure, common_figures, decomposition, figures, matched
from contested.report.declarations import FigureSpec, Frames
from contested.report.labels import seeds_note
from contested.report.study_frames import (
    MOST_GROUPS,
    SHOWN,
    axis_format,
    axis_key,
    categories_only,
    is_numeric,
    top_changes,
    varying_axes,
)
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
_CHANGE, _RHO = ("mean", "low", "high"), ("rho_mean", "rho_low", "rho_high")
_MOST_TICK_LETTERS = 30  # below a panel in one line
_MOST_STAGGERED = 4  # names below a panel in two lines


def group_curves(curves: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Mean loss of each category over training, one panel per group."""
    shown = categories_only(curves)
    seeds = {str(row["group"]): seeds_note(row) for row in shown.drop_duplicates("group").to_dict("records")}
    below = {name: f"optimiser steps ({note})" for name, note in seeds.items() if note}
    return figures.loss_by_category(figures.curve_panels(shown, "group", below), narrow=narrow)


def differences(rows: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Differences of mean loss changes of two groups, those of the largest first where there are too many."""
    largest = rows.assign(size=rows["difference"].abs()).groupby("pair", sort=False)["size"].max()
    kept = set(largest.nlargest(_MOST_PAIRS).index)
    shown = change_figure.groups_of(rows[rows["pair"].isin(kept)], "pair", "difference")
    quantity = "difference of mean loss changes (nats)"
    figure = change_figure.loss_change(shown, narrow=narrow, quantity=quantity, sides=("lower", "higher"))
    if len(shown) == 1:
        with style_context():
            figure.axes[0].set_title(shorten(shown[0].title, 36 if narrow else 80), pad=16)
    return figure


def along(
    changes: pd.DataFrame,
    groups: pd.DataFrame,
    *,
    axis: str,
    others: Mapping[str, str],
    scale: AxisScale,
    narrow: bool = False,
) -> Figure:
    """Δℓ by category and ρ along one axis of a study.

    Args:
        changes: Loss changes by group and category, with the axes as columns.
        groups: The groups with their ρ.
        axis: The column along x.
        others: The other axes that vary, with the key that each sets: a row of panels for each setting of them, or
            one line each where there are many.
        scale: How values of the axis are placed.
        narrow: The panels under each other, for narrow screens.

    Returns:
        The figure.
    """
    settings = _settings(changes, axis, others)
    rows = len(settings) if len(settings) <= _MOST_ROWS else 1
    shape = (2 * rows, 1) if narrow else (rows, 2)
    with style_context():
        figure, grid = new_grid(*shape, size=(NARROW_WIDTH if narrow else WIDTH, 2.5 * shape[0] + 0.4))
        for index, axes in enumerate(grid[2:]):
            # What differs between the rows is to be seen without reading their scales.
            axes.sharey(grid[index % 2])
        if len(settings) <= _MOST_ROWS:
            colors = category_colors([str(name) for name in dict.fromkeys(changes["category"])])
            for index, (title, where) in enumerate(settings.items()):
                change, rho = grid[2 * index : 2 * index + 2]
                for category, own in changes[where(changes)].groupby("category", sort=False):
                    aside = _beside(list(colors).index(str(category)), len(colors))
                    _draw_line(
                        change,
                        own,
                        _CHANGE,
                        scale.positions(own[axis], aside),
                        color=colors[str(category)].line,
                        numeric=scale.numeric,
                    )
                own = groups[where(groups)]
                _draw_line(rho, own, _RHO, scale.positions(own[axis]), color=INK, numeric=scale.numeric)
                change.set_title(shorten(title, 44))
        else:
            colors = _draw_many(grid[0], grid[1], changes, groups, settings, axis, scale)
            if len(settings) > _MOST_LINES:
                _draw_middle(grid[0], grid[1], changes, groups, axis, scale)
        for index, axes in enumerate(grid):
            scale.label(axes, axis)
            axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
            axes.set_ylabel("Spearman ρ(AULC, H)" if index % 2 else "mean Δℓ (nats)")
        if len(colors) <= _MOST_LINES:
            change_figure.color_key(figure, {shorten(name, 30): color.line for name, color in colors.items()})
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

    def positions(self, values: pd.Series[Any], aside: float = 0.0) -> Floats:
        """Where values lie, moved aside by a share of the axis."""
        x = np.array(values if self.numeric else [self.values.index(value) for value in values], np.float64)
        if not self.numeric:
            return x + aside * max(len(self.values) - 1, 1)
        if self.log:
            factor: float = (max(self.values) / min(self.values)) ** aside
            return x * factor
        return x + aside * float(max(self.values) - min(self.values))

    def label(self, axes: Axes, axis: str) -> None:
        """Scale a panel's x axis, and write the values below it."""
        ticks = self.positions(pd.Series(self.values))
        if self.log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            room = 0.08 * float(np.ptp(ticks)) or 0.5
            axes.set_xlim(float(ticks.min()) - room, float(ticks.max()) + room)
        names = [shorten(self._form(value), 18) for value in self.values]
        upright, size = False, None
        if sum(map(len, names)) > _MOST_TICK_LETTERS:
            # Every other one is lower; where there are many, all are vertical.
            upright, size = len(names) > _MOST_STAGGERED, 7.5
            names = [name if upright or index % 2 == 0 else f"\n{name}" for index, name in enumerate(names)]
        axes.set_xticks(ticks.tolist(), names, rotation=90 if upright else 0, fontsize=size)
        axes.set_xlabel(axis_heading(axis) + (" (log scale)" if self.log else ""))


def _settings(changes: pd.DataFrame, axis: str, others: Mapping[str, str]) -> dict[str, Any]:
    """The settings of the other axes that have several values on this one, by name, each as a choice of rows."""
    if not others:
        return {"": lambda frame: pd.Series(True, frame.index)}
    found = {}
    for key, own in changes.groupby(list(others), sort=False, dropna=False):
        if own[axis].nunique() > 1:
            name = ", ".join(
                part_name(Part(other, value, key=set_by))
                for (other, set_by), value in zip(others.items(), key, strict=True)
            )
            found[name] = partial(_chosen, others=tuple(others), key=key)
    return found


def _chosen(frame: pd.DataFrame, *, others: Sequence[str], key: Sequence[Any]) -> pd.Series[bool]:
    alike = [
        (frame[name] == part) | (frame[name].isna() & pd.isna(part)) for name, part in zip(others, key, strict=True)
    ]
    chosen: pd.Series[bool] = pd.concat(alike, axis=1).all(axis=1)
    return chosen


def _beside(index: int, count: int) -> float:
    """How far one of several lines is moved aside, as a share of the axis, so that no interval hides another."""
    return min(0.03, 0.15 / count) * (index - (count - 1) / 2)


def _draw_line(
    axes: Axes,
    rows: pd.DataFrame,
    names: tuple[str, str, str],
    positions: Floats,
    *,
    color: str,
    numeric: bool,
    alone: bool = True,
) -> None:
    """The means of groups along the axis, each with its interval; hollow where not all seeds are there.

    One of many is a faint line and nothing else.
    """
    known = rows[names[0]].notna().to_numpy()
    rows, x = rows[known], positions[known]
    order = np.argsort(x, kind="stable")
    mean, low, high = (rows[name].to_numpy(np.float64)[order] for name in names)
    if not alone:
        axes.plot(x[order], mean, color=color, linewidth=0.8, alpha=0.45)
        return
    # Between names there is nothing: a faint line shows only which points belong together.
    axes.plot(x[order], mean, color=color, linewidth=1.3 if numeric else 0.8, alpha=1.0 if numeric else 0.35)
    axes.vlines(x[order], low, high, color=color, linewidth=1.3)
    faces = ["#ffffff" if seeds_note(row) else color for row in rows.to_dict("records")]
    for position, value, index in zip(x[order], mean, order, strict=True):
        axes.plot([position], [value], "o", color=color, markerfacecolor=faces[index], markersize=5)


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
    for index, (where, color) in enumerate(zip(settings.values(), colors.values(), strict=True)):
        for axes, frame, names in ((change, own, _CHANGE), (rho, groups, _RHO)):
            rows = frame[where(frame)]
            alone = len(colors) <= _MOST_LINES
            x = scale.positions(rows[axis], _beside(index, len(colors)) if alone else 0.0)
            _draw_line(axes, rows, names, x, color=color.line, numeric=scale.numeric, alone=alone)
    change.set_title(examples_of(top), color=QUIET)
    return colors


def _draw_middle(
    change: Axes, rho: Axes, changes: pd.DataFrame, groups: pd.DataFrame, axis: str, scale: AxisScale
) -> None:
    """The mean over all settings of the other axes, of what one line each is too many for."""
    top = changes[changes["category"] == changes["category"].iloc[-1]]
    for axes, frame, name in ((change, top, _CHANGE[0]), (rho, groups, _RHO[0])):
        middle = frame.groupby(axis, sort=False)[name].mean().dropna()
        x = scale.positions(pd.Series(middle.index))
        order = np.argsort(x)
        axes.plot(x[order], middle.to_numpy(np.float64)[order], "o-", color=INK, linewidth=2.0, markersize=5)


_SECTIONS = {"happened": "groups"}  # of a report of runs, and where its figures stand in that of a study
_GROUP_ENDS = ("group", "category", "mean")
_OF_FEW = (
    "Left: mean loss change of each category; right: Spearman's ρ of AULC with annotation entropy. Intervals: "
    "{confidence}, over examples and seeds."
)
_OF_MANY = (
    "Left: mean loss change of the category of highest entropy; right: Spearman's ρ of AULC with annotation entropy. "
    "A faint line for each of the {count} settings of the other axes, and their mean in the dark one; the table of "
    "groups has the intervals of each."
)
_HOLLOW = " Hollow points lack some of their seeds."


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
        matched.FIGURE._replace(caption=matched.FIGURE.caption + matched.cut(frames)),
        _of_groups(decomposition.FIGURE, frames, "decomposition"),
        *(_of_groups(figure, frames, "changes") for figure in common_figures.FIGURES),
        *[figure for figure in found if figure],
        FigureSpec(
            "differences", "differences", "Difference of the loss change between two groups",
            "Δℓ of the second group minus Δℓ of the first, on the same examples, with its {confidence} interval."
            + _cut(frames, "change_differences", "pair", _MOST_PAIRS, _MOST_PAIRS, "the pairs that differ most"),
            (("change_differences", "difference"),), differences, ("pair", "category", "difference"), CHANGE,
        ),
        _of_groups(
            FigureSpec(
                "group_curves", "groups", "Loss by category over training",
                "Each line is the mean over seeds and over the examples of one category, each band its {confidence} "
                "interval.",
                (("group_curves", "mean"),), group_curves, _GROUP_ENDS, NATS,
            ),
            frames, "group_curves",
        ),
    )  # fmt: skip


def _of_groups(figure: FigureSpec, frames: Frames, frame: str) -> FigureSpec:
    """A figure that draws the rows of groups of a frame; of many groups those at both ends."""
    most, shown = MOST_GROUPS[frame]
    top = top_changes(frames)["category"].unique().tolist()
    which = f"those where Δℓ of {examples_of(*top)} is lowest and highest" if top else "the first groups"
    return figure._replace(
        section=_SECTIONS.get(figure.section, figure.section),
        caption=figure.caption + _cut(frames, frame, "group", most, shown, which),
        frames=tuple((name + SHOWN if name == frame else name, *rest) for name, *rest in figure.frames),
    )


def _cut(frames: Frames, frame: str, by: str, most: int, shown: int, which: str) -> str:
    """What a caption says of rows that have no room; nothing where all have."""
    rows = frames.get(frame)
    count = 0 if rows is None or rows.empty else int(rows[by].nunique())
    return f" Of {count:,}, {which} are drawn ({shown}); all are in the table." if count > most else ""


def _lacks_seeds(groups: pd.DataFrame) -> bool:
    return any(seeds_note(row) for row in groups.to_dict("records"))


def _along(frames: Frames, axis: str, others: Sequence[str]) -> FigureSpec | None:
    groups = frames.get("groups", pd.DataFrame({axis: []}))
    known = groups[axis].dropna()
    changes = frames.get("changes", pd.DataFrame({"mean": [], axis: []}))
    keys = {other: axis_key(frames, other) for other in others}
    # Where every setting of the other axes has one value of this one, nothing lies along it.
    settings = _settings(changes[changes["mean"].notna()], axis, keys)
    if known.nunique() < 2 or not settings:
        return None
    hollow = _HOLLOW if _lacks_seeds(groups) else ""
    scale = AxisScale(known.tolist(), numeric=is_numeric(frames, axis), form=axis_format(frames, axis))
    return FigureSpec(
        f"along_{axis.replace('.', '_')}", "axes", f"Along {axis_heading(axis)}",
        _OF_MANY.format(count=len(settings)) if len(settings) > _MOST_LINES else _OF_FEW + hollow,
        (("changes", "mean"), ("groups", "rho_mean")),
        partial(along, axis=axis, others=keys, scale=scale), (axis, *others, "category", "mean"), CHANGE,
        optional=("groups",),
    )  # fmt: skip
