"""The figure of loss changes: one row per run or group, one point per category, however many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from contested.analysis import ChangeRow
from contested.formats import shorten
from contested.report.figures import write
from contested.report.style import (
    INK,
    NARROW_WIDTH,
    QUIET,
    RULE,
    WIDTH,
    CategoryColor,
    category_colors,
    new_axes,
    style_context,
)

_KEY_LETTERS, _KEY_ROOM = 14, 5  # of a key: letters in an inch, and what a name's point and distance take
_MANY = 12  # runs or groups from which their rows move together


class Group(NamedTuple):
    """Changes by category of one run or group of runs: a row of the figure.

    Attributes:
        title: Its name.
        rows: One row per category, in order of rising entropy.
    """

    title: str
    rows: tuple[ChangeRow, ...]


class _Spacing(NamedTuple):
    """How rows stand, in units of the y axis and inches.

    Attributes:
        inches: Of one unit.
        step: From one category of a group to the next.
        title: For a title above a group's rows; 0 where it is left of them.
        gap: Between two groups.
        size: Of a point.
    """

    inches: float
    step: float
    title: float
    gap: float
    size: float

    @classmethod
    def of(cls, n_groups: int, narrow: bool) -> _Spacing:
        if n_groups == 1:
            return cls(0.24, 1.0, 0.0, 0.0, 6.0)
        if n_groups > _MANY:
            return cls(0.155, 0.36, 0.0, 0.55, 3.6)
        return cls(0.155, 1.0, 1.4 if narrow else 0.0, 0.9, 5.0)


def groups_of(changes: pd.DataFrame, by: str, value: str = "mean") -> list[Group]:
    """The rows of a frame of changes by category, as the figure takes them.

    Args:
        changes: Rows with category, n, low, high and the value.
        by: The column that names a run or group of runs.
        value: The column of what changed.

    Returns:
        One entry a name, in the order of the rows.
    """
    nan = float("nan")
    return [
        Group(
            str(title),
            tuple(
                ChangeRow(str(row["category"]), 0, row[value], row["low"], row["high"], 0, nan, nan, nan, "unclear", "")
                for row in rows.to_dict("records")
            ),
        )
        for title, rows in changes.groupby(by, sort=False)
    ]


def loss_change(
    groups: Sequence[Group],
    *,
    narrow: bool = False,
    quantity: str = "mean loss change Δℓ (nats)",
    sides: tuple[str, str] = ("learned", "un-learned"),
) -> Figure:
    """Mean Δℓ, last checkpoint minus first, by run and category, with intervals.

    Args:
        groups: One entry per run, or a group of runs.
        narrow: A layout for narrow screens.
        quantity: What lies along x.
        sides: What lies left and right of zero.

    Returns:
        The figure: one row per run with a point a category, or one row per category where there is one run.
    """
    spacing = _Spacing.of(len(groups), narrow)
    colors = category_colors(tuple(dict.fromkeys(row.category for group in groups for row in group.rows)))
    units = sum(_units(group, spacing) for group in groups)
    with style_context():
        height = 0.95 + 0.2 * (len(groups) > 1) + spacing.inches * units
        figure, (axes,) = new_axes(1, height=height, width=NARROW_WIDTH if narrow else WIDTH)
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x")
        axes.axvline(0.0, color=INK, linewidth=0.9)
        _draw_groups(axes, groups, colors, spacing, label_length=24 if narrow else 44)
        axes.set_ylim(units - spacing.step / 2, -0.7 * max(spacing.step, 0.8))
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5 if narrow else 9))
        axes.set_xlabel(quantity)
        at_zero: dict[str, Any] = {"at": (0, 1), "coords": ("data", "axes fraction"), "color": QUIET, "fontsize": 7.5}
        write(axes, f"← {sides[0]}", shift=(-5, 2), ha="right", **at_zero)
        write(axes, f"{sides[1]} →", shift=(5, 2), ha="left", **at_zero)
        if len(groups) > 1:
            color_key(figure, {name: color.line for name, color in colors.items()})
    return figure


def _units(group: Group, spacing: _Spacing) -> float:
    return spacing.title + spacing.step * len(group.rows) + spacing.gap


def _draw_groups(
    axes: Axes, groups: Sequence[Group], colors: Mapping[str, CategoryColor], spacing: _Spacing, label_length: int
) -> None:
    ticks: dict[float, str] = {}
    start = 0.0
    for number, group in enumerate(groups):
        first = start + spacing.title
        positions = [first + spacing.step * index for index in range(len(group.rows))]
        if number % 2:
            above = (spacing.gap + spacing.step) / 2
            axes.axhspan(start - above, start - above + _units(group, spacing), color=RULE, alpha=0.35, linewidth=0)
        for position, row in zip(positions, group.rows, strict=True):
            color = colors[row.category].line
            axes.plot([row.low, row.high], [position, position], color=color, linewidth=spacing.size / 2.6)
            axes.plot([row.mean], [position], color=color, marker="o", markersize=spacing.size, label=row.category)
        if spacing.title:
            at: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "weight": "bold", "va": "center"}
            axes.text(0.0, start + 0.2, shorten(group.title, 44), **at)
        elif len(groups) == 1:
            ticks = {position: row.category for position, row in zip(positions, group.rows, strict=True)}
        else:
            ticks[sum(positions) / len(positions)] = shorten(group.title, label_length)
        start += _units(group, spacing)
    axes.set_yticks(list(ticks), list(ticks.values()))


def color_key(figure: Figure, colors: Mapping[str, str], *, whole: bool = False) -> None:
    """The key of a figure whose points have no room for names: one line above the panels.

    Args:
        figure: The figure.
        colors: Name to colour.
        whole: Whether bars stand for all examples beside the points of categories.
    """
    handles = [
        figure.axes[0].plot([], [], marker="o", color=color, linestyle="", markersize=5.5, label=name)[0]
        for name, color in colors.items()
    ]
    if whole:
        handles += figure.axes[0].plot([], [], marker="|", color=INK, linestyle="", markersize=9, label="all examples")
    longest = max((len(str(handle.get_label())) for handle in handles), default=0) + _KEY_ROOM
    fitting = int(figure.get_figwidth() * _KEY_LETTERS / longest)
    figure.legend(
        handles=handles, loc="outside upper right", ncols=max(1, min(len(handles), fitting)),
        frameon=False, fontsize=8, labelcolor=INK, handletextpad=0.2, columnspacing=1.2,
    )  # fmt: skip
