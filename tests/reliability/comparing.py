"""What of a folder's content must be the same whenever and however often the same command was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Moments, durations, and which process it was.
_OF_TIME = frozenset({"lease", "created_at", "finished_at", "seconds", "tracking_seconds", "probe_seconds"})
# What follows from them.
_SEALS = frozenset({"digest", "metrics.jsonl"})
# Which run of a worker has proven what is proven once, and by how much a run's own check was off.
_OF_PROOFS = frozenset({"proven_by", "loading_proven_by", "largest_difference"})
_LEFT_OUT = _OF_TIME | _SEALS | _OF_PROOFS


def content(folder: Path) -> dict[str, Any]:
    """Every file of a folder but leases and locks: bytes, or of a manifest and of metrics what is the same each time.

    Args:
        folder: Any folder.

    Returns:
        Path to content.
    """
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(folder)): _content(file) for file in files if ".lease" not in file.parts}


def _content(file: Path) -> Any:
    if file.name == "manifest.json":
        return _timeless(json.loads(file.read_text()))
    if file.name == "metrics.jsonl":
        return [_timeless(json.loads(line)) for line in file.read_text().splitlines()]
    return file.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in _LEFT_OUT}
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
