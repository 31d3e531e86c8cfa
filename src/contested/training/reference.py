"""What a module gives by itself: its own forward in eval mode, one unpadded example at a time.

This is taken to be right, and all else is held against it. An adapter begins as if it were not there: it is moved
meanwhile, so that what it does to a batch shows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from contested.errors import ModelError
from contested.models import base_model
from contested.tasks import EncodedTexts
from contested.training.engine import Engine, PaddedEngine
from contested.training.gradients import probing, trained_parameters
from contested.training.precision import at_least_float32
from contested.training.samples import chosen_examples
from contested.training.tracking import inference_mode

TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}
"""Largest difference of a logit by precision, in units of the largest logit where that is above 1."""

_MOVES = (0.02, 0.1, 0.5)  # standard deviations of what an adapter's weights are moved by
_VISIBLE = 1e-2  # what that does at least to a logit, or the next of them is tried


class Beginning(NamedTuple):
    """What a module's own forward gives for a few examples as it was built, before anything of it is replaced or moved.

    Attributes:
        sample: The examples, n of them.
        logits: Shape (n, K).
    """

    sample: EncodedTexts
    logits: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        module: nn.Module,
        texts: EncodedTexts,
        *,
        pad_id: int,
        device: torch.device,
        others: Sequence[EncodedTexts] = (),
    ) -> Self:
        """Choose the examples and compute it.

        Args:
            module: A transformers or PEFT classifier, as it was built; it is left as it was found.
            texts: The tracked examples.
            pad_id: The pad token, of which none is needed.
            device: Where the module is.
            others: Further texts, of which one is computed if it is longer than all tracked ones.

        Returns:
            The examples and their logits.

        Raises:
            ModelError: If the module's own forward fails.
        """
        sample = chosen_examples(texts, others)
        return cls(sample, own_logits(module, sample, pad_id=pad_id, device=device))


class Reference(NamedTuple):
    """What a module's own forward gives for n examples.

    Attributes:
        logits: Shape (n, K).
        gradients: Of :func:`signed` logits, by the name of each trained parameter that has one.
    """

    logits: NDArray[np.float32]
    gradients: dict[str, Tensor]

    @classmethod
    def of(cls, module: nn.Module, sample: EncodedTexts, *, pad_id: int, device: torch.device) -> Self:
        """Compute it.

        Args:
            module: A transformers or PEFT classifier; it is left as it was found.
            sample: The examples, n of them.
            pad_id: The pad token, of which none is needed.
            device: Where the module is.

        Returns:
            The reference.

        Raises:
            ModelError: If the module's own forward fails.
        """
        engine, rows = own_engine(module, pad_id, device), np.arange(len(sample))
        parts = []
        with failing(module), probing(module, mode="eval", seed=0):
            found = Gradients(module)
            for row in rows:
                parts.append(found.add(engine.logits(sample, rows[row : row + 1])))
        return cls(np.concatenate(parts), found.by_name)

    @property
    def unit(self) -> float:
        """The largest logit, 1 at least."""
        return unit(self.logits)

    def difference(self, logits: NDArray[np.float32]) -> float:
        """The largest difference of a logit; infinite where one is not a number."""
        return largest_difference(logits, self.logits)

    def gradient_difference(self, gradients: dict[str, Tensor]) -> float:
        """Difference of all gradients together, relative to them."""
        squares = distance = 0.0
        for name in self.gradients.keys() | gradients.keys():
            mine, other = self.gradients.get(name), gradients.get(name)
            squares += 0.0 if mine is None else float(mine.square().sum())
            apart = other if mine is None else mine if other is None else mine - other
            distance += 0.0 if apart is None else float(apart.square().sum())
        return float(np.sqrt(distance / squares)) if squares else float(np.sqrt(distance))


class Gradients:
    """Gradients of alternating sums of logits, summed up by trained parameter.

    Args:
        module: The module.

    Attributes:
        by_name: Those of each parameter that has any, never in half precision.
    """

    def __init__(self, module: nn.Module) -> None:
        self._parameters = trained_parameters(module)
        self.by_name: dict[str, Tensor] = {}

    def add(self, logits: Tensor) -> NDArray[np.float32]:
        """Take the graph of logits (n, K) into account, and give the logits themselves."""
        if logits.requires_grad:
            # No softmax drowns the gradient of an alternating sum.
            signed = logits[:, ::2].sum() - logits[:, 1::2].sum()
            gradients = torch.autograd.grad(signed, list(self._parameters.values()), allow_unused=True)
            for name, gradient in zip(self._parameters, gradients, strict=True):
                if gradient is not None:
                    before = self.by_name.get(name)
                    gradient = at_least_float32(gradient)
                    self.by_name[name] = gradient if before is None else before + gradient
        return np.asarray(logits.detach().cpu().numpy())


def own_logits(module: nn.Module, sample: EncodedTexts, *, pad_id: int, device: torch.device) -> NDArray[np.float32]:
    """Logits of a module's own forward alone.

    Args:
        module: A transformers or PEFT classifier; it is left as it was found.
        sample: The examples, n of them.
        pad_id: The pad token, of which none is needed.
        device: Where the module is.

    Returns:
        Shape (n, K).

    Raises:
        ModelError: If the forward fails.
    """
    with failing(module), inference_mode(module):
        logits = own_engine(module, pad_id, device).logits(sample, np.arange(len(sample)))
        return np.asarray(logits.cpu().numpy())


def own_engine(module: nn.Module, pad_id: int, device: torch.device) -> PaddedEngine:
    """The module's own forward on one example at a time, nothing of it replaced."""
    return PaddedEngine(module, pad_id=pad_id, device=device, piece_size=1, keyed=False)


def unit(logits: NDArray[np.float32]) -> float:
    """The largest logit, 1 at least: what differences are measured in."""
    return max(1.0, float(np.abs(logits).max()))


def largest_difference(logits: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference of two arrays of one shape; infinite where a number is none."""
    largest = float(np.abs(logits - expected).max())
    return largest if np.isfinite(largest) else float("inf")


@contextlib.contextmanager
def moved_adapters(module: nn.Module, begun: Beginning, *, engine: Engine) -> Iterator[NDArray[np.float32]]:
    """Move the trained weights of adapters until it shows in the logits, and put them back bit for bit.

    Args:
        module: A transformers or PEFT classifier; one without adapters stays as it is.
        begun: What it gives a few examples as it is.
        engine: Computes its logits; :func:`own_engine` where no other is known to be right.

    Yields:
        What it gives them then, shape (n, K).

    Raises:
        ModelError: If the module's own forward fails.
    """
    with _moved(module, _adapter_weights(module), engine, begun) as logits:
        yield logits


def check_sight(
    module: nn.Module, sample: EncodedTexts, logits: NDArray[np.float32], *, pad_id: int, device: torch.device
) -> None:
    """Refuse a module that gives every text the same logits, and still does with other trained weights.

    Args:
        module: A transformers or PEFT classifier; it is left as it was found.
        sample: A few examples.
        logits: What it gives them.
        pad_id: The pad token.
        device: Where the module is.

    Raises:
        ModelError: If nothing of a text reaches the logits.
    """
    texts = {sample.input_ids[start:end].tobytes() for start, end in pairwise(sample.offsets)}
    if len(texts) < 2 or not _same(logits):
        return
    trained = list(trained_parameters(module).values())
    with _moved(module, trained, own_engine(module, pad_id, device), Beginning(sample, logits)) as others:
        blind = _same(others)
    if blind:
        raise ModelError(
            f"{module_name(module)} gives {len(texts)} different texts the same logits: nothing of a text reaches them "
            "on this machine, so that there is nothing to learn. Choose another checkpoint."
        )


def _same(logits: NDArray[np.float32]) -> bool:
    return bool(np.ptp(logits, axis=0).max() <= 1e-6 * unit(logits))


@contextlib.contextmanager
def _moved(
    module: nn.Module, weights: Sequence[Tensor], own: Engine, begun: Beginning
) -> Iterator[NDArray[np.float32]]:
    kept = [weight.detach().clone() for weight in weights]
    try:
        logits = begun.logits
        if weights:
            with failing(module):
                logits = _move(module, weights, kept, own, begun)
        yield logits
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)


def _move(
    module: nn.Module, adapters: Sequence[Tensor], kept: Sequence[Tensor], own: Engine, begun: Beginning
) -> NDArray[np.float32]:
    logits = begun.logits
    with inference_mode(module):
        for size in _MOVES:
            generator = torch.Generator().manual_seed(0)
            for weight, start in zip(adapters, kept, strict=True):
                noise = torch.randn(weight.shape, generator=generator).to(weight.device, weight.dtype)
                weight.copy_(start).add_(noise, alpha=size)
            logits = np.asarray(own.logits(begun.sample, np.arange(len(begun.sample))).cpu().numpy())
            if not float(np.abs(logits - begun.logits).max()) < _VISIBLE:
                break
    return logits


def _adapter_weights(module: nn.Module) -> list[Tensor]:
    """Trained weights of PEFT's that are not the head's, which is random from the start."""
    if not hasattr(module, "peft_config"):
        return []
    named: Any = module.named_parameters()
    return [
        weight
        for name, weight in named
        if weight.requires_grad and weight.is_floating_point() and ".modules_to_save." not in name
    ]


@contextlib.contextmanager
def failing(module: nn.Module) -> Iterator[None]:
    """Turn an error of a module's own forward into one that says so."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise ModelError(
            f"{module_name(module)} fails on a single example by its own forward: {error_line(error)}. Nothing can "
            "be trained with it; check its configuration, method and tokenizer, or choose others."
        ) from error


def module_name(module: nn.Module) -> str:
    """The class of the classifier inside an adapter."""
    return type(base_model(module)).__name__


def error_line(error: BaseException) -> str:
    """An error of somebody else's in one line without its full stop."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + lines[0] if lines else ''}".rstrip(".")
