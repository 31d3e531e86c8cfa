"""The figures that set methods, ranks, learning rates and interventions beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import NDArray

from contested.paper.report.figures import say_common
from contested.paper.report.names import (
    by_capacity,
    marker,
    method_colors,
    panel_titles,
    panels,
    rate,
    seeds_note,
    wrapped,
)
from contested.report.figures import layout, spread, title_length, write
from contested.report.formats import p_value
from contested.report.style import (
    INK,
    NARROW_WIDTH,
    QUIET,
    WIDTH,
    CategoryColor,
    category_colors,
    look,
    new_axes,
    new_grid,
)

Floats = NDArray[np.float64]

_LINE_GAP = 0.085  # between the labels of two lines, as a share of the panel
_MOST_NAMES = 10  # at the ends of lines in one panel


def model_size(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Figure 6 of the paper: ρ by model size and method, decoders beside encoders.

    Args:
        frame: The rows of ``figure6`` that have a ρ.
        narrow: For a phone.

    Returns:
        The figure, one panel a dataset: models by rising size, in each one point a method with its interval.
    """
    found = panels(frame, ("dataset",))
    methods = by_capacity(frame["method"].astype(str))
    width, height = (NARROW_WIDTH if narrow else WIDTH), 2.7
    with look():
        figure, grid = new_grid(len(found), 1, size=(width, height * len(found) + 0.3), sharey=True)
        for axes, (title, rows) in zip(grid, found, strict=True):
            _draw_sizes(axes, rows, methods, narrow=narrow)
            axes.set_title(title)
            axes.set_ylabel("Spearman ρ(AULC, H)")
        grid[0].set_ylim(*_with_zero(*grid))
        for axes in grid:
            axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
        _key(figure, method_colors(methods))
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
    for place, (_, model) in enumerate(models.iterrows()):
        own = rows[rows["backbone"] == model["backbone"]]
        for _, row in own.iterrows():
            method = str(row["method"])
            x = place + step * (methods.index(method) - (len(methods) - 1) / 2)
            _point(axes, x, row, "rho_mean", ("rho_low", "rho_high"), colors[method].line, marker(method))
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


def _point(
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
    """A value with its interval; hollow where not all of the runs asked for are there."""
    if all(end in row and np.isfinite(float(row[end])) for end in ends):
        axes.plot([x, x], [row[ends[0]], row[ends[1]]], color=color, linewidth=1.4)
    face = "#ffffff" if seeds_note(row.to_dict()) else color
    axes.plot([x], [row[value]], marker=shape, color=color, markerfacecolor=face, markersize=size, linestyle="")


def _with_zero(*grid: Axes) -> tuple[float, float]:
    """Limits that hold zero and every point of the panels whole."""
    low = min(0.0, *(float(axes.dataLim.y0) for axes in grid))
    high = max(0.0, *(float(axes.dataLim.y1) for axes in grid))
    room = 0.06 * ((high - low) or 1.0)
    return low - (room if low < 0 else 0.0), high + room


def _key(figure: Figure, colors: Mapping[str, CategoryColor], *, lines: bool = False) -> None:
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


def rank_sweep(frame: pd.DataFrame, trend: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Table 6 of the paper as a picture: ρ and validation accuracy by LoRA rank, full fine-tuning last.

    Args:
        frame: The rows of ``table6`` that have a ρ.
        trend: ``table6_trend``, written at the lines' names.
        narrow: The panels under each other, for a phone.

    Returns:
        The figure, one line a model and dataset.
    """
    quantities = {"rho": "Spearman ρ(AULC, H)", "val_accuracy": "validation accuracy"}
    shape, size = ((2, 1), (NARROW_WIDTH, 5.6)) if narrow else ((1, 2), (WIDTH, 3.1))
    ranks = sorted({float(rank) for rank in frame["rank"].dropna()})
    places = {rank: place for place, rank in enumerate(ranks)}
    full = len(ranks) + 0.4
    lines = panels(frame, ("backbone", "dataset"))
    colors = category_colors([title for title, _ in lines])
    with look():
        figure, grid = new_grid(*shape, size=size)
        for axes, (quantity, label) in zip(grid, quantities.items(), strict=True):
            ends: dict[str, float] = {}
            for title, rows in lines:
                shown = rows[rows[quantity].notna()]
                x = np.array([places.get(float(rank), full) for rank in shown["rank"]])
                y = shown[quantity].to_numpy(np.float64)
                _draw_sweep(axes, x, y, shown, colors[title].line, full)
                if len(y):
                    ends[title] = float(y[-1])
            axes.set_xticks([*places.values(), full], [f"{rank:g}" for rank in ranks] + ["full"])
            axes.set_xlim(-0.3, full + 0.3)
            axes.set_xlabel("LoRA rank, and full fine-tuning")
            axes.set_ylabel(label)
            if quantity == "val_accuracy":
                axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            _names_at_ends(axes, ends, {name: color.text for name, color in colors.items()})
        figure.supxlabel("\n".join(_trends(trend, lines)), x=0.012, ha="left", fontsize=7.5, color=QUIET)
        return say_common(figure, panel_titles(frame, ("backbone", "dataset")).common or lines[0][0])


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
            found = f"{row['rank_rho']:+.2f} over {row['n_ranks']:.0f} ranks, p {p_value(float(row['p_value']))}"
            texts.append(f"{title}: Spearman of rank with ρ {found}")
    return texts


def _names_at_ends(axes: Axes, ends: Mapping[str, float], colors: Mapping[str, str]) -> None:
    """Each line's name right of the panel, where the line ends; a key where there are too many."""
    if not 1 < len(ends) <= _MOST_NAMES:
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    wanted = {name: (value - low) / ((high - low) or 1.0) for name, value in ends.items()}
    for name, place in spread(wanted, _LINE_GAP).items():
        write(
            axes, name, at=(1.0, place), shift=(5, 0), coords="axes fraction", va="center", color=colors[name],
            fontsize=8,
        )  # fmt: skip


def gradient_alignment(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Figure 8 of the paper: the cosine of the mean gradients of clean and contested examples over training.

    Args:
        frame: The rows of ``figure8`` that have a step.
        narrow: One panel in a row, for a phone.

    Returns:
        The figure, one panel a model and dataset, one line a run; a gap where a gradient was exactly zero.
    """
    found = panels(frame, ("backbone", "dataset"))
    colors = method_colors(frame["method"].astype(str))
    width, columns = layout(len(found), narrow)
    low = min(float(frame["cosine"].min()), 0.0)
    with look():
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
            _names_at_ends(axes, ends if len(ends) > 1 else {}, {name: color.text for name, color in colors.items()})
        common = panel_titles(frame, ("backbone", "dataset")).common
        only = next(iter(colors)) if len(colors) == 1 else ""
        return say_common(figure, " · ".join(part for part in (common, only) if part))


def learning_rates(frame: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Δℓ of contested examples and ρ by method, against the learning rate and against the training loss reached.

    Args:
        frame: The rows of ``lr_control`` that have a Δℓ.
        narrow: The panels under each other, for a phone.

    Returns:
        The figure; for each model and dataset one row of panels for Δℓ and one for ρ.
    """
    found = panels(frame, ("backbone", "dataset"))
    colors = method_colors(frame["method"].astype(str))
    against = ("learning_rate", "train_loss") if frame["train_loss"].notna().any() else ("learning_rate",)
    columns = 1 if narrow else len(against)
    rows = 2 * len(found) * len(against) // columns
    size = (NARROW_WIDTH if narrow else WIDTH, 2.55 * rows + 0.35)
    with look():
        figure, grid = new_grid(rows, columns, size=size, sharey=False if narrow else "row")
        panel = iter(grid)
        for title, own in found:
            for quantity in ("contested_change", "rho_mean"):
                for place, name in enumerate(against):
                    axes = next(panel)
                    _draw_rates(axes, own, name, quantity, colors)
                    if place == 0 and len(found) > 1:
                        axes.set_title(title)
        _key(figure, colors, lines=True)
        return say_common(figure, panel_titles(frame, ("backbone", "dataset")).common)


_AGAINST = {
    "learning_rate": "learning rate (log scale)",
    "train_loss": "training loss reached (nats), low to the right",
}
_RATED = {"contested_change": "Δℓ of contested (nats)", "rho_mean": "Spearman ρ(AULC, H)"}


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
        for place, (_, row) in zip(x.tolist(), shown.iterrows(), strict=True):
            _point(axes, place, row, quantity, ends, color, marker(str(method)))
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
    axes.set_xlabel(_AGAINST[against])
    axes.set_ylabel(_RATED[quantity])
    if against == "train_loss":
        axes.invert_xaxis()
        return
    rates = sorted(set(rows[against].dropna()))
    axes.set_xscale("log")
    axes.set_xticks(rates, [rate(value) for value in rates])
    axes.xaxis.set_minor_locator(NullLocator())


def noise(frame: pd.DataFrame, summary: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """What replaced labels of clean examples do: the shift of their AULC, and ρ at each rate.

    Args:
        frame: The rows of ``noise`` that have a shift: one run each.
        summary: The rows of ``noise_summary`` that have one: over seeds.
        narrow: The panels under each other, for a phone.

    Returns:
        The figure: small hollow points are seeds, large ones their mean with its interval.
    """
    by = ("backbone", "method", "dataset", "noise_rule")
    found = panels(summary if len(summary) else frame, by)
    shape = (2 * len(found), 1) if narrow else (len(found), 2)
    with look():
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
                axes.set_ylim(*_with_zero(axes))
                axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
                axes.set_xlim(min(ticks) - 0.12, max(ticks) + 0.12)
                axes.set_xticks(ticks, [f"{tick:.0%}" if tick else "none" for tick in ticks])
                axes.set_xlabel("clean training labels replaced")
        return say_common(figure, panel_titles(summary, by).common or found[0][0])


def _draw_noise(
    axes: Axes, seeds: pd.DataFrame, whole: pd.DataFrame, names: tuple[str, str], ends: tuple[str, str]
) -> None:
    one, mean = names
    for share, own in seeds[seeds[one].notna()].groupby("noise"):
        places = float(str(share)) + 0.025 + 0.012 * np.arange(len(own))
        axes.plot(places, own[one].to_numpy(np.float64), "o", color=QUIET, markerfacecolor="#ffffff", markersize=4)
    for _, row in whole[whole[mean].notna()].iterrows():
        _point(axes, float(row["noise"]), row, mean, ends, INK, "o", size=6.5)


def _draw_baseline(axes: Axes, seeds: pd.DataFrame, whole: pd.DataFrame) -> None:
    plain = seeds.drop_duplicates("seed")["baseline_rho"].dropna().to_numpy(np.float64)
    axes.plot(0.025 + 0.012 * np.arange(len(plain)), plain, "o", color=QUIET, markerfacecolor="#ffffff", markersize=4)
    mean = whole["baseline_rho_mean"].dropna()
    if len(mean):
        axes.plot([0.0], [float(mean.iloc[0])], "o", color=INK, markersize=6.5)
