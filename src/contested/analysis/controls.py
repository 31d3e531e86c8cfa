"""Whether the correlation of AULC with entropy survives what else differs between examples (paper §4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from contested.analysis.checks import check_resampling, class_indices, finite_array, known_entropy, same_length
from contested.analysis.clusters import cluster_codes
from contested.analysis.correlation import Correlation, clustered_p, no_rho, spearman
from contested.analysis.intervals import Clusters, too_few
from contested.analysis.least_squares import least_squares
from contested.analysis.rank_bootstrap import rank_interval
from contested.analysis.ranking import codes, mean_ranks, weighted_mean_ranks
from contested.errors import DataError
from contested.wording import counted, joined

_FEW = 100  # examples below which 95 % intervals of a slope were found to cover 90 to 92 %: docs/log.md
_NO_VARIANCE = 1e-9  # share of a quantity's variance that controls must leave for a correlation of the rest


@dataclass(frozen=True, eq=False)
class Categorical:
    """A control whose values are names without an order, even if they are numbers, such as a gold label's index.

    Attributes:
        values: Shape ``(N,)``; None and NaN are missing.
    """

    values: ArrayLike


class PartialCorrelation(NamedTuple):
    """A Spearman correlation over examples with other quantities held fixed.

    Attributes:
        controls: Names of what is held fixed, in the order given.
        rho: Partial Spearman ρ.
        p_value: Two-sided p of ρ = 0 (Student t with n − 2 − k degrees of freedom, k the rank of the controls).
        low: Lower end of the interval of ρ.
        high: Upper end of the interval of ρ.
        n: Examples it rests on.
        n_skipped: Examples left out because a value is missing.
        note: Why a number is missing or made another way; empty otherwise.
    """

    controls: tuple[str, ...]
    rho: float
    p_value: float
    low: float
    high: float
    n: int
    n_skipped: int
    note: str


class Term(NamedTuple):
    """One term of a regression.

    Attributes:
        term: ``"intercept"``, ``"entropy"``, ``"length"``, or ``"gold: <label>"``.
        beta: Coefficient, in standard deviations of AULC for one standard deviation of a numeric term, or for
            having the label rather than the first one.
        se: Its standard error: HC3, or robust to clusters.
        p_value: Two-sided p of β = 0 (Student t).
        low: Lower end of the interval of β.
        high: Upper end of the interval of β.
    """

    term: str
    beta: float
    se: float
    p_value: float
    low: float
    high: float


class Regression(NamedTuple):
    """AULC regressed on entropy, length and gold label together.

    Attributes:
        terms: Intercept, entropy, length, then each gold label but the first that occurs.
        r_squared: Share of AULC's variance explained.
        n: Examples it rests on.
        note: Why a number is missing, or an interval too narrow; empty otherwise.
    """

    terms: tuple[Term, ...]
    r_squared: float
    n: int
    note: str


class LabelCorrelation(NamedTuple):
    """ρ(AULC, H) among the examples of one gold label.

    Attributes:
        label: The gold label.
        correlation: ρ among its examples.
    """

    label: str
    correlation: Correlation


def text_length(texts: pd.DataFrame) -> NDArray[np.int64]:
    """Words of each example: whitespace-separated, summed over its text columns.

    Args:
        texts: One column a text (such as premise and hypothesis), N rows.

    Returns:
        Shape ``(N,)`` (words).

    Raises:
        DataError: If there is no column, or a text is missing.
    """
    if not texts.shape[1]:
        raise DataError("texts: given no column, expected at least one text column.")
    missing = int(texts.isna().any(axis=1).sum())
    if missing:
        raise DataError(f"texts: {missing} of {len(texts)} examples lack a text in {list(texts.columns)}.")
    words = [[len(str(text).split()) for text in texts[column]] for column in texts.columns]
    return np.asarray(np.sum(words, axis=0), dtype=np.int64)


def partial_spearman(
    x: ArrayLike,
    y: ArrayLike,
    controls: Mapping[str, ArrayLike | Categorical],
    *,
    clusters: Clusters = None,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> PartialCorrelation:
    """Spearman's ρ of two quantities with controls held fixed, with p and a BCa interval over clusters.

    Pearson's correlation of the residuals of the ranks of ``x`` and ``y`` after least squares on the controls:
    numeric controls by their ranks, categorical ones as one indicator a level, a level dropped (their levels
    have no order to rank). Without controls it is :func:`~contested.analysis.spearman`. Every resample is ranked
    by itself. Examples with any value missing are left out and counted. Above 5,000 clusters the interval is a
    percentile one, for BCa's cost grows with N².

    Args:
        x: Shape ``(N,)``.
        y: Shape ``(N,)``.
        controls: Name to values, shape ``(N,)``; text, objects and :class:`Categorical` are categorical.
        clusters: What examples share, shape ``(N,)``, resampled whole; None where each stands for itself.
        rng: Source of the resamples.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted.

    Returns:
        ρ with its interval; what is missing is NaN and explained in ``note``.
    """
    check_resampling(n_resamples, confidence)
    names = tuple(controls)
    columns = {name: _column(values) for name, values in controls.items()}
    first, second = _number_column(x), _number_column(y)
    same_length(x=len(first), y=len(second), **{name: len(values) for name, values in columns.items()})
    known = np.logical_and.reduce([~pd.isna(values) for values in (first, second, *columns.values())])
    n, n_skipped = int(known.sum()), int((~known).sum())
    a, b = finite_array("x", first[known], 1), finite_array("y", second[known], 1)
    kept = {name: values[known] for name, values in columns.items()}
    nan = float("nan")
    if note := no_rho(a, b, ("x", "y")):
        return PartialCorrelation(names, nan, nan, nan, nan, n, n_skipped, note)
    ranked = [codes(a), codes(b)]
    ranked += [codes(finite_array(name, values, 1)) for name, values in kept.items() if values.dtype != object]
    dummies = [level for values in kept.values() if values.dtype == object for level in _indicators(values)]
    samples = (*ranked, *dummies)
    statistic = _Partial(len(ranked))
    rho, k = statistic.with_rank(samples)
    freedom = n - 2 - k
    if freedom < 1:
        note = f"{counted(n, 'example')}: too few to hold {k} control terms fixed ({k + 3} needed)"
        return PartialCorrelation(names, nan, nan, nan, nan, n, n_skipped, note)
    if np.isnan(rho):
        note = "the controls explain x or y entirely, so there is nothing left to correlate"
        return PartialCorrelation(names, nan, nan, nan, nan, n, n_skipped, note)
    p_value = _p_of_correlation(rho, freedom)
    own = cluster_codes(clusters, len(known))[known]
    n_clusters = len(np.unique(own))
    if note := too_few(n_clusters, confidence, "example" if clusters is None else "cluster"):
        return PartialCorrelation(names, rho, p_value if n_clusters == n else nan, nan, nan, n, n_skipped, note)
    found = rank_interval(samples, statistic, clusters=own, rng=rng, n_resamples=n_resamples, confidence=confidence)
    if n_clusters < n:
        p_value = clustered_p(rho, found.z_error, n_clusters)
    return PartialCorrelation(names, rho, p_value, found.low, found.high, n, n_skipped, found.note)


class _Partial:
    """Partial correlation of the first two samples given the others, of which the first ``n_ranked`` are ranked."""

    def __init__(self, n_ranked: int) -> None:
        self.n_ranked = n_ranked

    def __call__(self, *samples: NDArray[np.intp], axis: int = -1) -> NDArray[np.float64]:
        assert axis == -1, "scipy's bootstrap keeps the examples last"
        return _given_the_others(self._correlations(samples))

    def weighted(self, samples: Sequence[NDArray[np.intp]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of samples that hold each example as often as weights ``(B, N)`` say, shape ``(B,)``."""
        columns = [
            weighted_mean_ranks(sample, weights) if j < self.n_ranked else np.broadcast_to(sample, weights.shape)
            for j, sample in enumerate(samples)
        ]
        stacked = np.stack(columns, axis=1).astype(np.float64)
        held = weights[:, None, :]
        stacked -= (stacked * held).sum(axis=2, keepdims=True) / held.sum(axis=2, keepdims=True)
        return _given_the_others(_scaled((stacked * held) @ np.swapaxes(stacked, 1, 2)))

    def with_rank(self, samples: Sequence[NDArray[np.intp]]) -> tuple[float, int]:
        """ρ of one sample, and how many independent control terms there are."""
        among = self._correlations(samples)[2:, 2:]
        rank = int(np.linalg.matrix_rank(among, tol=1e-10, hermitian=True)) if len(among) else 0
        return float(self(*samples)), rank

    def _correlations(self, samples: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
        """Correlations among all samples, shape ``(..., V, V)``; 0 with one that is constant."""
        columns = [mean_ranks(s) if j < self.n_ranked else s.astype(np.float64) for j, s in enumerate(samples)]
        stacked = np.stack(columns, axis=-2)
        stacked -= stacked.mean(axis=-1, keepdims=True)
        return _scaled(stacked @ np.swapaxes(stacked, -1, -2))


def _scaled(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlations of sums of products ``(..., V, V)``; 0 with what is constant."""
    size = np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    scale = size[..., :, None] * size[..., None, :]
    return np.asarray(np.divide(products, scale, out=np.zeros_like(products), where=scale > 0))


def _given_the_others(among: NDArray[np.float64]) -> NDArray[np.float64]:
    """Partial correlation of the first two of V given the others, from correlations ``(..., V, V)``, or NaN."""
    between = among[..., :2, 2:]
    # The pseudo-inverse, for a resample may lack a level and so hold a control constant.
    explained = between @ np.linalg.pinv(among[..., 2:, 2:], rcond=1e-10, hermitian=True)
    rest = among[..., :2, :2] - explained @ np.swapaxes(between, -1, -2)
    left = np.minimum(rest[..., 0, 0], rest[..., 1, 1])
    scale = np.sqrt(np.maximum(rest[..., 0, 0] * rest[..., 1, 1], 0.0))
    missing = np.full(scale.shape, np.nan)
    rho = np.divide(rest[..., 0, 1], scale, out=missing, where=left > _NO_VARIANCE)
    return np.asarray(np.clip(rho, -1.0, 1.0))


def _number_column(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _column(values: ArrayLike | Categorical) -> NDArray[Any]:
    """Numbers as float64, names without an order as objects."""
    if isinstance(values, Categorical):
        return np.asarray(values.values, dtype=object)
    array = np.asarray(values)
    return array.astype(np.float64) if array.dtype.kind in "biuf" else array.astype(object)


def _indicators(values: NDArray[np.object_]) -> list[NDArray[np.intp]]:
    levels = sorted(set(values.tolist()), key=str)
    return [np.asarray(values == level, dtype=np.intp) for level in levels[1:]]


def _p_of_correlation(r: float, freedom: int) -> float:
    if abs(r) >= 1.0:
        return 0.0
    return float(2 * special.stdtr(freedom, -abs(r) * np.sqrt(freedom / (1 - r * r))))


def regression(
    aulc: ArrayLike,
    entropy: ArrayLike,
    length: ArrayLike,
    gold: ArrayLike,
    *,
    label_names: Sequence[str],
    clusters: Sequence[Any] | NDArray[Any] | None = None,
    confidence: float = 0.95,
) -> Regression:
    """Regress AULC on entropy, length and gold label together by ordinary least squares (paper §4.3).

    AULC, entropy and length are z-scored (sample standard deviation), so that β compares; gold labels are
    0/1 indicators against the first label that occurs. Standard errors are HC3, or robust to clusters: the spread of
    AULC rises with entropy, and ordinary ones are then too small.

    Args:
        aulc: Shape ``(N,)`` (nats).
        entropy: Annotation entropy H, shape ``(N,)`` (nats); examples without one (NaN) are left out.
        length: Words, shape ``(N,)``.
        gold: Class index of each example, shape ``(N,)``.
        label_names: Name of each class.
        clusters: What examples share, such as their premise, shape ``(N,)``; without it each stands for itself.
        confidence: Coverage wanted of the interval of each β.

    Returns:
        The terms and R²; NaN, explained in ``note``, where a quantity is constant, terms are collinear or there
        are too few examples. A label without examples has no term.
    """
    losses, words, known = finite_array("aulc", aulc, 1), finite_array("length", length, 1), known_entropy(entropy)
    labels = class_indices(gold, len(label_names))
    same_length(aulc=len(losses), entropy=len(known.rows), length=len(words), gold=len(labels))
    labels, groups = labels[known.rows], cluster_codes(clusters, len(losses))[known.rows]
    y, *predictors = map(_z_scores, (losses[known.rows], known.entropy, words[known.rows]))
    present = [index for index in range(len(label_names)) if (labels == index).any()]
    dummies = {f"gold: {label_names[index]}": (labels == index).astype(np.float64) for index in present[1:]}
    fit = least_squares(y, [*predictors, *dummies.values()], clusters=groups, confidence=confidence)
    names = ("intercept", "entropy", "length", *dummies)
    columns = (fit.coefficients, fit.standard_errors, fit.p_values, fit.low, fit.high)
    terms = tuple(Term(name, *map(float, numbers)) for name, *numbers in zip(names, *columns, strict=True))
    few = f"fewer than {_FEW} examples: where the spread and skew of AULC rise with entropy, intervals are too narrow"
    note = fit.note or (few if len(y) < _FEW else "")
    return Regression(terms, fit.r_squared, len(y), joined(known.note, note))


def _z_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values minus their mean, over their sample standard deviation; zeros where that is 0 or undefined."""
    if len(values) < 2 or np.ptp(values) == 0:
        return np.zeros_like(values)
    return np.asarray((values - values.mean()) / values.std(ddof=1))


def spearman_by_label(
    aulc: ArrayLike,
    entropy: ArrayLike,
    gold: ArrayLike,
    label_names: Sequence[str],
    *,
    rng: np.random.Generator,
    clusters: Clusters = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[LabelCorrelation, ...]:
    """Spearman's ρ(AULC, H) among the examples of each gold label (paper §4.3).

    Args:
        aulc: Shape ``(N,)`` (nats).
        entropy: Annotation entropy H, shape ``(N,)`` (nats); examples without one (NaN) are left out.
        gold: Class index of each example, shape ``(N,)``.
        label_names: Name of each class.
        rng: Source of the resamples; each label draws from its own child.
        clusters: What examples share, shape ``(N,)``, resampled whole; None where each stands for itself.
        n_resamples: Bootstrap resamples R.
        confidence: Coverage wanted of each interval.

    Returns:
        One correlation for each label, in the order of ``label_names``; one without examples keeps its place.
    """
    losses, human = np.asarray(aulc, dtype=np.float64), np.asarray(entropy, dtype=np.float64)
    labels = class_indices(gold, len(label_names))
    same_length(aulc=len(losses), entropy=len(human), gold=len(labels))
    own = None if clusters is None else cluster_codes(clusters, len(losses))
    return tuple(
        LabelCorrelation(
            name,
            spearman(
                losses[labels == index],
                human[labels == index],
                clusters=None if own is None else own[labels == index],
                rng=child,
                names=("aulc", "entropy"),
                n_resamples=n_resamples,
                confidence=confidence,
            ),
        )
        for (index, name), child in zip(enumerate(label_names), rng.spawn(len(label_names)), strict=True)
    )
