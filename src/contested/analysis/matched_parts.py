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

_MANY_RUNS = 100
"""Runs of both sides together above which they are not drawn one by one, which takes their square."""


class Side(NamedTuple):
    """The runs of one side.

    Attributes:
        by_example: Mean over the runs that reached each loss, shape (G, N), 0 where none did.
        residuals: Of each run's mean from that of all, shape (R, G); 0 where the run did not reach the loss.
        reached: Which losses each run reached, shape (R, G).
    """

    by_example: Floats
    residuals: Floats
    reached: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """Examples."""
        return int(self.by_example.shape[1])

    @property
    def n_runs(self) -> NDArray[np.int64]:
        """Runs that reached each loss."""
        return np.asarray(self.reached.sum(axis=0), np.int64)

    @property
    def mean(self) -> Floats:
        """Mean over runs and examples, shape (G,)."""
        return np.where(self.n_runs > 0, self.by_example.sum(axis=1) / max(self.n, 1), np.nan)


def sides_of(*given: Sequence[Floats] | Floats) -> list[Side]:
    """The runs of each side.

    Args:
        *given: One quantity in each side's runs, each of shape ``(R, G, N)``; NaN at losses that a run did not reach.

    Returns:
        As many sides.

    Raises:
        DataError: If their shapes do not go together.
    """
    arrays = [np.asarray(values, np.float64) for values in given]
    shapes = {array.shape[1:] for array in arrays}
    if any(array.ndim != 3 for array in arrays) or len(shapes) > 1:
        shown = " and ".join(str(array.shape) for array in arrays)
        raise DataError(
            f"values: given arrays of shape {shown}, expected (runs, losses, examples), alike but for runs."
        )
    return [_side(array) for array in arrays]


def _side(array: Floats) -> Side:
    reached = np.asarray(np.isfinite(array).any(axis=2), bool)
    filled = np.where(reached[:, :, None], array, 0.0)
    finite_array("values", filled, 3)
    n_runs = np.maximum(reached.sum(axis=0), 1)
    by_example = filled.sum(axis=0) / n_runs[:, None]
    means = filled.sum(axis=2) / max(array.shape[2], 1)
    residuals = np.where(reached, means - means.sum(axis=0) / n_runs, 0.0)
    return Side(by_example, residuals, reached)


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
    if len(residuals) > _MANY_RUNS:
        return _many_runs(sides, residuals, free, usable, rng=rng, n_resamples=n_resamples)
    spread = np.sqrt((residuals**2).sum(axis=0) / free)
    alone = 1 / (free + len(sides) - 1)
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
    usable: NDArray[np.bool_],
    *,
    rng: np.random.Generator,
    n_resamples: int,
) -> Part:
    """What many runs add, from the law of their means, without drawing each run: a multivariate t over the losses.

    At one loss it is Student's t as before; over the losses all errors are taken to be drawn alike.
    """
    scaled = residuals / np.sqrt(free)
    counts = [np.maximum(side.n_runs, 1) for side in sides]
    shared = sum(
        (side.reached.T.astype(np.float64) @ side.reached) / np.outer(count, count)
        for side, count in zip(sides, counts, strict=True)
    )
    values, vectors = np.linalg.eigh(scaled.T @ scaled * shared)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    error = np.sqrt(_pooled([side.residuals for side in sides], sides))
    fewest = int(free[usable].min())
    shift = rng.normal(size=(n_resamples, len(values))) @ factor.T
    spread = np.sqrt(rng.chisquare(fewest, size=(n_resamples, 1)) / fewest)
    return Part(error, _studentised(shift, error * spread))


def _pooled(residuals: Sequence[Floats], sides: Sequence[Side]) -> Floats:
    """The variance that runs add to the difference at each loss, shape (..., G)."""
    counts = [side.n_runs for side in sides]
    free = np.maximum(sum(counts) - len(counts), 1)
    squares = sum(np.sum(own**2, axis=-2) for own in residuals)
    return np.asarray(squares / free * sum(1 / np.maximum(count, 1) for count in counts), np.float64)
