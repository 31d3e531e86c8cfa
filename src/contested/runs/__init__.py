"""One run of the line: configuration in, rooms wired together, a run folder out; several together where that helps."""

from contested.runs.attempt import Progress, RunResult
from contested.runs.folder import FolderInUse, run_id
from contested.runs.prepare import Shared, check_run, encode_task, load_task, pick_device
from contested.runs.run import train, train_config
from contested.runs.together import CannotTrainTogether, train_together
from contested.training import Interrupted

__all__ = [
    "CannotTrainTogether",
    "FolderInUse",
    "Interrupted",
    "Progress",
    "RunResult",
    "Shared",
    "check_run",
    "encode_task",
    "load_task",
    "pick_device",
    "run_id",
    "train",
    "train_config",
    "train_together",
]
