"""What a comparison at matched losses is uncertain of: the examples that were drawn, and the runs; each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.analysis.checks import finite_array
from contested.analysis.intervals import resampled_counts
from contested.analysis.studentised import means_of, resampled_means
from contested.errors import DataError

Floats = NDArray[np.float64]

_MANY_RUNS = 30
"""Runs of both sides together above which they are not drawn one by one, which takes their square."""


class Side(NamedTuple):
    """What a comparison needs of the runs of one side: neither grows with runs × examples.

    Attributes:
        sums: Sums over the runs that reached each loss, shape (G, N).
        means: Of each run over the examples, shape (R, G); 0 where the run did not reach the loss.
        reached: Which losses each run reached, shape (R, G).
    """

    sums: Floats
    means: Floats
    reached: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """Examples."""
        return int(self.sums.shape[1])

    @property
    def n_runs(self) -> NDArray[np.int64]:
        """Runs that reached each loss."""
        return np.asarray(self.reached.sum(axis=0), np.int64)

    @property
    def by_example(self) -> Floats:
        """Mean over the runs that reached each loss, shape (G, N), 0 where none did."""
        return np.asarray(self.sums / np.maximum(self.n_runs, 1)[:, None])

    @property
    def mean(self) -> Floats:
        """Mean over runs and examples, shape (G,)."""
        return np.where(self.n_runs > 0, self.by_example.sum(axis=1) / max(self.n, 1), np.nan)

    @property
    def residuals(self) -> Floats:
        """Of each run's mean from that of all, shape (R, G); 0 where the run did not reach the loss."""
        return np.where(self.reached, self.means - self.means.sum(axis=0) / np.maximum(self.n_runs, 1), 0.0)


def side_of(values: Sequence[Floats] | Floats) -> Side:
    """The runs of a side, or some of them.

    Args:
        values: One quantity in each run, shape ``(R, G, N)``; NaN at losses that a run did not reach.

    Returns:
        What a comparison needs of them.

    Raises:
        DataError: If a number is infinite, or NaN where others of its run and loss are known.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 3:
        raise DataError(f"values: given an array of shape {array.shape}, expected (runs, losses, examples).")
    reached = np.asarray(np.isfinite(array).any(axis=2), bool)
    filled = np.where(reached[:, :, None], array, 0.0)
    finite_array("values", filled, 3)
    return Side(filled.sum(axis=0), filled.sum(axis=2) / max(array.shape[2], 1), reached)


def together(parts: Sequence[Side]) -> Side:
    """The runs of several parts as one side."""
    sums, means, reached = zip(*parts, strict=True)
    return Side(sum(sums[1:], sums[0]), np.concatenate(means), np.concatenate(reached))


def sides_of(*given: Sequence[Floats] | Floats | Side) -> list[Side]:
    """The runs of each side.

    Args:
        *given: One quantity in each side's runs, as :func:`side_of` takes it, or what that gave.

    Returns:
        As many sides.

    Raises:
        DataError: If their shapes do not go together.
    """
    sides = [values if isinstance(values, Side) else side_of(values) for values in given]
    shapes = [(len(side.means), *side.sums.shape) for side in sides]
    if len({shape[1:] for shape in shapes}) > 1:
        shown = " and ".join(map(str, shapes))
        raise DataError(
            f"values: given arrays of shape {shown}, expected (runs, losses, examples), alike but for runs."
        )
    return sides


class Part(NamedTuple):
    """One of the two sources of uncertainty: examples, or runs.

    Attributes:
        error: The standard error at each loss, shape (G,); NaN where there is none.
        t: Absolute deviations of resamples in their own standard errors, shape (B, G).
    """

    error: Floats
    t: Floats

    def together(self, confidence: float) -> Floats:
        """Half the width of the band over all losses."""
        largest = np.max(self.t, axis=1, initial=0.0, where=np.isfinite(self.error))
        return np.asarray(np.quantile(largest, confidence) * self.error, np.float64)

    def each(self, confidence: float) -> Floats:
        """Half the width of the interval at each loss by itself."""
        return np.asarray(np.quantile(self.t, confidence, axis=0) * self.error, np.float64)


def examples_part(values: Floats, codes: NDArray[np.intp], *, rng: np.random.Generator, n_resamples: int) -> Part:
    """What examples add, shape (N, G): the bootstrap-t of their means over clusters."""
    n_clusters = int(codes.max()) + 1
    means = means_of(values, codes, n_clusters)
    drawn = resampled_means(means, resampled_counts(n_clusters, n_resamples=n_resamples, rng=rng))
    return Part(means.error, _studentised(drawn.shift, drawn.error))


def _studentised(deviation: Floats, error: Floats) -> Floats:
    # Where nothing varies, no resample differs either.
    return np.divide(np.abs(deviation), error, out=np.zeros_like(deviation), where=error > 0)


def runs_part(sides: Sequence[Side], usable: NDArray[np.bool_], *, rng: np.random.Generator, n_resamples: int) -> Part:
    """What runs add: drawn from a normal law with their pooled covariance over the losses, then treated as they were.

    At one loss their part is Student's t. Of few runs the covariance looks more alike over the losses than it is: it
    is shrunk towards none, by 1 / (R − 1) for R runs.

    Args:
        sides: The runs of each side.
        usable: Losses that enough runs reached, shape ``(G,)``.
        rng: Source of the resamples.
        n_resamples: Their number.

    Returns:
        The part of the runs.
    """
    residuals = np.concatenate([side.residuals for side in sides])
    free = np.maximum(sum(side.n_runs for side in sides) - len(sides), 1)
    alone = 1 / (free + len(sides) - 1)
    if len(residuals) > _MANY_RUNS:
        return _many_runs(sides, residuals, free, alone, rng=rng, n_resamples=n_resamples)
    spread = np.sqrt((residuals**2).sum(axis=0) / free)
    shape = (n_resamples, len(residuals))
    drawn = rng.normal(size=(*shape, len(residuals))) @ (residuals / np.sqrt(free)) * np.sqrt(1 - alone)
    drawn += rng.normal(size=(*shape, len(spread))) * spread * np.sqrt(alone)
    shift: Floats = np.zeros((n_resamples, len(spread)))
    around, start = [], 0
    for sign, side in zip((1, -1), sides, strict=False):
        own = np.where(side.reached, drawn[:, start : start + len(side.reached)], 0.0)
        means = own.sum(axis=1) / np.maximum(side.n_runs, 1)
        around.append(np.where(side.reached, own - means[:, None], 0.0))
        shift += sign * means
        start += len(side.reached)
    error = np.sqrt(_pooled([side.residuals for side in sides], sides))
    return Part(error, _studentised(shift, np.sqrt(_pooled(around, sides))))


def _many_runs(
    sides: Sequence[Side],
    residuals: Floats,
    free: NDArray[np.int64],
    alone: Floats,
    *,
    rng: np.random.Generator,
    n_resamples: int,
) -> Part:
    """What many runs add, from the law of their means, without drawing each run: a multivariate t over the losses.

    At one loss it is Student's t as before; over the losses each run is taken to be as far out at one as at another.
    """
    scaled = residuals / np.sqrt(free)
    counts = [np.maximum(side.n_runs, 1) for side in sides]
    shared = sum(
        (side.reached.T.astype(np.float64) @ side.reached) / np.outer(count, count)
        for side, count in zip(sides, counts, strict=True)
    )
    together = np.sqrt(1 - alone)
    shrunk = np.where(np.eye(len(alone), dtype=bool), 1.0, np.outer(together, together))
    values, vectors = np.linalg.eigh(scaled.T @ scaled * shrunk * shared)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    error = np.sqrt(_pooled([side.residuals for side in sides], sides))
    shift = rng.normal(size=(n_resamples, len(values))) @ factor.T
    squares = sum(_squares(side, rng, n_resamples) for side in sides)
    return Part(error, _studentised(shift, error * np.sqrt(np.maximum(squares, 0.0) / free)))


def _squares(side: Side, rng: np.random.Generator, n_resamples: int) -> Floats:
    """Sums of squared deviations of normal runs, each as far out at every loss that it reached, shape (B, G).

    Runs that reached the same losses are drawn together, as their sum and the squares around its mean.
    """
    kinds, counts = np.unique(side.reached, axis=0, return_counts=True)
    reached = kinds.astype(np.float64)
    sums = rng.normal(size=(n_resamples, len(counts))) * np.sqrt(counts)
    within = 2 * rng.standard_gamma((counts - 1) / 2, size=sums.shape)
    around_zero = (sums**2 / counts + within) @ reached
    return np.asarray(around_zero - (sums @ reached) ** 2 / np.maximum(side.n_runs, 1))


def _pooled(residuals: Sequence[Floats], sides: Sequence[Side]) -> Floats:
    """The variance that runs add to the difference at each loss, shape (..., G)."""
    counts = [side.n_runs for side in sides]
    free = np.maximum(sum(counts) - len(counts), 1)
    squares = sum(np.sum(own**2, axis=-2) for own in residuals)
    return np.asarray(squares / free * sum(1 / np.maximum(count, 1) for count in counts), np.float64)
