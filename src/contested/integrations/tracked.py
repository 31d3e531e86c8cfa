"""What is followed while somebody else trains, and the order of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import nn

from contested.annotations.categories import Categories, fixed_categories
from contested.annotations.disagreement import PLAIN, Disagreement
from contested.errors import ConfigError
from contested.trajectories.label_order import contradicted_order


class Outputs(NamedTuple):
    """What a pass found of n examples, in the order in which they were asked for.

    Attributes:
        losses: Nats, shape (n,).
        logits: Shape (n, K), or None where the examples have no classes.
        extra: Further values of each example to record, by column name, each of shape (n,).
    """

    losses: NDArray[np.float64]
    logits: NDArray[np.float32] | None
    extra: Mapping[str, NDArray[np.float64]] = {}


@runtime_checkable
class Tracked(Protocol):
    """N examples that are followed while somebody else trains, and how a model answers them.

    An implementation knows neither when it is asked nor who trains: modes, gradients and random states are the
    caller's affair.
    """

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids, unique, (N,)."""
        ...

    @property
    def gold(self) -> NDArray[np.int64] | None:
        """Class indices in the order of the logits, (N,), or None where there are no classes."""
        ...

    @property
    def label_counts(self) -> NDArray[np.int64] | None:
        """How many annotators chose each class, (N, K), in the order of ``label_names``, or None."""
        ...

    @property
    def label_names(self) -> tuple[str, ...]:
        """The classes of ``label_counts``; empty without annotators."""
        ...

    @property
    def texts(self) -> Mapping[str, Sequence[str]]:
        """Text columns by name, N texts each."""
        ...

    @property
    def covariates(self) -> Mapping[str, NDArray[Any]]:
        """Further columns of the example table by name, (N,) each."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How many were given, and how many were left out and why, for the manifest."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of everything that decides what is recorded; the same on every machine."""
        ...

    def names(self, model: nn.Module) -> tuple[str, ...]:
        """The classes in the order of the model's logits; a ConfigError where unknown; empty without logits."""
        ...

    def outputs(self, model: nn.Module, rows: NDArray[np.int64], *, processing_class: Any, batch_size: int) -> Outputs:
        """Answer the examples ``rows`` with the model as it stands.

        How often the model is called depends on ``len(rows)`` and ``batch_size`` alone: processes that share a
        model's weights call it together.
        """
        ...


def check_order(tracked: Tracked, names: tuple[str, ...]) -> None:
    """Refuse an order of the classes that gold labels and annotators contradict.

    Args:
        tracked: The examples.
        names: The classes in the order of the logits.

    Raises:
        ConfigError: If gold labels and annotators only agree with the classes in another order.
    """
    counts = counts_in_order(tracked, names)
    if tracked.gold is None or counts is None or not names:
        return
    if problem := contradicted_order(tracked.gold, counts, names):
        raise ConfigError(
            "The labels of the tracked examples and their annotations contradict each other: "
            f"{problem}, by label_names or the model's id2label, or make the labels again in this order. "
            "Where labels are wrong on purpose, give check_label_order=False."
        )


def counts_in_order(tracked: Tracked, names: tuple[str, ...]) -> NDArray[np.int64] | None:
    """Annotators' label counts (N, K) in the order of the logits; as they are where there are no logits.

    Args:
        tracked: The examples.
        names: The classes in the order of the logits; empty without logits.

    Returns:
        The counts, or None without annotators.
    """
    if tracked.label_counts is None or not names:
        return tracked.label_counts
    return tracked.label_counts[:, [tracked.label_names.index(name) for name in names]]


def categories_in_order(tracked: Tracked, names: tuple[str, ...]) -> Categories:
    """Return the fixed bands of the examples' measure, its scale in the order of the logits.

    Args:
        tracked: The examples; a ``disagreement`` that they have is their measure, entropy without one.
        names: The classes in the order of the logits; empty without logits.

    Returns:
        The categories.
    """
    measure: Disagreement = getattr(tracked, "disagreement", PLAIN)
    return fixed_categories(
        measure.reordered([tracked.label_names.index(name) for name in names or tracked.label_names])
    )


def measured(tracked: Tracked) -> list[Any]:
    """What a fingerprint says of the measure of the categories: nothing where that is entropy."""
    measure: Disagreement = getattr(tracked, "disagreement", PLAIN)
    return [measure.to_json()] if measure.by != "entropy" else []
