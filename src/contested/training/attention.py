"""Attention within each example of a packed batch.

Examples are cut into groups of similar length; each group is laid out example by example and head by head, padded to
its longest, for the attention alone. Many groups waste little (CPUs); a single one has a shape that depends on the
longest example alone (devices on which many small calls are dear).

Two orders of the same vectors of one head's size d occur here: *rows*, (T, heads, d), token by token as the rest of
the network has them, and *cells*, (Σ count · heads · width, d), group by group, and in a group example by example,
head by head, position by position. Only cells are padded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.function import once_differentiable

from contested.training.group_layout import GroupLayout
from contested.training.lora import Product

Bias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries and keys (B, heads, rows, d) and the queries' positions (rows,) to what is added to their scores."""

DropoutMask = Callable[[Tensor, int], Tensor]
"""Which queries (B, rows), and the number of keys, to what their probabilities are multiplied with, shape (B, heads,
rows, keys)."""


class MaskSpec(NamedTuple):
    """Which keys each query sees.

    Attributes:
        scale: Of the scores.
        causal: Whether a token sees only those before it and itself.
        window: A token sees those less than this many positions away; None: all.
        pooled_only: Whether only the pooled token of each example is a query: its last one if causal, else its first.
        softcap: What scaled scores are bent to stay below, by tanh; None: nothing.
    """

    scale: float
    causal: bool
    window: int | None
    pooled_only: bool
    softcap: float | None = None


class Groups:
    """Where the tokens of a batch lie while they attend: by group, example, head and position, a cell each.

    A cell past the end of an example is a copy of the example's last token: as a key it is masked, as a query its
    context is dropped. Plain tensor operations on the device, without a look at what the tensors hold.

    Args:
        layout: The groups.
        lengths: Tokens of each example, shape (B,).
        example: Example of each token, shape (T,).
        positions: Position of each token within its example, shape (T,).
    """

    def __init__(self, layout: GroupLayout, lengths: Tensor, example: Tensor, positions: Tensor) -> None:
        self.layout = layout
        counts, widths = (list(part) for part in zip(*layout.shapes, strict=True))
        # Cells of each example, (B,): the width of its group.
        self._cells = torch.cat([lengths.new_full((count,), width) for count, width in layout.shapes])
        self._example, self._positions = example, positions
        self._lengths = torch.split(lengths, counts)
        starts = torch.split(lengths.cumsum(0) - lengths, counts)
        self._columns = [torch.arange(width, device=lengths.device) for width in widths]
        # Row of the token in each cell, (count, width) per group; cells past the end repeat the last token.
        self._tokens = [
            start[:, None] + torch.minimum(columns, length[:, None] - 1)
            for start, length, columns in zip(starts, self._lengths, self._columns, strict=True)
        ]
        self._masks: dict[tuple[MaskSpec, torch.dtype], list[Tensor | None]] = {}
        self._indices: dict[int, tuple[Tensor, Tensor]] = {}

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        spec: MaskSpec,
        dropout_mask: DropoutMask | None,
        bias: Bias | None,
    ) -> Tensor:
        """Attention within each example.

        Args:
            query: Shape (T, heads, d); (B, heads, d) if only pooled tokens are queries.
            key: Shape (T, heads, d).
            value: As ``key``.
            spec: Which keys each query sees.
            dropout_mask: Dropout of the probabilities, or None.
            bias: Added to the scores before they are scaled; for models that pool the first token.

        Returns:
            Shape (rows of ``query``, heads * d).
        """
        # Rotary positions and norms give float32 under autocast, beside values in half precision.
        query, key = query.to(value.dtype), key.to(value.dtype)
        if self._plain(spec, dropout_mask, bias):
            return self._in_uniform_segments(query, key, value, spec)
        if bias is None and spec.softcap is None:
            context: Tensor = _Attention.apply(query, key, value, self, spec, dropout_mask)  # type: ignore[no-untyped-call]
            return context
        return self._biased(query, key, value, spec=spec, dropout_mask=dropout_mask, bias=bias)

    def attend_pooled(self, query: Tensor, states: Tensor, key: Product, value: Product, scale: float) -> Tensor:
        """Attention of each example's pooled token to all its tokens, without the keys and values of every token.

        A score is q · (W x + b) = (q W) · x + q · b, whose last term is common to the keys of a query, so that
        softmax does not see it; values are projected after they are summed up, by probabilities whose sum is 1.

        Args:
            query: Shape (B, heads, d).
            states: What keys and values are made of, shape (T, hidden).
            key: Makes the keys.
            value: Makes the values.
            scale: Of the scores.

        Returns:
            Shape (B, heads * d).
        """
        segments = self.layout.uniform_segments
        assert segments is not None
        # Weights by head, (heads, d, hidden); queries in the space of the states, (B, heads, hidden).
        of_keys, of_values = (layer.weight.view(query.shape[1], query.shape[2], -1) for layer in (key, value))
        queries = torch.bmm(query.transpose(0, 1), of_keys).transpose(0, 1)
        summed = []
        for (count, length), q, x in zip(
            segments,
            torch.split(queries, [count for count, _ in segments]),
            torch.split(states, [count * length for count, length in segments]),
            strict=True,
        ):
            x = x.view(count, length, -1)
            # Scores (count, heads, length), then states summed by probability, (count, heads, hidden).
            summed.append(torch.bmm((torch.bmm(q, x.mT) * scale).softmax(-1), x))
        context = torch.bmm(torch.cat(summed).transpose(0, 1), of_values.mT).transpose(0, 1).flatten(1)
        return context if value.bias is None else context + value.bias

    def cell_indices(self, heads: int) -> tuple[Tensor, Tensor]:
        """The two orders of one another.

        Args:
            heads: Number of heads.

        Returns:
            Row, counted as token · heads + head, of each cell; and the cell of each of the T · heads rows. Cells behind
            an example's end occur in the first alone.
        """
        if heads not in self._indices:
            head = torch.arange(heads, device=self._example.device)
            index = torch.cat([(tokens[:, None] * heads + head[:, None]).flatten() for tokens in self._tokens])
            # An example's cells begin behind those of all examples before it, heads times each.
            before, cells = (part[self._example] for part in (self._cells.cumsum(0) - self._cells, self._cells))
            cell_of_row = (before * heads + self._positions)[:, None] + cells[:, None] * head
            self._indices[heads] = index, cell_of_row.flatten()
        return self._indices[heads]

    def masks(self, spec: MaskSpec, dtype: torch.dtype) -> list[Tensor | None]:
        """What is added to the scores of each group: 0 where a query sees a key, the lowest number elsewhere.

        Args:
            spec: Which keys each query sees.
            dtype: Of the scores.

        Returns:
            Shape (count, 1, queries, width) per group, or None where all is seen; the layers of a pass share it.
        """
        at = spec, dtype
        if at not in self._masks:
            seen = [
                _visible(spec, lengths, columns, full)
                for lengths, columns, full in zip(self._lengths, self._columns, self.layout.full, strict=True)
            ]
            lowest = torch.finfo(dtype).min
            self._masks[at] = [None if part is None else (~part).to(dtype).mul_(lowest) for part in seen]
        return self._masks[at]

    def query_cells(self, spec: MaskSpec) -> list[Tensor]:
        """Row of ``query`` in each cell that holds a query, shape (count, queries) per group."""
        if not spec.pooled_only:
            return self._tokens
        counts = [count for count, _ in self.layout.shapes]
        return list(torch.split(torch.arange(sum(counts), device=self._example.device)[:, None], counts))

    def pieces(self, cells: Tensor, heads: int) -> list[Tensor]:
        """Cells (cells, d) as (count * heads, rows, d) per group; one row where they are of pooled tokens alone."""
        each = [count * heads for count, _ in self.layout.shapes]
        pooled = len(cells) == sum(each)
        rows = [1 if pooled else width for _, width in self.layout.shapes]
        parts = torch.split(cells, [n * r for n, r in zip(each, rows, strict=True)])
        return [part.view(n, -1, cells.shape[1]) for part, n in zip(parts, each, strict=True)]

    def _plain(self, spec: MaskSpec, dropout_mask: DropoutMask | None, bias: Bias | None) -> bool:
        """Whether segments of equal length can attend as views: without gradients, and where all is seen."""
        if torch.is_grad_enabled() or self.layout.uniform_segments is None:
            return False
        if dropout_mask is not None or bias is not None or spec.softcap is not None:
            return False
        longest = max(width for _, width in self.layout.shapes)
        return (spec.pooled_only or not spec.causal) and (spec.window is None or longest <= spec.window)

    def _in_uniform_segments(self, query: Tensor, key: Tensor, value: Tensor, spec: MaskSpec) -> Tensor:
        segments = self.layout.uniform_segments
        assert segments is not None
        whole = [count * length for count, length in segments]
        queries = [count for count, _ in segments] if spec.pooled_only else whole
        contexts = []
        for (count, _), *parts in zip(
            segments, torch.split(query, queries), torch.split(key, whole), torch.split(value, whole), strict=True
        ):
            # (count · length, heads, d) as (count, heads, length, d), without a copy.
            q, k, v = (part.view(count, -1, *part.shape[1:]).transpose(1, 2) for part in parts)
            context = F.scaled_dot_product_attention(q, k, v, scale=spec.scale)
            contexts.append(context.transpose(1, 2).reshape(len(parts[0]), -1))
        return torch.cat(contexts)

    def _biased(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        spec: MaskSpec,
        dropout_mask: DropoutMask | None,
        bias: Bias | None,
    ) -> Tensor:
        """Attention whose scores are more than a product; autograd does the whole backward pass."""
        heads, size = key.shape[1:]
        index, cell_of_row = self.cell_indices(heads)
        # Queries of pooled tokens alone are cells already: one per example and head.
        cells_of = [
            rows.reshape(-1, size)
            if len(rows) != len(key)
            else _ToCells.apply(rows.reshape(-1, size), index, cell_of_row)  # type: ignore[no-untyped-call]
            for rows in (query, key, value)
        ]
        contexts = []
        for (count, _), rows, mask, *parts in zip(
            self.layout.shapes,
            self.query_cells(spec),
            self.masks(spec, query.dtype),
            *(self.pieces(cells, heads) for cells in cells_of),
            strict=True,
        ):
            q, k, v = (part.unflatten(0, (count, heads)) for part in parts)  # (count, heads, rows, d)
            scores = q @ k.mT
            if bias is not None:
                scores = scores + bias(q, k, torch.arange(q.shape[2], device=q.device))
            scores = scores * spec.scale
            if spec.softcap is not None:
                scores = (scores / spec.softcap).tanh() * spec.softcap
            probabilities = (scores if mask is None else scores + mask).softmax(-1)
            if dropout_mask is not None:
                probabilities = probabilities * dropout_mask(rows, k.shape[2])
            contexts.append((probabilities @ v).flatten(0, 2))
        context = torch.cat(contexts)
        if not spec.pooled_only:
            context = _ToRows.apply(context, cell_of_row)  # type: ignore[no-untyped-call]
        return context.view(len(query), -1)


class _Attention(torch.autograd.Function):
    """Softmax of scores, dropout, weighted values, group by group; forward and backward without a view for autograd.

    Every product is written into a part of one tensor of all groups' cells. Saved are q, k, v (cells), for each row its
    cell, and for each group the probabilities P, what is left of them by dropout P ⊙ M, and M itself.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        groups: Groups,
        spec: MaskSpec,
        dropout_mask: DropoutMask | None,
    ) -> Tensor:
        heads, size = key.shape[1:]
        index, cell_of_row = groups.cell_indices(heads)
        k, v = (rows.reshape(-1, size).index_select(0, index) for rows in (key, value))
        q = query.reshape(-1, size)
        q = q if spec.pooled_only else q.index_select(0, index)
        context = torch.empty_like(q)
        exact = torch.promote_types(q.dtype, torch.float32)  # softmax is never in half precision
        saved = []
        with torch.autocast(query.device.type, enabled=False):
            for (count, width), rows, mask, qs, ks, vs, out in zip(
                groups.layout.shapes,
                groups.query_cells(spec),
                groups.masks(spec, exact),
                *(groups.pieces(cells, heads) for cells in (q, k, v, context)),
                strict=True,
            ):
                # (count · heads, queries, width), scaled within the product.
                scores = torch.baddbmm(qs.new_empty(()), qs, ks.mT, beta=0, alpha=spec.scale).to(exact)
                if mask is not None:
                    scores.view(count, heads, -1, width).add_(mask)
                probabilities = dropped = scores.softmax(-1)
                kept = None if dropout_mask is None else dropout_mask(rows, width).flatten(0, 1)
                if kept is not None:
                    dropped = probabilities * kept
                torch.bmm(dropped.to(q.dtype), vs, out=out)
                saved += [probabilities, dropped, kept]
        ctx.save_for_backward(q, k, v, cell_of_row, *saved)
        ctx.groups, ctx.spec, ctx.heads = groups, spec, heads
        context = context if spec.pooled_only else context.index_select(0, cell_of_row)
        return context.view(len(query), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, cell_of_row, *saved = ctx.saved_tensors
        groups, spec, heads, gradient = ctx.groups, ctx.spec, ctx.heads, gradients[0].reshape(-1, q.shape[1])
        if not spec.pooled_only:
            # Nothing comes back to a cell past the end of an example: its gradient is zero.
            gradient = torch.zeros_like(q).index_copy_(0, cell_of_row, gradient)
        of_q, of_k, of_v = (torch.empty_like(cells) for cells in (q, k, v))
        for group, (qs, ks, vs, given, to_q, to_k, to_v) in enumerate(
            zip(*(groups.pieces(cells, heads) for cells in (q, k, v, gradient, of_q, of_k, of_v)), strict=True)
        ):
            # C = (P ⊙ M) V gives dV = (P ⊙ M)ᵀ dC and dP = dC Vᵀ ⊙ M; P = softmax(S) gives dS;
            # S = s Q Kᵀ gives dQ = s dS K and dK = s dSᵀ Q.
            probabilities, dropped, kept = saved[3 * group : 3 * group + 3]
            torch.bmm(dropped.mT.to(q.dtype), given, out=to_v)
            of_probabilities = torch.bmm(given, vs.mT).to(probabilities.dtype)
            if kept is not None:
                of_probabilities.mul_(kept)
            of_scores = torch._softmax_backward_data(of_probabilities, probabilities, -1, probabilities.dtype)
            of_scores = of_scores.mul_(spec.scale).to(q.dtype)
            torch.bmm(of_scores, ks, out=to_q)
            torch.bmm(of_scores.mT, qs, out=to_k)
        # A masked key's gradient is zero: the cells past an example's end have nothing to add to its last token.
        rows = [
            cells if cells is of_q and spec.pooled_only else cells.index_select(0, cell_of_row)
            for cells in (of_q, of_k, of_v)
        ]
        return *(part.view(-1, heads, q.shape[1]) for part in rows), None, None, None


class _ToCells(torch.autograd.Function):
    """Rows in cells; what comes back to a cell past the end of an example is zero and left out."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, cell_of_row: Tensor) -> Tensor:
        ctx.save_for_backward(cell_of_row)
        return rows.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (cell_of_row,) = ctx.saved_tensors
        return gradients[0].index_select(0, cell_of_row), None, None


class _ToRows(torch.autograd.Function):
    """Cells as rows; a cell past the end of an example is left out."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, cell_of_row: Tensor) -> Tensor:
        ctx.save_for_backward(cell_of_row)
        ctx.n_cells = len(cells)
        return cells.index_select(0, cell_of_row)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (cell_of_row,), gradient = ctx.saved_tensors, gradients[0]
        return gradient.new_zeros(ctx.n_cells, gradient.shape[1]).index_copy_(0, cell_of_row, gradient), None


def _visible(spec: MaskSpec, lengths: Tensor, columns: Tensor, full: bool) -> Tensor | None:
    """Which keys the queries of a group see, broadcast to (count, heads, queries, width); None: all of them."""
    real = None if full else (columns < lengths[:, None])[:, None, None]
    window = None if spec.window is None or len(columns) <= spec.window else spec.window
    if window is None and (spec.pooled_only or not spec.causal):
        return real
    # Positions of the queries, (1, width) or of the pooled ones (count, 1); distances (…, queries, width).
    if not spec.pooled_only:
        at = columns[None]
    else:
        at = lengths[:, None] - 1 if spec.causal else torch.zeros_like(lengths)[:, None]
    distance = at[..., None] - columns
    seen = distance >= 0 if spec.causal else torch.ones_like(distance, dtype=torch.bool)
    if window is not None:
        seen = seen & (distance.abs() < window)
    seen = seen[:, None]
    return seen if real is None else seen & real
