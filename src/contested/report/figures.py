"""The figures: plain arrays in, a matplotlib ``Figure`` out; nothing is shown, saved or kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from contested.analysis import Curve
from contested.annotations.categories import FIXED
from contested.formats import SHARE, shorten
from contested.report.labels import wrapped
from contested.report.style import (
    INK,
    NARROW_WIDTH,
    QUIET,
    WIDTH,
    CategoryColor,
    category_colors,
    new_axes,
    style_context,
)

Floats = NDArray[np.float64]

_LABEL_HEIGHT = 0.085  # of a line's label, as a share of the panel
_LABEL_WIDTH = 0.9  # of a category's name in inches
_MOST_DIRECT_LABELS = 5
_FAR_UP = 0.5  # of the highest value, above which an axis need not begin at zero


class Panel(NamedTuple):
    """One run's course of a quantity by category: a panel of a figure.

    Attributes:
        title: The run's name.
        steps: Optimiser steps, shape (T,).
        curves: One curve a category, in order of rising entropy.
        n_classes: K, which says where a uniform guess lies; None where it is not known.
        below: The text below the x axis.
    """

    title: str
    steps: NDArray[np.int64]
    curves: tuple[Curve, ...]
    n_classes: int | None
    below: str = "optimiser steps"


class Disagreement(NamedTuple):
    """How much annotators disagree on one set of tracked examples: a panel of a figure.

    Attributes:
        title: The name of the set.
        entropy: Annotation entropy H in nats, shape (N,).
        labels: The category of each example, shape (N,).
        categories: Category names in order of rising entropy, length C.
        bounds: Where one category ends and the next begins (nats), rising, length C - 1.
        n_classes: K; no entropy is above ln K. None where it is not known.
    """

    title: str
    entropy: Floats
    labels: NDArray[np.object_]
    categories: tuple[str, ...]
    bounds: tuple[float, ...]
    n_classes: int | None


def loss_by_category(panels: Sequence[Panel], *, narrow: bool = False) -> Figure:
    """Figures 1 and 2 of the paper: mean loss of each category over training.

    Args:
        panels: One entry per run; the runs share the y axis.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure; a dotted line marks the loss of a uniform guess, ln K.
    """
    guesses = [
        (float(np.log(panel.n_classes)), f"uniform guess, ln {panel.n_classes}") if panel.n_classes else None
        for panel in panels
    ]
    return _curves(panels, "mean loss (nats)", guesses=guesses, narrow=narrow)


def kl_by_category(panels: Sequence[Panel], *, narrow: bool = False) -> Figure:
    """How far the model's distribution is from the annotators', KL(annotators ‖ model), over training.

    Args:
        panels: One entry per run; the runs share the y axis.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure.
    """
    return _curves(panels, "mean KL(annotators ‖ model) (nats)", narrow=narrow)


def accuracy_by_category(panels: Sequence[Panel], *, narrow: bool = False) -> Figure:
    """The share of examples on which the model's first choice is the gold label, over training.

    Args:
        panels: One entry per run; the runs share the y axis.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure; a dotted line marks a uniform guess, 1/K.
    """
    guesses = [
        (1 / panel.n_classes, f"uniform guess, 1/{panel.n_classes}") if panel.n_classes else None for panel in panels
    ]
    figure = _curves(panels, "accuracy on the gold label", guesses=guesses, top=1.02, narrow=narrow)
    for axes in figure.axes:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


def entropy_histogram(panels: Sequence[Disagreement], *, narrow: bool = False) -> Figure:
    """Figure 3 of the paper: how annotation entropy is distributed, with the categories' bounds.

    Args:
        panels: One entry a set of tracked examples.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure.
    """
    width, columns = layout(len(panels), narrow)
    colors = category_colors(tuple(dict.fromkeys(name for panel in panels for name in panel.categories)))
    with style_context():
        figure, grid = new_axes(len(panels), height=2.8, columns=columns, width=width)
        for index, (axes, panel) in enumerate(zip(grid, panels, strict=True)):
            _draw_histogram(axes, panel, colors, width / columns)
            if len(panels) > 1:
                axes.set_title(shorten(panel.title, title_length(width, columns)), pad=28)
            if index % columns == 0:
                axes.set_ylabel("examples")
    return figure


def _draw_histogram(axes: Axes, panel: Disagreement, colors: Mapping[str, CategoryColor], width: float) -> None:
    highest = float(np.log(panel.n_classes)) if panel.n_classes else float(panel.entropy.max(initial=0.0))
    # Bounds made for more classes may lie above the greatest entropy of these.
    limit = max(highest, *panel.bounds, 0.0) or 1.0
    if len(panel.bounds) + 1 == len(panel.categories):
        _draw_bands(axes, panel, colors, limit=limit, width=width)
    else:
        _draw_stacked(axes, panel, colors, limit=limit)
    axes.set_xlim(0.0, limit)
    most = f", at most ln {panel.n_classes} = {highest:.2f}" if panel.n_classes else ""
    axes.set_xlabel(f"annotation entropy H (nats){most}")


def _draw_stacked(axes: Axes, panel: Disagreement, colors: Mapping[str, CategoryColor], *, limit: float) -> None:
    """Categories on top of one another, with a key: they are no bands of entropy, so that each can be anywhere."""
    values = [panel.entropy[panel.labels == name] for name in panel.categories]
    shades = [colors[name].line for name in panel.categories]
    style: dict[str, Any] = {"color": shades, "label": list(panel.categories), "stacked": True}
    axes.hist(values, _edges(limit, ()).tolist(), edgecolor="white", linewidth=0.5, **style)
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1.12), ncols=len(values), frameon=False)


def _draw_bands(
    axes: Axes, panel: Disagreement, colors: Mapping[str, CategoryColor], *, limit: float, width: float
) -> None:
    edges = _edges(limit, panel.bounds)
    middles = [(start + stop) / 2 / limit for start, stop in pairwise([0.0, *panel.bounds, limit])]
    for name, position in spread(dict(zip(panel.categories, middles, strict=True)), _LABEL_WIDTH / width).items():
        values = panel.entropy[panel.labels == name]
        axes.hist(values, edges.tolist(), color=colors[name].line, edgecolor="white", linewidth=0.5, label=name)
        share = f"{name}\n{SHARE(len(values) / max(len(panel.entropy), 1))}"
        middle: dict[str, Any] = {"at": (position, 1.0), "shift": (0, 3), "coords": "axes fraction", "ha": "center"}
        write(axes, share, color=colors[name].text, va="bottom", **middle)
    for bound in panel.bounds:
        axes.axvline(bound, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))


def _edges(limit: float, bounds: Sequence[float]) -> Floats:
    """Bin edges of nearly equal width, one of them at every bound, so that no bar has two colours."""
    stops = np.unique([0.0, *bounds, limit])
    parts = [
        np.linspace(start, stop, max(1, round((stop - start) / (limit / 44))), endpoint=False)
        for start, stop in pairwise(stops)
    ]
    return np.concatenate([*parts, [limit + 1e-9]])


def _curves(
    panels: Sequence[Panel],
    quantity: str,
    *,
    guesses: Sequence[tuple[float, str] | None] = (),
    top: float | None = None,
    narrow: bool = False,
) -> Figure:
    width, columns = layout(len(panels), narrow)
    every = tuple(dict.fromkeys(curve.category for panel in panels for curve in panel.curves))
    with style_context():
        figure, grid = new_axes(len(panels), height=2.8, columns=columns, width=width)
        grid[0].set_ylim(*((0.0, top) if top else _limits(panels, [guess[0] for guess in guesses if guess])))
        for index, (axes, panel) in enumerate(zip(grid, panels, strict=True)):
            _draw_lines(axes, panel, every)
            if guess := guesses[index] if guesses else None:
                _draw_guess(axes, *guess, below=top is not None)
            axes.set_title(wrapped(panel.title, title_length(width, columns)))
            axes.set_xlabel(panel.below)
            axes.set_xlim(*_span([other for other in panels if other.below == panel.below]))
            if index % columns == 0:
                axes.set_ylabel(quantity)
    return figure


def _span(panels: Sequence[Panel]) -> tuple[float, float]:
    """The x axis of panels that count the same: from the first step of any of them to the last of any."""
    first, last = min(panel.steps[0] for panel in panels), max(panel.steps[-1] for panel in panels)
    return float(first), max(float(last), float(first) + 1)


def layout(n_panels: int, narrow: bool) -> tuple[float, int]:
    """Width of a figure in inches, and panels in a row."""
    if narrow:
        return NARROW_WIDTH, 1
    return WIDTH, min(n_panels, 2 if n_panels in {2, 4} else 3)


def title_length(width: float, columns: int) -> int:
    """How many characters fit above a panel: a bold one takes about a tenth of an inch."""
    return int((width / columns - 0.5) * 10)


def _limits(panels: Sequence[Panel], guesses: Sequence[float]) -> tuple[float, float]:
    """From zero to the highest value; from the lowest one where zero lies so far below that it would flatten them."""
    drawn = [array for panel in panels for curve in panel.curves for array in (curve.mean, curve.low, curve.high)]
    values = np.concatenate([*drawn, guesses])
    values = values[np.isfinite(values)]
    high = float(values.max(initial=0.0)) or 1.0
    low = float(values.min(initial=high))
    room = 0.04 * (high - low)
    return (low - room, high + room) if _FAR_UP * high < low < high else (0.0, 1.04 * high)


def _draw_lines(axes: Axes, panel: Panel, every: tuple[str, ...]) -> None:
    colors = category_colors(every)
    for curve in panel.curves:
        color = colors[curve.category].line
        axes.fill_between(panel.steps, curve.low, curve.high, color=color, alpha=0.16, linewidth=0)
        axes.plot(panel.steps, curve.mean, color=color, label=curve.category)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if len(panel.curves) > _MOST_DIRECT_LABELS:
        axes.legend(frameon=False, fontsize=7.5, ncols=2)
        return
    bottom, top = axes.get_ylim()
    ends = {curve.category: (float(curve.mean[-1]) - bottom) / (top - bottom) for curve in panel.curves}
    seen = {name: end for name, end in ends.items() if np.isfinite(end)}
    for name, position in spread(seen, _LABEL_HEIGHT).items():
        beside: dict[str, Any] = {"at": (1.0, position), "shift": (5, 0), "coords": "axes fraction", "va": "center"}
        write(axes, name, color=colors[name].text, fontsize=8, **beside)


def _draw_guess(axes: Axes, value: float, text: str, *, below: bool) -> None:
    axes.axhline(value, color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    shift, va = ((0, -2.5), "top") if below else ((0, 2), "bottom")
    at_right: dict[str, Any] = {"at": (1.0, value), "coords": ("axes fraction", "data"), "ha": "right"}
    write(axes, text, shift=shift, va=va, color=QUIET, fontsize=7, **at_right)


def write(axes: Axes, text: str, *, at: Any, shift: Any, coords: Any, **style: Any) -> None:
    """Write in a panel, ``shift`` points away from a position."""
    axes.annotate(text, at, shift, xycoords=coords, textcoords="offset points", **style)


def spread(wanted: Mapping[str, float], gap: float) -> dict[str, float]:
    """Places for labels, moved apart just enough not to overlap.

    Args:
        wanted: Label to where it would best stand, as a share of the panel.
        gap: Least distance of two labels.

    Returns:
        Label to its position, in rising order, with the least total squared movement.
    """
    names = sorted(wanted, key=lambda name: wanted[name])
    # Fitting a rising sequence to `wanted - i * gap` is isotonic regression.
    offsets = gap * np.arange(len(names))
    placed = _rising(np.array([wanted[name] for name in names]) - offsets) + offsets
    return {name: float(position) for name, position in zip(names, placed, strict=True)}


def _rising(values: Floats) -> Floats:
    """The nearest non-decreasing sequence in least squares (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean = (mean * size + before * count) / (size + count)
            size += count
        blocks.append((mean, size))
    return np.array([mean for mean, size in blocks for _ in range(size)])


def curve_panels(frame: pd.DataFrame, by: str, below: Mapping[str, str] | None = None) -> list[Panel]:
    """The panels of a frame of curves: one for each run or group.

    Args:
        frame: Rows with category, n, step, mean, low and high; categories in order of rising entropy.
        by: The column that names the panel.
        below: Panel to the text below its x axis, where that is not the usual one.

    Returns:
        The panels in the order of the rows; how many classes there are is not known to them.
    """
    panels = []
    for title, rows in frame.groupby(by, sort=False):
        curves = []
        for category, own in rows.groupby("category", sort=False):
            mean, low, high = (own[name].to_numpy(np.float64) for name in ("mean", "low", "high"))
            curves.append(Curve("", "", str(category), int(own["n"].iloc[0]), mean, low, high, ""))
        first = rows[rows["category"] == rows["category"].iloc[0]]
        panel = Panel(str(title), first["step"].to_numpy(np.int64), tuple(curves), None)
        panels.append(panel._replace(below=(below or {}).get(str(title), panel.below)))
    return panels


def bounds_between(
    entropy: Floats, labels: NDArray[np.object_], names: tuple[str, ...], limit: float
) -> tuple[float, ...]:
    """Where one category ends and the next begins (nats).

    The paper's bounds where they explain the categories; otherwise each is the least entropy found
    above it, which is exact for quantiles and within the data's own gap for any other scheme.

    Args:
        entropy: Shape (N,), nats.
        labels: Each example's category, shape (N,).
        names: Category names in order of rising entropy, length C.
        limit: The bound above which nothing is found.

    Returns:
        The bounds, rising, length C - 1; none where the categories are no bands of entropy.
    """
    if names == FIXED.names and np.array_equal(FIXED.assign(entropy), labels.astype(str)):
        return FIXED.bounds
    least = [entropy[labels == name].min(initial=limit) for name in names]
    bounds = tuple(float(min(least[index:])) for index in range(1, len(names)))
    most = [entropy[labels == name].max(initial=0.0) for name in names]
    apart = all(max(most[:index]) < bound or bound == limit for index, bound in enumerate(bounds, start=1))
    return bounds if apart else ()
