"""Many architectures and methods: each right, or refused in a message; and the sweep itself sees what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

HERE = Path(__file__).parent
FEW = {"bert": "packed", "llama": "packed", "gpt2": "padded"}


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of single trials, found as the script that runs them finds it."""
    monkeypatch.syspath_prepend(HERE)
    import trial

    return trial


@pytest.fixture
def threads() -> Any:
    """One thread; the number is put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sweep(out: Path, *arguments: str, timeout: float) -> list[dict[str, Any]]:
    """What came of the pairs that arguments choose, each in a process of its own."""
    command = [sys.executable, HERE / "sweep.py", "--out", out, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    assert out.is_file(), done.stderr
    outcomes: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["outcomes"]
    assert len(done.stdout.splitlines()) == len(outcomes)
    return outcomes


def test_a_few_architectures_are_right(tmp_path: Path) -> None:
    outcomes = sweep(tmp_path / "few.json", "--only", "|".join(FEW), "--methods", "lora", timeout=120)
    assert {each["architecture"]: (each["outcome"], each["engine"]) for each in outcomes} == {
        name: ("right", engine) for name, engine in FEW.items()
    }
    assert all(each["difference"] < 1e-4 and each["gradient"] < 1e-3 for each in outcomes)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    ("name", "planted", "outcome"),
    [
        ("_last_logits", lambda found: (found[0] + np.float32(2e-4), found[1]), "wrong"),
        ("_last_logits", lambda found: (np.zeros_like(found[0]), found[1]), "blind"),
        ("_batch_against_single", lambda found: (found[0] + 2e-4, found[1]), "wrong"),
        ("_batch_against_single", lambda found: (found[0], found[1] + 2e-3), "wrong"),
        ("_batch_against_single", lambda found: found, "right"),
        ("_batch_against_single", lambda found: found[2], "traceback"),
    ],
)
def test_the_sweep_sees_what_is_planted(
    trial: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, planted: Any, outcome: str
) -> None:
    honest = getattr(trial, name)
    monkeypatch.setattr(trial, name, lambda *given: planted(honest(*given)))
    assert trial.attempt("bert", "full", {"name": "full"}, tmp_path).outcome == outcome


def test_what_is_refused_is_told_with_its_reason(trial: ModuleType, tmp_path: Path) -> None:
    outcome = trial.attempt("bert", "adalora", {"name": "adalora"}, tmp_path)
    assert (outcome.outcome, outcome.fault) == ("refused", False)
    assert "re-allocates its ranks" in outcome.said


def test_what_the_pages_are_made_from_has_no_fault_and_is_of_enough() -> None:
    found = json.loads((HERE.parents[1] / "docs" / "models.json").read_text(encoding="utf-8"))
    outcomes = found["outcomes"]
    assert set(found["packages"]) == {"torch", "transformers", "peft"}
    assert [each for each in outcomes if each["outcome"] not in {"right", "refused"}] == []
    right = [each for each in outcomes if each["outcome"] == "right"]
    assert len({each["architecture"] for each in right}) >= 60
    assert len({each["method"] for each in outcomes}) >= 40
    assert all(each["difference"] <= 1e-4 and each["gradient"] <= 1e-3 and each["engine"] for each in right)
    refused = [each["said"] for each in outcomes if each["outcome"] == "refused"]
    assert all(20 < len(said) < 1200 and said == " ".join(said.split()) for said in refused)


@pytest.mark.slow
def test_everything_is_right_or_refused(tmp_path: Path) -> None:
    outcomes = sweep(tmp_path / "all.json", timeout=5400)
    faults = [each for each in outcomes if each["outcome"] not in {"right", "refused"}]
    assert faults == []
    assert len({each["architecture"] for each in outcomes if each["outcome"] == "right"}) >= 60
    assert len({each["method"] for each in outcomes}) >= 40
