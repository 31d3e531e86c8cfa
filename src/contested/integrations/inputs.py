"""What a model reads of tracked examples: tokens, further columns that its forward takes, or a user's own batches."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from contested.errors import ConfigError, DataError
from contested.models import base_model
from contested.tasks import EncodedTexts
from contested.training import tracking_pass
from contested.wording import listed

TOKENS = ("input_ids", "attention_mask", "token_type_ids")
"""Inputs that every pass knows, packed ones too."""
LABELS = ("labels", "label")
"""Columns of the gold label, in order of preference."""

Collator = Callable[[list[dict[str, Any]]], Mapping[str, Any]]
"""What makes a batch of rows, as a Trainer's ``data_collator`` does."""


# eq=False: comparing arrays field by field has no single truth value.
@dataclass(frozen=True, eq=False)
class Inputs:
    """What a model reads of N examples.

    Attributes:
        encoded: Their tokens without padding, or None where a collator alone knows what the model reads.
        further: Names of columns beside tokens and labels that a forward may take.
        source: Gives a row as the user gave it, by its number.
        rows: Which row of the source each example is, shape (N,).
        collator: Makes batches of rows, or None.
    """

    encoded: EncodedTexts | None
    further: tuple[str, ...]
    source: Callable[[int], Mapping[str, Any]]
    rows: NDArray[np.int64]
    collator: Collator | None

    def selected(self, rows: NDArray[np.int64]) -> Inputs:
        """The same of some of the examples alone."""
        encoded = None if self.encoded is None else selected(self.encoded, rows)
        return dataclasses.replace(self, encoded=encoded, rows=self.rows[rows])

    def logits(
        self, model: nn.Module, rows: NDArray[np.int64], *, pad_id: int | None, batch_size: int
    ) -> NDArray[np.float32]:
        """Answer examples with a model as it stands.

        Args:
            model: The model.
            rows: Which examples, shape (n,).
            pad_id: Pads tokens where the model does not say what does.
            batch_size: Examples at work at once.

        Returns:
            Logits, shape (n, K).
        """
        taken = accepted(model)
        further = [name for name in self.further if name in taken]
        if self.collator is None and self.encoded is not None and not further:
            return tracking_pass(model, selected(self.encoded, rows), pad_id=pad_id, batch_size=batch_size)
        known = getattr(getattr(model, "config", None), "pad_token_id", None)
        collate = self.collator or functools.partial(padded, pad_id=(known if known is not None else pad_id) or 0)
        names = [*TOKENS, *further] if self.collator is None else [*taken, *LABELS]
        lengths = np.zeros(len(rows)) if self.encoded is None else self.encoded.lengths[rows]
        by_length = np.argsort(-lengths, kind="stable")
        found = own_logits(
            model, lambda part: self._given(part, names), collate, order=rows[by_length], batch_size=batch_size
        )
        restored = np.empty_like(found)
        restored[by_length] = found
        return restored

    def _given(self, part: NDArray[np.int64], names: Sequence[str]) -> list[dict[str, Any]]:
        """Rows with the columns that a Trainer leaves them; all columns where it would leave nothing to read."""
        given = [self.source(int(row)) for row in self.rows[part]]
        left = [name for name in given[0] if name in names]
        return [{name: row[name] for name in (left if set(left) - set(LABELS) else row)} for row in given]


def accepted(model: nn.Module) -> frozenset[str]:
    """Names of what a model's own forward takes: of the classifier inside an adapter, as the Trainer asks."""
    return frozenset(inspect.signature(base_model(model).forward).parameters)


def own_logits(
    model: nn.Module,
    rows: Callable[[NDArray[np.int64]], list[dict[str, Any]]],
    collate: Collator,
    *,
    order: NDArray[np.int64],
    batch_size: int,
) -> NDArray[np.float32]:
    """Logits of a model's own forward on collated batches.

    Args:
        model: The model, whose forward returns an object or a dictionary with ``logits`` (B, K).
        rows: Gives rows by their numbers.
        collate: Makes a batch of them; what the forward does not take is left out of it, and so are labels.
        order: Row numbers in the order in which they are batched, shape (n,).
        batch_size: Rows per batch.

    Returns:
        Shape (n, K), in the order of ``order``.

    Raises:
        ConfigError: If the forward gives something else.
    """
    taken = accepted(model)
    everything = any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD
        for parameter in inspect.signature(base_model(model).forward).parameters.values()
    )
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    found = []
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        batch = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in collate(rows(part)).items()
            if (everything or name in taken) and name not in LABELS
        }
        given = model(**batch)
        logits = given.get("logits") if isinstance(given, Mapping) else getattr(given, "logits", None)
        if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(part):
            shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(given).__name__
            raise ConfigError(
                f"The model's forward gives {shape} for {len(part)} tracked examples; expected logits of shape "
                f"({len(part)}, K), one row each. Follow a model of another kind through your own Tracked."
            )
        found.append(logits.float().cpu().numpy())
    return np.concatenate(found)


def padded(rows: Sequence[Mapping[str, Any]], *, pad_id: int) -> dict[str, torch.Tensor]:
    """Collate rows: what is as long as the tokens is padded on the right, all else is stacked.

    Args:
        rows: Rows with ``input_ids`` and whatever else the model takes; where an ``attention_mask`` leaves out tokens,
            what is as long loses the same places.
        pad_id: Pads ``input_ids``; all other columns are padded with 0.

    Returns:
        Tensors of shape (B, …) by name, with ``attention_mask``.

    Raises:
        DataError: If a column's values differ in shape.
    """
    kept = [np.asarray(row.get("attention_mask", np.ones(len(row["input_ids"])))).astype(bool) for row in rows]
    longest = max(int(mask.sum()) for mask in kept)
    batch, problems = {}, []
    for name in dict.fromkeys([*rows[0], "attention_mask"]):
        values = [np.asarray(row.get(name, mask)) for row, mask in zip(rows, kept, strict=True)]
        if all(value.shape[:1] == mask.shape for value, mask in zip(values, kept, strict=True)):
            filler = pad_id if name == "input_ids" else 0
            values = [_to_length(value[mask], longest, filler) for value, mask in zip(values, kept, strict=True)]
        if len({value.shape for value in values}) > 1 or values[0].dtype.kind not in "biuf":
            problems.append(f"{name}: {values[0].dtype} of shape {values[0].shape} in the first row")
            continue
        stacked = np.stack(values)
        batch[name] = torch.from_numpy(stacked.astype(np.float32 if stacked.dtype.kind == "f" else np.int64))
    if problems:
        raise DataError(
            "The model takes these columns, but they have neither one shape nor a value per token. Give a collator:",
            problems,
        )
    return batch


def _to_length(values: NDArray[Any], length: int, filler: int) -> NDArray[Any]:
    widths = [(0, length - len(values)), *[(0, 0)] * (values.ndim - 1)]
    return np.pad(values, widths, constant_values=filler)


def encoded_columns(columns: Mapping[str, list[Any]], ids: list[str], problems: list[str]) -> EncodedTexts:
    """Read token columns; what does not fit is added to the problems."""
    tokens = [np.asarray(row, np.int32) for row in columns["input_ids"]]
    kept = [np.ones(len(row), bool) for row in tokens]
    if "attention_mask" in columns:
        kept = [np.asarray(row).astype(bool) for row in columns["attention_mask"]]
    segments = None
    if "token_type_ids" in columns:
        segments = [np.asarray(row, np.int32) for row in columns["token_type_ids"]]
    wrong = [
        name
        for name, *parts in zip(ids, tokens, kept, segments if segments is not None else tokens, strict=False)
        if len({part.shape for part in parts}) > 1 or not _in_one_piece(parts[1])
    ]
    if wrong or len(kept) != len(tokens):
        problems.append(
            "input_ids, attention_mask and token_type_ids differ in length, or the mask leaves no token or has a gap: "
            f"{listed(wrong)}"
        )
        return EncodedTexts(np.zeros(0, np.int32), np.zeros(len(tokens) + 1, np.int64), None, 0)
    tokens = [row[mask] for row, mask in zip(tokens, kept, strict=True)]
    flat = None
    if segments is not None and tokens:
        flat = np.concatenate([row[mask] for row, mask in zip(segments, kept, strict=True)])
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in tokens])]).astype(np.int64)
    return EncodedTexts(np.concatenate([np.zeros(0, np.int32), *tokens]), offsets, flat, 0)


def _in_one_piece(mask: NDArray[np.bool_]) -> bool:
    positions = np.flatnonzero(mask)
    return len(positions) > 0 and bool(positions[-1] - positions[0] + 1 == len(positions))


def selected(encoded: EncodedTexts, rows: NDArray[np.int64]) -> EncodedTexts:
    """The tokens of some rows alone, in their order."""
    if np.array_equal(rows, np.arange(len(encoded))):
        return encoded
    positions = np.concatenate([np.arange(encoded.offsets[row], encoded.offsets[row + 1]) for row in rows])
    offsets = np.concatenate([[0], np.cumsum(encoded.lengths[rows])]).astype(np.int64)
    segments = None if encoded.token_type_ids is None else encoded.token_type_ids[positions]
    return EncodedTexts(encoded.input_ids[positions], offsets, segments, 0)
