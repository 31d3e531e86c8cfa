"""What a tokenizer made of texts, held against what a model can look up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.tasks.encoding import EncodedTexts
from contested.wording import counted

_MANY_UNKNOWN = 0.25
"""From this share of unknown tokens on nothing is trained: a tokenizer of another language gives more than half."""
_SAID_UNKNOWN = 0.01


class TextPart(NamedTuple):
    """Tokens of some texts.

    Attributes:
        what: What one of them is, such as "tracked example".
        ids: Their example ids.
        texts: Their tokens.
    """

    what: str
    ids: Sequence[str]
    texts: EncodedTexts

    def first(self, rows: NDArray[np.int64]) -> str:
        """The first of some examples by its id, and how many more there are."""
        more = f" and {len(rows) - 1:,} more" if len(rows) > 1 else ""
        return f"{self.what} {self.ids[rows[0]]!r}{more}"


def beyond_embeddings(part: TextPart, tokenizer: Any, *, tokens: int | None, types: int | None) -> list[str]:
    """Find ids that a model has no embedding of.

    Args:
        part: The texts.
        tokenizer: Names the tokens; None where it is not known.
        tokens: Number of token embeddings, or None where ids are not looked up.
        types: Number of token-type embeddings, or None where there are none.

    Returns:
        One sentence per id.
    """
    texts, problems = part.texts, []
    for number, where in _beyond(texts, texts.input_ids, tokens):
        token = "a token" if tokenizer is None else f"the token {tokenizer.convert_ids_to_tokens(number)!r}"
        problems.append(f"{part.first(where)}: {token} has the id {number}, the model {tokens:,} embeddings")
    for number, where in _beyond(texts, texts.token_type_ids, types):
        there = counted(types or 0, "embedding")
        problems.append(f"{part.first(where)}: the token type {number}, and the model has {there} of token types")
    return problems


def unknown_tokens(parts: Sequence[TextPart], tokenizer: Any) -> tuple[list[str], list[str]]:
    """Count the tokens that are unknown to a tokenizer.

    Args:
        parts: All texts.
        tokenizer: The tokenizer that made them.

    Returns:
        What is wrong where they are many, and what is to be said otherwise; a sentence each.
    """
    among = added_ids(tokenizer)
    if tokenizer.unk_token_id is None or tokenizer.unk_token_id in among:
        return [], []  # a tokenizer of bytes, to which nothing is unknown
    numbers = [part.texts.count(tokenizer.unk_token_id) for part in parts]
    words = [part.texts.lengths - part.texts.count(among) for part in parts]
    share = sum(map(np.sum, numbers)) / max(1, sum(map(np.sum, words)))
    said = f"{share:.1%} of the tokens are unknown to the tokenizer ({tokenizer.unk_token})"
    if share >= _MANY_UNKNOWN:
        return [f"{said}: it was not made for these texts, or its files are incomplete"], []
    notes = [f"{said}."] if share >= _SAID_UNKNOWN else []
    for part, unknown, length in zip(parts, numbers, words, strict=True):
        rows = np.flatnonzero((unknown == length) & (length > 0))
        if len(rows):
            notes.append(f"The tokenizer knows no token of {part.first(rows)}.")
    return [], notes


def added_ids(tokenizer: Any) -> NDArray[np.int64]:
    """Ids of special tokens that stand for no word: all but one that stands for unknown words alone."""
    names = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    unknown = names.pop("unk_token", None)
    kept = [token for token in tokenizer.all_special_tokens if token != unknown or token in names.values()]
    return np.array(sorted({tokenizer.convert_tokens_to_ids(token) for token in kept}), np.int64)


def _beyond(
    texts: EncodedTexts, ids: NDArray[np.int32] | None, rows: int | None
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Ids that have no row in a table of the model, each with the texts that have it."""
    if ids is None or rows is None:
        return
    places = np.flatnonzero((ids >= rows) | (ids < 0))
    of = np.searchsorted(texts.offsets, places, side="right") - 1
    for number in np.unique(ids[places]):
        yield int(number), np.unique(of[ids[places] == number])
