"""The picture of a map: how sure the category of each item is, and whether its disagreement is genuine, along H."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from contested.annotations import UNKNOWN
from contested.report.change_figure import color_key
from contested.report.declarations import FigureSpec
from contested.report.figures import layout
from contested.report.style import QUIET, category_colors, new_axes, style_context

Floats = NDArray[np.float64]

_MOST_POINTS = 2000  # of a panel: more make a page slow to open and add nothing
_WIDEST = 0.11  # radius of a disc that holds all points, of the height of a panel
_PANELS = (
    ("category_probability", "How sure is the category?"),
    ("genuine_disagreement", "Do people disagree, or err?"),
)


def items_map(items: pd.DataFrame, categories: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Every item by H and the probability of its category, and beside it by that of genuine disagreement.

    Args:
        items: The facts of items.
        categories: Rows with category, in order of rising entropy.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure. Of many items an even part is drawn, at random, and the axis says so. Items at one place, as few
        votes know few values of H, fill a disc as large as they are many.
    """
    names = [name for name in categories["category"] if name != UNKNOWN]
    colors = category_colors(names)
    panels = [(name, said) for name, said in _PANELS if name in items]
    rng = np.random.default_rng(0)
    rows = items.iloc[rng.permutation(len(items))[:_MOST_POINTS]]
    widest = max(float(items["entropy_nats"].max()), 0.1)
    shades = [colors[name].line if name in colors else QUIET for name in rows["category"]]
    width, columns = layout(len(panels), narrow)
    drawn = f"\n{_MOST_POINTS:,} of {len(items):,} items drawn" if len(rows) < len(items) else ""
    with style_context():
        figure, grid = new_axes(len(panels), height=3.0, columns=columns, width=width)
        for axes, (name, said) in zip(grid, panels, strict=True):
            aside, up = _spread(rows["entropy_nats"].to_numpy(np.float64), rows[name].to_numpy(np.float64), rng)
            axes.scatter(rows["entropy_nats"] + widest * aside, rows[name] + up, s=7, c=shades, alpha=0.6, linewidths=0)
            axes.set_ylim(-0.08, 1.08)
            axes.set_yticks(np.linspace(0.0, 1.0, 6))
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.set_xlabel(f"H of the votes (nats){drawn}")
            axes.set_title(said)
        grid[0].set_ylabel("probability")
        color_key(figure, {name: colors[name].line for name in names})
    return figure


def _spread(x: Floats, y: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Offsets across and up that put points at one place evenly into a disc, its area in proportion to their number."""
    _, place, times = np.unique(np.stack([x, y]).round(3), axis=1, return_inverse=True, return_counts=True)
    radius = _WIDEST * np.sqrt(times[place.ravel()] / len(x) * rng.random(len(x)))
    angle = 2.0 * np.pi * rng.random(len(x))
    return 0.6 * radius * np.cos(angle), radius * np.sin(angle)


FIGURES = (
    FigureSpec(
        "items_map", "top", "The items",
        "Each point is an item, by the entropy H of its votes; items with the same votes fill a disc. Left: the "
        "probability that the distribution behind the votes is in the category that the votes give; near a bound, and "
        "with few votes, it is low. Right, where it is known who gave which vote: the probability that people really "
        "disagree, and not that some of them slipped.",
        (("items", "entropy_nats", "category_probability", "category"), ("categories", "category")), items_map,
        ("category", ""),
    ),
)  # fmt: skip
