from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial import distance

from contested.analysis import js_between, js_divergence, kl_between, kl_divergence, soft_cross_entropy
from contested.errors import DataError

HALF = [[0.5, 0.5, 0.0]]


def logits_of(*shares):
    """Logits (T, 1, K) of a model that answers with the given shares."""
    return np.log(np.array(shares))[:, None, :]


def test_by_hand():
    logits = logits_of([0.5, 0.25, 0.25], [0.25, 0.5, 0.25])
    # -(½ ln ½ + ½ ln ¼) = 1.5 ln 2 for both; the annotators' own entropy is ln 2, so KL = ½ ln 2
    assert soft_cross_entropy(logits, HALF) == pytest.approx(np.full((2, 1), 1.5 * np.log(2)))
    assert kl_divergence(logits, HALF) == pytest.approx(np.full((2, 1), 0.5 * np.log(2)))


def test_kl_is_scipys_relative_entropy_and_the_annotators_first():
    rng = np.random.default_rng(0)
    logits, shares = rng.normal(size=(4, 6, 3)), rng.dirichlet(np.ones(3), size=6)
    model = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    assert kl_divergence(logits, shares) == pytest.approx(stats.entropy(shares[None], model, axis=2))
    assert not np.allclose(kl_divergence(logits, shares), stats.entropy(model, shares[None], axis=2))


def test_cross_entropy_is_kl_plus_the_annotators_entropy():
    rng = np.random.default_rng(1)
    logits, shares = rng.normal(size=(4, 6, 3)), rng.dirichlet(np.ones(3), size=6)
    difference = soft_cross_entropy(logits, shares) - kl_divergence(logits, shares)
    assert difference == pytest.approx(np.tile(stats.entropy(shares, axis=1), (4, 1)))


def test_one_hot_annotators_give_the_ordinary_loss():
    logits = np.array([[[2.0, 0.0, -1.0]]])
    loss = -np.log(np.exp(0.0) / np.exp([2.0, 0.0, -1.0]).sum())
    assert soft_cross_entropy(logits, [[0.0, 1.0, 0.0]]) == pytest.approx(loss)
    assert kl_divergence(logits, [[0.0, 1.0, 0.0]]) == pytest.approx(loss)


def test_agreement_is_zero_and_never_negative():
    shares = np.random.default_rng(2).dirichlet(np.ones(3), size=500)
    found = kl_divergence(np.log(shares)[None] + 17.0, shares)
    assert found == pytest.approx(0.0, abs=1e-12)
    assert (found >= 0).all()


def test_large_logits_stay_finite():
    # softmax(1000, 0, 0) underflows to 0; -½ ln q of the second class is 500 nats
    assert soft_cross_entropy([[[1000.0, 0.0, 0.0]]], HALF) == pytest.approx(500.0)


def test_loss_on_the_majority_label_can_rise_while_the_model_moves_closer_to_people():
    shares = np.array([[0.6, 0.4]])
    logits = logits_of([0.95, 0.05], [0.6, 0.4])
    majority_loss = soft_cross_entropy(logits, [[1.0, 0.0]])[:, 0]
    assert majority_loss[1] > majority_loss[0]
    assert kl_divergence(logits, shares)[1, 0] < kl_divergence(logits, shares)[0, 0]


@pytest.mark.parametrize(
    ("logits", "shares", "message"),
    [
        ([[[0.0, np.nan]]], [[0.5, 0.5]], "logits: 1 of 2"),
        ([[[0.0, 0.0]]], [[0.5, 0.5, 0.0]], "logits have 2 classes, distributions 3"),
        ([[[0.0, 0.0]]], [[0.5, 0.5]] * 2, "logits 1, distributions 2"),
        ([[[0.0, 0.0]]], [[50, 50]], "sum to 1"),
        ([[[0.0, 0.0]]], [[1.5, -0.5]], "non-negative"),
    ],
)
def test_input_that_does_not_fit_is_refused(logits, shares, message):
    with pytest.raises(DataError, match=message):
        kl_divergence(logits, shares)
    with pytest.raises(DataError, match=message):
        soft_cross_entropy(logits, shares)


def test_jensen_shannon_is_the_square_of_scipys_distance():
    rng = np.random.default_rng(3)
    logits, shares = rng.normal(0, 3, (2, 5, 4)), rng.dirichlet(np.ones(4), 5)
    shares[0] = [1, 0, 0, 0]
    found = js_divergence(logits, shares)
    for t in range(2):
        for row in range(5):
            model = special.softmax(logits[t, row])
            assert found[t, row] == pytest.approx(distance.jensenshannon(model, shares[row]) ** 2)
    # At most ln 2, where nothing is shared; 0 where they agree.
    apart = js_divergence([[[60.0, 0.0]]], [[0.0, 1.0]])
    assert apart[0, 0] == pytest.approx(np.log(2))
    assert js_divergence([np.log(shares[1:])], shares[1:]) == pytest.approx(0.0, abs=1e-12)


def test_two_models_compared_directly():
    rng = np.random.default_rng(4)
    first, second = rng.normal(0, 3, (6, 3)), rng.normal(0, 3, (6, 3))
    p, q = special.softmax(first, axis=1), special.softmax(second, axis=1)
    assert kl_between(first, second) == pytest.approx(stats.entropy(p, q, axis=1))
    assert js_between(first, second) == pytest.approx(distance.jensenshannon(p, q, axis=1) ** 2)
    assert kl_between(first, first + 5.0).max() == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(DataError, match=r"given shapes \(6, 3\) and \(5, 3\)"):
        js_between(first, second[:5])
