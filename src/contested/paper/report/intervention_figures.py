"""The figures of what changes in a run change: learning rates and replaced labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from contested.formats import CHANGE, learning_rate
from contested.paper.report.method_style import marker, method_colors, panel_titles, panels
from contested.paper.report.panel_parts import (
    add_shared_title,
    draw_point,
    limits_with_zero,
    method_key,
)
from contested.report.declarations import FigureSpec
from contested.report.style import (
    INK,
    NARROW_WIDTH,
    QUIET,
    WIDTH,
    CategoryColor,
    new_grid,
    style_context,
)

Floats = NDArray[np.float64]

_HOLLOW = "Hollow points lack some of their seeds. "
_AGAINST = {
    "learning_rate": "learning rate (log scale)",
    "train_loss": "training loss reached (nats), low to the right",
}
_RATED = {"contested_change": "Δℓ of contested (nats)", "rho_mean": "Spearman ρ(AULC, H)"}


def learning_rates(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Δℓ of contested examples and ρ by method, against the learning rate and against the training loss reached.

    Args:
        frame: The rows of ``lr_control`` that have a Δℓ.
        narrow: The panels under each other, for narrow screens.

    Returns:
        The figure; for each model and dataset one row of panels for Δℓ and one for ρ.
    """
    found = panels(frame, ("backbone", "dataset"))
    colors = method_colors(frame["method"].astype(str))
    against = ("learning_rate", "train_loss") if frame["train_loss"].notna().any() else ("learning_rate",)
    columns = 1 if narrow else len(against)
    rows = 2 * len(found) * len(against) // columns
    size = (NARROW_WIDTH if narrow else WIDTH, 2.55 * rows + 0.35)
    with style_context():
        figure, grid = new_grid(rows, columns, size=size, sharey=False if narrow else "row")
        panel = iter(grid)
        for title, own in found:
            for quantity in ("contested_change", "rho_mean"):
                for position, name in enumerate(against):
                    axes = next(panel)
                    _draw_rates(axes, own, name, quantity, colors)
                    if position == 0 and len(found) > 1:
                        axes.set_title(title)
        method_key(figure, colors, lines=True)
        return add_shared_title(figure, panel_titles(frame, ("backbone", "dataset")).common)


def _draw_rates(
    axes: Axes, rows: pd.DataFrame, against: str, quantity: str, colors: Mapping[str, CategoryColor]
) -> None:
    ends = ("low", "high") if quantity == "contested_change" else ("rho_low", "rho_high")
    for method, own in rows.groupby("method", sort=False):
        shown = own[own[against].notna() & own[quantity].notna()].sort_values(against)
        color = colors[str(method)].line
        x = shown[against].to_numpy(np.float64)
        if against == "learning_rate":
            # All methods have the same rates: beside each other, so that no interval hides another.
            x = x * 1.06 ** (list(colors).index(str(method)) - (len(colors) - 1) / 2)
        axes.plot(x, shown[quantity].to_numpy(np.float64), color=color, linewidth=1.2)
        for position, (_, row) in zip(x.tolist(), shown.iterrows(), strict=True):
            draw_point(axes, position, row, quantity, ends, color, marker(str(method)))
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
    axes.set_xlabel(_AGAINST[against])
    axes.set_ylabel(_RATED[quantity])
    if against == "train_loss":
        axes.invert_xaxis()
        return
    rates = sorted(set(rows[against].dropna()))
    axes.set_xscale("log")
    axes.set_xticks(rates, [learning_rate(value) for value in rates])
    axes.xaxis.set_minor_locator(NullLocator())


def noise(frame: pd.DataFrame, summary: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """What replaced labels of clean examples do: the shift of their AULC, and ρ at each rate.

    Args:
        frame: The rows of ``noise`` that have a shift: one run each.
        summary: The rows of ``noise_summary`` that have one: over seeds.
        narrow: The panels under each other, for narrow screens.

    Returns:
        The figure: small hollow points are seeds, large ones their mean with its interval.
    """
    by = ("backbone", "method", "dataset", "noise_rule")
    found = panels(summary if len(summary) else frame, by)
    shape = (2 * len(found), 1) if narrow else (len(found), 2)
    with style_context():
        figure, grid = new_grid(*shape, size=(NARROW_WIDTH if narrow else WIDTH, 2.8 * shape[0] + 0.2))
        for index, (title, whole) in enumerate(found):
            key = whole[list(by)].iloc[0]
            own = frame[(frame[list(by)] == key).all(axis=1)]
            shift, rho = grid[2 * index : 2 * index + 2]
            _draw_noise(shift, own, whole, ("shift", "shift_mean"), ("shift_low", "shift_high"))
            _draw_noise(rho, own, whole, ("rho", "rho_mean"), ("rho_low", "rho_high"))
            _draw_baseline(rho, own, whole)
            shift.set_ylabel("shift of clean AULC (nats)")
            rho.set_ylabel("Spearman ρ(AULC, H)")
            shift.set_title(title if len(found) > 1 else "")
            rates = sorted(set(whole["noise"].astype(float)))
            for axes, ticks in ((shift, rates), (rho, [0.0, *rates])):
                axes.set_ylim(*limits_with_zero(axes))
                axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
                axes.set_xlim(min(ticks) - 0.12, max(ticks) + 0.12)
                axes.set_xticks(ticks, [f"{tick:.0%}" if tick else "none" for tick in ticks])
                axes.set_xlabel("clean training labels replaced")
        return add_shared_title(figure, panel_titles(summary, by).common or found[0][0])


def _draw_noise(
    axes: Axes, seeds: pd.DataFrame, whole: pd.DataFrame, names: tuple[str, str], ends: tuple[str, str]
) -> None:
    one, mean = names
    for share, own in seeds[seeds[one].notna()].groupby("noise"):
        positions = float(str(share)) + 0.025 + 0.012 * np.arange(len(own))
        axes.plot(positions, own[one].to_numpy(np.float64), "o", color=QUIET, markerfacecolor="#ffffff", markersize=4)
    for _, row in whole[whole[mean].notna()].iterrows():
        draw_point(axes, float(row["noise"]), row, mean, ends, INK, "o", size=6.5)


def _draw_baseline(axes: Axes, seeds: pd.DataFrame, whole: pd.DataFrame) -> None:
    plain = seeds.drop_duplicates("seed")["baseline_rho"].dropna().to_numpy(np.float64)
    axes.plot(0.025 + 0.012 * np.arange(len(plain)), plain, "o", color=QUIET, markerfacecolor="#ffffff", markersize=4)
    mean = whole["baseline_rho_mean"].dropna()
    if len(mean):
        axes.plot([0.0], [float(mean.iloc[0])], "o", color=INK, markersize=6.5)


FIGURES: tuple[FigureSpec, ...] = (
    FigureSpec(
        "lr_control", "rate", "Un-learning and correlation by learning rate and by training loss",
        "Left: against the learning rate. Right: the same points against the training loss reached; where"
        " methods with a similar training loss agree, the difference between them was one of amount of "
        "training, not of method. Intervals of Δℓ: {confidence}. " + _HOLLOW,
        (("lr_control", "contested_change"),), learning_rates, ("method", "learning_rate", "contested_change"), CHANGE,
        needs="runs of the learning-rate control",
    ),
    FigureSpec(
        "noise", "interventions", "Replaced labels",
        "Left: how much higher the AULC of clean examples is than in the plain run, all against their "
        "original labels. Right: ρ over all examples. Large points: over seeds, with the {confidence} "
        "interval; small ones: each seed.",
        (("noise", "shift"), ("noise_summary", "shift_mean")), noise, ("noise", "seed", "shift"), CHANGE,
        needs="runs with replaced labels", optional=("noise_summary",),
    ),
)  # fmt: skip
