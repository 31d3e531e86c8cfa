"""The run folder of somebody else's training, where training resumes."""

from __future__ import annotations

from pathlib import Path

import pytest

from contested.errors import RunError
from contested.integrations.recording import check_no_hole


@pytest.mark.parametrize("steps", [[0, 4, 8], [0, 3, 4, 6, 8], [0, 4, 8, 10]])
def test_a_checkpoint_at_every_step_that_is_due_is_no_hole(steps: list[int]) -> None:
    check_no_hole(Path("run"), steps, 10, 4)


@pytest.mark.parametrize(
    ("steps", "hole"),
    [
        ([0, 4], "between the steps 4 and 10"),  # 8 was due
        ([0, 8], "between the steps 0 and 8"),
        ([4, 8], "between the steps 0 and 4"),  # 0 is always recorded
    ],
)
def test_a_step_that_was_due_and_has_no_checkpoint_is_named(steps: list[int], hole: str) -> None:
    with pytest.raises(RunError, match=f"resumes at step 10, but run has no checkpoint {hole}, and one every 4 was"):
        check_no_hole(Path("run"), steps, 10, 4)
