"""Ordinary least squares, the one place where statsmodels fits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.wording import counted


class Fit(NamedTuple):
    """An ordinary least squares fit with intercept; what is missing is NaN and explained in ``note``.

    Attributes:
        coefficients: Of the intercept and of each column, shape ``(P + 1,)``.
        standard_errors: Shape ``(P + 1,)``, in the unit of the coefficients.
        p_values: Two-sided p of each coefficient = 0 (Student t), shape ``(P + 1,)``.
        r_squared: Share of variance explained.
        note: Why there is no fit; empty otherwise.
    """

    coefficients: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    p_values: NDArray[np.float64]
    r_squared: float
    note: str


def least_squares(y: NDArray[np.float64], columns: Sequence[NDArray[np.float64]]) -> Fit:
    """Regress ``y`` on an intercept and columns.

    Args:
        y: Shape ``(N,)``.
        columns: P columns of shape ``(N,)``.

    Returns:
        The fit: NaN, with a note, when ``y`` is constant, when there are too few examples for the residuals to
        have a degree of freedom, or when the columns are collinear.
    """
    n = len(y)
    design = np.column_stack([np.ones(n), *columns])
    if note := _no_fit(y, design):
        missing = np.full(design.shape[1], np.nan)
        return Fit(missing, missing, missing, np.nan, note)
    # Not at the top: importing statsmodels takes most of a second, which reading a run need not wait for.
    from statsmodels.regression.linear_model import OLS

    found = OLS(y, design).fit()
    return Fit(found.params, found.bse, found.pvalues, float(found.rsquared), "")


def _no_fit(y: NDArray[np.float64], design: NDArray[np.float64]) -> str:
    n, width = design.shape
    if n <= width:
        return f"{counted(n, 'example')}: too few to regress on {width - 1} terms ({width + 1} needed)"
    if np.ptp(y) == 0:
        return "constant: the response, so there is no variance to explain"
    if np.linalg.matrix_rank(design / np.linalg.norm(design, axis=0).clip(min=1e-300)) < width:
        return "some terms are constant or collinear, so their coefficients are not determined"
    return ""
