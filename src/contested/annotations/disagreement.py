"""The measure by which examples are cut into categories: entropy, or one that knows the order of a scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.annotations import scales
from contested.annotations.measures import Estimator, check_counts, entropy
from contested.errors import ConfigError
from contested.wording import did_you_mean, listed

FIXED_BOUNDS = (0.4, 0.7)
"""The paper's bounds between clean, ambiguous and contested, in nats."""
FIXED_CLASSES = 3
"""The number of classes that they were made for."""
CUTS = (FIXED_BOUNDS[0] / math.log(FIXED_CLASSES), FIXED_BOUNDS[1] / math.log(FIXED_CLASSES))
"""These bounds as shares of the largest entropy, ln 3: of any measure, the same shares of its own largest value."""

By = Literal["entropy", "scaled-entropy", "sd", "pair-distance", "polarisation"]
"""The measures that examples can be cut by; see `Disagreement`."""
UNORDERED: tuple[By, ...] = ("entropy", "scaled-entropy")
"""Those that take classes as names without an order."""


def _entropy(weights: NDArray[np.generic], _: NDArray[np.float64]) -> NDArray[np.float64]:
    # Here, for SciPy takes longer to load than most files to read.
    from scipy import special

    given = np.asarray(weights, np.float64)
    total = given.sum(axis=-1)
    # H of p = x / s is ln s − Σ x ln x / s: no array of shares is made.
    return np.asarray(np.log(total) + special.entr(given).sum(axis=-1) / total)


class _Measure(NamedTuple):
    """A measure that examples can be cut by.

    Attributes:
        sign: How tables call its value.
        name: What it is, in a sentence.
        unit: Its unit; None for that of the scale.
        of_weights: Its value of distributions, shape (…, K), on a scale; those of entropy are not scaled.
    """

    sign: str
    name: str
    unit: str | None
    of_weights: Callable[[NDArray[np.generic], NDArray[np.float64]], NDArray[np.float64]]


_MEASURES: dict[By, _Measure] = {
    "entropy": _Measure("H", "entropy", "nats", _entropy),
    "scaled-entropy": _Measure("H′", "scaled entropy", "nats", _entropy),
    "sd": _Measure("SD", "the standard deviation of the ratings", None, scales.deviation),
    "pair-distance": _Measure("D", "the mean distance of two annotators' ratings", None, scales.distance),
    "polarisation": _Measure("P", "polarisation (nDFU)", "", lambda weights, _: scales.second_peak(weights)),
}


def parse_by(name: str) -> By:
    """Return the measure of this name.

    Args:
        name: ``entropy``, ``scaled-entropy``, ``sd``, ``pair-distance`` or ``polarisation``.

    Returns:
        The same name, known to be valid.

    Raises:
        ConfigError: If there is no such measure.
    """
    for by in _MEASURES:
        if name == by:
            return by
    known = get_args(By)
    raise ConfigError(f"Examples cannot be cut by '{name}'{did_you_mean(name, known)}: use one of {listed(known)}.")


@dataclass(frozen=True)
class Disagreement:
    """The measure by which examples are cut into categories, and the scale of their ratings.

    ``entropy`` (nats) knows no order of the classes. ``scaled-entropy`` is H · ln 3 / min(ln K, ln n): the same share
    of the largest entropy of K classes and n annotations that H is of ln 3, for which 0.4 and 0.7 were made. ``sd``,
    ``pair-distance`` and ``polarisation`` know the order: `standard_deviation`, `mean_pair_distance`, `polarisation`.

    Attributes:
        by: The measure.
        values: The rating that each class stands for, (K,), in the order of the classes; empty where they are no scale.

    Examples:
        >>> spread = Disagreement("sd", (1, 2, 3, 4, 5))
        >>> spread.of([[0, 2, 2, 0, 0], [2, 0, 0, 0, 2]]).tolist()
        [0.5, 2.0]
        >>> [round(bound, 3) for bound in spread.bounds()]
        [0.728, 1.274]
    """

    by: By = "entropy"
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "by", parse_by(self.by))
        object.__setattr__(self, "values", tuple(map(float, self.values)))
        if self.ordered and not self.values:
            raise ConfigError(
                f"by={self.by} needs the order of the classes: give scale=1,2,3,4,5, or the names of the classes from "
                f"the lowest to the highest."
            )
        if not np.isfinite(self.values).all() or len(set(self.values)) < len(self.values) or len(self.values) == 1:
            raise ConfigError(
                f"The ratings of a scale must be finite and distinct; given: {listed(map(str, self.values))}."
            )

    @property
    def ordered(self) -> bool:
        """Whether the measure knows the order of the classes."""
        return self.by not in UNORDERED

    @property
    def sign(self) -> str:
        """How tables call its value."""
        return _MEASURES[self.by].sign

    @property
    def name(self) -> str:
        """What the measure is, in a sentence."""
        return _MEASURES[self.by].name

    @property
    def unit(self) -> str:
        """Its unit; empty where it has none."""
        unit = _MEASURES[self.by].unit
        return "units of the scale" if unit is None else unit

    def bounds(self) -> tuple[float, float]:
        """Return the fixed bounds: 0.4 and 0.7 nats, or the same shares of the measure's largest value.

        Returns:
            Of ``sd`` and ``pair-distance`` the largest is half the range of the scale, that of annotators who are
            evenly divided between its ends; of ``polarisation`` it is 1.
        """
        if not self.ordered:
            return FIXED_BOUNDS
        largest = 1.0 if self.by == "polarisation" else (max(self.values) - min(self.values)) / 2
        return CUTS[0] * largest, CUTS[1] * largest

    def of(self, label_counts: ArrayLike, estimator: Estimator = "plugin") -> NDArray[np.float64]:
        """Return the value of each example.

        Args:
            label_counts: Annotations per class, shape (N, K); each row holds at least one.
            estimator: How entropy is estimated, where it is the measure.

        Returns:
            Shape (N,); nan with one annotation.

        Raises:
            DataError: If the scale has another number of classes.
        """
        counts = check_counts(label_counts, copy=False)
        self._check_width(counts.shape[1])
        if self.by == "sd":
            return scales.standard_deviation(counts, self.values)
        if self.by == "pair-distance":
            return scales.mean_pair_distance(counts, self.values)
        if self.by == "polarisation":
            return scales.polarisation(counts[:, np.argsort(self.values)])
        found = entropy(counts, estimator)
        return found if self.by == "entropy" else found * _scaling(counts)

    def of_weights(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the value of distributions as if annotators without number had drawn from them.

        Args:
            weights: At least 0, shape (…, K), of any sum.

        Returns:
            Shape (…).
        """
        if self.ordered:
            order = np.argsort(self.values)
            return _MEASURES[self.by].of_weights(weights[..., order], np.asarray(self.values)[order])
        found = _MEASURES[self.by].of_weights(weights, np.empty(0))
        return found * (math.log(FIXED_CLASSES) / math.log(weights.shape[-1])) if self.by == "scaled-entropy" else found

    def _check_width(self, n_classes: int) -> None:
        """Raise ConfigError where the scale has another number of classes than the counts."""
        if self.values and len(self.values) != n_classes:
            raise ConfigError(
                f"The scale has {len(self.values)} classes ({listed(f'{v:g}' for v in self.values)}), but the label "
                f"counts have {n_classes}. Give every class, also those that nobody chose."
            )

    def reordered(self, order: Sequence[int]) -> Disagreement:
        """Return the same measure for classes in another order: ``order`` says which class is where, (K,)."""
        return replace(self, values=tuple(self.values[k] for k in order) if self.values else ())

    def to_json(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {"by": self.by, "scale": list(self.values)}

    def to_manifest(self) -> dict[str, object]:
        """Return what a manifest says of the measure of its categories: nothing where that is entropy."""
        return {} if self == PLAIN else {"categories_by": self.to_json()}

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Disagreement:
        """Return the measure that a manifest says; entropy where it says none."""
        given = manifest.get("categories_by", {})
        return cls(given.get("by", "entropy"), tuple(given.get("scale", ())))


def _scaling(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each example ln 3 / min(ln K, ln n); that of one annotation does not matter, for its entropy is nan."""
    n = np.maximum(counts.sum(axis=1), 2)
    return np.asarray(math.log(FIXED_CLASSES) / np.log(np.minimum(n, counts.shape[1])))


PLAIN = Disagreement()
"""Entropy, of classes without an order."""
