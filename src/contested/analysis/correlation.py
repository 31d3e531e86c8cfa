"""Rank correlation of a trajectory's summary with human disagreement."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from contested.analysis.checks import check_resampling, finite_array, same_length
from contested.analysis.intervals import too_few
from contested.analysis.ranking import BATCH, codes, mean_ranks, rank_correlation
from contested.wording import counted

Direction = Literal["positive", "negative", "unclear"]


class Correlation(NamedTuple):
    """A Spearman correlation over examples.

    Attributes:
        x: The first quantity, such as ``"aulc"``.
        y: The second quantity, such as ``"entropy"``.
        rho: Spearman's ρ.
        p_value: Two-sided p of ρ = 0 (Student t approximation).
        low: Lower end of the interval of ρ.
        high: Upper end of the interval of ρ.
        n: Examples it rests on.
        n_skipped: Examples left out because a value is missing.
        direction: "positive" (interval above 0), "negative" (below 0) or "unclear".
        method: How the interval was made.
        note: Why a number is missing or made another way; empty otherwise.
    """

    x: str
    y: str
    rho: float
    p_value: float
    low: float
    high: float
    n: int
    n_skipped: int
    direction: Direction
    method: str
    note: str


class Correlations(NamedTuple):
    """ρ with entropy, for AULC as in the paper and weighted by steps, and for the coordinates of the data map.

    Attributes:
        aulc: ρ of AULC, the plain mean over checkpoints.
        aulc_trapezoid: ρ of AULC weighted by steps.
        confidence: ρ of the gold label's mean probability; None without logits or gold labels.
        variability: ρ of that probability's standard deviation; None likewise.
        learning_time: ρ of the step at which an example is learned, those that never are above all others; None where
            the classes of the losses are unknown.
    """

    aulc: Correlation
    aulc_trapezoid: Correlation
    confidence: Correlation | None = None
    variability: Correlation | None = None
    learning_time: Correlation | None = None


_BCA_EXAMPLES = 5000  # the jackknife inside BCa ranks N samples of N - 1 examples: 25 million numbers here
_NO_BCA = "resamples all alike or some constant, so BCa is undefined: percentile interval, constant ones as ρ = 0"
_SMALLEST_RHO = 3  # two points always lie in perfect order


def _spearman_rows(x: NDArray[np.intp], y: NDArray[np.intp], axis: int = -1) -> NDArray[np.float64]:
    """ρ along the last axis for any stack of samples of codes; NaN where a sample is constant."""
    assert axis == -1, "scipy's bootstrap keeps the examples last"
    return rank_correlation(mean_ranks(x), mean_ranks(y))


def rank_interval(
    samples: Sequence[NDArray[np.intp]],
    statistic: Callable[..., NDArray[np.float64]],
    *,
    rng: np.random.Generator,
    n_resamples: int,
    confidence: float,
) -> tuple[float, float, str, str]:
    """The bootstrap interval of a rank correlation; percentile where BCa is undefined or too costly.

    Args:
        samples: What is resampled together, each coded by :func:`~contested.analysis.ranking.codes`, shape ``(N,)``.
        statistic: From resamples ``(..., N)`` and ``axis`` to correlations ``(...)``; NaN where there is none.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.

    Returns:
        Low, high, how they were made, and a note; empty where BCa is defined.
    """
    n = len(samples[0])
    method: Literal["BCa", "percentile"] = "BCa" if n <= _BCA_EXAMPLES else "percentile"
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        # A degenerate bootstrap is answered below, with a note in the result.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            tuple(samples),
            statistic,
            n_resamples=n_resamples,
            batch=max(1, BATCH // n),
            vectorized=True,
            paired=True,
            confidence_level=confidence,
            method=method,
            rng=rng,
        )
    low, high = (float(end) for end in found.confidence_interval)
    if np.isfinite(low) and np.isfinite(high):
        return low, high, f"{method} bootstrap", ""
    # A resample that is constant in x or y shows no order: taking it as ρ = 0 widens, leaving it out would not.
    drawn = np.nan_to_num(found.bootstrap_distribution, nan=0.0)
    low, high = (float(end) for end in np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2]))
    return low, high, "percentile bootstrap", _NO_BCA


def spearman(
    x: ArrayLike,
    y: ArrayLike,
    *,
    rng: np.random.Generator,
    names: tuple[str, str] = ("x", "y"),
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Correlation:
    """Spearman's ρ of two quantities of the same examples, with p and a BCa bootstrap interval.

    Examples with a missing value (NaN) are left out and counted. With fewer than 3 examples, or when a
    quantity is constant, there is no ρ; with fewer than :func:`~contested.analysis.smallest_n` there is
    no interval. Above 5,000 examples the interval is a percentile one, for BCa's cost grows with N².

    Args:
        x: Shape ``(N,)``; ties share their mean rank.
        y: Shape ``(N,)``.
        rng: Source of the resamples.
        names: What ``x`` and ``y`` are.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.

    Returns:
        ρ with its interval; what is missing is NaN and explained in ``note``.
    """
    check_resampling(n_resamples, confidence)
    a, b, n_skipped = known_pairs(x, y, names)
    nan, n = float("nan"), len(a)
    if note := no_rho(a, b, names):
        return Correlation(*names, nan, nan, nan, nan, n, n_skipped, "unclear", "none", note)
    rho, p_value = (float(part) for part in stats.spearmanr(a, b))
    if note := too_few(n, confidence):
        return Correlation(*names, rho, p_value, nan, nan, n, n_skipped, "unclear", "none", note)
    low, high, method, note = rank_interval(
        (codes(a), codes(b)), _spearman_rows, rng=rng, n_resamples=n_resamples, confidence=confidence
    )
    return Correlation(*names, rho, p_value, low, high, n, n_skipped, direction(low, high), method, note)


def known_pairs(
    x: ArrayLike, y: ArrayLike, names: tuple[str, str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """The examples of which both values are known, and how many were left out."""
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    same_length(**{names[0]: len(a), names[1]: len(b)})
    known = ~(np.isnan(a) | np.isnan(b))
    kept = finite_array(names[0], a[known], 1), finite_array(names[1], b[known], 1)
    return *kept, len(a) - int(known.sum())


def no_rho(a: NDArray[np.float64], b: NDArray[np.float64], names: tuple[str, str]) -> str:
    """Why two quantities have no rank correlation; empty when they have."""
    if len(a) < _SMALLEST_RHO:
        return f"{counted(len(a), 'example')}: too few for a rank correlation ({_SMALLEST_RHO} needed)"
    constant = [name for name, values in zip(names, (a, b), strict=True) if np.ptp(values) == 0]
    return f"constant: {', '.join(constant)}, so there are no ranks to compare" if constant else ""


def direction(low: float, high: float) -> Direction:
    """What an interval of ρ supports: "positive", "negative", or "unclear" when it holds 0 or is missing."""
    if low > 0:
        return "positive"
    return "negative" if high < 0 else "unclear"
