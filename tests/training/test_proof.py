"""A run's engine is held against the library's own forward before step 0, and a slower one taken where it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import nn

from contested import models
from contested.errors import ModelError
from contested.tasks import EncodedTexts
from contested.training import (
    Beginning,
    DropoutKey,
    PackedEngine,
    PaddedEngine,
    packed,
    padded,
    proven_engine,
    track,
)
from contested.training.samples import chosen_examples

CPU = torch.device("cpu")


def texts_of(lengths: list[int], vocabulary: int = 20) -> EncodedTexts:
    rng = np.random.default_rng(0)
    ids = rng.integers(5, vocabulary, sum(lengths)).astype(np.int32)
    return EncodedTexts(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), None, 0)


TEXTS = texts_of([7, 3, 12, 5, 9, 3, 20, 4, 15, 6, 11, 8])


@pytest.fixture
def built(checkpoint: Callable[[str], Path]) -> Callable[..., nn.Module]:
    def make(kind: str = "bert", method: str = "lora", **options: Any) -> nn.Module:
        return models.build(str(checkpoint(kind)), label_names="abc", method=method, options=options, seed=7).module

    return make


def prove(module: nn.Module, **options: Any) -> Any:
    where: Any = {"pad_id": 0, "device": CPU}
    return proven_engine(module, Beginning.of(module, TEXTS, **where), **where, **options)


def tiny(kind: str, **config: Any) -> nn.Module:
    """A classifier of random weights of any family."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    made = AutoConfig.for_model(kind, **{"num_labels": 3, "vocab_size": 24, "pad_token_id": 0, **sizes, **config})
    torch.manual_seed(0)
    module: nn.Module = AutoModelForSequenceClassification.from_config(made)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return module


def own_logits(module: nn.Module, texts: EncodedTexts) -> np.ndarray:
    module.eval()
    with torch.no_grad():
        parts = [torch.from_numpy(ids.astype(np.int64))[None] for ids in np.split(texts.input_ids, texts.offsets[1:-1])]
        return np.concatenate([module(input_ids=ids).logits.numpy() for ids in parts])


def test_the_examples_are_of_different_lengths_with_the_extremes_and_two_of_one_length() -> None:
    # Of 3 4 5 6 7 8 9 11 12 15 20 every 10/6th: 0, 2, 3, 5, 7, 8, 10. And the other one of 3 tokens.
    assert chosen_examples(TEXTS).lengths.tolist() == [3, 5, 6, 8, 11, 12, 20, 3]
    # Of few lengths all occur, and of equal texts as many as there is room for.
    assert chosen_examples(texts_of([4, 9, 4, 4])).lengths.tolist() == [4, 4, 4, 9]
    assert len(chosen_examples(texts_of([5] * 30))) == 8
    last = texts_of([2, 31])
    longer = chosen_examples(TEXTS, [last, texts_of([19])])
    assert longer.lengths.tolist() == [3, 5, 6, 8, 11, 12, 31, 3]
    assert longer.input_ids[-34:-3].tolist() == last.input_ids[-31:].tolist()
    # The second of one length may be of another set; where there is none, no two texts ever meet.
    assert chosen_examples(texts_of([4, 9]), [texts_of([7, 9])]).lengths.tolist() == [4, 9, 9]
    assert chosen_examples(texts_of([4, 9]), [texts_of([7])]).lengths.tolist() == [4, 9]


@pytest.mark.parametrize("method", ["full", "lora", "ia3"])
def test_a_right_engine_is_taken_and_the_module_left_as_it_was(built: Any, method: str) -> None:
    module = built("bert", method)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes, state = [part.training for part in module.modules()], torch.get_rng_state()
    proven = prove(module)
    assert (proven.name, proven.because, proven.examples, proven.merges) == ("packed", "", 8, True)
    assert isinstance(proven.engine, PackedEngine)
    assert proven.difference < 1e-5
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert [part.training for part in module.modules()] == modes
    assert all(parameter.grad is None for parameter in module.parameters())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("kind", "config"), [("fnet", {}), ("convbert", {"embedding_size": 16})])
def test_a_family_that_reads_its_padding_gets_batches_of_equal_lengths(kind: str, config: dict[str, Any]) -> None:
    module = tiny(kind, **config)
    expected = own_logits(module, TEXTS)
    proven = prove(module)
    assert proven.name == "equal lengths"
    assert proven.because.startswith("with padding its logits differ from those of the text alone by up to ")
    for size in (1, 12):
        np.testing.assert_allclose(track(proven.engine, module, TEXTS, batch_size=size), expected, atol=1e-5)


def test_a_tuner_that_is_known_to_look_across_a_batch_runs_one_by_one(built: Any) -> None:
    module = built("bert", "lily", r=4)
    proven = prove(module)
    assert (proven.name, proven.because) == ("one by one", "Lily's router averages over all tokens of a batch")


class Averaging(nn.Linear):
    """A layer that looks at all rows it is given."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return super().forward(rows) + rows.flatten(0, -2).mean(0)


def test_a_part_that_nobody_knows_to_look_across_a_batch_is_found_out() -> None:
    module = tiny("bert")
    module.bert.encoder.layer[1].attention.output.dense = Averaging(16, 16)
    proven = prove(module)
    assert proven.name == "one by one"
    assert [each.split(" its ")[0] for each in proven.because.split("; ")] == [
        "packed", "with padding", "in batches of equal lengths",
    ]  # fmt: skip


def test_an_adapter_that_begins_as_if_it_were_not_there_is_checked_all_the_same(
    built: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A factor that LoRA's zeros hide.
    module = built("bert", "lora", r=4)
    original = peft.tuners.lora.Linear.merge

    def twice(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self.get_base_layer().weight.data += self.get_delta_weight("default")

    monkeypatch.setattr(peft.tuners.lora.Linear, "merge", twice)
    proven = prove(module)
    assert (proven.name, proven.merges) == ("packed", False)
    assert proven.difference < 1e-5


def test_what_fails_is_a_reason_for_the_next_engine(built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, *args: Any, **options: Any) -> None:
        raise TypeError("no such mask\nmore")

    monkeypatch.setattr(packed.Packer, "attend", broken)
    proven = prove(built("bert", "full"))
    assert (proven.name, proven.because) == ("padded", "packed it fails: TypeError: no such mask")
    assert isinstance(proven.engine, PaddedEngine)


def test_a_run_that_resumes_takes_no_faster_engine_than_before(built: Any) -> None:
    assert prove(built("bert", "lora"), fastest="padded").name == "padded"
    assert prove(tiny("fnet"), fastest="packed").name == "equal lengths"


class Drawn(nn.Linear):
    """A layer whose result depends on how often chance was asked before."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return super().forward(rows) + torch.randn(rows.shape[-1])


def test_without_a_right_engine_every_reason_is_said() -> None:
    module = tiny("bert")
    module.classifier = nn.Sequential(Drawn(16, 16), module.classifier)
    with pytest.raises(ModelError, match="BertForSequenceClassification cannot be trained: no way") as caught:
        prove(module)
    assert len(caught.value.problems) == 4
    assert caught.value.problems[3].startswith("one by one its logits differ from those of the text alone by up to")


def test_a_module_whose_own_forward_fails_is_refused_in_one_line() -> None:
    module = tiny("bert")
    module.classifier = nn.Linear(17, 3)
    with pytest.raises(ModelError, match="fails on a single example by its own forward: RuntimeError: mat1 and mat2"):
        prove(module)


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "modernbert", "llama", "mistral", "qwen3", "gemma2"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_half_precision_is_held_to_rounding(built: Any, kind: str, method: str) -> None:
    proven = prove(built(kind, method), precision="bfloat16")
    assert proven.name == "packed"
    assert 1e-4 < proven.difference < 0.1


class ExactAlone(nn.Linear):
    """A layer without half precision."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("expected float, got bfloat16")
        return super().forward(rows)


def test_a_module_that_fails_in_half_precision_alone_is_refused_in_one_line() -> None:
    module = tiny("bert")
    module.bert.pooler.dense = ExactAlone(16, 16)
    wanted = r"^In bfloat16 .* fails: RuntimeError: expected float, got bfloat16\. Train it with precision float32\.$"
    with pytest.raises(ModelError, match=wanted):
        prove(module, precision="bfloat16")


class Blind(nn.Linear):
    """A layer that sees nothing, as attention without the kernel that it needs."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return super().forward(rows * 0)


def test_a_model_that_sees_nothing_of_a_text_is_refused_and_a_head_of_zeros_is_not() -> None:
    module = tiny("bert")
    module.bert.pooler.dense = Blind(16, 16)
    with pytest.raises(ModelError, match="gives 8 different texts the same logits"):
        prove(module)
    module = tiny("bert")
    module.classifier.weight.data.zero_()
    assert prove(module).name == "packed"
    assert not module.classifier.weight.any()


class Failing(nn.Module):
    """A layer that fails while it trains."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise IndexError("no room")
        return rows


def test_what_fails_in_training_alone_is_refused_before() -> None:
    module = tiny("bert")
    module.classifier = nn.Sequential(Failing(), module.classifier)
    with pytest.raises(ModelError) as caught:
        prove(module)
    assert caught.value.problems[0] == "packed it fails: IndexError: no room"


def test_a_mask_of_numbers_goes_the_way_of_training_too() -> None:
    # LayoutLM gives its attention 0 and the lowest number, which are added, not true and false.
    proven = prove(tiny("layoutlm"))
    assert (proven.name, proven.keyed_attention) == ("padded", True)
    logits = proven.engine.logits(TEXTS, np.arange(12), DropoutKey(1, 2))
    assert torch.isfinite(logits).all()


def test_an_attention_that_is_wrong_where_it_is_replaced_stays_the_model_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny("layoutlm")
    expected = own_logits(module, TEXTS)
    monkeypatch.setattr(padded, "_softmax", lambda scores, sinks: scores.softmax(-1) * 0.9)
    proven = prove(module)
    assert (proven.name, proven.because, proven.keyed_attention) == ("padded", "", False)
    np.testing.assert_allclose(track(proven.engine, module, TEXTS, batch_size=5), expected, atol=1e-5)
