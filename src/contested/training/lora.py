"""Linear layers of one input with LoRA, in fewer passes over memory than module by module.

With x the rows, m the dropout mask, s the scale and a = (x·m) Aᵀ: y = x Wᵀ + b + s a Bᵀ, whose last term is added in
place by one product. PEFT's own forward makes the product, its scaled copy and the sum one after the other, and
autograd the gradient of B in an orientation of its product that is several times slower. What several layers give
back to their one input is summed up in the products, not after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from contested.training.dropout import KeyedDropout


def linear(layer: Any, rows: Tensor) -> Tensor:
    """What one linear layer gives, adapted or not (see :func:`linears`)."""
    return linears([layer], rows)[0]


def linears(layers: Sequence[Any], rows: Tensor) -> list[Tensor]:
    """What linear layers of one input give, adapted or not.

    Args:
        layers: The layers. Frozen ones, and plain LoRA of PEFT over frozen ones, take the short way unless their parts
            have hooks.
        rows: Shape (rows, in).

    Returns:
        Shape (rows, out) of each.
    """
    if torch.is_autocast_enabled(rows.device.type):
        return [layer(rows) for layer in layers]
    if not torch.is_grad_enabled():
        return [_without_gradients(layer, rows) for layer in layers]
    adapters = [_adapter(layer, rows) for layer in layers]
    if any(adapter is None for adapter in adapters) or all(len(adapter) == 2 for adapter in adapters if adapter):
        return [layer(rows) for layer in layers]
    given = [part for adapter in adapters if adapter is not None for part in (*adapter, *(None,) * (6 - len(adapter)))]
    results: tuple[Tensor, ...] = _Linears.apply(rows, *given)  # type: ignore[no-untyped-call]
    return list(results)


def _adapter(layer: Any, rows: Tensor) -> tuple[Any, ...] | None:
    """Weight and bias of a frozen layer and, if adapted, A, B, the scale and the dropout mask; None: the long way."""
    parts, adapted = [layer], plain_lora(layer) and not layer.merged
    base = layer.get_base_layer() if adapted else layer
    if adapted:
        (name,) = layer.active_adapters
        down, up, dropout = layer.lora_A[name], layer.lora_B[name], layer.lora_dropout[name]
        parts += [base, down, up]
    if type(base) is not nn.Linear or _hooked(parts):
        return None
    if any(parameter.requires_grad for parameter in base.parameters()):
        return None
    if not adapted:
        return base.weight, base.bias
    dropout_mask = dropout.dropout_mask(rows) if isinstance(dropout, KeyedDropout) else None
    return base.weight, base.bias, down.weight, up.weight, layer.scaling[name], dropout_mask


def plain_lora(layer: nn.Module) -> bool:
    """Whether a layer is a linear one with one LoRA adapter and nothing of its variants."""
    if not isinstance(layer, LoraLinear) or layer.disable_adapters or len(layer.active_adapters) != 1:
        return False
    (name,) = layer.active_adapters
    if name not in layer.lora_A or name in layer.lora_variant:
        return False
    return layer.lora_A[name].bias is None and layer.lora_B[name].bias is None


class Product(NamedTuple):
    """The one product that a linear layer is without gradients.

    Attributes:
        weight: Shape (out, in).
        bias: Shape (out,), or None.
    """

    weight: Tensor
    bias: Tensor | None


def product_of(layer: Any) -> Product | None:
    """The one product that a layer is: its own, that of the weight its adapter is merged into, or W + s B A.

    The last is a tensor of its own, made anew at every call: nothing of the layer changes.

    Args:
        layer: A linear layer, adapted by PEFT or not.

    Returns:
        Its weight and bias; None where the layer is more than that, it has hooks, or autocast is on.
    """
    tuned = isinstance(layer, BaseTunerLayer) and not layer.disable_adapters
    base = layer.get_base_layer() if tuned else layer
    if type(base) is not nn.Linear or _hooked((layer, base)) or torch.is_autocast_enabled(base.weight.device.type):
        return None
    return Product(base.weight, base.bias) if not tuned or layer.merged else _folded(layer, base)


def _folded(layer: Any, base: nn.Linear) -> Product | None:
    """A plain LoRA layer in eval mode with its adapter added to a copy of its weight, in full precision alone."""
    if not plain_lora(layer):
        return None
    (name,) = layer.active_adapters
    down, up, dropout = layer.lora_A[name], layer.lora_B[name], layer.lora_dropout[name]
    weights = base.weight, down.weight, up.weight
    exact = {weight.dtype for weight in weights} in ({torch.float32}, {torch.float64})
    if not exact or _hooked((down, up, dropout)) or (dropout.training and not isinstance(dropout, nn.Identity)):
        return None
    return Product(torch.addmm(base.weight, up.weight, down.weight, alpha=layer.scaling[name]), base.bias)


def _without_gradients(layer: Any, rows: Tensor) -> Tensor:
    """What a layer gives; its adapter is folded into its weight where that is less work than to go over the rows."""
    folds = isinstance(layer, LoraLinear) and not layer.merged and len(rows) > layer.in_features
    product = product_of(layer) if folds else None
    found: Tensor = layer(rows) if product is None else F.linear(rows, *product)
    return found


def _hooked(parts: Sequence[nn.Module]) -> bool:
    return any(part._forward_hooks or part._forward_pre_hooks for part in parts)


class _Linears(torch.autograd.Function):
    """Products of one input; of each weight, bias, A, B, scale and dropout mask, the last four of which may be None."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, *given: Any) -> tuple[Tensor, ...]:
        results, saved, scales = [], [], []
        for weight, bias, down, up, scale, dropout_mask in _sixes(given):
            result = F.linear(rows, weight, bias)
            dropped = inner = None
            if down is not None:
                dropped = rows if dropout_mask is None else rows * dropout_mask
                inner = dropped @ down.T
                result.addmm_(inner, up.T, alpha=scale)
            results.append(result)
            saved += [weight, down, up, dropout_mask, dropped, inner]
            scales.append(scale)
        ctx.save_for_backward(*saved)
        ctx.scales = scales
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_rows: Tensor | None = None
        found: list[Tensor | None] = []
        for gradient, scale, (weight, down, up, dropout_mask, dropped, inner) in zip(
            gradients, ctx.scales, _sixes(ctx.saved_tensors), strict=True
        ):
            if ctx.needs_input_grad[0]:
                of_rows = gradient @ weight if of_rows is None else of_rows.addmm_(gradient, weight)
            of_down = of_up = None
            if down is not None:
                # dB = s dYᵀ a, made as its transpose; da = s dY B; dA = daᵀ (x·m); dx += da A ⊙ m.
                of_up = (inner.T.contiguous() @ gradient).mul_(scale).T
                # A thin matrix along its rows makes the product several times slower.
                of_inner = (gradient @ up.T.contiguous().T).mul_(scale)
                of_down = of_inner.T.contiguous() @ dropped
                if of_rows is not None and dropout_mask is None:
                    of_rows.addmm_(of_inner, down)
                elif of_rows is not None:
                    of_rows.addcmul_(of_inner @ down, dropout_mask)
            found += [None, None, of_down, of_up, None, None]
        return of_rows, *found


def _sixes(values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[first : first + 6] for first in range(0, len(values), 6)]
