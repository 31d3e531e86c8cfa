"""Batches without padding: all tokens in one row, attention within each example.

A step has a host part and a device part. The host collates a batch: every number that the device needs, end to end in
one tensor, goes there in one copy. What follows needs the host no more, so that it can be captured as a graph.
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
from contested.training.attention import Bias, DropoutMask, Groups, MaskSpec
from contested.training.dropout import DropoutKey, DropoutKeys, row_keys, shared_key
from contested.training.group_layout import GroupLayout

_BUCKET = 64  # tokens: the number of them is a multiple where shapes are to recur
_WIDTHS = 16  # cells: the same for the longest example
_PADDING_EXAMPLES = 4  # that fill a run up, at least, so that their number does not depend on how much is missing
_LONGEST = 17  # tokens of such an example: of one run 67 are missing at most, 64 + 3, and a fourth of them is 17


class DeviceBatch(NamedTuple):
    """Views of a packed batch on the device: B examples, T tokens end to end, sorted by length within each run.

    Attributes:
        input_ids: Shape (T,).
        token_type_ids: Shape (T,), or None.
        positions: Position of each token within its example, from 0, shape (T,).
        example: Example of each token, shape (T,).
        first: Row of each example's first token, shape (B,).
        last: Row of each example's last token, shape (B,).
        width: Cells of the longest example.
        groups: Where the tokens lie while they attend.
    """

    input_ids: Tensor
    token_type_ids: Tensor | None
    positions: Tensor
    example: Tensor
    first: Tensor
    last: Tensor
    width: int
    groups: Groups


class Pooling(NamedTuple):
    """Which token of an example the head reads.

    Attributes:
        last: Whether it is the last one, not the first.
        pad_id: Tokens of this id at the end of a text are not it, as the library's heads count from there; None: every
            token counts.
    """

    last: bool
    pad_id: int | None = None

    def lengths(self, texts: EncodedTexts, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of each text that its logits depend on, shape (rows,): up to the last that is read, one at least."""
        lengths = texts.lengths[rows]
        while self.last and self.pad_id is not None:
            # Nothing before a token sees it where the last one is pooled, so what follows that one can be left out.
            unread = (texts.input_ids[texts.offsets[rows] + lengths - 1] == self.pad_id) & (lengths > 1)
            if not unread.any():
                break
            lengths = lengths - unread
        return lengths


class RunBatch(NamedTuple):
    """The texts of one run in a batch of one run or several.

    Attributes:
        texts: Token ids.
        rows: Which texts, in any order.
        key: Of the dropout, or None for PyTorch's own; of all runs or of none.
    """

    texts: EncodedTexts
    rows: NDArray[np.int64]
    key: DropoutKey | None


class Shape(NamedTuple):
    """What is known of a batch without its numbers; a captured graph serves all batches of one shape.

    Attributes:
        tokens: Number of tokens of each run, padding examples included.
        examples: Number of examples of each run, padding examples included.
        asked: Number of rows requested of each run.
        width: Cells of the longest example.
        layout: The groups of attention.
        sizes: Name and length of each field of the packed batch, in its order.
    """

    tokens: tuple[int, ...]
    examples: tuple[int, ...]
    asked: tuple[int, ...]
    width: int
    layout: GroupLayout
    sizes: tuple[tuple[str, int], ...]


class PackedBatch(NamedTuple):
    """Every number that a device needs of a batch, end to end in one tensor, and what they are.

    Attributes:
        numbers: int64, one dimension.
        shape: Their meaning.
    """

    numbers: Tensor
    shape: Shape

    def to(self, device: torch.device) -> PackedBatch:
        """The same on a device, in one copy."""
        if device.type != "cuda":
            return self._replace(numbers=self.numbers.to(device))
        return self._replace(numbers=self.numbers.pin_memory().to(device, non_blocking=True))

    def fields(self) -> dict[str, Tensor]:
        """Views of the single fields."""
        names, sizes = zip(*self.shape.sizes, strict=True)
        return dict(zip(names, torch.split(self.numbers, list(sizes)), strict=True))

    def rows(self) -> tuple[Tensor, ...]:
        """The requested rows of each run, in the order of the logits."""
        return torch.split(self.fields()["rows"], list(self.shape.asked))


class Packer:
    """Batches and attention of one model: what the forward of a family computes with.

    Args:
        keys: The keys of its dropout; those of no module where nothing is dropped.
        device: Where the model is.
        precision: ``float32``, or ``bfloat16`` for autocast.
        single_group: Whether all examples attend in one padded group; by default only where there are buckets.
        bucket: Numbers of tokens are filled up to multiples of this by padding examples, and the longest length to
            multiples of 16, so that a few shapes recur; None: as they are, by default on CPUs.
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
        # Padding examples are not sorted by length among the others.
        self._single_group = single_group or self._bucket is not None
        self._constants: dict[Hashable, tuple[Tensor, ...]] = {}

    def collate(self, batches: Sequence[RunBatch], pooling: Pooling) -> PackedBatch:
        """Put the texts of a batch end to end.

        Args:
            batches: One per run.
            pooling: Which token of each is pooled.

        Returns:
            The batch, in the host's memory.
        """
        runs = [_FlatRun.of(batch, pooling) for batch in batches]
        if self._bucket is not None:
            # Runs of one number of tokens: the stack's adapters then need one batched product.
            most = max(len(run.input_ids) for run in runs)
            n_tokens = ((most + _PADDING_EXAMPLES - 1) // self._bucket + 1) * self._bucket
            runs = [run.padded_to(n_tokens) for run in runs]
        lengths = np.concatenate([run.lengths for run in runs])
        width = int(lengths.max())
        width += 0 if self._bucket is None else -width % _WIDTHS
        single = GroupLayout.single(len(lengths), width) if self._single_group else None
        fields = _fields(batches, runs)
        shape = Shape(
            tokens=tuple(len(run.input_ids) for run in runs),
            examples=tuple(len(run.lengths) for run in runs),
            asked=tuple(len(batch.rows) for batch in batches),
            width=width,
            layout=single or GroupLayout.similar([run.lengths for run in runs]),
            sizes=tuple((name, len(values)) for name, values in fields.items() if len(values)),
        )
        return PackedBatch(torch.from_numpy(np.concatenate(list(fields.values()))), shape)

    @contextlib.contextmanager
    def unpack(self, packed: PackedBatch, keys: Sequence[DropoutKeys] = ()) -> Iterator[DeviceBatch]:
        """Take a batch apart and key its dropout meanwhile.

        Args:
            packed: The batch, on the device.
            keys: Further keys, of one model per run; they see their run alone.

        Yields:
            The batch.
        """
        fields, shape = packed.fields(), packed.shape
        ends = fields["lengths"].cumsum(0)  # (B,): one past each example's last token
        batch = DeviceBatch(
            input_ids=fields["input_ids"],
            token_type_ids=fields.get("token_type_ids"),
            positions=fields["positions"],
            example=fields["example"],
            first=ends - fields["lengths"],
            last=ends - 1,
            width=shape.width,
            groups=Groups(shape.layout, fields["lengths"], fields["example"], fields["positions"]),
        )
        with contextlib.ExitStack() as stack:
            if "steps" in fields:
                tokens, pooled, steps = fields["keys"], fields["pooled"], fields["steps"]
                stack.enter_context(self.keys.keyed(tokens, pooled, steps[0]))
                of_runs = torch.split(tokens, list(shape.tokens)), torch.split(pooled, list(shape.examples)), steps
                for own, *of_run in zip(keys, *of_runs, strict=False):
                    stack.enter_context(own.keyed(*of_run))
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
        batch: DeviceBatch,
        *,
        scale: float,
        dropout: float = 0.0,
        pooled_only: bool = False,
        causal: bool = False,
        window: int | None = None,
        softcap: float | None = None,
        bias: Bias | None = None,
    ) -> Tensor:
        """Attention within each example.

        Args:
            module: The attention module, whose name is the site of its dropout.
            query: Shape (T, heads, d), or (B, heads, d) if ``pooled_only``.
            key: Shape (T, heads or a divisor of it, d).
            value: As ``key``.
            batch: The batch.
            scale: Of the scores.
            dropout: Share of the probabilities dropped; 0 in eval mode.
            pooled_only: Whether only the pooled token of each example is a query: the last if causal, else the first.
            causal: Whether a token sees only those before it and itself.
            window: A token sees those less than this many positions away; None: all.
            softcap: What scores are bent to stay below, by tanh; None: nothing.
            bias: Added to the scores before they are scaled.

        Returns:
            Shape (queries, heads * d).
        """
        if key.shape[1] != query.shape[1]:
            # Several heads of queries share one of keys and values.
            repeats = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        spec = MaskSpec(scale, causal, window, pooled_only, softcap)
        dropout_mask = (
            self._dropout_mask(module, query.shape[1], dropout, spec) if dropout or self.keys.always else None
        )
        if query.dtype == torch.bfloat16 and self.device.type == "cpu":
            # The backward pass of bfloat16 attention is several times slower than float32's on CPUs.
            parts = (query.float(), key.float(), value.float())
            context = batch.groups.attend(*parts, spec=spec, dropout_mask=dropout_mask, bias=bias)
            return context.to(query.dtype)
        return batch.groups.attend(query, key, value, spec=spec, dropout_mask=dropout_mask, bias=bias)

    def _dropout_mask(self, module: nn.Module, heads: int, dropout: float, spec: MaskSpec) -> DropoutMask:
        """Dropout of the probabilities of a call: keyed, or PyTorch's own where there are no keys."""
        if self.keys.active:
            return self.keys.attention_dropout_mask(
                module, self.keys.pooled if spec.pooled_only else self.keys.rows, heads, dropout
            )
        return lambda rows, width: F.dropout(
            torch.ones(len(rows), heads, rows.shape[1], width, device=rows.device), dropout
        )


class _FlatRun(NamedTuple):
    """One run's B examples sorted by length, T tokens end to end.

    Attributes:
        lengths: Tokens of each example, shape (B,).
        input_ids: Shape (T,).
        token_type_ids: Shape (T,), or None.
        positions: Position of each token within its example, shape (T,).
        keys: Of the dropout of each token, shape (T,); empty without.
        pooled: Of the dropout of each example's pooled token, shape (B,); empty without.
        order: Where each row asked for is among the examples, in the order asked; shape (rows asked for,).
    """

    lengths: NDArray[np.int64]
    input_ids: NDArray[np.int32]
    token_type_ids: NDArray[np.int32] | None
    positions: NDArray[np.int64]
    keys: NDArray[np.int64]
    pooled: NDArray[np.int64]
    order: NDArray[np.int64]

    def padded_to(self, n_tokens: int) -> _FlatRun:
        """With padding examples at the end, ``n_tokens`` in all; ``order`` leaves them out, so they are never seen."""
        missing = n_tokens - len(self.input_ids)
        # Equally many each time, none of them longer than the shortest model reads.
        pieces = np.array_split(np.arange(missing), max(_PADDING_EXAMPLES, -(-missing // _LONGEST)))
        ids = np.full(missing, self.input_ids[0])
        segments = None if self.token_type_ids is None else np.append(self.token_type_ids, np.zeros_like(ids))
        keys = [np.zeros(n if len(self.keys) else 0, np.int64) for n in (missing, len(pieces))]
        return _FlatRun(
            lengths=np.append(self.lengths, [len(piece) for piece in pieces]),
            input_ids=np.append(self.input_ids, ids),
            token_type_ids=segments,
            positions=np.append(self.positions, np.concatenate([piece - piece[0] for piece in pieces])),
            keys=np.append(self.keys, keys[0]),
            pooled=np.append(self.pooled, keys[1]),
            order=self.order,
        )

    @classmethod
    def of(cls, batch: RunBatch, pooling: Pooling) -> _FlatRun:
        """The texts of a batch in this order."""
        texts, lengths = batch.texts, pooling.lengths(batch.texts, batch.rows)
        by_length = np.argsort(lengths, kind="stable")
        rows, lengths = batch.rows[by_length], lengths[by_length]
        ends = np.cumsum(lengths)
        example = np.repeat(np.arange(len(rows)), lengths)
        positions = np.arange(ends[-1]) - (ends - lengths)[example]
        # Where each token lies among those of all texts, (T,).
        source = texts.offsets[rows][example] + positions
        keys = np.zeros(0, np.int64) if batch.key is None else row_keys(batch.key, rows[example], positions)
        return cls(
            lengths=lengths,
            input_ids=texts.input_ids[source],
            token_type_ids=None if texts.token_type_ids is None else texts.token_type_ids[source],
            positions=positions,
            keys=keys,
            pooled=keys if batch.key is None else keys[ends - 1 if pooling.last else ends - lengths],
            order=np.argsort(by_length, kind="stable"),
        )


def _fields(batches: Sequence[RunBatch], runs: Sequence[_FlatRun]) -> dict[str, NDArray[np.int64]]:
    """What the device needs to know, by name: T tokens and B examples of all runs, and the rows asked for."""
    lengths = np.concatenate([run.lengths for run in runs])
    counts = np.array([len(run.lengths) for run in runs])
    fields: dict[str, list[Any]] = {
        "input_ids": [run.input_ids for run in runs],
        "positions": [run.positions for run in runs],
        "example": [np.repeat(np.arange(len(lengths)), lengths)],
        "token_type_ids": [run.token_type_ids for run in runs if run.token_type_ids is not None],
        "keys": [run.keys for run in runs],
        "lengths": [lengths],
        "pooled": [run.pooled for run in runs],
        "steps": [[shared_key(batch.key)] for batch in batches if batch.key is not None],
        "order": [first + run.order for first, run in zip(np.cumsum(counts) - counts, runs, strict=True)],
        "rows": [batch.rows for batch in batches],
    }
    return {name: np.concatenate(values).astype(np.int64) for name, values in fields.items() if values}
