"""Measures of agreement and disagreement, as pure functions of label counts (N examples, K classes).

Every entropy is in nats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contested.errors import ConfigError, DataError
from contested.rows.coded import factorized
from contested.wording import did_you_mean, listed

S = TypeVar("S", bound=np.generic)

_MANY = 10_000  # examples among which many have the same annotations

Estimator = Literal["plugin", "miller-madow", "chao-shen"]
"""How entropy is estimated from counts; see `entropy`."""


def parse_estimator(name: str) -> Estimator:
    """Return the estimator of this name.

    Args:
        name: ``plugin``, ``miller-madow`` or ``chao-shen``.

    Returns:
        The same name, known to be valid.

    Raises:
        ConfigError: If there is no such estimator.
    """
    known = get_args(Estimator)
    if name in known:
        return cast(Estimator, name)
    raise ConfigError(f"Unknown entropy estimator '{name}'{did_you_mean(name, known)}: use one of {listed(known)}.")


def check_counts(label_counts: ArrayLike, *, allow_empty_rows: bool = False, copy: bool = True) -> NDArray[np.int64]:
    """Return label counts as int64, or say why they are not valid.

    Args:
        label_counts: Whole numbers ≥ 0, shape (N, K), K ≥ 2.
        allow_empty_rows: Whether an example without any annotation is accepted.
        copy: Whether they are always an array of their own.

    Returns:
        The counts, shape (N, K).

    Raises:
        DataError: For another shape, or for values that are not counts (all offending rows are named).
    """
    try:
        given = np.asarray(label_counts)
    except ValueError as error:
        raise DataError("Label counts must be a table (N, K): all rows need the same length.") from error
    if given.ndim != 2 or given.shape[1] < 2:
        raise DataError(f"Label counts must have shape (N, K) with K ≥ 2 classes; given: {given.shape}.")
    if given.dtype.kind not in "iuf":
        raise DataError(f"Label counts must be whole numbers; given: values of type {given.dtype}.")
    problems = _count_problems(given, allow_empty_rows=allow_empty_rows)
    if problems:
        raise DataError("Label counts must be whole numbers ≥ 0 with at least one annotation per row.", problems)
    return given.astype(np.int64, copy=copy)


def _count_problems(given: NDArray[np.generic], *, allow_empty_rows: bool) -> list[str]:
    if given.dtype.kind in "iu" and given.min(initial=0) >= 0 and (allow_empty_rows or _totals(given).all()):
        return []
    values = given.astype(np.float64)
    whole = np.isfinite(values) & (values == np.round(values)) & (values >= 0)
    wrong = ~whole.all(axis=1)
    empty = ~wrong & (np.where(whole, values, 0).sum(axis=1) == 0) & (not allow_empty_rows)
    return [
        f"row {row} (counted from 0): {given[row].tolist()}{' has no annotation' if empty[row] else ''}"
        for row in np.flatnonzero(wrong | empty)
    ]


def _totals(counts: NDArray[Any]) -> NDArray[Any]:
    """Annotations of each example, (N,); many times faster than a sum over an axis of few classes."""
    return np.asarray(np.einsum("nk->n", counts))


def count_patterns(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the different rows of counts, the order of their classes aside.

    Many examples share few patterns of annotations: what depends on the pattern alone is computed once for each.

    Args:
        counts: Shape (N, K).

    Returns:
        The patterns, shape (P, K), each rising and all in lexicographic order, and the number of each example's, shape
        (N,).

    Examples:
        >>> patterns, which = count_patterns(np.array([[5, 0], [2, 3], [0, 5]]))
        >>> patterns.tolist(), which.tolist()
        ([[0, 5], [2, 3]], [0, 1, 0])
    """
    ordered = np.sort(counts, axis=1)
    distinct = _distinct(ordered)
    if distinct is None:
        patterns, which = np.unique(ordered, axis=0, return_inverse=True)
        return patterns, which.ravel()
    order = np.lexsort(distinct[0].T[::-1])
    return distinct[0][order], np.argsort(order)[distinct[1]]


def _distinct(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]] | None:
    """The different rows of counts, (P, K), by first occurrence, and the number of each example's, (N,).

    Rows are told apart as one number each; None where such a number would be too large.
    """
    base, n_classes = int(counts.max(initial=0)) + 1, counts.shape[1]
    if base**n_classes > np.iinfo(np.int64).max:
        return None
    powers = base ** np.arange(n_classes, dtype=np.int64)[::-1]
    which, numbers = factorized(counts @ powers)
    return (numbers[:, None] // powers) % base, which


def _of_each(function: Callable[[NDArray[np.int64]], NDArray[S]], counts: NDArray[np.int64]) -> NDArray[S]:
    """What a function makes of each row of counts, (N,), asked once for rows that are alike where there are many."""
    distinct = _distinct(counts) if len(counts) >= _MANY else None
    return function(counts) if distinct is None else function(distinct[0])[distinct[1]]


def distributions(label_counts: ArrayLike) -> NDArray[np.float64]:
    """Return each example's empirical annotator distribution, p_ic = n_ic / n_i.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.

    Returns:
        Proportions, shape (N, K); rows sum to 1.

    Examples:
        >>> distributions([[3, 1], [0, 2]]).tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """
    return _shares(check_counts(label_counts, copy=False))


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(counts / _totals(counts)[:, None], dtype=np.float64)


def entropy(label_counts: ArrayLike, estimator: Estimator = "plugin") -> NDArray[np.float64]:
    """Return the entropy of each example's annotations, in nats.

    ``plugin`` is H_i = −Σ_c p_ic ln p_ic with 0 ln 0 = 0 (arXiv 2604.16332, Eq. 1), from 0 to ln K.
    With few annotators it is biased low, and at most ln n_i. ``miller-madow`` adds (m_i − 1) / (2 n_i),
    m_i the number of classes that occur in row i (Miller, 1955). The corrected value can exceed ln K:
    three annotators with three labels give ln 3 + 1/3. ``chao-shen`` is −Σ_c p̃_ic ln p̃_ic / (1 − (1 − p̃_ic)^n_i)
    with p̃_ic = (1 − f_i / n_i) p_ic, f_i the number of classes with one annotation (Chao and Shen, 2003; n_i − 1 where
    all have one): the mean of many examples is nearly unbiased from two annotators on, a single value is noisier than
    ``plugin``, can exceed ln K by far, and ranks examples worse.

    Rows that are permutations of one another get bit-identical values, so that ranks see them as tied.
    One annotation disagrees with nobody, whatever people think: its entropy is unknown, not 0.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.
        estimator: ``plugin``, ``miller-madow`` or ``chao-shen``.

    Returns:
        Entropy in nats, shape (N,); nan with one annotation.

    Examples:
        >>> entropy([[5, 5], [10, 0]]).round(4).tolist()
        [0.6931, 0.0]
        >>> entropy([[5, 5], [10, 0]], "miller-madow").round(4).tolist()
        [0.7431, 0.0]
        >>> entropy([[5, 5], [10, 0]], "chao-shen").round(4).tolist()
        [0.6938, 0.0]
        >>> entropy([[2, 0], [1, 0]]).tolist()
        [0.0, nan]
    """
    known = parse_estimator(estimator)
    return _of_each(lambda counts: _entropy(counts, known), check_counts(label_counts, copy=False))


def _entropy(counts: NDArray[np.int64], estimator: Estimator) -> NDArray[np.float64]:
    # Sorting fixes the order of summation: (30, 70, 0) and (70, 0, 30) must not differ in the last bit.
    ordered = np.sort(counts, axis=1)
    found = _chao_shen(ordered) if estimator == "chao-shen" else _plugin(_shares(ordered))
    found[_totals(counts) < 2] = np.nan
    if estimator != "miller-madow":
        return found
    observed = (counts > 0).sum(axis=1)
    return np.asarray(found + (observed - 1) / (2 * _totals(counts)))


def _plugin(p: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithms = np.log(p, out=np.zeros_like(p), where=p > 0)
    return np.asarray(np.abs((p * logarithms).sum(axis=1)))


def _chao_shen(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    n, single = _totals(counts)[:, None], (counts == 1).sum(axis=1, keepdims=True)
    p = (1 - np.where(single == n, n - 1, single) / n) * counts / n
    logarithms = np.log(p, out=np.zeros_like(p), where=p > 0)
    # What is seen with a low probability stands for what is not seen (Horvitz and Thompson 1952).
    seen = np.divide(logarithms, 1 - (1 - p) ** n, out=np.zeros_like(p), where=p > 0)
    return np.asarray(np.abs((p * seen).sum(axis=1)))


def largest_entropy(n_annotators: int, n_classes: int, estimator: Estimator = "plugin") -> float:
    """Return the entropy in nats of the most even split that so many annotators can make.

    Args:
        n_annotators: Annotations of the example, at least 2.
        n_classes: K.
        estimator: ``plugin`` or ``miller-madow``.

    Returns:
        The entropy, at most ln K and ln n under ``plugin``.

    Examples:
        >>> round(largest_entropy(2, 3), 4), round(largest_entropy(4, 3), 4)
        (0.6931, 1.0397)
    """
    each, more = divmod(n_annotators, n_classes)
    split = [each + (k < more) for k in range(max(n_classes, 2))]
    return float(entropy([split], estimator)[0])


def majority(label_counts: ArrayLike) -> NDArray[np.int64]:
    """Return the class with most annotations; a tie goes to the first class in label order.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.

    Returns:
        Class indices, shape (N,).

    Examples:
        >>> majority([[1, 4, 0], [2, 3, 3]]).tolist()
        [1, 1]
    """
    return _of_each(lambda counts: np.argmax(counts, axis=1).astype(np.int64), check_counts(label_counts, copy=False))


def ties(label_counts: ArrayLike) -> NDArray[np.bool_]:
    """Return where two or more classes share the highest count.

    Args:
        label_counts: Annotations per class, shape (N, K); each row holds at least one.

    Returns:
        Booleans, shape (N,).

    Examples:
        >>> ties([[1, 4, 0], [2, 3, 3]]).tolist()
        [False, True]
    """
    return _of_each(
        lambda counts: (counts == counts.max(axis=1, keepdims=True)).sum(axis=1) > 1,
        check_counts(label_counts, copy=False),
    )


Level = Literal["nominal", "ordinal", "interval"]
"""What the classes are to each other; see `krippendorff_alpha`."""


def krippendorff_alpha(label_counts: ArrayLike, level: Level = "nominal", values: ArrayLike | None = None) -> float:
    """Return Krippendorff's alpha for nominal, ordinal or interval labels, from counts.

    `distance_alpha` with the squared distances δ_cd of Krippendorff (2011, "Computing Krippendorff's
    Alpha-Reliability"): nominal 1 for two classes; interval (v_c − v_d)²; ordinal (m_c − m_d)² with
    m_c = Σ_{g<c} n_g + n_c / 2, the middle rank of the class among all annotations of examples with two or more.

    Args:
        label_counts: Annotations per class, shape (N, K); rows may be empty.
        level: ``nominal``, ``ordinal`` or ``interval``.
        values: The number that each class stands for, different ones, shape (K,), for interval labels; ordinal labels
            take their order. None: 0, 1, … in label order.

    Returns:
        Alpha, at most 1: 1.0 by convention where all usable annotations are of one class (no
        disagreement expected), nan where no example has two annotations.

    Raises:
        ConfigError: If the level is unknown, or the values are not K different numbers.

    Examples:
        >>> krippendorff_alpha([[2, 0], [0, 2], [1, 1]])  # D_o = 1/3, D_e = 18/30
        0.4444444444444444
        >>> krippendorff_alpha([[2, 0, 0], [0, 1, 1], [0, 0, 2]], "interval")  # D_o = 2/6, D_e = 58/30
        0.8275862068965517
    """
    counts = check_counts(label_counts, allow_empty_rows=True, copy=False)
    numbers = np.arange(counts.shape[1]) if values is None else np.asarray(values, dtype=np.float64)
    if level not in get_args(Level):
        raise ConfigError(f"Unknown level '{level}': use one of {listed(get_args(Level))}.")
    if numbers.shape != counts.shape[1:] or len(np.unique(numbers)) < len(numbers) or not np.isfinite(numbers).all():
        raise ConfigError(f"Expected {counts.shape[1]} different numbers, one per class; given: {numbers.tolist()}.")
    if level == "nominal":
        return distance_alpha(counts, 1 - np.eye(len(numbers)))
    places = numbers if level == "interval" else _middle_ranks(_paired(counts).sum(axis=0), numbers)
    return distance_alpha(counts, (places[:, None] - places[None, :]) ** 2)


def _middle_ranks(totals: NDArray[np.float64], numbers: NDArray[np.generic]) -> NDArray[np.float64]:
    """The middle rank of each class among all annotations in the order of the numbers, (K,)."""
    order = np.argsort(numbers)
    ranks = np.empty(len(totals))
    ranks[order] = np.cumsum(totals[order]) - totals[order] / 2
    return ranks


def distance_alpha(label_counts: ArrayLike, distances: ArrayLike) -> float:
    """Return Krippendorff's alpha for classes with distances, from counts.

    α = 1 − D_o / D_e over the examples with n_i ≥ 2 annotations, with n = Σ_i n_i, n_c = Σ_i n_ic,
    D_o = (1/n) Σ_i Σ_{c,d} n_ic n_id δ_cd / (n_i − 1) and D_e = Σ_{c,d} n_c n_d δ_cd / (n (n − 1)) (Krippendorff
    2011).

    Args:
        label_counts: Annotations per class, shape (N, K); rows may be empty.
        distances: δ, shape (K, K), with zeros on the diagonal.

    Returns:
        Alpha, at most 1: 1.0 by convention where no disagreement is expected, nan where no example has two annotations.

    Examples:
        >>> distance_alpha([[2, 0], [0, 2], [1, 1]], [[0, 1], [1, 0]])  # the nominal alpha: D_o = 1/3, D_e = 18/30
        0.4444444444444444
    """
    counts, delta = check_counts(label_counts, allow_empty_rows=True, copy=False), np.asarray(distances, np.float64)
    paired = _paired(counts)
    if not len(paired):
        return float("nan")
    n_c = _totals(paired.T).astype(np.float64)
    n = n_c.sum()
    expected = n_c @ delta @ n_c / (n * (n - 1))
    if expected == 0:
        return 1.0
    unlike = _of_each(lambda rows: ((rows @ delta) * rows).sum(axis=1) / (_totals(rows) - 1), paired)
    return float(1 - unlike.sum() / n / expected)


def pairwise_agreement(label_counts: ArrayLike) -> float:
    """Return the mean over examples of the share of annotator pairs that agree.

    A_i = Σ_c n_ic (n_ic − 1) / (n_i (n_i − 1)); examples with fewer than two annotations are skipped.
    Not corrected for chance: see `krippendorff_alpha`.

    Args:
        label_counts: Annotations per class, shape (N, K); rows may be empty.

    Returns:
        A share from 0 to 1; nan where no example has two annotations.

    Examples:
        >>> pairwise_agreement([[3, 1], [2, 0]])  # (3 of 6 pairs, 1 of 1 pair)
        0.75
    """
    paired = _paired(label_counts)
    if len(paired) == 0:
        return float("nan")
    return float(_of_each(_agreement, paired).mean())


def _agreement(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    rows = counts.astype(np.float64)
    n_i = _totals(rows)
    return np.asarray((rows * (rows - 1)).sum(axis=1) / (n_i * (n_i - 1)))


def _paired(label_counts: ArrayLike) -> NDArray[np.int64]:
    """The counts of the examples with two annotations at least."""
    counts = check_counts(label_counts, allow_empty_rows=True, copy=False)
    several = _totals(counts) >= 2
    return counts if several.all() else counts[several]
