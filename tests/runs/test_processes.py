"""Several processes train the run that one trains: stopped, killed, failing, and resumed by another number of them."""

from __future__ import annotations

import json
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import contested as ct
from contested.trajectories import inspect_run, layout

WORKER = Path(__file__).with_name("process.py")
# 41 of 73 examples that train are bulk, in steps of 8: of the tenth step's one example a process has none.
OPTIONS: dict[str, Any] = {
    "training": {"learning_rate": 1e-3, "epochs": 1, "batch_size": 8},
    "tracking": {"every": 4},
    "execution": {"threads": 1, "device": "cpu"},
    "max_length": 60,
}

Train = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def together(
    checkpoint: Callable[[str], Path],
    annotated: Any,
    bulk: Any,
    forkserver: Any,
    meeting: Callable[[int], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Train:
    """Trains a small run in so many processes, and gives what each of them that failed said."""
    task = ct.NLITask(annotated=annotated, bulk=bulk, bulk_size=41)
    cache = str(tmp_path_factory.mktemp("cache"))

    def train(size: int, out: Path, *, kind: str = "bert", method: Any = None, **job: Any) -> dict[str, str]:
        environment = meeting(size) | {"CONTESTED_CACHE": cache}
        given = {"model": str(checkpoint(kind)), "method": method or ct.LoRA(r=2), "task": task, "out": out}
        options = {**OPTIONS, **job.pop("options", {})}
        started = []
        for rank in range(size):
            told = (rank, environment, {**given, "options": options, **job})
            process = forkserver.Process(target=runpy.run_path, args=(str(WORKER), {"GIVEN": told}, "__main__"))
            process.start()
            started.append(process)
        for process in started:
            process.join(120)
            assert process.exitcode is not None
        errors = {file.stem: file.read_text() for file in out.parent.glob("error-*.txt")}
        for name in errors:
            (out.parent / f"{name}.txt").unlink()
        return errors

    return train


def check_equal(run: Path, alone: Path) -> None:
    found, expected = ct.Trajectory.load(run), ct.Trajectory.load(alone)
    assert (found.status, found.steps.tolist()) == ("complete", expected.steps.tolist())
    assert list(found.example_ids) == list(expected.example_ids)
    np.testing.assert_allclose(found.required("losses"), expected.required("losses"), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.required("logits"), expected.required("logits"), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.metrics["train_loss"], expected.metrics["train_loss"], rtol=1e-6)
    np.testing.assert_array_equal(found.metrics["val_accuracy"], expected.metrics["val_accuracy"])
    assert inspect_run(run).damage == ()
    # They went somewhere: what is compared is not the start.
    assert np.abs(expected.required("logits")[-1] - expected.required("logits")[0]).max() > 0.02


def check_equal_gradients(run: Path, alone: Path) -> None:
    found, expected = (ct.Trajectory.load(path).gradients for path in (run, alone))
    assert found is not None
    assert expected is not None
    assert found.steps.tolist() == expected.steps.tolist() == [0, 4, 8, 10]
    np.testing.assert_allclose(found.norms[0], expected.norms[0], rtol=1e-6)
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-5)  # of weights that are equal to rounding
    numbers = ["cosine", "norm", "norm_reference", "n", "n_reference"]
    np.testing.assert_allclose(found.alignment[numbers], expected.alignment[numbers], rtol=1e-5, atol=1e-6)


def test_two_processes_train_what_one_trains_also_stopped_and_resumed_by_three(together: Train, tmp_path: Path) -> None:
    runs = {name: tmp_path / name / "run" for name in ("one", "some", "full", "full-alone")}
    for run in runs.values():
        run.parent.mkdir()
    probes = {"options": {"probes": {"gradient_norms": "every", "every": 4, "mode": "train"}}}
    assert together(1, runs["one"], **probes) == {}
    # The second process is asked to stop: both do, after the same step, with one snapshot.
    stopped = together(2, runs["some"], at=5, signal=signal.SIGINT, **probes)
    assert set(stopped) == {"error-0", "error-1"}
    assert len({*stopped.values()}) == 1
    assert stopped["error-0"].startswith("Interrupted: interrupted after step ")
    assert json.loads((runs["some"] / layout.MANIFEST).read_text())["status"] == "interrupted"
    assert together(3, runs["some"], **probes) == {}
    check_equal(runs["some"], runs["one"])
    check_equal_gradients(runs["some"], runs["one"])
    manifest = json.loads((runs["some"] / layout.MANIFEST).read_text())
    assert manifest["provenance"]["processes"] == 2
    assert any("resumed with processes 3 instead of 2" in note for note in manifest["notes"])
    for name, size in (("full-alone", 1), ("full", 2)):
        rate = {"training": {**OPTIONS["training"], "learning_rate": 2e-4}}
        assert together(size, runs[name], method="full", options=rate) == {}
    check_equal(runs["full"], runs["full-alone"])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_killed_run_resumed_by_any_number_of_processes_ends_the_same(
    together: Train, tmp_path: Path, method: str
) -> None:
    given = {"method": method, "options": {"training": {**OPTIONS["training"], "learning_rate": 2e-4}}}
    alone, killed = tmp_path / "alone" / "run", tmp_path / "killed" / "run"
    for run in (alone, killed):
        run.parent.mkdir()
    assert together(1, alone, **given) == {}
    # The first process cannot speak of it; the second one is lost and says nothing.
    errors = together(2, killed, at=6, signal=signal.SIGKILL, **given)
    assert "RunError: Process 0 of 2 (counted from 0) waited in vain" in errors["error-0"]
    manifest = json.loads((killed / layout.MANIFEST).read_text())
    assert (manifest["status"], [listed["step"] for listed in manifest["checkpoints"]]) == ("failed", [0, 4])
    for size in (1, 2, 3):
        run = tmp_path / f"resumed-{size}" / "run"
        shutil.copytree(killed.parent, run.parent)
        assert together(size, run, **given) == {}
        check_equal(run, alone)


@pytest.mark.slow
def test_a_process_that_fails_stops_all_and_the_first_one_says_why(together: Train, tmp_path: Path) -> None:
    run = tmp_path / "run"
    errors = together(2, run, breaks="fails")
    assert errors["error-1"] == "RuntimeError: out of memory"
    said = "Of 2 processes that trained together (counted from 0) one failed: process 1: RuntimeError: out of memory."
    assert errors["error-0"].startswith(f"RunError: {said} The others stopped.")
    manifest = json.loads((run / layout.MANIFEST).read_text())
    assert manifest["status"] == "failed"
    assert manifest["error"].startswith(said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        ("seed", "Process 1 was given another run than process 0"),
        ("backbone", "do not compute the same. Give all of them the same checkpoint and packages:"),
        ("drifts", "The processes of the training hold different weights after step 4: process 1 and process 0."),
    ],
)
def test_processes_that_do_not_agree_stop(together: Train, tmp_path: Path, breaks: str, said: str) -> None:
    errors = together(2, tmp_path / "run", breaks=breaks)
    assert said in errors["error-0"]
    assert said in errors["error-1"]


@pytest.mark.slow
def test_what_several_processes_would_train_otherwise_is_refused(together: Train, tmp_path: Path) -> None:
    # A prompt's tokens belong to no example: what they drop is drawn for the batch.
    errors = together(2, tmp_path / "run", method={"name": "prompt_tuning", "num_virtual_tokens": 3})
    assert "cannot be trained by several processes: in training, half of a batch gives logits" in errors["error-0"]
    assert errors["error-1"] == errors["error-0"]


@pytest.mark.slow
def test_processes_with_a_share_of_the_frozen_weights_train_what_one_with_all_trains(
    together: Train, tmp_path: Path
) -> None:
    alone, spread = tmp_path / "alone" / "run", tmp_path / "spread" / "run"
    for run in (alone, spread):
        run.parent.mkdir()
    execution = {"execution": {**OPTIONS["execution"], "fsdp": True}}
    assert together(1, alone) == {}
    stopped = together(2, spread, at=5, signal=signal.SIGINT, options=execution)
    assert stopped["error-1"].startswith("Interrupted: interrupted after step ")
    for rank in range(2):
        held, total = map(int, (spread.parent / f"held-{rank}").read_text().split())
        assert held < 0.6 * total
    assert together(3, spread, options=execution) == {}
    check_equal(spread, alone)
    manifest = json.loads((spread / layout.MANIFEST).read_text())
    assert manifest["baseline"] == "the model's weights are spread over processes"
    assert manifest["checks"]["weights"]["largest_difference"] < 1e-5
    problems = together(2, tmp_path / "run", method="full", options=execution)
    assert "method full freezes nothing; choose lora or another adapter" in problems["error-0"]


def test_weights_are_not_spread_over_one_process(together: Train, tmp_path: Path) -> None:
    errors = together(1, tmp_path / "run", options={"execution": {"threads": 1, "fsdp": True}})
    assert "there is one process; start several with torchrun" in errors["error-0"]


@pytest.mark.slow
def test_torchrun_trains_and_says_once_what_goes_wrong(
    checkpoint: Callable[[str], Path], write_task: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    config = {
        "model": {"name": str(checkpoint("bert")), "max_length": 60},
        "task": write_task(tmp_path),
        "training": {"epochs": 1},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(config))
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]

    def train(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*start, "contested", "train", "run.yaml", "--out", "run", "execution.device=cpu", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    refused = train("training.nothing=1")
    assert refused.returncode != 0
    assert refused.stderr.count("training.nothing: unknown key") == 1
    done = train()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is complete: run") == 1
    assert json.loads((tmp_path / "run" / layout.MANIFEST).read_text())["provenance"]["processes"] == 2
    assert train().stdout.count("was already complete: run") == 1
