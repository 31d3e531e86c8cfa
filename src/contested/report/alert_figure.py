"""The figure of the alert: how far the mean loss of each category lies above its start, and how far at least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from contested.report.figures import layout, spread, title_length, write
from contested.report.labels import wrapped
from contested.report.style import QUIET, CategoryColor, category_colors, new_axes, style_context

_LABEL_HEIGHT = 0.085  # of a line's label, as a share of the panel


def rise_above_start(looks: pd.DataFrame, runs: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Mean loss minus its start by category over training, with lower bounds and alarms, one panel per run.

    Args:
        looks: Rows with run, category, step, estimate, low (nats) and crossed; categories in order of rising entropy.
        runs: Rows with run, step_unit and first_step: the start, where every line begins at zero.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure: a shade from each line down to its lower bound, a point where an alarm first came. Of a single look
        there is a bar down to the bound too, and a ring where it raised no alarm. A panel without any says so above.
    """
    panels = [(str(run), rows) for run, rows in looks.groupby("run", sort=False)]
    units = dict(zip(runs["run"], runs["step_unit"], strict=True))
    starts = dict(zip(runs["run"], runs["first_step"], strict=True))
    colors = category_colors(tuple(dict.fromkeys(looks["category"].astype(str))))
    width, columns = layout(len(panels), narrow)
    with style_context():
        figure, grid = new_axes(len(panels), height=2.8, columns=columns, width=width)
        grid[0].set_ylim(*_limits(looks))
        for index, (axes, (run, rows)) in enumerate(zip(grid, panels, strict=True)):
            _draw(axes, rows, colors, float(starts[run]))
            title = run if rows["crossed"].any() else f"{run}: no alarm"
            axes.set_title(wrapped(title, title_length(width, columns)))
            axes.set_xlabel("optimiser steps" if units[run] == "step" else f"{units[run]}s")
            if index % columns == 0:
                axes.set_ylabel("mean loss above its start (nats)")
    return figure


def _limits(looks: pd.DataFrame) -> tuple[float, float]:
    """All estimates, and lower bounds as far as they lie no further below zero than those."""
    reach = float(looks["estimate"].abs().max()) or 1.0
    lowest = max(float(np.nanmin([looks["low"].min(), looks["estimate"].min(), 0.0])), -1.25 * reach)
    highest = max(float(looks["estimate"].max()), 0.0)
    room = 0.06 * (highest - lowest)
    return lowest - room, highest + room


def _draw(axes: Axes, rows: pd.DataFrame, colors: Mapping[str, CategoryColor], start: float) -> None:
    axes.axhline(0.0, color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    axes.set_xlim(start, float(rows["step"].max()))
    ends: dict[str, float] = {}
    bottom, top = axes.get_ylim()
    for category, own in rows.groupby("category", sort=False):
        color = colors[str(category)].line
        _draw_line(axes, own, start, {"color": color, "label": str(category)})
        ends[str(category)] = (float(own["estimate"].iloc[-1]) - bottom) / (top - bottom)
    # A view of one step has two whole numbers; with fewer wanted, no tick lies between them.
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    for name, position in spread(ends, _LABEL_HEIGHT).items():
        beside: dict[str, Any] = {"at": (1.0, position), "shift": (5, 0), "coords": "axes fraction", "va": "center"}
        write(axes, name, color=colors[name].text, fontsize=8, **beside)


def _draw_line(axes: Axes, own: pd.DataFrame, start: float, drawn: Mapping[str, Any]) -> None:
    """One category: from zero at the start to its estimates, which is all that a single look has of a line."""
    steps, estimate, low = (own[name].to_numpy(np.float64) for name in ("step", "estimate", "low"))
    color = drawn["color"]
    axes.fill_between(np.r_[start, steps], np.r_[0.0, low], np.r_[0.0, estimate], color=color, alpha=0.16, linewidth=0)
    axes.plot(np.r_[start, steps], np.r_[0.0, estimate], **drawn)
    # Points at the panel's edge are drawn in full and take no room from it.
    point: dict[str, Any] = {"marker": "o", "markersize": 6, "color": color, "zorder": 3, "clip_on": False}
    point["in_layout"] = False
    if len(own) == 1:
        # A bound may lie below the panel.
        axes.vlines(steps, np.maximum(low, axes.get_ylim()[0]), estimate, color=color, linewidth=4, alpha=0.6)
        axes.plot(steps, estimate, markeredgecolor=color, markerfacecolor="white", **point)
    alarmed = np.flatnonzero(own["crossed"].to_numpy(bool))[:1]
    if alarmed.size:
        axes.plot(steps[alarmed], estimate[alarmed], markeredgecolor="white", **point)
