"""Memory that a run frees stays its own; seen in a process of its own, since it is set for a whole process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS_OF_A_SECOND_PASS = """
import resource

import torch

from contested.runs.prepare import keep_freed_memory

keep_freed_memory()


def layers():
    for _ in range(5):
        torch.ones(3000, 1536)  # 18 MB = 4,500 pages


layers()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
layers()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> int:
    """Pages that the system had to hand out in a second pass over the same layers."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS_OF_A_SECOND_PASS],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator that is set up is glibc's")
def test_freed_memory_is_used_again_without_asking_the_system() -> None:
    assert faults() < 500  # less than a ninth of one layer's pages, of five layers


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator that is set up is glibc's")
def test_an_allocator_that_its_user_set_up_is_left_alone() -> None:
    assert faults(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072") > 10_000
