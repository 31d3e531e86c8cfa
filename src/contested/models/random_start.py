"""LoRA that begins with a random decomposition of the backbone's weights, saved so that nobody draws it again.

PiSSA (Meng et al. 2024, https://arxiv.org/abs/2404.02948) trains the largest singular vectors of each weight and takes
them out of the weight: W = W₀ - s B₀ A₀. With ``pissa_niter_N`` they come from a random projection, which is drawn anew
where the adapter is loaded, over another W. What was learned is s (B A - B₀ A₀), a plain LoRA of twice the rank.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from torch import Tensor, nn

_DRAWN = "pissa_niter_"
_KEPT = "contested_start"
_ADAPTER = "default"


def keep_start(module: nn.Module) -> None:
    """Keep what an adapter begins with, if it is random and part of the backbone's weights.

    Args:
        module: An adapted module as PEFT made it.
    """
    config = _config(module)
    if config is not None and str(config.init_lora_weights).startswith(_DRAWN):
        setattr(module, _KEPT, list(_factors(module)))


@contextlib.contextmanager
def as_plain_lora(module: nn.Module) -> Iterator[dict[str, Any]]:
    """Arguments of ``save_pretrained`` with which an adapter with a random start is saved as a plain one.

    Args:
        module: The module; its configuration is another one meanwhile.

    Yields:
        The arguments; none where there is no such start.
    """
    start, config = getattr(module, _KEPT, None), _config(module)
    if start is None or config is None:
        yield {}
        return
    state = dict(module.state_dict())
    for name, side, before in start:
        # [B, -B₀] [A; A₀] = B A - B₀ A₀.
        state[name] = torch.cat([state[name], (-before if side else before).to(state[name].device)], side)
    # The scale is alpha / r, or alpha / sqrt(r).
    factor = math.sqrt(2) if config.use_rslora else 2
    configs: Any = module.peft_config
    configs[_ADAPTER] = replace(
        config,
        init_lora_weights=True,
        r=2 * config.r,
        lora_alpha=factor * config.lora_alpha,
        rank_pattern={name: 2 * rank for name, rank in config.rank_pattern.items()},
        alpha_pattern={name: factor * alpha for name, alpha in config.alpha_pattern.items()},
    )
    try:
        yield {"state_dict": state}
    finally:
        configs[_ADAPTER] = config


def without_start(module: nn.Module, saved: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """What :func:`as_plain_lora` saved, in the rank of the module.

    Args:
        module: A module that began with the same start.
        saved: Weights by their names in the file.

    Returns:
        The weights, and what is wrong with them.
    """
    found, problems = dict(saved), []
    for name, side, before in getattr(module, _KEPT, ()):
        in_file = name.replace(f".{_ADAPTER}.", ".")
        if in_file not in saved or saved[in_file].shape[side] != 2 * before.shape[side]:
            continue  # which is said by whoever loads it
        found[in_file], start = saved[in_file].chunk(2, side)
        if not torch.allclose(-start if side else start, before.cpu(), atol=1e-5):
            problems.append(f"{in_file} began with another random decomposition of the backbone's weight")
    return found, problems


def _factors(module: nn.Module) -> Iterator[tuple[str, int, Tensor]]:
    """Name of each factor of LoRA, the side along which its ranks lie, and a copy of it."""
    for name, weight in module.named_parameters():
        for part, side in ((".lora_A.", 0), (".lora_B.", 1)):
            if part in name:
                yield name, side, weight.detach().clone()


def _config(module: nn.Module) -> Any:
    config = module.peft_config.get(_ADAPTER) if isinstance(module, PeftModel) else None
    return config if isinstance(config, LoraConfig) else None
