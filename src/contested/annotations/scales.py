"""Ratings on a scale: measures of their spread that know its order, as pure functions of label counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.annotations.measures import check_counts, krippendorff_alpha
from contested.errors import ConfigError
from contested.wording import listed

_FEWEST_RATINGS = 4  # classes called 0, 1 and 2 are more often indices than a scale


def scale_of(label_names: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the numbers that four classes or more are called by, shape (K,); None where they are no scale."""
    values = _numbers(label_names)
    return values if values is not None and len(values) >= _FEWEST_RATINGS else None


def _numbers(label_names: Sequence[str]) -> NDArray[np.float64] | None:
    try:
        values = np.array([float(name) for name in label_names])
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def ratings(label_names: Sequence[str]) -> tuple[float, ...]:
    """Return the rating that each class of a scale stands for.

    Args:
        label_names: The classes in their order, (K,).

    Returns:
        The numbers that they are called by; where they are called otherwise, 1 to K: steps are taken as equal.

    Raises:
        ConfigError: If there are fewer than two, or numbers that do not rise.

    Examples:
        >>> ratings(["1", "2", "5"]), ratings(["never", "often"])
        ((1.0, 2.0, 5.0), (1.0, 2.0))
    """
    values = _numbers(label_names)
    if len(label_names) < 2 or (values is not None and not (np.diff(values) > 0).all()):
        raise ConfigError(
            f"scale must be two classes or more in rising order; given: {listed(label_names) or 'none'}. "
            f"Give numbers such as 1, 2, 3, 4, 5, or names from the lowest to the highest."
        )
    return tuple(map(float, range(1, len(label_names) + 1))) if values is None else tuple(values.tolist())


def mean_rating(label_counts: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    """Return the mean rating of each example.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.
        values: The rating that each class stands for, shape (K,).

    Returns:
        Σ_c p_ic v_c, in units of the scale, shape (N,).

    Examples:
        >>> mean_rating([[0, 2, 2, 0, 0], [2, 0, 0, 0, 1]], [1, 2, 3, 4, 5]).round(3).tolist()
        [2.5, 2.333]
    """
    counts = check_counts(label_counts)
    return np.asarray((counts @ np.asarray(values, np.float64)) / counts.sum(axis=1))


def standard_deviation(label_counts: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    """Return the standard deviation of each example's ratings, which knows their order as entropy does not.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.
        values: The rating that each class stands for, shape (K,).

    Returns:
        sqrt(Σ_c p_ic (v_c − Σ_c p_ic v_c)²), in units of the scale, shape (N,); nan with one annotation.

    Examples:
        >>> standard_deviation([[0, 2, 2, 0, 0], [2, 0, 0, 0, 2]], [1, 2, 3, 4, 5]).tolist()
        [0.5, 2.0]
    """
    counts, scale = check_counts(label_counts), np.asarray(values, dtype=np.float64)
    return _of_several(deviation(counts, scale), counts)


def mean_pair_distance(label_counts: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    """Return the mean distance of two different annotators' ratings of each example.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.
        values: The rating that each class stands for, shape (K,).

    Returns:
        Σ_{c,d} n_ic n_id ``|v_c − v_d|`` / (n_i (n_i − 1)), in units of the scale, shape (N,); nan with one annotation.

    Examples:
        >>> mean_pair_distance([[0, 2, 2, 0, 0], [2, 0, 0, 0, 2]], [1, 2, 3, 4, 5]).round(3).tolist()
        [0.667, 2.667]
    """
    counts, scale = check_counts(label_counts), np.asarray(values, dtype=np.float64)
    n = counts.sum(axis=1)
    # Pairs of different annotators: those of an annotator with themselves have no distance.
    return _of_several(distance(counts, scale) * n / np.maximum(n - 1, 1), counts)


def polarisation(label_counts: ArrayLike) -> NDArray[np.float64]:
    """Return how far each example's ratings are from having a single peak, from 0 to 1.

    nDFU, the normalised distance from unimodality (Pavlopoulos and Likas, 2024, "Polarized Opinion Detection Improves
    the Detection of Toxic Language"): the largest rise between neighbouring classes on the way away from the most
    frequent class, over the count of that class. 0 where the counts never rise again, however wide they spread, and 1
    where a second peak is as high and nobody is in between. Where several classes are the most frequent, the way from
    each is tried and the largest rise counts, so that the reversed scale has the same value (the published program
    takes the first).

    Args:
        label_counts: Annotations per class in the order of the scale, shape (N, K); each row holds at least one.

    Returns:
        Shape (N,); nan with one annotation.

    Examples:
        >>> polarisation([[0, 2, 2, 0, 0], [2, 0, 0, 0, 2], [4, 1, 1, 3, 0]]).tolist()
        [0.0, 1.0, 0.5]
    """
    counts = check_counts(label_counts)
    return _of_several(second_peak(counts), counts)


def _of_several(found: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(counts.sum(axis=1) > 1, found, np.nan)


class RatingAverages(NamedTuple):
    """Ratings over the examples with two annotations or more, in units of the scale; nan without one.

    Attributes:
        mean: Mean of the examples' mean ratings.
        standard_deviation: Mean of their standard deviations.
        pair_distance: Mean of their mean distances of two annotators.
        polarisation: Mean of their polarisations (nDFU), from 0 to 1.
        alpha_ordinal: Krippendorff's alpha that knows the order of the ratings.
        alpha_interval: Krippendorff's alpha that knows their distances.
    """

    mean: float
    standard_deviation: float
    pair_distance: float
    polarisation: float
    alpha_ordinal: float
    alpha_interval: float


def rating_table(label_counts: ArrayLike, values: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Return what the order of the ratings says of each example.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.
        values: The rating that each class stands for, shape (K,).

    Returns:
        ``label_mean``, ``label_standard_deviation``, ``label_pair_distance`` and ``label_polarisation``, each (N,).
    """
    counts = check_counts(label_counts)
    return {
        "label_mean": mean_rating(counts, values),
        "label_standard_deviation": standard_deviation(counts, values),
        "label_pair_distance": mean_pair_distance(counts, values),
        "label_polarisation": polarisation(counts[:, np.argsort(values)]),
    }


def average_ratings(label_counts: ArrayLike, values: ArrayLike) -> RatingAverages:
    """Return the averages of `rating_table` over the examples with two annotations or more, and their alphas."""
    counts = check_counts(label_counts)
    several = counts[counts.sum(axis=1) > 1]
    if not len(several):
        return RatingAverages(*[math.nan] * len(RatingAverages._fields))
    averages = (float(column.mean()) for column in rating_table(several, values).values())
    alphas = (krippendorff_alpha(several, level, values) for level in ("ordinal", "interval"))
    return RatingAverages(*averages, *alphas)


# The following take weights of any sum, shape (…, K): counts, or shares drawn at random.


def deviation(weights: NDArray[np.generic], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of distributions of weights, (…, K), on a scale, (K,); shape (…)."""
    total = weights.sum(axis=-1)
    # From the middle of the scale: exact for counts on whole numbers, so that a mirrored example has the same value.
    centred = scale - (scale.min() + scale.max()) / 2
    first, second = weights @ centred, weights @ centred**2
    return np.asarray(np.sqrt(np.maximum(total * second - first**2, 0)) / total)


def distance(weights: NDArray[np.generic], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean distance of two independent draws, ``E|X − Y|`` = 2 ∫ F (1 − F); arguments as of `deviation`."""
    total = weights.sum(axis=-1)
    order = np.argsort(scale)
    below = np.cumsum(weights[..., order], axis=-1)[..., :-1]
    between = below * (total[..., None] - below)
    return np.asarray(2 * (between @ np.diff(scale[order])) / total**2)


def second_peak(weights: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the nDFU of distributions of weights, (…, K), whose classes are in rising order; shape (…)."""
    rises, width = np.diff(weights, axis=-1), weights.shape[-1]
    first = np.argmax(weights, axis=-1)[..., None]
    last = width - 1 - np.argmax(weights[..., ::-1], axis=-1)[..., None]
    place = np.arange(width - 1)
    away = np.maximum(np.where(place >= first, rises, 0), np.where(place < last, -rises, 0))
    return np.asarray(away.max(axis=-1) / weights.max(axis=-1))
