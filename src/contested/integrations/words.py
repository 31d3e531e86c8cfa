"""Whether a model that somebody else trains gets real words of the tracked examples."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from contested import models, tasks
from contested.errors import DataError
from contested.integrations.classification import TrackedExamples
from contested.integrations.tracked import Tracked

_CUT_AT_LEAST = 5
_A_LITTLE = 4
"""Of texts that are not cut, fewer have the greatest length than any of these many shorter ones together."""


def check_words(tracked: Tracked, model: nn.Module, tokenizer: Any) -> tuple[str, ...]:
    """Refuse tracked examples that a model cannot read as they are; a user's own processing made their tokens.

    Args:
        tracked: What is followed; only of classifiers' examples without a collator are the tokens what the model reads.
        model: The model, inside an adapter or not.
        tokenizer: The Trainer's ``processing_class``; without a tokenizer only ids can be judged.

    Returns:
        What is to be said of them, a sentence each.

    Raises:
        DataError: With every example that has an id beyond the model's embeddings or no token of its text, by its id;
            or if many tokens are unknown.
    """
    encoded = tracked.inputs.encoded if isinstance(tracked, TrackedExamples) and not tracked.inputs.collator else None
    if encoded is None:
        return ()
    known = tokenizer if hasattr(tokenizer, "convert_ids_to_tokens") else None
    part = tasks.TextPart("tracked example", tracked.ids, encoded)
    rows = models.embeddings_of(model)
    problems = tasks.beyond_embeddings(part, known, tokens=rows.tokens, types=rows.types)
    notes: list[str] = []
    if known is not None:
        empty = np.flatnonzero(encoded.count(tasks.added_ids(known)) == encoded.lengths)
        if len(empty):
            problems.append(f"{part.first(empty)}: nothing but special tokens")
        unknown, notes = tasks.unknown_tokens([part], known)
        problems = unknown + problems
    if problems:
        raise DataError(
            "The model cannot read the tracked examples as they are; make their tokens with the tokenizer that belongs "
            "to it, or leave these examples out:",
            problems,
        )
    return (*notes, *_cut(part))


def _cut(part: tasks.TextPart) -> list[str]:
    """Say that texts seem to be cut, where many end at a round number of tokens and few a little before it."""
    lengths = part.texts.lengths
    longest = int(lengths.max(initial=0))
    there = int((lengths == longest).sum())
    shorter = int(((lengths < longest) & (lengths >= longest - _A_LITTLE)).sum())
    is_round = longest % 8 == 0 or longest % 10 == 0
    if not is_round or there < max(_CUT_AT_LEAST, shorter) or len(np.unique(lengths)) < _CUT_AT_LEAST:
        return []
    return [
        f"{there:,} of {len(lengths):,} tracked examples have exactly {longest} tokens, the most that any has: they "
        "seem to be cut there, and what is recorded is of what is left of them."
    ]
