"""AULC by bins of entropy, cut in three ways: whether the rise depends on where the bounds are (paper App. G)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from contested.analysis.checks import finite_array, known_entropy, same_length
from contested.analysis.clusters import cluster_codes
from contested.analysis.intervals import Clusters, mean_interval
from contested.annotations.categories import FIXED, Categories, resolve_categories
from contested.annotations.disagreement import FIXED_CLASSES
from contested.errors import ConfigError
from contested.wording import joined


class Bin(NamedTuple):
    """Mean AULC of the examples in one bin of entropy.

    Attributes:
        scheme: ``"fixed"``, ``"quartiles"`` or ``"terciles"``.
        bin: Its name.
        position: Its place by rising entropy, from 0.
        n: Examples in it.
        mean: Mean AULC (nats).
        low: Lower end of its interval (nats).
        high: Upper end of its interval (nats).
        note: Why a number is missing, and how the fixed bounds were scaled; empty otherwise.
        caution: Why the interval may cover the truth less often than it says; empty otherwise.
    """

    scheme: str
    bin: str
    position: int
    n: int
    mean: float
    low: float
    high: float
    note: str
    caution: str = ""


def aulc_by_bins(
    aulc: ArrayLike,
    entropy: ArrayLike,
    scheme: str,
    *,
    rng: np.random.Generator,
    n_classes: int = FIXED_CLASSES,
    clusters: Clusters = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[Bin, ...]:
    """Mean AULC in each bin of entropy, with intervals over examples, or clusters of them.

    The fixed bounds, 0.4 and 0.7 nats, are for K = 3 classes. For other K they are scaled by ln K / ln 3, so
    that they are the same shares of the highest entropy there can be, and each bin's note says so.

    Args:
        aulc: Shape ``(N,)`` (nats).
        entropy: Annotation entropy H, shape ``(N,)`` (nats); examples without one (NaN) are in no bin, and noted.
        scheme: ``"fixed"``, ``"quartiles"`` or ``"terciles"``.
        rng: Source of the resamples.
        n_classes: Classes K; it matters for the fixed scheme only.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        One bin each, by rising entropy; one without examples keeps its place.

    Raises:
        ConfigError: If the scheme is unknown or there are fewer than 2 classes.
        DataError: If too many entropies are alike to be cut into quantiles.
    """
    losses, (human, rows, left_out) = finite_array("aulc", aulc, 1), known_entropy(entropy)
    same_length(aulc=len(losses), entropy=len(rows))
    losses, own = losses[rows], cluster_codes(clusters, len(rows))[rows]
    options: dict[str, Any] = {"rng": rng, "n_resamples": n_resamples, "confidence": confidence}
    cut, scaled = _fixed(n_classes) if scheme == "fixed" else (resolve_categories(human, scheme), "")
    inside = cut.assign(human)
    bins = []
    for position, name in enumerate(cut.names):
        found = mean_interval(losses[inside == name], clusters=own[inside == name], **options)
        note = joined(left_out, scaled, found.note)
        bins.append(Bin(scheme, name, position, found.n, found.estimate, found.low, found.high, note, found.caution))
    return tuple(bins)


def _fixed(n_classes: int) -> tuple[Categories, str]:
    if n_classes < 2:
        raise ConfigError(f"n_classes: given {n_classes}, expected at least 2.")
    if n_classes == FIXED_CLASSES:
        return FIXED, ""
    factor = np.log(n_classes) / np.log(FIXED_CLASSES)
    bounds = tuple(float(bound * factor) for bound in FIXED.bounds)
    given = " and ".join(f"{bound:.3f}" for bound in bounds)
    return Categories(FIXED.names, bounds), f"bounds scaled by ln {n_classes} / ln {FIXED_CLASSES} to {given} nats"
