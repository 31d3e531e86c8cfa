"""The alert of a run that ``contested train`` trains: raised once, recorded, ending training where it is to."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import contested as ct
from contested.analysis import run_alerts
from contested.analysis.watch import MARGIN
from contested.config import check_config
from contested.options import AlertSection
from contested.runs import Progress, RunResult, train_stacked

# 96 tracked examples, of which 10, 23 and 63 in the categories, and at a rate so high that losses rise: 21 steps.
RECIPE: dict[str, Any] = {
    "training": {"learning_rate": 3e-2, "epochs": 3, "batch_size": 16, "warmup_fraction": 0.0},
    "tracking": {"every": 2},
    "execution": {"threads": 1},
}
TASK: dict[str, Any] = {"composition": "low", "class_weights": False}
STEPS = [0, 2, 4, 6, 7, 8, 10, 12, 14, 16, 18, 20, 21]
NOT_WATCHED = "The loss of clean examples is not watched: 10 independent examples: too few to test (20 needed)."
ROSE = "Mean loss of {} examples rose above its start: at step {} by"


@pytest.fixture
def train(
    checkpoint: Callable[[str], Path], annotated_of: Callable[[int], ct.Annotations], bulk: Any, tmp_path: Path
) -> Callable[..., RunResult]:
    task = ct.NLITask(annotated=annotated_of(120), bulk=bulk.assign(label="neutral"), bulk_size=90, **TASK)

    def run(out: str = "run", **options: Any) -> RunResult:
        given = {"max_length": 60, **RECIPE, **options}
        return ct.train(str(checkpoint("bert")), ct.Full(), task, out=tmp_path / out, **given)

    return run


def alarms_of(result: RunResult) -> list[Any]:
    return [(alarm["category"], alarm["step"]) for alarm in result.trajectory.manifest["alarms"]]


def weights(result: RunResult) -> bytes:
    return (result.path / "model" / "model.safetensors").read_bytes()


def quiet(**_: Any) -> Callable[[Progress], None]:
    return lambda progress: None


def test_alarms_are_warned_of_once_recorded_and_those_of_the_finished_folder(train: Callable[..., Any]) -> None:
    with pytest.warns(UserWarning, match="above its start") as told:
        result = train(name="mine")
    sentences = [str(warning.message) for warning in told]
    assert sentences[0] == f"mine: {NOT_WATCHED}"
    assert [sentence.split(" by ")[0] + " by" for sentence in sentences[1:]] == [
        f"mine: {ROSE.format(name, step)}" for name, step in (("contested", 4), ("ambiguous", 6))
    ]
    trajectory = result.trajectory
    assert trajectory.steps.tolist() == STEPS
    found = run_alerts(trajectory)
    expected = [(name, alert.first) for name, alert in found.items() if alert.first is not None]
    assert sorted(alarms_of(result)) == expected == [("ambiguous", 6), ("contested", 4)]
    (alarm, _) = trajectory.manifest["alarms"]
    assert alarm["rise"] == pytest.approx(found["contested"].estimate[1], abs=1e-6)
    assert (alarm["n"], alarm["level"], f"mine: {alarm['message']}") == (63, 0.05, sentences[1])


def test_training_does_not_notice_and_may_go_without(train: Callable[..., Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        without = train("without", alert={"level": None})
    watched = train("watched", on_progress=quiet())
    assert without.trajectory.manifest["alarms"] == []
    assert weights(without) == weights(watched)
    np.testing.assert_array_equal(without.trajectory.losses, watched.trajectory.losses)


def test_an_alarm_may_end_training(train: Callable[..., Any]) -> None:
    whole, seen = train("whole", on_progress=quiet()), []
    stopped = train("stopped", alert={"stop": True}, on_progress=seen.append)
    assert (stopped.status, stopped.ended_by, whole.ended_by) == ("complete", "alert", "")
    assert stopped.trajectory.steps.tolist() == [0, 2, 4]
    np.testing.assert_array_equal(stopped.trajectory.logits, whole.trajectory.logits[:3])
    assert alarms_of(stopped) == [("contested", 4)]
    assert (seen[-1].step, seen[-1].total_steps) == (4, 21)
    assert [alarm.category for alarm in seen[-1].alarms] == ["contested"]
    assert seen[0].unwatched == (NOT_WATCHED,)
    again = train("stopped", alert={"stop": True})
    assert (again.trained, again.ended_by) == (False, "alert")
    assert weights(stopped) != weights(whole)
    ct.analyze(stopped.trajectory)


class KilledError(Exception):
    pass


def kill(at: int, *, checkpoint: bool = False) -> Callable[[Progress], None]:
    def told(progress: Progress) -> None:
        if (progress.checkpoint if checkpoint else progress.step) == at:
            raise KilledError

    return told


def manifest_of(result: RunResult) -> dict[str, Any]:
    kept = ("run_id", "status", "checkpoints", "alarms", "planned_steps", "ended_by", "identity")
    return {key: value for key, value in result.trajectory.manifest.items() if key in kept}


@pytest.mark.parametrize(("killer", "again"), [(kill(3), False), (kill(9), True)], ids=["before", "after"])
def test_a_killed_run_resumes_to_the_same_alarms(train: Callable[..., Any], killer: Any, again: bool) -> None:
    whole = train("whole", on_progress=quiet())
    with pytest.raises(KilledError):
        train("killed", on_progress=killer)
    with pytest.warns(UserWarning, match="contested examples rose above its start: at step 4") as told:
        resumed = train("killed")
    assert manifest_of(resumed) == manifest_of(whole)
    # Whoever resumes is told what was found before.
    assert len([warning for warning in told if "rose above" in str(warning.message)]) == 2
    np.testing.assert_array_equal(resumed.trajectory.losses, whole.trajectory.losses)


def test_killed_between_alarm_and_end_it_ends_there_when_resumed(train: Callable[..., Any]) -> None:
    stop = {"stop": True}
    whole = train("whole", alert=stop, on_progress=quiet())
    with pytest.raises(KilledError):
        train("killed", alert=stop, on_progress=kill(4, checkpoint=True))
    resumed = train("killed", alert=stop, on_progress=quiet())
    assert manifest_of(resumed) == manifest_of(whole)
    assert weights(resumed) == weights(whole)


def test_what_belongs_together_may_be_a_column(train: Callable[..., Any]) -> None:
    result = train(alert={"clusters": "genre", "level": 0.01, "margin": 0.3}, on_progress=quiet())
    # Two genres are two independent examples, of which nothing can be said.
    assert result.trajectory.manifest["alarms"] == []
    # Whoever asks afterwards asks as the run did.
    found = run_alerts(result.trajectory)
    assert {(alert.n_clusters, alert.level) for alert in found.values()} == {(2, 0.01)}
    assert run_alerts(result.trajectory, level=0.02)["contested"].level == 0.02
    used = {"level": 0.01, "margin": 0.3, "clusters": "genre", "shared_texts": [], "n_clusters": 2}
    assert result.trajectory.manifest["alert"] == used
    assert train("lenient", alert={"margin": 50.0}, on_progress=quiet()).trajectory.manifest["alarms"] == []
    assert AlertSection().margin == MARGIN
    with pytest.raises(ct.DataError, match=r"no column 'gender'; they have .*genre"):
        train("other", alert={"clusters": "gender"})


def test_a_run_that_ends_leaves_those_trained_with_it(
    checkpoint: Callable[[str], Path], annotated_of: Callable[[int], ct.Annotations], bulk: Any, tmp_path: Path
) -> None:
    people = annotated_of(120)
    people.fields.assign(uid=people.example_ids, label_counts=people.label_counts.tolist()).to_json(
        tmp_path / "people.jsonl", orient="records", lines=True
    )
    bulk.assign(label="neutral").to_json(tmp_path / "bulk.jsonl", orient="records", lines=True)

    def config(seed: int, *, stop: bool) -> Any:
        content = {
            "model": {"name": str(checkpoint("bert")), "max_length": 64},
            "method": {"name": "lora", "r": 4},
            "task": {
                "annotated": {"path": str(tmp_path / "people.jsonl"), "options": {"label_names": people.label_names}},
                "bulk": {"path": str(tmp_path / "bulk.jsonl"), "size": 90},
                **TASK,
            },
            **RECIPE,
            "alert": {"stop": stop},
            "seed": seed,
        }
        return check_config(content, "of a test")

    configs, ends = [config(1, stop=True), config(2, stop=False)], {}
    runs = [(config, tmp_path / str(index)) for index, config in enumerate(configs)]
    train_stacked(runs, on_end=ends.__setitem__, on_progress=lambda index, progress: None)
    assert [ends[index].ended_by for index in (0, 1)] == ["alert", ""]
    assert ends[0].trajectory.steps[-1] < 21
    assert ends[1].trajectory.steps.tolist() == STEPS
    assert (ends[0].path / "adapter").exists()
