"""What a run says or refuses of its texts' tokens, before anything is trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import transformers

from contested import models
from contested.annotations import Annotations
from contested.errors import DataError
from contested.runs.prepare import encode_task
from contested.runs.words import check_words
from contested.tasks import TextClassificationTask

LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture
def said(annotated: Annotations, bulk: pd.DataFrame) -> Callable[..., tuple[str, ...]]:
    """Gives what is said where hypotheses of some annotated examples are others; the bulk is of 10 examples."""

    def check(
        folder: Path, texts: dict[int, str] | None = None, *, max_length: int = 60, columns: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        fields = annotated.fields.copy()
        for row, text in (texts or {}).items():
            fields.loc[row, "hypothesis"] = text
        changed = Annotations(annotated.example_ids, annotated.label_counts, LABELS, fields, "changed")
        options = {"text_columns": list(columns)} if columns else {}
        data = TextClassificationTask(changed, bulk.assign(more="a"), bulk_size=10, **options).prepare()
        model = models.build(
            str(folder), label_names=LABELS, method="lora", options={"r": 2, "target_modules": "all-linear"}
        )
        return check_words(data, model, encode_task(data, model, max_length))

    return check


def with_tokens(checkpoint: Path, folder: Path, *tokens: str) -> Path:
    """A copy whose tokenizer knows more tokens than its model."""
    shutil.copytree(checkpoint, folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(tokens))
    tokenizer.save_pretrained(folder)
    return folder


def test_nothing_is_said_of_texts_that_are_read_whole(
    checkpoint: Callable[[str], Path], said: Callable[..., tuple[str, ...]]
) -> None:
    assert [said(checkpoint(kind)) for kind in ("bert", "roberta", "qwen2")] == [(), (), ()]


def test_tokens_beyond_the_embeddings_are_refused_by_id(
    checkpoint: Callable[[str], Path], said: Callable[..., tuple[str, ...]], tmp_path: Path
) -> None:
    folder = with_tokens(checkpoint("bert"), tmp_path / "more", "zebra", "yak")
    assert said(folder) == ()
    with pytest.raises(DataError) as caught:
        said(folder, {3: "a zebra runs", 4: "a yak", 5: "the zebra sleeps", 6: "a red yak", 7: "zebra"})
    found = "\n".join(caught.value.problems)
    # 23 embeddings have the ids 0 to 22.
    assert "tracked example 'item-5' and 1 more: the token 'zebra' has the id 23, the model 23 embeddings" in found
    assert "validation example 'item-3': the token 'zebra'" in found
    assert "the token 'yak' has the id 24, the model 23 embeddings" in found


def test_token_types_beyond_the_embeddings_are_refused(
    checkpoint: Callable[[str], Path], said: Callable[..., tuple[str, ...]], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint("roberta"), tmp_path / "typed"))  # one type, and a tokenizer of two
    for file in checkpoint("bert").glob("tokenizer*"):
        shutil.copy(file, folder)
    with pytest.raises(
        DataError, match="tracked example 'item-0' and 31 more: the token type 1, and the model has 1 emb"
    ):
        said(folder)


def test_token_types_are_left_out_where_a_model_has_no_place_for_them(
    checkpoint: Callable[[str], Path], said: Callable[..., tuple[str, ...]], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint("distilbert"), tmp_path / "untyped"))
    for file in checkpoint("bert").glob("tokenizer*"):
        shutil.copy(file, folder)
    assert said(folder) == ()


def test_many_unknown_tokens_are_refused_with_their_share_and_some_are_said(
    checkpoint: Callable[[str], Path], said: Callable[..., tuple[str, ...]]
) -> None:
    unknown = "elephants devour giraffes"
    with pytest.raises(DataError, match=r"[2-9]\d\.\d% of the tokens are unknown to the tokenizer \(\[UNK\]\)"):
        said(checkpoint("bert"), {row: " ".join([unknown] * 4) for row in range(40)})
    [note] = said(checkpoint("bert"), dict.fromkeys(range(4), unknown))
    # 12 of about 600: 40 pairs and 10 pairs of about 6 words a text.
    assert note.startswith("1.") or note.startswith("2.")
    assert note.endswith("% of the tokens are unknown to the tokenizer ([UNK]).")


def test_an_example_of_unknown_tokens_alone_is_said(
    checkpoint: Callable[[str], Path], said: Callable[..., tuple[str, ...]]
) -> None:
    notes = said(checkpoint("bert"), {1: "zebra", 2: "yak"}, columns=("hypothesis",))
    assert "The tokenizer knows no token of tracked example 'item-1' and 1 more." in notes


def test_examples_without_a_token_are_refused_by_id(
    checkpoint: Callable[[str], Path], said: Callable[..., tuple[str, ...]]
) -> None:
    # A combining accent alone: seen, but the tokenizer's own rules leave nothing of it.
    with pytest.raises(DataError, match="tracked example 'item-1': the tokenizer makes no token of the text"):
        said(stripping(checkpoint("bert")), {1: "\u0301"}, columns=("hypothesis",))


def stripping(folder: Path) -> Path:
    """The checkpoint with a tokenizer that strips accents."""
    from tokenizers import normalizers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
    copy = folder.with_name(f"{folder.name}-stripping")
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    tokenizer.save_pretrained(copy)
    return copy


def test_cut_texts_are_counted_and_said(
    checkpoint: Callable[[str], Path], said: Callable[..., tuple[str, ...]]
) -> None:
    long = " ".join(["a", "dog", "runs"] * 30)
    [note] = said(checkpoint("bert"), {1: long, 2: long})
    assert (
        note == "Texts longer than 60 tokens are cut (2 of 42 training, 2 of 32 tracked); model.max_length sets this."
    )
    # Qwen2's texts name their columns one after the other: what is cut is of the last one.
    [note] = said(checkpoint("qwen2"), {1: long}, max_length=60)
    assert note.endswith("What is cut is of hypothesis, which may be lost altogether.")


def test_special_tokens_in_texts_are_said(
    checkpoint: Callable[[str], Path], said: Callable[..., tuple[str, ...]]
) -> None:
    [note] = said(checkpoint("bert"), {1: "a dog [SEP] a cat", 2: "[MASK] runs [PAD]"})
    assert (
        note
        == "Special tokens in the text of tracked example 'item-1' and 1 more are read as such ([PAD], [SEP], [MASK])."
    )


@pytest.fixture
def bart(checkpoint: Callable[[str], Path], tmp_path: Path) -> Path:
    """A BART whose tokenizer ends every text with [SEP], its end token."""
    folder = tmp_path / "bart"
    config = transformers.BartConfig(
        vocab_size=23,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=80,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=3,
    )
    transformers.BartModel(config).save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint("roberta"))
    tokenizer.eos_token = "[SEP]"
    tokenizer.save_pretrained(folder)
    return folder


def test_end_tokens_in_texts_of_heads_that_count_them_are_letters(
    bart: Path, said: Callable[..., tuple[str, ...]], tmp_path: Path
) -> None:
    notes = said(bart, {1: "a dog [SEP] a cat"})
    assert notes[-1].startswith("The end token '[SEP]' stands in the text of 1 example; it is read as letters")
    model = models.build(str(bart), label_names=LABELS, method="full")
    model.tokenizer.save_pretrained(tmp_path / "saved")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    # [CLS] a, the letters of an unknown word, dog [SEP]: one end token.
    assert again("a [SEP] dog")["input_ids"].count(3) == 1


def test_a_head_that_reads_at_end_tokens_wants_one(bart: Path, said: Callable[..., tuple[str, ...]]) -> None:
    from tokenizers import processors

    tokenizer = transformers.AutoTokenizer.from_pretrained(bart)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1")
    tokenizer.save_pretrained(bart)
    with pytest.raises(DataError, match=r"'item-0' and 31 more: 0 end tokens where 1 belong, .* head of bart reads"):
        said(bart)
