"""What a run knows of its examples, a few examples at a time: all that a measure is computed from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from contested.analysis.blocks import blocks
from contested.analysis.cartography import Cartography, cartography
from contested.analysis.checks import finite_checkpoints
from contested.analysis.curves import correct
from contested.analysis.run_examples import RunExamples
from contested.annotations.certainty import Certainty

if TYPE_CHECKING:
    from contested.trajectories import Trajectory


class Source:
    """A run's arrays in the order of the example ids, so that no result depends on the order given.

    Every number of an example is its own: examples are measured in blocks, for beside a million of them little else
    fits into memory. What the run lacks raises a ``RunError`` on access.

    Args:
        trajectory: The run.
        examples: What its examples are, where that is known from another run of the same ones.

    Raises:
        DataError: If a loss or a logit is not finite.
    """

    def __init__(self, trajectory: Trajectory, examples: RunExamples | None = None) -> None:
        self.trajectory = trajectory
        self.examples = RunExamples(trajectory) if examples is None else examples
        self.order = self.examples.order
        self.steps = np.asarray(trajectory.steps)
        self.n_classes = len(trajectory.label_names)
        if trajectory.losses is not None:
            finite_checkpoints("losses", trajectory.losses)
        if trajectory.logits is not None:
            finite_checkpoints("logits", trajectory.logits)

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def gold(self) -> NDArray[np.int64]:
        """Class index of each example, shape (N,)."""
        return self._required("gold")

    @cached_property
    def label_counts(self) -> NDArray[np.int64]:
        """How many annotators chose each class, shape (N, K)."""
        return self._required("label_counts")

    def _required(self, name: Literal["gold", "label_counts"]) -> NDArray[Any]:
        found: NDArray[Any] | None = getattr(self.examples, name)
        return self.trajectory.required(name)[self.order] if found is None else found

    @property
    def distributions(self) -> NDArray[np.float64]:
        """The annotators' shares of the labels, shape (N, K)."""
        return self.examples.distributions

    @property
    def certainty(self) -> Certainty:
        """The probability of each category for each example, of a run whose categories are bands of entropy."""
        return self.examples.certainty

    @property
    def category_probability(self) -> NDArray[np.float64]:
        """Probability of each example's category given its annotations, shape (N,); NaN where it is unknown."""
        return self.examples.category_probability

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each checkpoint has the gold label on top, shape (T, N)."""
        right = np.empty((len(self.steps), len(self)), bool)
        for rows in self.blocks():
            right[:, rows] = correct(self.trajectory.required("logits")[:, self.order[rows]], self.gold[rows])
        return right

    @cached_property
    def gradient_norms(self) -> NDArray[np.float64]:
        """Norm of each example's gradient at the last step at which norms were taken, shape (N,)."""
        gradients = self.trajectory.gradients
        assert gradients is not None, "gradients are read only of a run that has them"
        taken = np.flatnonzero(np.isfinite(gradients.norms).any(axis=1))
        return np.asarray(gradients.norms[taken[-1]][self.order])

    def blocks(self, n: int | None = None) -> Iterator[slice]:
        """Cut n examples (all of them without it) into blocks whose logits are few."""
        return blocks(len(self) if n is None else n, len(self.steps) * max(1, self.n_classes))


class Block:
    """Some n of a run's examples, as a measure sees them.

    Args:
        source: The run's arrays.
        rows: Which examples, among those in the order of their ids.
    """

    def __init__(self, source: Source, rows: slice) -> None:
        self._source = source
        self._rows = rows
        self._given = source.order[rows]

    @property
    def steps(self) -> NDArray[np.int64]:
        """Optimiser steps (or epochs) of the checkpoints, shape (T,)."""
        return self._source.steps

    @property
    def n_classes(self) -> int:
        """Classes K."""
        return self._source.n_classes

    @property
    def label_names(self) -> tuple[str, ...]:
        """Class names, in the order of the logits, length K."""
        return self._source.trajectory.label_names

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Loss against the gold label (nats), shape (T, n)."""
        return self._source.trajectory.required("losses")[:, self._given]

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """Shape (T, n, K)."""
        return self._source.trajectory.required("logits")[:, self._given]

    @property
    def baseline_losses(self) -> NDArray[np.float64]:
        """Loss of the untouched model (nats), shape (n,)."""
        found = self._source.trajectory.baseline_losses
        assert found is not None, "a baseline is read only of a run that has one"
        return found[self._given]

    @property
    def gold(self) -> NDArray[np.int64]:
        """Class index, shape (n,)."""
        return self._source.gold[self._rows]

    @property
    def label_counts(self) -> NDArray[np.int64]:
        """How many annotators chose each class, shape (n, K)."""
        return self._source.label_counts[self._rows]

    @property
    def distributions(self) -> NDArray[np.float64]:
        """The annotators' shares of the labels, shape (n, K)."""
        return self._source.distributions[self._rows]

    @property
    def category_probability(self) -> NDArray[np.float64]:
        """Probability of its category given its annotations, shape (n,)."""
        return self._source.category_probability[self._rows]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the gold label has the highest logit, shape (T, n)."""
        return self._source.correct[:, self._rows]

    @cached_property
    def cartography(self) -> Cartography:
        """Confidence, variability and correctness, each of shape (n,)."""
        return cartography(self.logits, self.gold)

    @property
    def gradient_norms(self) -> NDArray[np.float64]:
        """Norm of each example's gradient at the last probed step, shape (n,)."""
        return self._source.gradient_norms[self._rows]
