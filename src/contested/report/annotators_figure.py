"""The figure of few annotators: the correlation with entropy that some of them would have shown, and corrected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contested.report.figures import layout, title_length
from contested.report.labels import wrapped
from contested.report.style import INK, QUIET, new_axes, style_context


def few_annotators(rows: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """ρ(AULC, H) by the number of annotators, one panel per run.

    Args:
        rows: Rows with run, annotators and rho, and where there are any rho_sd and rho_corrected.
        narrow: One panel in a row, for narrow screens.

    Returns:
        The figure: hollow points with the standard deviation over draws, full ones corrected for attenuation.
    """
    panels = [(str(run), own) for run, own in rows.groupby("run", sort=False)]
    numbers = [*dict.fromkeys(rows.loc[rows["annotators"] != "all", "annotators"]), "all"]
    places = {name: place for place, name in enumerate(sorted(numbers, key=_rising))}
    width, columns = layout(len(panels), narrow)
    with style_context():
        figure, grid = new_axes(len(panels), height=2.6, columns=columns, width=width)
        for index, (axes, (run, own)) in enumerate(zip(grid, panels, strict=True)):
            _draw(axes, own, own["annotators"].map(places).to_numpy(np.float64))
            axes.set_xticks(list(places.values()), list(places))
            axes.set_xlim(-0.5, len(places) - 0.5)
            axes.set_title(wrapped(run, title_length(width, columns)))
            axes.set_xlabel("annotators per example")
            axes.set_ylabel("Spearman ρ(AULC, H)" if index % columns == 0 else "")
        grid[0].legend(frameon=False, fontsize=7.5)
    return figure


def _rising(name: str) -> float:
    return np.inf if name == "all" else float(name)


def _draw(axes: Axes, rows: pd.DataFrame, x: Any) -> None:
    axes.axhline(0.0, color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    shown: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 5}
    sd = rows["rho_sd"].fillna(0.0)
    axes.errorbar(x - 0.08, rows["rho"], yerr=sd, color=QUIET, markerfacecolor="#ffffff", label="as counted", **shown)
    axes.plot(x + 0.08, rows["rho_corrected"], color=INK, label="corrected for attenuation", **shown)
