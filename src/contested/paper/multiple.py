"""p-values of a family of tests, adjusted for how many there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.errors import ConfigError, DataError


class Adjusted(NamedTuple):
    """Adjusted p-values in the order given, each of shape ``(n,)``.

    Attributes:
        p_bonferroni: p times the size of the family, at most 1: controls any false finding.
        p_bh: Benjamini–Hochberg adjusted p: controls the share of false findings.
        significant_bonferroni: ``p_bonferroni`` at most alpha; False where p is missing.
        significant_bh: ``p_bh`` at most alpha; False where p is missing.
    """

    p_bonferroni: NDArray[np.float64]
    p_bh: NDArray[np.float64]
    significant_bonferroni: NDArray[np.bool_]
    significant_bh: NDArray[np.bool_]


def adjust(p_values: ArrayLike, alpha: float = 0.05) -> Adjusted:
    """Adjust the p-values of one family of tests by Bonferroni and by Benjamini–Hochberg.

    A missing p (NaN) was no test: it is left out of the family, stays NaN and is not significant.

    Args:
        p_values: Shape ``(n,)``, from 0 to 1.
        alpha: Level of the family.

    Returns:
        Adjusted p-values and what they decide.

    Raises:
        DataError: If a p-value is not between 0 and 1.
        ConfigError: If alpha is out of range.
    """
    if not 0.0 < alpha < 1.0:
        raise ConfigError(f"alpha: given {alpha}, expected a number between 0 and 1, such as 0.05.")
    given = np.asarray(p_values, dtype=np.float64)
    tested = ~np.isnan(given)
    family = given[tested]
    if given.ndim != 1 or ((family < 0) | (family > 1)).any():
        raise DataError(f"p_values: given {given.tolist()}, expected shape (n,) and values between 0 and 1.")
    bonferroni, bh = np.full(given.shape, np.nan), np.full(given.shape, np.nan)
    if len(family):
        # Not at the top: importing statsmodels takes most of a second, which reading a run need not wait for.
        from statsmodels.stats.multitest import multipletests

        bonferroni[tested] = multipletests(family, method="bonferroni")[1]
        bh[tested] = multipletests(family, method="fdr_bh")[1]
    return Adjusted(bonferroni, bh, bonferroni <= alpha, bh <= alpha)
