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
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Bias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries and keys (B, heads, rows, size) and the queries' positions (rows,) to what is added to their scores."""

Factors = Callable[[Tensor, int], Tensor]
"""Rows of queries (B, rows) and the number of keys to what their probabilities are multiplied with, shape (B, heads,
rows, keys)."""

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


class Cut(NamedTuple):
    """How a batch is cut into groups, known before its tokens are.

    Attributes:
        shapes: Number of examples of each group and the cells that each of them has.
        full: Whether all cells of a group are tokens.
        runs: Number of examples of equal length and the length; None: not to be relied on.
    """

    shapes: tuple[tuple[int, int], ...]
    full: tuple[bool, ...]
    runs: tuple[tuple[int, int], ...] | None

    @classmethod
    def similar(cls, parts: Sequence[NDArray[np.int64]]) -> Cut:
        """Groups of similar length.

        Args:
            parts: Tokens of each example, rising within each part.

        Returns:
            Groups that reach over no two parts.
        """
        shapes, full, runs = [], [], []
        for lengths in parts:
            sizes, counts = np.unique(lengths, return_counts=True)
            runs += [(int(count), int(size)) for size, count in zip(sizes, counts, strict=True)]
            first = 0
            for count, longest in _cut(lengths):
                shapes.append((count, longest))
                full.append(int(lengths[first]) == longest)
                first += count
        return cls(tuple(shapes), tuple(full), tuple(runs))

    @classmethod
    def single(cls, n_examples: int, width: int) -> Cut:
        """One group of all examples, with its mask even where nothing is padded: nothing hangs on the lengths."""
        return cls(((n_examples, width),), (False,), None)


class Groups:
    """Where the tokens of a batch lie while they attend: by group, example, head and position, a cell each.

    A cell behind the end of an example is a copy of the example's last token: it is not seen, and what it asks is
    not read. Plain tensor operations on the device, without a look at what the tensors hold.

    Args:
        cut: The groups.
        lengths: Tokens of each example, shape (B,).
        example: Example of each token, shape (T,).
        positions: Position of each token within its example, shape (T,).
    """

    def __init__(self, cut: Cut, lengths: Tensor, example: Tensor, positions: Tensor) -> None:
        self.cut = cut
        counts, widths = (list(part) for part in zip(*cut.shapes, strict=True))
        of_group = [lengths.new_full((count,), width) for count, width in cut.shapes]
        self._cells = torch.cat(of_group)
        self._example, self._positions = example, positions
        self._lengths = torch.split(lengths, counts)
        starts = torch.split(lengths.cumsum(0) - lengths, counts)
        self._columns = [torch.arange(width, device=lengths.device) for width in widths]
        self._tokens = [
            start[:, None] + torch.minimum(columns, length[:, None] - 1)
            for start, length, columns in zip(starts, self._lengths, self._columns, strict=True)
        ]
        self._hidden: dict[tuple[Rule, torch.dtype], list[Tensor | None]] = {}
        self._layouts: dict[int, tuple[Tensor, Tensor]] = {}

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, rule: Rule, factors: Factors | None, bias: Bias | None
    ) -> Tensor:
        """Attention within each example.

        Args:
            query: Shape (T, heads, size); (B, heads, size) if one token of each example asks.
            key: Shape (T, heads, size).
            value: As ``key``.
            rule: Who sees whom.
            factors: Dropout of the probabilities, or None.
            bias: Added to the scores before they are scaled; for models that read the first token.

        Returns:
            Shape (rows of ``query``, heads * size).
        """
        if self._plain(rule, factors, bias):
            return self._in_runs(query, key, value, rule)
        if bias is None:
            context: Tensor = _Attention.apply(query, key, value, self, rule, factors)  # type: ignore[no-untyped-call]
            return context
        return self._biased(query, key, value, rule, factors, bias)

    def read(self, query: Tensor, states: Tensor, key: nn.Linear, value: nn.Linear, scale: float) -> Tensor:
        """Attention of one token of each example to all, without the keys and values of every token.

        A score is q · (W x + b) = (q W) · x + q · b, whose last term is common to the keys of a query, so that
        softmax does not see it; values are projected after they are summed up, by probabilities whose sum is 1.

        Args:
            query: Shape (B, heads, size).
            states: What keys and values are made of, shape (T, width).
            key: Makes the keys.
            value: Makes the values.
            scale: Of the scores.

        Returns:
            Shape (B, heads * size).
        """
        assert self.cut.runs is not None
        of_keys, of_values = (layer.weight.view(query.shape[1], query.shape[2], -1) for layer in (key, value))
        asking = torch.bmm(query.transpose(0, 1), of_keys).transpose(0, 1)
        seen = []
        for (count, length), q, x in zip(
            self.cut.runs,
            torch.split(asking, [count for count, _ in self.cut.runs]),
            torch.split(states, [count * length for count, length in self.cut.runs]),
            strict=True,
        ):
            x = x.view(count, length, -1)
            seen.append(torch.bmm((torch.bmm(q, x.mT) * scale).softmax(-1), x))
        context = torch.bmm(torch.cat(seen).transpose(0, 1), of_values.mT).transpose(0, 1).flatten(1)
        return context if value.bias is None else context + value.bias

    def layout(self, heads: int) -> tuple[Tensor, Tensor]:
        """Of each cell its row of (token, head), and of each such row its cell."""
        if heads not in self._layouts:
            head = torch.arange(heads, device=self._example.device)
            index = torch.cat([(tokens[:, None] * heads + head[:, None]).flatten() for tokens in self._tokens])
            before, cells = (part[self._example] for part in (self._cells.cumsum(0) - self._cells, self._cells))
            place = (before * heads + self._positions)[:, None] + cells[:, None] * head
            self._layouts[heads] = index, place.flatten()
        return self._layouts[heads]

    def hidden(self, rule: Rule, dtype: torch.dtype) -> list[Tensor | None]:
        """0 where a group's queries see, the lowest number where they do not, shape (count, 1, rows, width).

        None where all is seen; the layers of a pass share it.
        """
        at = rule, dtype
        if at not in self._hidden:
            seen = [
                _visible(rule, lengths, columns, full)
                for lengths, columns, full in zip(self._lengths, self._columns, self.cut.full, strict=True)
            ]
            lowest = torch.finfo(dtype).min
            self._hidden[at] = [None if part is None else (~part).to(dtype).mul_(lowest) for part in seen]
        return self._hidden[at]

    def asking(self, rule: Rule) -> list[Tensor]:
        """Row of ``query`` in each cell that asks, shape (count, rows) a group."""
        if not rule.reading:
            return self._tokens
        counts = [count for count, _ in self.cut.shapes]
        return list(torch.split(torch.arange(sum(counts), device=self._example.device)[:, None], counts))

    def pieces(self, cells: Tensor, heads: int) -> list[Tensor]:
        """Cells (cells, size) as (count * heads, rows, size) a group."""
        each = [count * heads for count, _ in self.cut.shapes]
        asking = len(cells) == sum(each)
        rows = [1 if asking else width for _, width in self.cut.shapes]
        parts = torch.split(cells, [n * r for n, r in zip(each, rows, strict=True)])
        return [part.view(n, -1, cells.shape[1]) for part, n in zip(parts, each, strict=True)]

    def _plain(self, rule: Rule, factors: Factors | None, bias: Bias | None) -> bool:
        """Whether runs of equal length can attend as views: without gradients, and where all is seen."""
        if torch.is_grad_enabled() or self.cut.runs is None or factors is not None or bias is not None:
            return False
        longest = max(width for _, width in self.cut.shapes)
        return (rule.reading or not rule.causal) and (rule.window is None or longest <= rule.window)

    def _in_runs(self, query: Tensor, key: Tensor, value: Tensor, rule: Rule) -> Tensor:
        assert self.cut.runs is not None
        whole = [count * length for count, length in self.cut.runs]
        asking = [count for count, _ in self.cut.runs] if rule.reading else whole
        contexts = []
        for (count, _), *parts in zip(
            self.cut.runs, torch.split(query, asking), torch.split(key, whole), torch.split(value, whole), strict=True
        ):
            q, k, v = (part.view(count, -1, *part.shape[1:]).transpose(1, 2) for part in parts)
            context = F.scaled_dot_product_attention(q, k, v, scale=rule.scale)
            contexts.append(context.transpose(1, 2).reshape(len(parts[0]), -1))
        return torch.cat(contexts)

    def _biased(
        self, query: Tensor, key: Tensor, value: Tensor, rule: Rule, factors: Factors | None, bias: Bias
    ) -> Tensor:
        """Attention whose scores have a part with gradients of its own; autograd goes the whole way back."""
        heads, size = key.shape[1:]
        index, place = self.layout(heads)
        laid_out = [
            rows.reshape(-1, size) if len(rows) != len(key) else _LaidOut.apply(rows.reshape(-1, size), index, place)  # type: ignore[no-untyped-call]
            for rows in (query, key, value)
        ]
        contexts = []
        for (count, _), rows, hidden, *parts in zip(
            self.cut.shapes,
            self.asking(rule),
            self.hidden(rule, query.dtype),
            *(self.pieces(cells, heads) for cells in laid_out),
            strict=True,
        ):
            q, k, v = (part.unflatten(0, (count, heads)) for part in parts)
            scores = (q @ k.mT + bias(q, k, torch.arange(q.shape[2], device=q.device))) * rule.scale
            probabilities = (scores if hidden is None else scores + hidden).softmax(-1)
            if factors is not None:
                probabilities = probabilities * factors(rows, k.shape[2])
            contexts.append((probabilities @ v).flatten(0, 2))
        context = torch.cat(contexts)
        if not rule.reading:
            context = _TakenBack.apply(context, place)  # type: ignore[no-untyped-call]
        return context.view(len(query), -1)


class _Attention(torch.autograd.Function):
    """Softmax of scores, dropout, weighted values, group by group; forth and back without a view for autograd."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, groups: Groups, rule: Rule, factors: Factors | None
    ) -> Tensor:
        heads, size = key.shape[1:]
        index, place = groups.layout(heads)
        k, v = (rows.reshape(-1, size).index_select(0, index) for rows in (key, value))
        q = query.reshape(-1, size)
        q = q if rule.reading else q.index_select(0, index)
        context = torch.empty_like(q)
        exact = torch.promote_types(q.dtype, torch.float32)
        saved = []
        with torch.autocast(query.device.type, enabled=False):
            for (count, width), rows, hidden, qs, ks, vs, out in zip(
                groups.cut.shapes,
                groups.asking(rule),
                groups.hidden(rule, exact),
                *(groups.pieces(cells, heads) for cells in (q, k, v, context)),
                strict=True,
            ):
                scores = torch.baddbmm(qs.new_empty(()), qs, ks.mT, beta=0, alpha=rule.scale).to(exact)
                if hidden is not None:
                    scores.view(count, heads, -1, width).add_(hidden)
                probabilities = dropped = scores.softmax(-1)
                kept = None if factors is None else factors(rows, width).flatten(0, 1)
                if kept is not None:
                    dropped = probabilities * kept
                torch.bmm(dropped.to(q.dtype), vs, out=out)
                saved += [probabilities, dropped, kept]
        ctx.save_for_backward(q, k, v, place, *saved)
        ctx.groups, ctx.rule, ctx.heads = groups, rule, heads
        context = context if rule.reading else context.index_select(0, place)
        return context.view(len(query), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, place, *saved = ctx.saved_tensors
        groups, rule, heads, gradient = ctx.groups, ctx.rule, ctx.heads, gradients[0].reshape(-1, q.shape[1])
        if not rule.reading:
            # What comes back to a cell behind the end of an example is nothing.
            gradient = torch.zeros_like(q).index_copy_(0, place, gradient)
        of_q, of_k, of_v = (torch.empty_like(cells) for cells in (q, k, v))
        for group, (qs, ks, vs, given, to_q, to_k, to_v) in enumerate(
            zip(*(groups.pieces(cells, heads) for cells in (q, k, v, gradient, of_q, of_k, of_v)), strict=True)
        ):
            probabilities, dropped, kept = saved[3 * group : 3 * group + 3]
            torch.bmm(dropped.mT.to(q.dtype), given, out=to_v)
            of_probabilities = torch.bmm(given, vs.mT).to(probabilities.dtype)
            if kept is not None:
                of_probabilities.mul_(kept)
            of_scores = torch._softmax_backward_data(of_probabilities, probabilities, -1, probabilities.dtype)
            of_scores = of_scores.mul_(rule.scale).to(q.dtype)
            torch.bmm(of_scores, ks, out=to_q)
            torch.bmm(of_scores.mT, qs, out=to_k)
        rows = [
            cells if cells is of_q and rule.reading else cells.index_select(0, place) for cells in (of_q, of_k, of_v)
        ]
        return *(part.view(-1, heads, q.shape[1]) for part in rows), None, None, None


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


def _visible(rule: Rule, lengths: Tensor, columns: Tensor, full: bool) -> Tensor | None:
    """What the queries of a group see, broadcast to (count, heads, queries, width); None: everything."""
    real = None if full else (columns < lengths[:, None])[:, None, None]
    window = None if rule.window is None or len(columns) <= rule.window else rule.window
    if window is None and (rule.reading or not rule.causal):
        return real
    if not rule.reading:
        at = columns[None]
    else:
        at = lengths[:, None] - 1 if rule.causal else torch.zeros_like(lengths)[:, None]
    distance = at[..., None] - columns
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
