"""Tracked examples of a language model: the loss of each completion, and classes told as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special
from torch import nn

from contested.annotations import Annotations
from contested.errors import ConfigError, DataError
from contested.integrations.label_words import LabelWords
from contested.integrations.log_probs import log_probs
from contested.integrations.sequences import Sequences, Tokenizing, Tokens, as_tokens, is_conversation
from contested.integrations.text_rows import TextRows, fingerprint, follow, read_text_rows
from contested.integrations.tracked import Outputs, measured
from contested.models import base_model
from contested.training.objective import cross_entropy
from contested.wording import listed


class Completions:
    """N prompts with completions that are followed while a language model trains (``SFTTrainer`` or any other).

    Prompts and completions become tokens as TRL's ``SFTTrainer`` makes them; how training packs or pads its own
    batches does not matter. Of each example the loss of the completion is recorded in nats, as a mean over its tokens
    and as their sum; its number of tokens is a column of the example table. With ``labels`` a completion tells a
    class: the logits are then the log-probabilities of the classes' words, the loss is the cross-entropy of these
    against the gold label, and every measure of a classifier applies.

    Args:
        rows: A ``datasets.Dataset``, columns by name or a list of rows, with ids and one of: ``prompt`` and
            ``completion`` (texts or messages), ``messages`` (the last of which is the completion), ``text`` (all of
            it), or ``input_ids`` with ``labels`` (−100 where nothing is to be predicted) or ``completion_mask``. A
            column ``split`` says ``train`` or ``validation`` where some are not trained on.
        tokenizer: The tokenizer of training.
        annotations: Annotators' labels, joined by id; rows without are left out, with a warning.
        labels: The completion of each class by its name, in the order that the logits shall have. The gold label is
            the one of the row's completion; where rows have none, it is that of ``label_column``.
        id_column: The column of ids.
        label_column: The column of gold labels, as names or as indices in the order of ``labels``.
        text_columns: Columns to show in reports.
        covariates: Columns to keep as they are, of the rows or of the annotated examples, such as ``clusters=`` of
            :class:`~contested.TrajectoryCallback`.
        loss: Whether the loss of a completion without ``labels`` is the mean over its tokens or their sum; the other
            is recorded beside it.
        max_length: Longest sequence in tokens, as in training; longer ones lose their end, and with ``labels`` are
                left out.
        chat_template: The template of conversations; the tokenizer's own without it.

    Attributes:
        ids: Ids, (N,).
        gold: Class indices in the order of ``labels``, (N,), or None without them.
        label_counts: How many annotators chose each class, (N, K), or None.
        disagreement: The measure by which the annotations are cut into categories.
        label_names: The classes of ``label_counts``; empty without annotations.
        texts: Text columns by name, N texts each.
        covariates: ``prompt_tokens`` and ``completion_tokens``, those asked for, and ``split`` where the rows
            say it, (N,) each.
        counts: How many are followed, and how many were left out or cut.
        fingerprint: Of everything that decides what is recorded.

    Examples:
        >>> tracked = ct.Completions(rows, tokenizer, labels={"yes": " yes", "no": " no"})  # doctest: +SKIP
        >>> callback = ct.TrajectoryCallback(tracked, "runs/sft", every=100)  # doctest: +SKIP
        >>> SFTTrainer(model, args, train_dataset=train, callbacks=[callback]).train()  # doctest: +SKIP
    """

    def __init__(
        self,
        rows: Any,
        tokenizer: Any,
        *,
        annotations: Annotations | None = None,
        labels: Mapping[str, str] | None = None,
        id_column: str = "id",
        label_column: str = "label",
        text_columns: Sequence[str] = (),
        covariates: Sequence[str] = (),
        loss: Literal["mean", "sum"] = "mean",
        max_length: int | None = None,
        chat_template: str | None = None,
    ) -> None:
        if loss not in _OTHER:
            raise ConfigError(f"loss is {loss!r}; expected mean or sum.")
        given = read_text_rows(
            rows, id_column=id_column, text_columns=text_columns, covariates=covariates, annotations=annotations
        )
        tokenizing = Tokenizing(tokenizer, chat_template)
        told = None if labels is None else _Told(given, labels, label_column)
        tokens = _sequences(given, tokenizing) if told is None else told.sequences(tokenizing)
        longer = np.array([max_length is not None and any(len(one.ids) > max_length for one in row) for row in tokens])
        if told is None:
            tokens = [[one.truncated(max_length) for one in row] for row in tokens]
        empty = np.array([not all(one.scored.any() for one in row) for row in tokens])
        left_out = {"too long": longer & (told is not None), "without a completion": empty}
        followed = follow(given, left_out, annotations, None if told is None else told.names)
        self.ids, self.texts, self.disagreement = followed.ids, followed.texts, followed.disagreement
        self.label_counts, self.label_names = followed.label_counts, followed.label_names
        cut = int(longer[followed.rows].sum())
        self.counts: dict[str, int] = {**followed.counts, **({"truncated": cut} if cut else {})}
        self._loss = loss
        self._names = () if told is None else told.names
        self.gold = None if told is None else told.gold[followed.rows]
        self.covariates = dict(followed.covariates)
        self._hold([tokens[row] for row in followed.rows.tolist()])

    def names(self, model: nn.Module) -> tuple[str, ...]:
        """See :class:`~contested.integrations.Tracked`: the classes of ``labels``."""
        inner = base_model(model)
        head = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
        if head is None:
            raise ConfigError(
                f"Completions need a causal language model, and {type(inner).__name__} predicts no tokens. Give "
                "TrajectoryCallback the tokens and labels of a classifier themselves."
            )
        return self._names

    def outputs(self, model: nn.Module, rows: NDArray[np.int64], *, processing_class: Any, batch_size: int) -> Outputs:
        """See :class:`~contested.integrations.Tracked`."""
        if self._words is None or self.gold is None:
            sums = log_probs(model, self._sequences, rows, batch_size=batch_size).sums
            means = sums / self._sequences.n_scored[rows]
            losses, further = (-means, -sums) if self._loss == "mean" else (-sums, -means)
            return Outputs(losses, None, {f"completion_loss_{_OTHER[self._loss]}": further})
        gold = self.gold[rows]
        scores, sums = self._words.scores(model, rows, gold, batch_size=batch_size)
        logits = scores.astype(np.float32)
        extra = {
            "completion_loss_mean": -sums / self.covariates["completion_tokens"][rows],
            "completion_loss_sum": -sums,
            "label_words_probability": np.exp(special.logsumexp(scores, axis=1)),
        }
        return Outputs(cross_entropy(logits, gold), logits, extra)

    def _hold(self, tokens: Sequence[Sequence[Tokens]]) -> None:
        """Keep the tokens of the examples that are followed, N lists of one sequence, or of K."""
        self._words = None if self.gold is None else LabelWords(tokens, self._names, self.ids)
        self._sequences = Sequences.of([one for row in tokens for one in row])
        rows = np.arange(len(tokens))
        own = rows if self._words is None or self.gold is None else self._words.own(rows, self.gold)
        scored = self._sequences.n_scored[own]
        self.covariates |= {"prompt_tokens": self._sequences.lengths[own] - scored, "completion_tokens": scored}
        content = (self._sequences.input_ids, self._sequences.offsets, self._sequences.scored)
        facts = (self.ids, self.label_names, self._names, self._loss, *measured(self))
        self.fingerprint = fingerprint(facts, (*content, self.gold, self.label_counts))


_OTHER = {"mean": "sum", "sum": "mean"}


class _Told:
    """Rows whose completions tell classes.

    Args:
        given: N rows.
        labels: The completion of each class by its name.
        label_column: The column of gold labels.
    """

    def __init__(self, given: TextRows, labels: Mapping[str, str], label_column: str) -> None:
        self.names = tuple(str(name) for name in labels)
        self._words = tuple(labels.values())
        if len(self.names) < 2 or len(set(self._words)) < len(self._words):
            raise ConfigError(
                f"labels is {dict(labels)!r}; expected the completions of two classes or more, all different."
            )
        known = [name for name in ("completion", label_column) if name in given.columns]
        if "prompt" not in given.columns or not known:
            raise DataError(
                "Classes told as text need rows with a prompt, and with a completion or the column "
                f"{label_column}; these have {listed(given.columns)}."
            )
        self._prompts = [row["prompt"] for row in given.rows]
        self._given = given
        self.gold = self._gold(known, label_column)

    def sequences(self, tokenizing: Tokenizing) -> list[list[Tokens]]:
        """A sequence per class for each row."""
        done = []
        for prompt, row in zip(self._prompts, self._given.rows, strict=True):
            chat = is_conversation(prompt)
            told = [[{"role": "assistant", "content": word}] if chat else word for word in self._words]
            done.append(tokenizing.completions(prompt, told, row))
        return done

    def _gold(self, known: Sequence[str], label_column: str) -> NDArray[np.int64]:
        problems, found = [], []
        for name in known:
            values = [row[name] for row in self._given.rows]
            indices = [self._index(value, label=name == label_column) for value in values]
            wrong = [value for value, index in zip(values, indices, strict=True) if index is None]
            if wrong:
                expected = self.names if name == label_column else [repr(word) for word in self._words]
                problems.append(
                    f"{name}: {len(wrong)} of {len(values)} are none of {', '.join(expected)}, the first {wrong[0]!r}"
                )
            found.append([-1 if index is None else index for index in indices])
        if problems:
            raise DataError("The classes of the tracked examples are unknown:", problems)
        differ = [name for name, *both in zip(self._given.ids, *found, strict=True) if len(set(both)) > 1]
        if differ:
            raise DataError(
                f"The completions of {len(differ)} of {len(self._given.ids)} tracked examples do not tell their "
                f"{label_column}: {listed(differ[:10])}."
            )
        return np.array(found[0], np.int64)

    def _index(self, value: Any, *, label: bool) -> int | None:
        if label:
            value = value.item() if hasattr(value, "item") else value
            whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(self.names)
            return value if whole else self.names.index(value) if value in self.names else None
        text = value[-1]["content"] if is_conversation(value) else value
        return self._words.index(text) if text in self._words else None


def _sequences(given: TextRows, tokenizing: Tokenizing) -> list[list[Tokens]]:
    """One sequence for each row, whatever its form."""
    columns = set(given.columns)
    if {"prompt", "completion"} <= columns:
        return [tokenizing.completions(row["prompt"], [row["completion"]], row) for row in given.rows]
    if "messages" in columns:
        return [tokenizing.completions(row["messages"][:-1], [row["messages"][-1:]], row) for row in given.rows]
    if "text" in columns:
        return [[tokenizing.whole(row["text"], row)] for row in given.rows]
    if "input_ids" in columns:
        return [[_ready(row)] for row in given.rows]
    raise DataError(
        "The tracked examples need the columns prompt and completion, messages, text, or input_ids with labels or "
        f"completion_mask; they have {listed(given.columns)}."
    )


def _ready(row: Mapping[str, Any]) -> Tokens:
    """Tokens that were made already, and which of them are scored: by labels, else by all masks there are."""
    ids = np.asarray(row["input_ids"])
    if "labels" in row:
        return as_tokens(ids, np.asarray(row["labels"]) != -100)
    masks = [np.asarray(row[name]).astype(bool) for name in ("completion_mask", "assistant_masks") if name in row]
    return as_tokens(ids, np.logical_and.reduce(masks) if masks else None)
