"""The surest rise between two checkpoints of a run, such as that from a minimum, tested as the choice that it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.alert import MIN_CLUSTERS, checked_losses, cluster_residuals, normals, roots, unskewed
from contested.analysis.studentised import student_isf
from contested.errors import ConfigError

_NO_VARIANCE = 1e-24  # of a change, beside the losses' own: rounding
Floats = NDArray[np.float64]


class Rise(NamedTuple):
    """The rise from one checkpoint to a later one, of all such pairs the one with the highest lower bound.

    Attributes:
        start: Step from which it rises; None where nothing was tested.
        end: Step to which it rises.
        estimate: Mean loss at the end minus that at the start (nats).
        low: Lower bound of the expected rise (nats); those of all pairs hold together with probability 1 − level.
        statistic: Estimate less the margin, by its standard error.
        bound: What the statistic must exceed, as the highest of all pairs.
        rose: Whether it does.
        n: Examples.
        n_clusters: Independent clusters of examples.
        level: Probability that any lower bound lies too high.
        note: Why nothing was tested; empty if it was.
    """

    start: int | None
    end: int | None
    estimate: float
    low: float
    statistic: float
    bound: float
    rose: bool
    n: int
    n_clusters: int
    level: float
    note: str


def highest_rise(
    losses: ArrayLike,
    steps: ArrayLike,
    *,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    margin: float = 0.0,
    level: float = 0.05,
    seed: int = 0,
    n_paths: int = 4096,
) -> Rise:
    """Find the rise between two checkpoints that is surest, and say whether it is one.

    A rise from where a mean loss was lowest was chosen for being high, so that a test of these two checkpoints alone
    would be too sure. Here every pair is tested together (max-T: Westfall and Young 1993): one bound, which the highest
    statistic of all pairs exceeds with probability ``level`` where nothing rises, on the paths of
    :func:`~contested.analysis.alert.alert`, widened to Student's t and raised for skewness as there. It needs all
    checkpoints, and so the end of the run.

    Args:
        losses: Shape ``(T, n)``; a checkpoint with a loss that is no number is left out.
        steps: Steps of the checkpoints, rising, shape ``(T,)``.
        clusters: What examples share, shape ``(n,)``; by default each stands for itself.
        margin: A rise up to this is none (nats).
        level: Probability of finding a rise where there is none.
        seed: Seed of the paths.
        n_paths: Number of paths.

    Returns:
        The pair with the highest lower bound.

    Raises:
        ConfigError: If the level has no meaning.
    """
    if not 0.0 < level < 0.5:
        raise ConfigError(f"level: given {level}, expected a number between 0 and 0.5, such as 0.05.")
    values, at = checked_losses(losses, steps)
    whole = np.isfinite(values).all(axis=1)
    values, at = values[whole], at[whole]
    n = values.shape[1]
    sums = cluster_residuals(values - values.mean(axis=1, keepdims=True), clusters) if n else values
    n_clusters = sums.shape[1]
    few = f"{n_clusters} independent examples: too few to test ({MIN_CLUSTERS} needed)"
    note = few if n_clusters < MIN_CLUSTERS else "" if len(at) > 1 else "fewer than two checkpoints with finite losses"
    pairs = None if note else _Pairs(values.mean(axis=1), sums, n, margin)
    if pairs is None or not pairs.there:
        note = note or "no two checkpoints differ in more than one amount"
        return Rise(None, None, np.nan, np.nan, np.nan, np.nan, False, n, n_clusters, level, note)
    quantile = np.quantile(pairs.highest(normals(len(at), seed=seed, n_paths=n_paths)), 1.0 - level)
    bound = float(student_isf(special.ndtr(-quantile), n_clusters - 1))
    start, end, *found = pairs.surest(bound)
    estimate, low, statistic, bound = map(float, found)
    first, last = int(at[start]), int(at[end])
    return Rise(first, last, estimate, low, statistic, bound, statistic > bound, n, n_clusters, level, "")


class _Pairs:
    """Every pair of checkpoints, those of one start at a time: T²/2 of them times the paths would fill the memory."""

    def __init__(self, means: Floats, sums: Floats, n: int, margin: float) -> None:
        self.means, self.sums, self.margin = means, sums, margin
        self.covariance = sums @ sums.T
        variance = np.diag(self.covariance)
        between = variance[:, None] + variance - 2 * self.covariance
        tested = np.triu(between > _NO_VARIANCE * np.maximum(variance[:, None], variance) + 1e-300, 1)
        self.length = np.sqrt(np.where(tested, between, np.nan))
        c = sums.shape[1]
        self.error = self.length / n * np.sqrt(c / (c - 1))
        self.there = bool(tested.any())

    def highest(self, paths: Floats) -> Floats:
        """The highest statistic of all pairs on each path of the null distribution, shape ``(P,)``."""
        scale = np.sqrt(np.diag(self.covariance))
        divisor = np.where(scale > 0, scale, 1.0)
        courses = paths @ roots(self.covariance / np.outer(divisor, divisor)).T * scale
        highest = np.full(len(paths), -np.inf)
        for start in range(len(self.means) - 1):
            rises = (courses[:, start + 1 :] - courses[:, [start]]) / self.length[start, start + 1 :]
            highest = np.fmax(highest, np.fmax.reduce(rises, axis=1))
        return highest

    def surest(self, bound: float) -> tuple[int, int, float, float, float, float]:
        """Start, end, estimate, lower bound, statistic and bound of the pair whose lower bound is highest."""
        best = (0, 1, np.nan, -np.inf, np.nan, bound)
        for start in range(len(self.means) - 1):
            later = np.flatnonzero(np.isfinite(self.length[start]))
            if not len(later):
                continue
            unit = (self.sums[later] - self.sums[start]) / self.length[start, later, None]
            bounds = unskewed(np.full(len(later), bound), unit)
            estimate, error = self.means[later] - self.means[start], self.error[start, later]
            low = estimate - bounds * error
            top = int(np.argmax(low))
            if low[top] > best[3]:
                statistic = (estimate[top] - self.margin) / error[top]
                best = (start, int(later[top]), estimate[top], low[top], statistic, bounds[top])
        return best
