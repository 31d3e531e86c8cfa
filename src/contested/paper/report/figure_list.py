"""Every figure of a study, one declaration each: which frames it draws, how, and what to say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from contested.paper.report import compare, figures
from contested.paper.report.names import CONDITION, short_runs
from contested.report.formats import CHANGE, NATS, Format

_MOST_SAID = 12


class StudyFigure(NamedTuple):
    """A figure of a study.

    Attributes:
        name: Its file name without ending.
        section: Where it stands on the page.
        number: The paper's number, such as "Figure 1"; empty where the paper has no such figure.
        title: What it shows.
        caption: How to read it.
        needs: What a study must have for it to be drawn.
        frames: The frames it draws, each with the column that a row must have; the first one must have such rows.
        draw: The rows of each frame and whether it is for a phone to the figure.
        said: Columns that name a point and the one that holds it, or "" to count examples: what those hear who do
            not see the figure.
        format: How that number is said.
    """

    name: str
    section: str
    number: str
    title: str
    caption: str
    needs: str
    frames: tuple[tuple[str, str], ...]
    draw: Callable[..., Figure]
    said: tuple[str, ...]
    format: Format = NATS

    @property
    def heading(self) -> str:
        """Number and title."""
        return f"{self.number}. {self.title}" if self.number else self.title

    @property
    def missing(self) -> str:
        """Why it is not drawn."""
        return f"Not drawn: this figure needs {self.needs}, and the study has none that is complete."


def rows_of(figure: StudyFigure, frames: Mapping[str, pd.DataFrame]) -> list[pd.DataFrame]:
    """What a figure draws: of each of its frames the rows that have a number.

    Args:
        figure: The figure.
        frames: The frames by name.

    Returns:
        One frame each, in the figure's order.
    """
    return [frames[name][frames[name][column].notna()] for name, column in figure.frames]


def drawable(figure: StudyFigure, frames: Mapping[str, pd.DataFrame]) -> bool:
    """Whether a figure has anything to draw."""
    return not rows_of(figure, frames)[0].empty


def alt(figure: StudyFigure, rows: pd.DataFrame) -> str:
    """What is in a figure, for those who do not see it: the last value of each line or point."""
    *names, value = figure.said
    last = rows.drop_duplicates(names, keep="last").to_dict("records")
    sizes = rows.groupby(names, dropna=False).size()
    parts = [
        f"{', '.join(str(row[name]) for name in names)} "
        + (figure.format(row[value]) if value else f"{sizes[tuple(row[name] for name in names)]:,} examples")
        for row in last
    ]
    left = f"; and {len(parts) - _MOST_SAID} more" if len(parts) > _MOST_SAID else ""
    return f"{figure.title}. {'; '.join(parts[:_MOST_SAID])}{left}."


def foot(figure: StudyFigure, frames: Mapping[str, pd.DataFrame]) -> list[tuple[str, str]]:
    """The runs behind a figure, what is missing, and the conditions that have nothing to draw."""
    name, column = figure.frames[0]
    frame = frames[name]
    by = [part for part in CONDITION if part in frame]
    drawn = set(frame.loc[frame[column].notna(), by].astype(str).agg(" · ".join, axis=1)) if len(frame) else set()
    asked = dict.fromkeys(frame[by].astype(str).agg(" · ".join, axis=1)) if len(frame) else {}
    absent = [condition for condition in asked if condition not in drawn]
    parts = [("Runs", short_runs(frame)), ("Missing runs", short_runs(frame, "missing"))]
    parts.append(("Not drawn, for lack of a complete run", "; ".join(absent)))
    return [(title, said) for title, said in parts if said]


_MEANS = "Each line is the mean over seeds and over the examples of one category, each band its {confidence} interval. "
_HOLLOW = "Hollow points lack some of their seeds. "

FIGURES: tuple[StudyFigure, ...] = (
    StudyFigure(
        "figure3_entropy", "disagreement", "Figure 3", "How much people disagree",
        "Annotation entropy of the tracked examples: 0 where all annotators chose the same label. Dashed: the bounds "
        "of the "
        "categories; above each, its share of the examples.",
        "a complete run", (("figure3", "entropy"),), figures.entropy_histograms, ("dataset", "category", ""),
    ),
    StudyFigure(
        "figure6_model_size", "disagreement", "Figure 6", "Correlation by model size and method",
        "Spearman's ρ of AULC with entropy, mean over seeds with its {confidence} interval. Encoders by rising size, "
        "then "
        "decoders. " + _HOLLOW,
        "a condition among the paper's", (("figure6", "rho_mean"),), compare.model_size,
        (*CONDITION, "rho_mean"), CHANGE,
    ),
    StudyFigure(
        "figure1_loss_lora", "unlearning", "Figure 1", "Loss by category under LoRA",
        _MEANS + "A line that ends higher than it began is a category that was un-learned.",
        "a condition under LoRA", (("figure1", "mean"),), figures.loss_curves, ("panel", "category", "mean"),
    ),
    StudyFigure(
        "figure2_loss_full", "unlearning", "Figure 2", "Loss by category under full fine-tuning",
        _MEANS + "The same examples as under LoRA.",
        "a condition of full fine-tuning", (("figure2", "mean"),), figures.loss_curves, ("panel", "category", "mean"),
    ),
    StudyFigure(
        "rank_sweep", "rank", "Table 6, drawn", "Correlation and accuracy by LoRA rank",
        "Each point is one run; full fine-tuning stands apart at the right.",
        "runs of the rank sweep", (("table6", "rho"), ("table6_trend", "rank_rho")), compare.rank_sweep,
        ("backbone", "method", "rho"), CHANGE,
    ),
    StudyFigure(
        "lr_control", "rate", "", "Un-learning and correlation by learning rate and by training loss",
        "Left: against the learning rate. Right: the same points against the training loss reached; where methods of "
        "a like "
        "training loss agree, the difference between them was one of amount of training, not of method. Intervals of "
        "Δℓ: "
        "{confidence}. " + _HOLLOW,
        "runs of the learning-rate control", (("lr_control", "contested_change"),), compare.learning_rates,
        ("method", "learning_rate", "contested_change"), CHANGE,
    ),
    StudyFigure(
        "figure5_binning", "robustness", "Figure 5", "AULC by other bins of entropy",
        "Mean AULC of each bin with its {confidence} interval, entropy rising to the right: the paper's fixed bounds, "
        "quartiles and terciles.",
        "a condition under LoRA", (("figure5", "aulc_mean"),), figures.binning, ("panel", "scheme", "bin", "aulc_mean"),
    ),
    StudyFigure(
        "noise", "interventions", "", "Replaced labels",
        "Left: how much higher the AULC of clean examples is than in the plain run, all against their original "
        "labels. Right: "
        "ρ over all examples. Large points: over seeds, with the {confidence} interval; small ones: each seed.",
        "runs with replaced labels", (("noise", "shift"), ("noise_summary", "shift_mean")), compare.noise,
        ("noise", "seed", "shift"), CHANGE,
    ),
    StudyFigure(
        "figure4_gradient_norms", "mechanism", "Figure 4", "Gradient norms by category",
        "Each point is one example's gradient norm over the trainable weights of the trained model; boxes: quartiles, "
        "whiskers: 5th and 95th percentile.",
        "runs with gradient norms", (("figure4", "norm"), ("figure4_tests", "panel")), figures.gradient_norms,
        ("panel", "category", ""),
    ),
    StudyFigure(
        "figure7_cartography", "mechanism", "Figure 7", "Cartography",
        "Each point is an example: how sure the model is of its gold label over training, and how much that varies. "
        "Dashed: the "
        "medians that part the regions. Right: the regions of each category's examples.",
        "a condition among the paper's", (("figure7", "confidence"), ("figure7_overlap", "share")), figures.cartography,
        ("dataset", "category", ""),
    ),
    StudyFigure(
        "figure8_gradient_alignment", "mechanism", "Figure 8", "Alignment of gradients",
        "Cosine of the mean gradients of clean and of contested examples: 1 where a step for one is a step for the "
        "other, below 0 "
        "where they oppose each other. A gap: one of the gradients was exactly zero.",
        "runs with gradient alignment", (("figure8", "cosine"),), compare.gradient_alignment,
        ("panel", "seed", "cosine"), CHANGE,
    ),
    StudyFigure(
        "figure9_calibration", "mechanism", "Figure 9", "Calibration by category",
        "At the last checkpoint, means over seeds: entropy of the prediction with its {confidence} interval, its "
        "highest "
        "probability, and expected calibration error. " + _HOLLOW,
        "a condition among the paper's", (("figure9", "prediction_entropy"),), figures.calibration,
        (*CONDITION, "category", "prediction_entropy"),
    ),
)  # fmt: skip

SECTIONS: Sequence[tuple[str, str]] = (
    ("disagreement", "Does disagreement go with loss?"),
    ("unlearning", "Are contested examples un-learned?"),
    ("rank", "Does it grow with rank?"),
    ("rate", "Or with the learning rate?"),
    ("robustness", "Does it survive controls?"),
    ("interventions", "What if the labels change?"),
    ("mechanism", "What goes on inside?"),
    ("dynamics", "When are examples learned and forgotten?"),
    ("runs", "Every run and every test"),
)
