from __future__ import annotations

import numpy as np
import pytest

from contested.analysis import (
    aulc,
    aulc_trapezoid,
    aum,
    forgetting_events,
    learning_time,
    loss_change,
    never_learned,
    probability_margin,
)
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


# learning time, forgetting, margins


def test_learning_time_is_the_first_step_below_the_threshold():
    # Below 1.5: the first example at step 100, the second at step 0; below 1 (1.0 is not): never.
    assert learning_time(LOSSES, STEPS, 1.5).tolist() == [100.0, 0.0]
    assert learning_time(LOSSES, STEPS, 1.0).tolist() == [np.inf, np.inf]


def test_learning_time_is_a_slow_loop():
    rng = np.random.default_rng(0)
    losses, steps = rng.exponential(size=(6, 40)), np.cumsum(rng.integers(1, 50, 6))
    found = learning_time(losses, steps, 0.4)
    for i in range(40):
        reached = [step for step, loss in zip(steps, losses[:, i], strict=True) if loss < 0.4]
        assert found[i] == (reached[0] if reached else np.inf)
    assert 0 < np.isinf(found).sum() < 40


def test_learning_time_needs_rising_steps():
    with pytest.raises(DataError, match="3 rising steps"):
        learning_time(LOSSES, [0, 1], 1.0)


# Five examples over four checkpoints: learned and kept, forgotten once, forgotten twice, never right, always right.
RIGHT = np.array([[0, 1, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 0, 1], [1, 1, 0, 0, 1]], dtype=bool)


def test_forgetting_is_right_to_wrong_and_never_learned_is_apart():
    assert forgetting_events(RIGHT).tolist() == [0, 1, 2, 0, 0]
    assert never_learned(RIGHT).tolist() == [False, False, False, True, False]


def test_forgetting_depends_on_time_and_not_on_the_order_of_examples():
    assert forgetting_events(RIGHT[::-1]).tolist() == [1, 1, 1, 0, 0]
    order = [3, 1, 4, 0, 2]
    assert forgetting_events(RIGHT[:, order]).tolist() == forgetting_events(RIGHT)[order].tolist()


def test_forgetting_is_a_slow_loop():
    right = np.random.default_rng(1).random((9, 30)) < 0.6
    events = [sum(right[t, i] and not right[t + 1, i] for t in range(8)) for i in range(30)]
    assert forgetting_events(right).tolist() == events


def test_forgetting_needs_booleans_and_two_checkpoints():
    with pytest.raises(DataError, match="given 1 checkpoint"):
        forgetting_events(RIGHT[:1])
    with pytest.raises(DataError, match="int64"):
        forgetting_events(RIGHT.astype(int))
    with pytest.raises(DataError, match=r"shape \(5,\)"):
        never_learned(RIGHT[0])


def test_margins_by_hand():
    logits = np.array([[[2.0, 1.0, 0.0]], [[0.0, 3.0, 1.0]]])
    # Gold is the first class: (2 - 1) and (0 - 3), mean -1. Gold is the second: (1 - 2) and (3 - 1), mean ½.
    assert aum(logits, [0]).tolist() == [-1.0]
    assert aum(logits, [1]).tolist() == [0.5]
    # Probabilities ½, ¼, ¼ and 1/10, 8/10, 1/10: (½ - ¼ + 1/10 - 8/10) / 2
    shares = np.log([[[0.5, 0.25, 0.25]], [[0.1, 0.8, 0.1]]]) + 5.0
    assert probability_margin(shares, [0]) == pytest.approx([-0.225])


def test_margins_are_a_slow_loop():
    rng = np.random.default_rng(2)
    logits, gold = rng.normal(size=(4, 20, 5)), rng.integers(0, 5, 20)
    shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    for found, scores in ((aum(logits, gold), logits), (probability_margin(logits, gold), shares)):
        for i, label in enumerate(gold):
            margins = [scores[t, i, label] - max(np.delete(scores[t, i], label)) for t in range(4)]
            assert found[i] == pytest.approx(np.mean(margins))


def test_margins_do_not_move_with_a_constant_and_tie_at_zero():
    logits = np.random.default_rng(3).normal(size=(4, 6, 3))
    gold = [0, 1, 2, 0, 1, 2]
    shifted = logits + np.arange(4)[:, None, None]
    assert aum(shifted, gold) == pytest.approx(aum(logits, gold))
    assert probability_margin(shifted, gold) == pytest.approx(probability_margin(logits, gold))
    assert aum(np.ones((2, 1, 3)), [1]).tolist() == [0.0]
    assert probability_margin([[[1000.0, 0.0]]], [0]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("logits", "gold", "message"),
    [
        (np.zeros((2, 2, 3)), [0, 3], "expected 0 to 2"),
        (np.zeros((2, 2, 3)), [0], "logits 2, gold 1"),
        (np.zeros((0, 2, 3)), [0, 1], "at least 1 checkpoint and 2 classes"),
        (np.zeros((2, 1, 1)), [0], "at least 1 checkpoint and 2 classes"),
    ],
)
def test_logits_that_do_not_fit_are_refused(logits, gold, message):
    for margin in (aum, probability_margin):
        with pytest.raises(DataError, match=message):
            margin(logits, gold)
