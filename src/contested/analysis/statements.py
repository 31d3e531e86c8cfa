"""What happened in a run, in plain sentences that claim no more than their intervals hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from contested.analysis.correlation import Correlation
from contested.analysis.intervals import Verdict, percent
from contested.analysis.unlearning import ChangeRow, Contrast

if TYPE_CHECKING:
    from contested.analysis.results import Analysis

_MOST_DECIMALS = 6


def statements(analysis: Analysis) -> list[str]:
    """Say what a run did to its examples and how sure that is, for readers who skip the tables.

    Intervals are over examples of this one run; the first sentence says "in this run", for another seed
    may differ.

    Args:
        analysis: The statistics of one run.

    Returns:
        Sentences. The first stands for the whole run: the loss of the examples with most disagreement,
        and whether the model came closer to people on them. Then the other categories, highest against
        lowest category, the correlation with entropy, and the analysis's notes.
    """
    pairs = list(zip(analysis.unlearning.rows, analysis.people.rows, strict=True))
    top = next((pair for pair in reversed(pairs) if pair[0].n), pairs[-1])
    interval = f"{percent(analysis.confidence)} interval"
    return [
        f"{_scope(analysis)}, {_headline(*top, interval)}.",
        *(_category(*pair, interval) for pair in reversed(pairs) if pair is not top),
        _contrast(analysis.unlearning.contrast, interval),
        _correlation(analysis.correlation.aulc, analysis.correlation.aulc_trapezoid, interval),
        *analysis.notes,
    ]


def _scope(analysis: Analysis) -> str:
    steps = f"steps {analysis.steps[0]:,} to {analysis.steps[-1]:,}"
    if analysis.status == "complete":
        return f"In this run ({steps})"
    return f"In this unfinished run (status: {analysis.status}, {steps})"


_UNLEARNED: dict[Verdict, str] = {
    "rises": "{} examples were un-learned",
    "falls": "{} examples were not un-learned on average",
    "unclear": "it cannot be told whether {} examples were un-learned",
}
_TOWARDS_PEOPLE: dict[Verdict, str] = {
    "rises": "the model moved away from people on them",
    "falls": "the model moved closer to people on them",
    "unclear": "it cannot be told whether the model moved closer to people on them",
}


def _headline(loss: ChangeRow, people: ChangeRow, interval: str) -> str:
    claim = _UNLEARNED[loss.verdict].format(loss.category)
    opposed = {loss.verdict, people.verdict} == {"rises", "falls"}
    return (
        f"{claim}: their mean loss {_moved(loss, interval, _share(loss))}, "
        f"{'while' if opposed else 'and'} {_people(people, interval)}"
    )


def _category(loss: ChangeRow, people: ChangeRow, interval: str) -> str:
    name = loss.category.capitalize()
    if not loss.n:
        return f"{name} examples: there are none."
    return f"{name} examples: mean loss {_moved(loss, interval, _share(loss))}, and {_people(people, interval)}."


def _people(row: ChangeRow, interval: str) -> str:
    return f"{_TOWARDS_PEOPLE[row.verdict]}: KL(human ‖ model) {_moved(row, interval)}"


def _share(row: ChangeRow) -> str:
    # "100 %" and "0 %" are kept for all and none.
    if 0 < row.rose_share < 0.01 or 0.99 < row.rose_share < 1:
        return f"; {row.rose:,} of {row.n:,} rose"
    return f"; {percent(row.rose_share, 0)} of {row.n:,} rose"


def _moved(row: ChangeRow, interval: str, also: str = "") -> str:
    """What a mean did, as a verb and an amount: a direction only where the interval has one."""
    if row.note:
        known = f" by {_amounts(row.mean)[0]} nats on average" if row.n else ""
        return f"changed{known} (no interval: {row.note}{also if row.n else ''})"
    if row.verdict == "unclear":
        mean, low, high = _amounts(row.mean, row.low, row.high)
        return f"changed by {mean} nats, not to be told from zero ({interval} {low} to {high}{also})"
    ends = (row.mean, row.low, row.high) if row.verdict == "rises" else (-row.mean, -row.high, -row.low)
    mean, low, high = _amounts(*ends, signed=False)
    return f"{'rose' if row.verdict == 'rises' else 'fell'} by {mean} nats ({interval} {low} to {high}{also})"


def _contrast(contrast: Contrast, interval: str) -> str:
    pair = f"{contrast.category} and {contrast.reference} examples"
    if contrast.note:
        return f"The changes in loss of {pair} are not compared: {contrast.note}."
    difference, low, high = _amounts(contrast.difference, contrast.low, contrast.high)
    numbers = f"{contrast.category} minus {contrast.reference} {difference} nats, {interval} {low} to {high}"
    if contrast.verdict == "unclear":
        return f"The changes in loss of {pair} cannot be told apart ({numbers})."
    worse = "more upwards" if contrast.verdict == "rises" else "more downwards"
    return f"Loss moved {worse} for {contrast.category} than for {contrast.reference} examples ({numbers})."


def _correlation(plain: Correlation, weighted: Correlation, interval: str) -> str:
    claim = {
        "positive": "Examples that people disagree on more tended to have a higher loss over the run",
        "negative": "Examples that people disagree on more tended to have a lower loss over the run",
        "unclear": "It cannot be told whether disagreement among people goes with loss over the run",
    }[plain.direction]
    found = f"Spearman ρ(AULC, H) {_rho(plain, interval)}"
    return f"{claim}: {found}; with AULC weighted by steps, ρ {_rho(weighted, interval)}."


def _rho(found: Correlation, interval: str) -> str:
    if math.isnan(found.rho):
        return f"does not exist ({found.note})"
    p = "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"
    if math.isnan(found.low):
        return f"= {_amounts(found.rho)[0]} ({p}, n = {found.n:,}; no interval: {found.note})"
    rho, low, high = _amounts(found.rho, found.low, found.high)
    return f"= {rho} ({interval} {low} to {high}; {p}; n = {found.n:,})"


def _amounts(*values: float, signed: bool = True) -> list[str]:
    """Numbers with the decimals their spread deserves, and enough that none but 0 reads as 0."""
    spread = (max(values) - min(values)) / 2
    decimals = max(2, -math.floor(math.log10(spread))) if spread > 0 else 2
    while decimals < _MOST_DECIMALS and any(value and not round(value, decimals) for value in values):
        decimals += 1
    form = f"{'+' if signed else ''}.{min(decimals, _MOST_DECIMALS)}f"
    return [format(value, form).replace("-", "−") for value in values]
