"""The page's first sentence: what runs did to the examples with most disagreement, compared where there are several."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

import pandas as pd

from contested.analysis import OVERALL
from contested.analysis.intervals import Verdict, verdict
from contested.analysis.sentences import MARKED, THOUGH_MOST, against_most, examples_of, mark
from contested.formats import DAGGER, number
from contested.wording import listed

_AMOUNT = number("+.2f")
_MOST_NAMED = 3


class MeanChange(NamedTuple):
    """The mean loss change of some examples of one run or group, in nats.

    Attributes:
        name: The run or group.
        mean: The mean.
        low: Lower end of its interval.
        high: Upper end of its interval.
        rose_share: The share of them that rose; NaN where it is unknown.
        caution: Why the interval may cover the truth less often than it says; empty otherwise.
    """

    name: str
    mean: float
    low: float
    high: float
    rose_share: float = float("nan")
    caution: str = ""


def headline(changes: pd.DataFrame, by: str, noun: str) -> str:
    """Say in a sentence or two what happened to the examples of highest entropy.

    Args:
        changes: One row per run or group and category, in order of rising entropy: category, n, mean, low, high and,
            where they are known, rose_share and caution.
        by: The column that names the run or group.
        noun: What one of them is called, such as "run".

    Returns:
        The sentence; "" where no change is known.
    """
    if changes.empty or not changes["mean"].notna().any():
        return ""
    known = changes[changes["mean"].notna()]
    # Categories without an example have their place in the order, too.
    seen = set(known["category"]) - {OVERALL}
    names = [name for name in dict.fromkeys(changes["category"]) if name in seen]
    top, clean = (names[-1], names[0]) if names else (OVERALL, "")
    rows = _changes(known, by, top)
    said = _one(rows[0], top) if len(rows) == 1 else _several(rows, top, noun)
    if len(rows) == 1 and changes[by].nunique() > 1:
        said = f"{rows[0].name}: {said[:1].lower()}{said[1:]}"
    below = {row.name: row for row in _changes(known, by, clean)} if len(names) > 1 else {}
    if len(rows) == 1 and rows[0].name in below:
        said += f" The loss of {examples_of(clean)} {_moved(below[rows[0].name])}."
    more = [row for row in rows if row.name in below and row.mean > below[row.name].mean]
    if len(rows) > 1 and below:
        none = f"{'neither' if len(rows) == 2 else 'no'} {noun} did their loss rise more, or fall less,"
        where = f"{_counted(len(more), len(rows), noun)} their loss rose more, or fell less," if more else none
        said += f" In {where} than that of {examples_of(clean)}."
    return f"{said} {MARKED}" if DAGGER in said else said


def _changes(changes: pd.DataFrame, by: str, category: str) -> list[MeanChange]:
    rows = changes[changes["category"] == category]
    return [
        MeanChange(
            str(row[by]),
            row["mean"],
            row["low"],
            row["high"],
            row.get("rose_share", float("nan")),
            row.get("caution", ""),
        )
        for row in rows.to_dict("records")
    ]


def _subject(category: str) -> str:
    return "tracked examples" if category == OVERALL else examples_of(category)


def _starting(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _one(row: MeanChange, category: str) -> str:
    found = verdict(row.low, row.high)
    if found == "unclear":
        return (
            f"Whether {_subject(category)} were un-learned is inconclusive: their mean loss changed by "
            f"{_AMOUNT(row.mean)} nats{_interval(row)}."
        )
    were = "were un-learned" if found == "rises" else "were not un-learned"
    if against_most(found, row.rose_share):
        were += THOUGH_MOST[found]
    return f"{_starting(_subject(category))} {were}: their mean loss {_moved(row)}."


def _moved(row: MeanChange) -> str:
    found = verdict(row.low, row.high)
    if found == "unclear":
        unclear = "" if isnan(row.low) else ", not distinguishable from zero"
        return f"changed by {_AMOUNT(row.mean)} nats{_interval(row)}{unclear}"
    return f"{'rose' if found == 'rises' else 'fell'} by {_AMOUNT(abs(row.mean)).lstrip('+')} nats{_interval(row)}"


def _interval(row: MeanChange) -> str:
    """The interval in brackets, or that there is none."""
    return " (no interval)" if isnan(row.low) else f" [{_AMOUNT(row.low)}, {_AMOUNT(row.high)}]{mark(row.caution)}"


def _several(rows: Sequence[MeanChange], category: str, noun: str) -> str:
    kinds: dict[str, list[MeanChange]] = {"rises": [], "falls": [], "unclear": []}
    for row in rows:
        kinds[verdict(row.low, row.high)].append(row)
    subject = _subject(category)
    every = _counted(len(rows), len(rows), noun)
    if not kinds["rises"] and not kinds["falls"]:
        return f"Whether {subject} were un-learned is inconclusive in {every}{_named(rows)}."
    parts = []
    if kinds["rises"]:
        parts.append(f"were un-learned in {_counted(len(kinds['rises']), len(rows), noun)}{_named(kinds['rises'])}")
        parts[-1] += _by_a_minority(kinds["rises"], "rises")
    if kinds["falls"]:
        parts.append(f"learned in {_counted(len(kinds['falls']), len(rows), noun)}{_named(kinds['falls'])}")
        parts[-1] = (parts[-1] if len(parts) > 1 else f"were {parts[-1]}") + _by_a_minority(kinds["falls"], "falls")
    if kinds["unclear"]:
        parts.append(f"and the change is inconclusive in {len(kinds['unclear'])}{_named(kinds['unclear'])}")
    return f"{_starting(subject)} {', '.join(parts)}."


def _by_a_minority(rows: Sequence[MeanChange], found: Verdict) -> str:
    """Where a mean did what most of the examples did not; empty where it did so nowhere."""
    own = [row.name for row in rows if against_most(found, row.rose_share)]
    if not own:
        return ""
    most = "the loss of most did not rise" if found == "rises" else "the loss of most rose"
    where = "in each of these" if len(own) == len(rows) > 1 else f"in {_some(own)}"
    return f", on average alone {where}, where {most}"


def _some(names: Sequence[str]) -> str:
    return listed(names) if len(names) <= _MOST_NAMED else f"{len(names)} of these"


def _counted(some: int, every: int, noun: str) -> str:
    if some == every:
        return f"both {noun}s" if every == 2 else f"all {every} {noun}s"
    return f"{some} of {every} {noun}s"


def _named(rows: Sequence[MeanChange]) -> str:
    """Each one's mean change; of many the least and the greatest."""
    if len(rows) <= _MOST_NAMED:
        return f" ({'; '.join(map(_amount, rows))})"
    least, most = min(rows, key=lambda row: row.mean), max(rows, key=lambda row: row.mean)
    ends = [f"{_AMOUNT(row.mean)} nats{mark(row.caution)}, {row.name}" for row in (least, most)]
    return f" (from {', to '.join(ends)})"


def _amount(row: MeanChange) -> str:
    return f"{row.name}: {_AMOUNT(row.mean)} nats{mark(row.caution)}"
