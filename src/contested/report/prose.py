"""The page's own words: titles, captions and notes, with the run's numbers in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from contested.analysis import Analysis
from contested.report.figures import Disagreement, Group, Panel
from contested.report.formats import CHANGE, NATS, SHARE
from contested.trajectories import Trajectory

TITLE = "What fine-tuning did to the examples people disagree on"

CAPTIONS = {
    "figure1_loss_by_category": (
        "Loss by category.",
        "Each line is the mean loss on the gold label over the examples of one category, each band its "
        "{confidence} interval at that checkpoint. A line that ends higher than it began is a category that "
        "was un-learned. Dotted: the loss of guessing every class alike.",
    ),
    "loss_change": (
        "Change of the loss.",
        "Mean loss at the last checkpoint minus that at the first, with its {confidence} interval. Right of "
        "zero the category was un-learned, left of zero it was learned; a bar across zero settles neither.",
    ),
    "people_by_category": (
        "Distance to people.",
        "How far the model's distribution is from the annotators': 0 means that it answers as they do. Read it "
        "beside the loss: where the loss rises and this line falls, the model moves towards people's own "
        "split of answers; where both rise, it moves away from them.",
    ),
    "accuracy_by_category": (
        "Accuracy by category.",
        "The share of examples on which the model's first choice is the gold label, each band its "
        "{confidence} interval. Dotted: the share that guessing every class alike would reach.",
    ),
    "figure3_entropy": (
        "How much people disagree.",
        "Annotation entropy of the tracked examples: 0 where all annotators chose the same label. Dashed: the "
        "bounds of the categories; above each, its share of the examples.",
    ),
}


def lead(trajectories: Sequence[Trajectory]) -> str:
    """One plain sentence that says what the page covers."""
    runs = "one fine-tune" if len(trajectories) == 1 else f"{len(trajectories)} fine-tunes"
    examples = _range(len(run.example_ids) for run in trajectories)
    labels = _range(int(total) for run in trajectories for total in run.required("label_counts").sum(axis=1))
    checkpoints = _range(len(run.steps) for run in trajectories)
    steps = _range(int(run.steps[-1]) for run in trajectories)
    return (
        f"What {runs} did to {examples} tracked examples, each labelled by {labels} people, "
        f"followed over {checkpoints} checkpoints and {steps} optimiser steps."
    )


def notes(trajectories: Sequence[Trajectory], analyses: Sequence[Analysis]) -> list[tuple[str, str]]:
    """How the numbers are made, as pairs of name and text."""
    n_classes = _range(len(run.label_names) for run in trajectories)
    confidence = _joined(_percent(found.confidence) for found in analyses)
    resamples = _joined(f"{found.n_resamples:,}" for found in analyses)
    return [
        (
            "Size",
            f"N = {_range(len(run.example_ids) for run in trajectories)} tracked examples, K = {n_classes} "
            f"classes, T = {_range(len(run.steps) for run in trajectories)} checkpoints. Loss and entropy are in "
            "nats (natural logarithm).",
        ),
        (
            "Entropy H",
            "−Σ p ln p over the shares p of the annotators' labels: 0 where all agree, ln K where they are "
            "split evenly over all classes. It says how much people disagree, before any model.",
        ),
        ("Categories", "Bands of H, in rising order; the histogram above shows their bounds."),
        (
            "Loss ℓ and Δℓ",
            "ℓ is the unweighted cross-entropy of one example against its gold label, which is what most "
            "annotators chose unless the data gives another. Δℓ is ℓ at the last recorded checkpoint minus ℓ at "
            "the first: above 0, the example was un-learned.",
        ),
        (
            "KL(human ‖ model)",
            "Σ p ln (p / q) between the annotators' shares p and the model's probabilities q: 0 when the model "
            "answers as people do.",
        ),
        (
            "ρ",
            "Spearman's rank correlation of H with AULC, the mean of an example's loss over all checkpoints. "
            "Above 0: the more people disagree on an example, the higher its loss over the run.",
        ),
        (
            "Intervals",
            f"{confidence} intervals. Means and ρ: bootstrap over examples, {resamples} resamples; shares: "
            "Wilson. Each is for its one number by itself. They hold the run fixed: how much another seed "
            "would change is not in them.",
        ),
    ]


def summary_note(analyses: Sequence[Analysis]) -> str:
    """What the columns of the summary table are."""
    confidence = _joined(_percent(found.confidence) for found in analyses)
    return (
        f"In brackets: {confidence} intervals over examples. Δℓ: mean loss change from the first to the last "
        "checkpoint. rose: share of examples whose loss rose. ΔKL: mean change of KL(human ‖ model); below 0 is "
        "closer to people. accuracy: on the gold label, at the last checkpoint."
    )


def curves_alt(what: str, panels: Sequence[Panel], *, share: bool = False) -> str:
    """What the lines of a figure do, in words: where each begins and ends."""
    form = SHARE if share else NATS
    return _sentences(
        what,
        {
            panel.title: [
                f"{curve.category} from {form(float(curve.mean[0]))} to {form(float(curve.mean[-1]))}"
                for curve in panel.curves
            ]
            for panel in panels
        },
    )


def change_alt(groups: Sequence[Group]) -> str:
    """The mean loss changes of a figure in words."""
    return _sentences(
        "Mean loss change in nats",
        {group.title: [f"{row.category} {CHANGE(row.mean)}" for row in group.rows] for group in groups},
    )


def entropy_alt(panels: Sequence[Disagreement]) -> str:
    """The shares of the categories in a histogram, in words."""
    return _sentences(
        "Histogram of annotation entropy",
        {
            panel.title: [
                f"{name} {SHARE(float(np.mean(panel.labels == name)) if len(panel.labels) else 0.0)}"
                for name in panel.categories
            ]
            for panel in panels
        },
    )


def _sentences(what: str, parts: Mapping[str, Sequence[str]]) -> str:
    return f"{what}. " + " ".join(f"{title}: {', '.join(found)}." for title, found in parts.items())


def _range(values: Iterable[int], form: Callable[[int], str] = "{:,}".format) -> str:
    found = sorted(set(values))
    if not found:
        return "no"
    return form(found[0]) if len(found) == 1 else f"{form(found[0])} to {form(found[-1])}"


def _joined(texts: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(texts))


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
