"""What the examples of a run are, whatever the run did to them: the same in all runs that track the same ones."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contested.annotations.categories import Categories, recovered
from contested.annotations.certainty import Certainty, category_probabilities, own_probability
from contested.annotations.measures import distributions
from contested.annotations.notes import measure_notes

if TYPE_CHECKING:
    from contested.trajectories import Trajectory


def bands_of_run(trajectory: Trajectory) -> Categories | None:
    """The bands that a run's categories are, of entropy or the measure that it names; None where they are none."""
    categories, counts = trajectory.categories, trajectory.label_counts
    if categories is None or counts is None:
        return None
    measure = trajectory.disagreement
    return recovered(measure.of(counts), categories, trajectory.category_names, disagreement=measure)


def measure_of_run(trajectory: Trajectory) -> list[str]:
    """Say which measure a run's categories are bands of, where it is not entropy: a sentence, or none."""
    if trajectory.categories is None:
        return []
    bands = bands_of_run(trajectory)
    return measure_notes(trajectory.disagreement, () if bands is None else bands.bounds)


def known_of(trajectory: Trajectory, examples: RunExamples | None = None) -> frozenset[str]:
    """Find what a run has of all that measures may need.

    Args:
        trajectory: The run.
        examples: What its examples are, where that is known.

    Returns:
        The names of what it has.
    """
    course, bands = len(trajectory.steps) > 1, (examples or RunExamples(trajectory)).bands is not None
    return trajectory.has | ({"course"} if course else set()) | ({"bands"} if bands else set())


class RunExamples:
    """A run's examples in the order of their ids, so that no result depends on the order given.

    Args:
        trajectory: The run; what it recorded of the examples is not kept.

    Attributes:
        run: The run without what it recorded.
    """

    def __init__(self, trajectory: Trajectory) -> None:
        unknown: dict[str, Any] = dict.fromkeys(("losses", "logits", "gradients", "baseline_losses", "baseline_logits"))
        self.run = replace(trajectory, **unknown, extra={}, metrics=trajectory.metrics.iloc[:0])

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """Their ids, shape (N,), as text, sorted."""
        return np.asarray(self.run.example_ids, dtype=str)[self.order]

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Their row numbers among the run's examples, shape (N,)."""
        return np.argsort(np.asarray(self.run.example_ids, dtype=str), kind="stable")

    @cached_property
    def gold(self) -> NDArray[np.int64] | None:
        """Class index of each example, shape (N,), or None."""
        return ordered(self.run.gold, self.order)

    @cached_property
    def label_counts(self) -> NDArray[np.int64] | None:
        """How many annotators chose each class, shape (N, K), or None."""
        return ordered(self.run.label_counts, self.order)

    @cached_property
    def bands(self) -> Categories | None:
        """The bands that the categories are; None where they are none."""
        return bands_of_run(self.run)

    @cached_property
    def distributions(self) -> NDArray[np.float64]:
        """The annotators' shares of the labels, shape (N, K), where there are annotators."""
        return distributions(self.run.required("label_counts")[self.order])

    @cached_property
    def certainty(self) -> Certainty:
        """The probability of each category for each example, where categories are bands of entropy."""
        assert self.bands is not None, "a category's probability is read only where categories are bands of entropy"
        return category_probabilities(self.run.required("label_counts")[self.order], self.bands)

    @cached_property
    def category_probability(self) -> NDArray[np.float64]:
        """Probability of each example's category given its annotations, shape (N,); NaN where it is unknown."""
        probabilities = self.certainty.probabilities
        assert self.bands is not None
        return own_probability(probabilities, self.run.required("categories")[self.order], self.bands)


def ordered(values: NDArray[Any] | None, order: NDArray[np.intp]) -> NDArray[Any] | None:
    """Values in another order; None where there are none."""
    return None if values is None else values[order]
