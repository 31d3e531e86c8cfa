"""Workers of studies that are there at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import pytest

from contested.studies import local


@pytest.fixture(autouse=True, scope="module")
def forked_workers() -> Iterator[None]:
    """Workers that are copies of one process that has imported what trains, which takes each of its own seconds.

    Studies that are run as a command of their own, and those of ``test_workers``, have workers as users have them.
    """
    multiprocessing.set_forkserver_preload(["contested.runs"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_PROCESSES", multiprocessing.get_context("forkserver"))
        yield
