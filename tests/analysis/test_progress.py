from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from contested.analysis.progress import (
    HELD_OUT,
    TRAINING,
    Progress,
    at_levels,
    held_out_progress,
    losses_reached,
    reached_at,
    training_progress,
)
from contested.errors import DataError
from contested.trajectories import Trajectory


def test_means_belong_to_the_middle_of_their_steps_and_never_rise() -> None:
    # Means of the steps 1 to 100, to 200, 300 and 350, taken at the weights of 0 to 99, 100 to 199 …: their middles are
    # 49.5, 149.5, 249.5 and 324.5. 0.6 then 0.9 over 100 steps each become their mean, 0.75, at 199.5.
    found = training_progress([0, 100, 200, 300, 350], [np.nan, 1.0, 0.6, 0.9, 0.5])
    assert found.steps.tolist() == [49.5, 199.5, 324.5]
    assert found.reached.tolist() == pytest.approx([1.0, 0.75, 0.5])


def test_a_shorter_interval_weighs_less_where_means_rise() -> None:
    # 0.4 over 100 steps, then 0.7 over 50: (100 · 0.4 + 50 · 0.7) / 150 = 0.5, in the middle of weights 0 to 149.
    found = training_progress([100, 150], [0.4, 0.7])
    assert found.steps.tolist() == [74.5]
    assert found.reached.tolist() == pytest.approx([0.5])


def test_a_missing_mean_leaves_its_steps_out() -> None:
    found = training_progress([100, 200, 300], [1.0, np.nan, 0.5])
    # The mean at 300 goes back to the last one that is known, at 100.
    assert found.steps.tolist() == [49.5, 199.5]


def test_held_out_losses_count_down_to_their_lowest() -> None:
    # After 0.5 the loss rises again: 0.7 is passed twice, and the second time is left out.
    found = held_out_progress([0, 10, 20, 30, 40], [1.0, 0.7, 0.5, 0.6, 0.9])
    assert found.steps.tolist() == [0, 10, 20]
    assert found.reached.tolist() == [1.0, 0.7, 0.5]


def test_what_depends_on_the_loss_alone_is_the_same_at_any_speed() -> None:
    steps, levels = np.arange(0, 2001, 50), np.array([0.9, 0.7, 0.5])
    found = []
    for speed in (0.001, 0.004):
        every = 0.3 + 0.8 * np.exp(-speed * np.arange(2001))
        means = [np.nan, *(every[start : start + 50].mean() for start in steps[:-1])]
        reached = reached_at(training_progress(steps, means), steps)
        # An example whose loss is twice the training loss, and one whose loss rises as that falls.
        values = np.stack([2 * every[steps], 2 - every[steps]], axis=1)
        found.append(at_levels(reached, values, levels))
    expected = np.stack([2 * levels, 2 - levels], axis=1)
    # A mean over 50 steps of an exponential lies (50 · speed)²/24 of its height above its middle, here 0.0010 of 0.6 at
    # most, twice that for the first example.
    assert found[0] == pytest.approx(expected, abs=2e-4)
    assert found[1] == pytest.approx(expected, abs=2.5e-3)


def test_nothing_is_said_beyond_what_was_reached() -> None:
    reached = reached_at(Progress(np.array([50.0, 150.0]), np.array([1.0, 0.5])), [0, 50, 100, 150, 200])
    assert np.isnan(reached[[0, 4]]).all()
    found = at_levels(reached, np.arange(5.0)[:, None], [1.1, 1.0, 0.5, 0.4])
    assert np.isnan(found[[0, 3]]).all()
    assert found[[1, 2], 0].tolist() == [1.0, 3.0]
    # One point is no course; no point is none either.
    assert np.isnan(at_levels([np.nan, 0.5], np.zeros((2, 1)), [0.5])).all()
    assert np.isnan(reached_at(training_progress([0], [np.nan]), [0, 1])).all()


@pytest.mark.parametrize("progress", [training_progress, held_out_progress])
def test_steps_rise_and_losses_are_finite(progress: object) -> None:
    assert callable(progress)
    with pytest.raises(DataError, match="expected each above the one before"):
        progress([10, 10], [1.0, 0.5])
    with pytest.raises(DataError, match="1 of 2 values are NaN or infinite"):
        progress([10, 20], [np.inf, 0.5])


def test_a_run_says_which_losses_it_recorded() -> None:
    losses = np.array([[1.0, 2.0], [0.8, 1.0], [0.6, 1.5]])
    run = Trajectory.from_arrays(losses=losses, ids=["a", "b"], steps=[0, 10, 20])
    assert losses_reached(run) == {}
    # A line that was written again after a resume counts once, as it was written last.
    metrics = pd.DataFrame({"step": [0, 10, 10, 20], "train_loss": [None, 9.0, 0.9, 0.7], "lr": 0.1})
    examples = run.examples.assign(split=["train", "validation"])
    found = losses_reached(replace(run, metrics=metrics, examples=examples))
    # Means 0.9 at step 4.5 and 0.7 at 14.5; PCHIP of two points is the line between them: 0.9 − 0.55 · 0.2 at step 10.
    assert found[TRAINING] == pytest.approx([np.nan, 0.79, np.nan], nan_ok=True)
    # The second example: 2, 1, then it rises.
    assert found[HELD_OUT] == pytest.approx([2.0, 1.0, np.nan], nan_ok=True)
