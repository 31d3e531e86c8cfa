"""Soft labels for training: what the next annotator would say, given an item's votes and the use of labels at large."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from contested.annotations.certainty import JEFFREYS
from contested.annotations.measures import check_counts

_FEWEST = 30  # items with two votes or more from which a prior is estimated
_RANGE = (-7.0, 5.0)  # logarithms of the prior's parameters


class SoftLabels(NamedTuple):
    """Distributions over the classes.

    Attributes:
        probabilities: Shape (N, K): (n_ic + α_c) / (n_i + Σ α).
        prior: α, shape (K,): so many votes for each class does every item begin with.
    """

    probabilities: NDArray[np.float64]
    prior: NDArray[np.float64]


def soft_labels(label_counts: ArrayLike) -> SoftLabels:
    """Return the posterior mean of the distribution behind each item's votes: the chances of each label of one more.

    The prior is a Dirichlet distribution whose parameters, one a class, make all counts together most likely
    (empirical Bayes; Minka 2000); ½ each with fewer than 30 items of two votes or more. Plain shares of few votes are
    0 and 1 where nobody knows that; with many votes the two agree.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.

    Returns:
        The distributions.

    Examples:
        >>> soft_labels([[2, 0], [1, 1]]).probabilities.round(3).tolist()
        [[0.833, 0.167], [0.5, 0.5]]
    """
    counts = check_counts(label_counts)
    several = counts[counts.sum(axis=1) > 1]
    prior = _most_likely(several) if len(several) >= _FEWEST else np.full(counts.shape[1], JEFFREYS)
    strengthened = counts + prior
    return SoftLabels(strengthened / strengthened.sum(axis=1, keepdims=True), prior)


def _most_likely(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    rows, times = np.unique(counts, axis=0, return_counts=True)
    n = rows.sum(axis=1)

    def minus_likelihood(logarithms: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        alpha = np.exp(logarithms)
        whole = special.gammaln(alpha.sum()) - special.gammaln(n + alpha.sum())
        each = special.gammaln(rows + alpha) - special.gammaln(alpha)
        slope = special.digamma(rows + alpha) - special.digamma(alpha)
        slope += (special.digamma(alpha.sum()) - special.digamma(n + alpha.sum()))[:, None]
        return -float(times @ (whole + each.sum(axis=1))), -alpha * (times @ slope)

    start = np.log(0.1 + counts.sum(axis=0) / counts.sum())
    found = optimize.minimize(minus_likelihood, start, jac=True, method="L-BFGS-B", bounds=[_RANGE] * counts.shape[1])
    return np.asarray(np.exp(found.x))
