"""Classes that a language model tells as text: the log-probabilities of their words are the logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from contested.errors import DataError
from contested.integrations.log_probs import Alternatives, log_probs
from contested.integrations.sequences import Sequences, Tokens
from contested.wording import listed


class LabelWords:
    """The K completions that tell the classes of each of N examples.

    A word is the tokens of a completion up to where all classes' completions end alike: an end-of-sequence token or
    the end of a turn belongs to none of them, unless one word is then the beginning of another. Words are disjoint
    events, so the model's probabilities of them add up to at most 1.

    Args:
        tokens: A sequence per class of each example, N lists of K, which begin with the same prompt.
        names: The classes, K of them.
        ids: Ids of the examples, for messages.

    Raises:
        DataError: If two classes have the same tokens, or one the beginning of another's.
    """

    def __init__(self, tokens: Sequence[Sequence[Tokens]], names: tuple[str, ...], ids: Sequence[str]) -> None:
        words = [[one.ids[one.scored] for one in alike] for alike in tokens]
        lengths = [_word_lengths(alike) for alike in words]
        same = [name for name, found in zip(ids, lengths, strict=True) if found is None]
        if same:
            raise DataError(
                f"The words of {', '.join(names)} cannot be told apart in tokens after {len(same)} of {len(ids)} "
                f"prompts ({listed(same[:10])}): two are alike, as words that the tokenizer does not know are, or one "
                "begins as another and nothing ends it. Give other words as labels, or a tokenizer with an "
                "end-of-sequence token."
            )
        self.sequences = Sequences.of([one for alike in tokens for one in alike])
        self._n_classes = len(names)
        self._lengths = np.array(lengths, np.int64).reshape(len(tokens), len(names))
        self._alternatives = self._single(tokens, words)

    def own(self, rows: NDArray[np.int64], gold: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of ``sequences`` with the gold label's completion.

        Args:
            rows: Examples, (n,).
            gold: Their class indices, (n,).

        Returns:
            Their sequences, (n,).
        """
        return rows * self._n_classes + gold

    def scores(
        self, model: nn.Module, rows: NDArray[np.int64], gold: NDArray[np.int64], *, batch_size: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-probabilities of the classes' words, and of the gold label's whole completion.

        Where all words of all examples differ in their last token alone, one pass over the gold labels' completions
        gives both; else each class's completion has its own.

        Args:
            model: A causal language model.
            rows: Examples, (n,).
            gold: Their class indices, (n,).
            batch_size: Sequences at work at once.

        Returns:
            Logits (n, K) and sums (n,), in nats.
        """
        own = self.own(rows, gold)
        if self._alternatives is not None:
            found = log_probs(model, self.sequences, own, batch_size=batch_size, alternatives=self._alternatives)
            assert found.alternatives is not None, "alternatives were asked for"
            lengths = self._lengths[rows, 0]
            before = [values[: length - 1].sum() for values, length in zip(found.tokens, lengths, strict=True)]
            return found.alternatives + np.array(before)[:, None], found.sums
        classes = np.arange(self._n_classes)
        each = (rows[:, None] * self._n_classes + classes).reshape(-1)
        found = log_probs(model, self.sequences, each, batch_size=batch_size)
        lengths = self._lengths[rows].reshape(-1)
        words = np.array([values[:length].sum() for values, length in zip(found.tokens, lengths, strict=True)])
        shape = (len(rows), self._n_classes)
        return words.reshape(shape), found.sums.reshape(shape)[np.arange(len(rows)), gold]

    def _single(
        self, tokens: Sequence[Sequence[Tokens]], words: Sequence[Sequence[NDArray[np.int32]]]
    ) -> Alternatives | None:
        """The last tokens of the words, where all of an example's words are alike but for these."""
        lengths = self._lengths[:, 0]
        if (self._lengths != lengths[:, None]).any():
            return None
        before = [{tuple(word[: length - 1]) for word in alike} for alike, length in zip(words, lengths, strict=True)]
        after = [{tuple(word[length:]) for word in alike} for alike, length in zip(words, lengths, strict=True)]
        if any(len(found) > 1 for found in (*before, *after)):
            return None
        starts = np.array([np.flatnonzero(alike[0].scored)[0] for alike in tokens], np.int64)
        last = [[word[length - 1] for word in alike] for alike, length in zip(words, lengths, strict=True)]
        # One row per sequence, as a pass asks for them.
        return Alternatives(
            np.repeat(starts + lengths - 1, self._n_classes),
            np.repeat(np.array(last, np.int64), self._n_classes, axis=0),
        )


def _word_lengths(words: Sequence[NDArray[np.int32]]) -> list[int] | None:
    """How many tokens of each completion are its word; None where no cut keeps them apart."""
    shared = 0
    shortest = min(len(word) for word in words)
    while shared < shortest and len({word[len(word) - 1 - shared] for word in words}) == 1:
        shared += 1
    for end in range(shared, -1, -1):
        cut = [tuple(word[: len(word) - end].tolist()) for word in words]
        if all(not _begins(one, other) for i, one in enumerate(cut) for j, other in enumerate(cut) if i != j):
            return [len(word) for word in cut]
    return None


def _begins(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether a word is the beginning of another, or the same; an empty one is of all."""
    return other[: len(one)] == one
