"""Recording inside other libraries' training loops."""

from contested.integrations.completions import Completions
from contested.integrations.preferences import Preferences
from contested.integrations.tracked import Outputs, Tracked
from contested.integrations.trainer import TrajectoryCallback

__all__ = ["Completions", "Outputs", "Preferences", "Tracked", "TrajectoryCallback"]
