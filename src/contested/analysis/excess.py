"""What a model that answers as the annotators do would lose, and how much more a run loses than that."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.checks import OVERALL
from contested.analysis.intervals import verdict
from contested.analysis.sentences import examples_of
from contested.formats import number

MEASURES = ("annotators_loss", "excess_loss_first", "excess_loss_last")
"""Measures of the table, in the order of its columns."""

_AMOUNT, _SIGNED = number(".2f"), number("+.2f")


def annotators_loss(label_counts: NDArray[np.int64], gold: NDArray[np.int64]) -> NDArray[np.float64]:
    """−ln p_gold, p the annotators' shares: the loss of a model whose probabilities are these shares.

    Args:
        label_counts: How many annotators chose each class, shape (N, K).
        gold: Class index of each example, shape (N,).

    Returns:
        Nats, shape (N,); NaN where it is unknown: with one annotation, or where nobody chose the gold label.

    >>> annotators_loss(np.array([[9, 1], [5, 5], [1, 0], [0, 3]]), np.array([0, 1, 0, 0])).round(2).tolist()
    [0.11, 0.69, nan, nan]
    """
    votes, total = label_counts[np.arange(len(gold)), gold], label_counts.sum(axis=1)
    known = (total > 1) & (votes > 0)
    found = np.full(len(gold), np.nan)
    found[known] = np.log(total[known] / votes[known])
    return found


def excess_table(measures: pd.DataFrame) -> pd.DataFrame | None:
    """The annotators' loss and the excess over it by category, one row each.

    Args:
        measures: Means of measures by category, as :func:`contested.analysis.by_category.measures_by_category` gives
            them.

    Returns:
        Columns ``category``, ``n``, ``n_skipped``, then the mean of each of :data:`MEASURES` that is known with its
        ``_low`` and ``_high``, and ``note``; None where no excess is known.
    """
    known = measures[measures["measure"].isin(MEASURES)]
    if "excess_loss_last" not in set(known["measure"]):
        return None
    rows = []
    for category, own in known.groupby("category", sort=False):
        last = own[own["measure"] == "excess_loss_last"].iloc[0]
        row: dict[str, Any] = {"category": category, "n": last["n"], "n_skipped": last["n_skipped"]}
        for found in own.to_dict("records"):
            name = found["measure"]
            row |= {name: found["mean"], f"{name}_low": found["low"], f"{name}_high": found["high"]}
        rows.append(row | {"note": last["note"]})
    return pd.DataFrame(rows)


def excess_sentences(measures: pd.DataFrame, interval: str) -> list[str]:
    """Say how a run's loss compares with that of a model that answers as the annotators do.

    Args:
        measures: As for :func:`excess_table`.
        interval: What an interval is called.

    Returns:
        One sentence, on the category of highest entropy that has a value (all examples where there are no
        categories); none where no excess is known.
    """
    table = excess_table(measures)
    known = None if table is None else table[table["excess_loss_last"].notna()]
    if known is None or known.empty:
        return []
    categories = known[known["category"] != OVERALL]
    row = (categories if len(categories) else known).to_dict("records")[-1]
    name = "all examples" if row["category"] == OVERALL else examples_of(str(row["category"]))
    told = f"A model that answers as the annotators do would lose {_AMOUNT(row['annotators_loss'])} nats on {name}"
    first = (
        [f"at the first checkpoint {_compared(row, 'excess_loss_first', interval)}"]
        if "excess_loss_first" in row
        else []
    )
    parts = [*first, f"at the last{'' if first else ' checkpoint'} {_compared(row, 'excess_loss_last', interval)}"]
    return [f"{told} (mean of −ln of the gold label's share of them); this one loses {', '.join(parts)}."]


def _compared(row: Mapping[Hashable, Any], name: str, interval: str) -> str:
    mean, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if np.isnan(low):
        return f"{_AMOUNT(abs(mean))} nats {'more' if mean > 0 else 'less'} (no interval: {row['note']})"
    if verdict(low, high) == "unclear":
        bounds = f"{interval} {_SIGNED(low)} to {_SIGNED(high)}"
        return f"no distinguishable amount more or less ({_SIGNED(mean)} nats, {bounds})"
    ends = (low, high) if mean > 0 else (-high, -low)
    bounds = f"{interval} {_AMOUNT(ends[0])} to {_AMOUNT(ends[1])}"
    return f"{_AMOUNT(abs(mean))} nats {'more' if mean > 0 else 'less'} ({bounds})"
