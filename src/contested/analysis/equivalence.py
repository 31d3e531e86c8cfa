"""Is a change unchanged, or an effect absent: equivalence tests against a margin that is stated beforehand.

An interval that holds zero shows no sameness: a study too small to see anything has one. Sameness is shown where the
whole interval lies within a margin (D. J. Schuirmann, 1987: two one-sided tests; the intervals here are at the
confidence of all others, which tests at half of one minus it, 2.5 % for 95 %).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.analysis.intervals import Interval
from contested.errors import ConfigError, DataError
from contested.wording import joined

SAME = (0.8, 1.25)
"""Two effects count as the same where one is 80 to 125 % of the other, the margin of bioequivalence; the range is the
same whichever of the two comes first."""

ABSENT = 0.2
"""An effect counts as absent beside another where it is less than a fifth of it."""

Equivalent = Literal["same", "different", "inconclusive"]


class RatioEquivalence(NamedTuple):
    """Whether one effect is the same as another, up to the bounds of their ratio.

    Attributes:
        ratio: Mean of the values over the mean of the reference.
        least: Mean of the values less the lower bound times the reference: above 0, enough of the effect is there.
        least_low: Lower end of its interval.
        least_high: Upper end.
        most: Mean of the upper bound times the reference less the values: above 0, no more of it than that is there.
        most_low: Lower end of its interval.
        most_high: Upper end.
        note: Why a number is missing; empty otherwise.
        least_caution: Why the interval of ``least`` may cover the truth less often than it says; empty otherwise.
        most_caution: The same of ``most``.
    """

    ratio: float
    least: float
    least_low: float
    least_high: float
    most: float
    most_low: float
    most_high: float
    note: str
    least_caution: str
    most_caution: str

    @property
    def verdict(self) -> Equivalent:
        """Both above 0 by their intervals is "same", one of them below is "different"."""
        if self.least_low > 0 and self.most_low > 0:
            return "same"
        return "different" if self.least_high < 0 or self.most_high < 0 else "inconclusive"


def ratio_equivalence(
    values: ArrayLike,
    reference: ArrayLike,
    interval: Callable[[NDArray[np.float64]], Interval],
    *,
    bounds: tuple[float, float] = SAME,
) -> RatioEquivalence:
    """Test whether an effect is the same as a positive one measured on the same examples and seeds.

    The margin is a share of the reference, which is itself measured: instead of taking it as known, each bound is a
    mean of its own, ``values − lower · reference`` and ``upper · reference − values`` (as in E. C. Fieller's interval
    of a ratio, 1954). Both above zero imply a reference above zero, for the upper bound exceeds the lower one; without
    one there is no ratio, and nothing is shown to be different either unless the caller knows it to be positive.

    Args:
        values: The effect, any shape.
        reference: The effect that it is compared with, of the same shape.
        interval: Gives the interval of the mean of such an array.
        bounds: Lowest and highest ratio that counts as the same.

    Returns:
        Both means with their intervals.

    Raises:
        DataError: If the shapes differ.
        ConfigError: If the bounds do not hold 1.
    """
    lower, upper = bounds
    if not 0 <= lower < 1 < upper:
        raise ConfigError(f"bounds: given {bounds}, expected two ratios around 1, such as (0.8, 1.25).")
    effect, other = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if effect.shape != other.shape:
        raise DataError(f"values: given shape {effect.shape}, expected that of the reference, {other.shape}.")
    least, most = interval(effect - lower * other), interval(upper * other - effect)
    ratio = float(effect.mean() / other.mean()) if effect.size and other.mean() else np.nan
    ends = (least.estimate, least.low, least.high, most.estimate, most.low, most.high)
    note = least.note if least.note == most.note else joined(least.note, most.note)
    return RatioEquivalence(ratio, *ends, note, least.caution, most.caution)
