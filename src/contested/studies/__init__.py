"""Many runs from one file: its cells, what they would cost, running them, their status, their results.

Nothing here imports torch until runs start, so that a study can be planned, read and reported on without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contested.studies.cells import Cell, expand
    from contested.studies.execute import Executor, Job, JobStatus, Submitted
    from contested.studies.file import Study, load_study, open_study
    from contested.studies.local import LocalExecutor
    from contested.studies.presets import PRESETS
    from contested.studies.ray import RayExecutor
    from contested.studies.running import StudyOutcome, StudyStart, run_study

# Loaded when first used: help names the presets and needs nothing else, a plan runs nothing.
_MODULES = {
    "contested.studies.cells": ("Cell", "expand"),
    "contested.studies.execute": ("Executor", "Job", "JobStatus", "Submitted"),
    "contested.studies.file": ("Study", "load_study", "open_study"),
    "contested.studies.local": ("LocalExecutor",),
    "contested.studies.presets": ("PRESETS",),
    "contested.studies.ray": ("RayExecutor",),
    "contested.studies.running": ("StudyOutcome", "StudyStart", "run_study"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "PRESETS",
    "Cell",
    "Executor",
    "Job",
    "JobStatus",
    "LocalExecutor",
    "RayExecutor",
    "Study",
    "StudyOutcome",
    "StudyStart",
    "Submitted",
    "expand",
    "load_study",
    "open_study",
    "run_study",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'contested.studies' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
