"""The figures of a comparison: which answers changed, and what differs between two models, by category."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from contested.analysis import OVERALL, Side
from contested.formats import CHANGE, number, text
from contested.report.declarations import FigureSpec
from contested.report.figures import write
from contested.report.style import INK, NARROW_WIDTH, QUIET, WIDTH, category_colors, new_axes, new_grid, style_context

_ROW = 0.36  # of a category, in inches
_PERCENT = number(".0f")


def _order(frame: pd.DataFrame) -> list[str]:
    """Categories from the top of a figure: most disagreement first, all examples last."""
    names = list(dict.fromkeys(frame["category"]))
    return [*reversed([name for name in names if name != OVERALL]), *([OVERALL] if OVERALL in names else [])]


def _colors(names: list[str]) -> dict[str, str]:
    known = category_colors(tuple(reversed([name for name in names if name != OVERALL])))
    return {name: QUIET if name == OVERALL else known[name].line for name in names}


def _label(name: str) -> str:
    return "all examples" if name == OVERALL else name


def changed_answers(transitions: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Shares of each category's answers that turned wrong (left) and right (right), and what guessing would give."""
    names = _order(transitions)
    rows = {str(row["category"]): row for row in transitions.to_dict("records")}
    colors = _colors(names)
    reach = max(max(row["lost"], row["gained"], row["by_guessing"]) / max(row["n"], 1) for row in rows.values())
    with style_context():
        figure, (axes,) = new_axes(1, height=0.9 + _ROW * len(names), width=NARROW_WIDTH if narrow else WIDTH)
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x")
        for position, name in enumerate(names):
            row = rows[name]
            for sign, kind in ((-1, "lost"), (1, "gained")):
                share = row[kind] / max(row["n"], 1)
                axes.barh(position, sign * share, height=0.58, color=colors[name], alpha=0.55 if sign < 0 else 1.0)
                at: dict[str, Any] = {"at": (sign * share, position), "shift": (4 * sign, 0), "coords": "data"}
                write(axes, f"{row[kind]:,}", ha="left" if sign > 0 else "right", va="center", fontsize=7.5, **at)
                guessed = sign * row["by_guessing"] / max(row["n"], 1)
                axes.plot([guessed, guessed], [position - 0.4, position + 0.4], color=INK, linewidth=1.1)
        _finish(axes, names, "share of the category's examples")
        axes.set_xlim(-1.22 * (reach or 1.0), 1.22 * (reach or 1.0))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{_PERCENT(100 * abs(value))}%"))
        _name_sides(axes, "turned wrong (1→0)", "turned right (0→1)")
    return figure


PANELS = (
    ("correct", 100.0, "accuracy (points)", ("lower", "higher")),
    ("loss", 1.0, "mean loss (nats)", ("lower", "higher")),
    ("kl", 1.0, "KL(annotators ‖ model) (nats)", ("closer", "further")),
)
"""What the figure of differences shows: measure, factor, name, and what lies on either side of zero."""


def differences(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Second minus first model by category, with intervals: accuracy, loss, distance to the annotators."""
    panels = [panel for panel in PANELS if panel[0] in set(frame["measure"])]
    names = _order(frame)
    height = 0.95 + _ROW * len(names)
    grid = (len(panels), 1) if narrow else (1, len(panels))
    size = (NARROW_WIDTH, height * len(panels)) if narrow else (WIDTH, height)
    with style_context():
        figure, every = new_grid(*grid, size=size, sharey=not narrow)
        for axes, (measure, factor, title, sides) in zip(every, panels, strict=True):
            _draw_panel(axes, frame[frame["measure"] == measure], names, factor)
            _finish(axes, names, title)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            low, high = axes.get_xlim()
            axes.set_xlim(min(low, -0.12 * (high - low)), max(high, 0.12 * (high - low)))
            _name_sides(axes, *sides)
            if axes is not every[0] and not narrow:
                axes.tick_params(labelleft=False)
    return figure


def _draw_panel(axes: Axes, frame: pd.DataFrame, names: list[str], factor: float) -> None:
    colors = _colors(names)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x")
    for row in frame.to_dict("records"):
        name, position = str(row["category"]), names.index(str(row["category"]))
        axes.plot([factor * row["low"], factor * row["high"]], [position, position], color=colors[name], linewidth=2.2)
        # What the adjusted test cannot tell from zero is hollow.
        inside = "white" if row["direction"] == "unclear" else colors[name]
        mean = [factor * row["difference"]]
        axes.plot(mean, [position], color=colors[name], marker="o", markersize=6, markerfacecolor=inside)


def _finish(axes: Axes, names: list[str], below: str) -> None:
    axes.axvline(0.0, color=INK, linewidth=0.9)
    axes.set_yticks(range(len(names)), [_label(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(below)


def _name_sides(axes: Axes, left: str, right: str) -> None:
    """Say what lies left and right of zero, at the ends of the panel, where no number moves it."""
    at_ends: dict[str, Any] = {"coords": "axes fraction", "color": QUIET, "fontsize": 7.5, "shift": (0, 3)}
    write(axes, f"← {left}", at=(0, 1), ha="left", **at_ends)
    write(axes, f"{right} →", at=(1, 1), ha="right", **at_ends)


def figures(first: Side, second: Side) -> tuple[FigureSpec, ...]:
    """The figures of a comparison.

    Args:
        first: The first model.
        second: The second.

    Returns:
        Their declarations, with the models' names in the captions.
    """
    return (
        FigureSpec(
            "changed_answers", "top", "Which answers changed",
            f"Left: answers that are right {first.where} and wrong {second.where} (1→0); right: the other way round "
            "(0→1), with their numbers. Black marks: how many lucky guesses alone would give, if a model "
        "knows an example or guesses.",
            (("transitions", "category"),), changed_answers, ("category", "changed"), text,
        ),
        FigureSpec(
            "differences", "top", "What differs",
            f"{second.name} minus {first.name}, with {{confidence}} intervals over examples. Hollow: not "
            "distinguishable from zero by the paired test, adjusted for all tests of the comparison.",
            (("drawn_differences", "difference"),), differences, ("measure", "category", "difference"), CHANGE,
        ),
    )  # fmt: skip
