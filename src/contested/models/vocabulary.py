"""Whether a tokenizer and a model belong together, as far as their sizes tell."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from contested.models.methods import base_model

_FEWEST, _MOST = 0.7, 1.1
"""Share of a model's embeddings that a tokenizer may know: BERT's (30,522) is no tokenizer of RoBERTa (50,265)."""
_USUAL = 0.04
"""Up to this share the two differ where embeddings are filled up to a round number (Phi 1.8 %, DeepSeek 2.3 %)."""
READS_LAST_END = frozenset({"bart", "bigbird_pegasus", "mbart", "mt5", "mvp", "plbart", "t5", "umt5"})
"""``model_type`` of those whose head reads at the last of an example's end tokens, and wants as many in each."""
_WORD_START = "▁"  # SentencePiece's mark, which a tokenizer without any file has all the same


class Embeddings(NamedTuple):
    """How many ids a model can look up.

    Attributes:
        tokens: Number of token embeddings; None where the model has no table of tokens (CANINE hashes characters).
        types: Number of token-type embeddings; None where the model has none.
    """

    tokens: int | None
    types: int | None


def embeddings_of(module: nn.Module) -> Embeddings:
    """Count the rows of a model's embedding tables, also inside an adapter and without loaded weights."""
    model = base_model(module)
    return Embeddings(_tokens(model), _types(model))


def takes_token_types(module: nn.Module) -> bool:
    """Whether a model's forward has a place for token types; a tokenizer may give them all the same."""
    return "token_type_ids" in inspect.signature(base_model(module).forward).parameters


def no_words(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer knows nothing but special tokens, as transformers makes one of a folder without its files."""
    if not tokenizer.vocab_files_names:
        return False  # bytes or characters, which need no file
    special = {*map(str, tokenizer.all_special_tokens), *tokenizer.get_added_vocab(), _WORD_START}
    return special.issuperset(tokenizer.get_vocab())


def vocabulary_problems(tokenizer: PreTrainedTokenizerBase, skeleton: PreTrainedModel) -> list[str]:
    """Find ids that a model cannot look up before any text is seen.

    Args:
        tokenizer: With a pad token.
        skeleton: The model, with or without weights.

    Returns:
        One sentence per problem.
    """
    rows, known = embeddings_of(skeleton).tokens, _known(tokenizer)
    if rows is None:
        return []
    problems = []
    if not _FEWEST * rows <= known <= _MOST * rows:
        problems.append(
            f"the tokenizer knows {known:,} tokens and the model has {rows:,} embeddings: they were not made for each "
            "other; save the tokenizer that belongs to this checkpoint into its folder"
        )
    elif tokenizer.pad_token_id >= rows:
        problems.append(
            f"the tokenizer's pad token {tokenizer.pad_token!r} has the id {tokenizer.pad_token_id}, but the model "
            f"has {rows} embeddings; save the tokenizer that belongs to this checkpoint"
        )
    return problems


def vocabulary_notes(tokenizer: PreTrainedTokenizerBase, module: nn.Module) -> list[str]:
    """Say where tokenizer and model may not belong together although nothing keeps them from running."""
    rows, known = embeddings_of(module).tokens, _known(tokenizer)
    if rows is None or abs(known - rows) <= _USUAL * rows:
        return []
    return [
        f"The tokenizer knows {known:,} tokens and the model has {rows:,} embeddings, more apart than is usual: check "
        "that they belong together."
    ]


def _known(tokenizer: PreTrainedTokenizerBase) -> int:
    return max(tokenizer.get_vocab().values(), default=-1) + 1 if tokenizer.vocab_files_names else len(tokenizer)


def _tokens(model: Any) -> int | None:
    try:
        table = model.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None
    table = getattr(table, "base_layer", table)  # of an adapter
    weight = getattr(table, "weight", None)
    return len(weight) if isinstance(table, nn.Embedding) and weight is not None else None


def _types(model: Any) -> int | None:
    tables = (part for name, part in model.named_modules() if name.rsplit(".", 1)[-1] == "token_type_embeddings")
    table = next((part for part in tables if isinstance(getattr(part, "base_layer", part), nn.Embedding)), None)
    return None if table is None else len(table.weight)
