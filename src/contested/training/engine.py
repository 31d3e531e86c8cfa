"""Token rows in, logits out: batch making and the forward behind one seam."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from contested.tasks import EncodedTexts
from contested.training.packed import PackedEngine, packs


class Engine(Protocol):
    """Computes logits for rows of an encoded set; how rows become batches is its own affair."""

    def logits(self, texts: EncodedTexts, rows: NDArray[np.int64]) -> Tensor:
        """Logits for ``rows`` of ``texts``, shape (len(rows), K), in the order of ``rows``; never in bfloat16."""
        ...


def make_engine(
    module: nn.Module, *, pad_id: int, pad_left: bool, device: torch.device, precision: str = "float32"
) -> Engine:
    """Choose the engine for a module: packed on CPUs for the families that can, padded for all others.

    Args:
        module: A transformers or PEFT classifier.
        pad_id: The pad token.
        pad_left: Whether padding goes to the left (decoders).
        device: Where the module is.
        precision: ``float32``, or ``bfloat16`` for autocast.

    Returns:
        The engine.
    """
    if device.type == "cpu" and packs(module):
        return PackedEngine(module, device=device, precision=precision)
    return PaddedEngine(module, pad_id=pad_id, pad_left=pad_left, device=device, precision=precision)


class PaddedEngine:
    """Pads to the longest of a few examples of similar length.

    A batch is sorted by length and cut into pieces of equal size, each padded to its own longest
    example; the pieces' logits are put back in order, so one backward goes through all of them. Each
    example sees exactly what it would see in one padded batch.

    Args:
        module: A transformers or PEFT classifier.
        pad_id: The pad token.
        pad_left: Whether padding goes to the left (decoders).
        device: Where the module is.
        precision: ``float32``, or ``bfloat16`` for autocast.
        piece_size: Examples a piece.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        pad_id: int,
        pad_left: bool,
        device: torch.device,
        precision: str = "float32",
        piece_size: int = 16,
    ) -> None:
        self._module = module
        self._pad_id = pad_id
        self._pad_left = pad_left
        self._device = device
        self._bfloat16 = precision == "bfloat16"
        self._piece_size = piece_size

    def logits(self, texts: EncodedTexts, rows: NDArray[np.int64]) -> Tensor:
        """See :class:`Engine`."""
        by_length = np.argsort(texts.lengths[rows], kind="stable")
        n_pieces = max(1, round(len(rows) / self._piece_size))
        pieces = [self._forward(texts, rows[part]) for part in np.array_split(by_length, n_pieces)]
        restore = torch.from_numpy(np.argsort(by_length, kind="stable")).to(self._device)
        logits = torch.cat(pieces)[restore]
        return logits.float() if self._bfloat16 else logits

    def _forward(self, texts: EncodedTexts, rows: NDArray[np.int64]) -> Tensor:
        inputs = self._pad(texts, rows)
        autocast: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if self._bfloat16:
            autocast = torch.autocast(self._device.type, dtype=torch.bfloat16)
        with autocast:
            logits: Tensor = self._module(**inputs).logits
        return logits

    def _pad(self, texts: EncodedTexts, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        lengths = texts.lengths[rows]
        width = int(lengths.max())
        columns = np.arange(width)[None, :] - ((width - lengths)[:, None] if self._pad_left else 0)
        real = (columns >= 0) & (columns < lengths[:, None])
        source = np.where(real, texts.offsets[rows][:, None] + columns, 0)
        arrays = {
            "input_ids": np.where(real, texts.input_ids[source], self._pad_id),
            "attention_mask": real,
        }
        if texts.token_type_ids is not None:
            arrays["token_type_ids"] = np.where(real, texts.token_type_ids[source], 0)
        return {name: torch.from_numpy(array.astype(np.int64)).to(self._device) for name, array in arrays.items()}
