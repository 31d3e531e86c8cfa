"""Who is at work on a study, and what is left of it in time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from contested.studies.cells import Cell
from contested.studies.folder import StudyFolder
from contested.studies.times import Times, learn, left
from contested.trajectories import Holder, holder


class Progress(NamedTuple):
    """How far a study is.

    Attributes:
        holders: Run id to who holds the run now; runs that nobody holds are not in it.
        left: Run id to seconds that are left of it, as finished runs let expect; NaN where none is finished. Complete
            runs are not in it.
    """

    holders: Mapping[str, Holder]
    left: Mapping[str, float]

    @property
    def workers(self) -> int:
        """Processes that train now, by all that is known; one may train several runs together."""
        return len({(held.host, held.pid) for held in self.holders.values() if held.alive is not False})

    @property
    def seconds(self) -> float:
        """What is left of the study at the present number of workers; NaN where unknown or nobody is at work.

        It takes no less than the longest run that is left.
        """
        if not self.left:
            return 0.0
        if not self.workers:
            return math.nan
        return max(math.fsum(self.left.values()) / self.workers, max(self.left.values()))


def progress(folder: StudyFolder, cells: Sequence[Cell], times: Times | None = None) -> Progress:
    """Find out how far a study is.

    Args:
        folder: Its folder.
        cells: Its runs.
        times: What finished runs took; learned here where not given.

    Returns:
        Who is at work, and what is left.
    """
    times = learn(folder, cells) if times is None else times
    to_do = [cell for cell in cells if folder.states[cell.run_id].status != "complete"]
    found = {cell.run_id: holder(folder.folder(cell)) for cell in to_do}
    return Progress(
        {run_id: held for run_id, held in found.items() if held is not None},
        {cell.run_id: left(cell, folder.states[cell.run_id].epoch, times.seconds_of(cell)) for cell in to_do},
    )
