"""Does annotation entropy go with AULC at all: one permutation test over every condition of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from contested.analysis.checks import finite_array, known_entropy, same_length
from contested.analysis.clusters import cluster_codes
from contested.analysis.correlation import rank_p, too_few_to_test
from contested.analysis.influence import rank_influence
from contested.analysis.intervals import Clusters
from contested.analysis.ranking import codes, mean_ranks
from contested.analysis.seed_arrays import known_examples
from contested.errors import ConfigError, DataError

Floats = NDArray[np.float64]

N_PERMUTATIONS = 9_999
"""Permutations of H; p is at least 1 in 10,000."""

_BLOCK = 4_000_000  # permuted entropies in memory at once: 32 MB
_ROUNDING = 1e-9  # statistics this close are equal


class MeanRho(NamedTuple):
    """The mean over seeds of ρ(AULC, H), the paper's statistic of a condition, and its test.

    Attributes:
        rho: Mean over seeds of Spearman's ρ.
        p_value: Two-sided p of no correlation in any seed.
        se: Its standard deviation where H is permuted over the examples.
    """

    rho: float
    p_value: float
    se: float


class SharedExamples(NamedTuple):
    """Conditions that track the same examples.

    Attributes:
        aulc: AULC of each condition's seeds, arrays of shape (S, N), in nats.
        entropy: Annotation entropy H of the examples, shape (N,), in nats; those without one (NaN) are left out.
        clusters: What examples share, shape (N,); None where each stands for itself.
    """

    aulc: Sequence[ArrayLike]
    entropy: ArrayLike
    clusters: Clusters = None


class Omnibus(NamedTuple):
    """One test of all conditions together, and one of each that allows for all of them.

    Attributes:
        rho: Mean of ρ over seeds and conditions; a condition without a ρ is left out.
        p_value: Two-sided p that H goes with AULC in no condition.
        p_conditions: Of each condition in the order given, adjusted for all of them (max-t); NaN without a ρ.
        n_permutations: Permutations of H.
    """

    rho: float
    p_value: float
    p_conditions: Floats
    n_permutations: int


def mean_rho(aulc: ArrayLike, entropy: ArrayLike, clusters: Clusters = None) -> MeanRho:
    """Test the mean over seeds of ρ(AULC, H).

    The mean of the seeds' ρ is, but for a factor, Pearson's correlation of H's ranks with the mean of the seeds'
    standardised ranks of AULC: the seeds share their examples, and so does their test, which is Student's t of that
    correlation with N − 2 degrees of freedom. With one seed it is the usual test of ρ. In clusters it is
    :func:`~contested.analysis.correlation.rank_p` of the mean.

    Args:
        aulc: Of N examples under S seeds, shape ``(S, N)`` (nats).
        entropy: Annotation entropy H, shape ``(N,)`` (nats); examples without one (NaN) are left out.
        clusters: What examples share, shape ``(N,)``; None where each stands for itself.

    Returns:
        NaN below 3 examples or where H or a seed's AULC is constant; no p where clusters are too few.
    """
    seeds, of_entropy = _standardised(aulc, entropy)
    n, spread = len(of_entropy), float(seeds.std()) if seeds.size else np.nan
    if n < 3 or not spread > 0 or np.isnan(of_entropy).any():
        return MeanRho(np.nan, np.nan, np.nan)
    rho = float(seeds @ of_entropy) / n
    r = min(1.0, abs(rho) / spread)
    t = r * np.sqrt((n - 2) / (1 - r * r)) if r < 1 else np.inf
    p_value = float(2 * stats.t.sf(t, n - 2)) if clusters is None else _clustered_p(rho, aulc, entropy, clusters)
    return MeanRho(rho, p_value, float(spread / np.sqrt(n - 1)))


def _clustered_p(rho: float, aulc: ArrayLike, entropy: ArrayLike, clusters: Clusters) -> float:
    known = known_examples(aulc, entropy, clusters)
    n_clusters = int(known.codes.max()) + 1
    if too_few_to_test(n_clusters):
        return np.nan
    moved = rank_influence(codes(known.losses), codes(known.entropy))
    return rank_p(rho, np.mean(moved, axis=0), known.codes, n_clusters)


def omnibus(
    blocks: Sequence[SharedExamples], *, rng: np.random.Generator, n_permutations: int = N_PERMUTATIONS
) -> Omnibus:
    """Test whether H goes with AULC in any condition, and in which, by permuting H over the examples.

    All conditions on the same examples see the same permutation, so that what they have in common (the same examples,
    often the same backbone) counts as it is, where Bonferroni's correction takes the worst case. The statistic is the
    mean of ρ over seeds and conditions; of single conditions each ρ in units of its standard deviation, adjusted by
    the highest of all of them (P. H. Westfall and S. S. Young, "Resampling-Based Multiple Testing", 1993). Where
    examples form clusters, the clusters of one size exchange their entropies as wholes.

    Args:
        blocks: The conditions, those with the same examples together.
        rng: Source of the permutations.
        n_permutations: How many; a p-value is at least ``1 / (n_permutations + 1)``.

    Returns:
        The tests; NaN where no condition has a ρ.

    Raises:
        ConfigError: If there are fewer than 99 permutations.
    """
    if n_permutations < 99:
        raise ConfigError(f"n_permutations: given {n_permutations}, expected at least 99; {N_PERMUTATIONS} is usual.")
    tests = [mean_rho(aulc, block.entropy) for block in blocks for aulc in block.aulc]
    rhos, scale = (np.array([getattr(test, name) for test in tests], dtype=np.float64) for name in ("rho", "se"))
    known = np.isfinite(rhos)
    adjusted = np.full(rhos.shape, np.nan)
    if not known.any():
        return Omnibus(np.nan, np.nan, adjusted, n_permutations)
    parts = [
        _permuted(block, child, n_permutations) for block, child in zip(blocks, rng.spawn(len(blocks)), strict=True)
    ]
    drawn = np.concatenate(parts, axis=1)[:, known]
    mean, seen = float(rhos[known].mean()), np.abs(rhos / scale)[known]
    as_far = (np.abs(drawn.mean(axis=1)) >= abs(mean) - _ROUNDING).sum()
    highest = np.abs(drawn / scale[known]).max(axis=1)
    adjusted[known] = (1 + (highest[:, None] >= seen - _ROUNDING).sum(axis=0)) / (1 + n_permutations)
    return Omnibus(mean, float((1 + as_far) / (1 + n_permutations)), adjusted, n_permutations)


def _permuted(block: SharedExamples, rng: np.random.Generator, n_permutations: int) -> Floats:
    """ρ of each condition of a block, mean over its seeds, under every permutation of H, shape (R, C)."""
    standardised = [_standardised(aulc, block.entropy) for aulc in block.aulc]
    if not standardised:
        return np.empty((n_permutations, 0))
    seeds, of_entropy = np.stack([seeds for seeds, _ in standardised], axis=1), standardised[0][1]
    rows = known_entropy(block.entropy).rows
    clusters = cluster_codes(block.clusters, len(np.asarray(block.entropy)))[rows]
    found = [of_entropy[order] @ seeds for order in _orders(clusters, rng, n_permutations)]
    return np.concatenate(found) / max(1, len(of_entropy))


def _orders(clusters: NDArray[np.intp], rng: np.random.Generator, n_permutations: int) -> Iterator[NDArray[np.intp]]:
    """Orders of the examples in blocks of shape (r, N): the clusters of one size change places as wholes."""
    sizes = np.unique(clusters, return_counts=True)[1][np.unique(clusters, return_inverse=True)[1]]
    # Of each size one table of row numbers, a cluster a line.
    tables = [
        np.argsort(np.where(sizes == size, clusters, clusters.max() + 1), kind="stable")[
            : (sizes == size).sum()
        ].reshape(-1, size)
        for size in np.unique(sizes)
    ]
    most = max(1, _BLOCK // max(1, len(clusters)))
    for start in range(0, n_permutations, most):
        order = np.empty((min(most, n_permutations - start), len(clusters)), dtype=np.intp)
        for table in tables:
            places = rng.permuted(np.tile(np.arange(len(table)), (len(order), 1)), axis=1)
            order[:, table.ravel()] = table[places].reshape(len(order), -1)
        yield order


def _standardised(aulc: ArrayLike, entropy: ArrayLike) -> tuple[Floats, Floats]:
    """The mean over seeds of AULC's standardised ranks, and H's standardised ranks, shape (N,) each."""
    losses, known = finite_array("aulc", aulc, 2), known_entropy(entropy)
    if not len(losses):
        raise DataError("aulc: given no seed, expected at least one.")
    same_length(aulc=losses.shape[1], entropy=len(known.rows))
    seeds = losses[:, known.rows]
    if not seeds.shape[1]:
        return np.empty(0), np.empty(0)
    return np.mean([_z(codes(row)) for row in seeds], axis=0), _z(codes(known.entropy))


def _z(coded: NDArray[np.intp]) -> Floats:
    ranks = mean_ranks(coded)
    spread = ranks.std()
    return (ranks - ranks.mean()) / spread if spread > 0 else np.full(len(ranks), np.nan)
