from __future__ import annotations

import numpy as np
import pytest

from contested.analysis import correct, mean_curves, share_curves, share_interval
from contested.errors import DataError


def generator(seed=0):
    return np.random.default_rng(seed)


def test_mean_curves_by_hand():
    # T = 2 checkpoints, N = 3 examples
    values = [[1.0, 2.0, 6.0], [3.0, 5.0, 0.0]]
    found = mean_curves(values, ["a", "a", "b"], ("a", "b", "c"), measure="loss", rng=generator())
    assert [curve.category for curve in found] == ["a", "b", "c", "overall"]
    assert [curve.n for curve in found] == [2, 1, 0, 3]
    assert found[0].mean.tolist() == [1.5, 4.0]
    assert found[1].mean.tolist() == [6.0, 0.0]
    assert found[3].mean == pytest.approx([3.0, 8 / 3])
    assert found[2].note == "no examples"
    assert np.isnan(found[2].mean).all()
    assert found[2].mean.shape == found[2].low.shape == (2,)
    assert {(curve.measure, curve.unit) for curve in found} == {("loss", "nats")}


def test_mean_curves_have_an_interval_at_every_checkpoint():
    values = np.array([[0.0], [1.0], [5.0]]) + generator().normal(size=(3, 50))
    (curve, overall) = mean_curves(values, ["a"] * 50, ["a"], measure="loss", rng=generator())
    assert (curve.low < curve.mean).all()
    assert (curve.mean < curve.high).all()
    # sd 1 over 50 examples: half-widths near 1.96 / √50 = 0.28
    assert (curve.high - curve.low) / 2 == pytest.approx(np.full(3, 0.28), abs=0.06)
    assert overall.mean.tolist() == curve.mean.tolist()


def test_share_curves_by_hand():
    flags = np.array([[True, False, True], [True, True, False]])
    found = share_curves(flags, ["a", "a", "b"], ("a", "b", "c"), measure="accuracy")
    assert [curve.mean.tolist() for curve in found[:2]] == [[0.5, 1.0], [1.0, 0.0]]
    assert found[3].mean == pytest.approx([2 / 3, 2 / 3])
    assert found[0].low[1] == share_interval([True, True]).low
    assert found[2].note == "no examples"
    assert {(curve.measure, curve.unit) for curve in found} == {("accuracy", "share")}


def test_correct_takes_the_highest_logit_and_the_first_of_a_tie():
    logits = [[[0.0, 2.0], [1.0, 1.0], [1.0, 1.0]], [[3.0, 2.0], [0.0, 1.0], [0.0, 1.0]]]
    assert correct(logits, [1, 0, 1]).tolist() == [[True, True, False], [False, False, True]]


def test_input_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match="loss: 1 of 2"):
        mean_curves([[1.0], [np.nan]], ["a"], ["a"], measure="loss", rng=generator())
    with pytest.raises(DataError, match="values 1, categories 2"):
        mean_curves([[1.0], [1.0]], ["a", "a"], ["a"], measure="loss", rng=generator())
    with pytest.raises(DataError, match="flags 1, categories 2"):
        share_curves([[True], [True]], ["a", "a"], ["a"], measure="accuracy")
    with pytest.raises(DataError, match="logits 1, gold 2"):
        correct([[[0.0, 1.0]]], [0, 1])


@pytest.mark.parametrize(("gold", "message"), [([2], "indices 2 to 2, expected 0 to 1"), ([0.0], "class indices")])
def test_gold_labels_that_are_no_classes_are_refused(gold, message):
    with pytest.raises(DataError, match=message):
        correct([[[0.0, 1.0]]], gold)
