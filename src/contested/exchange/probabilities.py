"""Recorded probabilities as logits: their logarithms, which have the same softmax."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contested.errors import ConfigError, DataError
from contested.exchange.collect import first
from contested.exchange.records import Recording

_SUM_TOLERANCE = 1e-2
"""How far the sum of a row may lie from 1: probabilities written with two decimals still pass."""


def as_logits(
    recording: Recording, source: str, floor: float | None = None
) -> tuple[NDArray[np.float32] | None, list[str]]:
    """Give a recording's logits, or the logarithms of its probabilities.

    A row that does not sum to exactly 1 is put right by the softmax that is taken of logits everywhere.

    Args:
        recording: What was read; its probabilities are overwritten, for there may be gigabytes of them.
        source: What was read, for messages.
        floor: What a probability of 0 counts as; None refuses zeros.

    Returns:
        Logits of shape (T, N, K), or None; and what was changed, a sentence each.

    Raises:
        ConfigError: If ``floor`` is no such number, or given without probabilities.
        DataError: If the probabilities are none, or 0 without ``floor``.
    """
    if floor is not None and not 0 < floor < 1:
        raise ConfigError(f"floor is {floor}; expected a number between 0 and 1, such as 1e-6.")
    found = recording.probabilities
    if found is None:
        if floor is not None:
            raise ConfigError(f"floor {floor:g} is for probabilities, and {source} has none. Leave it out.")
        return recording.logits, []
    if problems := _problems(recording, found):
        raise DataError(f"{source} holds no probabilities where it should:", problems)
    n_zeros = sum(int((checkpoint == 0).sum()) for checkpoint in found)
    if n_zeros and floor is None:
        raise DataError(
            f"{source}: {n_zeros:,} of {found.size:,} probabilities are 0, and the loss of a label with such a one is "
            "infinite. Record logits; or where they are rounded say with floor what a 0 counts as, such as 1e-6."
        )
    found.setflags(write=True)
    for checkpoint in found:
        np.log(checkpoint if floor is None else np.maximum(checkpoint, np.float32(floor)), out=checkpoint)
    found.setflags(write=False)
    if floor is None:
        return found, []
    highest = -np.log(floor)
    return found, [
        f"{n_zeros:,} of {found.size:,} probabilities are 0 and count as {floor:g} (a loss of {highest:.3g})."
    ]


def _problems(recording: Recording, found: NDArray[np.float32]) -> list[str]:
    told = []
    for index, checkpoint in enumerate(found):
        sums = checkpoint.sum(axis=1, dtype=np.float64)
        wrong = ~((checkpoint >= 0).all(axis=1) & (np.abs(sums - 1) <= _SUM_TOLERANCE))
        if wrong.any():
            at = "" if recording.steps is None else f" at {recording.step_unit} {recording.steps[index]}"
            row = int(wrong.argmax())
            told.append(
                f"{int(wrong.sum()):,} of {len(wrong):,} rows{at} are no numbers from 0 that sum to 1: "
                f"{first(recording.ids[row] for row in np.flatnonzero(wrong).tolist())}; the first is "
                f"{', '.join(f'{value:g}' for value in checkpoint[row].tolist())}"
            )
    return told
