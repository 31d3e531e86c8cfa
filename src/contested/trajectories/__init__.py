"""The run folder: write it while training, read it without torch."""

from contested.trajectories.gradients import Gradients, Probed, probed
from contested.trajectories.layout import SCHEMA_VERSION, STATUSES, Status
from contested.trajectories.trajectory import Trajectory, read_manifest, read_metrics
from contested.trajectories.writer import RunWriter

__all__ = [
    "SCHEMA_VERSION",
    "STATUSES",
    "Gradients",
    "Probed",
    "RunWriter",
    "Status",
    "Trajectory",
    "probed",
    "read_manifest",
    "read_metrics",
]
