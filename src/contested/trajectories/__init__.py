"""The run folder: write it while training, read it without torch."""

from contested.trajectories.gradients import Gradients, Probed, probed
from contested.trajectories.identity import IDENTITY_VERSION
from contested.trajectories.layout import SCHEMA_VERSION, STATUSES, Status
from contested.trajectories.lock import RunLockedError, locked
from contested.trajectories.provenance import run_provenance
from contested.trajectories.reading import read_manifest, read_metrics
from contested.trajectories.trajectory import Trajectory
from contested.trajectories.writer import RunWriter

__all__ = [
    "IDENTITY_VERSION",
    "SCHEMA_VERSION",
    "STATUSES",
    "Gradients",
    "Probed",
    "RunLockedError",
    "RunWriter",
    "Status",
    "Trajectory",
    "locked",
    "probed",
    "read_manifest",
    "read_metrics",
    "run_provenance",
]
