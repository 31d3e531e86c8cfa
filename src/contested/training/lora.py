"""LoRA layers in fewer passes over memory than a module at a time.

With x the rows, m dropout's factors, s the scale and a = (x·m) Aᵀ: y = x Wᵀ + b + s a Bᵀ, whose last term is added in
place by one product. PEFT's own forward makes the product, its scaled copy and the sum one after the other, and
autograd the gradient of B in an orientation of its product that is several times slower.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from contested.training.dropout import KeyedDropout


def linear(layer: Any, rows: Tensor) -> Tensor:
    """What a linear layer gives, adapted or not.

    Args:
        layer: The layer; a plain LoRA of PEFT takes the short way, unless somebody watches its parts.
        rows: Shape (rows, in).

    Returns:
        Shape (rows, out).
    """
    if (
        not plain_lora(layer)
        or layer.merged
        or not torch.is_grad_enabled()
        or torch.is_autocast_enabled(rows.device.type)
    ):
        result: Tensor = layer(rows)
        return result
    (name,) = layer.active_adapters
    down, up, dropout = layer.lora_A[name], layer.lora_B[name], layer.lora_dropout[name]
    if any(part._forward_hooks or part._forward_pre_hooks for part in (layer, down, up)):
        watched: Tensor = layer(rows)
        return watched
    factors = dropout.factors(rows) if isinstance(dropout, KeyedDropout) else None
    base: Tensor = layer.get_base_layer()(rows)
    added: Tensor = _Added.apply(base, rows, down.weight, up.weight, layer.scaling[name], factors)  # type: ignore[no-untyped-call]
    return added


def plain_lora(layer: nn.Module) -> bool:
    """Whether a layer is a linear one with one LoRA adapter and nothing of its variants."""
    if not isinstance(layer, LoraLinear) or layer.disable_adapters or len(layer.active_adapters) != 1:
        return False
    (name,) = layer.active_adapters
    if name not in layer.lora_A or name in layer.lora_variant:
        return False
    return layer.lora_A[name].bias is None and layer.lora_B[name].bias is None


class _Added(torch.autograd.Function):
    """``base + scale * (rows * factors) downᵀ upᵀ``, into the memory of ``base``."""

    @staticmethod
    def forward(
        ctx: Any, base: Tensor, rows: Tensor, down: Tensor, up: Tensor, scale: float, factors: Tensor | None
    ) -> Tensor:
        given = rows if factors is None else rows * factors
        inner = given @ down.T
        ctx.mark_dirty(base)
        ctx.save_for_backward(given, inner, down, up, *(() if factors is None else (factors,)))
        ctx.scale = scale
        return base.addmm_(inner, up.T, alpha=scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        given, inner, down, up, *factors = ctx.saved_tensors
        gradient = gradients[0]
        of_up = (inner.T @ gradient).mul_(ctx.scale).T if ctx.needs_input_grad[3] else None
        of_inner = (gradient @ up).mul_(ctx.scale)
        of_down = of_inner.T @ given if ctx.needs_input_grad[2] else None
        of_rows = None
        if ctx.needs_input_grad[1]:
            of_rows = of_inner @ down
            if factors:
                of_rows.mul_(factors[0])
        return gradient, of_rows, of_down, of_up, None, None
