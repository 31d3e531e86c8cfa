"""A module of somebody else's is as it was after a pass, and the pass's logits are its own forward's."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput

from contested.tasks import EncodedTexts
from contested.training import (
    PackedEngine,
    PassEngine,
    gradient_norms,
    passes,
    tracking_pass,
    trained_parameters,
)
from contested.training.passes import _piece_size, packing_problem

WORDS = np.arange(5, 20)
ADAPTERS = {
    "none": None,
    "lora": {"peft_type": "LORA", "r": 2, "lora_dropout": 0.3},
    "dora": {"peft_type": "LORA", "r": 2, "use_dora": True},
    "ia3": {"peft_type": "IA3", "target_modules": ["query", "value"], "feedforward_modules": []},
    "prompt": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3},
}


def texts_of(lengths: list[int], *, segments: bool = False, last: int | None = None) -> EncodedTexts:
    rng = np.random.default_rng(0)
    ids = rng.choice(WORDS, sum(lengths)).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if last is not None:
        ids[offsets[1:] - 1] = last
    kinds = (np.arange(sum(lengths)) % 2).astype(np.int32) if segments else None
    return EncodedTexts(ids, offsets, kinds, 0)


TEXTS = texts_of([3, 11, 7, 7, 2, 16, 5, 9])


@pytest.fixture
def foreign(checkpoint: Callable[[str], Path]) -> Callable[..., nn.Module]:
    """A classifier as somebody else has it: dropout on, one part in eval mode, gradients and a frozen weight."""

    def make(kind: str = "bert", adapter: str = "none") -> nn.Module:
        torch.manual_seed(1)
        pad = {} if kind not in {"qwen2", "gemma2"} else {"pad_token_id": 4}
        module: nn.Module = AutoModelForSequenceClassification.from_pretrained(checkpoint(kind), num_labels=3, **pad)
        options = ADAPTERS[adapter]
        if options is not None:
            targets = {} if adapter in {"ia3", "prompt"} else {"target_modules": "all-linear"}
            module = peft.get_peft_model(module, peft.get_peft_config({**targets, **options, "task_type": "SEQ_CLS"}))
        for parameter in module.parameters():
            if parameter.dim() > 1:  # B of LoRA begins at zero
                parameter.data += 0.05 * torch.randn(parameter.shape)
        for part in module.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.3
        module.train()
        list(module.modules())[-2].eval()
        next(module.parameters()).requires_grad_(False)
        ids = torch.tensor([[5, 6, 7]])
        module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum().backward()
        return module

    return make


def one_at_a_time(module: nn.Module, texts: EncodedTexts) -> np.ndarray:
    """The module's own forward of each text by itself, modes put back by hand."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    rows = []
    with torch.no_grad():
        for start, end in zip(texts.offsets[:-1], texts.offsets[1:], strict=True):
            ids = torch.from_numpy(texts.input_ids[start:end].astype(np.int64))[None]
            inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            if texts.token_type_ids is not None:
                inputs["token_type_ids"] = torch.from_numpy(texts.token_type_ids[start:end].astype(np.int64))[None]
            rows.append(module(**inputs).logits[0].float().numpy())
    for part, training in modes.items():
        part.training = training
    return np.array(rows)


def everything(module: nn.Module) -> dict[str, Any]:
    """All that a pass could change, tensors by identity, version and content."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    tensors += [(f"{name}.grad", p.grad) for name, p in module.named_parameters() if p.grad is not None]
    parts = dict(module.named_modules())
    return {
        "tensors": [(n, id(t), t._version, t.requires_grad, t.detach().numpy().tobytes()) for n, t in tensors],
        "parts": [(n, id(p), type(p), p.training) for n, p in parts.items()],
        "attributes": [(n, sorted(vars(p)), sorted(p._buffers)) for n, p in parts.items()],
        "forwards": [(n, p.forward.__func__, "forward" in vars(p)) for n, p in parts.items()],
        "hooks": [(n, dict(p._forward_hooks), dict(p._forward_pre_hooks)) for n, p in parts.items()],
        "attention": [p.config._attn_implementation for p in parts.values() if hasattr(p, "config")],
        "rates": [p.p for p in parts.values() if isinstance(p, nn.Dropout)],
        "random": (random.getstate(), str(np.random.get_state()), torch.get_rng_state().numpy().tobytes()),
        "modes": (torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()),
        "threads": torch.get_num_threads(),
    }


@pytest.mark.parametrize(
    ("kind", "adapter", "packed"),
    [
        *((kind, "none", True) for kind in ("bert", "roberta", "electra", "distilbert", "deberta-v2", "modernbert")),
        ("qwen2", "none", True),
        ("albert", "none", False),
        *(("bert", adapter, True) for adapter in ("lora", "dora", "ia3")),
        ("qwen2", "lora", True),
        ("gemma2", "lora", True),
        ("bert", "prompt", False),
    ],
)
def test_a_module_is_as_it_was_and_gives_its_own_logits(
    foreign: Callable[..., nn.Module], kind: str, adapter: str, packed: bool
) -> None:
    module = foreign(kind, adapter)
    texts = texts_of([3, 11, 7, 7, 2, 16, 5, 9], segments=kind in {"bert", "deberta-v2"})
    expected = one_at_a_time(module, texts)
    assert np.abs(expected).max() > 0.05
    before = everything(module)
    found = tracking_pass(module, texts, batch_size=5)
    after = everything(module)
    assert {name: before[name] == after[name] for name in before} == dict.fromkeys(before, True)
    assert any(part.training for part in module.modules())
    assert not all(part.training for part in module.modules())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    engine = PassEngine(module)
    engine.suited_to(texts)
    assert (engine.unpacked_because == "") is packed


def test_training_goes_on_as_without_a_pass(foreign: Callable[..., nn.Module]) -> None:
    """Dropout on: the same masks are drawn, and the same weights come out, bit for bit."""
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])

    def train(watched: bool) -> list[torch.Tensor]:
        module = foreign("bert", "lora")
        optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-2)
        torch.manual_seed(3)
        for _ in range(3):
            optimizer.zero_grad()
            loss = module(input_ids=ids, attention_mask=torch.ones_like(ids), labels=torch.tensor([0, 2])).loss
            if watched:
                tracking_pass(module, TEXTS)  # between forward and backward, where nothing may be touched
            loss.backward()
            optimizer.step()
            if watched:
                tracking_pass(module, TEXTS)
        return [p.detach().clone() for p in module.parameters()]

    assert all(torch.equal(one, other) for one, other in zip(train(False), train(True), strict=True))


def test_hooks_are_kept_and_heeded(foreign: Callable[..., nn.Module]) -> None:
    module = foreign()
    # Steers the first layer: what calls the parts by themselves would not see it.
    module.bert.encoder.layer[0].register_forward_hook(lambda part, given, output: output * 1.5)
    expected = one_at_a_time(module, TEXTS)
    before = everything(module)
    found = tracking_pass(module, TEXTS)
    assert everything(module) == before
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert PassEngine(module).unpacked_because == "bert.encoder.layer.0 has hooks"


def test_a_replaced_forward_is_called(foreign: Callable[..., nn.Module]) -> None:
    module = foreign()
    layer = module.bert.encoder.layer[1]
    own = layer.forward
    layer.forward = lambda *args, **kwargs: own(*args, **kwargs) * 0.5
    try:
        found = tracking_pass(module, TEXTS)
        np.testing.assert_allclose(found, one_at_a_time(module, TEXTS), rtol=1e-5, atol=1e-5)
        assert packing_problem(module) == "the forward of bert.encoder.layer.1 was replaced"
    finally:
        del layer.forward


class Loud(nn.Module):
    """A part of somebody's own that draws in any mode, counts its calls and puts another tensor in a buffer's place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("last", torch.zeros(1))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.last = states.detach().mean()
        noise = torch.rand(states.shape[-1]) * 0 + random.random() * 0 + np.random.rand() * 0
        return states + noise


def test_parts_that_draw_count_and_swap_are_put_back(foreign: Callable[..., nn.Module]) -> None:
    module = foreign()
    module.dropout = Loud()
    before = everything(module)
    found = tracking_pass(module, TEXTS)
    after = everything(module)
    # A buffer that was written to and put back has another version, the same content.
    before["tensors"], after["tensors"] = ([(n, i, r, b) for n, i, _, r, b in e["tensors"]] for e in (before, after))
    assert after == before
    np.testing.assert_allclose(found, one_at_a_time(module, TEXTS), rtol=1e-5, atol=1e-5)
    assert PassEngine(module).unpacked_because == f"dropout is a Loud of {Loud.__module__.partition('.')[0]}"


class Merging(nn.Linear):
    """As loralib does it: folds something into its weight when it is told to evaluate."""

    def train(self, mode: bool = True) -> Merging:
        self.weight.data += 1.0 if mode else -1.0
        return super().train(mode)


def test_a_parts_own_way_to_change_modes_is_not_set_off(foreign: Callable[..., nn.Module]) -> None:
    module = foreign()
    module.classifier = Merging(16, 3)
    before = everything(module)
    tracking_pass(module, TEXTS)
    assert everything(module) == before


class Bag(nn.Module):
    """No transformers model at all."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(20, 4), nn.Linear(4, 2)
        self.sizes: list[int] = []

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
        self.sizes.append(len(input_ids))
        states = self.embed(input_ids) * attention_mask[..., None]
        return SequenceClassifierOutput(logits=self.head(states.sum(1) / attention_mask.sum(1, keepdim=True)))


@pytest.mark.parametrize(("pad_id", "largest"), [(0, 8), (None, 1)])
def test_any_module_with_logits_is_served(pad_id: int | None, largest: int) -> None:
    module = Bag()
    found = tracking_pass(module, TEXTS, pad_id=pad_id)
    assert max(module.sizes) == largest  # without a pad token nothing can be padded: one at a time
    np.testing.assert_allclose(found, one_at_a_time(module, TEXTS), rtol=1e-5, atol=1e-5)
    assert module.training


def test_a_classifier_that_refuses_batches_gets_one_example_at_a_time(foreign: Callable[..., nn.Module]) -> None:
    module = foreign("qwen2")
    module.config.pad_token_id = None
    module.model.norm.register_forward_hook(lambda part, given, output: output)  # so that it does not run packed
    np.testing.assert_allclose(tracking_pass(module, TEXTS), one_at_a_time(module, TEXTS), rtol=1e-5, atol=1e-5)


def test_texts_that_end_in_the_pad_token_are_read_as_the_library_does(foreign: Callable[..., nn.Module]) -> None:
    """Qwen's classifier pools the last token that is no padding: of these texts the last but one."""
    module = foreign("qwen2")
    texts = texts_of([3, 6, 9], last=4)
    np.testing.assert_allclose(tracking_pass(module, texts), one_at_a_time(module, texts), rtol=1e-5, atol=1e-5)
    assert isinstance(PassEngine(module).suited_to(texts), PackedEngine)


def test_a_packed_forward_that_is_not_the_modules_own_is_found_out(
    foreign: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = foreign()
    encoder, own = type(module.bert.encoder), module.bert.encoder.forward.__func__

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = own(self, *args, **kwargs)
        return type(output)(last_hidden_state=1.5 * output.last_hidden_state)

    monkeypatch.setattr(encoder, "forward", forward)
    assert packing_problem(module) == ""
    found = tracking_pass(module, TEXTS)
    np.testing.assert_allclose(found, one_at_a_time(module, TEXTS), rtol=1e-5, atol=1e-5)


def test_parts_that_a_forward_replaces_are_put_back(checkpoint: Callable[[str], Path]) -> None:
    """BigBird changes its attention for good at the first text that is not long."""
    module = AutoModelForSequenceClassification.from_pretrained(checkpoint("big_bird"), num_labels=3)
    before = everything(module)
    logits = tracking_pass(module, TEXTS)
    assert everything(module) == before
    assert {part.attention_type for part in module.modules() if hasattr(part, "attention_type")} == {"block_sparse"}
    np.testing.assert_array_equal(tracking_pass(module, TEXTS), logits)
    np.testing.assert_allclose(logits, one_at_a_time(module, TEXTS), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("hooked", [False, True])
def test_an_error_in_a_pass_leaves_no_trace(
    foreign: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch, hooked: bool
) -> None:
    module = foreign()
    if hooked:
        module.bert.register_forward_hook(lambda part, given, output: output)
    before = everything(module)
    with monkeypatch.context() as patch:
        patch.setattr(nn.LayerNorm, "forward", lambda self, states: (_ for _ in ()).throw(MemoryError("no room")))
        with pytest.raises(MemoryError, match="no room"):
            tracking_pass(module, TEXTS)
    assert everything(module) == before


def test_autocast_of_the_caller_holds_and_its_cache_keeps_gradients(foreign: Callable[..., nn.Module]) -> None:
    module = foreign()
    ids = torch.tensor([[5, 6, 7]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = everything(module)
        found = tracking_pass(module, TEXTS)
        assert everything(module) == before
        np.testing.assert_allclose(found, one_at_a_time(module, TEXTS), rtol=0.05, atol=0.05)
        torch.clear_autocast_cache()  # the reference has filled it
        tracking_pass(module, TEXTS)
        module.zero_grad()
        # Weights that were cast without gradients and kept would leave this backward without any (torch < 2.13).
        module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.float().sum().backward()
    assert module.classifier.weight.grad is not None
    assert module.bert.encoder.layer[0].attention.self.query.weight.grad is not None


def test_half_precision_is_answered_in_float32(foreign: Callable[..., nn.Module]) -> None:
    module = foreign().to(torch.bfloat16)
    found = tracking_pass(module, TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, one_at_a_time(module, TEXTS), rtol=0.05, atol=0.05)


def test_gradient_norms_of_a_foreign_module(foreign: Callable[..., nn.Module]) -> None:
    module = foreign("bert", "lora")
    parameters, labels = trained_parameters(module), np.arange(len(TEXTS)) % 3
    before = everything(module)
    found = gradient_norms(module, PassEngine(module), TEXTS, labels, parameters)
    assert everything(module) == before
    assert found.note == ""
    module.eval()
    module.zero_grad()
    ids = torch.from_numpy(TEXTS.input_ids[:3].astype(np.int64))[None]
    logits = module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    torch.nn.functional.cross_entropy(logits, torch.tensor([0])).backward()
    squares = [float(p.grad.square().sum()) for p in parameters.values() if p.grad is not None]
    assert found.norms[0] == pytest.approx(sum(squares) ** 0.5, rel=1e-4)


@pytest.mark.parametrize(("device", "sizes"), [("cpu", [16, 16, 16]), ("cuda", [48])])
def test_the_modules_own_forward_gets_few_texts_at_once_on_a_cpu_and_a_whole_batch_elsewhere(
    foreign: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch, device: str, sizes: list[int]
) -> None:
    monkeypatch.setattr(passes, "_piece_size", lambda _, *, alone: _piece_size(torch.device(device), alone=alone))
    module, seen = foreign(), []
    module.register_forward_pre_hook(lambda _, args, kwargs: seen.append(len(kwargs["input_ids"])), with_kwargs=True)
    tracking_pass(module, texts_of([5] * 48))
    # A few texts, alone and together, come first.
    assert seen[-len(sizes) :] == sizes


class Convolved(nn.Module):
    """A classifier whose layer reads what lies behind a text; it counts what it was given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = nn.Embedding(40, 8), nn.Linear(8, 3)
        self.convolution = nn.Conv1d(8, 8, 3, padding=1)
        self.sizes: list[int] = []

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        self.sizes.append(len(input_ids))
        states = self.convolution(self.embedding(input_ids).mT).mT
        mask = attention_mask[:, :, None]
        return SimpleNamespace(logits=self.head((states * mask).sum(1) / mask.sum(1)))


def test_a_foreign_module_that_reads_its_padding_gets_batches_of_equal_lengths_and_one_warning() -> None:
    module, texts = Convolved(), texts_of([3, 11, 7, 7, 2, 16, 5, 9])
    expected = one_at_a_time(module, texts)
    with pytest.warns(UserWarning, match="takes longer: with padding, logits differ"):
        found = tracking_pass(module, texts, pad_id=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    module.sizes.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(tracking_pass(module, texts, pad_id=0), expected, rtol=1e-5, atol=1e-5)
        tracking_pass(module, texts, pad_id=0)
    assert max(module.sizes) == 2
    # Asked at the second pass again, not at the third.
    assert len(module.sizes) == (8 + 7) + 7 + 7


def test_what_looks_across_a_batch_is_found_out_once_it_shows() -> None:
    module, texts = Convolved(), texts_of([3, 11, 7, 7, 2, 16, 5, 9])
    module.convolution.weight.data.zero_()
    module.convolution.bias.data.normal_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracking_pass(module, texts, pad_id=0)
    module.convolution.weight.data.normal_()
    with pytest.warns(UserWarning, match="with padding"):
        found = tracking_pass(module, texts, pad_id=0)
    np.testing.assert_allclose(found, one_at_a_time(module, texts), rtol=1e-5, atol=1e-5)
