"""Slips: the sampler against an enumeration of all possibilities, and cases that a reader can judge."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import betaln, gammaln

from contested.analysis.items.slips import SlipPrior, slip_probabilities
from contested.annotations.votes import Votes

A, BETA = 0.3, (1.0, 4.0)


def _enumerated(votes: Votes, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same posterior from all 2^V ways in which votes can be slips, rates and distributions integrated out."""
    vote, label, genuine, total = np.zeros(votes.n_votes), np.zeros(shape), np.zeros(shape[0]), 0.0
    for attends in itertools.product((0, 1), repeat=votes.n_votes):
        z = np.array(attends)
        kept = np.zeros(shape)
        np.add.at(kept, (votes.items, votes.labels), z)
        n = kept.sum(axis=1)
        logs = (gammaln(shape[1] * A) - gammaln(n + shape[1] * A)).sum() + (gammaln(kept + A) - gammaln(A)).sum()
        logs -= (1 - z).sum() * np.log(shape[1])
        for who in range(len(votes.annotator_ids)):
            own = z[votes.annotators == who]
            logs += betaln(BETA[0] + (1 - own).sum(), BETA[1] + own.sum()) - betaln(*BETA)
        weight = np.exp(logs)
        total += weight
        vote += weight * (1 - z)
        label += weight * (kept == 0)
        genuine += weight * ((kept > 0).sum(axis=1) > 1)
    return vote / total, label / total, genuine / total


def test_posterior_is_that_of_all_possibilities_enumerated() -> None:
    # ann and bob agree on items 0 and 1, cid dissents on all of them; item 3 is split evenly.
    items = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    labels = [0, 0, 1, 1, 1, 2, 0, 0, 2, 0, 1]
    votes = Votes(items, labels, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1], ("ann", "bob", "cid"))
    vote, label, genuine = _enumerated(votes, (4, 3))
    found = slip_probabilities(votes, (4, 3), rng=np.random.default_rng(1), prior=SlipPrior(A, BETA))
    assert found is not None
    # 2,000 sweeps: standard errors of the probabilities stay below 0.02.
    np.testing.assert_allclose(found.vote, vote, atol=0.04)
    given = votes.counts(n_items=4, n_classes=3) > 0
    np.testing.assert_allclose(found.label[given], label[given], atol=0.04)
    assert np.isnan(found.label[~given]).all()
    np.testing.assert_allclose(found.genuine, genuine, atol=0.04)


def test_lone_dissent_of_who_dissents_everywhere_is_a_slip_and_an_even_split_is_not() -> None:
    # 40 items by four annotators: three always agree but on the last, where two of them take each side; the fourth
    # answers 0 to 3 in turn, whatever the item is.
    n = 40
    truth = np.arange(n) % 2
    labels = np.stack([truth, truth, truth, np.arange(n) // 2 % 4], axis=1)
    labels[-1] = [0, 0, 1, 1]
    votes = Votes(np.repeat(np.arange(n), 4), labels.ravel(), np.tile(np.arange(4), n), ("a", "b", "c", "random"))
    found = slip_probabilities(votes, (n, 4), rng=np.random.default_rng(0))
    assert found is not None
    assert found.is_settled
    assert found.rate[3] > 0.5 > found.rate[:3].max() + 0.3
    lone = np.flatnonzero(labels[:-1, 3] != truth[:-1])
    assert np.mean(found.vote.reshape(n, 4)[lone, 3]) > 0.9
    assert found.genuine[lone].max() < 0.2
    assert found.genuine[-1] > 0.8


def test_rates_of_simulated_annotators_are_found_and_votes_calibrated() -> None:
    rng = np.random.default_rng(1)
    n, n_annotators, k = 500, 20, 3
    rates = rng.beta(1, 9, n_annotators)
    theta = rng.dirichlet([0.15] * k, n)
    items = np.repeat(np.arange(n), 5)
    who = np.concatenate([rng.choice(n_annotators, 5, replace=False) for _ in range(n)])
    slips = rng.random(len(items)) < rates[who]
    labels = np.array([rng.choice(k, p=theta[i]) for i in items])
    labels[slips] = rng.integers(0, k, slips.sum())
    votes = Votes(items, labels, who, tuple(map(str, range(n_annotators))))
    found = slip_probabilities(votes, (n, k), rng=rng)
    assert found is not None
    assert np.corrcoef(found.rate, rates)[0, 1] > 0.8
    assert found.rate.mean() == pytest.approx(rates.mean(), abs=0.05)
    # Of 20 intervals of 95 % fewer than 16 hold their rate three times in a thousand.
    assert ((found.low <= rates) & (rates <= found.high)).mean() >= 0.8
    for low, high in ((0.0, 0.1), (0.1, 0.4), (0.4, 1.0)):
        own = (found.vote >= low) & (found.vote < high)
        assert slips[own].mean() == pytest.approx(found.vote[own].mean(), abs=0.1)


def test_votes_of_nobody_known_and_single_votes_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    assert slip_probabilities(Votes([0, 0], [0, 1], [-1, -1]), (1, 2), rng=rng) is None
    assert slip_probabilities(Votes([0, 1], [0, 1], [0, 0], ("ann",)), (2, 2), rng=rng) is None
    mixed = slip_probabilities(Votes([0, 0], [0, 1], [0, -1], ("ann",)), (1, 2), rng=rng)
    assert mixed is not None
    assert mixed.rate.shape == (2,)  # ann, and whoever the others are
