"""The run folder: write it while training, read it without torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contested.trajectories.gradients import Gradients, Probed, probed
    from contested.trajectories.identity import IDENTITY_VERSION
    from contested.trajectories.integrity import Damage, RunHealth, inspect_run, remove_leftovers
    from contested.trajectories.layout import SCHEMA_VERSION, STATUSES, Status
    from contested.trajectories.lease import Holder, LeaseLostError, RunLockedError, held, holder, is_held
    from contested.trajectories.manifest import read_manifest
    from contested.trajectories.provenance import run_provenance
    from contested.trajectories.reading import read_metrics
    from contested.trajectories.trajectory import Trajectory
    from contested.trajectories.writer import RunWriter

# Loaded when first used: code that only names runs, such as a study's plan, needs no tables.
_MODULES = {
    "contested.trajectories.gradients": ("Gradients", "Probed", "probed"),
    "contested.trajectories.identity": ("IDENTITY_VERSION",),
    "contested.trajectories.integrity": ("Damage", "RunHealth", "inspect_run", "remove_leftovers"),
    "contested.trajectories.layout": ("SCHEMA_VERSION", "STATUSES", "Status"),
    "contested.trajectories.lease": (
        "Holder",
        "LeaseLostError",
        "RunLockedError",
        "held",
        "holder",
        "is_held",
    ),
    "contested.trajectories.provenance": ("run_provenance",),
    "contested.trajectories.manifest": ("read_manifest",),
    "contested.trajectories.reading": ("read_metrics",),
    "contested.trajectories.trajectory": ("Trajectory",),
    "contested.trajectories.writer": ("RunWriter",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "IDENTITY_VERSION",
    "SCHEMA_VERSION",
    "STATUSES",
    "Damage",
    "Gradients",
    "Holder",
    "LeaseLostError",
    "Probed",
    "RunHealth",
    "RunLockedError",
    "RunWriter",
    "Status",
    "Trajectory",
    "held",
    "holder",
    "inspect_run",
    "is_held",
    "probed",
    "read_manifest",
    "read_metrics",
    "remove_leftovers",
    "run_provenance",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'contested.trajectories' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
