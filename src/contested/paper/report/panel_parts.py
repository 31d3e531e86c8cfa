"""Parts of panels that several figures of the paper share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from contested.paper.report.method_style import marker
from contested.report.figures import (
    spread,
    write,
)
from contested.report.labels import seeds_note
from contested.report.style import (
    INK,
    QUIET,
    CategoryColor,
    style_context,
)

Floats = NDArray[np.float64]

_LINE_GAP = 0.085  # between the labels of two lines, as a share of the panel
_MOST_NAMES = 10  # at the ends of lines in one panel


def by_entropy(frame: pd.DataFrame) -> tuple[str, ...]:
    """Category names in order of rising entropy."""
    return tuple(str(name) for name in frame.groupby("category")["entropy"].min().sort_values(kind="stable").index)


def draw_point(
    axes: Axes,
    x: float,
    row: pd.Series[Any],
    value: str,
    ends: tuple[str, str],
    color: str,
    shape: str,
    *,
    size: float = 5.0,
) -> None:
    """A value with its interval; hollow where some of its runs are missing."""
    if all(end in row and np.isfinite(float(row[end])) for end in ends):
        axes.plot([x, x], [row[ends[0]], row[ends[1]]], color=color, linewidth=1.4)
    face = "#ffffff" if seeds_note(row.to_dict()) else color
    axes.plot([x], [row[value]], marker=shape, color=color, markerfacecolor=face, markersize=size, linestyle="")


def limits_with_zero(*grid: Axes) -> tuple[float, float]:
    """Limits that hold zero and every point of the panels whole."""
    low = min(0.0, *(float(axes.dataLim.y0) for axes in grid))
    high = max(0.0, *(float(axes.dataLim.y1) for axes in grid))
    room = 0.06 * ((high - low) or 1.0)
    return low - (room if low < 0 else 0.0), high + room


def method_key(figure: Figure, colors: Mapping[str, CategoryColor], *, lines: bool = False) -> None:
    """The key of the methods: one line above the panels."""
    handles = [
        figure.axes[0].plot(
            [], [], marker=marker(name), color=color.line, linestyle="-" if lines else "", markersize=5, label=name
        )[0]
        for name, color in colors.items()
    ]
    figure.legend(
        handles=handles, loc="outside upper right", ncols=min(len(handles), 3 if figure.get_figwidth() < 5 else 9),
        frameon=False, fontsize=8, labelcolor=INK, handletextpad=0.3, columnspacing=1.2,
    )  # fmt: skip


def names_at_ends(axes: Axes, ends: Mapping[str, float], colors: Mapping[str, str]) -> None:
    """Each line's name right of the panel, where the line ends; a key where there are too many."""
    if not 1 < len(ends) <= _MOST_NAMES:
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    wanted = {name: (value - low) / ((high - low) or 1.0) for name, value in ends.items()}
    for name, position in spread(wanted, _LINE_GAP).items():
        write(
            axes, name, at=(1.0, position), shift=(5, 0), coords="axes fraction", va="center", color=colors[name],
            fontsize=8,
        )  # fmt: skip


def add_shared_title(figure: Figure, common: str) -> Figure:
    """Write what all panels share above them, once."""
    if common:
        with style_context():
            figure.suptitle(common, x=0.012, ha="left", fontsize=8.5, color=QUIET)
    return figure
