"""Many runs from one file: its cells, what they would cost, running them, where they stand, what they show.

Nothing here imports torch until runs start, so that a study can be planned, read and reported on without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from contested.studies.cells import Cell, expand
from contested.studies.file import Study, load_study, open_study
from contested.studies.presets import PRESETS

if TYPE_CHECKING:
    from contested.studies.execute import Executor, Job, JobStatus, Submitted
    from contested.studies.local import LocalExecutor
    from contested.studies.running import StudyOutcome, StudyStart, run_study

# Loaded when first used: a plan needs none of it.
_HOME = {
    "Executor": "contested.studies.execute",
    "Job": "contested.studies.execute",
    "JobStatus": "contested.studies.execute",
    "LocalExecutor": "contested.studies.local",
    "StudyOutcome": "contested.studies.running",
    "StudyStart": "contested.studies.running",
    "Submitted": "contested.studies.execute",
    "run_study": "contested.studies.running",
}

__all__ = [
    "PRESETS",
    "Cell",
    "Executor",
    "Job",
    "JobStatus",
    "LocalExecutor",
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
