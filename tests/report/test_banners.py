"""What a page says first of runs with alarms: what the alert ended or found, and no word that belittles it."""

from typing import Any

import numpy as np
import pytest

from contested.analysis import statements
from contested.analysis.learned import at_chance, learned_little
from contested.report.banners import banners
from contested.report.runs import analyzed
from contested.trajectories import Trajectory


def run(rise: float, *, steps: int = 2, n: int = 150, **manifest: Any) -> Trajectory:
    """Three classes of which the model never chooses the right one; contested losses rise most."""
    rng = np.random.default_rng(0)
    size, course = n // 3, np.linspace(0, 1, steps)[:, None]
    losses = 2 + 0.2 * rng.standard_normal(n) + 0.05 * rng.standard_normal((steps, n))
    right = np.exp(-np.maximum(losses + course * rise * np.repeat([0.0, 0.5, 1.0], size), 0.8))
    counts = np.repeat([[10, 0, 0], [8, 2, 0], [4, 4, 2]], size, axis=0)
    found = Trajectory.from_arrays(
        logits=np.log(np.stack([right, (1 - right) * 0.9, (1 - right) * 0.1], axis=-1)),
        steps=4 * np.arange(steps), gold="majority", label_counts=counts, label_names=["a", "b", "c"],
        check_label_order=False,
    )  # fmt: skip
    found.manifest.update(manifest)
    return found


def said(*runs: Trajectory) -> list[str]:
    return [f"{banner.strong} {banner.text}" for banner in banners(analyzed(runs, None, 60))]


def test_a_run_that_the_alert_ended_begins_with_that_and_its_alarms() -> None:
    stopped = run(0.8, planned_steps=40, ended_by="alert")
    ended, chance = said(stopped)
    assert ended.startswith(
        "The alert ended this run at step 4 of 40. Mean loss of contested examples rose above its start: at"
    )
    assert "nats (at least 0.7" in ended
    assert "loss of ambiguous examples rose" in ended
    assert "clean" not in ended
    assert chance == (
        "This run did not get above chance. Its last accuracy on tracked examples is 0.0%, and guessing one of 3 "
        "classes reaches 33.3%."
    )
    (analysed,) = analyzed([stopped], None, 60)
    assert "The alert ended this run at step 4 of 40." in statements(analysed.analysis)


def test_alarms_that_ended_nothing_come_first_too_and_of_several_runs_in_one_banner() -> None:
    assert said(run(0.8, steps=6))[0].startswith(
        "Alarm: in this run the loss rose above its start. Mean loss of contested examples rose above its start"
    )
    stopped, whole = run(0.8, planned_steps=40, ended_by="alert"), run(0.8, steps=6)
    first, second, *_ = said(stopped, whole, run(-0.5))
    assert first.startswith("run: the alert ended it at step 4 of 40. Mean loss of contested examples")
    assert second.startswith(
        "Alarm: in 1 other of 3 runs the loss rose above its start. run (2): contested examples at step 4 by 0.1"
    )
    assert "; ambiguous examples at step " in second


@pytest.mark.parametrize(
    ("rise", "n", "little"), [(0.8, 150, False), (0.8, 45, False), (0.0, 150, True), (-0.5, 150, True)]
)
def test_no_run_whose_loss_rose_is_said_to_have_numbers_that_mean_little(rise: float, n: int, little: bool) -> None:
    found = run(rise, n=n)  # of 15 examples a category none can raise an alarm
    assert bool(learned_little(found)) == little
    assert at_chance(found)
    assert any("mean little" in banner for banner in said(found)) == little
    assert any("did not get above chance" in banner for banner in said(found)) != little


def test_a_run_that_learned_without_an_alarm_has_no_banner() -> None:
    learned = run(-0.5)
    learned.logits[-1] = np.eye(3, dtype=np.float32)[learned.gold] * 4
    assert said(learned) == []
