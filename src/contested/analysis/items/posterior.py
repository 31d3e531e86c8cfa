"""What an item's votes leave open: an interval of its entropy, its category, and what one more vote would tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.annotations.categories import Categories
from contested.annotations.certainty import distinct_counts, most_likely_concentration, posterior_draws
from contested.annotations.disagreement import PLAIN
from contested.annotations.measures import check_counts

COVERAGE = 0.95
"""Of the intervals of entropy."""


class ItemPosterior(NamedTuple):
    """What is known of the distributions behind the counts, an item per row.

    Attributes:
        low: Lower ends of the shortest intervals that hold 95% of the posterior of the entropy, nats, shape (N,).
        high: Upper ends.
        categories: The probability of each category, shape (N, B).
        information: What one more vote is expected to tell of the category, nats, shape (N,): the mutual information
            of vote and category (Lindley 1956).
        concentration: That of the prior.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    categories: NDArray[np.float64]
    information: NDArray[np.float64]
    concentration: float


def item_posterior(label_counts: ArrayLike, bands: Categories, *, concentration: float | None = None) -> ItemPosterior:
    """Return what the counts leave open, by the model of :mod:`contested.annotations.certainty`.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.
        bands: The categories, of entropy or another measure; intervals are of entropy in any case.
        concentration: That of the symmetric Dirichlet prior, where it is known from elsewhere.

    Returns:
        The posterior, the same on every call, and for items whose counts are permutations of one another unless the
        measure knows the order of the classes. Items with one annotation have one too, which is mostly the prior's.
    """
    counts = check_counts(label_counts)
    patterns, which = distinct_counts(counts, bands)
    times = np.bincount(which, minlength=len(patterns))
    if concentration is None:
        several = patterns.sum(axis=1) > 1
        concentration = most_likely_concentration(patterns[several], times[several])
    rng = np.random.default_rng(0)
    parts = [_of_draws(drawn, bands) for drawn in posterior_draws(patterns, concentration, rng)]
    low, high, categories, information = (np.concatenate(part)[which] for part in zip(*parts, strict=True))
    return ItemPosterior(low, high, categories, information, concentration)


def _of_draws(drawn: NDArray[np.float64], bands: Categories) -> tuple[NDArray[np.float64], ...]:
    """Ends of intervals, categories and information of some patterns, from draws of shape (rows, D, K)."""
    entropy = PLAIN.of_weights(drawn)
    cut = entropy if bands.disagreement == PLAIN else bands.disagreement.of_weights(drawn)
    inside = np.searchsorted(bands.bounds, cut, side="right")[:, None, :] == np.arange(len(bands.names))[:, None]
    probabilities = inside.mean(axis=2)
    # A further vote for class c weights each draw by its share of c: all futures follow from the same draws.
    shares = drawn / drawn.sum(axis=2, keepdims=True)
    joint = inside @ shares / shares.shape[1]  # (rows, B, K): the category and the next vote
    information = special.rel_entr(joint, probabilities[:, :, None] * shares.mean(axis=1)[:, None, :]).sum(axis=(1, 2))
    return *_shortest(entropy), probabilities, information


def _shortest(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shortest interval that holds 95% of each row."""
    ordered = np.sort(values, axis=1)
    n_inside = int(np.ceil(COVERAGE * ordered.shape[1]))
    widths = ordered[:, n_inside - 1 :] - ordered[:, : ordered.shape[1] - n_inside + 1]
    first = widths.argmin(axis=1)
    rows = np.arange(len(ordered))
    return ordered[rows, first], ordered[rows, first + n_inside - 1]


def category_changes(
    label_counts: ArrayLike, next_vote: ArrayLike, cut: Callable[[NDArray[np.int64]], NDArray[np.str_]]
) -> NDArray[np.float64]:
    """Return the probability that one more vote puts an item in another category.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.
        next_vote: The chances of each label of one more vote, shape (N, K).
        cut: Label counts to categories.

    Returns:
        Shape (N,); 1 where an item with one annotation is in no category yet.
    """
    counts, chances = check_counts(label_counts), np.asarray(next_vote, dtype=np.float64)
    now = cut(counts)
    after = [cut(counts + one) for one in np.eye(counts.shape[1], dtype=np.int64)]
    return np.asarray(sum(chances[:, k] * (then != now) for k, then in enumerate(after)))
