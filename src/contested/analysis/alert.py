"""The alert: whether the mean loss of some examples has risen above its start, asked again at every checkpoint.

One answer per checkpoint, with one error rate for the whole run: a group-sequential test. Random are the examples,
seen at every checkpoint under the same weights; the checkpoints are fixed, and as dependent as the examples show.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from contested.analysis.clusters import cluster_codes, cluster_sums
from contested.analysis.intervals import keyed
from contested.analysis.studentised import student_isf
from contested.errors import ConfigError, DataError

MIN_CLUSTERS = 20
"""Below this many independent examples (or clusters of them) nothing is tested: Student's t does not hold."""

_BEYOND = 0.5  # how far beyond its exact limits a boundary of finitely many paths is looked for at first
_NO_CROSSINGS = 1e-300  # in place of 0, which has no logarithm
_NO_VARIANCE = 1e-12  # residuals this small beside the losses are rounding
_NOTHING_NEW = 1e-10  # share of variance below which a look only repeats earlier ones
_HAZEN = 8.5
_NOT_SKEWED = 1e-6  # corrections this small are rounding
Spending = Literal["linear", "obrien-fleming"]
Floats = NDArray[np.float64]


class Alert(NamedTuple):
    """What the looks at a run found: arrays have one entry for each checkpoint after the first.

    Attributes:
        steps: Steps of the looks.
        estimate: Mean loss minus that at the first checkpoint.
        low: Lower bounds of the expected rise; all of them hold together with probability 1 − level.
        statistic: Estimate less the margin, by its standard error; NaN where a look could not be tested.
        boundary: What the statistic must exceed; infinite where nothing is left to spend.
        crossed: Whether it does.
        spent: Share of runs without a rise that would have alarmed by then, at most the level.
        first: Step of the first look that crossed; None if none did.
        n: Examples.
        n_clusters: Independent clusters of examples.
        level: Probability of a false alarm of this alert over the whole run.
        note: Why looks were not tested; empty if all were.
        shared_by: How many alerts on the run share one error rate, each with as much of it as ``level``.
    """

    steps: NDArray[np.int64]
    estimate: Floats
    low: Floats
    statistic: Floats
    boundary: Floats
    crossed: NDArray[np.bool_]
    spent: Floats
    first: int | None
    n: int
    n_clusters: int
    level: float
    note: str
    shared_by: int = 1


class _Looks(NamedTuple):
    """The looks' estimates, standard errors (NaN where not tested), and cluster sums of residuals of length 1."""

    estimate: Floats
    error: Floats
    unit: Floats
    n_clusters: int


def alert(
    losses: ArrayLike,
    steps: ArrayLike,
    planned_steps: int,
    *,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    margin: float = 0.0,
    level: float = 0.05,
    spending: Spending = "linear",
    seed: int = 0,
    n_paths: int = 8192,
) -> Alert:
    """Test at each checkpoint whether the expected loss lies above its start, with one error rate for the whole run.

    The hypothesis is that at no checkpoint it lies above it by more than the margin. A false alarm at any of them has
    probability ``level``, spent along the planned steps (Lan and DeMets 1983). Each boundary is the value at which
    those paths of the null distribution that have not crossed before spend what is due. The paths are those of a
    multiplier bootstrap (a Gaussian multiplier for each cluster times its studentised residuals; Chernozhukov,
    Chetverikov and Kato 2013), drawn through the correlation of the looks, which gives the same distribution.
    Boundaries are widened to Student's t and, where few examples fall much, for that skewness (Hall 1992). They depend
    on no later look, so that recomputing from what is recorded gives the same answers during a run and after it.

    Several alerts on one run each have an error rate of their own: :func:`~contested.analysis.watch.alerts` shares
    one among them. Of examples that the run trains on, the statement is approximate, since they influence the weights.

    Args:
        losses: Shape ``(T, n)``, the first checkpoint being the start; the examples of one category.
        steps: Steps of the checkpoints, rising, shape ``(T,)``.
        planned_steps: The step at which the run is to end. What lies beyond it spends nothing more.
        clusters: What examples share, such as their premise, shape ``(n,)``; by default each stands for itself.
        margin: A rise up to this is none (nats).
        level: Probability of a false alarm over the whole run.
        spending: ``linear`` in the steps, or ``obrien-fleming``, which keeps nearly all for the end.
        seed: Seed of the paths.
        n_paths: Number of paths.

    Returns:
        Statistic, boundary and lower bound of every look, and the first look that crossed.

    Raises:
        ConfigError: If the margin, the level, the spending or the number of paths has no meaning.
        DataError: If the planned steps end before the first checkpoint.
    """
    _check(margin, level, spending, n_paths)
    values, at = checked_losses(losses, steps)
    if planned_steps <= at[0]:
        raise DataError(f"planned_steps: given {planned_steps}, expected a step after the first checkpoint's, {at[0]}.")
    looks = _looks(values, clusters)
    share = np.minimum((at[1:] - at[0]) / (planned_steps - at[0]), 1.0)
    due = SPENDING[spending](share, level)
    tested = looks.error > 0
    unit = looks.unit[tested]
    normal = boundaries(unit @ unit.T, due[tested], normals(len(unit), seed=seed, n_paths=n_paths))
    boundary, statistic, low = (np.full(len(due), np.nan) for _ in range(3))
    boundary[tested] = unskewed(student_isf(special.ndtr(-normal), looks.n_clusters - 1), unit)
    statistic[tested] = (looks.estimate[tested] - margin) / looks.error[tested]
    low[tested] = looks.estimate[tested] - boundary[tested] * looks.error[tested]
    crossed = statistic > boundary
    spent = np.maximum.accumulate(np.where(tested, due, 0.0))
    first = int(at[1:][crossed][0]) if crossed.any() else None
    sizes, note = (values.shape[1], looks.n_clusters), _note(at[1:], looks)
    return Alert(at[1:], looks.estimate, low, statistic, boundary, crossed, spent, first, *sizes, level, note)


def normals(looks: int, *, seed: int, n_paths: int) -> Floats:
    """Independent standard normals of each look, spread evenly over their distribution.

    Args:
        looks: Number of looks L.
        seed: Their seed; those of a look depend on no other.
        n_paths: Number of paths P.

    Returns:
        Shape ``(P, L)``.
    """
    drawn = [_normals_of_look(look, seed, n_paths) for look in range(looks)]
    return np.stack(drawn, axis=1) if drawn else np.zeros((n_paths, 0))


@functools.lru_cache(maxsize=128)
def _normals_of_look(look: int, seed: int, n_paths: int) -> Floats:
    rng = keyed(np.random.default_rng(seed), "alert", str(look))
    return np.asarray(special.ndtri((rng.permutation(n_paths) + rng.random(n_paths)) / n_paths))


def boundaries(correlation: Floats, due: Floats, paths: Floats) -> Floats:
    """Boundaries of looks whose statistics are jointly normal, each from those up to it.

    What a look spends is an average over paths of the conditional probability to cross at it, given the looks before;
    the first boundary is thus exact.

    Args:
        correlation: Of the statistics of the looks, shape ``(L, L)``.
        due: What is to be spent up to each look, rising, shape ``(L,)``.
        paths: Independent standard normals, shape ``(P, L)``.

    Returns:
        Shape ``(L,)``; infinite where nothing is to be spent.
    """
    root = roots(correlation)
    # What the looks before lead one to expect of each, on every path.
    expected = paths @ np.tril(root, -1).T
    sd = np.diag(root)
    alive = np.ones(len(paths), dtype=bool)
    bounds = np.full(len(due), np.inf)
    increments = np.diff(due, prepend=0.0)
    # Crossing at a look is at least as likely as crossing at it first, and no likelier than crossing so far.
    lowest, highest = -special.ndtri(due) - _BEYOND, -special.ndtri(increments) + _BEYOND
    for look in np.flatnonzero(increments > 0):
        between = float(lowest[look]), float(highest[look])
        bounds[look] = _solve(expected[alive, look], float(sd[look]), increments[look] * len(paths), between)
        alive &= expected[:, look] + sd[look] * paths[:, look] <= bounds[look]
    return bounds


def _solve(expected: Floats, sd: float, crossings: float, between: tuple[float, float]) -> float:
    """The value that as many paths are expected to exceed, each normal about its own expectation."""

    def excess(bound: float) -> float:
        above = special.ndtr((expected - bound) / sd) if sd > 0 else expected > bound
        # Of normal tails the logarithm is nearly a parabola, on which the search is quick.
        return float(np.log(max(float(above.sum()), _NO_CROSSINGS) / crossings))

    low, high = between
    while excess(low) < 0:
        low -= 1.0
    while excess(high) > 0:
        high += 1.0
    return float(optimize.brentq(excess, low, high, xtol=1e-9))


def unskewed(bounds: Floats, unit: Floats) -> Floats:
    """Boundaries raised where few examples fall much, so that they hold for means of such changes (Hall 1992).

    Args:
        bounds: Those of means without skewness, shape ``(L,)``.
        unit: Cluster sums of residuals, of length 1, shape ``(L, C)``.

    Returns:
        Shape ``(L,)``, none lower than before.
    """
    # Hall's cubic T + aT²/3 + a²T³/27 + a/6, with a the skewness by √n, has no skewness; here it is inverted. Changes
    # skewed upward make the test without it too cautious, which it may be.
    # A sample shows too little of a strong skewness: Hazen's correction (1924).
    skewness = np.minimum((1.0 + _HAZEN / max(unit.shape[1], 1)) * (unit**3).sum(axis=1), -_NOT_SKEWED)
    corrected = 3.0 / skewness * (np.cbrt(1.0 + skewness * (bounds - skewness / 6.0)) - 1.0)
    return np.where(skewness < -_NOT_SKEWED, corrected, bounds)


def roots(correlation: Floats) -> Floats:
    """Cholesky's factor, row by row: a row needs earlier ones only, and one that repeats earlier ones is allowed.

    Args:
        correlation: Shape ``(L, L)``.

    Returns:
        Lower triangle, shape ``(L, L)``.
    """
    found = np.zeros_like(correlation)
    for look in range(len(found)):
        for other in range(look):
            if found[other, other] > 0:
                left = correlation[look, other] - found[look, :other] @ found[other, :other]
                found[look, other] = left / found[other, other]
        new = 1.0 - found[look, :look] @ found[look, :look]
        found[look, look] = np.sqrt(new) if new > _NOTHING_NEW else 0.0
    return found


SPENDING: dict[Spending, Callable[[Floats, float], Floats]] = {
    "linear": lambda share, level: level * share,
    "obrien-fleming": lambda share, level: 2.0 * special.ndtr(special.ndtri(level / 2.0) / np.sqrt(share)),
}
"""What is spent at a share of the planned steps, by name (Lan and DeMets 1983)."""


def _check(margin: float, level: float, spending: str, n_paths: int) -> None:
    if not 0.0 <= margin < np.inf:
        raise ConfigError(f"margin: given {margin}, expected nats from 0, such as 0.02.")
    if not 0.0 < level < 0.5:
        raise ConfigError(f"level: given {level}, expected a number between 0 and 0.5, such as 0.05.")
    if spending not in SPENDING:
        raise ConfigError(f"spending: given {spending!r}, expected one of {', '.join(SPENDING)}.")
    if n_paths < 1000:
        raise ConfigError(f"n_paths: given {n_paths}, expected at least 1000; 8192 is usual.")


def checked_losses(losses: ArrayLike, steps: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    """Losses and steps that fit together; what is no number is NaN.

    Args:
        losses: Shape ``(T, n)``.
        steps: Shape ``(T,)``.

    Returns:
        The same as float64 and int64.

    Raises:
        DataError: If they do not fit, or the steps do not rise.
    """
    values, at = np.asarray(losses, dtype=np.float64), np.asarray(steps)
    if values.ndim != 2 or not len(values) or at.shape != values.shape[:1]:
        raise DataError(
            f"losses, steps: given shapes {values.shape} and {at.shape}, expected (T, n) and (T,), T at least 1."
        )
    if at.dtype.kind not in "iu" or (np.diff(at) <= 0).any():
        raise DataError(f"steps: given {at.tolist()}, expected whole numbers, each above the one before.")
    return np.where(np.isfinite(values), values, np.nan), at.astype(np.int64)


def _looks(values: Floats, clusters: Sequence[Any] | NDArray[Any] | None) -> _Looks:
    n = values.shape[1]
    change = values[1:] - values[:1]
    estimate = change.mean(axis=1) if n else np.full(len(change), np.nan)
    sums = cluster_residuals(change - estimate[:, None], clusters)
    n_clusters = sums.shape[1]
    length = np.sqrt((sums**2).sum(axis=1))
    largest = np.abs(values).max(axis=1, initial=0.0)
    varies = length > _NO_VARIANCE * np.maximum(largest[1:], largest[0]) * np.sqrt(n)
    tested = varies & (n_clusters >= MIN_CLUSTERS)
    length = np.where(tested, length, np.nan)
    error = length / n * np.sqrt(n_clusters / (n_clusters - 1)) if n_clusters > 1 else length
    return _Looks(estimate, error, sums / length[:, None], n_clusters)


def cluster_residuals(residuals: Floats, clusters: Sequence[Any] | NDArray[Any] | None) -> Floats:
    """Residuals of looks, summed within clusters.

    Args:
        residuals: Shape ``(L, n)``.
        clusters: What examples share, shape ``(n,)``; None where each stands for itself.

    Returns:
        Shape ``(L, C)``, clusters in the order in which they occur.
    """
    if clusters is None:
        return residuals
    codes = cluster_codes(clusters, residuals.shape[1])
    return np.ascontiguousarray(cluster_sums(residuals.T, codes).T)


def _note(steps: NDArray[np.int64], looks: _Looks) -> str:
    if looks.n_clusters < MIN_CLUSTERS:
        return f"{looks.n_clusters} independent examples: too few to test ({MIN_CLUSTERS} needed)"
    missing = ~np.isfinite(looks.estimate)
    same = ~missing & np.isnan(looks.error)
    reasons = (("losses that are no numbers", missing), ("every loss changed by the same amount", same))
    return "; ".join(
        f"{reason} at step {', '.join(map(str, steps[at]))}: not tested" for reason, at in reasons if at.any()
    )
