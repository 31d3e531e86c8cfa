"""Prompts and completions as token sequences, made as TRL's trainers make them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Tokens(NamedTuple):
    """One sequence.

    Attributes:
        ids: Token ids, (L,).
        scored: Which of them are the model's to predict, (L,); never the first, which nothing precedes.
    """

    ids: NDArray[np.int32]
    scored: NDArray[np.bool_]

    def truncated(self, max_length: int | None) -> Tokens:
        """The first tokens, as TRL cuts a sequence that is longer than training takes."""
        return Tokens(self.ids[:max_length], self.scored[:max_length])


@dataclass(frozen=True, eq=False)
class Sequences:
    """M sequences, end to end.

    Attributes:
        input_ids: All tokens, (tokens,).
        scored: Which of them are the model's to predict, (tokens,).
        offsets: Sequence i is ``input_ids[offsets[i]:offsets[i + 1]]``; (M + 1,).
    """

    input_ids: NDArray[np.int32]
    scored: NDArray[np.bool_]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, sequences: Sequence[Tokens]) -> Sequences:
        """Put sequences end to end."""
        offsets = np.concatenate([[0], np.cumsum([len(one.ids) for one in sequences])]).astype(np.int64)
        ids = np.concatenate([np.zeros(0, np.int32), *(one.ids for one in sequences)])
        return cls(ids, np.concatenate([np.zeros(0, bool), *(one.scored for one in sequences)]), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Tokens:
        kept = slice(self.offsets[row], self.offsets[row + 1])
        return Tokens(self.input_ids[kept], self.scored[kept])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence, (M,)."""
        return np.diff(self.offsets)

    @property
    def n_scored(self) -> NDArray[np.int64]:
        """Tokens of each sequence that are the model's to predict, (M,)."""
        return np.diff(np.concatenate([[0], np.cumsum(self.scored)])[self.offsets])


def as_tokens(ids: Iterable[int], scored: Iterable[Any] | None = None) -> Tokens:
    """One sequence, of which nothing precedes the first token.

    Args:
        ids: Token ids.
        scored: Which of them are the model's to predict; all of them without it.

    Returns:
        The sequence.
    """
    tokens = np.asarray(list(ids), np.int32)
    kept = np.ones(len(tokens), bool) if scored is None else np.asarray(list(scored), bool)
    kept[:1] = False
    return Tokens(tokens, kept)


def is_conversation(value: Any) -> bool:
    """Whether a prompt or completion is a list of messages with roles, and not a text."""
    return isinstance(value, list | tuple) and len(value) > 0 and isinstance(value[0], Mapping) and "role" in value[0]


class Tokenizing:
    """Makes token sequences of prompts and completions as TRL 1.16's trainers do.

    Args:
        tokenizer: A transformers tokenizer.
        chat_template: The template of conversations; the tokenizer's own without it.
    """

    def __init__(self, tokenizer: Any, chat_template: str | None = None) -> None:
        self._tokenizer = tokenizer
        self._chat_template = chat_template

    def completions(self, prompt: Any, completions: Sequence[Any], row: Mapping[str, Any]) -> list[Tokens]:
        """A prompt followed by each of several completions, scored from where the first of them leaves the prompt.

        Prompt and completion are tokenised together, as in training, and a completion begins where its tokens leave
        those of the prompt alone; that of a conversation ends as the chat template says, any other with the
        end-of-sequence token.

        Args:
            prompt: A text or messages.
            completions: Texts or messages.
            row: May have ``tools`` and ``chat_template_kwargs``.

        Returns:
            A sequence per completion.
        """
        alone = self._ids(prompt, row, add_generation_prompt=True)
        whole = [self._ids(self.joined(prompt, completion), row) for completion in completions]
        start = min(_common(alone, ids) for ids in whole)
        return [as_tokens(ids, np.arange(len(ids)) >= start) for ids in whole]

    def whole(self, value: Any, row: Mapping[str, Any], *, prompt: Any = None) -> Tokens:
        """A text or a conversation, scored as a whole.

        Args:
            value: A text, which the end-of-sequence token ends, or messages.
            row: See :meth:`completions`.
            prompt: What stands before it.

        Returns:
            The sequence.
        """
        return as_tokens(self._ids(self.joined(value[:0] if prompt is None else prompt, value), row))

    def joined(self, prompt: Any, completion: Any) -> Any:
        """A prompt and its completion: one text, which the end-of-sequence token ends, or one conversation."""
        if is_conversation(prompt) or is_conversation(completion):
            return [*prompt, *completion]
        end = self._tokenizer.eos_token or ""
        return prompt + completion + ("" if completion.endswith(end) else end)

    def _ids(self, value: Any, row: Mapping[str, Any], **options: Any) -> list[int]:
        if not is_conversation(value):
            return [] if len(value) == 0 else list(self._tokenizer(text=value)["input_ids"])
        tools = row.get("tools")
        given = {
            "chat_template": self._chat_template,
            "tools": json.loads(tools) if isinstance(tools, str) else tools,
            **(row.get("chat_template_kwargs") or {}),
        }
        done = self._tokenizer.apply_chat_template(list(value), tokenize=True, return_dict=True, **options, **given)
        return list(done["input_ids"])


def _common(ids: Sequence[int], others: Sequence[int]) -> int:
    """How many tokens two sequences have in common from their start."""
    pairs = zip(ids, others, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(ids), len(others)))
