"""What of a folder's content must be the same whenever and however often the same command was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Moments, durations, and which process it was.
_OF_TIME = frozenset({"lease", "created_at", "finished_at", "seconds", "tracking_seconds", "probe_seconds"})
# What follows from them.
_SEALS = frozenset({"digest", "metrics.jsonl"})
# Of several runs of one worker: which one has proven what is proven once, and by how much a run's own check was off.
_OF_PROOFS = frozenset({"proven_by", "loading_proven_by", "largest_difference"})


def content(folder: Path, *, of_workers: bool = False) -> dict[str, Any]:
    """Every file of a folder but leases and locks: bytes, or of a manifest and of metrics what is the same each time.

    Args:
        folder: Any folder.
        of_workers: Whether it was made by workers that take several runs, in another order each time.

    Returns:
        Path to content.
    """
    left_out = _OF_TIME | _SEALS | (_OF_PROOFS if of_workers else frozenset())
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(folder)): _content(file, left_out) for file in files if ".lease" not in file.parts}


def _content(file: Path, left_out: frozenset[str]) -> Any:
    if file.name == "manifest.json":
        return _without(json.loads(file.read_text()), left_out)
    if file.name == "metrics.jsonl":
        return [_without(json.loads(line), left_out) for line in file.read_text().splitlines()]
    return file.read_bytes()


def _without(value: Any, left_out: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(inner, left_out) for key, inner in value.items() if key not in left_out}
    return value


def hidden(folder: Path) -> list[str]:
    """Whatever somebody left who was writing: every hidden file or folder but caches, locks and released leases.

    Args:
        folder: Any folder.

    Returns:
        Their paths, sorted.
    """
    kept = {".lock", ".lease", ".index", ".measures"} | {
        path.name for path in folder.rglob(".lease/*/*") if path.name.startswith(("holder", "released", "beat"))
    }
    found = [*folder.rglob(".*"), *folder.rglob(".lease/*/*")]
    return sorted(str(path.relative_to(folder)) for path in found if path.name not in kept)
