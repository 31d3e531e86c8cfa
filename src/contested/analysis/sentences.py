"""Plain sentences for the statistics of a run, which claim no more than their intervals hold."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import NamedTuple

from contested.analysis.checks import OVERALL
from contested.analysis.correlation import Correlation, Correlations
from contested.analysis.intervals import Verdict
from contested.analysis.unlearning import ChangeRow, Changes, Contrast
from contested.annotations.categories import FIXED
from contested.formats import DAGGER, number, p_equation, percent

_MOST_DECIMALS = 6


def of_changes(unlearning: Changes | None, kl: Changes | None, *, scope: str, interval: str) -> list[str]:
    """Say what changed, and how sure that is.

    Args:
        unlearning: Changes of the loss, if known.
        kl: Changes of KL(annotators ‖ model), if known.
        scope: What the first sentence begins with.
        interval: What an interval is called.

    Returns:
        Sentences: the highest category (of all examples where there are none) first, then the other categories and
        highest against lowest; at last what a mark at an interval means, where one has it.
    """
    pairs = _pairs(unlearning, kl)
    top = next((pair for pair in reversed(pairs) if pair.n), pairs[-1] if pairs else None)
    told = [
        f"{scope}, {_headline(top, interval) if top else _NOTHING}.",
        *(_category(pair, interval) for pair in reversed(pairs) if pair is not top),
        *([_contrast(unlearning, unlearning.contrast, interval)] if unlearning and unlearning.contrast else []),
    ]
    return told + [MARKED] * any(DAGGER in sentence for sentence in told)


MARKED = f"{DAGGER} This interval may cover the truth less often than it says: the tables say why."
"""What a mark at an interval in a sentence means."""


def mark(caution: str) -> str:
    """The mark at an interval of which there is something to know; empty otherwise."""
    return DAGGER if caution else ""


def examples_of(*categories: str) -> str:
    """Name the examples of categories: the paper's are adjectives, a name of one's own is a name.

    Args:
        *categories: One or more.

    Returns:
        Words for within a sentence.

    >>> examples_of("contested", "clean"), examples_of("A"), examples_of("low", "high")
    ('contested and clean examples', 'examples of category A', 'examples of categories low and high')
    """
    named = " and ".join(categories)
    if _adjectives(*categories):
        return f"{named} examples"
    return f"examples of {'category' if len(categories) == 1 else 'categories'} {named}"


def against_most(found: Verdict, rose_share: float) -> bool:
    """Whether a minority of the examples drives a mean: it rises while most do not, or falls while most rise.

    Args:
        found: What the mean does.
        rose_share: Share of the examples that rose; NaN where it is unknown.

    Returns:
        False also where the share is unknown or the mean is unclear.
    """
    return rose_share < 0.5 if found == "rises" else found == "falls" and rose_share > 0.5


def _adjectives(*categories: str) -> bool:
    return set(categories) <= set(FIXED.names)


THOUGH_MOST: dict[Verdict, str] = {
    "rises": " on average, though most of them were not",
    "falls": " on average, though most of them were",
}
"""What is added to "were un-learned" and "were not un-learned" where a minority of the examples drives the mean."""


class _Pair(NamedTuple):
    """What changed on one category's examples, as far as the run knows."""

    loss: ChangeRow | None
    kl: ChangeRow | None

    @property
    def n(self) -> int:
        return next(row.n for row in self if row is not None)

    @property
    def examples(self) -> str:
        name = next(row.category for row in self if row is not None)
        return "the examples" if name == OVERALL else examples_of(name)


def _pairs(losses: Changes | None, kl: Changes | None) -> list[_Pair]:
    """The categories, or all examples where there are none."""
    rows = [(changes.rows or (changes.overall,)) if changes else () for changes in (losses, kl)]
    return [_Pair(*pair) for pair in zip_longest(*rows)]


_NOTHING = "examples were neither compared with gold labels nor with annotators"


_UNLEARNED: dict[Verdict, str] = {
    "rises": "{} were un-learned",
    "falls": "{} were not un-learned",
    "unclear": "it is unclear whether {} were un-learned",
}
_TOWARDS_ANNOTATORS: dict[Verdict, str] = {
    "rises": "the model moved away from the annotators on {}",
    "falls": "the model moved closer to the annotators on {}",
    "unclear": "it is unclear whether the model moved closer to the annotators on {}",
}


def _headline(pair: _Pair, interval: str) -> str:
    loss, kl = pair
    if loss is None:
        assert kl is not None, "a pair holds at least one change"
        return _towards(kl, pair.examples, interval)
    claim = _UNLEARNED[loss.verdict].format(pair.examples)
    if against_most(loss.verdict, loss.rose_share):
        claim += THOUGH_MOST[loss.verdict]
    first = f"{claim}: their mean loss {_moved(loss, interval, _share(loss))}"
    if kl is None:
        return first
    opposed = {loss.verdict, kl.verdict} == {"rises", "falls"}
    return f"{first}, {'while' if opposed else 'and'} {_towards(kl, 'them', interval)}"


def _category(pair: _Pair, interval: str) -> str:
    loss, kl = pair
    name = f"{pair.examples[0].upper()}{pair.examples[1:]}"
    if not pair.n:
        return f"{name}: there are none."
    told = [] if loss is None else [f"mean loss {_moved(loss, interval, _share(loss))}"]
    if kl is not None:
        told.append(_towards(kl, "them", interval))
    return f"{name}: {', and '.join(told)}."


def _towards(row: ChangeRow, examples: str, interval: str) -> str:
    said = _TOWARDS_ANNOTATORS[row.verdict].format(examples)
    average, share = (" on average", _share(row)) if against_most(row.verdict, row.rose_share) else ("", "")
    return f"{said}{average}: KL(annotators ‖ model) {_moved(row, interval, share)}"


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
    dagger = mark(row.caution)
    if row.verdict == "unclear":
        mean, low, high = _amounts(row.mean, row.low, row.high)
        return f"changed by {mean} nats, not distinguishable from zero ({interval} {low} to {high}{dagger}{also})"
    ends = (row.mean, row.low, row.high) if row.verdict == "rises" else (-row.mean, -row.high, -row.low)
    mean, low, high = _amounts(*ends, signed=False)
    return f"{'rose' if row.verdict == 'rises' else 'fell'} by {mean} nats ({interval} {low} to {high}{dagger}{also})"


def _contrast(changes: Changes, contrast: Contrast, interval: str) -> str:
    pair = examples_of(contrast.category, contrast.reference)
    if contrast.note:
        return f"The changes in loss of {pair} are not compared: {contrast.note}."
    difference, low, high = _amounts(contrast.difference, contrast.low, contrast.high)
    numbers = f"{contrast.category} minus {contrast.reference} {difference} nats, {interval} {low} to {high}"
    numbers += mark(contrast.caution)
    if contrast.verdict == "unclear":
        return f"The changes in loss of {pair} are not distinguishable ({numbers})."
    name, reference = contrast.category, examples_of(contrast.reference)
    named = name if _adjectives(name, contrast.reference) else examples_of(name)
    verdicts = {row.category: row.verdict for row in changes.rows}
    own, other = verdicts[name], verdicts[contrast.reference]
    if own == contrast.verdict and other not in (own, "unclear"):
        return f"Loss {_DID[own]} for {examples_of(name)} and {_DID[other]} for {reference} ({numbers})."
    moved = _MOVED_MORE[contrast.verdict, own if own == other else "unclear"]
    return f"Loss {moved} for {named} than for {reference} ({numbers})."


_DID: dict[Verdict, str] = {"rises": "rose", "falls": "fell"}
# By what the contrast did and by what both categories did; with an unclear one of them it stays open which of the two.
_MOVED_MORE: dict[tuple[Verdict, Verdict], str] = {
    ("rises", "rises"): "rose more",
    ("rises", "falls"): "fell less",
    ("rises", "unclear"): "rose more, or fell less,",
    ("falls", "rises"): "rose less",
    ("falls", "falls"): "fell more",
    ("falls", "unclear"): "fell more, or rose less,",
}


def of_correlations(found: Correlations, interval: str) -> str:
    """Say whether loss over the run goes with disagreement.

    Args:
        found: Both correlations.
        interval: What an interval is called.

    Returns:
        A sentence.
    """
    plain, weighted = found.aulc, found.aulc_trapezoid
    claim = {
        "positive": "Examples that annotators disagree on more tended to have a higher loss over the run",
        "negative": "Examples that annotators disagree on more tended to have a lower loss over the run",
        "unclear": "It is unclear whether disagreement among annotators goes with loss over the run",
    }[plain.direction]
    also = f"with AULC weighted by steps, ρ {_rho(weighted, interval)}"
    return f"{claim}: Spearman ρ(AULC, H) {_rho(plain, interval)}; {also}."


def of_data_map(found: Correlations, interval: str) -> str:
    """Say whether the coordinates of the data map go with disagreement; "" where they are unknown.

    Args:
        found: The correlations.
        interval: What an interval is called.

    Returns:
        A sentence.
    """
    if found.confidence is None or found.variability is None:
        return ""
    parts = [
        f"{name} {_TENDED[part.direction]}: ρ({name}, H) {_rho(part, interval)}"
        for name, part in (("confidence", found.confidence), ("variability", found.variability))
    ]
    return f"On the data map, with more disagreement {'; '.join(parts)}."


_TENDED = {
    "positive": "tended to be higher",
    "negative": "tended to be lower",
    "unclear": "is not clearly higher or lower",
}


def _rho(found: Correlation, interval: str) -> str:
    if math.isnan(found.rho):
        return f"is undefined ({found.note})"
    p = p_equation(found.p_value)
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
    form = number(f"{'+' if signed else ''}.{min(decimals, _MOST_DECIMALS)}f")
    return [form(value) for value in values]
