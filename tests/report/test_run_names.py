from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contested.report.run_names import run_names

BASE = {
    "model": {"name": "models/roberta-base", "max_length": 128},
    "method": {"name": "lora", "r": 4, "dropout": 0.05},
    "training": {"learning_rate": 1e-3, "epochs": 5},
    "execution": {"threads": 1},
    "seed": 42,
    "name": "x",
}


def run(run_id: str = "id", **changes):
    """A run whose settings differ from the usual in dotted keys, with two underscores for a dot."""
    config = {key: dict(value) if isinstance(value, dict) else value for key, value in BASE.items()}
    for key, value in changes.items():
        head, _, tail = key.partition("__")
        if tail:
            config[head][tail] = value
        else:
            config[head] = value
    return SimpleNamespace(run_id=run_id, manifest={"config": config}, path=None)


def at(path: str, run_id: str):
    """A run of no settings in a folder."""
    return SimpleNamespace(run_id=run_id, manifest={}, path=Path(path))


FULL = {"method": {"name": "full"}}


def vera(rank: int) -> dict[str, Any]:
    return {"method": {"name": "peft", "type": "vera", "options": {"r": rank}}}


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        ([run()], ["LoRA r4, roberta-base"]),
        ([run(), run(**FULL)], ["LoRA r4", "full fine-tuning"]),
        ([run(), run(method__r=16)], ["LoRA r4", "LoRA r16"]),
        ([run(), run(training__learning_rate=2e-5)], ["1e−3", "2e−5"]),
        ([run(), run(method__r=16, training__learning_rate=2e-5)], ["LoRA r4, 1e−3", "LoRA r16, 2e−5"]),
        # A dropout that only one of two methods has says nothing beside the method.
        ([run(seed=1), run(seed=2, **FULL)], ["LoRA r4, seed 1", "full fine-tuning, seed 2"]),
        ([run(), run(method__dropout=0.1)], ["dropout 0.05", "dropout 0.1"]),
        ([run(), run(model__name="/x/bert-tiny")], ["roberta-base", "bert-tiny"]),
        ([run(model__name="/x/minilm/model")], ["LoRA r4, minilm"]),
        # Two runs of a method beside another one: what they differ in is told.
        (
            [run(**vera(64)), run(**vera(256)), run(**FULL)],
            ["vera, r 64", "vera, r 256", "full fine-tuning"],
        ),
        # Threads and the run's own name change nothing of the run.
        ([run("a", execution={"threads": 2}), run("b", name="y")], ["a", "b"]),
        ([run("a"), run("a")], ["a", "a (2)"]),
        ([SimpleNamespace(run_id="arrays", manifest={}, path=None)], ["arrays"]),
        # A hash tells nobody which run is which: the folder does, where there is one for each and they differ.
        ([at("runs/mine", "model-s0-9b0918f7"), at("runs/alert", "model-s0-1c55d1e0")], ["mine", "alert"]),
        ([at("runs/mine", "model"), at("runs/alert", "model")], ["mine", "alert"]),
        (
            [at("runs/mine", "low-s0-9b0918f7"), at("runs/alert", "high-s0-1c55d1e0")],
            ["low-s0-9b0918f7", "high-s0-1c55d1e0"],
        ),
        (
            [at("a/run", "model-s0-9b0918f7"), at("b/run", "model-s0-1c55d1e0")],
            ["model-s0-9b0918f7", "model-s0-1c55d1e0"],
        ),
        ([run("model-s0-9b0918f7"), at("runs/alert", "model-s0-1c55d1e0")], ["model-s0-9b0918f7", "model-s0-1c55d1e0"]),
    ],
)
def test_runs_are_named_by_what_differs(runs, names) -> None:
    assert run_names(runs) == names
