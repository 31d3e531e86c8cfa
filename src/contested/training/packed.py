"""Batches without padding: all tokens in one row, attention within each example.

A batch is laid out on the host and goes to the device in one copy; what follows needs the host no more, so that it
can be captured as a graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from contested.tasks import EncodedTexts
from contested.training.attention import Bias, Cut, Factors, Groups, Rule
from contested.training.dropout import DropoutKey, DropoutKeys, row_keys, shared_key

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
        width: Cells of the longest example.
        groups: Where the tokens lie while they attend.
    """

    input_ids: Tensor
    token_type_ids: Tensor | None
    positions: Tensor
    first: Tensor
    last: Tensor
    width: int
    groups: Groups


class Part(NamedTuple):
    """Texts of one run in a batch.

    Attributes:
        texts: Token ids.
        rows: Which texts, in any order.
        key: Of the dropout, or None for PyTorch's own; of all parts or of none.
    """

    texts: EncodedTexts
    rows: NDArray[np.int64]
    key: DropoutKey | None


class Shape(NamedTuple):
    """What is known of a batch without its numbers; a captured graph serves all batches of one shape.

    Attributes:
        tokens: Number of tokens of each part.
        examples: Number of examples of each part, those that fill it up included.
        asked: Number of rows asked for of each part.
        width: Cells of the longest example.
        cut: The groups of attention.
        sizes: Length of each field of the laid-out batch.
    """

    tokens: tuple[int, ...]
    examples: tuple[int, ...]
    asked: tuple[int, ...]
    width: int
    cut: Cut
    sizes: tuple[tuple[str, int], ...]


class Laid(NamedTuple):
    """A batch laid out: every number that a device needs of it, end to end in one tensor, and what they are.

    Attributes:
        numbers: int64, one dimension.
        shape: Their meaning.
    """

    numbers: Tensor
    shape: Shape

    def to(self, device: torch.device) -> Laid:
        """The same on a device, in one copy."""
        if device.type != "cuda":
            return self._replace(numbers=self.numbers.to(device))
        return self._replace(numbers=self.numbers.pin_memory().to(device, non_blocking=True))

    def fields(self) -> dict[str, Tensor]:
        """Views of the single fields."""
        names, sizes = zip(*self.shape.sizes, strict=True)
        return dict(zip(names, torch.split(self.numbers, list(sizes)), strict=True))

    def rows(self) -> tuple[Tensor, ...]:
        """The rows asked for of each part, in the order of the logits."""
        return torch.split(self.fields()["rows"], list(self.shape.asked))


class Packing:
    """Batches and attention for one model; what an adapter of a family computes with.

    Args:
        keys: The keys of its dropout; those of no module where nothing is dropped.
        device: Where the model is.
        precision: ``float32``, or ``bfloat16`` for autocast.
        single_group: Whether all examples attend in one padded group; by default only where there are buckets.
        bucket: Numbers of tokens are filled up to multiples of this by further examples, and the longest length to
            multiples of 16, so that a few shapes come again and again; None: as they are, by default on CPUs.
    """

    def __init__(
        self,
        keys: DropoutKeys,
        *,
        device: torch.device,
        precision: str,
        single_group: bool = False,
        bucket: int | None = None,
    ) -> None:
        self.keys = keys
        self.device = device
        self._bfloat16 = precision == "bfloat16"
        self._bucket = _BUCKET if bucket is None and device.type != "cpu" else bucket
        # What fills a batch up is not sorted by length.
        self._single_group = single_group or self._bucket is not None
        self._constants: dict[Hashable, tuple[Tensor, ...]] = {}

    def lay_out(self, parts: Sequence[Part], *, last: bool) -> Laid:
        """Lay texts end to end.

        Args:
            parts: What the batch consists of.
            last: Whether the last token is read, not the first.

        Returns:
            The batch, in the host's memory.
        """
        laid_out = [_LaidOut.of(part, last=last) for part in parts]
        asked = tuple(len(part.rows) for part in parts)
        if self._bucket is not None:
            most = max(len(part.input_ids) for part in laid_out)
            laid_out = [part.filled(((most + _FILLERS - 1) // self._bucket + 1) * self._bucket) for part in laid_out]
        lengths = np.concatenate([part.lengths for part in laid_out])
        width = int(lengths.max())
        width += 0 if self._bucket is None else -width % _WIDTHS
        single = Cut.single(len(lengths), width) if self._single_group else None
        examples = tuple(len(part.lengths) for part in laid_out)
        before = np.cumsum(examples) - examples
        fields: dict[str, list[Any]] = {
            "input_ids": [part.input_ids for part in laid_out],
            "positions": [part.positions for part in laid_out],
            "example": [np.repeat(np.arange(len(lengths)), lengths)],
            "token_type_ids": [part.token_type_ids for part in laid_out if part.token_type_ids is not None],
            "keys": [part.keys for part in laid_out],
            "lengths": [lengths],
            "read": [part.read for part in laid_out],
            "steps": [[shared_key(part.key)] for part in parts if part.key is not None],
            "order": [first + part.order for first, part in zip(before, laid_out, strict=True)],
            "rows": [part.rows for part in parts],
        }
        joined = {name: np.concatenate(values).astype(np.int64) for name, values in fields.items() if values}
        shape = Shape(
            tokens=tuple(len(part.input_ids) for part in laid_out),
            examples=examples,
            asked=asked,
            width=width,
            cut=single or Cut.similar([part.lengths for part in laid_out]),
            sizes=tuple((name, len(values)) for name, values in joined.items() if len(values)),
        )
        return Laid(torch.from_numpy(np.concatenate(list(joined.values()))), shape)

    @contextlib.contextmanager
    def batch(self, laid: Laid, keys: Sequence[DropoutKeys] = ()) -> Iterator[Batch]:
        """Take a batch apart and key its dropout meanwhile.

        Args:
            laid: The batch, on the device.
            keys: Further keys, of a model for each part; they see their part alone.

        Yields:
            The batch.
        """
        fields, shape = laid.fields(), laid.shape
        ends = fields["lengths"].cumsum(0)
        batch = Batch(
            input_ids=fields["input_ids"],
            token_type_ids=fields.get("token_type_ids"),
            positions=fields["positions"],
            first=ends - fields["lengths"],
            last=ends - 1,
            width=shape.width,
            groups=Groups(shape.cut, fields["lengths"], fields["example"], fields["positions"]),
        )
        with contextlib.ExitStack() as stack:
            if "steps" in fields:
                tokens, read, steps = fields["keys"], fields["read"], fields["steps"]
                stack.enter_context(self.keys.keyed(tokens, read, steps[0]))
                of_parts = torch.split(tokens, list(shape.tokens)), torch.split(read, list(shape.examples)), steps
                for own, *of_part in zip(keys, *of_parts, strict=False):
                    stack.enter_context(own.keyed(*of_part))
            if self._bfloat16:
                stack.enter_context(torch.autocast(self.device.type, dtype=torch.bfloat16))
            yield batch

    def constant(self, name: Hashable, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Tensors that are made once, on the host, and stay on the device."""
        if name not in self._constants:
            self._constants[name] = tuple(tensor.to(self.device) for tensor in make())
        return self._constants[name]

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
        if query.dtype == torch.bfloat16 and self.device.type == "cpu":
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
    """A part's tokens end to end, with the keys of the tokens and of those that are read, and each row's example."""

    lengths: NDArray[np.int64]
    input_ids: NDArray[np.int32]
    token_type_ids: NDArray[np.int32] | None
    positions: NDArray[np.int64]
    keys: NDArray[np.int64]
    read: NDArray[np.int64]
    order: NDArray[np.int64]

    def filled(self, n_tokens: int) -> _LaidOut:
        """With examples of nothing behind, ``n_tokens`` in all."""
        missing = n_tokens - len(self.input_ids)
        # As many examples each time, none of them longer than the shortest model reads.
        pieces = np.array_split(np.arange(missing), max(_FILLERS, -(-missing // _LONGEST)))
        ids = np.full(missing, self.input_ids[0])
        segments = None if self.token_type_ids is None else np.append(self.token_type_ids, np.zeros_like(ids))
        keys = [np.zeros(n if len(self.keys) else 0, np.int64) for n in (missing, len(pieces))]
        return _LaidOut(
            lengths=np.append(self.lengths, [len(piece) for piece in pieces]),
            input_ids=np.append(self.input_ids, ids),
            token_type_ids=segments,
            positions=np.append(self.positions, np.concatenate([piece - piece[0] for piece in pieces])),
            keys=np.append(self.keys, keys[0]),
            read=np.append(self.read, keys[1]),
            order=self.order,
        )

    @classmethod
    def of(cls, part: Part, *, last: bool) -> _LaidOut:
        texts, by_length = part.texts, np.argsort(part.texts.lengths[part.rows], kind="stable")
        rows = part.rows[by_length]
        lengths = texts.lengths[rows]
        ends = np.cumsum(lengths)
        example = np.repeat(np.arange(len(rows)), lengths)
        positions = np.arange(ends[-1]) - (ends - lengths)[example]
        source = texts.offsets[rows][example] + positions
        keys = np.zeros(0, np.int64) if part.key is None else row_keys(part.key, rows[example], positions)
        return cls(
            lengths=lengths,
            input_ids=texts.input_ids[source],
            token_type_ids=None if texts.token_type_ids is None else texts.token_type_ids[source],
            positions=positions,
            keys=keys,
            read=keys if part.key is None else keys[ends - 1 if last else ends - lengths],
            order=np.argsort(by_length, kind="stable"),
        )
