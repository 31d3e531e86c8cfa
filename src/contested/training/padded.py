"""Keyed dropout of attention probabilities inside a library model's own padded forward."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from contested.training.dropout import DropoutKeys

_NAME = "contested_padded"
_KNOWN = frozenset({"gemma2", "gpt_oss", "t5gemma"})
"""Models for which the fused attention is not enough because of soft caps or sinks alone."""

_KEYS: list[DropoutKeys] = []
"""The keys of the pass that runs; the library's attention functions are global."""


def use_keyed_attention(model: Any) -> None:
    """Let a model's attention drop by key where there are keys.

    A model whose attention is not replaceable keeps its own, which drops by its ``torch.nn.Dropout`` modules; so does
    one that has more to it than the library's fused attention and what is known here.

    Args:
        model: A transformers model.
    """
    if model._can_set_attn_implementation() and (model._supports_sdpa or model.config.model_type in _KNOWN):
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
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **further: Any,
) -> tuple[Tensor, None]:
    """Attention whose dropout is keyed, with soft caps and sinks where the model has them.

    Queries (B, heads, L, size); the mask is true where a key is seen, or added to the scores; sinks (heads,).
    """
    keyed = bool(_KEYS) and (bool(dropout) or _KEYS[-1].always)
    if not keyed and softcap is None and s_aux is None:
        context: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **further
        )
        return context
    if key.shape[1] != query.shape[1]:
        repeats = query.shape[1] // key.shape[1]
        key, value = repeat_kv(key, repeats), repeat_kv(value, repeats)
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = (scores / softcap).tanh() * softcap
    probabilities = _softmax(_masked(scores, module, attention_mask, **further), s_aux)
    if keyed:
        keys = _KEYS[-1]
        probabilities = probabilities * keys.probabilities_mask(module, keys.rows, probabilities, dropout)
    elif dropout:
        probabilities = F.dropout(probabilities, dropout)
    return (probabilities.to(value.dtype) @ value).transpose(1, 2).contiguous(), None


def _masked(
    scores: Tensor,
    module: nn.Module,
    attention_mask: Tensor | None,
    *,
    is_causal: bool | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> Tensor:
    """Scores (B, heads, queries, keys) with what the library's own attention adds to them."""
    if position_bias is not None:
        scores = scores + position_bias
    if is_causal is None:
        is_causal = getattr(module, "is_causal", True)
    if attention_mask is None and is_causal:
        attention_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attention_mask is None:
        return scores
    if attention_mask.dtype == torch.bool:
        return scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    return scores + attention_mask.to(scores.dtype)


def _softmax(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """Probabilities of the keys; what goes to a sink, a key of each head without a value, is lost."""
    exact = torch.promote_types(scores.dtype, torch.float32)
    if sinks is None:
        return scores.softmax(-1, dtype=exact)
    of_sinks = sinks.view(1, -1, 1, 1).expand(*scores.shape[:3], 1).to(scores.dtype)
    return torch.cat([scores, of_sinks], -1).softmax(-1, dtype=exact)[..., :-1]


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)
