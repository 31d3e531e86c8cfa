"""Run or resume one run: the subpackages wired together."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from contested import tasks, training
from contested.config import RunConfig, check_config, resolve_paths
from contested.files import user_path
from contested.options import SEED, Method, ModelSection, default
from contested.runs.folder import FromStart
from contested.runs.following import follow
from contested.runs.prepare import DataCache, load_data
from contested.runs.session import RunResult, open_run
from contested.runs.watching import Progress


def train(
    model: str,
    method: Method | str,
    task: tasks.TextClassificationTask,
    *,
    out: str | os.PathLike[str],
    max_length: int = default(ModelSection, "max_length"),
    seed: int = SEED,
    name: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    from_start: bool = False,
    **sections: dict[str, Any],
) -> RunResult:
    """Train one run from Python; the same folder resumes it.

    Args:
        model: A hub name or a local folder.
        method: ``LoRA(...)``, ``Full()``, ``IA3()`` or ``PEFT(...)``, or the name of a method.
        task: What trains and what is tracked, for example from :func:`contested.NLITask`.
        out: The run folder.
        max_length: Longest input in tokens.
        seed: Decides head, adapter, data order and dropout.
        name: A readable run id; made from model, method and seed where not given.
        on_progress: Called after each step.
        from_start: Whether to remove what the folder holds of this run and begin again.
        **sections: ``training``, ``tracking``, ``probes`` and ``execution`` as in the YAML configuration.

    Returns:
        Where the run is.

    Raises:
        ContestedError: One of its kinds, before any long computation where possible.
    """
    content = {
        "model": {"name": str(model), "max_length": max_length},
        "method": method,
        "task": task.section.model_dump(),
        "seed": seed,
        "name": name,
        **sections,
    }
    resolve_paths(content, Path.cwd())
    config = check_config(content, "given to train()")
    with launched(config) as processes:
        return execute(
            config,
            task.prepare(config.seed),
            out=user_path(out),
            on_progress=on_progress,
            from_start=from_start,
            processes=processes,
        )


def train_config(
    config: RunConfig,
    *,
    out: str | os.PathLike[str],
    on_progress: Callable[[Progress], None] | None = None,
    cache: DataCache | None = None,
    from_start: FromStart = False,
    processes: training.Processes = training.ALONE,
) -> RunResult:
    """Train the run that a configuration describes; the same folder resumes it.

    Args:
        config: The checked configuration.
        out: The run folder.
        on_progress: Called after each step.
        cache: What the runs of this process have in common; the run is the same without.
        from_start: Whether to remove what the folder holds of this run and begin again; ``damaged``: where it is
            complete and not whole, or cannot be resumed for what it has lost.
        processes: Those that train it together, from :func:`launched`.

    Returns:
        Where the run is.

    Raises:
        ContestedError: One of its kinds, before any long computation where possible.
    """
    return execute(
        config,
        load_data(config, cache),
        out=user_path(out),
        on_progress=on_progress,
        cache=cache,
        from_start=from_start,
        processes=processes,
    )


def launched(config: RunConfig) -> AbstractContextManager[training.Processes]:
    """The processes that torchrun started to train a run together, or this one alone.

    Args:
        config: The run's configuration; a GPU that it gives by number serves all of them.

    Returns:
        A context in which they can speak to one another.
    """
    return training.launched(sharing=":" in config.execution.device, evenly=config.execution.fsdp)


def execute(
    config: RunConfig,
    data: tasks.TaskData,
    *,
    out: Path,
    on_progress: Callable[[Progress], None] | None,
    cache: DataCache | None = None,
    from_start: FromStart = False,
    processes: training.Processes = training.ALONE,
) -> RunResult:
    """Run or resume one run in its folder, under its lease.

    Args:
        config: The checked configuration.
        data: What trains and what is tracked.
        out: The run folder.
        on_progress: Called after each step.
        cache: What the runs of this process have in common.
        from_start: Whether to remove what the folder holds of this run and begin again; ``damaged``: where it is
            complete and not whole, or cannot be resumed for what it has lost.
        processes: Those that train it together.

    Returns:
        Where the run is.

    Raises:
        RunError: If the folder is in use, holds another run, has lost something that was recorded, or cannot be
            written.
        TrainingError: If the run failed; its manifest then says why.
        training.Interrupted: On Ctrl-C, with the state saved and status ``interrupted``.
    """
    if processes.rank > 0:
        return follow(config, data, out=out, cache=cache, processes=processes)
    with open_run(
        config,
        data,
        out=out,
        on_progress=on_progress,
        cache=cache,
        from_start=from_start,
        processes=processes,
        wait=True,
    ) as found:
        return found if isinstance(found, RunResult) else found.run()
