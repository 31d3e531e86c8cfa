"""Every figure of a report of runs: how it is drawn from the frames, and its declaration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from contested.formats import CHANGE, NATS, SHARE
from contested.report import alert_figure, annotators_figure, common_figures, data_map, decomposition, figures, matched
from contested.report.declarations import FigureSpec


def loss_by_category(curves: pd.DataFrame, runs: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Mean loss of each category over training, one panel per run."""
    return figures.loss_by_category(_panels(curves, runs), narrow=narrow)


def kl_by_category(curves: pd.DataFrame, runs: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Distance to the annotators' distribution over training, one panel per run."""
    return figures.kl_by_category(_panels(curves, runs), narrow=narrow)


def accuracy_by_category(curves: pd.DataFrame, runs: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Accuracy of each category over training, one panel per run."""
    return figures.accuracy_by_category(_panels(curves, runs), narrow=narrow)


def _panels(curves: pd.DataFrame, runs: pd.DataFrame) -> list[figures.Panel]:
    n_classes = dict(zip(runs["run"], runs["n_classes"].astype(int), strict=True))
    others = runs.loc[runs["step_unit"] != "step"]
    units = {str(run): f"{unit}s" for run, unit in zip(others["run"], others["step_unit"], strict=True)}
    panels = figures.curve_panels(curves, "run", units)
    return [panel._replace(n_classes=n_classes[panel.title] or None) for panel in panels]


def entropy(examples: pd.DataFrame, categories: pd.DataFrame, runs: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """How annotation entropy is distributed, one panel for each different set of tracked examples."""
    panels: dict[tuple[object, ...], figures.Disagreement] = {}
    n_classes = dict(zip(runs["run"], runs["n_classes"].astype(int), strict=True))
    for run, rows in examples[examples["entropy"].notna()].groupby("run", sort=False):
        sizes = categories[(categories["run"] == run) & (categories["category"] != "overall")]
        values, labels = rows["entropy"].to_numpy(np.float64), rows["category"].to_numpy(object)
        names = tuple(sizes["category"].astype(str))
        bounds = figures.bounds_between(values, labels, names, float(np.log(n_classes[str(run)])))
        panel = figures.Disagreement(str(run), values, labels, names, bounds, n_classes[str(run)])
        panels.setdefault((names, values.tobytes(), *labels), panel)
    return figures.entropy_histogram(list(panels.values()), narrow=narrow)


_ENDS = ("run", "category", "mean")

FIGURES: tuple[FigureSpec, ...] = (
    *common_figures.FIGURES,
    FigureSpec(
        "loss_by_category", "happened", "Loss by category",
        "Each line is the mean loss on the gold label over the examples of one category, each band its {confidence} "
        "interval at that checkpoint. A line that ends higher than it began is a category that was un-learned.",
        (("loss_curves", "mean"), ("runs", "run")), loss_by_category, _ENDS, NATS,
        legend=(("n_classes", "Dotted: the loss of a uniform guess."),),
        whole=(
            "Loss",
            "The line is the mean loss on the gold label over all examples, the band its {confidence} interval at that "
            "checkpoint.",
        ),
    ),
    FigureSpec(
        "rise_above_start", "happened", "The alert: loss above its start",
        "Lines: mean loss minus that at the first checkpoint. Shades reach down to the lower bound of the expected "
        "rise; all bounds hold together in 95% of runs (unless set otherwise). A point marks an alarm: the first "
        "checkpoint whose bound lies above 0.02 nats.",
        (("alert_looks", "estimate", "low"), ("runs", "run")), alert_figure.rise_above_start,
        ("run", "category", "estimate"), CHANGE,
    ),
    matched.RUNS_FIGURE,
    FigureSpec(
        "kl_by_category", "annotators", "Distance to the annotators' distribution",
        "KL(annotators ‖ model): 0 means that the model answers as the annotators do. Read it beside the loss: where "
        "the loss rises and this line falls, the model moves towards the annotators' own split of answers; where both "
        "rise, it moves away from them.",
        (("kl_curves", "mean"), ("runs", "run")), kl_by_category, _ENDS, NATS,
    ),
    decomposition.FIGURE._replace(
        caption=f"{decomposition.FIGURE.caption} Of more than {decomposition.MOST} runs the first are drawn."
    ),
    FigureSpec(
        "accuracy_by_category", "happened", "Accuracy by category",
        "The share of examples on which the model's first choice is the gold label, each band its {confidence} "
        "interval. Dotted: the share that a uniform guess would reach.",
        (("accuracy_curves", "mean"), ("runs", "run")), accuracy_by_category, _ENDS, SHARE,
        whole=(
            "Accuracy",
            "The share of examples on which the model's first choice is the gold label, with its {confidence} "
            "interval. Dotted: the share that a uniform guess would reach.",
        ),
    ),
    FigureSpec(
        "data_map", "disagreement", "The data map",
        "A point is an example: up, the mean over the checkpoints of the gold label's probability; right, how much "
        "that varies. Dashed: the medians that part the regions of dataset cartography. Ambiguous there is an example "
        "on which the model wavers, whatever annotators say; the table of regions counts both.",
        (("examples", "confidence", "variability", "region"), ("categories", "n")), data_map.data_map,
        ("run", "category", ""),
        whole=(
            "The data map",
            "A point is an example: up, the mean over the checkpoints of the gold label's probability; right, how much "
            "that varies. Dashed: the medians that part the regions of dataset cartography.",
        ),
    ),
    FigureSpec(
        "few_annotators", "disagreement", "With fewer annotators",
        "ρ(AULC, H) where H is that of some of each example's annotators, drawn without replacement: hollow points are "
        "means over draws with their standard deviation, full ones are corrected for attenuation. Where the full ones "
        "lie level, so many annotators are enough to estimate ρ, if not to see it.",
        (("few_annotators", "annotators", "rho"),), annotators_figure.few_annotators, ("run", "annotators", "rho"),
        CHANGE,
    ),
    FigureSpec(
        "entropy", "disagreement", "How much annotators disagree",
        "Annotation entropy of the tracked examples with two annotations or more: 0 where all annotators chose the "
        "same label. Dashed: the bounds "
        "of the categories; above each, its share of the examples.",
        (("examples", "entropy", "category"), ("categories", "n"), ("runs", "run")), entropy, ("run", "category", ""),
    ),
)  # fmt: skip
