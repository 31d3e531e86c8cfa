"""Where the numbers come from: what a manifest says of its run, as rows for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from contested.report.formats import shorten
from contested.trajectories import Trajectory

_SHOWN = ("status", "error", "started_at", "finished_at", "schema_version")
_LONGEST = 300


def facts(trajectory: Trajectory) -> list[tuple[str, str]]:
    """The run in a few rows: what it is, how far it came, where it lies.

    Args:
        trajectory: The run.

    Returns:
        Pairs of name and text.
    """
    manifest = trajectory.manifest
    steps, epochs = trajectory.steps, trajectory.epochs
    rows = [("run", trajectory.run_id)]
    rows += [(name.replace("_", " "), str(manifest[name])) for name in _SHOWN if manifest.get(name) is not None]
    rows.append(("checkpoints", f"{len(steps)}, up to step {steps[-1]:,} (epoch {epochs[-1]:.2f})"))
    rows.append(("tracked examples", f"{len(trajectory.example_ids):,}"))
    rows.append(("classes", ", ".join(trajectory.label_names)))
    return rows


def flattened(manifest: Mapping[str, Any], part: str) -> list[tuple[str, str]]:
    """One part of a manifest with dotted names, so that every setting is one row.

    Args:
        manifest: The manifest.
        part: The key of the part, such as ``config`` or ``provenance``.

    Returns:
        Pairs of dotted name and text; empty where the part is missing.

    >>> flattened({"config": {"method": {"r": 4}, "seed": 42}}, "config")
    [('method.r', '4'), ('seed', '42')]
    """
    return list(_leaves(manifest.get(part), ""))


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    elif value is not None:
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        yield name, shorten(written, _LONGEST)
