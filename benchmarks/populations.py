"""Populations that samples are simulated from, with means that are known: skewed, mixed, tied, clustered, unequal.

Each draws ``sets`` samples of n examples at once. Used by coverage.py; add one here where a quantity needs another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]


class Population(NamedTuple):
    """What values are drawn from.

    Attributes:
        name: As the tables call it.
        draw: From n, the number of samples and a generator to values of shape ``(n, sets)``.
        mean: The truth.
        clusters: From n to the cluster of each example, shape ``(n,)``; None where each stands for itself.
    """

    name: str
    draw: Callable[[int, int, np.random.Generator], Floats]
    mean: float
    clusters: Callable[[int], NDArray[np.intp]] | None = None


def _mixture(n: int, sets: int, rng: np.random.Generator) -> Floats:
    tail = rng.random((n, sets)) < 0.12
    return np.where(tail, rng.normal(2.0, 1.0, (n, sets)), rng.normal(-0.25, 0.3, (n, sets)))


def _rare(n: int, sets: int, rng: np.random.Generator) -> Floats:
    """As the changes of the loss of clean examples under full fine-tuning are: nearly all fall, and a few rise far."""
    tail = rng.random((n, sets)) < 0.04
    return np.where(tail, rng.normal(2.5, 1.5, (n, sets)), rng.normal(-0.3, 0.3, (n, sets)))


def cluster_sizes(n: int) -> NDArray[np.intp]:
    """Clusters of one, one, two, three, one, one, two, three … examples, as premises have, n in all."""
    sizes = np.resize([1, 1, 2, 3], n)
    return np.repeat(np.arange(n), sizes)[:n]


def _clustered(n: int, sets: int, rng: np.random.Generator) -> Floats:
    member = cluster_sizes(n)
    return rng.exponential(size=(n, sets))[member] + 0.5 * rng.normal(size=(n, sets))


NORMAL = Population("normal", lambda n, sets, rng: rng.normal(size=(n, sets)), 0.0)
EXPONENTIAL = Population("exponential (skewness 2)", lambda n, sets, rng: rng.exponential(size=(n, sets)), 1.0)
MIXTURE = Population("normal, 12 % with a far mean", _mixture, 0.12 * 2.0 - 0.88 * 0.25)
RARE = Population("normal, 4 % with a far mean", _rare, 0.04 * 2.5 - 0.96 * 0.3)
LOGNORMAL = Population(
    "lognormal (skewness 6.2)", lambda n, sets, rng: rng.lognormal(size=(n, sets)), float(np.exp(0.5))
)
GAMMA = Population("gamma (skewness 5.5)", lambda n, sets, rng: rng.gamma(4 / 5.5**2, size=(n, sets)), 4 / 5.5**2)
TIED = Population("Poisson of 0.3 (tied)", lambda n, sets, rng: rng.poisson(0.3, (n, sets)).astype(float), 0.3)
CLUSTERED = Population("exponential, in clusters of 1 to 3", _clustered, 1.0, cluster_sizes)
MEANS = (NORMAL, EXPONENTIAL, MIXTURE, RARE, LOGNORMAL, GAMMA, TIED, CLUSTERED)


class Pairs(NamedTuple):
    """Pairs of values that are correlated.

    Attributes:
        name: As the tables call it.
        draw: From n and a generator to two arrays of shape ``(n,)``.
        rho: Spearman's ρ of the population.
        clusters: As in :class:`Population`.
    """

    name: str
    draw: Callable[[int, np.random.Generator], tuple[Floats, Floats]]
    rho: float
    clusters: Callable[[int], NDArray[np.intp]] | None = None


def _normal_pairs(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    x = rng.normal(size=n)
    return x, 0.5 * x + np.sqrt(0.75) * rng.normal(size=n)


def _shared_pairs(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Two thirds of the variance of both are their cluster's; within it and between clusters r = 0.5."""
    member = cluster_sizes(n)
    (a, b), (c, d) = _normal_pairs(n, rng), _normal_pairs(n, rng)
    share = np.sqrt(2 / 3)
    return share * a[member] + np.sqrt(1 / 3) * c, share * b[member] + np.sqrt(1 / 3) * d


def _tied_pairs(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A skewed quantity against one that is 0 for half of the examples, as entropy is with few annotators."""
    x, y = _normal_pairs(n, rng)
    return np.exp(x), np.maximum(y, 0.0)


def _rho_of_tied() -> float:
    """Pearson's r of the ranks of x and of max(y, 0), x and y normal with r = 0.5, over a grid of equal parts."""
    parts = (np.arange(2000) + 0.5) / 2000
    nodes = special.ndtri(parts)
    # E[rank of y | x]: y = 0.5 x + √0.75 e; half of the examples share the mean rank 1/4.
    given = 0.5 * nodes[:, None] + np.sqrt(0.75) * nodes
    rank_y = np.where(given > 0, special.ndtr(given), 0.25).mean(axis=1)
    covariance = ((parts - 0.5) * (rank_y - 0.5)).mean()
    # Variance of the mean ranks: 1/12 less what ties take, (1/2)³ / 12.
    return float(covariance / np.sqrt(1 / 12 * (1 - 1 / 8) / 12))


_RHO = float(6 / np.pi * np.arcsin(0.5 / 2))
NORMAL_PAIRS = Pairs("normal, r = 0.5", _normal_pairs, _RHO)
TIED_PAIRS = Pairs("lognormal against half zeros", _tied_pairs, _rho_of_tied())
SHARED_PAIRS = Pairs("normal, r = 0.5, in clusters of 1 to 3", _shared_pairs, _RHO, cluster_sizes)
PAIRS = (NORMAL_PAIRS, TIED_PAIRS, SHARED_PAIRS)


SLOPE = 0.3


def rising_spread(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Values between 0 and 1.1, as entropies of three classes are, and what depends on them with skewed errors."""
    x = rng.uniform(0.0, 1.1, n)
    return x, SLOPE * x + (0.1 + x) ** 1.5 * (rng.exponential(size=n) - 1.0)


def answers(n: int, gap: float, rng: np.random.Generator) -> tuple[Floats, NDArray[np.intp]]:
    """Logits of two classes and gold labels: the likelier class is right with its probability less a gap."""
    sure = 0.6 + 0.39 * rng.beta(2.0, 1.5, n)
    right = rng.random(n) < sure - gap
    return np.log(np.column_stack([sure, 1.0 - sure])), np.where(right, 0, 1)


class MadeRun(NamedTuple):
    """A run whose losses depend on the training loss that it had reached, and on nothing else but itself.

    Attributes:
        steps: Steps of the checkpoints, shape ``(T,)``.
        means: Mean training loss since the checkpoint before, shape ``(T,)``; NaN at the first.
        losses: Losses of examples, shape ``(T, n)``.
    """

    steps: Floats
    means: Floats
    losses: Floats


APART = 0.3
"""How much more the second of :func:`first_losses`' categories rises at the same first loss (nats)."""


def first_losses(
    n: int, seeds: int, agree: float, rng: np.random.Generator
) -> tuple[Floats, Floats, NDArray[np.object_]]:
    """Changes of loss that what seeds share of the first loss does not move, so that their true slope on it is 0.

    Args:
        n: Examples of each of two categories; those of the second begin higher by 0.3 nats.
        seeds: Seeds S.
        agree: Correlation of the first losses of two seeds within a category; 1 leaves no noise in them.
        rng: Source of examples and seeds.

    Returns:
        Changes and first losses, shape ``(S, 2n)``, and the categories, ``"clean"`` and ``"contested"``.
    """
    wide = np.repeat([0.15, 0.3], n)
    shared = np.repeat([0.9, 1.2], n) + 0.3 * (rng.exponential(size=2 * n) - 1)
    first = shared + 0.3 * np.sqrt(1 / agree - 1) * rng.normal(size=(seeds, 2 * n))
    own = wide * (rng.exponential(size=2 * n) + rng.exponential(size=(seeds, 2 * n)) - 2)
    return shared + np.repeat([0.0, APART], n) + own - first, first, np.repeat(["clean", "contested"], n).astype(object)


SPEEDS = ((0.0005, 0.001, 0.003), (0.002, 0.005, 0.01))
"""How fast the training loss of a slow and of a fast method falls, per step, at three rates."""


def phase(n: int, seeds: int, spread: float, rng: np.random.Generator) -> list[list[MadeRun]]:
    """The runs of two methods that differ in speed alone, of n examples in clusters.

    Args:
        n: Examples.
        seeds: Runs at each of three rates.
        spread: By how much runs differ in every loss by their end (standard deviation, nats).
        rng: Source of examples and runs.

    Returns:
        The runs of the slow method and those of the fast one.
    """
    start = rng.gamma(2, 0.3, n)
    slope = rng.gamma(1, 0.5, n) - 0.3 + 0.3 * rng.normal(size=n)[cluster_sizes(n)]
    return [[_made(start, slope, speed, spread, rng) for speed in speeds for _ in range(seeds)] for speeds in SPEEDS]


def _made(start: Floats, slope: Floats, speed: float, spread: float, rng: np.random.Generator) -> MadeRun:
    steps = np.arange(0, 2001, 100)
    every = 0.3 + 0.8 * np.exp(-speed * float(np.exp(0.1 * rng.normal())) * np.arange(2001))
    means = every[:-1].reshape(20, 100).mean(axis=1) + 0.01 * rng.normal(size=20)
    done = (1.1 - every[steps, None]) / 0.8
    own = spread * rng.normal() + 0.1 * rng.normal(size=len(start))
    return MadeRun(steps.astype(np.float64), np.array([np.nan, *means]), start + done * (0.8 * slope + own))
