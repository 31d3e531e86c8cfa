"""Dataset cartography: how sure of the gold label a model is over its run, and how much that varies (paper App. I).

S. Swayamdipta et al., "Dataset Cartography", EMNLP 2020. Their epochs are the checkpoints here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import interpolate, linalg, special

from contested.analysis.checks import OVERALL, category_rows, class_indices, finite_array, known_entropy, same_length
from contested.analysis.clusters import cluster_codes
from contested.analysis.curves import correct
from contested.analysis.least_squares import least_squares
from contested.errors import DataError
from contested.wording import joined

REGIONS = ("easy", "ambiguous", "hard")
"""The regions of the map."""


class Cartography(NamedTuple):
    """Where each example lies on the map, float64 arrays of shape ``(N,)``.

    Attributes:
        confidence: Mean over checkpoints of the gold label's probability.
        variability: Its standard deviation over checkpoints, the population one (ddof 0) as in the original.
        correctness: Share of checkpoints at which the gold label has the highest logit.
    """

    confidence: NDArray[np.float64]
    variability: NDArray[np.float64]
    correctness: NDArray[np.float64]


class AddedVariance(NamedTuple):
    """What entropy explains of AULC beyond cartography, on a linear and on a flexible base.

    Attributes:
        r2_base: R² of AULC on confidence and variability.
        r2_full: R² with entropy as well.
        delta_r2: ``r2_full - r2_base``.
        p_value: Two-sided p of the entropy term (Student t with HC3, or robust to clusters).
        r2_flexible: R² of AULC on a smooth surface over confidence and variability.
        delta_r2_flexible: What R² gains from entropy on top of that surface.
        p_value_flexible: Two-sided p of the entropy term there.
        n_flexible: Terms of the surface, the intercept left out.
        n: Examples it rests on.
        note: Why a number is missing; empty otherwise.
    """

    r2_base: float
    r2_full: float
    delta_r2: float
    p_value: float
    r2_flexible: float
    delta_r2_flexible: float
    p_value_flexible: float
    n_flexible: int
    n: int
    note: str


def cartography(logits: ArrayLike, gold: ArrayLike) -> Cartography:
    """Confidence, variability and correctness of each example over the checkpoints.

    Args:
        logits: Shape ``(T, N, K)``, T at least 2.
        gold: Class index of each example, shape ``(N,)``.

    Returns:
        The three coordinates, each of shape ``(N,)``.

    Raises:
        DataError: If there are fewer than 2 checkpoints.
    """
    right = correct(logits, gold)
    if len(right) < 2:
        raise DataError(f"logits: given {len(right)} checkpoint(s), expected at least 2: one point does not vary.")
    shares = special.softmax(np.asarray(logits, dtype=np.float64), axis=2)
    of_gold = shares[:, np.arange(right.shape[1]), class_indices(gold, shares.shape[2])]
    return Cartography(of_gold.mean(axis=0), of_gold.std(axis=0, ddof=0), right.mean(axis=0))


def regions(confidence: ArrayLike, variability: ArrayLike) -> NDArray[np.object_]:
    """The region of each example, by median splits over all examples.

    Ambiguous: variability at or above its median. The others are easy with confidence at or above its median
    (over all examples), and hard otherwise. Where variability is constant, every example is ambiguous.

    Args:
        confidence: Shape ``(N,)``.
        variability: Shape ``(N,)``.

    Returns:
        ``"easy"``, ``"ambiguous"`` or ``"hard"``, shape ``(N,)``.
    """
    sure, varying = finite_array("confidence", confidence, 1), finite_array("variability", variability, 1)
    same_length(confidence=len(sure), variability=len(varying))
    if not len(sure):
        return np.empty(0, dtype=object)
    split = np.where(sure >= np.median(sure), REGIONS.index("easy"), REGIONS.index("hard"))
    indices = np.where(varying >= np.median(varying), REGIONS.index("ambiguous"), split)
    # One string per region, not one per example.
    return np.array(REGIONS, object)[indices]


def overlap(categories: Sequence[str] | NDArray[Any], regions: ArrayLike, names: Sequence[str]) -> pd.DataFrame:
    """How many examples of each entropy category lie in each region of the map.

    Args:
        categories: The category of each example, shape ``(N,)``.
        regions: The region of each example, shape ``(N,)``.
        names: The categories in order of rising entropy.

    Returns:
        One row for each category and region: ``category``, ``region``, ``n``, ``share`` (of the category's
        examples) and ``note``, which says where a category without examples has no shares.

    Raises:
        DataError: If a region is unknown.
    """
    found = np.asarray(regions, dtype=object)
    same_length(categories=len(categories), regions=len(found))
    if unknown := sorted({str(region) for region in found if region not in REGIONS}):
        raise DataError(f"Unknown regions {unknown}; the regions are {list(REGIONS)}.")
    rows = []
    for name, members in category_rows(categories, names).items():
        if name == OVERALL:
            continue
        for region in REGIONS:
            n = int((found[members] == region).sum())
            share = n / len(members) if len(members) else np.nan
            rows.append((name, region, n, share, "" if len(members) else "no examples"))
    return pd.DataFrame(rows, columns=["category", "region", "n", "share", "note"])


def added_variance(
    aulc: ArrayLike,
    confidence: ArrayLike,
    variability: ArrayLike,
    entropy: ArrayLike,
    *,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
) -> AddedVariance:
    """ΔR² of entropy over cartography, in regressions of AULC by ordinary least squares (paper App. I).

    A mean of logarithms is no linear function of a mean and a standard deviation of probabilities, and what a plane
    misses goes with entropy: on a linear base entropy can add variance that the map holds already. The flexible base
    is the tensor product of cubic polynomials of both coordinates (B-splines; of lower degree below 320 examples).

    Args:
        aulc: Shape ``(N,)`` (nats).
        confidence: Shape ``(N,)``.
        variability: Shape ``(N,)``.
        entropy: Annotation entropy H, shape ``(N,)`` (nats); examples without one (NaN) are left out, and noted.
        clusters: What examples share, such as their premise, shape ``(N,)``; without it each stands for itself.

    Returns:
        R² without and with entropy; NaN, explained in ``note``, where a regression is not determined.
    """
    given, known = {"aulc": aulc, "confidence": confidence, "variability": variability}, known_entropy(entropy)
    numbers = {name: finite_array(name, values, 1) for name, values in given.items()}
    same_length(**{name: len(values) for name, values in numbers.items()}, entropy=len(known.rows))
    y, *base = (values[known.rows] for values in numbers.values())
    groups, surface = cluster_codes(clusters, len(known.rows))[known.rows], _surface(*base)
    fits = [(least_squares(y, b), least_squares(y, [*b, known.entropy], clusters=groups)) for b in (base, surface)]
    (without, full), (flexible, both) = fits
    return AddedVariance(
        r2_base=without.r_squared,
        r2_full=full.r_squared,
        delta_r2=full.r_squared - without.r_squared,
        p_value=float(full.p_values[-1]),
        r2_flexible=flexible.r_squared,
        delta_r2_flexible=both.r_squared - flexible.r_squared,
        p_value_flexible=float(both.p_values[-1]),
        n_flexible=len(surface),
        n=len(y),
        note=joined(known.note, full.note, "" if full.note == both.note else f"flexible base: {both.note}"),
    )


_PER_TERM = 20  # examples for each term of the surface


def _surface(first: NDArray[np.float64], second: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Orthonormal columns of shape (N,) that span the polynomials of both coordinates, constants left out."""
    if not len(first):
        return []
    degree = int(np.clip(np.sqrt(len(first) / _PER_TERM) - 1, 1, 3))
    a, b = _polynomials(first, degree), _polynomials(second, degree)
    products = (a[:, :, None] * b[:, None, :]).reshape(len(first), -1)
    return list(linalg.orth(products - products.mean(axis=0), rcond=1e-8).T)


def _polynomials(values: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """The B-splines of a degree without inner knots, shape (N, degree + 1); they sum to 1."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.ones((len(values), 1))
    knots = np.repeat([low, high], degree + 1)
    return np.asarray(interpolate.BSpline.design_matrix(values, knots, degree).toarray())
