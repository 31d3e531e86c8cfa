"""What the workers of a study on Ray say of their runs, in one place; needs no Ray."""

from __future__ import annotations

from collections.abc import Mapping

from contested.studies.execute import JobStatus

LIVES = 2
"""Workers that may be lost with a run before it has failed, if it comes no further in between."""
_DIED = (
    "its worker on Ray was lost twice at the same place, perhaps for lack of memory (ask for more with -- --num-cpus, "
    "so that fewer work at once). The same command resumes it."
)


class Board:
    """What the workers say of the runs that they take; an actor."""

    def __init__(self) -> None:
        self._statuses: dict[str, JobStatus] = {}
        self._of: dict[str, int] = {}  # run id to the worker that took it last
        self._deaths: dict[str, int] = {}  # of the workers that trained a run, since it came further
        self._at_work: set[int] = set()
        self._news: set[str] = set()
        self._lost: list[int] = []

    def begin(self, worker: int) -> dict[str, int]:
        """Note that a worker begins: if it had not ended, it was lost, and what it trained waits for somebody.

        A run that is lost with its worker again, and has come no further in between, has failed.

        Args:
            worker: Its number.

        Returns:
            Run id to how many workers were lost with it in a row.
        """
        if worker in self._at_work:
            self._lost.append(worker)
            left = [run_id for run_id, of in self._of.items() if of == worker and self._is_trained(run_id)]
            self.tell(worker, {run_id: _lost_with(self._count(run_id)) for run_id in left})
        self._at_work.add(worker)
        return dict(self._deaths)

    def tell(self, worker: int, said: Mapping[str, JobStatus]) -> None:
        """Note what a worker says of runs.

        Args:
            worker: Its number.
            said: Run id to status.
        """
        for run_id, status in said.items():
            by_another = self._of.get(run_id, worker) != worker and self._is_trained(run_id)
            # It failed with this worker, and another one tries it once more.
            if by_another and status.state == "failed":
                continue
            if by_another and status.state == "running":  # which was lost, and has not begun again
                self._count(run_id)
            self._statuses[run_id], self._of[run_id] = status, worker
            self._news.add(run_id)

    def end(self, worker: int, said: Mapping[str, JobStatus]) -> None:
        """Note that a worker ends.

        Args:
            worker: Its number.
            said: What it says at last.
        """
        self.tell(worker, said)
        self._at_work.discard(worker)

    def news(self) -> tuple[dict[str, JobStatus], list[int]]:
        """What was said since this was asked last.

        Returns:
            Run id to status, and the workers that were lost and have begun again.
        """
        news, lost = {run_id: self._statuses[run_id] for run_id in self._news}, self._lost
        self._news, self._lost = set(), []
        return news, lost

    def _count(self, run_id: str) -> int:
        """Count a worker that was lost with a run."""
        came_further = self._statuses[run_id].checkpoint > 0
        self._deaths[run_id] = 1 if came_further else self._deaths.get(run_id, 0) + 1
        return self._deaths[run_id]

    def _is_trained(self, run_id: str) -> bool:
        return self._statuses[run_id].state == "running"


def _lost_with(deaths: int) -> JobStatus:
    """What becomes of a run that was lost with so many workers in a row."""
    return JobStatus() if deaths < LIVES else JobStatus("failed", message=_DIED)
