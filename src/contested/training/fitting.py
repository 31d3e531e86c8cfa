"""Runs trained step by step, one or several at once, each to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from contested.errors import TrainingError
from contested.training.interruption import Interrupted, StopRequest

if TYPE_CHECKING:
    from contested.training.loop import TrainingLoop

_UNREAD = 20
"""Losses that wait on the device at most."""

Advance = Callable[[Sequence[int]], torch.Tensor]
"""Takes a step of S runs, given the steps each has done; gives their training losses, shape (S,), on the device."""


def fit_together(
    loops: Sequence[TrainingLoop],
    make: Callable[[list[TrainingLoop]], Advance],
    *,
    resume: Sequence[bool],
    on_failure: Callable[[int, TrainingError], None] | None = None,
) -> None:
    """Train runs step by step, each to its end.

    Losses are read only where something depends on them, or every few steps: reading one waits for the device.

    Args:
        loops: One per run.
        make: Makes what advances the runs that are still on their way; called again when one leaves.
        resume: Whether each resumes from its snapshot.
        on_failure: Told which run failed and why, while the others continue; without it the failure is raised.

    Raises:
        TrainingError: If a loss is not finite; what was recorded before stays.
        Interrupted: On a request to stop, with the state of every run saved.
    """
    together: list[int] = []
    # From the first snapshot on, which comes before the first step, a signal is a request.
    with StopRequest(loops[0].processes) as stop:
        steps = [loop.begin(resume=again) for loop, again in zip(loops, resume, strict=True)]
        left = [index for index, loop in enumerate(loops) if not loop.done(steps[index])]
        while left:
            active = [loops[index] for index in left]
            if left != together:
                together, advance = left, make(active)
            losses, seconds = _advanced(active, [steps[index] for index in left], advance, stop)
            stop.agree()
            interrupted, failed = None, []
            for index, loop, values in zip(left, active, losses, strict=True):
                try:
                    for value in values:
                        loop.record_loss(steps[index], value, seconds)
                        steps[index] += 1
                    loop.arrive(steps[index], stop)
                except Interrupted as reason:
                    interrupted = reason  # the others save their state too
                except TrainingError as reason:
                    if on_failure is None:
                        raise
                    on_failure(index, reason)
                    failed.append(index)
            if interrupted is not None:
                raise interrupted
            left = [index for index in left if index not in failed and not loops[index].done(steps[index])]


def _advanced(
    loops: Sequence[TrainingLoop], steps: Sequence[int], advance: Advance, stop: StopRequest
) -> tuple[list[list[float]], float]:
    """Take steps until something depends on them: each run's losses, and seconds per step of one run."""
    started = time.perf_counter()
    unread: list[torch.Tensor] = []
    alone = loops[0].processes.size == 1
    most = _UNREAD if alone and loops[0].device.type != "cpu" else 1
    while True:
        done = [step + len(unread) for step in steps]
        unread.append(advance(done))
        needed = any(loop.needs_weights(step + 1) for loop, step in zip(loops, done, strict=True))
        if needed or stop.requested or len(unread) == most:
            break
    losses: list[list[float]] = torch.stack(unread).T.tolist()
    return losses, (time.perf_counter() - started) / (len(unread) * len(loops))
