"""Arrays in, small typed results out: what a run did to the examples that annotators disagree on."""

from contested.analysis.binning import Bin, aulc_by_bins
from contested.analysis.calibration import (
    CalibrationRow,
    calibration_by_category,
    expected_calibration_error,
    max_confidence,
    prediction_entropy,
)
from contested.analysis.cartography import (
    REGIONS,
    AddedVariance,
    Cartography,
    added_variance,
    cartography,
    overlap,
    regions,
)
from contested.analysis.checks import OVERALL
from contested.analysis.controls import (
    Categorical,
    LabelCorrelation,
    PartialCorrelation,
    Regression,
    Term,
    partial_spearman,
    regression,
    spearman_by_label,
    text_length,
)
from contested.analysis.correlation import Correlation, Correlations, Direction, spearman
from contested.analysis.curves import Curve, Curves, correct, mean_curves, share_curves
from contested.analysis.divergence import kl_divergence, soft_cross_entropy
from contested.analysis.dynamics import (
    aulc,
    aulc_trapezoid,
    aum,
    forgetting_events,
    learning_time,
    loss_change,
    never_learned,
    probability_margin,
)
from contested.analysis.gradient_norms import GradientNorms, NormRow, norms_by_category
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
from contested.analysis.measures import Measure
from contested.analysis.multiple import Adjusted, adjust
from contested.analysis.noise import NoiseShift, noise_shift
from contested.analysis.rank import KendallTau, KendallW, RankTrend, kendall_tau, kendall_w, rank_trend
from contested.analysis.results import Analysis, CategorySize
from contested.analysis.seeds import (
    MixedEffect,
    SeedMean,
    mixed_effect,
    nested_interval,
    nested_mean_interval,
    nested_mean_intervals,
    nested_spearman_interval,
    over_seeds,
)
from contested.analysis.statements import statements
from contested.analysis.summary import analyze
from contested.analysis.unlearning import ChangeRow, Changes, Contrast, change_by_category

__all__ = [
    "OVERALL",
    "REGIONS",
    "AddedVariance",
    "Adjusted",
    "Analysis",
    "Bin",
    "CalibrationRow",
    "Cartography",
    "Categorical",
    "CategorySize",
    "ChangeRow",
    "Changes",
    "Contrast",
    "Correlation",
    "Correlations",
    "Curve",
    "Curves",
    "Direction",
    "GradientNorms",
    "Interval",
    "Intervals",
    "KendallTau",
    "KendallW",
    "LabelCorrelation",
    "Measure",
    "MixedEffect",
    "NoiseShift",
    "NormRow",
    "PartialCorrelation",
    "RankTrend",
    "Regression",
    "SeedMean",
    "Term",
    "Verdict",
    "added_variance",
    "adjust",
    "analyze",
    "aulc",
    "aulc_by_bins",
    "aulc_trapezoid",
    "aum",
    "calibration_by_category",
    "cartography",
    "change_by_category",
    "correct",
    "difference_interval",
    "expected_calibration_error",
    "forgetting_events",
    "kendall_tau",
    "kendall_w",
    "kl_divergence",
    "learning_time",
    "loss_change",
    "max_confidence",
    "mean_curves",
    "mean_interval",
    "mean_intervals",
    "mixed_effect",
    "nested_interval",
    "nested_mean_interval",
    "nested_mean_intervals",
    "nested_spearman_interval",
    "never_learned",
    "noise_shift",
    "norms_by_category",
    "over_seeds",
    "overlap",
    "partial_spearman",
    "prediction_entropy",
    "probability_margin",
    "rank_trend",
    "regions",
    "regression",
    "share_curves",
    "share_interval",
    "share_intervals",
    "smallest_n",
    "soft_cross_entropy",
    "spearman",
    "spearman_by_label",
    "statements",
    "text_length",
]
