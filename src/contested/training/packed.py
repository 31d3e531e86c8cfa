"""Batches without padding: all tokens in one row, attention within each example."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from contested.tasks import EncodedTexts
from contested.training.attention import Bias, Cut, Factors, Groups, Rule
from contested.training.dropout import DropoutKey, DropoutKeys, row_keys, step_key

_BUCKET = 64
_WIDTHS = 16
_FILLERS = 4
_LONGEST = 17


class Batch(NamedTuple):
    """B examples, T tokens end to end, sorted by length within each part.

    Attributes:
        input_ids: Shape (T,).
        token_type_ids: Shape (T,), or None.
        positions: Position of each token within its example, from 0, shape (T,).
        first: Row of each example's first token, shape (B,).
        last: Row of each example's last token, shape (B,).
        width: Tokens of the longest example.
        groups: Where the tokens lie while they attend.
        tokens: Number of tokens of each part.
        examples: Number of examples of each part, those that fill it up included.
    """

    input_ids: Tensor
    token_type_ids: Tensor | None
    positions: Tensor
    first: Tensor
    last: Tensor
    width: int
    groups: Groups
    tokens: list[int]
    examples: list[int]


class Part(NamedTuple):
    """Texts of one run in a batch.

    Attributes:
        texts: Token ids.
        rows: Which texts, sorted by length.
        key: Of the dropout, or None for PyTorch's own; of all parts or of none.
    """

    texts: EncodedTexts
    rows: NDArray[np.int64]
    key: DropoutKey | None


class Packing:
    """Batches and attention for one model; what an adapter of a family computes with.

    Args:
        module: The model, whose dropout it keys.
        device: Where the model is.
        precision: ``float32``, or ``bfloat16`` for autocast.
        single_group: Whether all examples attend in one padded group; by default only where there are buckets.
        bucket: Numbers of tokens are filled up to multiples of this by further examples, and the longest length to
            multiples of 16, so that a few shapes come again and again; None: as they are, by default on CPUs.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        device: torch.device,
        precision: str,
        single_group: bool = False,
        bucket: int | None = None,
    ) -> None:
        self.keys = DropoutKeys.of(module)
        self._device = device
        self._bfloat16 = precision == "bfloat16"
        self._bucket = _BUCKET if bucket is None and device.type != "cpu" else bucket
        # What fills a batch up is not sorted by length.
        self._single_group = single_group or self._bucket is not None

    @contextlib.contextmanager
    def batch(self, parts: Sequence[Part], *, last: bool, keys: Sequence[DropoutKeys] = ()) -> Iterator[Batch]:
        """Lay texts end to end and key their dropout meanwhile.

        Args:
            parts: What the batch consists of.
            last: Whether the last token is read, not the first.
            keys: Further keys, of a model for each part; they see their part alone.

        Yields:
            The batch.
        """
        laid_out = [_LaidOut.of(part, last=last) for part in parts]
        if self._bucket is not None:
            most = max(len(part.input_ids) for part in laid_out)
            laid_out = [part.filled(((most + _FILLERS - 1) // self._bucket + 1) * self._bucket) for part in laid_out]
        lengths = np.concatenate([part.lengths for part in laid_out])
        first = np.concatenate([[0], np.cumsum(lengths)[:-1]])

        def joined(arrays: Sequence[NDArray[Any]]) -> Tensor:
            return torch.from_numpy(np.concatenate(arrays).astype(np.int64)).to(self._device)

        width = int(lengths.max())
        width += 0 if self._bucket is None else -width % _WIDTHS
        cut = (
            Cut.single(len(lengths), width) if self._single_group else Cut.similar([part.lengths for part in laid_out])
        )
        example, positions = (
            joined([np.repeat(np.arange(len(lengths)), lengths)]),
            joined([part.positions for part in laid_out]),
        )
        segments = [part.token_type_ids for part in laid_out if part.token_type_ids is not None]
        batch = Batch(
            input_ids=joined([part.input_ids for part in laid_out]),
            token_type_ids=joined(segments) if segments else None,
            positions=positions,
            first=joined([first]),
            last=joined([first + lengths - 1]),
            width=width,
            groups=Groups(cut, joined([lengths]), example, positions),
            tokens=[len(part.input_ids) for part in laid_out],
            examples=[len(part.lengths) for part in laid_out],
        )
        with contextlib.ExitStack() as stack:
            keyed = [(part.keys, part.read, step_key(part.key)) for part in laid_out if part.key is not None]
            if keyed:
                tokens, reads, steps = (list(values) for values in zip(*keyed, strict=True))
                both = np.concatenate(tokens), np.concatenate(reads), steps[0]
                stack.enter_context(self.keys.keyed(*both, self._device))
                for own, of_part in zip(keys, keyed, strict=False):
                    stack.enter_context(own.keyed(*of_part, self._device))
            if self._bfloat16:
                stack.enter_context(torch.autocast(self._device.type, dtype=torch.bfloat16))
            yield batch

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        batch: Batch,
        *,
        scale: float,
        dropout: float = 0.0,
        reading: bool = False,
        causal: bool = False,
        window: int | None = None,
        bias: Bias | None = None,
    ) -> Tensor:
        """Attention within each example.

        Args:
            module: The attention module, whose name is the site of its dropout.
            query: Shape (T, heads, size), or (B, heads, size) if ``reading``.
            key: Shape (T, heads or a divisor of it, size).
            value: As ``key``.
            batch: The batch.
            scale: Of the scores.
            dropout: Share of the probabilities dropped; 0 in eval mode.
            reading: Whether only the token that the head reads asks: the last one if causal, else the first.
            causal: Whether a token sees only those before it and itself.
            window: A token sees those less than this many positions away; None: all.
            bias: Added to the scores before they are scaled.

        Returns:
            Shape (rows that ask, heads * size).
        """
        if key.shape[1] != query.shape[1]:
            repeats = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        rule = Rule(scale, causal, window, reading)
        factors = self._factors(module, query.shape[1], dropout, rule) if dropout else None
        if query.dtype == torch.bfloat16 and self._device.type == "cpu":
            # The backward pass of bfloat16 attention is several times slower than float32's on CPUs.
            parts = (query.float(), key.float(), value.float())
            return batch.groups.attend(*parts, rule, factors, bias).to(query.dtype)
        return batch.groups.attend(query, key, value, rule, factors, bias)

    def _factors(self, module: nn.Module, heads: int, dropout: float, rule: Rule) -> Factors:
        """Dropout of the probabilities of a call."""
        if self.keys.active:
            return self.keys.of_probabilities(
                module, self.keys.read if rule.reading else self.keys.rows, heads, dropout
            )
        return lambda rows, width: F.dropout(
            torch.ones(len(rows), heads, rows.shape[1], width, device=rows.device), dropout
        )


class _LaidOut(NamedTuple):
    """A part's tokens end to end, with the keys of the tokens and of those that are read."""

    lengths: NDArray[np.int64]
    input_ids: NDArray[np.int32]
    token_type_ids: NDArray[np.int32] | None
    positions: NDArray[np.int64]
    key: DropoutKey | None
    keys: NDArray[np.uint64]
    read: NDArray[np.uint64]

    def filled(self, n_tokens: int) -> _LaidOut:
        """With examples of nothing behind, ``n_tokens`` in all."""
        missing = n_tokens - len(self.input_ids)
        # As many examples each time, none of them longer than the shortest model reads.
        pieces = np.array_split(np.arange(missing), max(_FILLERS, -(-missing // _LONGEST)))
        ids = np.full(missing, self.input_ids[0])
        segments = None if self.token_type_ids is None else np.append(self.token_type_ids, np.zeros_like(ids))
        keys = [np.zeros(n if self.key is not None else 0, np.uint64) for n in (missing, len(pieces))]
        return _LaidOut(
            lengths=np.append(self.lengths, [len(piece) for piece in pieces]),
            input_ids=np.append(self.input_ids, ids),
            token_type_ids=segments,
            positions=np.append(self.positions, np.concatenate([piece - piece[0] for piece in pieces])),
            key=self.key,
            keys=np.append(self.keys, keys[0]),
            read=np.append(self.read, keys[1]),
        )

    @classmethod
    def of(cls, part: Part, *, last: bool) -> _LaidOut:
        texts, rows = part.texts, part.rows
        lengths = texts.lengths[rows]
        ends = np.cumsum(lengths)
        example = np.repeat(np.arange(len(rows)), lengths)
        positions = np.arange(ends[-1]) - (ends - lengths)[example]
        source = texts.offsets[rows][example] + positions
        keys = np.zeros(0, np.uint64) if part.key is None else row_keys(part.key, rows[example], positions)
        read = keys if part.key is None else keys[ends - 1 if last else ends - lengths]
        segments = None if texts.token_type_ids is None else texts.token_type_ids[source]
        return cls(lengths, texts.input_ids[source], segments, positions, part.key, keys, read)
