"""A language model's log-probabilities of the tokens that are its to predict, sequence by sequence."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from contested.integrations.sequences import Sequences
from contested.models import base_model


class Alternatives(NamedTuple):
    """Tokens that might stand at one position of each sequence.

    Attributes:
        positions: The position in each sequence, (M,).
        tokens: Their ids, (M, K).
    """

    positions: NDArray[np.int64]
    tokens: NDArray[np.int64]


class LogProbs(NamedTuple):
    """What a model gives n sequences, in nats.

    Attributes:
        tokens: Log-probability of each scored token of a sequence after those before it, n arrays.
        alternatives: Log-probability of each alternative, (n, K), or None where none were asked for.
    """

    tokens: list[NDArray[np.float64]]
    alternatives: NDArray[np.float64] | None

    @property
    def sums(self) -> NDArray[np.float64]:
        """Log-probability of each sequence's scored tokens together, (n,)."""
        return np.array([values.sum() for values in self.tokens], np.float64)


def log_probs(
    model: nn.Module,
    sequences: Sequences,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    alternatives: Alternatives | None = None,
) -> LogProbs:
    """Score sequences with a causal language model as it stands.

    Batches are sorted by length and padded on the right, which no earlier token sees. A model that TRL prepared
    computes log-probabilities without its logits on a GPU (``fused_lm_head``, TRL 1.16); any other gives the logits
    of no more positions than are scored, where its forward knows ``logits_to_keep``. The model is called once per
    batch, whatever the lengths.

    Args:
        model: A causal language model, adapted by PEFT or not.
        sequences: M sequences.
        rows: Which of them, (n,).
        batch_size: Sequences at work at once.
        alternatives: Tokens that might stand at one scored position of each; these need the logits.

    Returns:
        Log-probabilities in the order of ``rows``.
    """
    order = np.argsort(sequences.lengths[rows], kind="stable")[::-1]
    tokens: list[NDArray[np.float64]] = [np.zeros(0)] * len(rows)
    others = None if alternatives is None else np.empty((len(rows), alternatives.tokens.shape[1]))
    fused = alternatives is None and has_fused_head(model) and _fused_pays(next(model.parameters()).device)
    for start in range(0, len(rows), batch_size):
        places = order[start : start + batch_size]
        batch = _Batch(sequences, rows[places], next(model.parameters()).device)
        if fused:
            found = batch.fused(model)
        else:
            found, chosen = batch.plain(model, alternatives)
            if others is not None:
                others[places] = chosen
        for place, values in zip(places.tolist(), found, strict=True):
            tokens[place] = values
    return LogProbs(tokens, others)


def has_fused_head(model: nn.Module) -> bool:
    """Whether TRL gave a model a forward that computes log-probabilities without logits."""
    inner = base_model(model)
    # Accelerate puts a forward of its own over it under mixed precision, and keeps the one it found.
    forward = getattr(inner, "_original_forward", None) or inner.forward
    return "fused_lm_head" in (getattr(getattr(forward, "__func__", forward), "__kwdefaults__", None) or {})


@contextlib.contextmanager
def reference_adapters(model: nn.Module) -> Iterator[nn.Module]:
    """The model that TRL compares an adapted one with: its adapter called ``ref`` where it has one, else none.

    Flags are set and put back; PEFT's own switches would make weights trainable that were not.

    Args:
        model: A model adapted by PEFT.

    Yields:
        The module to call meanwhile.
    """
    configs: Any = getattr(model, "peft_config", {})
    named = "ref" in configs
    flag, value = ("_active_adapter", ["ref"]) if named else ("_disable_adapters", True)
    parts = [(part, getattr(part, flag)) for part in model.modules() if hasattr(part, flag)]
    prompts = any(config.is_prompt_learning for config in configs.values())
    try:
        for part, _ in parts:
            setattr(part, flag, value)
        yield base_model(model) if prompts and not named else model
    finally:
        for part, before in parts:
            setattr(part, flag, before)


class _Batch:
    """Some sequences as a model's inputs, padded on the right; B of them, the longest with L tokens."""

    def __init__(self, sequences: Sequences, rows: NDArray[np.int64], device: torch.device) -> None:
        parts = [sequences[row] for row in rows.tolist()]
        longest = max(len(part.ids) for part in parts)
        ids, mask, scored = (np.zeros((len(parts), longest), kind) for kind in (np.int64, np.int64, bool))
        for index, part in enumerate(parts):
            ids[index, : len(part.ids)], mask[index, : len(part.ids)] = part.ids, 1
            scored[index, : len(part.ids)] = part.scored
        self._rows, self._scored, self._ids = rows, scored, torch.from_numpy(ids).to(device)
        self._inputs = {"input_ids": self._ids, "attention_mask": torch.from_numpy(mask).to(device)}

    def fused(self, model: nn.Module) -> list[NDArray[np.float64]]:
        """Log-probabilities of the scored tokens, by TRL's head."""
        scored = torch.from_numpy(self._scored).to(self._ids.device)
        outputs = model(**self._inputs, labels=self._ids.masked_fill(~scored, -100), fused_lm_head=True)
        # What prompt learning puts before a text comes first.
        values = outputs.log_probs[:, outputs.log_probs.shape[1] - self._ids.shape[1] + 1 :]
        found = values.double().cpu().numpy()
        return [row[kept[1:]] for row, kept in zip(found, self._scored, strict=True)]

    def plain(
        self, model: nn.Module, alternatives: Alternatives | None
    ) -> tuple[list[NDArray[np.float64]], NDArray[np.float64] | None]:
        """Log-probabilities of the scored tokens, and of alternatives, from the logits."""
        first = int(self._scored.any(axis=0).argmax())
        # The logits of a token are those of the position before it.
        n_kept = self._ids.shape[1] - first + 1
        keep = {"logits_to_keep": n_kept} if _takes(model, "logits_to_keep") else {}
        logits = model(**self._inputs, use_cache=False, **keep).logits[:, -n_kept:]
        found, chosen = [], []
        for index, (row, kept) in enumerate(zip(self._rows.tolist(), self._scored, strict=True)):
            positions = np.flatnonzero(kept)
            values = _log_softmax(logits[index], positions - first)
            found.append(_picked(values, self._ids[index, positions]))
            if alternatives is not None:
                (where,) = np.flatnonzero(positions == alternatives.positions[row])
                others = torch.from_numpy(alternatives.tokens[row]).to(values.device)
                chosen.append(values[int(where), others].double().cpu().numpy())
        return found, np.array(chosen) if alternatives is not None else None


def _log_softmax(logits: Tensor, positions: NDArray[np.int64]) -> Tensor:
    """Of one sequence at some positions, (len(positions), vocabulary); a whole batch in float32 would be gigabytes."""
    return logits[torch.from_numpy(positions).to(logits.device)].float().log_softmax(-1)


def _picked(values: Tensor, tokens: Tensor) -> NDArray[np.float64]:
    picked = values.gather(1, tokens.to(values.device)[:, None])[:, 0]
    return np.asarray(picked.double().cpu().numpy(), np.float64)


def _fused_pays(device: torch.device) -> bool:
    """On a CPU TRL's head scores prompts and padding too: three times the work of the logits that are needed."""
    return device.type != "cpu"


def _takes(model: nn.Module, name: str) -> bool:
    return name in inspect.signature(base_model(model).forward).parameters
