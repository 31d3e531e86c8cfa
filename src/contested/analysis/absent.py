"""What cannot be computed of a run, and why: each reason once, in plain words."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from contested.analysis import measures
from contested.analysis.run_examples import RunExamples, known_of

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

_NAMES: dict[str, str] = {
    "logits": "logits",
    "annotators": "annotators' labels",
    "gold": "gold labels",
    "losses": "losses",
    "classes": "number of its classes (its label names give it, in an import --label-names)",
    "course": "second checkpoint",
}
"""What a run can lack, the most important first. Gradients are not among them: a run without probes lacks nothing."""

_CATEGORIES, _CORRELATION = "entropy categories", "correlation of AULC with annotation entropy"
# What is no measure of single examples: its heading, and what it needs.
_BESIDES: tuple[tuple[str, tuple[measures.Need, ...]], ...] = (
    (_CATEGORIES, ("annotators",)),
    (_CORRELATION, ("annotators", "losses", "course")),
    ("accuracy", ("logits", "gold")),
    ("alert of a rising loss", ("losses",)),
)


def absent(trajectory: Trajectory, examples: RunExamples | None = None) -> tuple[str, ...]:
    """Say what cannot be computed of a run.

    Args:
        trajectory: The run.
        examples: What its examples are, where that is known.

    Returns:
        One sentence for each thing that the run lacks and that something needs; what lacks several is named once.
    """
    # A run may know categories or entropies without the labels that they come from.
    columns = {_CATEGORIES: "category", _CORRELATION: "entropy"}
    known = frozenset(heading for heading, column in columns.items() if column in trajectory.examples)
    wanted = tuple((measure.heading, measure.needs) for measure in measures.MEASURES)
    return _absent(wanted, known_of(trajectory, examples), known, bool(trajectory.label_names))


@functools.lru_cache(maxsize=16)
def _absent(
    wanted: tuple[tuple[str, tuple[measures.Need, ...]], ...], has: frozenset[str], known: frozenset[str], classes: bool
) -> tuple[str, ...]:
    """The runs of a study lack the same."""
    missing: dict[str, list[str]] = {need: [] for need in _NAMES}
    for heading, needs in (*_BESIDES, *wanted):
        there = has | ({"annotators"} if heading in known else set())
        unmet = [need for need in _NAMES if need in needs and need not in there]
        if unmet:
            missing[unmet[0]].append(heading)
    # Annotators have classes, and the losses are of none of them.
    names = {**_NAMES, "classes": "classes that its losses are of"} if classes else _NAMES
    return tuple(
        f"The run has no {names[need]}, so these are not computed: {', '.join(headings)}."
        for need, headings in missing.items()
        if headings
    )
