"""Half precision: what is cast for good, and what never leaves in it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32 if it has half precision, else itself."""
    return tensor.float() if tensor.dtype in {torch.bfloat16, torch.float16} else tensor


def cast_frozen(module: nn.Module) -> None:
    """Cast the frozen weights of linear layers to what autocast would cast them to at every call."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and not any(p.requires_grad for p in layer.parameters()):
            layer.to(torch.bfloat16)
