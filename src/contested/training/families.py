"""The order of calls in each family of classifiers, written out for packed batches.

The modules stay the library's own, adapters included. In the last layer only the pooled token is a query, so only
its row is computed. A new family is one function here; those without one are padded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from contested.families import family_of, packed_forward_name
from contested.training.attention import Bias
from contested.training.lora import linear, linears, product_of
from contested.training.packed import DeviceBatch, Packer, Pooling

Forward = Callable[[Any, Packer, DeviceBatch], Tensor]
"""A transformers classifier, its packer and a batch to logits (B, K)."""


def packed_forward(model: Any) -> Forward | None:
    """The packed forward of a transformers classifier.

    Args:
        model: The classifier, adapters inside it or not.

    Returns:
        Its forward, or None where its family or configuration has none.
    """
    if not type(model).__name__.endswith("ForSequenceClassification"):
        return None
    name = packed_forward_name(model.config.to_dict())
    return None if name is None else FORWARDS[name]


def pooling(model: Any) -> Pooling:
    """Which token of an example a transformers classifier pools."""
    return Pooling(last=family_of(model.config.model_type).pools_last_token, pad_id=pad_id_of(model))


def pad_id_of(model: Any) -> int | None:
    """The pad token that a model's configuration names, in the part of it that is about text; None: it names none."""
    config: Any = getattr(model, "config", None)
    about = config.get_text_config() if hasattr(config, "get_text_config") else config
    pad_id: int | None = getattr(about, "pad_token_id", None)
    return pad_id


def pads_left(model: Any) -> bool:
    """Whether batches of a model must be padded on the left; of one that is not transformers', no."""
    config = getattr(model, "config", None)
    return family_of(getattr(config, "model_type", None)).pads_left


def _bert(model: Any, packer: Packer, batch: DeviceBatch) -> Tensor:
    """BERT, RoBERTa, XLM-R and ELECTRA."""
    backbone = model.base_model
    positions = batch.positions
    if family_of(model.config.model_type).positions_after_pad:
        positions = _positions_after_pad(batch, backbone.embeddings.padding_idx)
    states = backbone.embeddings(
        input_ids=batch.input_ids[None],
        token_type_ids=None if batch.token_type_ids is None else batch.token_type_ids[None],
        position_ids=positions[None],
    )[0]
    if hasattr(backbone, "embeddings_project"):
        states = backbone.embeddings_project(states)
    *inner, last = backbone.encoder.layer
    for layer in inner:
        states = _bert_layer(layer, states, packer, batch, None)
    first = _bert_layer(last, states, packer, batch, batch.first)[:, None]
    pooler = getattr(backbone, "pooler", None)
    logits: Tensor = model.classifier(first if pooler is None else model.dropout(pooler(first)))
    return logits


def _positions_after_pad(batch: DeviceBatch, pad_id: int) -> Tensor:
    """Positions as RoBERTa counts them, shape (T,): from behind the pad token's id, past pad tokens in a text."""
    real = (batch.input_ids != pad_id).long()
    counted = real.cumsum(0)
    before = counted[batch.first] - real[batch.first]
    return (counted - before[batch.example]) * real + pad_id


def _bert_layer(layer: Any, states: Tensor, packer: Packer, batch: DeviceBatch, pooled: Tensor | None) -> Tensor:
    attention = layer.attention.self
    query_states = states if pooled is None else states[pooled]
    projections = attention.query, attention.key, attention.value
    context = _absolute(
        attention, projections, attention.num_attention_heads,
        query_states=query_states, states=states, packer=packer, batch=batch,
    )  # fmt: skip
    attended = layer.attention.output(context, query_states)
    result: Tensor = layer.output(layer.intermediate(attended), attended)
    return result


def _distilbert(model: Any, packer: Packer, batch: DeviceBatch) -> Tensor:
    backbone = model.distilbert
    states = backbone.embeddings(batch.input_ids[None], position_ids=batch.positions[None])[0]
    layers = list(backbone.transformer.layer)
    for layer in layers:
        pooled = batch.first if layer is layers[-1] else None
        attention = layer.attention
        query_states = states if pooled is None else states[pooled]
        projections = attention.q_lin, attention.k_lin, attention.v_lin
        context = _absolute(
            attention, projections, attention.n_heads,
            query_states=query_states, states=states, packer=packer, batch=batch,
        )  # fmt: skip
        attended = layer.sa_layer_norm(attention.out_lin(context) + query_states)
        states = layer.output_layer_norm(layer.ffn(attended) + attended)
    logits: Tensor = model.classifier(model.dropout(model.pre_classifier(states).relu()))
    return logits


def _llama(model: Any, packer: Packer, batch: DeviceBatch) -> Tensor:
    """Llama, Mistral, Qwen2, Qwen3, Gemma-2 and Gemma-3, which pool the last token."""
    backbone, config = getattr(model.model, "language_model", model.model), model.config.get_text_config()
    states = backbone.embed_tokens(batch.input_ids)
    angles = _angles(backbone.rotary_emb, states, batch.positions, config)
    layers = backbone.layers[: config.num_hidden_layers]
    for index, layer in enumerate(layers):
        pooled = batch.last if layer is layers[-1] else None
        attended = _causal(
            layer, layer.input_layernorm(states), angles(index), packer=packer, batch=batch, pooled=pooled,
            window=_window(config, layer.self_attn, index),
        )  # fmt: skip
        states = states if pooled is None else states[pooled]
        if hasattr(layer, "pre_feedforward_layernorm"):  # Gemma's
            states = states + layer.post_attention_layernorm(attended)
            found = layer.mlp(layer.pre_feedforward_layernorm(states))
            states = states + layer.post_feedforward_layernorm(found)
        else:
            states = states + attended
            states = states + layer.mlp(layer.post_attention_layernorm(states))
    logits: Tensor = model.score(backbone.norm(states))
    return logits


def _causal(
    layer: Any,
    normed: Tensor,
    angles: Sequence[Tensor],
    *,
    packer: Packer,
    batch: DeviceBatch,
    pooled: Tensor | None,
    window: int | None,
) -> Tensor:
    """Attention of a decoder's layer to what was before, with rotary positions; shape (queries, hidden)."""
    attention, (cos, sin) = layer.self_attn, angles
    query_states = normed if pooled is None else normed[pooled]
    projections = attention.q_proj, attention.k_proj, attention.v_proj
    query, key, value = _projected(projections, query_states, normed, -1, attention.head_dim)
    if hasattr(attention, "q_norm"):
        query, key = attention.q_norm(query), attention.k_norm(key)
    query = _rotated(query, cos if pooled is None else cos[pooled], sin if pooled is None else sin[pooled])
    context = packer.attend(
        attention, query, _rotated(key, cos, sin), value, batch,
        scale=attention.scaling, dropout=_probability(attention, attention.attention_dropout),
        pooled_only=pooled is not None, causal=True, window=window,
        softcap=attention.attn_logit_softcapping if family_of(attention.config.model_type).caps_scores else None,
    )  # fmt: skip
    return linear(attention.o_proj, context)


def _angles(rotary: Any, states: Tensor, positions: Tensor, config: Any) -> Callable[[int], Sequence[Tensor]]:
    """Cosines and sines of each token, (T, 1, d), for a layer; Gemma-3 has others in layers with a window."""
    if not hasattr(rotary, "layer_types"):
        everywhere = tuple(part[0, :, None] for part in rotary(states[None], positions[None]))
        return lambda index: everywhere
    by_type = {
        kind: tuple(part[0, :, None] for part in rotary(states[None], positions[None], kind))
        for kind in set(config.layer_types)
    }
    return lambda index: by_type[config.layer_types[index]]


def _window(config: Any, attention: Any, index: int) -> int | None:
    """How far a layer of a decoder looks back, as the library's masks have it; None: to the start."""
    # Attention that may have a window knows so, but for Mistral's; the layer's place says whether it has one.
    local = family_of(config.model_type).windows_everywhere
    if hasattr(attention, "sliding_window"):
        local = config.layer_types[index] == "sliding_attention"
    return config.sliding_window if local else None


def _modernbert(model: Any, packer: Packer, batch: DeviceBatch) -> Tensor:
    backbone = model.model
    states = backbone.embeddings(input_ids=batch.input_ids)
    angles = {
        kind: tuple(part[0, :, None] for part in backbone.rotary_emb(states[None], batch.positions[None], kind))
        for kind in set(model.config.layer_types)
    }
    for layer in backbone.layers:
        pooled = batch.first if layer is backbone.layers[-1] else None
        attention = layer.attn
        # The projection gives queries, keys and values at once; in the last layer only the pooled tokens' queries stay.
        projected = linear(attention.Wqkv, layer.attn_norm(states)).view(len(states), 3, -1, attention.head_dim)
        query, key, value = projected.unbind(1)
        cos, sin = angles[layer.attention_type]
        query = _rotated(query.float(), cos, sin).to(projected.dtype)
        context = packer.attend(
            attention, query if pooled is None else query[pooled], _rotated(key.float(), cos, sin).to(projected.dtype),
            value, batch, scale=attention.head_dim**-0.5,
            dropout=_probability(attention, attention.attention_dropout),
            pooled_only=pooled is not None, window=attention.sliding_window,
        )  # fmt: skip
        states = (states if pooled is None else states[pooled]) + attention.out_drop(attention.Wo(context))
        states = states + layer.mlp(layer.mlp_norm(states))
    logits: Tensor = model.classifier(model.drop(model.head(backbone.final_norm(states))))
    return logits


def _deberta(model: Any, packer: Packer, batch: DeviceBatch) -> Tensor:
    """DeBERTa-v2 and -v3: positions enter the scores, relative to each other."""
    backbone = model.deberta
    # A single example of all tokens: its mask is of ones and its positions are given.
    states = backbone.embeddings(
        input_ids=batch.input_ids[None],
        token_type_ids=None if batch.token_type_ids is None else batch.token_type_ids[None],
        position_ids=batch.positions[None],
    )[0]
    encoder = backbone.encoder
    relative = encoder.get_rel_embedding()
    layers = list(encoder.layer)
    for layer in layers:
        pooled = batch.first if layer is layers[-1] else None
        query_states = states if pooled is None else states[pooled]
        context = _disentangled(
            layer.attention.self, query_states, states, relative, packer=packer, batch=batch, pooled=pooled
        )
        attended = layer.attention.output(context, query_states)
        states = layer.output(layer.intermediate(attended), attended)
    logits: Tensor = model.classifier(model.dropout(model.pooler(states[:, None])))
    return logits


def _disentangled(
    attention: Any,
    query_states: Tensor,
    states: Tensor,
    relative: Tensor,
    *,
    packer: Packer,
    batch: DeviceBatch,
    pooled: Tensor | None,
) -> Tensor:
    """Disentangled attention (He et al. 2021, https://arxiv.org/abs/2006.03654, eq. 4) over the positions at hand."""
    kinds = attention.pos_att_type
    projections = attention.query_proj, attention.key_proj, attention.value_proj
    query, key, value = _projected(projections, query_states, states, attention.num_attention_heads, -1)
    scale = (query.shape[-1] * (1 + len({"c2p", "p2c"} & set(kinds)))) ** -0.5
    bias = _relative_scores(attention, relative, packer, batch) if attention.relative_attention and kinds else None
    return packer.attend(
        attention.dropout, query, key, value, batch,
        scale=scale, dropout=_probability(attention, attention.dropout.p), pooled_only=pooled is not None, bias=bias,
    )  # fmt: skip


def _relative_scores(attention: Any, relative: Tensor, packer: Packer, batch: DeviceBatch) -> Bias:
    """What relative positions add to the scores: content to position and position to content."""
    heads, span, kinds = attention.num_attention_heads, attention.pos_ebd_size, attention.pos_att_type

    def positions() -> tuple[Tensor, Tensor]:
        # Of the 2 · width - 1 distances far ones share a row of the table; only rows that occur are projected.
        buckets = _buckets(torch.arange(1 - batch.width, batch.width), attention)
        numbers, row_of = (buckets + span).clamp(0, 2 * span - 1).unique(return_inverse=True)
        return numbers, row_of

    numbers, row_of = packer.constant(("relative positions", batch.width), positions)
    with packer.keys.sharing(numbers):
        rows = attention.pos_dropout(relative[numbers])
        shared = attention.share_att_key
        position_key = position_query = None
        if "c2p" in kinds:
            project = attention.key_proj if shared else attention.pos_key_proj
            position_key = project(rows).view(len(numbers), heads, -1)
        if "p2c" in kinds:
            project = attention.query_proj if shared else attention.pos_query_proj
            position_query = project(rows).view(len(numbers), heads, -1)

    def scores(q: Tensor, k: Tensor, at: Tensor) -> Tensor:
        """For q (B, heads, queries, d) at positions ``at`` (queries,) and all k; shape (B, heads, queries, keys)."""
        # (queries, keys), counted from 0.
        distance = at[:, None] - torch.arange(k.shape[2], device=q.device) + batch.width - 1
        parts: list[Tensor] = []
        if position_key is not None:
            found = q @ position_key.permute(1, 2, 0)  # (B, heads, queries, rows of the table)
            parts.append(found.gather(-1, row_of[distance].expand(*found.shape[:2], -1, -1)))
        if position_query is not None:
            found = k @ position_query.permute(1, 2, 0)
            # Row j, column i: key j at the distance of query i.
            parts.append(found.gather(-1, row_of[distance.T].expand(*found.shape[:2], -1, -1)).mT)
        total = parts[0]
        return total if len(parts) == 1 else total + parts[1]

    return scores


def _buckets(distances: Tensor, attention: Any) -> Tensor:
    """Distances as the model counts them: far ones share buckets (the library's own rule)."""
    if attention.position_buckets <= 0 or attention.max_relative_positions <= 0:
        return distances
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

    buckets: Tensor = make_log_bucket_position(
        distances, attention.position_buckets, attention.max_relative_positions
    ).long()
    return buckets


def _absolute(
    attention: Any,
    projections: Sequence[Any],
    heads: int,
    *,
    query_states: Tensor,
    states: Tensor,
    packer: Packer,
    batch: DeviceBatch,
) -> Tensor:
    """Attention whose positions are in the states: context of ``query_states``, shape (queries, hidden)."""
    pooled_only, dropout = query_states is not states, _probability(attention, attention.dropout.p)
    if pooled_only and not dropout and batch.groups.layout.uniform_segments is not None and not torch.is_grad_enabled():
        to_key, to_value = (product_of(layer) for layer in projections[1:])
        if to_key is not None and to_value is not None:
            query = linear(projections[0], query_states).view(len(query_states), heads, -1)
            return batch.groups.attend_pooled(query, states, to_key, to_value, attention.scaling)
    query, key, value = _projected(projections, query_states, states, heads, -1)
    return packer.attend(
        attention, query, key, value, batch, scale=attention.scaling, dropout=dropout, pooled_only=pooled_only
    )  # fmt: skip


def _projected(projections: Sequence[Any], query_states: Tensor, states: Tensor, *heads: int) -> list[Tensor]:
    """Queries of ``query_states``, keys and values of all, each (rows, heads, d) by the two numbers ``heads``."""
    found = (
        linears(projections, states)
        if query_states is states
        else [linear(projections[0], query_states), *linears(projections[1:], states)]
    )
    return [rows.view(len(rows), *heads) for rows in found]


def _rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: states (rows, heads, d), angles (rows, 1, d)."""
    left, right = states.chunk(2, -1)
    return states * cos + torch.cat([-right, left], -1) * sin


def _probability(module: nn.Module, p: float) -> float:
    return p if module.training else 0.0


FORWARDS: dict[str, Forward] = {
    "bert": _bert,
    "distilbert": _distilbert,
    "deberta": _deberta,
    "modernbert": _modernbert,
    "llama": _llama,
}
"""By the names that :mod:`contested.families` gives."""
