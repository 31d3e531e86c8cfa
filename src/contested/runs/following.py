"""The processes that train a run together with the one that holds its folder: they follow what it found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from contested import tasks, training
from contested.config import RunConfig
from contested.errors import RunError
from contested.runs.folder import identity_of
from contested.runs.prepare import DataCache, RunComponents, prepare, recipe
from contested.runs.proving import beginning, check_engines, prove_engine
from contested.trajectories import layout
from contested.trajectories.identity import differences

if TYPE_CHECKING:
    from contested.runs.session import RunResult


class Lead(NamedTuple):
    """What the first process found in the folder, where there is something left to train.

    Attributes:
        identity: What identifies the run.
        before: The run's manifest where it began earlier.
    """

    identity: dict[str, Any]
    before: dict[str, Any] | None


def follow(
    config: RunConfig, data: tasks.TaskData, *, out: Path, cache: DataCache | None, processes: training.Processes
) -> RunResult:
    """Train a run along with the process that holds its folder, which this one only reads a snapshot from.

    Args:
        config: The checked configuration.
        data: What trains and what is tracked.
        out: The run folder.
        cache: What the runs of this process have in common.
        processes: Those that train the run together.

    Returns:
        Where the run is, once it is complete.

    Raises:
        RunError: If this process was given another run than the first one, or another process failed.
        TrainingError: If the run failed.
        training.Interrupted: On a request to stop.
    """
    components = prepare(config, data, cache, processes)
    lead: Lead | RunResult = processes.first()
    if not isinstance(lead, Lead):
        return lead
    _check_same(lead.identity, identity_of(config, components), processes)
    proven = prove_engine(config, components, beginning(components), lead.before)
    resume: bool = processes.first()
    check_engines(config, components, proven)
    loop_of(config, components, proven, state=out / layout.STATE).fit(resume=resume)
    return processes.first()


def loop_of(
    config: RunConfig, components: RunComponents, proven: training.Proven, *, state: Path, **first: Any
) -> training.TrainingLoop:
    """The loop of a run in one of its processes.

    Args:
        config: The checked configuration.
        components: The run's parts.
        proven: Computes its logits.
        state: Where its snapshots are.
        **first: What the process that records gives besides: recorder, observer, probe, ….

    Returns:
        The loop.
    """
    return training.TrainingLoop(
        components.model.module,
        proven.engine,
        components.encoded,
        recipe(config),
        state=state,
        tracking_batch_size=config.execution.tracking_batch_size,
        merge=proven.merges,
        processes=components.processes,
        **first,
    )


def _check_same(first: dict[str, Any], own: dict[str, Any], processes: training.Processes) -> None:
    problems = [f"{key}: process 0 has {old!r}, this one {new!r}" for key, old, new in differences(first, own)]
    if problems:
        raise RunError(
            f"Process {processes.rank} was given another run than process 0. Give all of them the same command, and "
            "the same files:",
            problems,
        )
