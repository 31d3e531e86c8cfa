"""A run's folder: its identity, how it begins or is resumed, and its origin."""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError

from contested import models, training
from contested.analysis.live import warn
from contested.config import RunConfig, identified, identifying, recorded
from contested.errors import DamagedRunError, DiskError, RunError, write_error
from contested.files import atomic_folder, remove, try_writing
from contested.runs.prepare import RunComponents
from contested.runs.proving import Proof
from contested.schedule import steps_per_epoch
from contested.trajectories import RunWriter, layout, read_manifest, resuming
from contested.trajectories.checksums import RunFiles
from contested.trajectories.identity import IDENTITY_VERSION, differences, digest
from contested.trajectories.lease import check_lease
from contested.trajectories.provenance import run_provenance
from contested.wording import listed

FromStart = bool | Literal["damaged"]
"""Whether a run begins again: never, always, or where its folder has lost something that was recorded."""
_OUTSIDE = ("python", "device", "threads", "processes")
"""Facts of a manifest's provenance, besides versions of packages, on which a run's bits depend."""
_REVISIONS = {"model.revision": "model", "task.bulk.revision": "data"}
"""Keys that say where content came from, and where an identity has the content itself, which counts."""


def check_folder(out: Path) -> None:
    """Refuse a folder that cannot take a run, before any work.

    Args:
        out: The folder; made with its parents where missing.

    Raises:
        RunError: If it is a file, is not writable, or holds other things than a run.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; --out must be a folder for the run.")
    if out.is_symlink() and not out.exists():
        raise RunError(
            f"{out} is a link to {out.readlink()}, which does not exist. Make that folder, or give another --out."
        )
    known = {layout.MANIFEST, layout.LOCK, layout.EXAMPLES, layout.CHECKPOINTS, layout.METRICS}
    if layout.checkpoint_steps(out):  # A run without its manifest is no foreign folder: it is refused as what it is.
        known |= {layout.GRADIENTS, layout.STATE, layout.BASELINE, *layout.WEIGHTS}
    try:
        out.mkdir(parents=True, exist_ok=True)
        try_writing(out)
        content = {file.name for file in out.iterdir()}
    except OSError as error:
        raise write_error(error, f"Cannot write to {out}: {error.strerror or error}. Choose another --out.") from error
    foreign = sorted(name for name in content - known if not name.startswith("."))
    if foreign and layout.MANIFEST not in content:
        raise RunError(
            f"{out} is not empty and holds no run (it has {', '.join(foreign[:3])}). Give an empty or new folder."
        )


def open_folder(
    out: Path,
    config: RunConfig,
    components: RunComponents,
    identity: dict[str, Any],
    proof: Proof,
    *,
    from_start: FromStart = False,
) -> tuple[RunWriter, bool]:
    """Begin the folder, or resume it from its last whole snapshot; where nothing was recorded it begins again.

    Args:
        out: The folder, whose lease this process holds.
        config: The configuration.
        components: The run's parts.
        identity: What identifies the run.
        proof: What it has proven.
        from_start: Whether to begin again whatever was recorded.

    Returns:
        Its writer, and whether it is resumed.

    Raises:
        DamagedRunError: If something that was recorded is missing, damaged or not listed.
    """
    said: dict[str, Any] = {
        "checks": proof.checks,
        "notes": [*components.notes, *proof.notes],
    }
    resumed = None if from_start is True else _resumed(out, begin_damaged=bool(from_start))
    if resumed is not None:
        writer, resumption = resumed
        writer.manifest.setdefault("planned_steps", planned_steps(config, components))  # absent in older folders
        changed = _changed(writer.manifest.get("provenance", {}), _provenance(components, proof))
        writer.manifest.update(said | {"notes": [*said["notes"], *resumption.notes, *changed]})
        return writer, True
    check_lease(out)
    for weights in layout.WEIGHTS if from_start else ():
        remove(out / weights)
    header = {
        "run_id": run_id(config, identity),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "identity": identity,
        "config": config.model_dump(mode="json"),
        "planned_steps": planned_steps(config, components),
        "label_names": list(components.task.label_names),
        "category_names": list(components.task.category_names),
        **components.task.disagreement.to_manifest(),
        **({"tracked_splits": ["train", "validation"]} if components.encoded.validation_is_tracked else {}),
        "counts": {
            **components.task.counts,
            "truncated": components.encoded.train.truncated,
            "trainable_params": components.model.trainable_params,
            "total_params": components.model.total_params,
        },
        "provenance": _provenance(components, proof),
        **said,
    }
    writer = RunWriter.create(
        out, header=header, examples=components.task.examples, text_columns=components.task.text_columns
    )
    return writer, False


def _resumed(out: Path, *, begin_damaged: bool) -> tuple[RunWriter, Resumption] | None:
    """Take up what was recorded; None where nothing was, or where it begins again for what it has lost."""
    try:
        resumption = resume_step(out)
        return None if resumption is None else (RunWriter.resume(out, step=resumption.step), resumption)
    except DamagedRunError:
        if begin_damaged:
            return None
        raise


class Resumption(NamedTuple):
    """Where a run resumes.

    Attributes:
        step: Steps done at the snapshot.
        notes: What is to be said of it, a sentence each.
    """

    step: int
    notes: tuple[str, ...]


def resume_step(out: Path) -> Resumption | None:
    """Find the snapshot from which a run resumes.

    Args:
        out: The folder, whose lease this process holds.

    Returns:
        It, and what is to be said; None where nothing was recorded yet.

    Raises:
        DamagedRunError: If something was, and no snapshot of it is left, or the manifest is gone.
    """
    if not (out / layout.MANIFEST).exists():
        if layout.checkpoint_steps(out):
            resuming.refuse(out, "its manifest is gone", [f"{layout.MANIFEST} is missing"])
        return None
    manifest = read_manifest(out)
    if layout.FILES not in manifest:
        step = max(layout.snapshot_steps(out), default=training.former_snapshot_step(out / layout.STATE))
        faults = [] if step is not None else [f"{layout.STATE}/ is missing"]
    else:
        step, faults = _last_whole(RunFiles(out, manifest))
    if step is None and manifest["checkpoints"]:
        resuming.refuse(out, "no snapshot of it is left", faults or [f"{layout.STATE}/ is missing"])
    if step is None:
        return None
    notes = [f"{fault}; the run resumes from the snapshot before it, of step {step:,}." for fault in faults]
    warn(notes, out)
    return Resumption(step, tuple(notes))


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what is other than where the run began and lies outside its identity, so that its bits may differ."""
    flat = [{**facts.get("packages", {}), **{key: facts.get(key) for key in _OUTSIDE}} for facts in (before, now)]
    changed = [
        f"{key} {flat[1][key]} instead of {old}"
        for key, old in flat[0].items()
        if old is not None and key in flat[1] and flat[1][key] != old
    ]
    if not changed:
        return []
    return [f"The run is resumed with {listed(changed)}: it may end in other bits than one that was not interrupted."]


def _last_whole(files: RunFiles) -> tuple[int | None, list[str]]:
    """The step of the last snapshot that is as it was written, and what is wrong with those after it."""
    faults: list[str] = []
    for name in reversed(files.named(layout.STATE)):
        fault = files.fault(name)
        if fault is None:
            return layout.step_of(name), faults
        faults.append(f"{name} {fault.what}")
    return None, faults


def planned_steps(config: RunConfig, components: RunComponents) -> int:
    """The step at which a run is to end."""
    per_epoch = steps_per_epoch(len(components.task.train_labels), config.training.batch_size)
    return config.training.epochs * per_epoch


def identity_of(config: RunConfig, components: RunComponents) -> dict[str, Any]:
    """What identifies a run: its configuration without locations, its data and its checkpoint."""
    return {
        "version": IDENTITY_VERSION,
        "config": identifying(config),
        "data": components.task.fingerprint,
        "model": components.model.fingerprint,
    }


def run_id(config: RunConfig, identity: dict[str, Any]) -> str:
    """A readable name that is stable for the same configuration, data and checkpoint."""
    if config.name:
        return config.name
    backbone = re.sub(r"[^A-Za-z0-9.]+", "-", Path(config.model.name).name).strip("-").lower()
    return f"{backbone}-{config.method.label}-s{config.seed}-{digest(identity)}"


def check_same_run(out: Path, manifest: dict[str, Any], identity: dict[str, Any]) -> None:
    """Refuse a folder that holds another run, naming every key that differs.

    Args:
        out: The folder.
        manifest: Its manifest.
        identity: What is to be run now.

    Raises:
        RunError: If it is another run.
    """
    before = manifest.get("identity", {})
    problems = [
        f"{key}: the folder has {old!r}, now given {new!r}{_pin(key, old)}"
        for key, old, new in differences(_in_full(before), _in_full(identity))
        if key not in _REVISIONS or before.get(_REVISIONS[key]) != identity.get(_REVISIONS[key])
    ]
    if not problems or _same_data_by_version_1(before, identity):
        return
    raise RunError(
        f"{out} holds another run ({manifest['run_id']}, status {manifest['status']}). Choose another --out, or give "
        "the configuration that the folder was made with:",
        problems,
    )


def _pin(key: str, old: Any) -> str:
    """How the commit is given that a hub checkpoint had before it moved."""
    commit = str(old).rpartition("@")[2] if key == "model" and str(old).startswith("hub:") else ""
    return f" (give model.revision={commit} to resume with that commit)" if commit else ""


def _in_full(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity by whatever version of the rule, with the options that it leaves out."""
    config = identity.get("config")
    with contextlib.suppress(ValidationError):  # Of a configuration that this version does not know, all differs.
        config = identified(recorded(identity))
    return {"config": config, "data": identity.get("data"), "model": identity.get("model")}


def _same_data_by_version_1(before: Mapping[str, Any], identity: Mapping[str, Any]) -> bool:
    """Whether an old run differs only in what its manifest records of a task that was given as an object.

    Version 1 wrote defaults there. The fingerprint names the data all the same, but for the weights of the classes.
    """
    if before.get("version", 1) > 1:
        return False
    old, new = _in_full(before), _in_full(identity)
    weights = [full["config"].pop("task")["class_weights"] for full in (old, new) if "task" in (full["config"] or {})]
    return len(weights) == 2 and weights[0] == weights[1] and old == new


def weights_folder(config: RunConfig, out: Path) -> Path:
    """Where a run's trained weights lie: ``model`` of full fine-tuning, else ``adapter``."""
    return out / ("model" if config.method.name == "full" else "adapter")


def save_model(config: RunConfig, components: RunComponents, out: Path, *, check: Callable[[Path], None]) -> str:
    """Write the adapter or model under a temporary name, then rename the whole folder.

    Args:
        config: The configuration.
        components: The run's parts.
        out: The run folder.
        check: Given the folder of what was written, before it takes its place; what it raises keeps it from there.

    Returns:
        The name of the folder of weights.

    Raises:
        RunError: If it cannot be written.
    """
    target = weights_folder(config, out)
    check_lease(out)
    try:
        with atomic_folder(target, replace=True) as made:
            models.save(components.model.module, components.model.tokenizer, made)
            check(made)
    except (OSError, SafetensorError) as error:
        # A full disk is an error of its own kind where the weights' writer meets it.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DiskError(
            f"Cannot save the trained model to {target}: {reason}. The trajectory is intact; make "
            "room or fix the permissions, then give the same command to resume."
        ) from error
    return target.name


def _provenance(components: RunComponents, proof: Proof) -> dict[str, Any]:
    device = components.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return run_provenance(
        device=device.type,
        device_name=name,
        threads=torch.get_num_threads(),
        processes=components.processes.size,
        batches=proof.engine.name,
        data_fingerprint=components.task.fingerprint,
        model_fingerprint=components.model.fingerprint,
        **({"bulk_source": components.task.bulk_source} if components.task.bulk_source else {}),
    )
