from __future__ import annotations

import numpy as np
import pytest

from contested.analysis import aulc, aulc_trapezoid, loss_change
from contested.errors import DataError

# Two examples at steps 0, 100, 300: the second interval is twice as long as the first.
LOSSES = np.array([[3.0, 1.0], [1.0, 1.0], [2.0, 4.0]])
STEPS = np.array([0, 100, 300])


def test_aulc_is_the_plain_mean_over_checkpoints():
    # (3 + 1 + 2) / 3 = 2; (1 + 1 + 4) / 3 = 2
    assert aulc(LOSSES).tolist() == [2.0, 2.0]


def test_aulc_trapezoid_weights_by_steps():
    # (100 · (3 + 1) / 2 + 200 · (1 + 2) / 2) / 300 = 500 / 300
    # (100 · (1 + 1) / 2 + 200 · (1 + 4) / 2) / 300 = 600 / 300
    assert aulc_trapezoid(LOSSES, STEPS) == pytest.approx([5 / 3, 2.0])


def test_a_checkpoint_added_on_the_curve_moves_aulc_but_not_the_trapezoid():
    # Between steps 100 and 300 the straight line passes (1.5, 2.5) at step 200.
    losses = np.insert(LOSSES, 2, [1.5, 2.5], axis=0)
    steps = np.insert(STEPS, 2, 200)
    assert aulc_trapezoid(losses, steps) == pytest.approx(aulc_trapezoid(LOSSES, STEPS))
    assert aulc(losses) == pytest.approx([7.5 / 4, 8.5 / 4])


def test_trapezoid_is_in_nats_whatever_the_unit_of_steps():
    assert aulc_trapezoid(LOSSES, STEPS / 663) == pytest.approx(aulc_trapezoid(LOSSES, STEPS))
    assert aulc_trapezoid(LOSSES, STEPS + 1000) == pytest.approx(aulc_trapezoid(LOSSES, STEPS))


def test_loss_change_is_last_minus_first():
    assert loss_change(LOSSES).tolist() == [-1.0, 3.0]


@pytest.mark.parametrize("statistic", [aulc, loss_change, lambda losses: aulc_trapezoid(losses, [0])])
def test_one_checkpoint_is_refused(statistic):
    with pytest.raises(DataError, match="given 1 checkpoint"):
        statistic(LOSSES[:1])


@pytest.mark.parametrize("statistic", [aulc, loss_change, lambda losses: aulc_trapezoid(losses, STEPS)])
def test_losses_that_are_not_finite_are_refused_and_counted(statistic):
    broken = LOSSES.copy()
    broken[1] = [np.nan, np.inf]
    with pytest.raises(DataError, match="2 of 6 values"):
        statistic(broken)


@pytest.mark.parametrize("steps", [[0, 100], [0, 100, 100], [0, 300, 100]])
def test_steps_must_rise_and_fit(steps):
    with pytest.raises(DataError, match="3 rising steps"):
        aulc_trapezoid(LOSSES, steps)


def test_losses_must_be_two_dimensional():
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        aulc(LOSSES[:, 0])
