"""Per-example gradient norms of a whole batch from what each layer was given and what came back to it.

With x the rows that a layer was given for one example and g the gradients of that example's loss at the rows it
gave, a linear layer's gradient is Σ g xᵀ, a bias's Σ g, a layer norm's Σ g·x̂ and an embedding's Σ g over the rows
of each id: norms follow without any of these being kept. The loss of a batch is a sum and examples do not see each
other, so one backward to the layers' outputs serves all of them.

Batches hold examples of equal length, so that in either engine an activation is laid out example by example.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from contested.training.precision import at_least_float32

Layer = nn.Linear | nn.LayerNorm | nn.Embedding


class UnfitError(Exception):
    """This model's norms cannot be computed layer by layer, and why; they are then computed one by one."""


class LayerwiseNorms:
    """Squared per-example gradient norms over ``parameters`` for batches of examples of equal length.

    Args:
        module: The model.
        parameters: Those of its parameters whose gradients count, by name.

    Attributes:
        rounded: Whether a layer gave half precision.

    Raises:
        UnfitError: If a parameter belongs to anything but a plain linear, layer norm or embedding module.
    """

    def __init__(self, module: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
        self._layers = _layers(module, parameters)
        self._layouts: dict[str, _Layout] = {}
        self.rounded = False

    def trace(self, losses: Callable[[], Tensor], *, length: int) -> dict[str, Tensor]:
        """Learn from a batch of two examples how each layer's rows belong to examples.

        Args:
            losses: Runs the forward pass and gives the losses, shape (2,).
            length: Tokens of each example.

        Returns:
            Squared norms by layer, each of shape (2,), float64; a layer without a gradient is left out.

        Raises:
            UnfitError: If a layer is called more than once or its rows do not belong to examples.
        """
        self._layouts = {}
        return self._by_layer(losses, n_examples=2, length=length)

    def squares(self, losses: Callable[[], Tensor], *, n_examples: int, length: int) -> Tensor:
        """Squared gradient norms of a batch.

        Args:
            losses: Runs the forward pass and gives the losses, shape (B,).
            n_examples: The batch's size B.
            length: Tokens of each example.

        Returns:
            Squared norms, shape (B,), float64.

        Raises:
            UnfitError: If a layer is called otherwise than in the trace.
        """
        found = torch.zeros(n_examples, dtype=torch.float64)
        for squares in self._by_layer(losses, n_examples=n_examples, length=length).values():
            found += squares  # over all weights together: squared norms add up
        return found

    def _by_layer(self, losses: Callable[[], Tensor], *, n_examples: int, length: int) -> dict[str, Tensor]:
        calls: dict[str, _Call] = {}
        with self._hooked(calls, n_examples, length):
            total = losses().sum()
        used = {name: call for name, call in calls.items() if call.output.requires_grad}
        if not used:
            return {}
        # Examples do not see each other: the gradient of the sum at an example's rows is that of its own loss.
        gradients = torch.autograd.grad(total, [call.output for call in used.values()], allow_unused=True)
        found = {}
        with torch.no_grad():
            for (name, call), gradient in zip(used.items(), gradients, strict=True):
                if gradient is not None:
                    rows = gradient.reshape(n_examples, -1, gradient.shape[-1])  # (B, R, out)
                    found[name] = (
                        _squares(self._layers[name], at_least_float32(call.given), at_least_float32(rows))
                        .cpu()
                        .double()
                    )
        return found

    @contextlib.contextmanager
    def _hooked(self, calls: dict[str, _Call], n_examples: int, length: int) -> Iterator[None]:
        def recording(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
            def hook(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
                if name in calls:
                    raise UnfitError(f"{name} is called more than once per forward pass")
                if not given:
                    raise UnfitError(f"{name} is called with named arguments")
                rows, layer = given[0].detach(), self._layers[name].layer
                # All axes but the features': how many rows there are and in which order they lie.
                lead = tuple(rows.shape if isinstance(layer, nn.Embedding) else rows.shape[:-1])
                layout = self._layouts.get(name) or _layout(lead, n_examples, length)
                if layout is None or lead not in _leads(layout, n_examples, length):
                    raise UnfitError(f"the rows of {name}, {lead}, do not belong to examples")
                self._layouts[name] = layout
                if layout is _Layout.SHARED:
                    # One row for all examples, as of position ids: give each its own, so that gradients stay apart.
                    if not isinstance(layer, nn.Embedding):
                        raise UnfitError(f"{name} serves all examples at once")
                    rows, output = rows.expand(n_examples, -1), output.expand(n_examples, -1, -1)
                width = () if isinstance(layer, nn.Embedding) else (rows.shape[-1],)
                self.rounded |= at_least_float32(output) is not output
                calls[name] = _Call(rows.reshape(n_examples, -1, *width), output)
                return output

            return hook

        handles = [chosen.layer.register_forward_hook(recording(name)) for name, chosen in self._layers.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Layout(Enum):
    """How a layer's rows belong to the examples of a batch."""

    TOKENS = "each example's tokens, one example after the other"
    EXAMPLES = "one row per example"
    SHARED = "one example's tokens, for all examples"


class _Chosen(NamedTuple):
    """A layer whose gradients count.

    Attributes:
        layer: The layer.
        weight: Whether its weight's gradient counts.
        bias: Whether its bias's does.
    """

    layer: Layer
    weight: bool
    bias: bool


class _Call(NamedTuple):
    """What a layer was given and gave in a pass over B examples of R rows each.

    Attributes:
        given: Shape (B, R, in); of an embedding the ids, shape (B, R).
        output: As the layer gave it, on the way of the gradients.
    """

    given: Tensor
    output: Tensor


def _layers(module: nn.Module, parameters: Mapping[str, nn.Parameter]) -> dict[str, _Chosen]:
    names = {id(parameter): name for name, parameter in parameters.items()}
    owners: dict[str, str] = {}
    layers: dict[str, _Chosen] = {}
    for path, part in module.named_modules():
        own = {key: names[id(p)] for key, p in part.named_parameters(recurse=False) if id(p) in names}
        for name in own.values():
            # Of a weight in two places the norm is that of a sum of gradients, not a sum of norms.
            if name in owners:
                raise UnfitError(f"{name} is shared with {path}")
            owners[name] = path
        if own:
            _check(part, own)
            layers[path] = _Chosen(part, "weight" in own, "bias" in own)
    return layers


def _check(part: nn.Module, own: Mapping[str, str]) -> None:
    name = next(iter(own.values()))
    if type(part) not in (nn.Linear, nn.LayerNorm, nn.Embedding) or set(own) - {"weight", "bias"}:
        raise UnfitError(f"{name} belongs to a {type(part).__name__}")
    if isinstance(part, nn.LayerNorm) and len(part.normalized_shape) > 1:
        raise UnfitError(f"{name} normalises over several axes")
    if isinstance(part, nn.Embedding) and (part.max_norm is not None or part.scale_grad_by_freq or part.sparse):
        raise UnfitError(f"{name} is an embedding with max_norm, scale_grad_by_freq or sparse gradients")


def _layout(lead: tuple[int, ...], n_examples: int, length: int) -> _Layout | None:
    """The first layout that ``lead``, the shape of a layer's rows, fits."""
    return next((layout for layout in _Layout if lead in _leads(layout, n_examples, length)), None)


def _leads(layout: _Layout, n_examples: int, length: int) -> set[tuple[int, ...]]:
    # With B examples of L tokens: padded (B, L), packed (B · L,) with or without a leading 1; heads (B,) or (B, 1).
    leads: dict[_Layout, set[tuple[int, ...]]] = {
        _Layout.TOKENS: {(n_examples, length), (1, n_examples * length), (n_examples * length,)},
        _Layout.EXAMPLES: {(n_examples,), (n_examples, 1)},
        _Layout.SHARED: {(1, length)},
    }
    return leads[layout]


def _squares(chosen: _Chosen, given: Tensor, gradient: Tensor) -> Tensor:
    """Squared norms of a layer's gradients, shape (B,), of rows (B, R, in) or ids (B, R) and gradients (B, R, out)."""
    layer = chosen.layer
    total = gradient.new_zeros(len(gradient))
    if chosen.bias:
        total += gradient.sum(1).square().sum(1)
    if not chosen.weight:
        return total
    if isinstance(layer, nn.Embedding):
        return total + _embedding_squares(given, gradient, layer.padding_idx)
    if isinstance(layer, nn.LayerNorm):
        # y = w x̂ + b, so that the gradient of w is Σ g ⊙ x̂ over the rows of an example.
        normed = F.layer_norm(given, layer.normalized_shape, eps=layer.eps)
        return total + (gradient * normed).sum(1).square().sum(1)
    return total + _linear_squares(given, gradient)


def _linear_squares(given: Tensor, gradient: Tensor) -> Tensor:
    """‖Σ g xᵀ‖² of each example: as Σ (g·g′)(x·x′) over pairs of rows where that is less work, else directly."""
    rows, inputs, outputs = given.shape[1], given.shape[2], gradient.shape[2]
    # R² (in + out) operations against R · in · out; the sum over pairs of rows may round to below zero.
    if rows * (inputs + outputs) < inputs * outputs:
        pairs = (gradient @ gradient.mT) * (given @ given.mT)
        return pairs.sum((1, 2)).clamp(min=0)
    return (gradient.mT @ given).square().sum((1, 2))


def _embedding_squares(ids: Tensor, gradient: Tensor, padding: int | None) -> Tensor:
    # Rows of one id add up in one row of the table: ‖Σ g‖² is Σ g·g′ over pairs of equal ids, (B, R, R).
    same = ids[:, :, None] == ids[:, None, :]
    if padding is not None:
        same &= (ids != padding)[:, :, None]
    return ((gradient @ gradient.mT) * same).sum((1, 2)).clamp(min=0)
