"""The figures that a report of runs and that of a study both show, drawn from frames that both have.

Those are ``changes``, ``measures``, ``loss_curves`` and ``examples``; ``of`` names the run, or the group of a study.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from contested.formats import CHANGE
from contested.report import change_figure
from contested.report.declarations import FigureSpec


def loss_change(changes: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Mean loss change by category, one row per run or group."""
    return change_figure.loss_change(change_figure.groups_of(changes, "of"), narrow=narrow)


FIGURES: tuple[FigureSpec, ...] = (
    FigureSpec(
        "loss_change", "top", "Change of the loss",
        "Mean loss at the last checkpoint minus that at the first (of a group: mean over seeds), with its {confidence} "
        "interval. Right of zero the category was un-learned, left of zero it was learned; an interval across zero "
        "is inconclusive.",
        (("changes", "mean"),), loss_change, ("of", "category", "mean"), CHANGE,
        whole=(
            "Change of the loss",
            "Mean loss at the last checkpoint minus that at the first, with its {confidence} interval. Right of zero "
            "the loss rose, left of zero it fell; an interval across zero is inconclusive.",
        ),
    ),
)  # fmt: skip
