"""Attention within each example of a packed batch.

Examples are cut into groups of similar length; each group is laid out example by example and head
by head, padded to its longest, for the attention alone. Many groups waste little (CPUs); a single one has a shape
that depends on the longest example alone (devices on which many small calls are dear).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

Bias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries and keys (B, heads, rows, size) and the queries' positions (rows,) to what is added to their scores."""

_SIMILAR = 0.75


class Rule(NamedTuple):
    """Who sees whom.

    Attributes:
        scale: Of the scores.
        causal: Whether a token sees only those before it and itself.
        window: A token sees those less than this many positions away; None: all.
        reading: Whether one token of each example asks: its last one if causal, else its first.
    """

    scale: float
    causal: bool
    window: int | None
    reading: bool


class Groups:
    """Where the tokens of a batch lie while they attend.

    Args:
        parts: Tokens of each example, rising within each part.
        device: Where the activations are.
        width: Of a single group of all examples; None: groups of similar length.
    """

    def __init__(self, parts: Sequence[NDArray[np.int64]], device: torch.device, width: int | None) -> None:
        lengths = self._lengths = np.concatenate(parts)
        self._device = device
        self.shapes = [shape for part in parts for shape in _cut(part)] if width is None else [(len(lengths), width)]
        """Number of examples and longest length of each group."""
        self._runs: list[tuple[int, int]] | None = None
        if width is None:
            counted = [np.unique(part, return_counts=True) for part in parts]
            self._runs = [
                (int(n), int(size)) for sizes, counts in counted for size, n in zip(sizes, counts, strict=True)
            ]
        self._real: list[Tensor | None] = []
        self._in_group = torch.split(torch.from_numpy(lengths).to(device), [count for count, _ in self.shapes])
        first = 0
        for count, longest in self.shapes:
            real = np.arange(longest) < lengths[first : first + count, None]
            # A single group has its mask even where nothing is padded, as its shapes shall not hang on the examples.
            self._real.append(
                None if real.all() and width is None else torch.from_numpy(real).to(device)[:, None, None]
            )
            first += count
        self._masks: dict[tuple[int, Rule, torch.dtype], Tensor | None] = {}
        self._layouts: dict[int, tuple[Tensor, Tensor]] = {}

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, rule: Rule, kept: Tensor | None, bias: Bias | None
    ) -> Tensor:
        """Attention within each example.

        Args:
            query: Shape (T, heads, size); (B, heads, size) if one token of each example asks.
            key: Shape (T, heads, size).
            value: As ``key``.
            rule: Who sees whom.
            kept: Dropout's factors of the probabilities, shape (rows of ``query``, heads, at least the longest
                length), or None.
            bias: Added to the scores before they are scaled; for models that read the first token.

        Returns:
            Shape (rows of ``query``, heads * size).
        """
        if self._plain(rule, kept, bias):
            return self._in_runs(query, key, value, rule)
        queries = self._asking(query) if rule.reading else self._laid_out(query)
        factors: list[Tensor] | list[None] = [None] * len(self.shapes)
        if kept is not None:
            factors = self._asking(kept) if rule.reading else self._laid_out(kept)
        contexts = []
        for group, (q, k, v, factor) in enumerate(
            zip(queries, self._laid_out(key), self._laid_out(value), factors, strict=True)
        ):
            width = self.shapes[group][1]
            hidden = self._hidden(group, rule, q.dtype)
            context = _attend(q, k, v, hidden, rule, None if factor is None else factor[..., :width], bias)
            contexts.append(context.flatten(0, 2))
        context = torch.cat(contexts)
        if rule.reading:
            return context.view(len(query), -1)
        _, place = self._layout(query.shape[1])
        result: Tensor = _TakenBack.apply(context, place)  # type: ignore[no-untyped-call]
        return result.view(len(query), -1)

    def _plain(self, rule: Rule, kept: Tensor | None, bias: Bias | None) -> bool:
        """Whether runs of equal length can attend as views: without gradients, and where all is seen."""
        if torch.is_grad_enabled() or self._runs is None or kept is not None or bias is not None:
            return False
        return (rule.reading or not rule.causal) and (rule.window is None or int(self._lengths.max()) <= rule.window)

    def _in_runs(self, query: Tensor, key: Tensor, value: Tensor, rule: Rule) -> Tensor:
        assert self._runs is not None
        whole = [count * length for count, length in self._runs]
        asking = [count for count, _ in self._runs] if rule.reading else whole
        contexts = []
        for (count, _), *parts in zip(
            self._runs, torch.split(query, asking), torch.split(key, whole), torch.split(value, whole), strict=True
        ):
            q, k, v = (part.view(count, -1, *part.shape[1:]).transpose(1, 2) for part in parts)
            context = F.scaled_dot_product_attention(q, k, v, scale=rule.scale)
            contexts.append(context.transpose(1, 2).reshape(len(parts[0]), -1))
        return torch.cat(contexts)

    def _hidden(self, group: int, rule: Rule, dtype: torch.dtype) -> Tensor | None:
        """0 where a group's queries see, the lowest number where they do not; the layers of a pass share it."""
        at = group, rule, dtype
        if at not in self._masks:
            visible = _visible(rule, self._in_group[group], self.shapes[group][1], self._real[group])
            self._masks[at] = None if visible is None else (~visible).to(dtype).mul_(torch.finfo(dtype).min)
        return self._masks[at]

    def _asking(self, rows: Tensor) -> list[Tensor]:
        """One row of each example as (count, heads, 1, size) a group."""
        return [part[:, :, None] for part in torch.split(rows, [count for count, _ in self.shapes])]

    def _laid_out(self, rows: Tensor) -> list[Tensor]:
        """Rows of all tokens (T, heads, size) as (count, heads, width, size) a group."""
        heads, size = rows.shape[1:]
        index, place = self._layout(heads)
        flat: Tensor = _LaidOut.apply(rows.reshape(-1, size), index, place)  # type: ignore[no-untyped-call]
        parts = torch.split(flat, [count * heads * width for count, width in self.shapes])
        return [part.view(count, heads, width, size) for part, (count, width) in zip(parts, self.shapes, strict=True)]

    def _layout(self, heads: int) -> tuple[Tensor, Tensor]:
        """Of each cell (group, example, head, position) its row of (token, head), and of each such row its cell.

        A cell behind the end of an example has the row of the example's last token: it is not seen, and what it
        asks is not read.
        """
        if heads not in self._layouts:
            starts = np.concatenate([[0], np.cumsum(self._lengths)[:-1]])
            places = np.empty((int(self._lengths.sum()), heads), np.int64)
            rows, first, cells = [], 0, 0
            for count, width in self.shapes:
                part = slice(first, first + count)
                lengths, columns = self._lengths[part, None], np.arange(width)
                token = starts[part, None] + np.minimum(columns, lengths - 1)
                rows.append(((token * heads)[:, None] + np.arange(heads)[:, None]).reshape(-1))
                cell = cells + np.arange(count * heads * width).reshape(count, heads, width).transpose(0, 2, 1)
                real = columns < lengths
                places[token[real]] = cell[real]
                first, cells = first + count, cells + count * heads * width
            index = torch.from_numpy(np.concatenate(rows)).to(self._device)
            self._layouts[heads] = index, torch.from_numpy(places.reshape(-1)).to(self._device)
        return self._layouts[heads]


class _LaidOut(torch.autograd.Function):
    """Rows in cells; what comes back to a cell behind the end of an example is zero and left out."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(place)
        return rows.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (place,) = ctx.saved_tensors
        return gradients[0].index_select(0, place), None, None


class _TakenBack(torch.autograd.Function):
    """Cells as rows; a cell behind the end of an example is not read."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(place)
        ctx.n_cells = len(cells)
        return cells.index_select(0, place)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (place,), gradient = ctx.saved_tensors, gradients[0]
        return gradient.new_zeros(ctx.n_cells, gradient.shape[1]).index_copy_(0, place, gradient), None


def _attend(
    query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None, rule: Rule, kept: Tensor | None, bias: Bias | None
) -> Tensor:
    """Softmax of scores, dropout, weighted values; all of shape (B, heads, rows, size)."""
    if bias is None and kept is None and not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(query, key, value, attn_mask=hidden, scale=rule.scale)
    if bias is None:
        # On CPUs faster than the fused kernel with its backward, and the same with dropout and without.
        added = query.new_zeros(()) if hidden is None else hidden
        added = added.expand(*query.shape[:3], key.shape[2]).reshape(-1, query.shape[2], key.shape[2])
        scores = torch.baddbmm(added, query.flatten(0, 1), key.flatten(0, 1).mT, alpha=rule.scale)
        scores = scores.view(*query.shape[:3], key.shape[2])
    else:
        at = torch.arange(query.shape[2], device=query.device)
        scores = (query @ key.mT + bias(query, key, at)) * rule.scale
        scores = scores if hidden is None else scores + hidden
    probabilities = scores.softmax(-1)
    return (probabilities if kept is None else probabilities * kept) @ value


def _visible(rule: Rule, lengths: Tensor, width: int, real: Tensor | None) -> Tensor | None:
    """What the queries of a group see, broadcast to (B, heads, queries, width); None: everything."""
    window = None if rule.window is None or width <= rule.window else rule.window
    if window is None and (rule.reading or not rule.causal):
        return real
    places = torch.arange(width, device=lengths.device)
    if not rule.reading:
        at = places[None]
    else:
        at = lengths[:, None] - 1 if rule.causal else torch.zeros_like(lengths)[:, None]
    distance = at[..., None] - places
    seen = distance >= 0 if rule.causal else torch.ones_like(distance, dtype=torch.bool)
    if window is not None:
        seen = seen & (distance.abs() < window)
    seen = seen[:, None]
    return seen if real is None else seen & real


def _cut(lengths: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut rising lengths into groups, none of which pads an example to more than 4/3 of its length.

    >>> _cut(np.array([5, 8, 9, 10, 10]))
    [(1, 5), (4, 10)]
    """
    shapes: list[tuple[int, int]] = []
    end = len(lengths)
    while end:
        longest = int(lengths[end - 1])
        start = int(np.searchsorted(lengths[:end], _SIMILAR * longest))
        shapes.insert(0, (end - start, longest))
        end = start
    return shapes
