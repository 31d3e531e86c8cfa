"""Aggregates for experiment trackers: numbers against a slow reference, and real local files."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from contested.integrations.reporting import Aggregates, Reporter

LOSSES = np.array([[1.0, 2.0, 3.0, 6.0], [0.5, 1.0, 4.0, 6.5], [0.2, 1.4, 5.0, 5.4]])
ENTROPY = np.array([0.0, 0.9, 0.3, 0.6])
GROUPS = {"clean": np.array([True, False, True, False]), "contested": ~np.array([True, False, True, False])}


def test_aggregates_of_every_checkpoint_against_a_slow_reference() -> None:
    aggregates = Aggregates({**GROUPS, "none": np.zeros(4, bool)}, ENTROPY)
    for step, losses in enumerate(LOSSES):
        rho = stats.spearmanr(LOSSES[: step + 1].mean(axis=0), ENTROPY).statistic
        expected = {
            "contested/loss/overall": losses.mean(),
            "contested/loss/clean": (losses[0] + losses[2]) / 2,
            "contested/loss/contested": (losses[1] + losses[3]) / 2,
            "contested/loss_change/overall": losses.mean() - 3.0,
            "contested/loss_change/clean": (losses[0] + losses[2]) / 2 - 2.0,
            "contested/loss_change/contested": (losses[1] + losses[3]) / 2 - 4.0,
            "contested/rho": rho,
        }
        assert aggregates.add(losses) == pytest.approx(expected)


def test_what_is_undefined_is_left_out() -> None:
    # Equal entropies have no ranks; without annotators there are none.
    for entropy in (np.ones(4), None):
        assert set(Aggregates({}, entropy).add(LOSSES[0])) == {
            "contested/loss/overall",
            "contested/loss_change/overall",
        }


def report(reporter: Reporter, first: int = 0) -> None:
    for step in range(first, 3):
        reporter.log({"contested/loss/a (b)": float(step)}, step * 10)
    reporter.alert("a (b)", "It rose.", 20)
    reporter.close()


def read_events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_tensorboard_files_hold_them_each_step_once_also_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(Reporter(["tensorboard"], output_dir=tmp_path))
    report(Reporter(["tensorboard"], output_dir=tmp_path, after=0), first=1)
    events = read_events(tmp_path / "runs" / "contested")
    found = [(event.step, event.value) for event in events.Scalars("contested/loss/a (b)")]
    assert found == [(0, 0.0), (10, 1.0), (20, 2.0)]
    *_, text = events.Tensors("contested/alert/text_summary")
    assert (text.step, text.tensor_proto.string_val[0]) == (20, b"It rose.")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "elsewhere"))
    report(Reporter(["tensorboard"], output_dir=tmp_path))
    assert len(read_events(tmp_path / "elsewhere" / "contested").Scalars("contested/loss/a (b)")) == 3


def test_a_tracker_without_a_run_is_named_and_none_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # MLflow's log_metrics would begin one; what is written where there is one: test_watching.
    fake_mlflow = ModuleType("mlflow")
    fake_mlflow.active_run = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", fake_mlflow)
    fake_wandb(monkeypatch, None)
    with pytest.warns(UserWarning, match="no longer go to") as told:
        assert Reporter(["mlflow", "wandb"], output_dir=tmp_path).names == ()
    reasons = [str(warning.message).split(": ", 1)[1].split(".")[0] for warning in told]
    assert reasons == ["RuntimeError: MLflow has no active run", "RuntimeError: Weights & Biases has no run"]


def fake_wandb(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    module = ModuleType("wandb")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)


def test_weights_and_biases_gets_them_on_the_trainers_axis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    fake_wandb(monkeypatch, SimpleNamespace(log=told.append, alert=lambda **given: told.append(given)))
    report(Reporter(["wandb"], output_dir=tmp_path))
    assert told == [
        *({"contested/loss/a (b)": float(step), "train/global_step": step * 10} for step in range(3)),
        {"title": "Loss has risen: a (b)", "text": "It rose."},
    ]


def test_only_what_is_named_gets_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_wandb(monkeypatch, None)  # would warn if it were asked
    for names in ([], ["none"], ["codecarbon"]):
        report(Reporter(names, output_dir=tmp_path))
    assert not list(tmp_path.iterdir())
    with pytest.warns(UserWarning, match="report_to names comet_ml, which"):
        assert Reporter(["comet_ml", "tensorboard"], output_dir=tmp_path).names == ("tensorboard",)


def test_a_tracker_that_fails_is_named_once_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(values: Any) -> None:
        raise OSError("no route to host")

    fake_wandb(monkeypatch, SimpleNamespace(log=fail, alert=fail))
    with pytest.warns(UserWarning, match="wandb") as told:
        report(Reporter(["wandb", "tensorboard"], output_dir=tmp_path))
    assert [str(warning.message) for warning in told] == [
        "Aggregates of the tracked examples no longer go to wandb: OSError: no route to host. Training and the run "
        "folder go on without it."
    ]
    assert len(read_events(tmp_path / "runs" / "contested").Scalars("contested/loss/a (b)")) == 3
