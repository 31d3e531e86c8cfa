"""What a task optimises and what is recorded of it: the loss of a batch, the loss of each example, and a metric.

The loop, tracking passes and gradient probes know no task beside its objective. An objective of another kind
(ordinal, several labels per example, the completion of a prompt) is a subclass of :class:`Objective`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor


class Objective(ABC):
    """Losses and metric of a task.

    *Outputs* are what an engine gives for each example, shape (B, …): the logits (B, K) of a classifier. A model of
    completions need not give its vocabulary: the summed log-probability and the number of tokens do. *Targets* are
    what the task says of each example, shape (B, …): class indices, several labels, a rank. An objective only sees
    the two for the same examples in the same order.

    Attributes:
        metric_name: What :meth:`metric` measures; ``metrics.jsonl`` has it as ``val_<metric_name>``.
    """

    metric_name: str

    @abstractmethod
    def training_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch that the optimiser lowers, in the batch's own weighting; differentiable, a scalar."""

    @abstractmethod
    def example_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each example by itself, shape (B,), without weights of any kind; differentiable."""

    @abstractmethod
    def metric(self, outputs: NDArray[np.float32], targets: NDArray[Any]) -> float:
        """How well the validation examples are answered."""

    def recorded_losses(self, outputs: NDArray[np.float32], targets: NDArray[Any]) -> NDArray[np.float64]:
        """The loss of each example of a tracking pass, computed in float64.

        Args:
            outputs: Shape (N, …).
            targets: Shape (N, …).

        Returns:
            Losses, shape (N,).
        """
        given = torch.tensor(targets)
        given = given.double() if given.is_floating_point() else given
        with torch.no_grad():
            losses = self.example_losses(torch.from_numpy(outputs).double(), given)
        return np.asarray(losses.numpy(), np.float64)

    def to(self, device: torch.device) -> Self:
        """The same with its tensors, if it holds any, on a device."""
        return self


class Classification(Objective):
    """One of K classes: class-weighted cross-entropy for training, the gold label's cross-entropy for each example.

    Targets are class indices (B,), or for training also distributions over the classes (B, K), which the annotators
    give (:func:`soft_loss`). Both are in nats.

    Args:
        class_weights: Weight of each class in the training loss, shape (K,), or None.
    """

    metric_name = "accuracy"

    def __init__(self, class_weights: NDArray[np.float64] | Tensor | None = None) -> None:
        self._weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)

    def training_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See :class:`Objective`: the weights of a batch's labels are the denominator of its mean."""
        if targets.is_floating_point():
            return soft_loss(outputs, targets, self._weights)
        return F.cross_entropy(outputs, targets, weight=self._weights)

    def example_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.cross_entropy(outputs, targets, reduction="none")

    def metric(self, outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
        """Share of examples whose highest logit is the gold label's."""
        return float((outputs.argmax(axis=1) == targets).mean())

    def recorded_losses(self, outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float64]:
        """See :func:`cross_entropy`."""
        return cross_entropy(outputs, targets)

    def to(self, device: torch.device) -> Self:
        """See :class:`Objective`."""
        moved = copy.copy(self)
        moved._weights = None if self._weights is None else self._weights.to(device)
        return moved


def cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unweighted cross-entropy of each example in nats, computed in float64.

    Args:
        logits: Shape (N, K).
        labels: Class indices, shape (N,).

    Returns:
        Losses, shape (N,).

    >>> cross_entropy(np.zeros((1, 3), np.float32), np.array([2])).round(6)  # ln 3
    array([1.098612])
    """
    values = logits.astype(np.float64)
    highest = values.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(values - highest).sum(axis=1)) + highest[:, 0]
    return np.asarray(log_sum - values[np.arange(len(labels)), labels], np.float64)


def soft_loss(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    """Weighted KL divergence from the model to target distributions: Σᵢ Σ_c w_c p_ic ln(p_ic / q_ic) / Σᵢ Σ_c w_c p_ic.

    For a target of one class this is the class-weighted cross-entropy of ``F.cross_entropy``, mean over the batch
    included, so that hard and soft examples weigh alike in one batch (paper §5, soft labels).

    Args:
        logits: Shape (B, K).
        targets: Shape (B, K); rows sum to 1.
        weights: Class weights, shape (K,), or None.

    Returns:
        The loss in nats.
    """
    weighted = targets if weights is None else targets * weights
    divergence = torch.xlogy(weighted, targets) - weighted * F.log_softmax(logits.float(), dim=-1)
    return divergence.sum() / weighted.sum()
