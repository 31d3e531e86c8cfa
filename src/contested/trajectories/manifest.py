"""The manifest of a run folder: read and checked, and written with a digest of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contested.errors import DamagedRunError, RunError
from contested.files import write_json
from contested.trajectories import layout
from contested.trajectories.lease import lease_mark
from contested.trajectories.manifest_content import content_problems
from contested.wording import counted, listed, shown

_KEYS = ("schema_version", "run_id", "status", "checkpoints")
_CHANGED = "It is written whole or not at all, so something else changed it; restore it from a copy."
_SEALED_FROM = 3
"""The first schema whose manifests have a digest and know the files of their folder."""


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with the digest of its content.

    Args:
        manifest: Its content; a digest in it does not count.

    Returns:
        The content, the digest last.
    """
    content = {key: value for key, value in manifest.items() if key != layout.DIGEST}
    return {**content, layout.DIGEST: _digest(content)}


def write_manifest(run: Path, manifest: Mapping[str, Any]) -> None:
    """Write a run's manifest with its digest, whole or not at all; it says under which lease.

    Args:
        run: The run folder.
        manifest: Its content.
    """
    content = {key: value for key, value in manifest.items() if key != layout.LEASE_MARK}
    write_json(run / layout.MANIFEST, sealed(content | lease_mark(run)))


def read_manifest(run: Path) -> dict[str, Any]:
    """Read and check a run's manifest.

    Args:
        run: The run folder.

    Returns:
        The manifest.

    Raises:
        DamagedRunError: If it is damaged.
        RunError: If there is none, it cannot be read, or it was written by a newer version.
    """
    if not run.exists():
        raise RunError(f"{run} does not exist. Give a run folder.")
    file = run / layout.MANIFEST
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{run} is not a run folder: it has no {layout.MANIFEST}. "
            + (_runs_in(run) or "Give the folder that contested train, contested import or Trajectory.save wrote.")
        ) from None
    except OSError as error:
        raise RunError(f"Cannot read {file}: {error.strerror or error}. Fix the permissions, or give a copy.") from None
    manifest = _parsed(file, content)
    _check(file, manifest)
    status = manifest["status"]
    return {**manifest, "status": layout.FORMER_STATUSES.get(status, status)}


def _parsed(file: Path, content: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or nested beyond reason
        raise DamagedRunError(f"{file} is damaged ({error}). {_CHANGED}") from None
    if not isinstance(manifest, dict):
        raise DamagedRunError(f"{file} is damaged: it holds {shown(manifest)}, expected an object. {_CHANGED}")
    return manifest


def _check(file: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse what is no manifest, or none of this version's, or not as it was written."""
    missing = [key for key in _KEYS if key not in manifest]
    if missing:
        raise DamagedRunError(f"{file} is not a run's manifest: it lacks {', '.join(missing)}.")
    version = manifest["schema_version"]
    if type(version) is not int or version < 1:
        raise DamagedRunError(
            f"{file} is damaged: schema_version is {version!r}, expected a whole number from 1. {_CHANGED}"
        )
    if version > layout.SCHEMA_VERSION:
        raise RunError(
            f"{file.parent} was written in format {version}; this version reads up to {layout.SCHEMA_VERSION}. Upgrade "
            "contested."
        )
    # Whatever says it is older: an older one has none of the two.
    if version >= _SEALED_FROM or layout.DIGEST in manifest or layout.FILES in manifest:
        _check_digest(file, manifest)
    problems = content_problems(manifest)
    if problems:
        raise DamagedRunError(
            f"{file} is damaged: {counted(len(problems), 'value')} of another kind. {_CHANGED}", problems
        )


def _check_digest(file: Path, manifest: Mapping[str, Any]) -> None:
    content = {key: value for key, value in manifest.items() if key != layout.DIGEST}
    try:
        right = manifest.get(layout.DIGEST) == _digest(content) and layout.FILES in manifest
    except ValueError:  # NaN, which no manifest holds
        right = False
    if not right:
        raise DamagedRunError(f"{file} is damaged: its content is not what its digest was taken of. {_CHANGED}")


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's content, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _runs_in(folder: Path) -> str:
    """Name the runs in a folder of runs, such as an import with --each makes; empty where there is none."""
    found = sorted(manifest.parent.name for manifest in folder.glob(f"*/{layout.MANIFEST}"))
    if not found:
        return ""
    told = f"The folders {listed(found)} in it are runs" if len(found) > 1 else f"The folder {found[0]} in it is a run"
    return f"{told}: give one of them, such as {folder / found[0]}."
