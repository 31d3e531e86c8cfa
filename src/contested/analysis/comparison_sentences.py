"""Plain sentences for a comparison, which claim no more than their tests hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from contested.analysis.checks import OVERALL
from contested.formats import CHANGE, NATS, number, p_value, percent

if TYPE_CHECKING:
    from contested.analysis.comparison import Comparison, Difference
    from contested.analysis.transitions import Transition

_COUNT = number(",.1f")
_POINTS, _SIGNED_POINTS = number(".1f"), number("+.1f")


def headline(found: Comparison) -> str:
    """Say in one sentence what differs on the examples of most disagreement, on all of them without categories.

    Args:
        found: The comparison.

    Returns:
        Directions only where the adjusted tests give one; the intervals are in :func:`statements`.
    """
    sizes = _sizes(found)
    *categories, overall = found.categories
    category = next((name for name in reversed(categories) if sizes.get(name)), overall)
    parts = [*filter(None, [_turned(found, category)])]
    examples = "them" if parts else _examples(category, sizes)
    loss, kl = (found.difference(measure, category) for measure in ("loss", "kl"))
    if loss is not None:
        parts.append(_loss_in_short(found, loss, examples))
    if kl is not None:
        closer = {"lower": "closer to", "higher": "further from"}.get(kl.direction)
        inconclusive = "which is closer to the annotators is inconclusive"
        same = "both are equally far from the annotators"
        said = f"{found.second.name} is {closer} the annotators{_on_average(kl)}" if closer else inconclusive
        parts.append(said if kl.n_changed else same)
    told = "; ".join(parts)
    return f"{told[:1].upper()}{told[1:]}." if told else ""


def _turned(found: Comparison, category: str) -> str:
    """How many answers changed, without how sure that is."""
    first, second = found.first.name, found.second.name
    row = next((row for row in found.transitions if row.category == category), None)
    changed = next((row for row in found.distances if row.category == category), None)
    if row is not None:
        if not row.lost + row.gained:
            return f"of {_counted(category, row.n)}, none turned right or wrong from {first} to {second}"
        counts = f"{row.lost:,} turned wrong and {row.gained:,} turned right"
        return f"of {_counted(category, row.n, every=False)}, {counts} from {first} to {second}"
    if changed is None:
        return ""
    share = f"{_share(changed.changed, changed.n)} of {_counted(category, changed.n, every=False)}"
    return f"the answers of {first} and {second} differ on {share}"


def _loss_in_short(found: Comparison, row: Difference, examples: str) -> str:
    if not row.n_changed:
        return f"the losses on {examples} are identical"
    if row.direction == "unclear":
        return f"whether the loss on {examples} differs is inconclusive"
    return f"the loss on {examples} is {row.direction} {found.second.where}{_on_average(row)}"


def statements(found: Comparison) -> list[str]:
    """Say what differs between two models and how sure that is.

    Args:
        found: The comparison.

    Returns:
        One sentence or two for each category, that of most disagreement first and all examples last; how far apart the
        two are; then the comparison's notes, and what could not be compared.
    """
    sizes = _sizes(found)
    *categories, overall = found.categories
    shown = [category for category in reversed(categories) if sizes.get(category)]
    said = [_category(found, category) for category in [*shown, overall]]
    return [*filter(None, said), *_apart(found), *_course(found, (shown or [overall])[0]), *found.notes, *found.absent]


def _category(found: Comparison, category: str) -> str:
    parts, examples = [_answers(found, category)], _examples(category, _sizes(found))
    loss, kl = (found.difference(measure, category) for measure in ("loss", "kl"))
    if loss is not None:
        parts.append(_loss(found, loss, ("their", "") if parts[0] else ("the", f" on {examples}")))
    if kl is not None:
        parts.append(_annotators(found, kl, "them" if any(parts) else examples))
    return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts if part)


def _sizes(found: Comparison) -> dict[str, int]:
    return {row.category: row.n + row.n_skipped for row in found.differences}


def _counted(category: str, n: int, *, every: bool = True) -> str:
    """Some examples with their number: "all 380 examples", "182 contested examples"."""
    return f"{'all ' if every else ''}{n:,} examples" if category == OVERALL else f"{n:,} {category} examples"


def _examples(category: str, sizes: Mapping[str, int]) -> str:
    return _counted(category, sizes[category])


def _answers(found: Comparison, category: str) -> str:
    row = next((row for row in found.transitions if row.category == category), None)
    if row is None or not row.n:
        return ""
    if not row.lost + row.gained:
        return _none_turned(found, row)
    counted = (
        f"of {_counted(category, row.n)}, {_share(row.lost, row.n)} are right {found.first.where} and wrong "
        f"{found.second.where} (1→0), {_share(row.gained, row.n)} the other way round (0→1){_guessed(row)}"
    )
    accuracy = found.difference("correct", category)
    if accuracy is None:
        return counted
    if accuracy.direction == "unclear":
        amount = f"{_SIGNED_POINTS(100 * accuracy.difference)} points"
        return f"{counted}. The difference in accuracy is inconclusive: {amount}{_sure(accuracy, points=True)}"
    amount = f"{_POINTS(100 * abs(accuracy.difference))} points {accuracy.direction}"
    return f"{counted}. Accuracy is {amount} {found.second.where}{_sure(accuracy, points=True)}"


def _none_turned(found: Comparison, row: Transition) -> str:
    """No answer turned: what share of such examples might, by the exact one-sided bound at 0 of n."""
    changed = next((other.changed for other in found.distances if other.category == row.category), 0)
    others = f" ({changed:,} have another wrong answer)" if changed else ""
    bound = 1 - (1 - found.confidence) ** (1 / row.n_clusters)
    share = f"clusters of such examples (0 of {row.n_clusters:,})" if row.n_clusters < row.n else "such examples"
    return (
        f"of {_counted(row.category, row.n)}, none turned right or wrong from {found.first.name} to "
        f"{found.second.name}{others}: this happens to at most about {percent(bound)} of {share}, with "
        f"{percent(found.confidence)} confidence"
    )


def _guessed(row: Transition) -> str:
    """What guessing explains of the changes, and under which assumption."""
    given = f"{_COUNT(row.by_guessing)} of either, if a model knows an example or guesses among all classes"
    if max(row.lost, row.gained) <= row.by_guessing:
        return f": neither is more than lucky guesses would give ({given})"
    return f"; lucky guesses alone would give {given}"


def _share(count: int, n: int) -> str:
    return f"{count:,} ({percent(count / n)})"


def _loss(found: Comparison, row: Difference, subject: tuple[str, str]) -> str:
    whose, of_examples = subject
    name = f"{whose} mean loss{of_examples}"
    if not row.n_changed:
        return f"{whose} losses{of_examples} are identical"
    if row.direction == "unclear":
        return f"the difference in {name} is inconclusive: {_amount(row)}"
    amount = f"{NATS(abs(row.difference))} nats {row.direction} {found.second.where}{_sure(row)}"
    return f"{name} is {amount}{_though_most(row)}"


def _annotators(found: Comparison, row: Difference, examples: str) -> str:
    if not row.n_changed:
        return f"both are equally far from the annotators on each of {examples}"
    if row.direction == "unclear":
        return f"which of the two is closer to the annotators on {examples} is inconclusive: KL {_amount(row)}"
    closer = "closer to" if row.direction == "lower" else "further from"
    amount = f"{NATS(abs(row.difference))} nats {row.direction} {found.second.where}"
    sure = f"{_sure(row)}: {closer} the annotators{_on_average(row)}"
    return f"KL(annotators ‖ model) on {examples} is {amount}{sure}{_though_most(row)}"


def _amount(row: Difference) -> str:
    return f"{CHANGE(row.difference)} nats{_sure(row)}"


def _sure(row: Difference, *, points: bool = False) -> str:
    """The interval and the adjusted p-value in brackets."""
    q_value = p_value(row.q_value)
    p = f"adjusted p {q_value}" if q_value.startswith("<") else f"adjusted p = {q_value}"
    if math.isnan(row.low):
        return f" (no interval: {row.note}; {p})"
    low, high = (_SIGNED_POINTS(100 * end) if points else CHANGE(end) for end in (row.low, row.high))
    return f" [{low}, {high}] ({p})"


def _apart(found: Comparison) -> list[str]:
    overall = next((row for row in found.distances if row.category == OVERALL), None)
    if overall is None or not overall.n:
        return []
    if not found.examples["kl"].any():
        return [f"The two give the same probabilities on all {overall.n:,} examples."]
    told = (
        f"The two answer {_share(overall.changed, overall.n)} of all {overall.n:,} examples differently; "
        f"KL({found.first.name} ‖ {found.second.name}) is {NATS(overall.kl)} nats on average"
    )
    kl = found.difference("kl", OVERALL)
    if math.isnan(overall.toward_share) or (kl is not None and not kl.n_changed):
        return [f"{told}."]
    closer = (
        f"{found.second.name} is the closer one to the annotators on {percent(overall.toward_share)} of the examples"
    )
    return [f"{told}, and {closer}."]


def _course(found: Comparison, category: str) -> list[str]:
    """What whole runs did, in one sentence: the change of the loss."""
    for row in found.differences:
        if (row.family, row.measure, row.category) == ("run", "loss_change", category):
            subject = _examples(category, _sizes(found))
            if not row.n_changed:
                return [f"Over the whole runs, Δℓ is the same on each of {subject}."]
            if row.direction == "unclear":
                return [f"Over the whole runs, the difference in Δℓ on {subject} is inconclusive: {_amount(row)}."]
            amount = f"{NATS(abs(row.difference))} nats {row.direction} {found.second.where}{_sure(row)}"
            return [f"Over the whole runs, Δℓ on {subject} is {amount}{_though_most(row)}."]
    return []


def _as_the_mean(row: Difference) -> int:
    """How many examples differ in the direction of the mean."""
    return row.n_higher if row.direction == "higher" else row.n_changed - row.n_higher


def _on_average(row: Difference) -> str:
    return " on average" if 2 * _as_the_mean(row) < row.n else ""


def _though_most(row: Difference) -> str:
    """Where a minority of the examples drives the mean, how many they are."""
    count = _as_the_mean(row)
    return f", though {row.direction} on {_share(count, row.n)} alone" if 2 * count < row.n else ""
