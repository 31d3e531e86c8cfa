"""One run: configuration in, subpackages wired together, a run folder out; several stacked where that helps."""

from contested.runs.devices import pick_device
from contested.runs.folder import run_id
from contested.runs.prepare import DataCache, check_run, encode_task, load_task
from contested.runs.run import launched, train, train_config
from contested.runs.session import RunResult
from contested.runs.stacked_runs import IncompatibleRunsError, train_stacked
from contested.runs.watching import Progress
from contested.training import Interrupted
from contested.trajectories.lease import RunLockedError

__all__ = [
    "DataCache",
    "IncompatibleRunsError",
    "Interrupted",
    "Progress",
    "RunLockedError",
    "RunResult",
    "check_run",
    "encode_task",
    "launched",
    "load_task",
    "pick_device",
    "run_id",
    "train",
    "train_config",
    "train_stacked",
]
