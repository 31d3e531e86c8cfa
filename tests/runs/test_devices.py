"""Where a run computes, alone and in several processes."""

from __future__ import annotations

import pytest
import torch

from contested.config import check_config
from contested.errors import ConfigError
from contested.runs.devices import check_sharding, device_of, pick_device
from contested.training import Processes


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


def one_of_three(local_rank: int) -> Processes:
    processes = Processes(local_rank=local_rank)
    processes.size = 3  # as if the others were there
    return processes


def test_a_device_that_is_not_there_is_refused_with_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"'cuda:1', which is not available on this machine \(available: cpu\)"):
        pick_device("cuda:1")
    for unknown in ("tpu", "meta"):
        with pytest.raises(ConfigError, match="expected auto, cpu, cuda, cuda:N or mps"):
            pick_device(unknown)


@pytest.mark.usefixtures("two_gpus")
def test_each_process_takes_its_own_gpu_unless_one_is_given_by_number() -> None:
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    assert device_of(Processes(), "auto") == torch.device("cuda")
    assert [device_of(one_of_three(rank), "auto").index for rank in (0, 1)] == [0, 1]
    assert device_of(one_of_three(1), "cuda:0") == torch.device("cuda", 0)
    assert device_of(one_of_three(2), "cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="more processes on this machine than its 2 GPUs"):
        device_of(one_of_three(2), "cuda")
    with pytest.raises(ConfigError, match="'cuda:2', which is not available"):
        pick_device("cuda:2")


def test_several_processes_do_not_train_on_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert device_of(Processes(), "mps") == torch.device("mps")
    with pytest.raises(ConfigError, match="Several processes cannot train on mps"):
        device_of(one_of_three(0), "mps")


def test_everything_that_does_not_go_with_spread_weights_is_said_at_once() -> None:
    content = {"model": {"name": "none"}, "task": {"annotated": {"path": "people.jsonl"}}}
    spread = {"execution": {"fsdp": True}}
    check_sharding(check_config({**content, **spread}, "of a test"), one_of_three(0))
    wrong = {"method": "full", "training": {"precision": "bfloat16"}}
    for probes in ({"gradient_norms": "end"}, {"every": 4}):
        with pytest.raises(ConfigError) as refused:
            check_sharding(check_config({**content, **spread, **wrong, "probes": probes}, "of a test"), Processes())
        said = ("there is one process", "method full", "training.precision is bfloat16", "gradient probes")
        assert len(refused.value.problems) == len(said)
        assert all(map(str.startswith, refused.value.problems, said))
    check_sharding(check_config({**content, **wrong}, "of a test"), Processes())
