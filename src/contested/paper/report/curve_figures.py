"""The paper's figures of lines and of bins: losses, entropy, gradients over training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from contested.formats import CHANGE
from contested.paper.report.method_style import marker, method_colors, panel_titles, panels
from contested.paper.report.panel_parts import (
    add_shared_title,
    by_entropy,
    names_at_ends,
)
from contested.report.declarations import FigureSpec
from contested.report.figures import (
    Disagreement,
    Panel,
    bounds_between,
    curve_panels,
    entropy_histogram,
    layout,
    loss_by_category,
    title_length,
)
from contested.report.labels import seeds_note, wrapped
from contested.report.style import (
    INK,
    QUIET,
    category_colors,
    new_axes,
    style_context,
)

Floats = NDArray[np.float64]

_MEANS = "Each line is the mean over seeds and over the examples of one category, each band its {confidence} interval. "


def loss_curves(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Figures 1 and 2 of the paper: mean loss by category over steps, mean over seeds.

    Args:
        frame: The rows of ``figure1`` or ``figure2`` that have a mean.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure, one panel per condition.
    """
    return add_shared_title(loss_by_category(_curve_panels(frame), narrow=narrow), panel_titles(frame).common)


def _curve_panels(frame: pd.DataFrame) -> list[Panel]:
    found = []
    for title, rows in panels(frame):
        (panel,) = curve_panels(rows.assign(title=title), "title")
        seeds = seeds_note(rows.iloc[0].to_dict())
        found.append(panel._replace(below=panel.below + (f" ({seeds})" if seeds else "")))
    return found


def entropy_histograms(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Figure 3 of the paper: annotation entropy of each dataset's examples, with the categories' bounds.

    Args:
        frame: ``figure3``.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure, one panel per dataset.
    """
    found = []
    for title, rows in panels(frame, ("dataset",)):
        entropy, labels = rows["entropy"].to_numpy(np.float64), rows["category"].to_numpy(object)
        names = by_entropy(rows)
        bounds = bounds_between(entropy, labels, names, float(entropy.max()))
        found.append(Disagreement(f"{title}, N = {len(rows):,}", entropy, labels, names, bounds, None))
    return entropy_histogram(found, narrow=narrow)


def binning(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Figure 5 of the paper: AULC by bins of entropy, for several ways to make the bins.

    Args:
        frame: The rows of ``figure5`` that have a mean.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure, one panel per condition; in it one group of points per scheme, entropy rising to the right.
    """
    found = panels(frame)
    width, columns = layout(len(found), narrow)
    with style_context():
        figure, grid = new_axes(len(found), height=2.6, columns=columns, width=width)
        for index, (axes, (title, rows)) in enumerate(zip(grid, found, strict=True)):
            _draw_bins(axes, rows)
            seeds = seeds_note(rows.iloc[0].to_dict())
            axes.set_title(wrapped(title, title_length(width, columns)))
            axes.set_xlabel("bins of H, low to high" + (f" ({seeds})" if seeds else ""))
            if index % columns == 0:
                axes.set_ylabel("mean AULC (nats)")
        return add_shared_title(figure, panel_titles(frame).common)


def _draw_bins(axes: Axes, rows: pd.DataFrame) -> None:
    start, ticks = 0.0, {}
    for scheme, own in rows.sort_values("position", kind="stable").groupby("scheme", sort=False):
        positions = start + np.arange(len(own))
        mean, low, high = (own[name].to_numpy(np.float64) for name in ("aulc_mean", "low", "high"))
        axes.plot(positions, mean, color=QUIET, linewidth=0.8, zorder=1)
        colors = category_colors(own["bin"].astype(str).tolist())
        for position, name, value, bottom, top in zip(positions, own["bin"].astype(str), mean, low, high, strict=True):
            color = colors[name].line if scheme == "fixed" else INK
            axes.plot([position, position], [bottom, top], color=color, linewidth=1.6)
            axes.plot([position], [value], color=color, marker="o", markersize=5)
        ticks[float(positions.mean())] = str(scheme)
        start = float(positions[-1]) + 1.9
    axes.set_xticks(list(ticks), list(ticks.values()), fontsize=7.5)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.8, start - 1.1)


def gradient_alignment(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Figure 8 of the paper: the cosine of the mean gradients of clean and contested examples over training.

    Args:
        frame: The rows of ``figure8`` that have a step.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure, one panel per model and dataset, one line per run; a gap where a gradient was exactly zero.
    """
    found = panels(frame, ("backbone", "dataset"))
    colors = method_colors(frame["method"].astype(str))
    width, columns = layout(len(found), narrow)
    low = min(float(frame["cosine"].min()), 0.0)
    with style_context():
        figure, grid = new_axes(len(found), height=2.9, columns=columns, width=width)
        grid[0].set_ylim(low - 0.05 if low < 0 else 0.0, 1.04)
        for index, (axes, (title, rows)) in enumerate(zip(grid, found, strict=True)):
            ends: dict[str, float] = {}
            for (method, _), run in rows.groupby(["method", "seed"], sort=False, dropna=False):
                y = run["cosine"].to_numpy(np.float64)
                axes.plot(
                    run["step"].to_numpy(np.float64), y, color=colors[str(method)].line, marker=marker(str(method)),
                    markersize=3.2, linewidth=1.4,
                )  # fmt: skip
                if np.isfinite(y).any():
                    ends[str(method)] = float(y[np.isfinite(y)][-1])
            axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
            axes.set_title(wrapped(title, title_length(width, columns)))
            axes.set_xlabel("optimiser steps")
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            if index % columns == 0:
                axes.set_ylabel("cosine, clean with contested")
            names_at_ends(axes, ends if len(ends) > 1 else {}, {name: color.text for name, color in colors.items()})
        common = panel_titles(frame, ("backbone", "dataset")).common
        only = next(iter(colors)) if len(colors) == 1 else ""
        return add_shared_title(figure, " · ".join(part for part in (common, only) if part))


FIGURES: tuple[FigureSpec, ...] = (
    FigureSpec(
        "figure1_loss_lora", "unlearning", "Loss by category under LoRA",
        _MEANS + "A line that ends higher than it began is a category that was un-learned.",
        (("figure1", "mean"),), loss_curves, ("panel", "category", "mean"),
        needs="a condition under LoRA", number="Figure 1",
    ),
    FigureSpec(
        "figure2_loss_full", "unlearning", "Loss by category under full fine-tuning",
        _MEANS + "The same examples as under LoRA.",
        (("figure2", "mean"),), loss_curves, ("panel", "category", "mean"),
        needs="a condition of full fine-tuning", number="Figure 2",
    ),
    FigureSpec(
        "figure3_entropy", "disagreement", "How much annotators disagree",
        "Annotation entropy of the tracked examples: 0 where all annotators chose the same label. Dashed:"
        " the bounds of the categories; above each, its share of the examples.",
        (("figure3", "entropy"),), entropy_histograms, ("dataset", "category", ""),
        needs="a complete run", number="Figure 3",
    ),
    FigureSpec(
        "figure5_binning", "robustness", "AULC by other bins of entropy",
        "Mean AULC of each bin with its {confidence} interval, entropy rising to the right: the paper's "
        "fixed bounds, quartiles and terciles.",
        (("figure5", "aulc_mean"),), binning, ("panel", "scheme", "bin", "aulc_mean"),
        needs="a condition under LoRA", number="Figure 5",
    ),
    FigureSpec(
        "figure8_gradient_alignment", "mechanism", "Alignment of gradients",
        "Cosine of the mean gradients of clean and of contested examples: 1 where a step for one is a "
        "step for the other, below 0 where they oppose each other. A gap: one of the gradients was "
        "exactly zero.",
        (("figure8", "cosine"),), gradient_alignment, ("panel", "seed", "cosine"), CHANGE,
        needs="runs with gradient alignment", number="Figure 8",
    ),
)  # fmt: skip
