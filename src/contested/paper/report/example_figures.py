"""The paper's figures of single examples and of how sure the model is of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from contested.formats import number, p_equation, shorten
from contested.paper.report.method_style import CONDITION, panel_titles, panels
from contested.paper.report.panel_parts import (
    add_shared_title,
    by_entropy,
)
from contested.report.change_figure import color_key
from contested.report.data_map import draw_map
from contested.report.declarations import FigureSpec
from contested.report.figures import (
    layout,
    title_length,
    write,
)
from contested.report.labels import seeds_note, wrapped
from contested.report.style import (
    BAR,
    INK,
    NARROW_WIDTH,
    QUIET,
    RULE,
    WIDTH,
    CategoryColor,
    category_colors,
    new_axes,
    new_grid,
    style_context,
)

Floats = NDArray[np.float64]

_MOST_POINTS = 5000  # of a cloud on the page; more make it slow to open and add nothing
_LOG_FROM = 20.0  # ratio of the largest to the smallest value from which an axis is logarithmic
_RHO = number("+.2f")
_REGIONS = {"easy": RULE, "ambiguous": BAR, "hard": QUIET}
_HOLLOW = "Hollow points lack some of their seeds. "


def gradient_norms(frame: pd.DataFrame, tests: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Figure 4 of the paper: the gradient norm of each example by category.

    Args:
        frame: ``figure4``.
        tests: ``figure4_tests``, written below the panels.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure: every example a point, and boxes of the quartiles with whiskers to the 5th and 95th percentile.
    """
    found = panels(frame)
    width, columns = layout(len(found), narrow)
    with style_context():
        figure, grid = new_axes(len(found), height=3.0, columns=columns, width=width)
        norms = frame["norm"].to_numpy(np.float64)
        if norms.min() > 0 and norms.max() / norms.min() > _LOG_FROM:
            grid[0].set_yscale("log")
            grid[0].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            grid[0].yaxis.set_minor_formatter(NullFormatter())
        for index, (axes, (title, rows)) in enumerate(zip(grid, found, strict=True)):
            _draw_boxes(axes, rows, points=len(frame) <= _MOST_POINTS)
            axes.set_title(wrapped(title, title_length(width, columns)))
            own = tests[tests["panel"] == rows["panel"].iloc[0]]
            axes.set_xlabel(_gradient_test(own.iloc[0]) if len(own) else "", fontsize=7.5, color=QUIET)
            if index % columns == 0:
                axes.set_ylabel("norm of the loss gradient")
        return add_shared_title(figure, panel_titles(frame).common)


def _draw_boxes(axes: Axes, rows: pd.DataFrame, *, points: bool) -> None:
    names = by_entropy(rows)
    colors = category_colors(names)
    # The same scatter for the same examples: it has no meaning but to part the points.
    jitter = np.random.default_rng(0).uniform(-0.27, 0.27, len(rows))
    for position, name in enumerate(names):
        own = (rows["category"] == name).to_numpy()
        values = rows["norm"].to_numpy(np.float64)[own]
        line = {"color": colors[name].text, "linewidth": 1.4}
        if points:
            axes.plot(position + jitter[own], values, ".", color=colors[name].line, alpha=0.35, markersize=3.6, mew=0)
        axes.boxplot(
            [values],
            positions=[position],
            widths=0.62,
            whis=(5, 95),
            showfliers=False,
            boxprops=line,
            whiskerprops=line,
            medianprops=line | {"linewidth": 2.4},
            capprops=line,
        )
    counts = rows["category"].value_counts()
    axes.set_xticks(range(len(names)), [f"{name}\nn = {counts[name]:,}" for name in names], fontsize=7.5)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.yaxis.set_minor_formatter(NullFormatter())


def _gradient_test(test: pd.Series[float]) -> str:
    rho, rho_p, kruskal_p = (float(test[name]) for name in ("rho", "p_value", "kruskal_p"))
    return f"ρ(norm, H) {_RHO(rho)}, {p_equation(rho_p)}\nKruskal–Wallis {p_equation(kruskal_p)}"


def cartography(frame: pd.DataFrame, overlap: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Figure 7 of the paper: the cartography map coloured by category, and the regions of each category.

    Args:
        frame: ``figure7``.
        overlap: ``figure7_overlap``.
        narrow: A layout for narrow screens.

    Returns:
        The figure, one row of panels a dataset: the map, and beside it the share of each region by category.
    """
    found = panels(frame, ("dataset",))
    columns = 1 if narrow else 2
    rows = len(found) * (1 if columns == 2 else 2)
    heights = [3.4, 1.7] if narrow else [3.6]
    with style_context():
        figure, grid = new_grid(
            rows,
            columns,
            size=(NARROW_WIDTH if narrow else WIDTH, sum(heights) * len(found)),
            width_ratios=[1.0] if narrow else [1.45, 1.0],
            height_ratios=heights * len(found),
        )
        for index, (title, own) in enumerate(found):
            cloud, bars = grid[2 * index : 2 * index + 2]
            draw_map(cloud, own, category_colors(by_entropy(own)))
            _draw_regions(bars, overlap[overlap["dataset"].astype(str) == str(own["dataset"].iloc[0])], by_entropy(own))
            cloud.set_title(f"{title}, N = {len(own):,}")
    return figure


def _draw_regions(axes: Axes, overlap: pd.DataFrame, names: Sequence[str]) -> None:
    colors = category_colors(names)
    axes.grid(visible=False)
    for position, name in enumerate(names):
        start = 0.0
        for region, shade in _REGIONS.items():
            own = overlap[(overlap["category"] == name) & (overlap["region"] == region)]["share"]
            share = float(own.iloc[0]) if len(own) and np.isfinite(own.iloc[0]) else 0.0
            axes.barh(position, share, left=start, color=shade, height=0.58, edgecolor="white", linewidth=1.0)
            if share >= 0.09:
                ink = "#ffffff" if region == "hard" else INK
                axes.text(
                    start + share / 2, position, f"{share:.0%}", ha="center", va="center", fontsize=7.5, color=ink
                )
            if position == 0:
                write(
                    axes, region, at=(start + share / 2, position - 0.31), shift=(0, 2), coords="data", ha="center",
                    va="bottom", fontsize=7.5, style="italic",
                )  # fmt: skip
            start += share
    axes.set_yticks(range(len(names)), list(names))
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color(colors[name].text)
    axes.set_ylim(len(names) - 0.5, -0.75)
    axes.set_xlim(0.0, 1.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("share of the category's examples")


def calibration(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Figure 9 of the paper: how confident and how well calibrated predictions are, by category and condition.

    Args:
        frame: The rows of ``figure9`` that have a prediction entropy.
        narrow: The panels under each other, for narrow screens.

    Returns:
        The figure: one row per condition, one panel per quantity, one point per category and one for all examples.
    """
    quantities = {
        "prediction_entropy": "prediction entropy (nats)",
        "max_confidence": "maximum confidence",
        "ece": "calibration error (ECE)",
    }
    found = panels(frame)
    names = [str(name) for name in dict.fromkeys(frame["category"])]
    colors = category_colors([name for name in names if name != "overall"])
    height = 1.15 + 0.25 * len(found)
    shape, size = ((3, 1), (NARROW_WIDTH, 3 * height)) if narrow else ((1, 3), (WIDTH, height))
    with style_context():
        figure, grid = new_grid(*shape, size=size, sharey=True)
        for index, (axes, (quantity, label)) in enumerate(zip(grid, quantities.items(), strict=True)):
            for position, (_, rows) in enumerate(found):
                _draw_dots(axes, rows, quantity, position, colors)
            axes.grid(visible=False, axis="y")
            axes.grid(axis="x")
            axes.set_xlabel(label)
            axes.set_xlim(0.0, 1.05 * float(axes.dataLim.x1))
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.tick_params(axis="y", labelsize=7.5)
            if index == 0:
                axes.set_yticks(range(len(found)), [shorten(title, 34) for title, _ in found])
                axes.set_ylim(len(found) - 0.5, -0.6)
            for position in range(1, len(found)):
                if found[position][1]["backbone"].iloc[0] != found[position - 1][1]["backbone"].iloc[0]:
                    axes.axhline(position - 0.5, color=QUIET, linewidth=0.6, linestyle=(0, (1, 2)))
        key = {name: colors[name].line for name in names if name != "overall"}
        color_key(figure, key, whole="overall" in names)
        return add_shared_title(figure, panel_titles(frame).common)


def _draw_dots(
    axes: Axes, rows: pd.DataFrame, quantity: str, position: int, colors: Mapping[str, CategoryColor]
) -> None:
    low, high = f"{quantity}_low", f"{quantity}_high"
    values = rows[quantity].to_numpy(np.float64)
    axes.plot([np.nanmin(values), np.nanmax(values)], [position, position], color=RULE, linewidth=2.4, zorder=1)
    for _, row in rows.iterrows():
        whole = row["category"] == "overall"
        color = INK if whole else colors[str(row["category"])].line
        if low in rows and not whole:
            axes.plot([row[low], row[high]], [position, position], color=color, linewidth=1.3)
        face = "#ffffff" if seeds_note(row.to_dict()) else color
        shape: dict[str, Any] = {"marker": "|", "markersize": 10} if whole else {"marker": "o", "markersize": 5.5}
        axes.plot([row[quantity]], [position], color=color, markerfacecolor=face, **shape)


FIGURES: tuple[FigureSpec, ...] = (
    FigureSpec(
        "figure4_gradient_norms", "mechanism", "Gradient norms by category",
        "Each point is one example's gradient norm over the trainable weights of the trained model; "
        "boxes: quartiles, whiskers: 5th and 95th percentile.",
        (("figure4", "norm"), ("figure4_tests", "panel")), gradient_norms, ("panel", "category", ""),
        needs="runs with gradient norms", number="Figure 4", optional=("figure4_tests",),
    ),
    FigureSpec(
        "figure7_cartography", "mechanism", "Cartography",
        "Each point is an example: how sure the models are of its gold label over training, and how much "
        "that varies, means over runs. Dashed: the medians of these means. Right: the regions of each category's "
        "examples, cut in each run by its own medians and counted over all runs.",
        (("figure7", "confidence"), ("figure7_overlap", "share")), cartography, ("dataset", "category", ""),
        needs="a condition among the paper's", number="Figure 7", optional=("figure7_overlap",),
    ),
    FigureSpec(
        "figure9_calibration", "mechanism", "Calibration by category",
        "At the last checkpoint, means over seeds: entropy of the prediction with its {confidence} "
        "interval, its highest probability, and expected calibration error. " + _HOLLOW,
        (("figure9", "prediction_entropy"),), calibration, (*CONDITION, "category", "prediction_entropy"),
        needs="a condition among the paper's", number="Figure 9",
    ),
)  # fmt: skip
