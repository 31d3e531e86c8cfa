from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from transformers import AutoTokenizer

from contested.tasks import encode
from contested.tasks.encoding import _settings

PAIRS = pd.DataFrame({"premise": ["a dog runs", "the cat"], "hypothesis": ["a cat", "a man sits in the park"]})


@pytest.fixture
def tokenizer(checkpoint: Callable[[str], Path]) -> Any:
    return AutoTokenizer.from_pretrained(checkpoint("bert"))


def test_pairs_are_the_tokenizers_own(tokenizer: Any) -> None:
    encoded = encode(tokenizer, PAIRS, max_length=64)
    for i, row in enumerate(PAIRS.itertuples(index=False)):
        expected = tokenizer(*row)
        part = slice(encoded.offsets[i], encoded.offsets[i + 1])
        assert encoded.input_ids[part].tolist() == expected["input_ids"]
        assert encoded.token_type_ids is not None
        assert encoded.token_type_ids[part].tolist() == expected["token_type_ids"]
    assert len(encoded) == 2


def test_decoders_get_one_text_that_names_its_columns(checkpoint: Callable[[str], Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("qwen2"))
    encoded = encode(tokenizer, PAIRS, max_length=64, template="{name}: {value}")
    expected = tokenizer("premise: a dog runs hypothesis: a cat")["input_ids"]
    assert encoded.input_ids[: encoded.offsets[1]].tolist() == expected


def test_long_texts_are_cut_and_counted(tokenizer: Any) -> None:
    encoded = encode(tokenizer, PAIRS, max_length=9)
    assert encoded.lengths.tolist() == [8, 9]
    assert encoded.truncated == 1


def test_the_cache_gives_the_same_and_is_keyed_by_content(tokenizer: Any, tmp_path: Path) -> None:
    first = encode(tokenizer, PAIRS, max_length=64, cache=tmp_path)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("tokenised again")

    kind = type(tokenizer)
    original = kind.__call__
    kind.__call__ = forbidden
    try:
        again = encode(tokenizer, PAIRS.copy(), max_length=64, cache=tmp_path)
        with pytest.raises(AssertionError, match="tokenised again"):
            encode(tokenizer, PAIRS, max_length=63, cache=tmp_path)
    finally:
        kind.__call__ = original
    assert np.array_equal(first.input_ids, again.input_ids)
    assert np.array_equal(first.token_type_ids, again.token_type_ids)
    encode(tokenizer, PAIRS[::-1], max_length=64, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_one_text_that_names_its_columns_without_a_template(tokenizer: Any) -> None:
    named = encode(tokenizer, PAIRS, max_length=64, template="{name}: {value}")
    assert encode(tokenizer, PAIRS, max_length=64, decoder=True).input_ids.tolist() == named.input_ids.tolist()


LONG = pd.DataFrame({"text": [" ".join(["a", "dog", "runs", "in", "the", "park"] * 3)]})


def test_the_cache_knows_every_setting_of_a_tokenizer(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    def of(**settings: Any) -> Any:
        return AutoTokenizer.from_pretrained(checkpoint("bert"), **settings)

    table = pd.DataFrame({"text": ["[SEP] a dog " + LONG["text"][0]]})
    changes = [{}, {"truncation_side": "left"}, {"split_special_tokens": True}, {"cls_token": "[MASK]"}]
    fresh = [encode(of(**change), table, max_length=8).input_ids.tolist() for change in changes]
    kept = [encode(of(**change), table, max_length=8, cache=tmp_path).input_ids.tolist() for change in changes]
    again = [encode(of(**change), table, max_length=8, cache=tmp_path).input_ids.tolist() for change in changes]
    assert fresh == kept == again
    # [CLS] and [SEP] stand around either end of the text; an unsplit [SEP] is one token.
    assert fresh[0][:2] == [2, 3]
    assert fresh[1] != fresh[0] != fresh[2]
    encode(of(name_or_path="elsewhere"), table, max_length=8, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == len(changes)


def test_the_cache_knows_the_settings_of_a_tokenizer_in_python(tmp_path: Path) -> None:
    from transformers import ProphetNetTokenizer

    words = tmp_path / "words.txt"
    words.write_text("\n".join(["[PAD]", "[UNK]", "[SEP]", "[X_SEP]", "[MASK]", "a", "dog", "Dog"]))
    table, kept = pd.DataFrame({"text": ["a Dog"]}), tmp_path / "kept"
    ids = [
        encode(ProphetNetTokenizer(words, do_lower_case=lower), table, max_length=8, cache=kept).input_ids.tolist()
        for lower in (True, False)
    ]
    assert ids == [[5, 6, 2], [5, 7, 2]]


def test_a_slow_tokenizers_own_file_is_part_of_the_key(tmp_path: Path) -> None:
    file = tmp_path / "pieces"
    found = []
    for content in ("a", "b"):
        file.write_text(content)
        tokenizer = SimpleNamespace(
            get_vocab=dict,
            all_special_tokens=[],
            vocab_files_names={"vocab_file": "pieces"},
            vocab_file=str(file),
        )
        found.append(_settings(tokenizer))
    assert found[0] != found[1]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_cache_is_encoded_again(tokenizer: Any, tmp_path: Path, damage: str) -> None:
    wanted = encode(tokenizer, PAIRS, max_length=64, cache=tmp_path)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(len(whole), size=20):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        file.write_bytes({"cut": whole[:place], "flip": bytes(flipped), "empty": b"", "other": b"PK\3\4"}[damage])
        found = encode(tokenizer, PAIRS, max_length=64, cache=tmp_path)
        assert found.input_ids.tolist() == wanted.input_ids.tolist()
        assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = encode(tokenizer, PAIRS, max_length=64, cache=tmp_path / "file")
    assert found.lengths.tolist() == [8, 11]
