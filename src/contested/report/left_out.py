"""Examples that a run has lost because their ids are not on both sides: recorded, and annotated."""

from __future__ import annotations

from typing import NamedTuple

from contested.trajectories import Trajectory
from contested.wording import few_in_common


class LeftOut(NamedTuple):
    """How many examples a run is without.

    Attributes:
        kept: The run's examples.
        without: Recorded ones that have no annotations.
        unused: Annotated ones that were not recorded.
    """

    kept: int
    without: int
    unused: int

    @property
    def few(self) -> str:
        """That most examples were lost, as the beginning of a sentence; empty where they were not."""
        return few_in_common(*self)

    @property
    def sentence(self) -> str:
        """What is not on the page; empty where nothing is."""
        if not self.without:
            return ""
        number = f"{self.without:,} of {self.kept + self.without:,}"
        return f"{number} recorded examples have no annotations and are left out."


def left_out(trajectory: Trajectory) -> LeftOut:
    """Count what a run is without, by what its import or its callback noted.

    Args:
        trajectory: The run.

    Returns:
        The numbers; 0 where nothing was noted.
    """
    origin, counts = trajectory.origin, trajectory.manifest.get("counts", {})
    without = origin.get("without_annotations", counts.get("tracked_without_annotations", 0))
    unused = origin.get("not_recorded", counts.get("annotated_not_tracked", 0))
    return LeftOut(len(trajectory.example_ids), int(without), int(unused))
