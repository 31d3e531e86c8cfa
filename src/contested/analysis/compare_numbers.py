"""The numbers of a comparison: measures, answers and distances of two models by category, and of each example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contested.analysis.comparison import Difference, Direction, Distance, Family
from contested.analysis.divergence import js_between, kl_between
from contested.analysis.intervals import Intervals, keyed
from contested.analysis.measures import Measure, measure_columns, measures_of
from contested.analysis.paired import false_discovery_rate, paired_intervals, paired_tests
from contested.analysis.transitions import Transition, transitions
from contested.annotations.categories import UNKNOWN

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

Floats = NDArray[np.float64]
Values = Mapping[Measure, tuple[Floats, Floats]]
"""A measure to its values in both models, each of shape (N,)."""

LAST = "_last"
"""How the names of those measures end that one checkpoint decides."""

_FIRST = "_first"  # what a whole run's first checkpoint decides is no course
_SAME = "soft_cross_entropy_last"  # its difference is that of KL, for the annotators' entropy cancels


@dataclass(frozen=True)
class Context:
    """The rows of each category, the cluster of each example, and how numbers are drawn.

    Attributes:
        groups: Category to its rows, in order of rising entropy, "overall" last.
        clusters: Shape (N,).
        rng: Source of resamples and signs; nothing is drawn from it.
        n_resamples: Bootstrap resamples.
        n_flips: Random signs of a test.
        confidence: Coverage of intervals.
    """

    groups: Mapping[str, NDArray[np.intp]]
    clusters: NDArray[np.intp]
    rng: np.random.Generator
    n_resamples: int
    n_flips: int
    confidence: float

    def intervals(self, values: Floats, rows: NDArray[np.intp], category: str) -> Intervals:
        """Means of S quantities over a category's examples, all over the same resamples, shape (n, S) in."""
        return paired_intervals(
            values,
            self.clusters[rows],
            rng=keyed(self.rng, "compare", category),
            n_resamples=self.n_resamples,
            confidence=self.confidence,
        )


def numbers(states: Sequence[Trajectory], whole: Sequence[Trajectory], context: Context) -> dict[str, Any]:
    """Everything that is computed of two models.

    Args:
        states: Both at the compared checkpoints, on the same examples.
        whole: Both runs whole; empty where these are not compared.
        context: Categories, clusters and draws.

    Returns:
        The fields ``transitions``, ``distances``, ``differences`` and ``examples`` of a comparison.
    """
    values = _values(states, at_one=True)
    rows = [*_differences("checkpoint", values, context)]
    if whole:
        rows += _differences("run", _values(whole, at_one=False), context)
    differences, turned = _adjusted(rows, _transitions(states, context), 1 - context.confidence)
    examples = _examples(states, values)
    distances = _distances(examples, context) if "js" in examples else ()
    order = np.argsort(-examples["size"].to_numpy(), kind="stable")
    return {
        "transitions": turned,
        "distances": distances,
        "differences": differences,
        "examples": examples.iloc[order].reset_index(drop=True),
    }


def _values(runs: Sequence[Trajectory], *, at_one: bool) -> Values:
    """The numeric measures that both runs have: those of one checkpoint, or those of a course."""
    known = set.intersection(*({measure.name for measure in measures_of(run)} for run in runs))
    wanted = [
        measure
        for measure in measures_of(runs[0])
        if measure.name in known
        and measure.summary != "none"
        and measure.name.endswith(LAST) == at_one
        and measure.name != _SAME
        and not measure.name.endswith(_FIRST)
    ]
    wanted = [measure for measure in wanted if measure.unit != "steps" or runs[0].counted_in == runs[1].counted_in]
    columns = [measure_columns(run, measures=_with_parents(run, wanted)) for run in runs]
    return {
        measure: (columns[0][measure.name].astype(np.float64), columns[1][measure.name].astype(np.float64))
        for measure in wanted
    }


def _with_parents(run: Trajectory, wanted: Sequence[Measure]) -> Sequence[Measure]:
    """Measures that follow from others need those computed, too."""
    return measures_of(run) if any(measure.of_columns is not None for measure in wanted) else wanted


def _differences(family: Family, values: Values, context: Context) -> Iterator[Difference]:
    for category, rows in context.groups.items():
        for measures, own in _same_examples(values, rows):
            pairs = [[side[own] for side in values[measure]] for measure in measures]
            change = np.stack([second - first for first, second in pairs], axis=1)
            found = context.intervals(change, own, category)
            draws = keyed(context.rng, "signs", category)
            tests = paired_tests(change, context.clusters[own], rng=draws, n_flips=context.n_flips)
            for index, measure in enumerate(measures):
                means = [float(side.mean()) if len(own) else np.nan for side in pairs[index]]
                ends = (float(found.estimate[index]), float(found.low[index]), float(found.high[index]))
                n_changed, n_higher = int((change[:, index] != 0).sum()), int((change[:, index] > 0).sum())
                sizes = (len(own), len(rows) - len(own), n_changed, n_higher)
                names = (family, measure.name.removesuffix(LAST), measure.unit, category)
                p_value = tests[index].p_value
                yield Difference(*names, *sizes, means[0], means[1], *ends, p_value, np.nan, "unclear", found.note)


def _same_examples(values: Values, rows: NDArray[np.intp]) -> Iterator[tuple[list[Measure], NDArray[np.intp]]]:
    """Measures that exist for the same of these examples in both models, so that they share resamples."""
    together: dict[bytes, tuple[list[Measure], NDArray[np.intp]]] = {}
    for measure, (first, second) in values.items():
        there = np.isfinite(first[rows]) & np.isfinite(second[rows])
        together.setdefault(there.tobytes(), ([], rows[there]))[0].append(measure)
    yield from together.values()


def _transitions(states: Sequence[Trajectory], context: Context) -> tuple[Transition, ...]:
    if not all({"logits", "gold"} <= state.has for state in states):
        return ()
    first, second = (state.required("logits")[0].argmax(axis=1) == state.required("gold") for state in states)
    categories = np.full(len(context.clusters), UNKNOWN, dtype=object)
    *names, _ = context.groups
    for name in names:
        categories[context.groups[name]] = name
    return transitions(
        first,
        second,
        len(states[0].label_names),
        categories,
        names,
        rng=context.rng,
        clusters=context.clusters,
        n_resamples=context.n_resamples,
        confidence=context.confidence,
    )


def _adjusted(
    differences: Sequence[Difference], turned: Sequence[Transition], level: float
) -> tuple[tuple[Difference, ...], tuple[Transition, ...]]:
    """p-values adjusted within each family: what the checkpoints decide, and what whole runs do."""
    found: dict[int, float] = {}
    of_answers: list[float] = []
    for family in ("checkpoint", "run"):
        own = [index for index, row in enumerate(differences) if row.family == family]
        p_values = [differences[index].p_value for index in own]
        if family == "checkpoint":
            p_values += [p for row in turned for p in (row.lost_p_value, row.gained_p_value)]
        q_values = false_discovery_rate(p_values).tolist()
        found |= dict(zip(own, q_values, strict=False))
        if family == "checkpoint":
            of_answers = q_values[len(own) :]
    return (
        tuple(
            row._replace(q_value=found[index], direction=_direction(row.difference, found[index], level))
            for index, row in enumerate(differences)
        ),
        tuple(
            row._replace(lost_q_value=of_answers[2 * index], gained_q_value=of_answers[2 * index + 1])
            for index, row in enumerate(turned)
        ),
    )


def _direction(difference: float, q_value: float, level: float) -> Direction:
    if not q_value <= level + 1e-12 or difference == 0:
        return "unclear"
    return "higher" if difference > 0 else "lower"


def _examples(states: Sequence[Trajectory], values: Values) -> pd.DataFrame:
    """One row per example: what it is, what both models answer, how far apart they are, every measure."""
    one, other = states
    columns: dict[str, Any] = {"example_id": one.example_ids}
    columns |= {name: one.examples[name] for name in ("category", "entropy", "split") if name in one.examples}
    labels = np.array(one.label_names, dtype=object)
    if one.gold is not None:
        columns["gold"] = labels[one.gold] if len(labels) else one.gold
    if one.logits is not None and other.logits is not None:
        first, second = one.logits[0], other.logits[0]
        answers = first.argmax(axis=1), second.argmax(axis=1)
        columns |= {"answer_first": labels[answers[0]], "answer_second": labels[answers[1]]}
        columns["change"] = _change(answers, one.gold)
        columns |= {"kl": kl_between(first, second), "js": js_between(first, second)}
    differences = {measure.name.removesuffix(LAST): second - first for measure, (first, second) in values.items()}
    columns["size"] = columns["js"] if "js" in columns else np.abs(differences["loss"])
    for measure, (first, second) in values.items():
        name = measure.name.removesuffix(LAST)
        columns |= {f"{name}_first": first, f"{name}_second": second, f"{name}_difference": differences[name]}
    columns |= {name: one.examples[name] for name in one.text_columns if name not in columns}
    return pd.DataFrame(columns)


def _change(answers: tuple[NDArray[np.intp], NDArray[np.intp]], gold: NDArray[np.int64] | None) -> NDArray[np.object_]:
    """What happened to an answer: ``1→0``, ``0→1``, ``other`` (another class, but no more or less right), ``same``."""
    first, second = answers
    change = np.where(first == second, "same", "other").astype(object)
    if gold is not None:
        change[(first == gold) & (second != gold)] = "1→0"
        change[(first != gold) & (second == gold)] = "0→1"
    return change


def _distances(examples: pd.DataFrame, context: Context) -> tuple[Distance, ...]:
    toward = examples["kl_difference"] < 0 if "kl_difference" in examples else examples["kl"] * np.nan
    changed = examples["answer_first"] != examples["answer_second"]
    matrix = np.stack([changed, examples["kl"], examples["js"], toward.fillna(0.0)], axis=1).astype(np.float64)
    rows = []
    for category, own in context.groups.items():
        found = context.intervals(matrix[own], own, category)
        # Mean and both ends of each, one after the other.
        measured = np.stack(found[:3], axis=1)
        if "kl_difference" not in examples:
            measured[3] = np.nan
        sizes = len(own), int(matrix[own, 0].sum())
        rows.append(Distance._make((category, *sizes, *measured.ravel().tolist(), found.note)))
    return tuple(rows)
