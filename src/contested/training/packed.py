"""The BERT layout without padding: all tokens of a batch in one row, attention within each example.

The modules stay the library's own, adapters included; only their order of calls is written out here.
Examples are sorted by length, so that those of equal length attend as one batch of views. In the last
layer only the first token of each example is read, so only its row is computed.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from contested.tasks import EncodedTexts

_FAMILIES = ("bert", "roberta")


def packs(module: nn.Module) -> bool:
    """Whether this module's family and adapter can run without padding."""
    # Prompt learning adds tokens of its own inside PEFT's forward.
    if getattr(getattr(module, "active_peft_config", None), "is_prompt_learning", False):
        return False
    base = _base(module)
    config = base.config
    return type(base).__name__.endswith("ForSequenceClassification") and (
        config.model_type in _FAMILIES and not config.is_decoder and not config.chunk_size_feed_forward
    )


class PackedEngine:
    """Computes logits of BERT-like classifiers without a single padded token (see :class:`Engine`).

    Args:
        module: A classifier for which :func:`packs` holds.
        device: Where the module is.
        precision: ``float32``, or ``bfloat16`` for autocast.
    """

    def __init__(self, module: nn.Module, *, device: torch.device, precision: str = "float32") -> None:
        self._model = _base(module)
        self._backbone: Any = self._model.base_model
        # RoBERTa counts positions from behind its pad token.
        self._first_position = self._model.config.pad_token_id + 1 if self._model.config.model_type == "roberta" else 0
        self._device = device
        self._bfloat16 = precision == "bfloat16"

    def logits(self, texts: EncodedTexts, rows: NDArray[np.int64]) -> Tensor:
        """See :class:`Engine`."""
        by_length = np.argsort(texts.lengths[rows], kind="stable")
        packed = _pack(texts, rows[by_length], self._device)
        autocast: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if self._bfloat16:
            autocast = torch.autocast(self._device.type, dtype=torch.bfloat16)
        with autocast:
            logits = self._classify(self._encode(packed))
        restore = torch.from_numpy(np.argsort(by_length, kind="stable")).to(self._device)
        logits = logits[restore]
        return logits.float() if self._bfloat16 else logits

    def _encode(self, packed: _Packed) -> Tensor:
        """The last layer's states of the first tokens, shape (B, hidden)."""
        states: Tensor = self._backbone.embeddings(
            input_ids=packed.input_ids[None],
            token_type_ids=None if packed.token_type_ids is None else packed.token_type_ids[None],
            position_ids=packed.positions[None] + self._first_position,
        )[0]
        *inner, last = self._backbone.encoder.layer
        for layer in inner:
            states = _layer(layer, states, packed, None)
        return _layer(last, states, packed, packed.first)

    def _classify(self, first: Tensor) -> Tensor:
        states = first[:, None]
        if self._model.config.model_type == "roberta":
            logits: Tensor = self._model.classifier(states)
        else:
            logits = self._model.classifier(self._model.dropout(self._backbone.pooler(states)))
        return logits


class _Packed(NamedTuple):
    input_ids: Tensor
    token_type_ids: Tensor | None
    positions: Tensor
    first: Tensor
    """Row of each example's first token, shape (B,)."""
    groups: list[tuple[int, int]]
    """Number of examples and their length, for each run of equal lengths."""


def _pack(texts: EncodedTexts, rows: NDArray[np.int64], device: torch.device) -> _Packed:
    """Lay the texts of ``rows``, sorted by length, end to end."""
    lengths = texts.lengths[rows]
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    positions = np.arange(lengths.sum()) - np.repeat(first, lengths)
    source = np.repeat(texts.offsets[rows], lengths) + positions
    sizes, counts = np.unique(lengths, return_counts=True)

    def tensor(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.astype(np.int64)).to(device)

    return _Packed(
        tensor(texts.input_ids[source]),
        None if texts.token_type_ids is None else tensor(texts.token_type_ids[source]),
        tensor(positions),
        tensor(first),
        list(zip(counts.tolist(), sizes.tolist(), strict=True)),
    )


def _layer(layer: Any, states: Tensor, packed: _Packed, read: Tensor | None) -> Tensor:
    """One encoder layer over all tokens, or over the rows ``read`` alone; keys and values are always whole."""
    attention = layer.attention.self
    heads = attention.num_attention_heads
    queried = states if read is None else states[read]
    query, key, value = (
        projection(of).view(len(of), heads, -1)
        for projection, of in ((attention.query, queried), (attention.key, states), (attention.value, states))
    )
    dropout = attention.dropout.p if attention.training else 0.0
    context = _attend(query, key, value, packed.groups, whole=read is None, scale=attention.scaling, dropout=dropout)
    attended = layer.attention.output(context.reshape(len(queried), -1), queried)
    result: Tensor = layer.output(layer.intermediate(attended), attended)
    return result


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: list[tuple[int, int]],
    *,
    whole: bool,
    scale: float,
    dropout: float,
) -> Tensor:
    """Attention within each example; query (rows, heads, size), key and value (tokens, heads, size)."""
    sizes = [count * length for count, length in groups]
    query_sizes = sizes if whole else [count for count, _ in groups]
    contexts = []
    for q, k, v, (count, _) in zip(
        torch.split(query, query_sizes), torch.split(key, sizes), torch.split(value, sizes), groups, strict=True
    ):
        context = F.scaled_dot_product_attention(
            _stacked(q, count), _stacked(k, count), _stacked(v, count), dropout_p=dropout, scale=scale
        )
        contexts.append(context.transpose(1, 2).reshape(q.shape))
    return torch.cat(contexts)


def _stacked(rows: Tensor, count: int) -> Tensor:
    """Rows of ``count`` examples of equal length as a view (examples, heads, rows, size)."""
    return rows.view(count, -1, rows.shape[1], rows.shape[2]).transpose(1, 2)


def _base(module: Any) -> Any:
    """The transformers classifier inside an adapter, or the module itself."""
    return module.get_base_model() if hasattr(module, "get_base_model") else module
