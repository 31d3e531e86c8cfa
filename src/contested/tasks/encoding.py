"""Texts become token ids: once, without padding, cached by content."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.families import SINGLE_TEXT
from contested.files import atomic_path

_CACHE_FORMAT = "2"
_DIGEST_SIZE = hashlib.sha256().digest_size
_ELSEWHERE = frozenset({"name_or_path", "verbose", "deprecation_warnings", "init_kwargs", "files_loaded"})
"""Attributes of a tokenizer that decide no id, or say what others say."""
_IN_RULES = frozenset({"_vocab", "_merges"})
"""What a fast tokenizer's rules say too, and take long to write."""


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

    def count(self, among: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """How many tokens of each text are among some ids, shape (M,)."""
        ends = np.concatenate([[0], np.cumsum(np.isin(self.input_ids, among))])
        return np.diff(ends[self.offsets])

    def rest(self, start: int) -> EncodedTexts:
        """The texts from one on; ``truncated`` stays that of all."""
        first = self.offsets[start]
        segments = None if self.token_type_ids is None else self.token_type_ids[first:]
        return EncodedTexts(self.input_ids[first:], self.offsets[start:] - first, segments, self.truncated)


def encode(
    tokenizer: Any,
    texts: pd.DataFrame,
    *,
    max_length: int,
    template: str | None = None,
    decoder: bool = False,
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
        decoder: One text that names its columns, as with the template that all families of decoders have.
        cache: Folder where the result is kept by content, or None. What is damaged there is encoded again, and a
            folder that cannot be written is left alone.

    Returns:
        The token ids in the order of the rows.
    """
    columns = [[str(value) for value in texts[name]] for name in texts]
    if template is not None or decoder or len(columns) > 2:
        columns = [single_texts(texts, template or SINGLE_TEXT)]
    if cache is None:
        return _encode(tokenizer, columns, max_length)
    file = Path(cache) / f"{_key(tokenizer, columns, max_length)}.tokens"
    found = _load(file)
    if found is None:
        found = _encode(tokenizer, columns, max_length)
        with contextlib.suppress(OSError):  # A full disk or a folder of somebody else costs the next run's time alone.
            _store(found, file)
    return found


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
    digest = hashlib.sha256()
    for part in (_CACHE_FORMAT, str(max_length), *_settings(tokenizer)):
        digest.update(part.encode() + b"\0")
    for column in columns:
        digest.update(json.dumps(column).encode() + b"\0")
    return digest.hexdigest()


def _settings(tokenizer: Any) -> list[str]:
    """Everything that decides a tokenizer's ids: its class and library, its rules, every setting it holds."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    kind = type(tokenizer)
    left_out = _ELSEWHERE | (_IN_RULES if backend is not None else frozenset())
    held = {name: value for name, value in vars(tokenizer).items() if name not in left_out}
    return [
        f"{kind.__module__}.{kind.__qualname__} {version('transformers')} {version('tokenizers')}",
        _rules(backend) if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True),
        json.dumps({name: _plain(value) for name, value in held.items()}, sort_keys=True),
        str([str(token) for token in tokenizer.all_special_tokens]),
        *_files(tokenizer),
    ]


def _rules(backend: Any) -> str:
    """A fast tokenizer's rules, without what its last call left there: every call sets both again."""
    backend.no_truncation()
    backend.no_padding()
    return str(backend.to_str())


def _files(tokenizer: Any) -> list[str]:
    """Content of the files that a slow tokenizer reads itself, such as a SentencePiece model."""
    names = getattr(tokenizer, "vocab_files_names", {})
    files = [Path(file) for name in sorted(names) if isinstance(file := getattr(tokenizer, name, None), str)]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()]


def _plain(value: Any, within: tuple[int, ...] = ()) -> Any:
    """A setting as JSON; of an object its own settings, of what holds none its kind alone."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if type(value).__name__ == "AddedToken":  # Of the library tokenizers, which only models and training import.
        return repr(value)
    inside = (*within, id(value))
    if isinstance(value, list | tuple):
        return [_plain(part, inside) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    held = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
    if id(value) in within:
        held = {}
    return [type(value).__name__, {str(name): _plain(part, inside) for name, part in held.items()}]


def _store(encoded: EncodedTexts, file: Path) -> None:
    """Keep token ids behind the digest of their bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"input_ids": encoded.input_ids, "offsets": encoded.offsets}
    arrays["truncated"] = np.int64(encoded.truncated)
    if encoded.token_type_ids is not None:
        arrays["token_type_ids"] = encoded.token_type_ids
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    with atomic_path(file) as temporary:
        temporary.write_bytes(hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())


def _load(file: Path) -> EncodedTexts | None:
    """What is kept, or None where there is nothing, or not what was written."""
    try:
        whole = file.read_bytes()
    except OSError:
        return None
    digest, content = whole[:_DIGEST_SIZE], whole[_DIGEST_SIZE:]
    if hashlib.sha256(content).digest() != digest:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        segments = stored.get("token_type_ids")
        return EncodedTexts(stored["input_ids"], stored["offsets"], segments, int(stored["truncated"]))
