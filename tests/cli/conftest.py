"""A small run as files, and commands that must fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contested.cli import main

SMALL = {"training": {"epochs": 1, "batch_size": 8}, "tracking": {"every": 4}, "execution": {"threads": 1}}


@pytest.fixture
def config(checkpoint: Callable[[str], Path], write_task: Any, tmp_path: Path) -> Path:
    content = {
        "model": {"name": str(checkpoint("bert")), "max_length": 64},
        "task": write_task(tmp_path),
        **SMALL,
    }
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps(content))
    return file


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail with a text on stderr alone, and gives that text."""

    def run(*argv: object, code: int = 2) -> str:
        assert main([str(part) for part in argv]) == code
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        assert shown.out == ""
        return shown.err

    return run
