"""Ordinary least squares, the one place where statsmodels fits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contested.analysis.clusters import cluster_codes, cluster_sums
from contested.analysis.studentised import Tails, long_tails, lowered, student_isf
from contested.wording import counted

_ALONE = 1e-9  # of an example's leverage, how far below 1 it has to be for its residual to say anything


class Fit(NamedTuple):
    """An ordinary least squares fit with intercept; what is missing is NaN and explained in ``note``.

    Attributes:
        coefficients: Of the intercept and of each column, shape ``(P + 1,)``.
        standard_errors: Robust ones, shape ``(P + 1,)``, in the unit of the coefficients.
        p_values: Two-sided p of each coefficient = 0 (Student t, see above), shape ``(P + 1,)``.
        low: Lower ends of the coefficients' intervals, shape ``(P + 1,)``.
        high: Upper ends, shape ``(P + 1,)``.
        r_squared: Share of variance explained.
        note: Why there is no fit, or no standard error; empty otherwise.
    """

    coefficients: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    p_values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    r_squared: float
    note: str


def least_squares(
    y: NDArray[np.float64],
    columns: Sequence[NDArray[np.float64]],
    *,
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    confidence: float = 0.95,
) -> Fit:
    """Regress ``y`` on an intercept and columns, with standard errors that hold where the spread is not the same.

    The spread of losses rises with disagreement, which the ordinary standard errors do not know. HC3 (MacKinnon and
    White 1985; Long and Ervin 2000) does, for few examples too; where clusters hold more than one example, the
    cluster-robust errors of Liang and Zeger (1986), with degrees of freedom by the number of clusters. Where what
    examples add to a coefficient is skewed, the end of its interval on that side has its level lowered as that of a
    mean has (:mod:`~contested.analysis.studentised`), and p is one minus the confidence at which it would end at 0.

    Args:
        y: Shape ``(N,)``.
        columns: P columns of shape ``(N,)``.
        clusters: What examples share, such as their premise, shape ``(N,)``; without it each stands for itself.
        confidence: Coverage wanted of each coefficient's interval.

    Returns:
        The fit: NaN, with a note, when ``y`` is constant, when there are too few examples for the residuals to
        have a degree of freedom, or when the columns are collinear. No standard error, with a note, where a
        coefficient rests on one example or cluster alone.
    """
    design = np.column_stack([np.ones(len(y)), *columns])
    groups = cluster_codes(clusters, len(y))
    missing = np.full(design.shape[1], np.nan)
    if note := _no_fit(y, design):
        return Fit(missing, missing, missing, missing, missing, np.nan, note)
    # Not at the top: importing statsmodels takes most of a second, which reading a run need not wait for.
    from statsmodels.regression.linear_model import OLS

    model, n_groups = OLS(y, design), int(groups.max()) + 1
    if note := _no_errors(design, groups):
        found = model.fit()
        return Fit(found.params, missing, missing, missing, missing, float(found.rsquared), note)
    if n_groups == len(y):
        found = model.fit(cov_type="HC3", use_t=True)
    else:
        found = model.fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    tails = _tails(design, np.asarray(found.resid), groups)
    df = len(y) - design.shape[1] if n_groups == len(y) else n_groups - 1
    low, high = (
        found.params + side * found.bse * student_isf((0.5 - confidence / 2) * lowered(tail), df)
        for side, tail in ((-1, tails.low), (1, tails.high))
    )
    towards_0 = lowered(np.where(found.params > 0, tails.low, tails.high))
    p_values = np.minimum(found.pvalues / towards_0, 1.0)
    return Fit(found.params, found.bse, p_values, low, high, float(found.rsquared), "")


def _tails(design: NDArray[np.float64], residuals: NDArray[np.float64], groups: NDArray[np.intp]) -> Tails:
    """How skewed the coefficients are, by what each example (HC3) or cluster adds to their errors."""
    q, r = np.linalg.qr(design)
    added = q @ np.linalg.inv(r).T * residuals[:, None]
    if len(np.unique(groups)) == len(groups):
        return long_tails(added / (1.0 - (q**2).sum(axis=1))[:, None])
    return long_tails(cluster_sums(added, groups))


def _no_errors(design: NDArray[np.float64], groups: NDArray[np.intp]) -> str:
    """Why coefficients have no standard errors; empty where they have."""
    n_groups, width = int(groups.max()) + 1, design.shape[1]
    if n_groups <= width:
        return f"{counted(n_groups, 'cluster')}: too few for standard errors of {width} coefficients"
    leverage = (np.linalg.qr(design)[0] ** 2).sum(axis=1)
    if leverage.max() > 1 - _ALONE:
        return "a term rests on one example alone, so its standard error is unknown"
    return ""


def _no_fit(y: NDArray[np.float64], design: NDArray[np.float64]) -> str:
    n, width = design.shape
    if n <= width:
        return f"{counted(n, 'example')}: too few to regress on {width - 1} terms ({width + 1} needed)"
    if np.ptp(y) == 0:
        return "constant: the response, so there is no variance to explain"
    if np.linalg.matrix_rank(design / np.linalg.norm(design, axis=0).clip(min=1e-300)) < width:
        return "some terms are constant or collinear, so their coefficients are not determined"
    return ""
