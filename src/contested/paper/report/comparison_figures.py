"""The figures that set models, methods and ranks beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from contested.formats import CHANGE, number, p_equation
from contested.paper.report.method_style import CONDITION, by_capacity, marker, method_colors, panel_titles, panels
from contested.paper.report.panel_parts import (
    add_shared_title,
    draw_point,
    limits_with_zero,
    method_key,
    names_at_ends,
)
from contested.report.declarations import FigureSpec
from contested.report.figures import (
    write,
)
from contested.report.style import (
    INK,
    NARROW_WIDTH,
    QUIET,
    WIDTH,
    category_colors,
    new_grid,
    style_context,
)

Floats = NDArray[np.float64]

_RHO = number("+.2f")
_HOLLOW = "Hollow points lack some of their seeds. "


def model_size(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Figure 6 of the paper: ρ by model size and method, decoders beside encoders.

    Args:
        frame: The rows of ``figure6`` that have a ρ.
        narrow: A layout for narrow screens.

    Returns:
        The figure, one panel per dataset: models by rising size, in each one point per method with its interval.
    """
    found = panels(frame, ("dataset",))
    methods = by_capacity(frame["method"].astype(str))
    width, height = (NARROW_WIDTH if narrow else WIDTH), 2.7
    with style_context():
        figure, grid = new_grid(len(found), 1, size=(width, height * len(found) + 0.3), sharey=True)
        for axes, (title, rows) in zip(grid, found, strict=True):
            _draw_sizes(axes, rows, methods, narrow=narrow)
            axes.set_title(title)
            axes.set_ylabel("Spearman ρ(AULC, H)")
        grid[0].set_ylim(*limits_with_zero(*grid))
        for axes in grid:
            axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
        method_key(figure, method_colors(methods))
    return figure


def _size(params: float) -> str:
    if not np.isfinite(params):
        return "size unknown"
    return f"{params / 1e6:,.0f} M" if params >= 1e7 else f"{params / 1e6:.2g} M"


def _draw_sizes(axes: Axes, rows: pd.DataFrame, methods: Sequence[str], *, narrow: bool) -> None:
    colors = method_colors(methods)
    models = rows.drop_duplicates("backbone").sort_values(["decoder", "params"], kind="stable")
    step = min(0.22, 0.75 / len(methods))
    labels = []
    for position, (_, model) in enumerate(models.iterrows()):
        own = rows[rows["backbone"] == model["backbone"]]
        for _, row in own.iterrows():
            method = str(row["method"])
            x = position + step * (methods.index(method) - (len(methods) - 1) / 2)
            draw_point(axes, x, row, "rho_mean", ("rho_low", "rho_high"), colors[method].line, marker(method))
        size = _size(float(model["params"]))
        labels.append(f"{model['backbone']}\n{size}")
    crowded = narrow and len(models) > 4
    axes.set_xticks(range(len(models)), labels, fontsize=7.5, rotation=90 if crowded or len(models) > 8 else 0)
    axes.set_xlim(-0.6, len(models) - 0.4)
    axes.tick_params(axis="x", length=0)
    encoders = int((~models["decoder"].astype(bool)).sum())
    if 0 < encoders < len(models):
        axes.axvline(encoders - 0.5, color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)))
        for text, shift, ha in (("encoders", -4, "right"), ("decoders", 4, "left")):
            at: dict[str, Any] = {"at": (encoders - 0.5, 1.0), "coords": ("data", "axes fraction"), "va": "bottom"}
            write(axes, text, shift=(shift, 2), ha=ha, color=QUIET, fontsize=7.5, **at)


def rank_sweep(frame: pd.DataFrame, trend: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Table 6 of the paper as a picture: ρ and validation accuracy by LoRA rank, full fine-tuning last.

    Args:
        frame: The rows of ``table6`` that have a ρ.
        trend: ``table6_trend``, written at the lines' names.
        narrow: The panels under each other, for narrow screens.

    Returns:
        The figure, one line per model and dataset.
    """
    quantities = {"rho": "Spearman ρ(AULC, H)", "val_accuracy": "validation accuracy"}
    shape, size = ((2, 1), (NARROW_WIDTH, 5.6)) if narrow else ((1, 2), (WIDTH, 3.1))
    ranks = sorted({float(rank) for rank in frame["rank"].dropna()})
    positions = {rank: position for position, rank in enumerate(ranks)}
    full = len(ranks) + 0.4
    lines = panels(frame, ("backbone", "dataset"))
    colors = category_colors([title for title, _ in lines])
    with style_context():
        figure, grid = new_grid(*shape, size=size)
        for axes, (quantity, label) in zip(grid, quantities.items(), strict=True):
            ends: dict[str, float] = {}
            for title, rows in lines:
                shown = rows[rows[quantity].notna()]
                x = np.array([positions.get(float(rank), full) for rank in shown["rank"]])
                y = shown[quantity].to_numpy(np.float64)
                _draw_sweep(axes, x, y, shown, colors[title].line, full)
                if len(y):
                    ends[title] = float(y[-1])
            axes.set_xticks([*positions.values(), full], [f"{rank:g}" for rank in ranks] + ["full"])
            axes.set_xlim(-0.3, full + 0.3)
            axes.set_xlabel("LoRA rank, and full fine-tuning")
            axes.set_ylabel(label)
            if quantity == "val_accuracy":
                axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            names_at_ends(axes, ends, {name: color.text for name, color in colors.items()})
        figure.supxlabel("\n".join(_trends(trend, lines)), x=0.012, ha="left", fontsize=7.5, color=QUIET)
        return add_shared_title(figure, panel_titles(frame, ("backbone", "dataset")).common or lines[0][0])


def _draw_sweep(axes: Axes, x: Floats, y: Floats, rows: pd.DataFrame, color: str, full: float) -> None:
    lora = x < full
    for seed in dict.fromkeys(rows["seed"]):
        own = lora & (rows["seed"] == seed).to_numpy()
        axes.plot(x[own], y[own], "o-", color=color, linewidth=1.4, markersize=4.5)
    if "low" in rows and "high" in rows:
        axes.vlines(x, rows["low"].to_numpy(np.float64), rows["high"].to_numpy(np.float64), color=color, linewidth=1.1)
    axes.plot(x[~lora], y[~lora], "s", color=color, markersize=5)


def _trends(trend: pd.DataFrame, lines: Sequence[tuple[str, pd.DataFrame]]) -> list[str]:
    texts = []
    for title, rows in lines:
        own = trend[(trend["backbone"] == rows["backbone"].iloc[0]) & (trend["dataset"] == rows["dataset"].iloc[0])]
        for _, row in own[own["rank_rho"].notna()].iterrows():
            found = f"{_RHO(row['rank_rho'])} over {row['n_ranks']:.0f} ranks, {p_equation(float(row['p_value']))}"
            texts.append(f"{title}: Spearman of rank with ρ {found}")
    return texts


FIGURES: tuple[FigureSpec, ...] = (
    FigureSpec(
        "figure6_model_size", "disagreement", "Correlation by model size and method",
        "Spearman's ρ of AULC with entropy, mean over seeds with its {confidence} interval. Encoders by "
        "rising size, then decoders. " + _HOLLOW,
        (("figure6", "rho_mean"),), model_size, (*CONDITION, "rho_mean"), CHANGE,
        needs="a condition among the paper's", number="Figure 6",
    ),
    FigureSpec(
        "rank_sweep", "rank", "Correlation and accuracy by LoRA rank",
        "Each point is one run; full fine-tuning stands apart at the right.",
        (("table6", "rho"), ("table6_trend", "rank_rho")), rank_sweep, ("backbone", "method", "rho"), CHANGE,
        needs="runs of the rank sweep", number="Table 6, drawn", optional=("table6_trend",),
    ),
)  # fmt: skip
