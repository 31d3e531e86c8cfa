"""Token ids in, logits out: how batches are made and computed, behind one seam."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from contested.models import base_model
from contested.tasks import EncodedTexts
from contested.training.dropout import DropoutKey, DropoutKeys, row_keys, shared_key
from contested.training.families import packed_forward, pads_left, pooling
from contested.training.packed import PackedBatch, Packer, RunBatch
from contested.training.padded import attention_keys, use_keyed_attention
from contested.training.precision import at_least_float32, cast_frozen

EngineName = Literal["packed", "padded", "equal lengths", "one by one"]
"""How rows become batches, from fast to slow: without padding, padded, cut at every length, or not at all."""


class Engine(Protocol):
    """Computes logits for rows of an encoded set; how rows become batches is its own affair."""

    def logits(self, texts: EncodedTexts, rows: NDArray[np.int64], key: DropoutKey | None = None) -> Tensor:
        """Logits for ``rows`` of ``texts``, shape (len(rows), K), in the order of ``rows``; never in half precision.

        In training mode ``key`` decides what is dropped, whatever the layout; without it PyTorch's generator does.
        """
        ...


class BatchEngine(Protocol):
    """An engine with a host part, which collates a batch, and a device part, which then needs the host no more."""

    def collate(self, batches: Sequence[RunBatch]) -> PackedBatch:
        """Put the rows of each run end to end, in the host's memory."""
        ...

    def forward(self, batch: PackedBatch) -> list[Tensor]:
        """Logits (B, K) of each run of a batch on the device, in the order of its rows; never in half precision."""
        ...


def make_engine(
    module: nn.Module,
    *,
    pad_id: int,
    device: torch.device,
    precision: str = "float32",
    name: EngineName | None = None,
    keyed_attention: bool = True,
) -> PackedEngine | PaddedEngine:
    """Make the engine of a name for a module, or the fastest that is not known to be wrong for it.

    Args:
        module: A transformers or PEFT classifier.
        pad_id: The pad token.
        device: Where the module is.
        precision: ``float32``, or ``bfloat16`` for autocast.
        name: Which engine; None: the first of :func:`engine_names`.
        keyed_attention: Whether the attention of a padded module is replaced by a keyed one where it can be.

    Returns:
        The engine.
    """
    chosen = engine_names(module)[0] if name is None else name
    if chosen == "packed":
        return PackedEngine(module, device=device, precision=precision)
    return PaddedEngine(
        module, pad_id=pad_id, device=device, precision=precision, piece_size=1 if chosen == "one by one" else 16,
        equal_lengths=chosen == "equal lengths", keyed_attention=keyed_attention,
    )  # fmt: skip


def engine_names(module: nn.Module) -> tuple[EngineName, ...]:
    """The engines that may serve a module, from fast to slow; whether they do is for :mod:`contested.training.proof`.

    Args:
        module: A transformers or PEFT classifier.

    Returns:
        At least ``one by one``, which alone serves a module that is known to look across examples.
    """
    if looks_across(module):
        return ("one by one",)
    if is_sharded(module):
        return ("padded", "one by one")  # every process calls the module as often as any other
    slower: tuple[EngineName, ...] = ("padded", "equal lengths", "one by one")
    return ("packed", *slower) if packs(module) else slower


def packs(module: nn.Module) -> bool:
    """Whether this module's family and adapter can run without padding."""
    if is_sharded(module) or _adds_tokens(module) or looks_across(module):
        return False
    return packed_forward(base_model(module)) is not None


def is_sharded(module: nn.Module) -> bool:
    """Whether its weights are spread over processes: only its own forward then puts them together."""
    return any(isinstance(part, FSDPModule) for part in module.modules())


def looks_across(module: nn.Module) -> str:
    """Why the examples of a batch see each other in an adapted module, or an empty text where nothing is known."""
    kinds = {config.peft_type.value for config in getattr(module, "peft_config", {}).values()}
    return next((reason for kind, reason in _LOOK_ACROSS.items() if kind in kinds), "")


class PackedEngine:
    """Computes logits without a single padded token outside attention (see :class:`Engine`).

    Args:
        module: A classifier for which :func:`packs` holds.
        device: Where the module is.
        precision: ``float32``, or ``bfloat16`` for autocast; frozen weights are then cast once, for good.
        single_group: Whether all examples attend in one padded group.
        bucket: Numbers of tokens are filled up to multiples of this; see :class:`contested.training.packed.Packer`.
        keyed: Whether the module's dropout is replaced by keyed one; without it the module is left as it is, and serves
            passes in eval mode alone.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        device: torch.device,
        precision: str = "float32",
        single_group: bool = False,
        bucket: int | None = None,
        keyed: bool = True,
    ) -> None:
        self._model = base_model(module)
        forward = packed_forward(self._model)
        if forward is None:
            raise ValueError(f"{type(self._model).__name__} cannot be packed; use PaddedEngine.")
        self._forward = forward
        keys = DropoutKeys.of(module if keyed else nn.Module())
        self._packer = Packer(keys, device=device, precision=precision, single_group=single_group, bucket=bucket)
        if precision == "bfloat16":
            cast_frozen(module)

    @property
    def keys(self) -> DropoutKeys | None:
        """The keys of the module's dropout, shared by all its engines; None where it is left as it is."""
        return self._packer.keys

    def lengths(self, texts: EncodedTexts) -> NDArray[np.int64]:
        """Tokens of each text that are computed, shape (len(texts),): those that its logits depend on."""
        return pooling(self._model).lengths(texts, np.arange(len(texts)))

    def logits(self, texts: EncodedTexts, rows: NDArray[np.int64], key: DropoutKey | None = None) -> Tensor:
        """See :class:`Engine`."""
        return self.forward(self.collate([RunBatch(texts, rows, key)]).to(self._packer.device))[0]

    def collate(self, batches: Sequence[RunBatch]) -> PackedBatch:
        """See :class:`BatchEngine`; a single run."""
        return self._packer.collate(batches, pooling(self._model))

    def forward(self, batch: PackedBatch) -> list[Tensor]:
        """See :class:`BatchEngine`."""
        with self._packer.unpack(batch) as tokens:
            logits = self._forward(self._model, self._packer, tokens)
        return [at_least_float32(logits[batch.fields()["order"]])]


class PaddedEngine:
    """Pads to the longest of a few examples of similar length.

    A batch is sorted by length and cut into pieces of equal size, each padded to its own longest
    example; the pieces' logits are put back in order, so one backward goes through all of them. Each
    example sees exactly what it would see in one padded batch. Padding goes to the right for decoders too: they
    look back only, and their heads take the last token that is not padding. It goes to the left where a head takes the
    last cell.

    Args:
        module: A transformers or PEFT classifier.
        pad_id: The pad token.
        device: Where the module is.
        precision: ``float32``, or ``bfloat16`` for autocast; frozen weights are then cast once, for good.
        piece_size: Examples per piece.
        equal_lengths: Whether a piece holds examples of one length alone, so that nothing is padded.
        keyed: Whether the module's dropout and attention are replaced by keyed ones; without it the module is left as
            it is.
        keyed_attention: Whether its attention is, too; without it PyTorch's generator drops what its functions drop.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        pad_id: int,
        device: torch.device,
        precision: str = "float32",
        piece_size: int = 16,
        equal_lengths: bool = False,
        keyed: bool = True,
        keyed_attention: bool = True,
    ) -> None:
        self._module = module
        self._pad_id = pad_id
        self._device = device
        self._bfloat16 = precision == "bfloat16"
        self._piece_size = piece_size
        self._equal_lengths = equal_lengths
        self._keys: DropoutKeys | None = None
        self._left = pads_left(base_model(module))
        if keyed:
            self._last = pooling(base_model(module)).last
            keys = DropoutKeys.of(module)
            if keyed_attention:
                use_keyed_attention(base_model(module))
            # Tokens that a prompt adds have no place among an example's own: PyTorch's generator drops then.
            self._keys = None if _adds_tokens(module) else keys
        if self._bfloat16:
            cast_frozen(module)

    @property
    def keys(self) -> DropoutKeys | None:
        """As :attr:`PackedEngine.keys`; None also where what a prompt adds has no keys."""
        return self._keys

    def logits(self, texts: EncodedTexts, rows: NDArray[np.int64], key: DropoutKey | None = None) -> Tensor:
        """See :class:`Engine`."""
        by_length = np.argsort(texts.lengths[rows], kind="stable")
        pieces = [self._forward(texts, rows[part], key) for part in self._pieces(texts.lengths[rows], by_length)]
        restore = torch.from_numpy(np.argsort(by_length, kind="stable")).to(self._device)
        return at_least_float32(torch.cat(pieces)[restore])

    def _pieces(self, lengths: NDArray[np.int64], by_length: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        if self._equal_lengths:
            return equal_length_batches(lengths, self._piece_size)
        return np.array_split(by_length, max(1, round(len(by_length) / self._piece_size)))

    def _forward(self, texts: EncodedTexts, rows: NDArray[np.int64], key: DropoutKey | None) -> Tensor:
        with self._keyed(texts, rows, key):
            logits: Tensor = self._module(**self._pad(texts, rows)).logits
        return logits

    @contextlib.contextmanager
    def _keyed(self, texts: EncodedTexts, rows: NDArray[np.int64], key: DropoutKey | None) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            if self._bfloat16:
                stack.enter_context(torch.autocast(self._device.type, dtype=torch.bfloat16))
            if key is not None and self._keys is not None:
                lengths = texts.lengths[rows]
                keys = row_keys(key, rows[:, None], self._positions(lengths))
                last = -1 if self._left else lengths - 1
                pooled = keys[np.arange(len(rows)), last if self._last else 0]
                given = (torch.from_numpy(np.asarray(part)) for part in (keys, pooled, shared_key(key)))
                stack.enter_context(self._keys.keyed(*(part.to(self._device) for part in given)))
                stack.enter_context(attention_keys(self._keys))
            yield

    def _positions(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each cell within its example, shape (B, longest); outside of it, that of padding."""
        longest = int(lengths.max())
        return np.arange(longest)[None, :] - (longest - lengths if self._left else 0 * lengths)[:, None]

    def _pad(self, texts: EncodedTexts, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """Inputs of the module's forward, each of shape (B, longest); cells past an example's end are padding."""
        lengths = texts.lengths[rows]
        positions = self._positions(lengths)
        real = (positions >= 0) & (positions < lengths[:, None])
        source = np.where(real, texts.offsets[rows][:, None] + positions, 0)
        arrays = {
            "input_ids": np.where(real, texts.input_ids[source], self._pad_id),
            "attention_mask": real,
        }
        if texts.token_type_ids is not None:
            arrays["token_type_ids"] = np.where(real, texts.token_type_ids[source], 0)
        return {name: torch.from_numpy(array.astype(np.int64)).to(self._device) for name, array in arrays.items()}


def reads_padding(module: nn.Module) -> str:
    """Why the padding behind a text may change its logits, or an empty text where nothing is known."""
    model = base_model(module)
    if any(isinstance(part, nn.Conv1d | nn.Conv2d) for part in model.modules()):
        return "its convolutions read it"
    return "its Fourier transform reads it" if model.config.model_type == "fnet" else ""


def equal_length_batches(lengths: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Cut rows into batches of at most ``size`` of equal length.

    >>> [batch.tolist() for batch in equal_length_batches(np.array([5, 4, 5, 5]), 2)]
    [[1], [0, 2], [3]]
    """
    by_length = np.argsort(lengths, kind="stable")
    runs = np.split(by_length, np.flatnonzero(np.diff(lengths[by_length])) + 1)
    return [run[start : start + size] for run in runs for start in range(0, len(run), size)]


_LOOK_ACROSS = {"LILY": "Lily's router averages over all tokens of a batch"}
"""By PEFT's name of the tuner."""


def _adds_tokens(module: nn.Module) -> bool:
    """Whether PEFT's forward puts tokens of its own before the text, as prompt learning does."""
    return bool(getattr(getattr(module, "active_peft_config", None), "is_prompt_learning", False))
