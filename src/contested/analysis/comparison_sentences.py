"""Plain sentences for a comparison, which claim no more than their tests hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from contested.analysis.checks import OVERALL
from contested.formats import number, p_value, percent

if TYPE_CHECKING:
    from contested.analysis.comparison import Comparison, Difference

_COUNT = number(",.1f")
_POINTS, _NATS = number(".1f"), number(".2f")
_SIGNED_POINTS, _SIGNED_NATS = number("+.1f"), number("+.2f")


def headline(found: Comparison) -> str:
    """Say in one sentence what differs on the examples of most disagreement, on all of them without categories.

    Args:
        found: The comparison.

    Returns:
        Directions only where the adjusted tests give one; the intervals are in :func:`statements`.
    """
    sizes = {row.category: row.n for row in found.differences}
    *categories, overall = found.categories
    category = next((name for name in reversed(categories) if sizes.get(name)), overall)
    row = next((row for row in found.transitions if row.category == category), None)
    changed = next((row for row in found.distances if row.category == category), None)
    parts = []
    if row is not None:
        parts.append(
            f"of {row.n:,} {_subject(category, '')}, {row.lost:,} turned wrong and {row.gained:,} turned right from "
            f"{found.first.name} to {found.second.name} (by guessing alone: {_COUNT(row.by_guessing)} of either)"
        )
    elif changed is not None:
        share = f"{_share(changed.changed, changed.n)} of {changed.n:,} {_subject(category, '')}"
        parts.append(f"the answers of {found.first.name} and {found.second.name} differ on {share}")
    examples = "them" if parts else _subject(category)
    loss, kl = (found.difference(measure, category) for measure in ("loss", "kl"))
    if loss is not None:
        clear = f"the loss on {examples} is {loss.direction} {found.second.where}"
        parts.append(
            f"whether the loss on {examples} differs is inconclusive" if loss.direction == "unclear" else clear
        )
    if kl is not None:
        closer = {"lower": "closer to", "higher": "further from"}.get(kl.direction)
        inconclusive = "which is closer to the annotators is inconclusive"
        parts.append(f"{found.second.name} is {closer} the annotators" if closer else inconclusive)
    told = "; ".join(parts)
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def statements(found: Comparison) -> list[str]:
    """Say what differs between two models and how sure that is.

    Args:
        found: The comparison.

    Returns:
        One sentence or two for each category, that of most disagreement first and all examples last; how far apart the
        two are; then the comparison's notes, and what could not be compared.
    """
    sizes = {row.category: row.n for row in found.differences}
    *categories, overall = found.categories
    shown = [category for category in reversed(categories) if sizes.get(category)]
    said = [_category(found, category) for category in [*shown, overall]]
    return [*filter(None, said), *_apart(found), *_course(found, (shown or [overall])[0]), *found.notes, *found.absent]


def _category(found: Comparison, category: str) -> str:
    parts = [_answers(found, category)]
    loss, kl = (found.difference(measure, category) for measure in ("loss", "kl"))
    if loss is not None:
        parts.append(_loss(found, loss, "their mean loss" if parts[0] else f"the mean loss on {_subject(category)}"))
    if kl is not None:
        parts.append(_annotators(found, kl, "them" if any(parts) else _subject(category)))
    return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts if part)


def _subject(category: str, every: str = "all ") -> str:
    return f"{every}examples" if category == OVERALL else f"{category} examples"


def _answers(found: Comparison, category: str) -> str:
    row = next((row for row in found.transitions if row.category == category), None)
    if row is None:
        return ""
    examples = f"{'all ' if category == OVERALL else ''}{row.n:,} {_subject(category, '')}"
    by_guessing = f"guessing alone would give {_COUNT(row.by_guessing)} of either"
    counted = (
        f"of {examples}, {_share(row.lost, row.n)} are right {found.first.where} and wrong {found.second.where} (1→0), "
        f"{_share(row.gained, row.n)} the other way round (0→1); {by_guessing}"
    )
    accuracy = found.difference("correct", category)
    if accuracy is None:
        return counted
    if accuracy.direction == "unclear":
        amount = f"{_SIGNED_POINTS(100 * accuracy.difference)} points"
        return f"{counted}. The difference in accuracy is inconclusive: {amount}{_sure(accuracy, points=True)}"
    amount = f"{_POINTS(100 * abs(accuracy.difference))} points {accuracy.direction}"
    return f"{counted}. Accuracy is {amount} {found.second.where}{_sure(accuracy, points=True)}"


def _share(count: int, n: int) -> str:
    return f"{count:,} ({percent(count / n)})"


def _loss(found: Comparison, row: Difference, name: str) -> str:
    if row.direction == "unclear":
        return f"the difference in {name} is inconclusive: {_amount(row)}"
    return f"{name} is {_NATS(abs(row.difference))} nats {row.direction} {found.second.where}{_sure(row)}"


def _annotators(found: Comparison, row: Difference, examples: str) -> str:
    if row.direction == "unclear":
        return f"which of the two is closer to the annotators on {examples} is inconclusive: KL {_amount(row)}"
    closer = "closer to" if row.direction == "lower" else "further from"
    amount = f"{_NATS(abs(row.difference))} nats {row.direction} {found.second.where}"
    return f"KL(annotators ‖ model) on {examples} is {amount}{_sure(row)}: {closer} the annotators"


def _amount(row: Difference) -> str:
    return f"{_SIGNED_NATS(row.difference)} nats{_sure(row)}"


def _sure(row: Difference, *, points: bool = False) -> str:
    """The interval and the adjusted p-value in brackets."""
    q_value = p_value(row.q_value)
    p = f"adjusted p {q_value}" if q_value.startswith("<") else f"adjusted p = {q_value}"
    if math.isnan(row.low):
        return f" (no interval: {row.note}; {p})"
    low, high = (_SIGNED_POINTS(100 * end) if points else _SIGNED_NATS(end) for end in (row.low, row.high))
    return f" [{low}, {high}] ({p})"


def _apart(found: Comparison) -> list[str]:
    overall = next((row for row in found.distances if row.category == OVERALL), None)
    if overall is None or not overall.n:
        return []
    told = (
        f"The two answer {_share(overall.changed, overall.n)} of all {overall.n:,} examples differently; "
        f"KL({found.first.name} ‖ {found.second.name}) is {_NATS(overall.kl)} nats on average"
    )
    if math.isnan(overall.toward_share):
        return [f"{told}."]
    closer = (
        f"{found.second.name} is the closer one to the annotators on {percent(overall.toward_share)} of the examples"
    )
    return [f"{told}, and {closer}."]


def _course(found: Comparison, category: str) -> list[str]:
    """What whole runs did, in one sentence: the change of the loss."""
    for row in found.differences:
        if (row.family, row.measure, row.category) == ("run", "loss_change", category):
            subject = _subject(category)
            if row.direction == "unclear":
                return [f"Over the whole runs, the difference in Δℓ on {subject} is inconclusive: {_amount(row)}."]
            amount = f"{_NATS(abs(row.difference))} nats {row.direction} {found.second.where}{_sure(row)}"
            return [f"Over the whole runs, Δℓ on {subject} is {amount}."]
    return []
