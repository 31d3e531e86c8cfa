"""Gradient probes of a run that has ended, from its saved weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple, get_args

from contested import models, tasks
from contested.config import RunConfig, check_config
from contested.errors import ConfigError, RunError
from contested.files import user_path
from contested.options import ExecutionSection, ProbeMode, ProbesSection, default
from contested.runs.folder import weights_folder
from contested.runs.following import gradient_probe
from contested.runs.prepare import RunComponents, check_run, load_task, prepare
from contested.runs.proving import beginning, check_loaded, prove_engine
from contested.trajectories import RunWriter, Trajectory, layout, probed, read_manifest
from contested.trajectories.checksums import RunFiles
from contested.trajectories.lease import held

_MODE: ProbeMode = default(ProbesSection, "mode")


class ProbeResult(NamedTuple):
    """The result of :func:`probe`.

    Attributes:
        path: The run folder.
        run_id: The run's name.
        step: The last step, which was probed.
        added: What was not there before: ``norms``, ``alignment``; empty where the folder already held everything.
    """

    path: Path
    run_id: str
    step: int
    added: tuple[str, ...]

    @property
    def trajectory(self) -> Trajectory:
        """The run's trajectory with its gradients, read from the folder."""
        return Trajectory.load(self.path)


def probe(
    path: str | os.PathLike[str],
    *,
    norms: bool = True,
    alignment: bool = True,
    head: bool = default(ProbesSection, "head"),
    mode: ProbeMode = _MODE,
    device: str = default(ExecutionSection, "device"),
    task: tasks.TextClassificationTask | None = None,
) -> ProbeResult:
    """Record the gradients at the last step of a complete run, as a probe at the end of its training does.

    The trained weights are loaded from the folder, the data and the backbone from where the run's configuration says;
    they must be those that the run was trained on.

    Args:
        path: The run folder.
        norms: Record the norm of each tracked example's gradient.
        alignment: Record how well the categories' mean gradients agree.
        head: The classification head's weights count.
        mode: ``eval``, or ``train`` with dropout on.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        task: The task object of a run that was trained with one from Python; else its files are read again.

    Returns:
        Where the run is, and what was added.

    Raises:
        ConfigError: If there is nothing to record, or files or the device are missing.
        RunError: If the run is not complete, is in use, was trained on something else, or was probed in another way.
        ModelError: If the trained weights cannot be loaded, or are not those of the last checkpoint.
    """
    run = user_path(path)
    if mode not in get_args(ProbeMode):
        raise ConfigError(f"There is no mode {mode!r}; expected eval, or train with dropout on.")
    if not (norms or alignment):
        raise ConfigError("Nothing to probe: choose norms, alignment or both.")
    _complete(run)
    if not os.access(run, os.W_OK):
        raise RunError(f"Cannot write to {run}: permission denied. Fix the permissions, or probe a copy of the folder.")
    with held(run, instead="", wait=True):
        manifest = _complete(run)
        step = int(manifest["checkpoints"][-1]["step"])
        asked = [name for name, given in (("norms", norms), ("alignment", alignment)) if given]
        added = _missing(run, step, asked, head=head, mode=mode)
        if added:
            config = _config(run, manifest, device)
            probes = ProbesSection(
                gradient_norms="end" if "norms" in added else "never",
                every=step if "alignment" in added else None,
                head=head,
                mode=mode,
            )
            components = _trained(run, manifest, config, task)
            engine = prove_engine(config, components, beginning(components), manifest).engine
            writer = RunWriter.reopen(run)
            found = gradient_probe(probes, components, engine, writer)
            assert found is not None, "something is to be recorded"
            found(step, step)
            writer.list_files()
        return ProbeResult(run, manifest["run_id"], step, tuple(added))


def _complete(run: Path) -> dict[str, Any]:
    manifest = read_manifest(run)
    if manifest["status"] != "complete" or not manifest["checkpoints"]:
        raise RunError(
            f"The run {run} is not complete (status {manifest['status']}); only a complete run has its trained weights "
            "in the folder. Finish it with contested train, then probe it."
        )
    return manifest


def _missing(run: Path, step: int, asked: list[str], *, head: bool, mode: str) -> list[str]:
    """What the folder does not hold yet; probes of another kind are refused, for a reader takes all as of one."""
    there = probed(run)
    others = sorted({(found.head, found.mode) for found in there} - {(head, mode)})
    if others:
        kinds = " and ".join(_kind(*other) for other in others)
        raise RunError(
            f"{run} holds gradients {kinds}, and these would be {_kind(head, mode)}; a folder keeps one kind. Take the "
            f"same, or probe a copy of the run from which {layout.GRADIENTS}/ is removed."
        )
    here = {found.what for found in there if found.step == step}
    return [what for what in asked if what not in here]


def _kind(head: bool, mode: str) -> str:
    return f"{'with' if head else 'without'} the head in mode {mode}"


def _config(run: Path, manifest: dict[str, Any], device: str) -> RunConfig:
    config = check_config(manifest.get("config", {}), f"of the run {run}")
    return config.model_copy(update={"execution": config.execution.model_copy(update={"device": device})})


def _trained(
    run: Path, manifest: dict[str, Any], config: RunConfig, task: tasks.TextClassificationTask | None
) -> RunComponents:
    """The run's parts with its trained weights, if data and backbone are those that it was trained on."""
    problems = check_run(config) if task is None else []
    if problems:
        how = " without the task object that it was trained with (task= from Python)" if config.task.in_memory else ""
        raise ConfigError(f"The run {run} cannot be probed{how}:", problems)
    components = prepare(config, (load_task(config) if task is None else task).prepare(config.seed))
    before = manifest.get("identity", {})
    now = {"data": components.task.fingerprint, "model": components.model.fingerprint}
    problems = [
        f"{name}: the run has {before.get(name)!r}, now found {found!r}"
        for name, found in now.items()
        if before.get(name) != found
    ]
    if problems:
        raise RunError(
            f"{run} was trained on something else than is there now. Put the files back as they were; a run that was "
            "trained with a task object from Python needs that object (task=):",
            problems,
        )
    weights = weights_folder(config, run)
    RunFiles(run, manifest).check(weights.name, "The trained weights")
    models.load_trained(components.model.module, weights)
    logits = Trajectory.load(run).logits
    assert logits is not None, "every run that is trained here records its logits"
    check_loaded(config, components, logits[-1])
    return components
