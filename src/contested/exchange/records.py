"""What another tool recorded: of one example at one checkpoint, as rows of columns, or as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Record(NamedTuple):
    """What was recorded of one example at one checkpoint.

    Attributes:
        example_id: The example's id.
        logits: One number per class, or None.
        loss: Cross-entropy against the gold label in nats, or None.
        gold: Class index or class name, or None.
        probabilities: One number per class in place of ``logits``, or None.
        epoch: Epochs done at the checkpoint, where its number counts steps, or None.
    """

    example_id: str
    logits: Sequence[float] | None = None
    loss: float | None = None
    gold: int | str | None = None
    probabilities: Sequence[float] | None = None
    epoch: float | None = None


class Rows(NamedTuple):
    """Records of any examples and checkpoints, as n rows of columns; each column but the first two may be missing.

    Attributes:
        steps: The number of each row's checkpoint, shape (n,).
        ids: The id of each row's example, n of them.
        scores: Logits or probabilities, shape (n, K).
        losses: Cross-entropy against the gold label in nats, shape (n,).
        gold: Class index or class name of each row, n of them.
        probabilities: Whether ``scores`` are probabilities.
        epochs: Epochs done at each row's checkpoint, where its number counts steps, shape (n,).
    """

    steps: NDArray[np.int64]
    ids: list[str]
    scores: NDArray[np.floating] | None = None
    losses: NDArray[np.floating] | None = None
    gold: Sequence[int | str | None] | None = None
    probabilities: bool = False
    epochs: NDArray[np.floating] | None = None

    def select(self, rows: Sequence[int]) -> Rows:
        """Some of the rows, in the order given."""
        return self._replace(
            steps=self.steps[rows],
            ids=[self.ids[row] for row in rows],
            scores=None if self.scores is None else self.scores[rows],
            losses=None if self.losses is None else self.losses[rows],
            gold=None if self.gold is None else [self.gold[row] for row in rows],
            epochs=None if self.epochs is None else self.epochs[rows],
        )

    def record(self, row: int) -> Record:
        """One of the rows by itself."""
        scores = None if self.scores is None else self.scores[row].tolist()
        return Record(
            self.ids[row],
            logits=None if self.probabilities else scores,
            loss=None if self.losses is None else float(self.losses[row]),
            gold=None if self.gold is None else self.gold[row],
            probabilities=scores if self.probabilities else None,
            epoch=None if self.epochs is None else float(self.epochs[row]),
        )


@dataclass(frozen=True, eq=False)
class Recording:
    """T checkpoints of N examples that another tool recorded.

    Attributes:
        ids: The examples' ids in the order in which they came first, (N,).
        steps: The number of each checkpoint, rising, (T,); None where the source numbers none and has one.
        logits: Shape (T, N, K), or None.
        losses: Shape (T, N), or None.
        gold: Class index or class name of each example, (N,), or None.
        left_out: Ids that were recorded and not wanted.
        step_unit: What ``steps`` counts: ``step`` or ``epoch``.
        label_names: Class names that the file itself says, in the order of its logits; empty where it says none.
        probabilities: Shape (T, N, K), in place of ``logits``, or None.
        notes: What was not read, a sentence each.
        epochs: Epochs done at each checkpoint, where ``steps`` count steps, (T,), or None.
        texts: The examples' texts by the name of their column, N each; empty where the source has none.
        entropy: Annotation entropy of each example in a unit that the source does not say, (N,), or None.
        within_epochs: Whether a checkpoint is taken during its epoch, in place of at its end.
    """

    ids: list[str]
    steps: list[int] | None
    logits: NDArray[np.float32] | None
    losses: NDArray[np.float64] | None
    gold: list[int | str] | None
    left_out: list[str]
    step_unit: str = "step"
    label_names: tuple[str, ...] = ()
    probabilities: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()
    epochs: list[float] | None = None
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    entropy: Sequence[float | None] | None = None
    within_epochs: bool = False
