"""A run's folder: its identity, its lock, how it begins or goes on, and what it says of its origin."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import torch
from pydantic import ValidationError

from contested import models, training
from contested.config import RunConfig, identifying
from contested.errors import RunError
from contested.runs.prepare import Prepared
from contested.trajectories import RunWriter, layout

_PACKAGES = ("contested", "torch", "transformers", "peft", "numpy", "scipy", "pyarrow")


class FolderInUse(RunError):  # noqa: N818 - a state of the folder that a study waits for
    """Another process holds the run's lock."""


def check_folder(out: Path) -> None:
    """Refuse a folder that cannot take a run, before any work.

    Args:
        out: The folder; made with its parents where missing.

    Raises:
        RunError: If it is a file, is not writable, or holds other things than a run.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; --out must be a folder for the run.")
    known = {layout.MANIFEST, layout.LOCK, layout.EXAMPLES, layout.CHECKPOINTS, layout.METRICS}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        content = {file.name for file in out.iterdir()}
    except OSError as error:
        raise RunError(f"Cannot write to {out}: {error.strerror or error}. Choose another --out.") from error
    foreign = sorted(name for name in content - known if not name.startswith("."))
    if foreign and layout.MANIFEST not in content:
        raise RunError(
            f"{out} is not empty and holds no run (it has {', '.join(foreign[:3])}). Give an empty or new folder."
        )


def open_folder(out: Path, config: RunConfig, prepared: Prepared, identity: dict[str, Any]) -> tuple[RunWriter, bool]:
    """Begin the folder, or go on from its snapshot; without a snapshot nothing can be gone on from."""
    state = out / layout.STATE
    if (out / layout.MANIFEST).exists() and training.has_snapshot(state):
        return RunWriter.resume(out, step=training.snapshot_step(state)), True
    for leftover in (out / layout.CHECKPOINTS, out / layout.GRADIENTS, state):
        shutil.rmtree(leftover, ignore_errors=True)
    header = {
        "run_id": run_id(config, identity),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "identity": identity,
        "config": config.model_dump(mode="json"),
        "label_names": list(prepared.task.label_names),
        "category_names": list(prepared.task.category_names),
        "counts": {
            **prepared.task.counts,
            "truncated": prepared.encoded.train.truncated,
            "trainable_params": prepared.model.trainable_params,
            "total_params": prepared.model.total_params,
        },
        "provenance": provenance(prepared),
    }
    writer = RunWriter.create(
        out, header=header, examples=prepared.task.examples, text_columns=prepared.task.text_columns
    )
    return writer, False


def identity_of(config: RunConfig, prepared: Prepared) -> dict[str, Any]:
    """What makes a run this run: its configuration but for where things are, its data and its checkpoint."""
    return {
        "config": identifying(config),
        "data": prepared.task.fingerprint,
        "model": prepared.model.fingerprint,
    }


def run_id(config: RunConfig, identity: dict[str, Any]) -> str:
    """A readable name that is stable for the same configuration, data and checkpoint."""
    if config.name:
        return config.name
    backbone = re.sub(r"[^A-Za-z0-9.]+", "-", Path(config.model.name).name).strip("-").lower()
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    return f"{backbone}-{config.method.label}-s{config.seed}-{digest}"


def check_same_run(out: Path, manifest: dict[str, Any], identity: dict[str, Any]) -> None:
    """Refuse a folder that holds another run, naming every key that differs.

    Args:
        out: The folder.
        manifest: Its manifest.
        identity: What is to be run now.

    Raises:
        RunError: If it is another run.
    """
    before = dict(manifest.get("identity", {}))
    with contextlib.suppress(ValidationError):
        # An earlier version did not know every key: those it lacked had their defaults.
        before["config"] = identifying(RunConfig.model_validate(before.get("config")))
    if before == identity:
        return
    problems = [
        f"{key}: the folder has {old!r}, now given {new!r}" for key, old, new in _differences(before, identity, "")
    ]
    raise RunError(
        f"{out} holds another run ({manifest['run_id']}, status {manifest['status']}). Choose another --out, or give "
        "the configuration that the folder was made with:",
        problems,
    )


def _differences(old: Any, new: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict) and key == "method" and old.get("name") != new.get("name"):
        yield key, old.get("name"), new.get("name")
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            path = name if key in {"", "config"} else f"{key}.{name}"
            yield from _differences(old.get(name), new.get(name), path)
    elif old != new:
        yield key, old, new


@contextlib.contextmanager
def locked(out: Path, *, instead: str = ", or choose another --out") -> Iterator[None]:
    """Hold the folder for this process alone; the lock goes with the process, however it ends.

    Args:
        out: The folder.
        instead: What to do where waiting is not wanted, for the message.

    Yields:
        Nothing.

    Raises:
        FolderInUse: If another process trains in it.
    """
    lock = filelock.FileLock(out / layout.LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise FolderInUse(f"{out} is being trained by another process. Wait for it{instead}.") from None
    try:
        yield
    finally:
        lock.release()


def weights_folder(config: RunConfig, out: Path) -> Path:
    """Where a run's trained weights lie: ``model`` of full fine-tuning, else ``adapter``."""
    return out / ("model" if config.method.name == "full" else "adapter")


def save_model(config: RunConfig, prepared: Prepared, out: Path) -> None:
    """Write the adapter or model beside its place, then rename the whole folder."""
    target = weights_folder(config, out)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=out))
        models.save(prepared.model.module, prepared.model.tokenizer, temporary)
        temporary.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
    except OSError as error:
        raise RunError(
            f"Cannot save the trained model to {target}: {error.strerror or error}. The trajectory is intact; make "
            "room or mend the rights, then give the same command to go on."
        ) from error


def provenance(prepared: Prepared) -> dict[str, Any]:
    """Code, packages, device and content fingerprints of a run, for its manifest."""
    device = prepared.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "code": _code_version(),
        "packages": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device.type,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "batches": "packed" if training.packs(prepared.model.module) else "padded",
        "data_fingerprint": prepared.task.fingerprint,
        "model_fingerprint": prepared.model.fingerprint,
    }


def _code_version() -> dict[str, Any]:
    """The commit of the source tree that runs, where it is a git checkout; else only the version counts."""
    source = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", source, *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    tracked = git("ls-files", "--error-unmatch", __file__)
    if not tracked:
        return {"commit": None, "dirty": None}
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", str(source)))}
