"""What the tests on real clusters share: a study of their size, commands, and what its results are held against."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def contested() -> Callable[..., str]:
    """Runs a command that has to succeed, and gives what it says."""

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "contested", *arguments], capture_output=True, text=True, check=False, timeout=1200
        )
        assert done.returncode == 0, done
        return done.stdout

    return call


@pytest.fixture
def write_study(tmp_path: Path, contested: Callable[..., str]) -> Callable[..., Path]:
    """Writes a study of runs of some seconds each, on data and an encoder as files: six for each seed."""

    def write(name: str, *, epochs: int, seeds: list[int]) -> Path:
        contested("demo", "--files", "--out", str(tmp_path / "start"))
        task: dict[str, Any] = {
            "annotated": {"path": "start/annotated.jsonl"},
            "bulk": {"path": "start/bulk.jsonl", "size": 900},
        }
        content = {
            "name": name,
            "defaults": {
                "model": {"name": "start/encoder", "max_length": 64},
                "task": task,
                "training": {"epochs": epochs},
                "tracking": {"every": 20},
                "execution": {"threads": 1},
            },
            "axes": {
                "method": ["full", {"name": "lora", "r": 4}],
                "training.learning_rate": [1.0e-3, 2.0e-3, 5.0e-3],
                "seed": seeds,
            },
        }
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        return file

    return write


@pytest.fixture
def begin_alone(tmp_path: Path, contested: Callable[..., str]) -> Iterator[Callable[[Path], Callable[[Path], None]]]:
    """Begins a study that nothing happens to, beside the one that is tried.

    What it returns holds the results of a study's folder against its: the same bytes.
    """
    with ThreadPoolExecutor(1) as beside:

        def results(folder: Path) -> bytes:
            contested("analyze", str(folder), "--resamples", "50")
            return (folder / "results" / "results.json").read_bytes()

        def run(file: Path) -> bytes:
            contested("study", "run", str(file), "--out", str(tmp_path / "alone"), "--jobs", "1")
            return results(tmp_path / "alone")

        def begin(file: Path) -> Callable[[Path], None]:
            wanted = beside.submit(run, file)

            def check(out: Path) -> None:
                assert results(out) == wanted.result()

            return check

        yield begin
