"""Several LoRA runs over one backbone trained together, each in a folder of its own as if it trained alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from contested import training
from contested.config import RunConfig
from contested.errors import ContestedError, RunError, TrainingError
from contested.runs.attempt import Attempt, Progress, RunResult, opened
from contested.runs.prepare import Shared, load_data
from contested.training.stacked import share_frozen


class CannotTrainTogether(RunError):  # noqa: N818 - no failure of any run: each of them can train alone
    """Runs were to share one backbone and cannot."""


def train_together(
    runs: Sequence[tuple[RunConfig, Path]],
    *,
    on_end: Callable[[int, RunResult | ContestedError], None],
    on_progress: Callable[[int, Progress], None] | None = None,
    shared: Shared | None = None,
) -> None:
    """Train or resume several runs at once, each in its folder and under its lock.

    A run that is complete, in use elsewhere, or fails leaves the others to go on.

    Args:
        runs: Configuration and folder of each. More than one: of one backbone, with the same adapted modules,
            precision and device, as :func:`contested.training.fit_stacked` wants them.
        on_end: Called once for each run that ended: its place in ``runs``, and where it is or what stopped it, a
            request to stop included.
        on_progress: Called after each step of a run with its place in ``runs``.
        shared: What the runs of this process have in common; a run is the same without.

    Raises:
        CannotTrainTogether: If they do not fit together.
        KeyboardInterrupt: On a request to stop before or after the steps. Of this and of any other error no run in
            particular is the cause: those that have not ended are ``cancelled`` and go on from their snapshots.
    """
    attempts: dict[int, Attempt] = {}
    with contextlib.ExitStack() as folders:
        try:
            for index, (config, out) in enumerate(runs):
                told = None if on_progress is None else partial(on_progress, index)
                try:
                    context = opened(config, load_data(config, shared), out=out, on_progress=told, shared=shared)
                    found: Attempt | RunResult | ContestedError = folders.enter_context(context)
                except ContestedError as error:
                    found = error
                if isinstance(found, Attempt):
                    attempts[index] = found
                    _share(list(attempts.values()))
                else:
                    on_end(index, found)
            _fit(attempts, on_end)
        except BaseException:
            for attempt in attempts.values():
                attempt.cancel()
            raise


def _share(attempts: Sequence[Attempt]) -> None:
    """Keep the frozen weights of the latest of several runs once, before the next one loads its own."""
    modules = [attempts[0].trainer.module, attempts[-1].trainer.module]
    if len(attempts) == 1:
        return
    problem = training.stack_problem(modules[0])
    if problem:
        raise CannotTrainTogether(f"{attempts[0].config.model.name}: {problem}.")
    try:
        share_frozen(modules)
    except ValueError as error:
        raise CannotTrainTogether(str(error)) from error


def _fit(attempts: dict[int, Attempt], on_end: Callable[[int, RunResult | ContestedError], None]) -> None:
    """Take all steps, and take each run out of ``attempts`` as it ends."""
    if len(attempts) == 1:
        index, alone = attempts.popitem()
        on_end(index, _alone(alone))
        return
    places = list(attempts)

    def fail(position: int, error: TrainingError) -> None:
        on_end(places[position], attempts.pop(places[position]).close(error))

    stopped = _fit_stacked(list(attempts.values()), fail) if attempts else None
    for index in list(attempts):
        on_end(index, attempts.pop(index).close(stopped))


def _alone(attempt: Attempt) -> RunResult | ContestedError:
    try:
        return attempt.run()
    except ContestedError as error:
        return error


def _fit_stacked(
    attempts: Sequence[Attempt], fail: Callable[[int, TrainingError], None]
) -> training.Interrupted | None:
    """Train to the end; the request to stop where there was one."""
    try:
        training.fit_stacked(
            [attempt.trainer for attempt in attempts],
            resume=[attempt.resume for attempt in attempts],
            on_failure=fail,
            device=attempts[0].trainer.device,
            precision=attempts[0].config.training.precision,
        )
    except training.Interrupted as stopped:
        return stopped
    return None
