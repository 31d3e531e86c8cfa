from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contested.analysis import kl_human, soft_cross_entropy
from contested.errors import DataError

HALF = [[0.5, 0.5, 0.0]]


def logits_of(*shares):
    """Logits (T, 1, K) of a model that answers with the given shares."""
    return np.log(np.array(shares))[:, None, :]


def test_by_hand():
    logits = logits_of([0.5, 0.25, 0.25], [0.25, 0.5, 0.25])
    # -(½ ln ½ + ½ ln ¼) = 1.5 ln 2 for both; people's own entropy is ln 2, so KL = ½ ln 2
    assert soft_cross_entropy(logits, HALF) == pytest.approx(np.full((2, 1), 1.5 * np.log(2)))
    assert kl_human(logits, HALF) == pytest.approx(np.full((2, 1), 0.5 * np.log(2)))


def test_kl_is_scipys_relative_entropy_and_human_first():
    rng = np.random.default_rng(0)
    logits, human = rng.normal(size=(4, 6, 3)), rng.dirichlet(np.ones(3), size=6)
    model = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    assert kl_human(logits, human) == pytest.approx(stats.entropy(human[None], model, axis=2))
    assert not np.allclose(kl_human(logits, human), stats.entropy(model, human[None], axis=2))


def test_cross_entropy_is_kl_plus_peoples_entropy():
    rng = np.random.default_rng(1)
    logits, human = rng.normal(size=(4, 6, 3)), rng.dirichlet(np.ones(3), size=6)
    difference = soft_cross_entropy(logits, human) - kl_human(logits, human)
    assert difference == pytest.approx(np.tile(stats.entropy(human, axis=1), (4, 1)))


def test_one_hot_people_give_the_ordinary_loss():
    logits = np.array([[[2.0, 0.0, -1.0]]])
    loss = -np.log(np.exp(0.0) / np.exp([2.0, 0.0, -1.0]).sum())
    assert soft_cross_entropy(logits, [[0.0, 1.0, 0.0]]) == pytest.approx(loss)
    assert kl_human(logits, [[0.0, 1.0, 0.0]]) == pytest.approx(loss)


def test_agreement_is_zero_and_never_negative():
    human = np.random.default_rng(2).dirichlet(np.ones(3), size=500)
    found = kl_human(np.log(human)[None] + 17.0, human)
    assert found == pytest.approx(0.0, abs=1e-12)
    assert (found >= 0).all()


def test_large_logits_stay_finite():
    # softmax(1000, 0, 0) underflows to 0; -½ ln q of the second class is 500 nats
    assert soft_cross_entropy([[[1000.0, 0.0, 0.0]]], HALF) == pytest.approx(500.0)


def test_loss_on_the_majority_label_can_rise_while_the_model_moves_closer_to_people():
    human = np.array([[0.6, 0.4]])
    logits = logits_of([0.95, 0.05], [0.6, 0.4])
    majority_loss = soft_cross_entropy(logits, [[1.0, 0.0]])[:, 0]
    assert majority_loss[1] > majority_loss[0]
    assert kl_human(logits, human)[1, 0] < kl_human(logits, human)[0, 0]


@pytest.mark.parametrize(
    ("logits", "human", "message"),
    [
        ([[[0.0, np.nan]]], [[0.5, 0.5]], "logits: 1 of 2"),
        ([[[0.0, 0.0]]], [[0.5, 0.5, 0.0]], "logits have 2 classes, distributions 3"),
        ([[[0.0, 0.0]]], [[0.5, 0.5]] * 2, "logits 1, distributions 2"),
        ([[[0.0, 0.0]]], [[50, 50]], "sum to 1"),
        ([[[0.0, 0.0]]], [[1.5, -0.5]], "not negative"),
    ],
)
def test_input_that_does_not_fit_is_refused(logits, human, message):
    with pytest.raises(DataError, match=message):
        kl_human(logits, human)
    with pytest.raises(DataError, match=message):
        soft_cross_entropy(logits, human)
