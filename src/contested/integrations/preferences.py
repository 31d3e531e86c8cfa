"""Tracked pairs of answers: what a reward model, or a model trained by DPO, makes of each pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from contested.annotations import Annotations
from contested.errors import ConfigError, DataError
from contested.integrations.log_probs import log_probs, reference_adapters
from contested.integrations.sequences import Sequences, Tokenizing, Tokens, as_tokens
from contested.integrations.text_rows import TextRows, fingerprint, follow, read_text_rows
from contested.integrations.tracked import Outputs, measured
from contested.models import base_model
from contested.tasks import EncodedTexts
from contested.training import tracking_pass
from contested.training.objective import cross_entropy
from contested.training.tracking import inference_mode
from contested.wording import listed

NAMES = ("chosen", "rejected")
_REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")


class Preferences:
    """N pairs of a chosen and a rejected answer that are followed while a reward model or a policy trains.

    The logits of a pair are its two rewards, so the probability that the chosen answer is preferred is the sigmoid of
    their margin, and the loss of the pair is −ln of it. Without ``beta`` the model is a reward model
    (``RewardTrainer``) and its scores are the rewards. With ``beta`` it is a language model (``DPOTrainer``) and a
    reward is β times the log-probability of the answer less the reference's. Annotators' votes on a pair are counts
    of two classes, chosen and rejected.

    Tokens are made as TRL's trainers make them. What a trainer adds to its loss (a margin, centred rewards, another
    ``loss_type``) is not in the loss of a pair.

    Args:
        rows: A ``datasets.Dataset``, columns by name or a list of rows, with ids and ``chosen`` and ``rejected``
            (texts or messages), with ``prompt`` before both where there is one; or ``chosen_ids`` and
            ``rejected_ids``, with ``prompt_ids`` for DPO. A column ``split`` says ``train`` or ``validation`` where
            some are not trained on.
        tokenizer: The tokenizer of training.
        annotations: Annotators' votes by id, of the classes ``chosen`` and ``rejected``.
        votes_column: A column with ``[for chosen, for rejected]`` of each pair, where annotations are not given.
        beta: DPO's β; None for a reward model.
        reference: DPO's reference model, scored at once, on the device where it is: ``ref_model``, or the model that
            is about to train, before it does. Without it the adapters of a PEFT model are switched off at each pass,
            as TRL does; columns ``ref_chosen_logps`` and ``ref_rejected_logps`` go before both.
        id_column: The column of ids.
        text_columns: Columns to show in reports.
        covariates: Columns to keep as they are, of the rows or of the annotated examples, such as ``clusters=`` of
            :class:`~contested.TrajectoryCallback`.
        max_length: Longest sequence in tokens, as in training: a reward model's longer pairs are left out, DPO's cut.
        batch_size: Sequences at work at once when the reference is scored.

    Attributes:
        ids: Ids, (N,).
        gold: 0 for each pair, the class ``chosen``, (N,).
        label_counts: Votes, (N, 2), or None.
        disagreement: The measure by which the annotations are cut into categories.
        label_names: ``chosen`` and ``rejected``; empty without votes.
        texts: Text columns by name, N texts each.
        covariates: ``chosen_tokens`` and ``rejected_tokens``, of the whole sequence for a reward model and of the
            answer for DPO, those asked for, and ``margin`` and ``split`` where the rows have them, (N,)
            each.
        counts: How many are followed, and how many were left out or cut.
        fingerprint: Of everything that decides what is recorded, but for the reference's weights.

    Examples:
        >>> tracked = ct.Preferences(rows, tokenizer, votes_column="votes")  # doctest: +SKIP
        >>> callback = ct.TrajectoryCallback(tracked, "runs/reward", every=100)  # doctest: +SKIP
        >>> RewardTrainer(model, args, train_dataset=train, callbacks=[callback]).train()  # doctest: +SKIP
    """

    def __init__(
        self,
        rows: Any,
        tokenizer: Any,
        *,
        annotations: Annotations | None = None,
        votes_column: str | None = None,
        beta: float | None = None,
        reference: nn.Module | None = None,
        id_column: str = "id",
        text_columns: Sequence[str] = (),
        covariates: Sequence[str] = (),
        max_length: int | None = None,
        batch_size: int = 16,
    ) -> None:
        _check_options(beta, reference, annotations, votes_column)
        given = read_text_rows(
            rows, id_column=id_column, text_columns=text_columns, covariates=covariates, annotations=annotations
        )
        votes = None if votes_column is None else _votes(given, votes_column)
        pairs = _pairs(given, Tokenizing(tokenizer), dpo=beta is not None)
        longer = np.array([max_length is not None and any(len(one.ids) > max_length for one in pair) for pair in pairs])
        if beta is not None:
            pairs = [[one.truncated(max_length) for one in pair] for pair in pairs]
        empty = np.array([not all(one.scored.any() for one in pair) for pair in pairs])
        left_out = {"too long": longer & (beta is None), "without an answer": empty}
        followed = follow(given, left_out, annotations, NAMES)
        self.ids, self.texts, self.disagreement = followed.ids, followed.texts, followed.disagreement
        self.label_counts = followed.label_counts if votes is None else votes[followed.rows]
        self.label_names = followed.label_names if votes is None else NAMES
        self.gold: NDArray[np.int64] | None = np.zeros(len(self.ids), np.int64)
        cut = int(longer[followed.rows].sum())
        self.counts: dict[str, int] = {**followed.counts, **({"truncated": cut} if cut else {})}
        self._beta = beta
        # Chosen and rejected in turn.
        self._sequences = Sequences.of([one for row in followed.rows.tolist() for one in pairs[row]])
        kept = [given.rows[row] for row in followed.rows.tolist()]
        self.covariates = {**followed.covariates, **self._covariates(kept)}
        content = (self._sequences.input_ids, self._sequences.offsets, self._sequences.scored)
        facts = (self.ids, self.label_names, beta, *measured(self))
        self.fingerprint = fingerprint(facts, (*content, self.label_counts))
        self._reference = self._scored(kept, reference, batch_size)

    def names(self, model: nn.Module) -> tuple[str, ...]:
        """See :class:`~contested.integrations.Tracked`: ``chosen`` and ``rejected``."""
        inner = base_model(model)
        head = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
        if self._beta is not None and head is None:
            raise ConfigError(
                f"DPO trains a causal language model, and {type(inner).__name__} predicts no tokens. Leave beta out "
                "for a reward model."
            )
        n_labels = getattr(getattr(inner, "config", None), "num_labels", None)
        if self._beta is None and (head is not None or n_labels != 1):
            raise ConfigError(
                f"A reward model gives one score per text, and {type(inner).__name__} does not "
                f"({'it predicts tokens' if head is not None else f'num_labels is {n_labels}'}). Give a classifier "
                "with num_labels=1, or beta where a policy trains by DPO."
            )
        if self._beta is not None and self._reference is None and not hasattr(model, "peft_config"):
            raise ConfigError(
                "DPO compares with a reference, and this model has no adapters to switch off. Give reference: your "
                "ref_model, or the model that you are about to train."
            )
        return NAMES

    def outputs(self, model: nn.Module, rows: NDArray[np.int64], *, processing_class: Any, batch_size: int) -> Outputs:
        """See :class:`~contested.integrations.Tracked`."""
        each = np.stack([2 * rows, 2 * rows + 1], axis=1).reshape(-1)
        extra: dict[str, NDArray[np.float64]] = {}
        if self._beta is None:
            pad_id = getattr(processing_class, "pad_token_id", None)
            scores = tracking_pass(model, self._encoded(each), pad_id=pad_id, batch_size=batch_size)
            rewards = scores.reshape(len(rows), 2).astype(np.float64)
        else:
            sums = log_probs(model, self._sequences, each, batch_size=batch_size).sums.reshape(-1, 2)
            rewards = self._beta * (sums - self._references(model, rows, each, batch_size))
            extra = {"chosen_log_probability": sums[:, 0], "rejected_log_probability": sums[:, 1]}
        logits = rewards.astype(np.float32)
        losses = cross_entropy(logits, np.zeros(len(rows), np.int64))
        return Outputs(losses, logits, {"reward_margin": rewards[:, 0] - rewards[:, 1], **extra})

    def _references(
        self, model: nn.Module, rows: NDArray[np.int64], each: NDArray[np.int64], batch_size: int
    ) -> NDArray[np.float64]:
        """The reference's log-probabilities of both answers, (n, 2)."""
        if self._reference is not None:
            return self._reference[rows]
        with reference_adapters(model) as reference:
            return log_probs(reference, self._sequences, each, batch_size=batch_size).sums.reshape(-1, 2)

    def _scored(
        self, rows: Sequence[Mapping[str, Any]], reference: nn.Module | None, batch_size: int
    ) -> NDArray[np.float64] | None:
        if self._beta is None:
            return None
        if rows and all(name in rows[0] for name in _REFERENCE):
            return np.array([[float(row[name]) for name in _REFERENCE] for row in rows], np.float64)
        if reference is None:
            return None
        with inference_mode(reference):
            each = np.arange(2 * len(rows))
            return log_probs(reference, self._sequences, each, batch_size=batch_size).sums.reshape(-1, 2)

    def _covariates(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        tokens = self._sequences.lengths if self._beta is None else self._sequences.n_scored
        found: dict[str, NDArray[Any]] = {"chosen_tokens": tokens[::2], "rejected_tokens": tokens[1::2]}
        if rows and "margin" in rows[0]:
            found["margin"] = np.array([float(row["margin"]) for row in rows], np.float64)
        return found

    def _encoded(self, each: NDArray[np.int64]) -> EncodedTexts:
        parts = [self._sequences[row].ids for row in each.tolist()]
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        return EncodedTexts(np.concatenate(parts), offsets, None, 0)


def _pairs(given: TextRows, tokenizing: Tokenizing, *, dpo: bool) -> list[list[Tokens]]:
    """The chosen and the rejected sequence of each row."""
    columns = set(given.columns)
    ready = {"prompt_ids", *_IDS} if dpo else set(_IDS)
    if ready <= columns:
        return [[_ready(row, name) for name in _IDS] for row in given.rows]
    needed = ("prompt", *NAMES) if dpo else NAMES
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DataError(
            f"The tracked pairs lack the columns {listed(missing)}; they have {listed(given.columns)}. "
            "Where chosen and rejected begin with the prompt, trl.extract_prompt splits it off."
        )
    if dpo:
        return [tokenizing.completions(row["prompt"], [row[name] for name in NAMES], row) for row in given.rows]
    return [[tokenizing.whole(row[name], row, prompt=row.get("prompt")) for name in NAMES] for row in given.rows]


_IDS = ("chosen_ids", "rejected_ids")


def _ready(row: Mapping[str, Any], name: str) -> Tokens:
    prompt = list(row.get("prompt_ids") or ())
    ids = [*prompt, *row[name]]
    return as_tokens(ids, np.arange(len(ids)) >= len(prompt))


def _votes(given: TextRows, column: str) -> NDArray[np.int64]:
    if column not in given.columns:
        raise DataError(f"The tracked pairs lack the column {column}; they have {listed(given.columns)}.")
    values = [np.asarray(row[column]) for row in given.rows]
    wrong = [
        name
        for name, value in zip(given.ids, values, strict=True)
        if value.shape != (2,) or value.dtype.kind not in "iu" or (value < 0).any() or value.sum() == 0
    ]
    if wrong:
        raise DataError(
            f"{column}: {len(wrong)} of {len(values)} are no two counts [for chosen, for rejected] with one vote at "
            f"least: {listed(wrong[:10])}."
        )
    return np.array(values, np.int64)


def _check_options(
    beta: float | None, reference: Any, annotations: Annotations | None, votes_column: str | None
) -> None:
    if beta is not None and not beta > 0:
        raise ConfigError(f"beta is {beta}; expected a number above 0, or None for a reward model.")
    if beta is None and reference is not None:
        raise ConfigError("A reward model has no reference; give beta beside reference where a policy trains by DPO.")
    if annotations is not None and votes_column is not None:
        raise ConfigError("Give annotations or votes_column; both say how many annotators chose each answer.")
