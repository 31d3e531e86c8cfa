"""One run of the line: configuration in, rooms wired together, a run folder out."""

from contested.runs.folder import FolderInUse, run_id
from contested.runs.prepare import Shared, check_run, encode_task, load_task
from contested.runs.run import Progress, RunResult, train, train_config
from contested.training import Interrupted

__all__ = [
    "FolderInUse",
    "Interrupted",
    "Progress",
    "RunResult",
    "Shared",
    "check_run",
    "encode_task",
    "load_task",
    "run_id",
    "train",
    "train_config",
]
