"""The processes that train a run together with the one that holds its folder: they follow what it found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from contested import tasks, training
from contested.config import RunConfig
from contested.errors import RunError
from contested.options import ProbesSection
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
    config: RunConfig,
    components: RunComponents,
    proven: training.Proven,
    *,
    state: Path,
    gradients: training.GradientRecorder | None = None,
    **first: Any,
) -> training.TrainingLoop:
    """The loop of a run in one of its processes.

    Args:
        config: The checked configuration.
        components: The run's parts.
        proven: Computes its logits.
        state: Where its snapshots are.
        gradients: Where what gradient probes find goes, in the process that records.
        **first: What that process gives besides: recorder, observer, ….

    Returns:
        The loop.
    """
    return training.TrainingLoop(
        components.model.module,
        proven.engine,
        components.encoded,
        recipe(config),
        state=state,
        probe=gradient_probe(config.probes, components, proven.engine, gradients),
        tracking_batch_size=config.execution.tracking_batch_size,
        merge=proven.merges,
        processes=components.processes,
        **first,
    )


def gradient_probe(
    probes: ProbesSection,
    components: RunComponents,
    engine: training.Engine,
    recorder: training.GradientRecorder | None,
) -> training.GradientProbe | None:
    """The probe of a run in one of its processes, or None where its options set none."""
    if probes.gradient_norms == "never" and probes.every is None:
        return None
    tracked = components.tracked
    # Of every example its own norm; categories are compared by the examples that train.
    categories = tracked["category"].where(tracked["split"] == "train", None).to_numpy(object)
    return training.GradientProbe(
        components.model.module,
        engine,
        components.encoded.tracked,
        components.encoded.tracked_targets,
        objective=components.encoded.objective,
        groups=training.groups_of(categories, components.task.category_names),
        recorder=recorder,
        norms=probes.gradient_norms,
        every=probes.every,
        head=components.model.head,
        with_head=probes.head,
        mode=probes.mode,
        processes=components.processes,
    )


def _check_same(first: dict[str, Any], own: dict[str, Any], processes: training.Processes) -> None:
    problems = [f"{key}: process 0 has {old!r}, this one {new!r}" for key, old, new in differences(first, own)]
    if problems:
        raise RunError(
            f"Process {processes.rank} was given another run than process 0. Give all of them the same command, and "
            "the same files:",
            problems,
        )
