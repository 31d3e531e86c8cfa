"""Dropout whose masks depend on (seed, step, example, site, position, column) alone, not on how a batch is laid out.

Every element of a mask is a hash of a row key (one token of one example at one step) and a column key (one column of
one site), so that padded, packed, re-batched and resumed runs of one configuration drop the same elements. A site is
the name of a module. Probabilities are multiples of 1/65,536. Plain tensor operations: they run on every device and
use every thread, unlike PyTorch's own generator on CPUs.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

_LANES = 65_536  # values of a lane: 16 of the hash's 32 bits, so that one hash decides two elements
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ over the golden ratio: SplitMix64's increment
_SPREAD = -1640531527
"""An odd 32-bit multiplier: 2³² over the golden ratio, as a signed number."""


class DropoutKey(NamedTuple):
    """What decides the masks of a step, besides the examples.

    Attributes:
        seed: The run's seed.
        step: The step's number.
    """

    seed: int
    step: int


class KeyedDropout(nn.Dropout):
    """Replaces a ``torch.nn.Dropout``; without a key it behaves as one.

    Args:
        p: Share of elements dropped.
        keys: The keys of the model it is part of.
        site: Its name.
    """

    def __init__(self, p: float, keys: DropoutKeys, site: str) -> None:
        super().__init__(p)
        # Not a submodule, and not copied with one: the keys belong to the engine.
        self._keys = keys
        self._site = site

    def forward(self, input: Tensor) -> Tensor:
        """Drop elements of ``input`` (…, columns) in training mode."""
        mask = self.dropout_mask(input)
        return input if mask is None else input * mask

    def dropout_mask(self, input: Tensor) -> Tensor | None:
        """What ``input`` is to be multiplied with, in its shape: 0 or 1 / (1 - p); None where nothing is dropped."""
        if not self.training or self.p == 0:
            return None
        keys = self._keys
        if not keys.active:
            return F.dropout(torch.ones_like(input), self.p)
        if input.dim() == 4:
            return keys.probabilities_mask(self, keys.rows, input, self.p)
        return keys.mask(keys.rows_of(input), self._site, self.p, input.shape[-1], input.dtype)


class DropoutKeys:
    """Gives a model's dropout its keys for one forward pass after the other.

    Replaces every ``torch.nn.Dropout`` in ``module``; nothing else of the module changes.

    Args:
        module: The model.

    Attributes:
        always: Whether attention goes the way of its dropout also where it drops nothing; see :meth:`as_in_training`.
    """

    def __init__(self, module: nn.Module) -> None:
        self.always = False
        self._names = {part: name for name, part in module.named_modules()}
        # A key made once stays: captured graphs read it.
        self._columns: dict[tuple[str, int], list[Tensor]] = {}
        self._sites: dict[tuple[str, int], int] = {}
        self._calls: dict[str, int] = {}
        self._rows: Tensor | None = None
        self._pooled: Tensor | None = None
        self._shared: Tensor | None = None
        self._step: Tensor | None = None
        for name, part in list(module.named_modules()):
            for child, dropout in list(part.named_children()):
                if isinstance(dropout, nn.Dropout):
                    site = f"{name}.{child}" if name else child
                    replacement = KeyedDropout(dropout.p, self, site).train(dropout.training)
                    part._modules[child] = replacement
                    self._names[replacement] = site

    @classmethod
    def of(cls, module: nn.Module) -> Self:
        """The keys that a model has already, or new ones: engines of one model share them."""
        for part in module.modules():
            if isinstance(part, KeyedDropout) and isinstance(part._keys, cls):
                return part._keys
        return cls(module)

    @property
    def active(self) -> bool:
        """Whether there are keys now."""
        return self._rows is not None

    @contextlib.contextmanager
    def keyed(self, rows: Tensor, pooled: Tensor, shared: Tensor) -> Iterator[None]:
        """Key every dropout while this lasts.

        Args:
            rows: Key of each token in the layout of the pass, shape (T,) or (B, L); see :func:`row_keys`.
            pooled: Key of each example's pooled token, shape (B,).
            shared: Key of what the examples share, a single one; see :func:`shared_key`.

        Yields:
            Nothing.
        """
        self._rows, self._pooled, self._step = rows, pooled, shared
        self._calls.clear()  # calls of a module are counted within a pass
        try:
            yield
        finally:
            self._rows = self._pooled = self._step = None

    @contextlib.contextmanager
    def as_in_training(self) -> Iterator[None]:
        """Let attention with keys compute what it computes in training, with masks of ones, while this lasts.

        Yields:
            Nothing.
        """
        self.always = True
        try:
            yield
        finally:
            self.always = False

    @contextlib.contextmanager
    def sharing(self, numbers: Tensor) -> Iterator[None]:
        """Key rows that belong to no example, such as those of relative positions, while this lasts.

        Args:
            numbers: Number of each row, shape (R,).

        Yields:
            Nothing.
        """
        self._shared = numbers
        try:
            yield
        finally:
            self._shared = None

    @property
    def rows(self) -> Tensor:
        """Row keys in the layout of the pass, shape (T,) or (B, L)."""
        assert self._rows is not None
        return self._rows

    @property
    def pooled(self) -> Tensor:
        """Row keys of the pooled tokens, shape (B,)."""
        assert self._pooled is not None
        return self._pooled

    def rows_of(self, given: Tensor) -> Tensor:
        """Row keys of an activation (…, columns), in the shape of its rows: tokens, or the examples' pooled ones."""
        # Told apart by their number: T or (B, L) tokens, B pooled tokens; any other rows belong to no example.
        lead = given.shape[:-1]
        if self._shared is not None:
            return self._shared_keys(self._shared).view(lead)
        if lead == self.rows.shape or (self.rows.dim() == 1 and lead.numel() == len(self.rows)):
            return self.rows.view(lead)
        if lead.numel() == len(self.pooled):
            return self.pooled.view(lead)
        return self._shared_keys(torch.arange(lead.numel(), device=given.device)).view(lead)

    def probabilities_mask(self, module: nn.Module, rows: Tensor, probabilities: Tensor, p: float) -> Tensor:
        """Mask for attention probabilities.

        Args:
            module: The attention module, whose name is the site.
            rows: Row keys of the tokens, shape (B, L). Where there is not a query of each, as behind a pooling of
                positions, queries belong to no token.
            probabilities: Shape (B, heads, queries, keys).
            p: Share dropped.

        Returns:
            0 or 1 / (1 - p), in the shape of ``probabilities``.
        """
        lead = probabilities.shape[0], probabilities.shape[2]
        if rows.shape != lead:
            rows = self._shared_keys(torch.arange(lead[0] * lead[1], device=rows.device)).view(lead)
        queries = torch.arange(rows.numel(), device=rows.device).view(rows.shape)
        mask = self.attention_dropout_mask(module, rows.flatten(), probabilities.shape[1], p)
        return mask(queries, probabilities.shape[-1]).to(probabilities.dtype)

    def attention_dropout_mask(
        self, module: nn.Module, rows: Tensor, heads: int, p: float
    ) -> Callable[[Tensor, int], Tensor]:
        """Masks of one call of an attention module, a part of its queries at a time.

        Args:
            module: The module, whose name is the site.
            rows: Row keys of the queries, shape (R,).
            heads: Number of heads.
            p: Share dropped.

        Returns:
            Takes which of the queries (B, rows) and the number of keys; gives 0 or 1 / (1 - p), shape (B, heads, rows,
            keys), in float32.
        """
        site = self._names[module]
        keys = self._row_site(rows, site)

        def mask(queries: Tensor, columns: int) -> Tensor:
            column_keys = self._column_keys(site, heads, columns, keys.device)
            # Rows (B, 1, queries, 1) against columns (heads, 1, pairs).
            return _kept(_hash(keys[queries][:, None, :, None], column_keys[:, None]), columns, p, torch.float32)

        return mask

    def mask(self, rows: Tensor, site: str, p: float, columns: int, dtype: torch.dtype) -> Tensor:
        """Mask of a site.

        Args:
            rows: Row keys, any shape.
            site: Its name.
            p: Share dropped.
            columns: Number of columns.
            dtype: Of the result.

        Returns:
            0 or 1 / (1 - p), shape (*rows.shape, columns).
        """
        lanes = _hash(self._row_site(rows, site)[..., None], self._column_keys(site, 1, columns, rows.device)[0])
        return _kept(lanes, columns, p, dtype)

    def _row_site(self, rows: Tensor, site: str) -> Tensor:
        # Any shape in, the same out: odd 32-bit keys. A module that is called again in one pass, as shared layers are,
        # is another site each time.
        call = self._calls[site] = self._calls.get(site, -1) + 1
        factor = self._sites.get((site, call))
        if factor is None:
            factor = self._sites[site, call] = _site_key(f"{site}#{call}")
        # Of a 64-bit product the high half is the mixed one; odd, so that the product with a column key loses nothing.
        return ((rows * factor) >> 32).to(torch.int32) | 1

    def _column_keys(self, site: str, heads: int, columns: int, device: torch.device) -> Tensor:
        """Odd keys of each pair of columns, shape (heads, ceil(columns / 2)); a prefix of those of more columns."""
        pairs = -(-columns // 2)
        made = self._columns.setdefault((site, heads), [])
        for found in made:
            if found.shape[1] >= pairs and found.device == device:
                return found[:, :pairs]
        # The key of a pair of columns does not depend on how many there are: a wider array serves narrower calls.
        # Attention grows by one key at a time, so make room for more than is needed.
        wide = pairs if heads == 1 else max(64, 1 << (pairs - 1).bit_length())
        # Head in the high half, pair in the low one: (heads, wide).
        numbers = np.arange(heads, dtype=np.uint64)[:, None] << np.uint64(32) | np.arange(wide, dtype=np.uint64)
        hashed = _mix(numbers + np.uint64(_site_key(site) % (1 << 64))) >> np.uint64(32)
        made.append(torch.from_numpy(hashed.view(np.int64)).to(device).to(torch.int32) | 1)
        return made[-1][:, :pairs]

    def _shared_keys(self, numbers: Tensor) -> Tensor:
        assert self._step is not None
        return (numbers + 1) * _SPREAD * self._step


def row_keys(key: DropoutKey, examples: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keys of tokens.

    Args:
        key: Seed and step.
        examples: Example of each token, any shape.
        positions: Position of each token within its example, the same shape.

    Returns:
        Well-mixed keys of the same shape.
    """
    example = _mix(_step(key) + examples.astype(np.uint64) * _ODD)
    # Positions from 1: the key of position 0 is not the example's own.
    return _mix(example + (positions.astype(np.uint64) + np.uint64(1)) * _ODD).view(np.int64)


def shared_key(key: DropoutKey) -> int:
    """Key of what the examples of a step share."""
    return int(_mix((_step(key) >> np.uint64(1)) + _ODD).view(np.int64)[0])


def _step(key: DropoutKey) -> NDArray[np.uint64]:
    return _mix(_mix(np.array([key.seed], np.int64).astype(np.uint64)) + np.uint64(key.step))


def _hash(rows: Tensor, columns: Tensor) -> Tensor:
    """Two 16-bit lanes in 32 bits from odd keys that are broadcast against each other."""
    # int32 products wrap; odd factors lose no bit of either key, and the shift brings high bits down to the low lane.
    mixed = rows * columns
    mixed ^= mixed >> 15
    return mixed.mul_(_SPREAD)


def _kept(lanes: Tensor, columns: int, p: float, dtype: torch.dtype) -> Tensor:
    dropped = round(p * _LANES)
    # (…, pairs) int32 seen as (…, 2 · pairs) int16, about uniform on -32,768 … 32,767: the lowest ones are dropped.
    halves = lanes.view(torch.int16)[..., :columns]
    if dropped == _LANES:
        return torch.zeros(halves.shape, dtype=dtype, device=lanes.device)
    kept = torch.empty(halves.shape, dtype=dtype, device=lanes.device)
    torch.ge(halves, dropped - _LANES // 2, out=kept)
    return kept.mul_(_LANES / (_LANES - dropped))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014, https://doi.org/10.1145/2660193.2660195)."""
    mixed = values + _ODD
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _site_key(site: str) -> int:
    """An odd signed 64-bit number from a name."""
    return int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "little", signed=True) | 1
