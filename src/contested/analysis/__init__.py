"""Arrays in, small typed results out: what a run did to the examples people disagree on."""

from contested.analysis.checks import OVERALL
from contested.analysis.correlation import Correlation, Correlations, Direction, spearman
from contested.analysis.curves import Curve, Curves, correct, mean_curves, share_curves
from contested.analysis.dynamics import aulc, aulc_trapezoid, loss_change
from contested.analysis.intervals import (
    Interval,
    Intervals,
    Verdict,
    difference_interval,
    mean_interval,
    mean_intervals,
    share_interval,
    share_intervals,
    smallest_n,
)
from contested.analysis.people import kl_human, soft_cross_entropy
from contested.analysis.results import Analysis, CategorySize
from contested.analysis.statements import statements
from contested.analysis.summary import analyze
from contested.analysis.unlearning import ChangeRow, Changes, Contrast, change_by_category

__all__ = [
    "OVERALL",
    "Analysis",
    "CategorySize",
    "ChangeRow",
    "Changes",
    "Contrast",
    "Correlation",
    "Correlations",
    "Curve",
    "Curves",
    "Direction",
    "Interval",
    "Intervals",
    "Verdict",
    "analyze",
    "aulc",
    "aulc_trapezoid",
    "change_by_category",
    "correct",
    "difference_interval",
    "kl_human",
    "loss_change",
    "mean_curves",
    "mean_interval",
    "mean_intervals",
    "share_curves",
    "share_interval",
    "share_intervals",
    "smallest_n",
    "soft_cross_entropy",
    "spearman",
    "statements",
]
