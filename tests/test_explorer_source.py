"""The explorer's own tests of what has no screen, run by Node where it is there."""

import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent / "explorer" / "test" / "pure.test.mjs"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed: the explorer's unit tests need it")
def test_the_explorers_conditions_sorting_address_and_scrolling() -> None:
    done = subprocess.run(["node", "--test", str(TESTS)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
