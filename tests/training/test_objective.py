"""Objectives of other kinds train through the same loop, each with its own loss per example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.special import expit, xlog1py, xlogy
from torch import Tensor

from contested.tasks import EncodedTexts
from contested.training import (
    Classification,
    Objective,
    Recipe,
    TrainingLoop,
    TrainingSet,
    gradient_norms,
    trained_parameters,
)

RECIPE = Recipe(learning_rate=2e-2, epochs=4, batch_size=16, every=10, seed=5)


class Kept:
    """Records in memory."""

    def __init__(self) -> None:
        self.losses: list[Any] = []
        self.outputs: list[Any] = []
        self.metrics: list[dict[str, Any]] = []

    def write_checkpoint(self, *, step: int, epoch: float, losses: Any, logits: Any) -> None:
        self.losses.append(losses)
        self.outputs.append(logits)

    def list_checkpoint(self, *, step: int, epoch: float) -> None:
        pass

    def write_metrics(self, values: Any) -> None:
        self.metrics.append(dict(values))


class MultiLabel(Objective):
    """Any of K labels: a mean of binary cross-entropies."""

    metric_name = "micro_f1"

    def training_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.example_losses(outputs, targets).mean()

    def example_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(1)

    def metric(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        found, wanted = outputs > 0, targets > 0.5
        return float(2 * (found & wanted).sum() / max(1, found.sum() + wanted.sum()))


class Ordinal(Objective):
    """Ranks 0 … K by K cumulative logits: P(rank > k) = σ(output k)."""

    metric_name = "mean_absolute_error"

    def training_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.example_losses(outputs, targets).mean()

    def example_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        above = (targets[:, None] > torch.arange(outputs.shape[1], device=outputs.device)).to(outputs.dtype)
        return F.binary_cross_entropy_with_logits(outputs, above, reduction="none").sum(1)

    def metric(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        return float(np.abs((outputs > 0).sum(1) - targets).mean())


class Completion(Objective):
    """Negative log-likelihood per token of a completion; outputs are (log-probability, tokens) of each example."""

    metric_name = "perplexity"

    def training_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -outputs[:, 0].sum() / outputs[:, 1].sum()

    def example_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -outputs[:, 0] / outputs[:, 1]

    def metric(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        return float(np.exp(-outputs[:, 0].sum() / outputs[:, 1].sum()))


def labels_of(texts: EncodedTexts, ids: Sequence[int]) -> np.ndarray:
    """Whether each text holds each of some tokens, shape (len(texts), len(ids)): what a model can learn."""
    rows = [texts.input_ids[a:b] for a, b in zip(texts.offsets[:-1], texts.offsets[1:], strict=True)]
    return np.array([[np.isin(token, row) for token in ids] for row in rows], np.float32)


def fit(made: Any, data: TrainingSet, engine: Any = None) -> Kept:
    kept = Kept()
    TrainingLoop(made.model.module, engine or made.engine, data, RECIPE, recorder=kept).fit()
    return kept


@pytest.mark.parametrize("padded", [False, True])
def test_several_labels_per_example_train_and_are_recorded(parts: Callable[..., Any], padded: bool) -> None:
    made = parts("bert", "full", padded=padded)
    of = {name: labels_of(getattr(made.data, name), (5, 7, 9)) for name in ("train", "tracked", "validation")}
    kept = fit(
        made,
        replace(
            made.data,
            train_targets=of["train"],
            tracked_targets=of["tracked"],
            validation_targets=of["validation"],
            objective=MultiLabel(),
        ),
    )
    for losses, outputs in zip(kept.losses, kept.outputs, strict=True):
        # -Σ y ln σ(x) + (1 - y) ln (1 - σ(x)), a mean over the three labels, of each example by itself.
        p, y = expit(outputs.astype(float)), of["tracked"]
        np.testing.assert_allclose(losses, -(xlogy(y, p) + xlog1py(1 - y, -p)).mean(1), rtol=1e-9)
    assert kept.losses[-1].mean() < 0.7 * kept.losses[0].mean()
    assert kept.metrics[-1]["val_micro_f1"] > 0.6
    assert "val_accuracy" not in kept.metrics[-1]


def test_ranks_train_and_are_recorded(parts: Callable[..., Any]) -> None:
    made = parts("bert", "full")
    # A text's rank is how many of three tokens it holds; three cumulative logits.
    of = {name: labels_of(getattr(made.data, name), (5, 7, 9)).sum(1).astype(int) for name in ("train", "tracked")}
    data = replace(
        made.data,
        train_targets=of["train"],
        tracked_targets=of["tracked"],
        validation=made.data.tracked,
        validation_targets=of["tracked"],
        objective=Ordinal(),
    )
    kept = fit(made, data)
    first, rank = kept.outputs[0].astype(float), of["tracked"]
    # By hand: ln(1 + e^-x) for each threshold below the rank, ln(1 + e^x) for each other.
    by_hand = [
        sum(np.log1p(np.exp(-x if k < r else x)) for k, x in enumerate(row)) for row, r in zip(first, rank, strict=True)
    ]
    np.testing.assert_allclose(kept.losses[0], by_hand, rtol=1e-9)
    assert kept.losses[-1].mean() < 0.7 * kept.losses[0].mean()
    assert kept.metrics[-1]["val_mean_absolute_error"] < kept.metrics[0]["val_mean_absolute_error"]


class CompletionEngine:
    """The summed log-probability of each text's tokens but the first, one text at a time."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module

    def logits(self, texts: EncodedTexts, rows: np.ndarray, key: Any = None) -> Tensor:
        return torch.stack([self.one(texts.input_ids[texts.offsets[row] : texts.offsets[row + 1]]) for row in rows])

    def one(self, ids: np.ndarray) -> Tensor:
        tokens = torch.from_numpy(ids.astype(np.int64))[None]
        found = self.module(input_ids=tokens).logits[0, :-1].log_softmax(-1)
        return torch.stack([found.gather(1, tokens[0, 1:, None]).sum(), torch.tensor(float(len(ids) - 1))])


def test_completions_train_and_are_recorded(parts: Callable[..., Any]) -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    made = parts("qwen2", "full")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    module = Qwen2ForCausalLM(Qwen2Config(vocab_size=320, **sizes, num_key_value_heads=1))
    made = made._replace(model=made.model._replace(module=module))
    none = np.zeros(len(made.data.train))
    data = replace(
        made.data,
        train_targets=none,
        tracked_targets=none[: len(made.data.tracked)],
        validation_targets=none[: len(made.data.validation)],
        objective=Completion(),
    )
    kept = fit(made, data, CompletionEngine(module))
    # The library's own loss of the last checkpoint's weights, of one text.
    ids = torch.from_numpy(data.tracked.input_ids[: data.tracked.offsets[1]].astype(np.int64))[None]
    with torch.no_grad():
        expected = module.eval()(input_ids=ids, labels=ids).loss
    assert kept.losses[-1][0] == pytest.approx(float(expected), rel=1e-5)
    assert kept.losses[-1].mean() < 0.7 * kept.losses[0].mean()
    assert 1 < kept.metrics[-1]["val_perplexity"] < kept.metrics[0]["val_perplexity"]


def test_gradient_norms_are_of_the_objectives_own_losses(parts: Callable[..., Any]) -> None:
    made = parts("bert", "lora")
    targets = labels_of(made.data.tracked, (5, 7, 9))
    module, parameters = made.model.module, trained_parameters(made.model.module)
    found = gradient_norms(
        module, made.engine, made.data.tracked, targets, parameters, objective=MultiLabel(), mode="eval"
    )
    assert found.method == "layerwise"
    module.eval()
    for row in (0, 3):
        module.zero_grad()
        logits = made.engine.logits(made.data.tracked, np.array([row]))
        F.binary_cross_entropy_with_logits(logits, torch.from_numpy(targets[[row]])).backward()
        squares = [float(p.grad.square().sum()) for p in parameters.values() if p.grad is not None]
        assert found.norms[row] == pytest.approx(sum(squares) ** 0.5, rel=1e-4)


def test_the_loss_of_an_example_knows_no_class_weights() -> None:
    logits, labels = np.array([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]], np.float32), np.array([0, 2])
    weighted = Classification(np.array([3.0, 1.0, 0.5]))
    expected = F.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels), reduction="none")
    np.testing.assert_allclose(weighted.recorded_losses(logits, labels), expected, rtol=1e-12)
    given = weighted.example_losses(torch.from_numpy(logits), torch.from_numpy(labels))
    np.testing.assert_allclose(given, expected, rtol=1e-6)
    # Batch: weights 3 and 0.5 of losses ln(1 + e^-2 + e^-3) and ln 3, over 3.5.
    by_hand = (3 * np.log(1 + np.exp(-2.0) + np.exp(-3.0)) + 0.5 * np.log(3)) / 3.5
    assert float(weighted.training_loss(torch.from_numpy(logits), torch.from_numpy(labels))) == pytest.approx(by_hand)
    assert weighted.metric(logits, labels) == 0.5
