"""Logits and gradients of either engine against transformers' own forward, one text at a time and without padding."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from torch import Tensor, nn

from contested.tasks import EncodedTexts
from contested.training import DropoutKey, PackedEngine, PaddedEngine, make_engine
from contested.training.families import packed_forward

CPU = torch.device("cpu")
PAD = 1
IDS = {"vocab_size": 40, "pad_token_id": PAD, "eos_token_id": 2}
LENGTHS = (3, 12, 1, 7, 7, 10)
BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}
DECODER = {**BERT, "num_key_value_heads": 1, "head_dim": 8}
# Windows that end within the texts, and caps low enough to bend the scores.
GEMMA = {**DECODER, "query_pre_attn_scalar": 8, "layer_types": ["sliding_attention", "full_attention"]}
GEMMA["sliding_window"] = 4
VISION = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
VISION |= {"image_size": 8, "patch_size": 4}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "mistral": ("Mistral", {**DECODER, "sliding_window": 4}),
    "mistral without a window": ("Mistral", {**DECODER, "sliding_window": None}),
    "llama with a key that it does not read": ("Llama", {**DECODER, "sliding_window": 4}),
    "qwen2": ("Qwen2", {**DECODER, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    "gemma2": ("Gemma2", {**GEMMA, "attn_logit_softcapping": 2.0}),
    "gemma3_text": ("Gemma3Text", {**GEMMA, "attn_logit_softcapping": 2.0}),
    "gemma3": ("Gemma3", {"text_config": {**GEMMA, **IDS}, "vision_config": VISION}),
    "gpt_oss": ("GptOss", {**GEMMA, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "gemma": ("Gemma", DECODER),
    "ministral": ("Ministral", {**GEMMA, "query_pre_attn_scalar": None}),
    "roberta": ("Roberta", {**BERT, "type_vocab_size": 1}),
    "camembert": ("Camembert", BERT),
    "data2vec-text": ("Data2VecText", BERT),
    "ernie": ("Ernie", {**BERT, "use_task_id": True}),
    "xlnet": ("XLNet", {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}),
    "layoutlm": ("LayoutLM", BERT),
    "t5": ("T5", {"d_model": 16, "d_kv": 8, "num_layers": 2, "num_heads": 2, "d_ff": 32, "decoder_start_token_id": 0}),
    "big_bird": ("BigBird", {**BERT, "attention_type": "original_full"}),
}
PACKED = ("mistral", "mistral without a window", "llama with a key that it does not read", "qwen2", "gemma2")
PACKED += ("gemma3_text", "gemma3", "gemma", "ministral", "roberta", "camembert", "data2vec-text", "ernie")


def classifier(kind: str, **config: Any) -> Any:
    name, own = KINDS[kind]
    given = {"num_labels": 3, **IDS, **own, **config}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = tf.AutoModelForSequenceClassification.from_config(getattr(tf, f"{name}Config")(**given))
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)  # far from zero, where wrong code looks right
    return model


def encoded(texts: list[list[int]]) -> EncodedTexts:
    ids = np.concatenate([np.array(text, np.int32) for text in texts])
    return EncodedTexts(ids, np.cumsum([0, *map(len, texts)]).astype(np.int64), None, 0)


def random_texts(*, last: int | None = None) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [[*rng.integers(3, IDS["vocab_size"], n - 1).tolist(), last or 5] for n in LENGTHS]


def almost_no_dropout(model: nn.Module) -> None:
    """So little that nothing is dropped, but every way is gone that is gone with dropout."""
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 1e-9
        for name in ("attention_dropout", "dropout", "attention_probs_dropout_prob"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 1e-9)


def results(model: nn.Module, logits: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and gradients of a sum in which each logit counts differently."""
    model.zero_grad()
    (logits * torch.linspace(-1, 2, logits.numel()).view_as(logits)).sum().backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def own_results(model: Any, texts: list[list[int]]) -> tuple[Tensor, dict[str, Tensor]]:
    reference = copy.deepcopy(model).eval()
    reference.set_attn_implementation("eager")
    # As a tokenizer gives a text: every token of it counts, whatever its id.
    given = [torch.tensor(text)[None] for text in texts]
    logits = [reference(input_ids=ids, attention_mask=torch.ones_like(ids)).logits for ids in given]
    return results(reference, torch.cat(logits))


def assert_as_the_library(engine: Any, model: Any, texts: list[list[int]], *, training: bool) -> None:
    expected, of_expected = own_results(model, texts)
    model.train(training)
    rows = np.arange(len(texts))
    key = DropoutKey(seed=1, step=2) if training else None
    found, of_found = results(model, engine.logits(encoded(texts), rows, key))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert of_expected.keys() - of_found.keys() == set()
    for name, gradient in of_expected.items():
        assert (of_found[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-5, name


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_either_engine_gives_the_logits_and_gradients_of_the_library(kind: str, training: bool) -> None:
    model = classifier(kind)
    almost_no_dropout(model)
    texts = random_texts(last=2 if kind == "t5" else None)  # T5 pools its end token
    assert (packed_forward(model) is not None) == (kind in PACKED)
    if kind in PACKED:
        for layout in ({}, {"single_group": True, "bucket": 16}):
            engine = PackedEngine(copy.deepcopy(model), device=CPU, **layout)
            assert_as_the_library(engine, engine._model, texts, training=training)
    assert_as_the_library(PaddedEngine(model, pad_id=PAD, device=CPU), model, texts, training=training)


@pytest.mark.parametrize("kind", ["roberta", "mistral", "gemma2"])
def test_pad_tokens_within_a_text_and_at_its_end_are_read_as_the_library_reads_them(kind: str) -> None:
    """RoBERTa counts no position for one; decoders pool the last token that is none, or the first of nothing else."""
    model = classifier(kind)
    texts = [[4, PAD, 6, 7], [PAD, 8, 9], [5, 6, PAD], [7, 8, 9, PAD, PAD], [PAD, PAD], [3, 4, 5, 6, 7, 8]]
    if kind == "roberta":
        texts[4] = [0, PAD]
    for made in (make_engine, PaddedEngine):
        engine = made(copied := copy.deepcopy(model), pad_id=PAD, device=CPU)
        assert isinstance(engine, PaddedEngine) == (made is PaddedEngine)
        assert_as_the_library(engine, copied, texts, training=False)


def test_an_end_token_that_is_also_the_pad_token_is_not_pooled() -> None:
    """As the library's heads have it for such a configuration: the token before is."""
    model = classifier("mistral", eos_token_id=PAD)
    engine = make_engine(model, pad_id=PAD, device=CPU).logits
    given, before = random_texts(last=PAD), random_texts()
    cut = [text[:-1] or text for text in given]
    found = engine(encoded(given), np.arange(len(given)))
    torch.testing.assert_close(found, engine(encoded(cut), np.arange(len(cut))))
    assert not torch.allclose(found, engine(encoded(before), np.arange(len(before))), atol=1e-2)
