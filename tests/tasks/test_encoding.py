from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from transformers import AutoTokenizer

from contested.tasks import encode

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
