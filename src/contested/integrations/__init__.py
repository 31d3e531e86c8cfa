"""Recording inside other libraries' training loops."""

from contested.integrations.trainer import TrajectoryCallback

__all__ = ["TrajectoryCallback"]
