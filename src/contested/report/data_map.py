"""The data map: how sure of the gold label the model is over its run, and how much that varies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contested.analysis import OVERALL
from contested.report.change_figure import color_key
from contested.report.figures import layout, title_length
from contested.report.labels import wrapped
from contested.report.style import INK, QUIET, CategoryColor, category_colors, new_axes, style_context

_MOST_POINTS = 4000  # of all panels together: more make a page slow to open and add nothing
_LEAST_POINTS = 300  # of a panel
_CORNERS = {"easy": (0.02, 0.97, "left", "top"), "hard": (0.02, 0.03, "left", "bottom")}
_CORNERS["ambiguous"] = (0.98, 0.03, "right", "bottom")


def data_map(examples: pd.DataFrame, categories: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Every example by variability and confidence, coloured by category, one panel per run.

    Args:
        examples: Rows with run, confidence, variability and region, and category where it is known.
        categories: Rows with run and category, in order of rising entropy.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure. Of many examples a panel shows an even part, drawn at random, and says so below its axis.
    """
    known = examples["category"] if "category" in examples else pd.Series(None, examples.index, dtype=object)
    names = [name for name in dict.fromkeys(categories["category"]) if name != OVERALL]
    # Examples in no category, such as those with one annotation, are drawn as all are where there are none.
    rows = examples.assign(category=known.where(known.isin(names), OVERALL))
    colors = category_colors(names) | {OVERALL: CategoryColor(QUIET, QUIET, QUIET)}
    panels = [(str(run), own) for run, own in rows.groupby("run", sort=False)]
    limits = min(0.0, float(rows["variability"].min())), 1.03 * max(float(rows["variability"].max()), 0.01)
    most = max(_LEAST_POINTS, _MOST_POINTS // len(panels))
    width, columns = layout(len(panels), narrow)
    with style_context():
        figure, grid = new_axes(len(panels), height=3.4, columns=columns, width=width)
        for index, (axes, (run, own)) in enumerate(zip(grid, panels, strict=True)):
            draw_map(axes, own, colors, most=most)
            axes.set_xlim(*limits)
            axes.set_title(wrapped(run, title_length(width, columns)))
            drawn = f"\n{most:,} of {len(own):,} examples drawn" if most < len(own) else ""
            axes.set_xlabel(f"variability (sd of the gold label's probability){drawn}")
            axes.set_ylabel("confidence (its mean)" if index % columns == 0 else "")
        if names:
            color_key(figure, {name: colors[name].line for name in names})
    return figure


def draw_map(axes: Axes, rows: pd.DataFrame, colors: Mapping[str, CategoryColor], *, most: int | None = None) -> None:
    """Draw one map: its points, the borders of its regions, and their names.

    Args:
        axes: The panel.
        rows: One row per example with variability, confidence, region and category.
        colors: Category to colour.
        most: Most points to draw; None draws all. Borders are always those of all examples.
    """
    x, y = rows["variability"].to_numpy(np.float64), rows["confidence"].to_numpy(np.float64)
    # One layer in a fixed mixed order, so that no category lies on top of the others.
    order = np.random.default_rng(0).permutation(len(rows))[:most]
    shades = [colors[name].line for name in rows["category"].to_numpy(object)[order]]
    axes.scatter(x[order], y[order], s=9, c=shades, alpha=0.55, linewidths=0)
    _draw_borders(axes, x, y, rows["region"].to_numpy(object))
    axes.set_xlim(min(0.0, float(x.min())), float(x.max()) * 1.03)
    axes.set_ylim(0.0, 1.0)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.8}
    for name, (left, up, ha, va) in _CORNERS.items():
        axes.text(
            left,
            up,
            f"{name} region",
            transform=axes.transAxes,
            ha=ha,
            va=va,
            color=INK,
            fontsize=8,
            style="italic",
            bbox=box,
        )
    axes.set_xlabel("variability (sd of the gold label's probability)")
    axes.set_ylabel("confidence (its mean)")


def _draw_borders(axes: Axes, x: Any, y: Any, region: Any) -> None:
    """Where one region ends and the next begins: at the least examples of those above."""
    dashed: dict[str, Any] = {"color": INK, "linewidth": 0.9, "linestyle": (0, (3, 2))}
    if not (region == "ambiguous").any():
        return
    border = float(x[region == "ambiguous"].min())
    axes.axvline(border, **dashed)
    if (region == "easy").any():
        axes.plot([min(0.0, float(x.min())), border], [float(y[region == "easy"].min())] * 2, **dashed)
