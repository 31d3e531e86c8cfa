"""Runs that share a process share data and tokens, and are the same runs as alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contested import runs
from contested.config import RunConfig, check_config
from contested.runs import DataCache, train_config
from contested.runs.prepare import prepare


@pytest.fixture
def config(checkpoint: Callable[[str], Path], write_task: Any, tmp_path: Path) -> Callable[..., RunConfig]:
    """Gives the configuration of a small run of files, with changes."""
    files = write_task(tmp_path, absolute=True)

    def make(*, kind: str = "bert", method: str = "lora", seed: int = 1, **task: Any) -> RunConfig:
        content = {
            "model": {"name": str(checkpoint(kind)), "max_length": 64},
            "method": {"name": method},
            "task": {**files, **task},
            "training": {"learning_rate": 5e-3, "epochs": 1, "batch_size": 8},
            "tracking": {"every": 3},
            "execution": {"threads": 1},
            "seed": seed,
        }
        return check_config(content, "of a test")

    return make


def left(run: Path) -> dict[str, Any]:
    """What a run leaves, but for times."""
    files = [*run.glob("checkpoints/*"), *run.glob("*/*.safetensors"), run / "examples.parquet"]
    manifest = json.loads((run / "manifest.json").read_text())
    return {
        **{str(file.relative_to(run)): file.read_bytes() for file in files},
        **{name: manifest[name] for name in ("identity", "counts", "checkpoints", "run_id")},
    }


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_among_others_is_the_run_it_is_alone(
    config: Callable[..., RunConfig], tmp_path: Path, method: str
) -> None:
    cache = DataCache()
    wanted = config(method=method)
    train_config(wanted, out=tmp_path / "alone")
    train_config(config(method=method, seed=2), out=tmp_path / "before", cache=cache)
    for name in ("first", "again"):
        train_config(wanted, out=tmp_path / name, cache=cache)
        assert left(tmp_path / name) == left(tmp_path / "alone")
    assert left(tmp_path / "before") != left(tmp_path / "alone")


def test_data_is_shared_only_where_it_is_the_same(
    config: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[RunConfig] = []
    load = runs.prepare.load_task
    monkeypatch.setattr(runs.prepare, "load_task", lambda given: (reads.append(given), load(given))[1])
    cache = DataCache()
    plain = cache.data(config())
    assert cache.data(config(seed=2, method="full", kind="roberta")) is plain
    assert len(reads) == 1
    # What a seed decides is not shared between seeds.
    noisy = {"noise": {"share": 0.9, "rule": "uniform"}}
    assert cache.data(config(seed=1, **noisy)).fingerprint != cache.data(config(seed=2, **noisy)).fingerprint
    # Two later data sets have taken the place of the first.
    again = cache.data(config())
    assert again is not plain
    assert again.fingerprint == plain.fingerprint
    people = tmp_path / "people.jsonl"
    people.write_text("\n".join(people.read_text().splitlines()[1:]) + "\n")
    changed = cache.data(config())
    assert len(changed.examples) == len(plain.examples) - 1


def test_tokens_are_those_of_the_checkpoint_and_the_length(config: Callable[..., RunConfig]) -> None:
    cache = DataCache()
    bert, decoder = config(), config(kind="qwen2")
    data = cache.data(bert)
    tokens = prepare(bert, data, cache).encoded
    assert prepare(config(seed=2), data, cache).encoded is tokens
    shorter = bert.model_copy(update={"model": bert.model.model_copy(update={"max_length": 6})})
    for other in (decoder, shorter):
        found, alone = prepare(other, data, cache).encoded, prepare(other, data).encoded
        assert found is not tokens
        assert np.array_equal(found.train.input_ids, alone.train.input_ids)
        assert np.array_equal(found.train.offsets, alone.train.offsets)


def test_a_run_sets_its_process_up(config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr("contested.runs.prepare.keep_freed_memory", lambda: kept.append(True))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        made = config()
        prepare(made, DataCache().data(made))
        assert torch.get_num_threads() == 1  # as `execution.threads` says
    finally:
        torch.set_num_threads(before)
    assert kept == [True]
