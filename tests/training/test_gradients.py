from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from contested.tasks import EncodedTexts
from contested.training import DropoutKey, Processes, gradient_norms, gradients, group_alignment, trained_parameters
from contested.training.layerwise import UnfitError
from contested.training.probes import groups_of
from contested.training.processes import Gathered, in_order, share

FAMILIES = ["bert", "roberta", "distilbert", "deberta-v2", "qwen2"]
ENGINES = [*((family, False) for family in FAMILIES), ("bert", True), ("roberta", True)]


def stir(parts: Any) -> None:
    """Move every trained weight away from its start, where B = 0 hides half of LoRA's gradients."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in trained_parameters(parts.model.module).values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


def reference(parts: Any, without: tuple[str, ...] = ()) -> torch.Tensor:
    """Obviously correct, but slow: one padless forward and torch.autograd.grad an example; shape (N, P)."""
    module, texts = parts.model.module, parts.data.tracked
    parameters = [
        p
        for name, p in module.named_parameters()
        if p.requires_grad and not any(f".{part}." in f".{name}" for part in without)
    ]
    module.eval()
    rows = []
    for index, gold in enumerate(parts.data.tracked_targets):
        piece = slice(texts.offsets[index], texts.offsets[index + 1])
        inputs = {"input_ids": torch.from_numpy(texts.input_ids[piece].astype(np.int64))[None]}
        if texts.token_type_ids is not None:
            inputs["token_type_ids"] = torch.from_numpy(texts.token_type_ids[piece].astype(np.int64))[None]
        loss = F.cross_entropy(module(**inputs).logits, torch.tensor([gold]))
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        flat = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
        rows.append(torch.cat([part.flatten() for part in flat]))
    module.train()
    return torch.stack(rows).double()


def probe(parts: Any, **options: Any) -> Any:
    module = parts.model.module
    given = module, parts.engine, parts.data.tracked, parts.data.tracked_targets, trained_parameters(module)
    return gradient_norms(*given, **options)


def align(parts: Any, groups: Any, parameters: Any = None, **options: Any) -> Any:
    module = parts.model.module
    parameters = trained_parameters(module) if parameters is None else parameters
    given = module, parts.engine, parts.data.tracked, parts.data.tracked_targets, parameters
    return group_alignment(*given, groups, **options)


def categories(parts: Any) -> Any:
    found = parts.task.examples["category"][: parts.task.n_tracked]
    return groups_of(found.to_numpy(object), parts.task.category_names)


@pytest.mark.parametrize(("family", "padded"), ENGINES)
@pytest.mark.parametrize("method", ["lora", "ia3", "full"])
def test_norms_and_cosines_equal_the_one_at_a_time_reference(
    parts: Callable[..., Any], family: str, padded: bool, method: str
) -> None:
    made = parts(family, method, padded=padded)
    stir(made)
    gradients = reference(made)
    result = probe(made)
    np.testing.assert_allclose(result.norms, gradients.norm(dim=1).numpy(), rtol=1e-4)
    layerwise = (method == "lora" and family != "deberta-v2") or (
        method == "full" and family in {"bert", "roberta", "distilbert"}
    )
    assert result.method == ("layerwise" if layerwise else "one-by-one"), result.note
    assert bool(result.note) != layerwise

    groups = categories(made)
    means = torch.stack([gradients[torch.from_numpy(rows)].mean(0) for rows in groups.values()])
    alignment = align(made, groups)
    assert alignment.counts.tolist() == [len(rows) for rows in groups.values()]
    assert (alignment.counts > 0).all()
    np.testing.assert_allclose(alignment.norms, means.norm(dim=1).numpy(), rtol=1e-4)
    units = means / means.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(alignment.cosines, (units @ units.T).numpy(), atol=1e-5)


def test_texts_that_end_in_padding_are_no_longer_than_what_is_read_of_them(parts: Callable[..., Any]) -> None:
    """Decoders pool the token before: texts of one length then take up unequally many rows."""
    made = parts("qwen2", "lora")
    stir(made)
    texts, pad = made.data.tracked, made.model.pad_id
    ids = texts.input_ids.copy()
    ids[texts.offsets[1::2] - 1] = pad
    made = made._replace(data=dataclasses.replace(made.data, tracked=dataclasses.replace(texts, input_ids=ids)))
    result = probe(made)
    np.testing.assert_allclose(result.norms, reference(made).norm(dim=1).numpy(), rtol=1e-4)
    assert result.method == "layerwise", result.note


@pytest.mark.parametrize(("family", "method"), [("bert", "lora"), ("roberta", "full"), ("distilbert", "full")])
def test_in_float64_nothing_but_rounding_differs(parts: Callable[..., Any], family: str, method: str) -> None:
    made = parts(family, method)
    stir(made)
    made.model.module.double()
    result = probe(made)
    assert result.method == "layerwise", result.note
    np.testing.assert_allclose(result.norms, reference(made).norm(dim=1).numpy(), rtol=1e-9)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_without_the_head_its_parameters_do_not_count(parts: Callable[..., Any], method: str) -> None:
    made = parts("roberta", method)
    stir(made)
    module = made.model.module
    head = made.model.head
    parameters = trained_parameters(module, without=head)
    assert 0 < len(parameters) < len(trained_parameters(module))
    given = module, made.engine, made.data.tracked, made.data.tracked_targets, parameters
    gradients = reference(made, without=head)
    result = gradient_norms(*given)
    assert result.method == "layerwise", result.note
    np.testing.assert_allclose(result.norms, gradients.norm(dim=1).numpy(), rtol=1e-4)


class Halves(Processes):
    """Two processes in one, which answer one after the other."""

    def gathered(self, n: int, answer: Any, **_: Any) -> Any:
        rows = [share(n, rank, 2, evenly=False) for rank in range(2)]
        return Gathered([answer(each) for each in rows], in_order(n, rows))


def test_norms_of_shares_are_in_order_and_what_one_process_says_of_its_own_is_said(
    parts: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, own, calls = parts("bert", "lora"), gradients._in_batches, []
    expected = probe(made, mode="train", seed=3)

    def unfit(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 2:
            raise UnfitError("a layer was called twice")
        return own(*given)

    monkeypatch.setattr(gradients, "_in_batches", unfit)
    found = probe(made, mode="train", seed=3, processes=Halves())
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-5)
    assert (found.method, found.note) == ("one-by-one", "a layer was called twice")


def test_biases_alone_are_counted_alone(parts: Callable[..., Any]) -> None:
    made = parts("bert", "full")
    module = made.model.module
    chosen = {name: p for name, p in trained_parameters(module).items() if name.endswith("bias")}
    given = module, made.engine, made.data.tracked, made.data.tracked_targets, chosen
    result = gradient_norms(*given)
    assert result.method == "layerwise", result.note
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    np.testing.assert_allclose(result.norms, reference(made).norm(dim=1).numpy(), rtol=1e-4)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_norms_depend_neither_on_order_nor_on_company(
    parts: Callable[..., Any], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parts("bert", method)
    stir(made)
    straight = probe(made).norms
    texts = made.data.tracked
    order = np.random.default_rng(0).permutation(len(texts))[:20]
    pieces = [slice(texts.offsets[i], texts.offsets[i + 1]) for i in order]
    some = EncodedTexts(
        np.concatenate([texts.input_ids[piece] for piece in pieces]),
        np.concatenate([[0], np.cumsum(texts.lengths[order])]),
        np.concatenate([texts.token_type_ids[piece] for piece in pieces]),
        0,
    )
    module = made.model.module
    given = module, made.engine, some, made.data.tracked_targets[order], trained_parameters(module)
    np.testing.assert_allclose(gradient_norms(*given).norms, straight[order], rtol=1e-5)
    for size in (1, 3, 100):
        monkeypatch.setattr("contested.training.gradients._NORM_BATCH", size)
        monkeypatch.setattr("contested.training.gradients._GROUP_BATCH", size)
        result = probe(made)
        assert result.method == "layerwise", result.note
        np.testing.assert_allclose(result.norms, straight, rtol=1e-5)
        np.testing.assert_allclose(align(made, categories(made)).cosines, reference_cosines(made), atol=1e-5)


def reference_cosines(parts: Any) -> Any:
    gradients = reference(parts)
    means = torch.stack([gradients[torch.from_numpy(rows)].mean(0) for rows in categories(parts).values()])
    units = means / means.norm(dim=1, keepdim=True)
    return (units @ units.T).numpy()


def test_a_padded_engine_in_small_pieces_goes_one_by_one(parts: Callable[..., Any]) -> None:
    # 32 examples of few lengths: with pieces of 1 a batch of several calls every layer several times.
    made = parts("bert", "lora", padded=True, piece_size=1)
    result = probe(made)
    assert result.method == "one-by-one"
    assert "serves all examples at once" in result.note or "called more than once" in result.note
    np.testing.assert_allclose(result.norms, reference(made).norm(dim=1).numpy(), rtol=1e-4)


def test_weights_used_behind_their_modules_back_are_noticed(parts: Callable[..., Any]) -> None:
    """A weight that also enters the loss by another way: hooks cannot see it, the check of two examples can."""
    made = parts("bert", "full")
    base = made.model.module

    class Sly:
        def logits(self, texts: Any, rows: Any, key: Any = None) -> torch.Tensor:
            return made.engine.logits(texts, rows, key) + 0.1 * base.classifier.weight.sum(1)

    module = made.model.module
    given = module, Sly(), made.data.tracked, made.data.tracked_targets, trained_parameters(module)
    result = gradient_norms(*given)
    assert result.method == "one-by-one"
    assert "hooks find a gradient norm of" in result.note
    assert "in classifier, autograd one of" in result.note


def test_at_the_start_of_lora_a_has_no_gradient_and_the_norm_is_the_rest(parts: Callable[..., Any]) -> None:
    """B = 0: what reaches A is B's transpose times something, exactly zero."""
    made = parts("bert", "lora")
    module = made.model.module
    only_a = {name: p for name, p in trained_parameters(module).items() if "lora_A" in name}
    given = module, made.engine, made.data.tracked, made.data.tracked_targets, only_a
    assert only_a
    assert (gradient_norms(*given).norms == 0).all()
    alignment = align(made, categories(made), only_a)
    assert (alignment.norms == 0).all()
    assert np.isnan(alignment.cosines).all()
    assert alignment.notes[0] == "clean: its gradient is exactly zero"
    whole = probe(made)
    np.testing.assert_allclose(whole.norms, reference(made).norm(dim=1).numpy(), rtol=1e-4)
    assert np.isfinite(align(made, categories(made)).cosines).all()


def test_an_empty_group_has_no_norm(parts: Callable[..., Any]) -> None:
    made = parts()
    alignment = align(made, {"some": np.arange(5), "none": np.zeros(0, np.int64)})
    assert np.isnan(alignment.norms).tolist() == [False, True]
    assert np.isnan(alignment.cosines).tolist() == [[False, True], [True, True]]
    assert alignment.notes == ("none: no examples",)


def snapshot(module: torch.nn.Module) -> dict[str, Any]:
    parts = dict(module.named_modules())
    return {
        "weights": {name: value.clone() for name, value in module.state_dict().items()},
        "grads": {name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()},
        "trains": {name: p.requires_grad for name, p in module.named_parameters()},
        "modes": {name: part.training for name, part in parts.items()},
        "hooks": {
            name: (len(part._forward_hooks), len(part._forward_pre_hooks), len(part._backward_hooks))
            for name, part in parts.items()
        },
        "random": (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()),
    }


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("family", "method"), [("bert", "lora"), ("bert", "full"), ("distilbert", "ia3")])
def test_a_probe_leaves_everything_as_it_was(parts: Callable[..., Any], family: str, method: str, mode: str) -> None:
    made = parts(family, method)
    module = made.model.module
    module.train()
    list(module.modules())[5].eval()
    made.engine.logits(made.data.tracked, np.arange(4)).sum().backward()  # gradients that are somebody's
    before = snapshot(module)
    probe(made, mode=mode)
    align(made, categories(made), mode=mode)
    torch.testing.assert_close(snapshot(module), before, rtol=0, atol=0)


def test_a_failing_forward_leaves_no_hook(parts: Callable[..., Any]) -> None:
    made = parts()

    class Failing:
        def logits(self, texts: Any, rows: Any, key: Any = None) -> torch.Tensor:
            made.engine.logits(texts, rows)
            raise ZeroDivisionError

    module = made.model.module
    given = module, Failing(), made.data.tracked, made.data.tracked_targets, trained_parameters(module)
    with pytest.raises(ZeroDivisionError):
        gradient_norms(*given)
    assert not any(part._forward_hooks for part in module.modules())
    assert module.training


@pytest.mark.parametrize("method", ["lora", "full"])
def test_train_mode_has_dropout_on_and_is_repeatable(parts: Callable[..., Any], method: str) -> None:
    made = parts("bert", method)
    stir(made)
    still, first, again, other = (
        probe(made, mode=m, seed=s).norms for m, s in (("eval", 3), *[("train", 3)] * 2, ("train", 4))
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, rtol=1e-3)
    assert not np.allclose(first, still, rtol=1e-3)
    alignments = [align(made, categories(made), mode="train", seed=3).cosines for _ in range(2)]
    assert np.array_equal(*alignments)


def test_train_mode_norms_of_a_batch_are_those_of_its_examples_alone(parts: Callable[..., Any]) -> None:
    made = parts("bert", "full")
    parameters = trained_parameters(made.model.module)
    result = probe(made, mode="train", seed=9)
    assert result.method == "layerwise", result.note
    for row in range(len(made.data.tracked)):
        logits = made.engine.logits(made.data.tracked, np.array([row]), DropoutKey(-10, 0))
        loss = F.cross_entropy(logits, torch.tensor([made.data.tracked_targets[row]]))
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        norm = torch.cat([g.flatten() for g in found if g is not None]).norm().item()
        assert result.norms[row] == pytest.approx(norm, rel=1e-4)


def test_bfloat16_stays_layerwise_and_near_float32(parts: Callable[..., Any]) -> None:
    exact, rough = parts("bert", "full"), parts("bert", "full", precision="bfloat16")
    result = probe(rough)
    assert result.method == "layerwise", result.note
    # bf16 keeps 8 bits: 0.4 % per rounding, several times that after two layers forward and backward.
    np.testing.assert_allclose(result.norms, probe(exact).norms, rtol=0.1)
