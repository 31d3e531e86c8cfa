from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from contested import models
from contested.tasks import EncodedTexts
from contested.training import DropoutKey, PackedEngine, PaddedEngine, packs
from contested.training.dropout import DropoutKeys, row_keys, shared_key

P = 0.1
KEPT = 1 - round(P * 65_536) / 65_536


def masks(n_steps: int, n_tokens: int = 200, width: int = 384) -> torch.Tensor:
    """Standardised masks (steps, tokens, columns) of one site: mean 0 and variance 1 if elements are Bernoulli."""
    keys = DropoutKeys(torch.nn.Linear(1, 1))
    found = []
    for step in range(n_steps):
        rows = row_keys(DropoutKey(1, step), np.arange(n_tokens) // 20, np.arange(n_tokens) % 20)
        keys._calls.clear()  # as at the beginning of a pass
        mask = keys.mask(torch.from_numpy(rows.view(np.int64)), "site", P, width, torch.float32)
        assert mask.unique().tolist() == pytest.approx([0.0, 1 / KEPT])
        found.append(((mask > 0).double() - KEPT) / math.sqrt(KEPT * (1 - KEPT)))
    return torch.stack(found)


def test_masks_behave_like_independent_coins() -> None:
    coins = masks(20)
    n = coins.numel()
    assert abs(coins.mean()) * math.sqrt(n) < 4
    # Sums over any direction have the variance that independence gives them (standard error sqrt(2 / sums)).
    for dim in (0, 1, 2, (0, 1), (0, 2), (1, 2)):
        size = math.prod(coins.shape[d] for d in (dim if isinstance(dim, tuple) else (dim,)))
        sums = coins.sum(dim) / math.sqrt(size)
        assert abs(sums.square().mean() - 1) < 5 * math.sqrt(2 / sums.numel())
    # So do products of two: the next column, the other half of a hash, the next token, the next step.
    for shifted in (coins.roll(1, 2), coins.roll(2, 2), coins.roll(1, 1), coins.roll(20, 1), coins.roll(1, 0)):
        assert abs((coins * shifted).mean()) * math.sqrt(n) < 4
    # And of four at the corners of a rectangle.
    for rows, columns in ((1, 1), (20, 2), (7, 31)):
        corners = coins * coins.roll(rows, 1) * coins.roll(columns, 2) * coins.roll((rows, columns), (1, 2))
        assert abs(corners.mean()) * math.sqrt(n) < 4


@pytest.mark.parametrize("p", [1.0, 1 - 1e-7])
def test_dropout_that_leaves_nothing_leaves_zeros(p: float) -> None:
    keys = DropoutKeys(torch.nn.Linear(1, 1))
    rows = torch.arange(40)
    assert not keys.mask(rows, "site", p, 9, torch.float32).any()
    assert keys.mask(rows, "site", 1 - 1e-3, 999, torch.float32).unique().tolist() == pytest.approx([0, 993], rel=0.01)


def test_sites_seeds_steps_and_examples_have_masks_of_their_own() -> None:
    keys = DropoutKeys(torch.nn.Linear(1, 1))

    def mask(seed: int = 1, step: int = 2, example: int = 3, position: int = 4, site: str = "a") -> torch.Tensor:
        rows = row_keys(DropoutKey(seed, step), np.array([example]), np.array([position]))
        keys._calls.clear()
        return keys.mask(torch.from_numpy(rows.view(np.int64)), site, 0.5, 4096, torch.float32)[0] > 0

    for other in (mask(seed=2), mask(step=3), mask(example=4), mask(position=5), mask(site="b"), mask(seed=-1)):
        # Two fair coins agree half of the time; 4096 of them within 0.5 ± 0.04 (5 standard errors).
        assert abs((mask() == other).double().mean() - 0.5) < 0.04
    assert torch.equal(mask(), mask())
    first = mask()
    rows = row_keys(DropoutKey(1, 2), np.array([3]), np.array([4]))
    second = keys.mask(torch.from_numpy(rows.view(np.int64)), "a", 0.5, 4096, torch.float32)[0] > 0
    assert abs((first == second).double().mean() - 0.5) < 0.04  # called again in one pass


def test_a_tokens_mask_depends_on_all_of_its_key() -> None:
    """4,096 tokens have 4,096 masks, in either half of a hash.

    A plain product of row and column keys would hand on no more than the lower half of a row's key to the lower half
    of the hash: 2¹⁵ masks for every other column, of which about 4096² / 2 / 2¹⁵ = 256 pairs of tokens share one.
    """
    keys = DropoutKeys(torch.nn.Linear(1, 1))
    rows = torch.from_numpy(row_keys(DropoutKey(1, 2), np.arange(4096) // 16, np.arange(4096) % 16))
    kept = keys.mask(rows, "site", 0.5, 256, torch.float32).numpy() > 0
    for half in (kept[:, ::2], kept[:, 1::2]):
        assert len({row.tobytes() for row in np.packbits(half, axis=1)}) == 4096


def test_what_examples_share_has_another_mask_at_every_step() -> None:
    """Rows of no example, such as relative positions: the mask moves with step and seed, as that of tokens does."""
    module = torch.nn.Sequential(torch.nn.Dropout(0.5))
    keys = DropoutKeys(module)
    nobody = torch.zeros(1, dtype=torch.int64)

    def kept(key: DropoutKey) -> torch.Tensor:
        with keys.keyed(nobody, nobody, torch.tensor([shared_key(key)])), keys.sharing(torch.arange(4)):
            return module(torch.ones(4, 1024)) > 0

    first = kept(DropoutKey(1, 2))
    assert torch.equal(first, kept(DropoutKey(1, 2)))
    for other in (kept(DropoutKey(1, 3)), kept(DropoutKey(2, 2)), first.roll(1, 0)):
        # 4,096 fair coins agree half of the time, within 5 standard errors.
        assert abs((first == other).double().mean() - 0.5) < 0.04


def test_queries_that_are_no_tokens_have_masks_too() -> None:
    """As behind Funnel's pooling of positions, or within CANINE's pieces of a text."""
    module = nn.Sequential(nn.Dropout(0.5))
    keys = DropoutKeys.of(module)
    rows, pooled = torch.arange(12).view(2, 6) * 7919 + 1, torch.arange(2)
    with keys.keyed(rows, pooled, torch.tensor(5)):
        found = [module(torch.ones(2, 3, queries, 6)) for queries in (6, 3, 1)]
    for mask in found:
        assert set(mask.unique().tolist()) == {0.0, 2.0}
    assert len({tuple(row.tolist()) for row in found[1].view(-1, 6)}) > 10  # of 18 rows, each with a mask of its own


def test_without_a_key_dropout_is_pytorchs(parts: Callable[..., Any]) -> None:
    made = parts("bert", "full")
    rows = np.arange(8)
    assert isinstance(made.engine, PackedEngine)
    twice = [made.engine.logits(made.data.train, rows) for _ in range(2)]
    assert not torch.equal(*twice)
    torch.manual_seed(0)
    once = made.engine.logits(made.data.train, rows)
    torch.manual_seed(0)
    assert torch.equal(once, made.engine.logits(made.data.train, rows))
    made.model.module.eval()
    assert torch.equal(*[made.engine.logits(made.data.train, rows, DropoutKey(0, step)) for step in range(2)])


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "modernbert", "qwen2"])
def test_an_example_is_moved_by_nothing_but_itself(parts: Callable[..., Any], family: str) -> None:
    """Its loss is the same alone, in another order, and beside another text of another length."""
    made = parts(family, "full")
    texts, key = made.data.train, DropoutKey(0, 1)
    rows = np.arange(12)
    together = made.engine.logits(texts, rows, key)
    torch.testing.assert_close(
        made.engine.logits(texts, rows[::-1].copy(), key), together.flip(0), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(made.engine.logits(texts, rows[3:4], key), together[3:4], rtol=1e-5, atol=1e-6)
    ids = [texts.input_ids[a:b] for a, b in zip(texts.offsets, texts.offsets[1:], strict=False)]
    segments = texts.token_type_ids
    ids[5] = np.concatenate([ids[5], ids[6]])
    lengths = [len(part) for part in ids]
    changed = EncodedTexts(
        np.concatenate(ids),
        np.concatenate([[0], np.cumsum(lengths)]),
        None if segments is None else np.zeros(sum(lengths), np.int32),
        0,
    )
    base = EncodedTexts(
        texts.input_ids, texts.offsets, None if segments is None else np.zeros(len(segments), np.int32), 0
    )
    before, after = (made.engine.logits(given, rows, key) for given in (base, changed))
    others = np.delete(rows, 5)
    torch.testing.assert_close(after[others], before[others], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(after[5], before[5], rtol=1e-3)


def test_bfloat16_stays_close_and_keeps_what_trains_in_float32(parts: Callable[..., Any]) -> None:
    exact = parts("bert")
    rough = parts("bert", precision="bfloat16")
    rows, key = np.arange(16), DropoutKey(0, 0)
    found, wanted = (made.engine.logits(made.data.train, rows, key) for made in (rough, exact))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)
    found.sum().backward()
    for parameter in rough.model.module.parameters():
        assert not parameter.requires_grad or parameter.dtype == parameter.grad.dtype == torch.float32
    assert any(p.dtype == torch.bfloat16 for p in rough.model.module.parameters())


def test_other_families_and_prompt_learning_are_padded(
    parts: Callable[..., Any], checkpoint: Callable[[str], Any]
) -> None:
    unknown = parts("albert", "full")
    assert isinstance(unknown.engine, PaddedEngine)
    rows, key = np.arange(12), DropoutKey(0, 1)
    # Their masks do not depend on the layout either.
    small = PaddedEngine(unknown.model.module, pad_id=0, device=torch.device("cpu"), piece_size=3)
    found, wanted = (engine.logits(unknown.data.train, rows, key) for engine in (small, unknown.engine))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    prompted = models.build(
        str(checkpoint("bert")),
        label_names=("e", "n", "c"),
        method="prompt_tuning",
        options={"num_virtual_tokens": 2},
    )
    assert not packs(prompted.module)
