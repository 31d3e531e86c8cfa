"""Workers of studies that are there at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from contested.studies import local


@pytest.fixture(autouse=True, scope="module")
def forked_workers(forkserver: Any) -> Iterator[None]:
    """Workers that are copies of one process.

    Studies that are run as a command of their own, and those of ``test_workers``, have workers as users have them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_PROCESSES", forkserver)
        yield
