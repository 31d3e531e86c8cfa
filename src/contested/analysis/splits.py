"""Examples that are trained on beside those that are not: what a run memorised, and what it learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.checks import OVERALL
from contested.analysis.intervals import Verdict, difference_interval, keyed, mean_interval, verdict
from contested.analysis.sentences import examples_of
from contested.formats import number

COMPARED = ("loss_first", "loss_last", "loss_change", "kl_last", "kl_change", "correct_last")
"""Measures whose means are compared between the two splits."""

_CLUSTER = "cluster of the example"
_AMOUNT, _SIGNED = number(".2f"), number("+.2f")


class SplitContrast(NamedTuple):
    """The mean of a measure over a category's training examples minus that over its validation examples.

    Attributes:
        measure: The measure, one of :data:`COMPARED`.
        category: The category, or ``"overall"``.
        n: Training examples that have a value.
        n_validation: Validation examples that have one.
        mean: Mean over the training examples.
        mean_validation: Mean over the validation examples.
        validation_low: Lower end of the interval of that mean.
        validation_high: Upper end.
        difference: ``mean`` minus ``mean_validation``.
        low: Lower end of its interval.
        high: Upper end.
        verdict: "rises" where the difference is above 0, "falls" where it is below, "unclear" otherwise.
        note: Why a number is missing; empty otherwise.
        caution: Why the interval may cover the truth less often than it says; empty otherwise.
    """

    measure: str
    category: str
    n: int
    n_validation: int
    mean: float
    mean_validation: float
    validation_low: float
    validation_high: float
    difference: float
    low: float
    high: float
    verdict: Verdict
    note: str
    caution: str = ""


def split_contrasts(
    trained: pd.DataFrame,
    validation: pd.DataFrame,
    names: Sequence[str],
    *,
    clusters: tuple[NDArray[Any], NDArray[Any]] | None = None,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[SplitContrast, ...]:
    """Compare what a run did to the examples that it trained on with what it did to others.

    Args:
        trained: Every measure of the training examples, as ``Analysis.examples`` has them.
        validation: The same of the validation examples.
        names: The categories in order of rising entropy.
        clusters: What the examples of each table share, one entry a row; the same in both is one cluster. None where
            each example stands for itself.
        rng: Source of the resamples, made from a seed; nothing is drawn from it.
        n_resamples: Bootstrap resamples of each interval.
        confidence: Coverage wanted of each interval by itself.

    Returns:
        One for each measure that both have and each category, ``"overall"`` last.
    """
    codes = clusters or (np.arange(len(trained)), len(trained) + np.arange(len(validation)))
    tables = [
        frame.assign(**{_CLUSTER: own}).sort_values("example_id", kind="stable")
        for frame, own in zip((trained, validation), codes, strict=True)
    ]
    measures = [name for name in COMPARED if all(name in table for table in tables)]
    return tuple(
        _contrast(
            measure,
            category,
            *(_values(table, measure, category) for table in tables),
            rng=keyed(rng, "splits", measure, category),
            n_resamples=n_resamples,
            confidence=confidence,
        )
        for measure in measures
        for category in (*names, OVERALL)
    )


class _Values(NamedTuple):
    """Values of some examples, shape (n,), and what these share."""

    values: NDArray[np.float64]
    clusters: NDArray[Any]


def _values(table: pd.DataFrame, measure: str, category: str) -> _Values:
    rows = table if category == OVERALL else table[table["category"] == category]
    values: NDArray[np.float64] = rows[measure].to_numpy(np.float64)
    known = np.isfinite(values)
    return _Values(values[known], rows[_CLUSTER].to_numpy()[known])


def _contrast(
    measure: str,
    category: str,
    own: _Values,
    other: _Values,
    *,
    rng: np.random.Generator,
    **resampling: Any,
) -> SplitContrast:
    apart, single = rng.spawn(2)
    together = own.clusters, other.clusters
    found = difference_interval(own.values, other.values, clusters=together, rng=apart, **resampling)
    alone = mean_interval(other.values, clusters=other.clusters, rng=single, **resampling)
    return SplitContrast(
        measure,
        category,
        len(own.values),
        len(other.values),
        float(own.values.mean()) if len(own.values) else np.nan,
        alone.estimate,
        alone.low,
        alone.high,
        found.estimate,
        found.low,
        found.high,
        verdict(found.low, found.high),
        found.note,
        found.caution,
    )


def split_sentences(contrasts: Sequence[SplitContrast], interval: str) -> list[str]:
    """Say whether what happened to training examples happened to validation examples, too.

    Args:
        contrasts: As :func:`split_contrasts` gives them.
        interval: What an interval is called.

    Returns:
        One sentence for the category of highest entropy that has examples in both splits, and one for that of lowest
        (one for all examples where there are no categories); none where the run has no losses at two checkpoints.
    """
    rows = [row for row in contrasts if row.measure == "loss_change" and row.n and row.n_validation]
    categories = [row for row in rows if row.category != OVERALL]
    told = [categories[-1], *categories[:1]] if len(categories) > 1 else categories or rows
    return [_sentence(row, interval) for row in told]


def _sentence(row: SplitContrast, interval: str) -> str:
    name = "examples" if row.category == OVERALL else examples_of(row.category)
    own, other = _moved(row.mean), _moved(row.mean_validation)
    told = (
        f"Of {name}, mean loss of the {row.n_validation:,} that validate and are not trained on {other}"
        f"{_ends(row.validation_low, row.validation_high, interval)}, that of the {row.n:,} trained on {own}"
    )
    if np.isnan(row.low):
        return f"{told}; they are not compared: {row.note}."
    difference = f"difference {_SIGNED(row.difference)} nats{_ends(row.low, row.high, interval)}"
    return f"{told}: {_MEANING[row.verdict]}; {difference}."


_MEANING: dict[Verdict, str] = {
    "falls": "training on an example lowered its own loss beyond what was learned for others",
    "rises": "the loss of those trained on rose more, or fell less",
    "unclear": "what training on an example itself adds is not distinguishable from zero",
}


def _moved(mean: float) -> str:
    return f"{'rose' if mean > 0 else 'fell'} by {_AMOUNT(abs(mean))} nats"


def _ends(low: float, high: float, interval: str) -> str:
    return "" if np.isnan(low) else f" ({interval} {_SIGNED(low)} to {_SIGNED(high)})"
