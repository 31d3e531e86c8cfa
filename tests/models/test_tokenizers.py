"""Tokenizers as checkpoints bring them: whole, as a bare SentencePiece model, damaged, without a pad token."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from contested import models
from contested.errors import ModelError

LABELS = ("entailment", "neutral", "contradiction")
TEXTS = ["a dog sleeps in the park", "two cats sit in a red house", "the woman runs", "a man sits in the house"]


def build(folder: Path) -> models.TextModel:
    return models.build(str(folder), label_names=LABELS, method="lora", options={"r": 2})


@pytest.fixture
def sentencepiece_only(tmp_path: Path) -> Path:
    """As DeBERTa v3 is published: a SentencePiece model, and no tokenizer.json."""
    import sentencepiece

    folder = tmp_path / "deberta-v3-like"
    with torch.random.fork_rng():
        config = transformers.DebertaV2Config(
            vocab_size=32,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            type_vocab_size=0,
        )
        transformers.DebertaV2Model(config).save_pretrained(folder)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 5),
        model_prefix=str(folder / "spm"),
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
        minloglevel=2,
    )
    (folder / "spm.vocab").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "vocab_type": "spm"}))
    return folder


def test_a_sentencepiece_model_alone_is_a_tokenizer(sentencepiece_only: Path) -> None:
    pytest.importorskip("google.protobuf", reason="the package protobuf of contested[train] is not installed")
    import sentencepiece

    tokenizer = build(sentencepiece_only).tokenizer
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(sentencepiece_only / "spm.model"))
    first, second = (pieces.encode(text) for text in TEXTS[:2])
    # [CLS] first [SEP] second [SEP], in SentencePiece's own pieces.
    assert tokenizer(TEXTS[0], TEXTS[1])["input_ids"] == [1, *first, 2, *second, 2]
    assert tokenizer.pad_token_id == 0


def test_a_tokenizer_that_lacks_protobuf_says_so(sentencepiece_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> Any:
        # What transformers says where protobuf is missing, although the file is none of tiktoken's.
        raise ValueError("`tiktoken` is required to read a `tiktoken` file. Install it with `pip install tiktoken`.")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", load)
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    with pytest.raises(ModelError, match=r"SentencePiece.* needs protobuf, .*pip install 'contested\[train\]'"):
        build(sentencepiece_only)


@pytest.fixture
def changed(checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[[Callable[[Path], None]], Path]:
    """Gives a copy of a checkpoint whose tokenizer was changed."""

    def make(change: Callable[[Path], None]) -> Path:
        folder = Path(shutil.copytree(checkpoint("bert"), tmp_path / "copy"))
        change(folder)
        return folder

    return make


def without_tokens(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "tokenizer_config.json"
        content = json.loads(file.read_text())
        file.write_text(json.dumps({key: value for key, value in content.items() if key not in names}))

    return change


def with_end_token(folder: Path) -> None:
    without_tokens("pad_token")(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "eos_token": "[SEP]"}))


def test_a_damaged_tokenizer_is_named(changed: Callable[..., Path]) -> None:
    folder = changed(lambda folder: (folder / "tokenizer.json").write_text("{"))
    with pytest.raises(ModelError, match=r"Cannot load the tokenizer of .*copy"):
        build(folder)


def test_a_setting_of_another_kind_is_named_before_a_text_is_read(changed: Callable[..., Path]) -> None:
    def change(folder: Path) -> None:
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "model_max_length": "many"}))

    with pytest.raises(ModelError, match=r"Cannot load the tokenizer of .*: TypeError: '>' not supported"):
        build(changed(change))


def test_a_tokenizer_without_a_pad_token_takes_the_end_token_or_is_refused(changed: Callable[..., Path]) -> None:
    folder = changed(without_tokens("pad_token"))
    with pytest.raises(ModelError, match="has neither a pad nor an end token; set pad_token in its folder"):
        build(folder)
    with_end_token(folder)
    tokenizer = build(folder).tokenizer
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("[SEP]", 3)
