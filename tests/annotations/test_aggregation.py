from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from contested.annotations import Votes, aggregation
from contested.annotations.aggregation import aggregate
from contested.errors import ConfigError, DataError

#         a  b  c   of seven items; c contradicts the others more often than not
CELLS = np.array([[0, 0, 1], [0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 1, 1], [1, 0, 0], [2, 2, 0]])


def votes_of(cells: np.ndarray) -> Votes:
    items, annotators = np.nonzero(cells >= 0)
    # The last annotator comes first, and one has no vote: numbers must not depend on the order.
    order = np.lexsort((-annotators, -items))
    names = (*(f"w{a}" for a in range(cells.shape[1])), "absent")
    return Votes(items[order], cells[items, annotators][order], annotators[order], names)


def slow_dawid_skene(cells: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Dawid and Skene (1979), written as their equations 2.3 to 2.5, until nothing moves."""
    n, a = cells.shape
    p = np.array([[(row == k).sum() / (row >= 0).sum() for k in range(n_classes)] for row in cells])
    for _ in range(2000):
        prior = p.mean(axis=0)
        confusion = np.zeros((a, n_classes, n_classes))
        for i in range(n):
            for w in range(a):
                if cells[i, w] >= 0:
                    confusion[w, :, cells[i, w]] += p[i]
        confusion = np.maximum(confusion, 1e-10)
        confusion /= confusion.sum(axis=2, keepdims=True)
        for i in range(n):
            for k in range(n_classes):
                given = [confusion[w, k, cells[i, w]] for w in range(a) if cells[i, w] >= 0]
                p[i, k] = prior[k] * np.prod(given)
        p /= p.sum(axis=1, keepdims=True)
    return p, confusion


def test_dawid_skene_is_that_of_the_equations():
    pytest.importorskip("crowdkit")
    found = aggregate(votes_of(CELLS), "dawid-skene", n_items=7, n_classes=3, rng=np.random.default_rng(0))
    p, confusion = slow_dawid_skene(CELLS, 3)
    np.testing.assert_allclose(found.probabilities, p, atol=1e-4)
    np.testing.assert_allclose(found.confusion[:3], confusion, atol=1e-3)
    expected = [sum(p.mean(axis=0)[k] * confusion[w, k, k] for k in range(3)) for w in range(3)]
    np.testing.assert_allclose(found.reliability[:3], expected, atol=1e-3)
    assert np.isnan(found.reliability[3])
    assert found.labels.tolist() == p.argmax(axis=1).tolist()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of crowd-kit's own
def test_estimates_are_those_of_crowd_kit(monkeypatch):
    monkeypatch.setattr(aggregation, "_STARTS", 2)
    crowdkit = pytest.importorskip("crowdkit.aggregation")
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 80)
    cells = np.where(rng.random((80, 6)) < [0.9, 0.8, 0.8, 0.7, 0.6, 0.2], truth[:, None], rng.integers(0, 3, (80, 6)))
    votes = votes_of(np.where(rng.random(cells.shape) < 0.3, -1, cells))
    names = [f"item {i}" for i in votes.items]
    frame = pd.DataFrame({"task": names, "worker": votes.annotators, "label": votes.labels})
    own = aggregate(votes, "dawid-skene", n_items=80, n_classes=4, rng=rng)
    theirs = crowdkit.DawidSkene(n_iter=1000, tol=1e-9).fit(frame).probas_
    kept = np.unique(votes.items)
    np.testing.assert_allclose(
        own.probabilities[kept, :3], theirs.loc[[f"item {i}" for i in kept], [0, 1, 2]], atol=1e-8
    )
    assert (own.probabilities[:, 3] == 0).all()
    starts = np.random.default_rng(1)
    mace = aggregate(votes, "mace", n_items=80, n_classes=3, rng=starts)
    # Each start has its own place.
    assert starts.bit_generator.state != np.random.default_rng(1).bit_generator.state
    # crowd-kit takes rows in order of their numbers alike.
    codes = {name: pd.factorize(frame[name])[0] for name in frame}
    theirs = crowdkit.MACE(n_restarts=2, random_state=np.random.default_rng(1)).fit(pd.DataFrame(codes))
    first = pd.unique(votes.items)
    np.testing.assert_allclose(mace.probabilities[first][:, pd.unique(votes.labels)], theirs.probas_, atol=1e-12)
    # It finds the truth, the best annotator and the worst.
    assert (mace.labels[kept] == truth[kept]).mean() > 0.9
    assert (np.nanargmax(mace.reliability), np.nanargmin(mace.reliability)) == (0, 5)
    assert mace.confusion is None


def test_what_cannot_be_estimated_is_refused(monkeypatch):
    rng, votes = np.random.default_rng(0), votes_of(CELLS)
    with pytest.raises(ConfigError, match="Unknown method 'mase'"):
        aggregate(votes, "mase", n_items=7, n_classes=3, rng=rng)
    for unknown in (None, Votes([0], [0], [-1])):
        with pytest.raises(DataError, match="Not every label has its annotator"):
            aggregate(unknown, "mace", n_items=1, n_classes=2, rng=rng)
    monkeypatch.setitem(sys.modules, "crowdkit.aggregation", None)
    monkeypatch.setitem(sys.modules, "crowdkit", None)
    with pytest.raises(ConfigError, match=r"pip install 'contested\[crowd\]'"):
        aggregate(votes, "mace", n_items=7, n_classes=3, rng=rng)
