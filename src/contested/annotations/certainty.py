"""How sure a category is, given the annotations: a posterior over the distribution that they were drawn from."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from contested.annotations.categories import UNKNOWN, Categories
from contested.annotations.measures import check_counts, count_patterns

JEFFREYS = 0.5
"""The concentration that is taken where too few examples are there to estimate it."""
_FEWEST = 30  # examples with two annotations or more from which a concentration is estimated
_RANGE = (0.01, 100.0)  # concentrations: nearly always unanimous, nearly always evenly split
_DRAWS = 1000
_BLOCK = 6_000_000  # gamma variates at once: 48 MB


class Certainty(NamedTuple):
    """The probability of each category for each example.

    Attributes:
        probabilities: Shape ``(N, B)`` for B categories in order of rising entropy; NaN with one annotation.
        concentration: That of the symmetric Dirichlet prior.
    """

    probabilities: NDArray[np.float64]
    concentration: float


def category_probabilities(
    label_counts: ArrayLike, bands: Categories, *, concentration: float | None = None
) -> Certainty:
    """Return the probability that the distribution behind the annotations is in each category, by its entropy.

    Categories that are cut by another measure have the probabilities of that measure.

    Annotations are taken as drawn from a distribution of the example's own, and these distributions from a symmetric
    Dirichlet whose concentration is the one that makes all counts together most likely (empirical Bayes; ½ with fewer
    than 30 examples). Given its counts an example's distribution is then Dirichlet as well (counts + concentration),
    and the share of 1,000 draws from it whose entropy lies in a category is that category's probability. The category
    itself is that of the counts as they are: with few annotations it is often another one.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.
        bands: The categories.
        concentration: That of the prior, where it is known from elsewhere.

    Returns:
        The probabilities, on every call the same; the same, too, for examples whose counts are permutations of one
        another, unless the measure knows the order of the classes.
    """
    counts = check_counts(label_counts)
    return _probabilities(counts.astype(np.int64).tobytes(), counts.shape[1], bands, concentration)


@functools.lru_cache(maxsize=4)
def _probabilities(content: bytes, width: int, bands: Categories, concentration: float | None) -> Certainty:
    """The runs of a study have the same annotations."""
    counts = np.frombuffer(content, np.int64).reshape(-1, width)
    several = counts.sum(axis=1) > 1
    patterns, which = distinct_counts(counts[several], bands)
    times = np.bincount(which, minlength=len(patterns))
    concentration = most_likely_concentration(patterns, times) if concentration is None else concentration
    rng = np.random.default_rng(0)
    shares = [_shares(drawn, bands) for drawn in posterior_draws(patterns, concentration, rng)]
    found = np.full((len(counts), len(bands.names)), np.nan)
    if shares:
        found[several] = np.concatenate(shares)[which]
    found.flags.writeable = False
    return Certainty(found, concentration)


def distinct_counts(counts: NDArray[np.int64], bands: Categories) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the different rows of counts, (P, K), and which of them each is, (N,).

    Rows that are permutations of one another are one, unless the measure of the categories knows the order of classes.
    """
    if not bands.disagreement.ordered:
        return count_patterns(counts)  # the order of the classes does not matter to the entropy
    patterns, which = np.unique(counts, axis=0, return_inverse=True)
    return patterns, which.ravel()


def own_probability(
    probabilities: NDArray[np.float64], categories: ArrayLike, bands: Categories
) -> NDArray[np.float64]:
    """Return each example's probability of the category that it was given.

    Args:
        probabilities: Those of all categories, shape (N, B), as from :func:`category_probabilities`.
        categories: The category of each example, shape (N,); ``unknown`` with one annotation.
        bands: The categories.

    Returns:
        Shape (N,); NaN where the category is unknown.
    """
    index = {name: place for place, name in enumerate(bands.names)}
    given = np.asarray(categories, dtype=object)
    known = given != UNKNOWN
    places = np.array([index[name] for name in given[known]], dtype=np.intp)
    found = np.full(len(given), np.nan)
    found[known] = probabilities[known, places]
    return found


def most_likely_concentration(patterns: NDArray[np.int64], times: NDArray[np.int64]) -> float:
    """Return the most likely concentration of the symmetric Dirichlet prior (Minka 2000).

    Args:
        patterns: Different rows of counts, shape (P, K).
        times: How many examples have each, shape (P,).

    Returns:
        The concentration; ½ with fewer than 30 examples.
    """
    if times.sum() < _FEWEST:
        return JEFFREYS
    n, width = patterns.sum(axis=1), patterns.shape[1]

    def minus_likelihood(logarithm: float) -> float:
        a = np.exp(logarithm)
        whole = special.gammaln(width * a) - special.gammaln(n + width * a)
        return -float(times @ (whole + (special.gammaln(patterns + a) - special.gammaln(a)).sum(axis=1)))

    found = optimize.minimize_scalar(minus_likelihood, bounds=(np.log(_RANGE[0]), np.log(_RANGE[1])), method="bounded")
    return float(np.exp(found.x))


def posterior_draws(
    patterns: NDArray[np.int64], concentration: float, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Draw distributions behind counts, block by block.

    Args:
        patterns: Counts, shape (P, K).
        concentration: That of the prior.
        rng: Source of the draws.

    Yields:
        Blocks of 1,000 draws of some of the rows in their order, shape (rows, 1000, K); each divided by its sum over
        classes is a distribution.
    """
    parameters = patterns.astype(np.float64) + concentration
    rows = max(1, _BLOCK // (_DRAWS * patterns.shape[1]))
    for start in range(0, len(parameters), rows):
        block = parameters[start : start + rows, None, :]
        yield rng.standard_gamma(block, size=(len(block), _DRAWS, patterns.shape[1]))


def _shares(drawn: NDArray[np.float64], bands: Categories) -> NDArray[np.float64]:
    """The share of the draws of each row that are in each band, shape (rows, B)."""
    placed = np.searchsorted(bands.bounds, bands.disagreement.of_weights(drawn), side="right")
    return np.stack([(placed == place).mean(axis=1) for place in range(len(bands.names))], axis=1)
