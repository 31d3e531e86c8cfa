"""Which figures a report has, what is drawn in them, and their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from contested.analysis import OVERALL, Curve
from contested.annotations.categories import FIXED
from contested.report import figures, prose
from contested.report.html import Picture, color_variables
from contested.report.runs import Run, all_categories
from contested.report.style import inline_svg, save_figure
from contested.trajectories import Trajectory


class Drawing(NamedTuple):
    """A figure to be: its file name, how to draw it wide or narrow, and what is in it."""

    name: str
    draw: Callable[[bool], Figure]
    alt: str


def draw_pictures(runs: Sequence[Run], folder: Path) -> tuple[list[Picture], list[Path]]:
    """Draw every figure, save it as PDF and PNG, and give it for the page.

    Args:
        runs: The runs.
        folder: Where the files go; made where missing.

    Returns:
        The figures in reading order, and the paths written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variables = color_variables(all_categories(runs))
    confidence = f"{100 * runs[0].analysis.confidence:g}%"
    pictures: list[Picture] = []
    written: list[Path] = []
    for name, draw, alt in _drawings(runs):
        wide, narrow = draw(False), draw(True)
        written += save_figure(wide, folder / name)
        title, caption = prose.CAPTIONS[name]
        svgs = (inline_svg(wide, f"{name}-wide", variables), inline_svg(narrow, f"{name}-narrow", variables))
        pictures.append(Picture(name, title, caption.format(confidence=confidence), alt, *svgs))
    return pictures, written


def _drawings(runs: Sequence[Run]) -> list[Drawing]:
    loss = [_panel(run, run.analysis.curves.loss) for run in runs]
    people = [_panel(run, run.analysis.curves.kl) for run in runs]
    accuracy = [_panel(run, run.analysis.curves.accuracy) for run in runs]
    changes = [figures.Group(run.name, run.analysis.unlearning.rows) for run in runs if run.analysis.unlearning]
    entropy = disagreements(runs)
    return [
        Drawing(
            "figure1_loss_by_category",
            lambda narrow: figures.loss_by_category(loss, narrow=narrow),
            prose.curves_alt("Mean loss in nats over training", loss),
        ),
        Drawing(
            "loss_change",
            lambda narrow: figures.loss_change(changes, narrow=narrow),
            prose.change_alt(changes),
        ),
        Drawing(
            "people_by_category",
            lambda narrow: figures.people_by_category(people, narrow=narrow),
            prose.curves_alt("Mean KL(annotators ‖ model) in nats over training", people),
        ),
        Drawing(
            "accuracy_by_category",
            lambda narrow: figures.accuracy_by_category(accuracy, narrow=narrow),
            prose.curves_alt("Accuracy over training", accuracy, share=True),
        ),
        Drawing(
            "figure3_entropy",
            lambda narrow: figures.entropy_histogram(entropy, narrow=narrow),
            prose.entropy_alt(entropy),
        ),
    ]


def _panel(run: Run, curves: Sequence[Curve]) -> figures.Panel:
    shown = tuple(curve for curve in curves if curve.category != OVERALL)
    return figures.Panel(run.name, run.analysis.steps, shown, run.analysis.n_classes)


def disagreements(runs: Sequence[Run]) -> list[figures.Disagreement]:
    """One panel for each different set of tracked examples: most often all runs share one."""
    panels: dict[tuple[object, ...], figures.Disagreement] = {}
    for name, run, _ in runs:
        entropy, categories = run.required("entropy"), run.required("categories")
        key = (run.category_names, entropy.tobytes(), *categories)
        panel = figures.Disagreement(
            name, entropy, categories, run.category_names, category_bounds(run), len(run.label_names)
        )
        panels.setdefault(key, panel)
    return list(panels.values())


def category_bounds(trajectory: Trajectory) -> tuple[float, ...]:
    """Where one category of a run ends and the next begins (nats), length C - 1."""
    limit = float(np.log(len(trajectory.label_names)))
    entropy, categories = trajectory.required("entropy"), trajectory.required("categories")
    return bounds_between(entropy, categories, trajectory.category_names, limit)


def bounds_between(
    entropy: NDArray[np.float64], labels: NDArray[np.object_], names: tuple[str, ...], limit: float
) -> tuple[float, ...]:
    """Where one category ends and the next begins (nats).

    The paper's bounds where they explain the categories; otherwise each is the least entropy found
    above it, which is exact for quantiles and within the data's own gap for any other scheme.

    Args:
        entropy: Shape (N,), nats.
        labels: Each example's category, shape (N,).
        names: Category names in order of rising entropy, length C.
        limit: The bound above which nothing is found.

    Returns:
        The bounds, rising, length C - 1.
    """
    if names == FIXED.names and np.array_equal(FIXED.assign(entropy), labels.astype(str)):
        return FIXED.bounds
    least = [entropy[labels == name].min(initial=limit) for name in names]
    return tuple(float(min(least[index:])) for index in range(1, len(names)))
