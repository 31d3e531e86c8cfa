"""Several LoRA runs over one backbone trained together, each in a folder of its own as if it trained alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from contested import training
from contested.config import RunConfig
from contested.errors import ContestedError, RunError, TrainingError
from contested.runs.folder import FromStart
from contested.runs.prepare import DataCache, load_data
from contested.runs.session import RunResult, RunSession, open_run
from contested.runs.watching import Progress
from contested.training.stacked import share_frozen


class IncompatibleRunsError(RunError):
    """Runs were to share one backbone and cannot."""


def train_stacked(
    runs: Sequence[tuple[RunConfig, Path]],
    *,
    on_end: Callable[[int, RunResult | ContestedError], None],
    on_progress: Callable[[int, Progress], None] | None = None,
    cache: DataCache | None = None,
    from_start: FromStart = False,
) -> None:
    """Train or resume several runs at once, each in its folder and under its lease.

    A run that is complete, in use elsewhere, or fails does not stop the others.

    Args:
        runs: Configuration and folder of each. More than one: of one backbone, with the same adapted modules,
            precision and device, as :func:`contested.training.fit_stacked` wants them.
        on_end: Called once for each run that ended: its index in ``runs``, and where it is or what stopped it, a
            request to stop included.
        on_progress: Called after each step of a run with its index in ``runs``.
        cache: What the runs of this process have in common; a run is the same without.
        from_start: Whether each removes what its folder holds of it and begins again; ``damaged``: where it is
            complete and not whole, or cannot be resumed for what it has lost.

    Raises:
        IncompatibleRunsError: If they do not fit together.
        KeyboardInterrupt: On a request to stop before or after the steps. Of this and of any other error no run in
            particular is the cause: those that have not ended are ``interrupted`` and resume from their snapshots.
    """
    sessions: dict[int, RunSession] = {}
    with contextlib.ExitStack() as folders:
        for index, (config, out) in enumerate(runs):
            told = None if on_progress is None else partial(on_progress, index)
            try:
                data = load_data(config, cache)
                context = open_run(config, data, out=out, on_progress=told, cache=cache, from_start=from_start)
                found: RunSession | RunResult | ContestedError = folders.enter_context(context)
            except ContestedError as error:
                found = error
            if isinstance(found, RunSession):
                sessions[index] = found
                _share(list(sessions.values()))
            else:
                on_end(index, found)
        _fit(sessions, on_end)


def _share(sessions: Sequence[RunSession]) -> None:
    """Keep the frozen weights of the latest of several runs once, before the next one loads its own."""
    modules = [sessions[0].loop.module, sessions[-1].loop.module]
    if len(sessions) == 1:
        return
    packed = all(isinstance(session.loop.engine, training.PackedEngine) for session in sessions)
    problem = training.stack_problem(modules[0]) or (
        "" if packed else "packed, its logits are not those of a text alone"
    )
    if problem:
        raise IncompatibleRunsError(f"{sessions[0].config.model.name}: {problem}.")
    try:
        share_frozen(modules)
    except ValueError as error:
        raise IncompatibleRunsError(str(error)) from error


def _fit(sessions: dict[int, RunSession], on_end: Callable[[int, RunResult | ContestedError], None]) -> None:
    """Take all steps, and take each run out of ``sessions`` as it ends."""
    if len(sessions) == 1:
        index, alone = sessions.popitem()
        on_end(index, _alone(alone))
        return
    indices = list(sessions)

    def fail(position: int, error: TrainingError) -> None:
        on_end(indices[position], sessions.pop(indices[position]).close(error))

    stopped = _fit_stacked(list(sessions.values()), fail) if sessions else None
    for index in list(sessions):
        on_end(index, sessions.pop(index).close(stopped))


def _alone(session: RunSession) -> RunResult | ContestedError:
    try:
        return session.run()
    except ContestedError as error:
        return error


def _fit_stacked(
    sessions: Sequence[RunSession], fail: Callable[[int, TrainingError], None]
) -> training.Interrupted | None:
    """Train to the end; the request to stop where there was one."""
    problem = training.stack_difference(
        [session.loop.module for session in sessions],
        [session.loop.engine for session in sessions],
        [session.loop.data.tracked for session in sessions],
        device=sessions[0].loop.device,
        precision=sessions[0].config.training.precision,
    )
    if problem:
        raise IncompatibleRunsError(f"{sessions[0].config.model.name}: {problem}.")
    try:
        training.fit_stacked(
            [session.loop for session in sessions],
            resume=[session.resume for session in sessions],
            on_failure=fail,
            device=sessions[0].loop.device,
            precision=sessions[0].config.training.precision,
        )
    except training.Interrupted as stopped:
        return stopped
    return None
