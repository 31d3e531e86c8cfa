"""A small run and a small study, and a machine on which disks fail and processes die."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# faulty.py and power_cut.py are no tests.
sys.path.insert(0, str(Path(__file__).parent))

from faulty import Machine, build

# 32 tracked examples and 40 others in batches of 6: 24 steps, tracked and probed at 0, 8, 16 and 24.
RUN: dict[str, Any] = {
    "training": {"epochs": 2, "batch_size": 6, "learning_rate": 5e-3},
    "tracking": {"every": 8},
    "probes": {"gradient_norms": "every", "every": 8},
    "execution": {"device": "cpu", "threads": 1},
}
METHODS: dict[str, dict[str, Any]] = {"lora": {"name": "lora", "r": 2}, "full": {"name": "full"}}


@pytest.fixture(scope="session")
def inputs(
    checkpoint: Callable[[str], Path], annotated: Any, write_task: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with lora.yaml and full.yaml, runs of 24 steps, study.yaml of the two, and losses.csv to import."""
    folder = tmp_path_factory.mktemp("inputs")
    shared = RUN | {
        "model": {"name": str(checkpoint("bert")), "max_length": 64},
        "task": write_task(folder),
    }
    for name, method in METHODS.items():
        (folder / f"{name}.yaml").write_text(json.dumps({**shared, "method": method}))
    study = {"name": "small", "defaults": shared, "axes": {"method": list(METHODS.values())}}
    (folder / "study.yaml").write_text(json.dumps(study))
    losses = [
        f"{step},{uid},{(step + index) % 7 / 7:.3f}"
        for step in (0, 8, 16)
        for index, uid in enumerate(annotated.example_ids)
    ]
    (folder / "losses.csv").write_text("\n".join(["step,example_id,loss", *losses]) + "\n")
    return folder


@pytest.fixture(scope="session")
def machine(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Does commands that meet faults; skips where none can be put in."""
    folder = tmp_path_factory.mktemp("machine")
    library = build(folder)
    if library is None:
        pytest.skip("faults need a C compiler (cc) and LD_PRELOAD, that is Linux")
    warm = [["train", inputs / f"{name}.yaml", "--out", f"WARM/{name}"] for name in METHODS]
    with Machine(library, folder, warm) as made:
        yield made
