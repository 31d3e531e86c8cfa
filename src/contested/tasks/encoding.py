"""Texts become token ids: once, without padding, cached by content."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.families import SINGLE_TEXT
from contested.files import atomic_path

_CACHE_FORMAT = "1"


@dataclass(frozen=True, eq=False)
class EncodedTexts:
    """Token ids of M texts, end to end.

    Attributes:
        input_ids: All tokens, shape (tokens,).
        offsets: Text i is ``input_ids[offsets[i]:offsets[i + 1]]``; shape (M + 1,).
        token_type_ids: Segment of each token, shape (tokens,), or None where the model has none.
        truncated: How many texts were cut to the maximal length.
    """

    input_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    token_type_ids: NDArray[np.int32] | None
    truncated: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each text, shape (M,)."""
        return np.diff(self.offsets)


def encode(
    tokenizer: Any,
    texts: pd.DataFrame,
    *,
    max_length: int,
    template: str | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> EncodedTexts:
    """Tokenise the text columns of a table.

    Without a template the tokenizer gets one text or a pair. With one, and for more than two columns, it gets one
    text that names each column: ``premise: … hypothesis: …`` (paper §3.3 with the authors' template).

    Args:
        tokenizer: A transformers tokenizer.
        texts: One row per text, its columns in order.
        max_length: Longest input in tokens; longer ones are cut (of a pair, the longer text).
        template: How a column enters the one text that a model reads (see :class:`contested.families.Family`).
        cache: Folder where the result is kept by content, or None.

    Returns:
        The token ids in the order of the rows.
    """
    columns = [[str(value) for value in texts[name]] for name in texts]
    if template is not None or len(columns) > 2:
        columns = [single_texts(texts, template or SINGLE_TEXT)]
    file = None if cache is None else Path(cache) / f"{_key(tokenizer, columns, max_length)}.npz"
    if file is not None and file.exists():
        return _load(file)
    encoded = _encode(tokenizer, columns, max_length)
    if file is not None:
        _store(encoded, file)
    return encoded


def single_texts(texts: pd.DataFrame, template: str = SINGLE_TEXT) -> list[str]:
    """Join text columns into one text per row, each put into the template with its name.

    >>> single_texts(pd.DataFrame({"premise": ["A dog."], "hypothesis": ["A cat."]}))
    ['premise: A dog. hypothesis: A cat.']
    """
    rows = zip(*(texts[name] for name in texts), strict=True)
    return [
        " ".join(template.format(name=name, value=value) for name, value in zip(texts.columns, row, strict=True))
        for row in rows
    ]


def cache_folder() -> Path:
    """Where tokenised texts are kept: ``CONTESTED_CACHE``, else the user's cache folder."""
    base = os.environ.get("CONTESTED_CACHE")
    if base:
        return Path(base) / "tokens"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "contested" / "tokens"


def _encode(tokenizer: Any, columns: list[list[str]], max_length: int) -> EncodedTexts:
    if not columns[0]:
        return EncodedTexts(np.zeros(0, np.int32), np.zeros(1, np.int64), None, 0)
    whole = tokenizer(*columns, truncation=False, padding=False, return_attention_mask=False, verbose=False)
    too_long = sum(len(ids) > max_length for ids in whole["input_ids"])
    batch = whole
    if too_long:
        batch = tokenizer(*columns, truncation=True, max_length=max_length, padding=False, return_attention_mask=False)
    ids = batch["input_ids"]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64)
    segments = batch.get("token_type_ids")
    return EncodedTexts(
        input_ids=np.concatenate([np.asarray(row, np.int32) for row in ids]),
        offsets=offsets,
        token_type_ids=None if segments is None else np.concatenate([np.asarray(row, np.int32) for row in segments]),
        truncated=int(too_long),
    )


def _key(tokenizer: Any, columns: list[list[str]], max_length: int) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    digest = hashlib.sha256()
    for part in (_CACHE_FORMAT, type(tokenizer).__name__, rules, str(max_length), str(tokenizer.model_input_names)):
        digest.update(part.encode() + b"\0")
    for column in columns:
        digest.update(json.dumps(column).encode() + b"\0")
    return digest.hexdigest()


def _store(encoded: EncodedTexts, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {
        "input_ids": encoded.input_ids,
        "offsets": encoded.offsets,
        "truncated": np.int64(encoded.truncated),
    }
    if encoded.token_type_ids is not None:
        arrays["token_type_ids"] = encoded.token_type_ids
    with atomic_path(file) as temporary, temporary.open("wb") as content:
        np.savez(content, **arrays)


def _load(file: Path) -> EncodedTexts:
    with np.load(file) as stored:
        segments = stored.get("token_type_ids")
        return EncodedTexts(stored["input_ids"], stored["offsets"], segments, int(stored["truncated"]))
