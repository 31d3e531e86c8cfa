"""Bands of disagreement with names: the paper's fixed bounds, quantile bounds, or one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.annotations import measures
from contested.annotations.disagreement import FIXED_BOUNDS, PLAIN, Disagreement
from contested.errors import ConfigError, DataError
from contested.wording import did_you_mean, listed

UNKNOWN = "unknown"
"""The category of an example with one annotation: it may be clean or contested, and nobody can tell."""


@dataclass(frozen=True)
class Categories:
    """Named bands of entropy or another measure, in rising order: band j holds bounds[j−1] ≤ H < bounds[j].

    Attributes:
        names: One name per band, from lowest to highest entropy.
        bounds: Rising bounds in nats or the measure's unit, one fewer than names.
        disagreement: The measure that is cut, where it is not the entropy.

    Examples:
        >>> Categories(("agreed", "split"), (0.5,)).assign([0.2, 0.5]).tolist()
        ['agreed', 'split']
    """

    names: tuple[str, ...]
    bounds: tuple[float, ...]
    disagreement: Disagreement = PLAIN

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "bounds", tuple(float(bound) for bound in self.bounds))
        if not self.disagreement.ordered:  # bands of entropy are the same whatever the classes stand for
            object.__setattr__(self, "disagreement", Disagreement(self.disagreement.by))
        problems = self._problems()
        if problems:
            raise ConfigError(
                f"These categories cannot be used: names ({listed(self.names)}), "
                f"bounds in {self.disagreement.unit or 'shares'} ({listed(self.bounds)}).",
                problems,
            )

    def _problems(self) -> list[str]:
        problems = []
        if len(self.names) != len(self.bounds) + 1 or len(self.names) < 2:
            problems.append(
                f"{len(self.bounds)} bounds make {len(self.bounds) + 1} categories, at least 2; "
                f"{len(self.names)} names were given"
            )
        if len(set(self.names)) != len(self.names):
            problems.append("names must differ from one another")
        if "overall" in self.names:
            problems.append("'overall' is reserved for all examples; rename that category")
        if UNKNOWN in self.names:
            problems.append(f"'{UNKNOWN}' is reserved for examples with one annotation; rename that category")
        if not np.isfinite(self.bounds).all() or not (np.diff(self.bounds) > 0).all():
            problems.append("bounds must be finite and rise strictly")
        if any(bound <= 0 for bound in self.bounds):
            problems.append("bounds must be above 0: no disagreement lies below 0")
        return problems

    @classmethod
    def from_bounds(cls, bounds: Sequence[float], names: Sequence[str] | None = None) -> Categories:
        """Make categories of own bounds.

        Args:
            bounds: Rising bounds in nats.
            names: One more name than bounds. Without them, two bounds make clean, ambiguous and
                contested, and any other number makes band-1, band-2, …

        Returns:
            The categories.
        """
        if names is None:
            names = FIXED.names if len(bounds) == 2 else [f"band-{j + 1}" for j in range(len(bounds) + 1)]
        return cls(tuple(names), tuple(bounds))

    def assign(self, entropy: ArrayLike) -> NDArray[np.str_]:
        """Return the name of each entropy's band, shape (N,), :data:`UNKNOWN` where it is nan; entropies in nats."""
        return np.array([*self.names, UNKNOWN], dtype=np.str_)[self._bands(entropy)]

    def _bands(self, entropy: ArrayLike) -> NDArray[np.int64]:
        """The number of each entropy's band, (N,); that of no band where it is nan."""
        values = _checked(entropy)
        return np.where(np.isnan(values), len(self.names), np.searchsorted(self.bounds, values, side="right"))

    def count(self, entropy: ArrayLike) -> dict[str, int]:
        """Return the number of known entropies in each band, every name included, in rising order."""
        times = np.bincount(self._bands(entropy), minlength=len(self.names))
        return dict(zip(self.names, times.tolist(), strict=False))


FIXED = Categories(("clean", "ambiguous", "contested"), FIXED_BOUNDS)
"""The paper's bands, made for K = 3 classes: clean H < 0.4 ≤ ambiguous < 0.7 ≤ contested."""

_QUANTILE_NAMES = {"terciles": ("low", "middle", "high"), "quartiles": ("q1", "q2", "q3", "q4")}

SCHEMES: tuple[str, ...] = ("fixed", *_QUANTILE_NAMES)


def resolve_categories(
    entropy: ArrayLike, scheme: str | Categories = "fixed", *, disagreement: Disagreement = PLAIN
) -> Categories:
    """Return the names and bounds that a scheme means for these entropies, or values of another measure.

    Quantile schemes cut as `pandas.qcut` does: an entropy equal to a quantile belongs to the lower
    band, so tied entropies (many, with few annotators) are never divided and bands can differ in size.

    Args:
        entropy: Entropies in nats, or values of ``disagreement``, shape (N,); unknown ones (nan) move no quantile.
        scheme: ``fixed``, ``terciles``, ``quartiles``, or own `Categories`.
        disagreement: What the values measure; own `Categories` that name a measure keep it.

    Returns:
        The categories, in order of rising entropy.

    Raises:
        ConfigError: If the scheme is unknown.
    """
    if isinstance(scheme, Categories):
        return scheme if scheme.disagreement != PLAIN else replace(scheme, disagreement=disagreement)
    if scheme == "fixed":
        return fixed_categories(disagreement)
    if scheme not in _QUANTILE_NAMES:
        raise ConfigError(
            f"Unknown categories '{scheme}'{did_you_mean(scheme, SCHEMES)}: "
            f"use one of {listed(SCHEMES)}, or own bounds."
        )
    values = _checked(entropy)
    return _quantile_categories(values[~np.isnan(values)], scheme, disagreement)


def _quantile_categories(entropy: NDArray[np.float64], scheme: str, disagreement: Disagreement) -> Categories:
    names = _QUANTILE_NAMES[scheme]
    values = np.unique(entropy)
    quantiles = np.quantile(entropy, np.arange(1, len(names)) / len(names)) if len(values) else values
    # Bands are closed below, quantile bands above: the bound is the first value beyond the quantile.
    above = np.searchsorted(values, quantiles, side="right")
    if len(np.unique(above)) < len(names) - 1 or above[-1] == len(values):
        raise DataError(
            f"{disagreement.name[0].upper()}{disagreement.name[1:]} cannot be cut into {scheme}: {len(entropy)} "
            f"examples have only {len(values)} distinct values, so bands would be empty. Use fixed or own bounds."
        )
    return Categories(names, tuple(values[above].tolist()), disagreement)


class CutCounts(NamedTuple):
    """Examples by how much their annotators disagree.

    Attributes:
        categories: The category of each example, (N,); :data:`UNKNOWN` where it has a single annotation.
        bands: The names and bounds of the others.
        values: The value of each example that was cut, (N,): entropy, or that of ``bands.disagreement``; nan where it
            has a single annotation.
    """

    categories: NDArray[np.str_]
    bands: Categories
    values: NDArray[np.float64]


def fixed_categories(disagreement: Disagreement = PLAIN) -> Categories:
    """Return the fixed bands of a measure: 0.4 and 0.7 nats of entropy, or the same shares of its largest value."""
    return Categories(FIXED.names, disagreement.bounds(), disagreement)


def cut_counts(
    label_counts: ArrayLike,
    scheme: str | Categories = "fixed",
    *,
    estimator: measures.Estimator = "plugin",
    disagreement: Disagreement = PLAIN,
) -> CutCounts:
    """Cut examples into categories by their annotators' labels.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.
        scheme: ``fixed``, ``terciles``, ``quartiles``, or own `Categories`; quantiles are those of the examples with
            two annotations or more.
        estimator: How entropy is estimated, where it is cut.
        disagreement: The measure that is cut; own `Categories` that name a measure keep it.

    Returns:
        The categories.
    """
    bands, values = bands_of(label_counts, scheme, estimator=estimator, disagreement=disagreement)
    return CutCounts(bands.assign(values), bands, values)


def bands_of(
    label_counts: ArrayLike, scheme: str | Categories, *, estimator: measures.Estimator, disagreement: Disagreement
) -> tuple[Categories, NDArray[np.float64]]:
    """Return the bands that :func:`cut_counts` cuts examples into, and the values that are cut; arguments as there."""
    if isinstance(scheme, Categories) and scheme.disagreement != PLAIN:
        disagreement = scheme.disagreement
    values = disagreement.of(label_counts, estimator)
    return resolve_categories(values, scheme, disagreement=disagreement), values


def recovered(
    values: ArrayLike, categories: ArrayLike, names: Sequence[str], *, disagreement: Disagreement = PLAIN
) -> Categories | None:
    """Return the bounds between categories that are bands of entropy or another measure, found from their examples.

    Args:
        values: What was cut, shape (N,); nan where unknown.
        categories: The category of each example, shape (N,).
        names: The categories in rising order.
        disagreement: The measure that the values are of.

    Returns:
        The fixed bands where they are those; else bounds at the lowest value of each band. None where categories are
        no such bands, or one without examples leaves a bound unknown.
    """
    human, given = np.asarray(values, np.float64), np.asarray(categories, dtype=object)
    known = (given != UNKNOWN) & np.isfinite(human)
    if len(names) < 2 or not known.any():
        return None
    for bands in _candidates(human[known], given[known], names, disagreement):
        if (bands.assign(human[known]) == given[known]).all():
            return bands
    return None


def _candidates(
    values: NDArray[np.float64], categories: NDArray[np.object_], names: Sequence[str], disagreement: Disagreement
) -> Iterator[Categories]:
    if len(names) == len(FIXED.names):
        yield Categories(tuple(names), disagreement.bounds(), disagreement)
    inside = [values[categories == name] for name in names[1:]]
    bounds = [float(of_band.min()) for of_band in inside if len(of_band)]
    if len(bounds) == len(inside) and bounds == sorted(set(bounds)) and bounds[0] > 0:
        yield Categories(tuple(names), tuple(bounds), disagreement)


def categorize(entropy: ArrayLike, scheme: str | Categories = "fixed") -> NDArray[np.str_]:
    """Return the category of each example.

    Args:
        entropy: Entropies in nats, shape (N,); nan where unknown.
        scheme: ``fixed``, ``terciles``, ``quartiles``, or own `Categories`; see `resolve_categories`.

    Returns:
        Category names, shape (N,); ``unknown`` where the entropy is.

    Examples:
        >>> categorize([0.0, 0.4, 0.7]).tolist()
        ['clean', 'ambiguous', 'contested']
    """
    return resolve_categories(entropy, scheme).assign(entropy)


def _checked(entropy: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(entropy, dtype=np.float64)
    if values.ndim != 1 or np.isinf(values).any():
        raise DataError(
            f"Entropies must be numbers of shape (N,), nan where unknown and never infinite; given: shape "
            f"{values.shape}, {int(np.isinf(values).sum())} of them infinite."
        )
    return values
