"""Keyed dropout of attention probabilities inside a library model's own padded forward."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from contested.training.dropout import DropoutKeys

_NAME = "contested_padded"
_KEYS: list[DropoutKeys] = []
"""The keys of the pass that runs; the library's attention functions are global."""


def use_keyed_attention(model: Any) -> None:
    """Let a model's attention drop by key where there are keys.

    A model whose attention is not replaceable keeps its own, which drops by its ``torch.nn.Dropout`` modules.

    Args:
        model: A transformers model.
    """
    if model._can_set_attn_implementation():
        model.set_attn_implementation(_NAME)


def attention_name(model: Any) -> str:
    """The attention that a transformers model has now, for :func:`set_attention`."""
    return str(model.config._attn_implementation)


def set_attention(model: Any, name: str) -> None:
    """Give a model back the attention that :func:`attention_name` named; one that is not replaceable has it still."""
    if model._can_set_attn_implementation() and attention_name(model) != name:
        model.set_attn_implementation(name)


@contextlib.contextmanager
def attention_keys(keys: DropoutKeys) -> Iterator[None]:
    """Name the keys of the pass that runs while this lasts.

    Args:
        keys: The keys.

    Yields:
        Nothing.
    """
    _KEYS.append(keys)
    try:
        yield
    finally:
        _KEYS.pop()


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **further: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention whose dropout is keyed; queries (B, heads, L, size), mask true where seen."""
    if not _KEYS or not (dropout or _KEYS[-1].always):
        context: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **further
        )
        return context
    if key.shape[1] != query.shape[1]:
        repeats = query.shape[1] // key.shape[1]
        key, value = repeat_kv(key, repeats), repeat_kv(value, repeats)
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is None and getattr(module, "is_causal", False):
        attention_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attention_mask is not None:
        scores = _masked(scores, attention_mask)
    probabilities = scores.softmax(-1)
    keys = _KEYS[-1]
    probabilities = probabilities * keys.probabilities_mask(module, keys.rows, probabilities, dropout)
    return (probabilities.to(value.dtype) @ value).transpose(1, 2).contiguous(), None


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores with a mask that is true where a key is seen, or that is added, as some models make it themselves."""
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores + mask.to(scores.dtype)


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)
