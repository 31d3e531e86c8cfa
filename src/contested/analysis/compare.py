"""Two runs, or two checkpoints of one, compared example by example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from contested.analysis.checks import category_rows, check_resampling
from contested.analysis.clusters import cluster_codes, run_clusters
from contested.analysis.compare_numbers import Context, numbers
from contested.analysis.comparison import Comparison, Side
from contested.analysis.pairing import Checkpoint, Pair, at_checkpoint, checkpoint_index, names_of, paired
from contested.errors import ConfigError, RunError
from contested.wording import counted

if TYPE_CHECKING:
    from contested.trajectories import Trajectory
    from contested.trajectories.splits import Split


def compare(
    first: Trajectory,
    second: Trajectory | None = None,
    *,
    at: Checkpoint | tuple[Checkpoint, Checkpoint] | None = None,
    names: tuple[str, str] | None = None,
    clusters: str | None = None,
    split: Split | None = None,
    rng: np.random.Generator | None = None,
    n_resamples: int = 2000,
    n_flips: int = 10_000,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two runs, or two checkpoints of one, example by example.

    Args:
        first: A run.
        second: Another, on examples with the same ids; None compares two checkpoints of ``first``.
        at: A step of both, ``"first"`` or ``"last"``, or a pair of these; without it the last checkpoints of two runs,
            first and last of one.
        names: What the two are called; without it their run ids, or the steps of one run.
        clusters: The column of the examples that says which belong together, or ``"none"``; without it those that
            share a text, such as a premise.
        split: ``train`` or ``validation``: which examples are compared; without it those that both train on where
            both have such, else all.
        rng: Source of all resamples and sign flips; None means ``numpy.random.default_rng(0)``.
        n_resamples: Bootstrap resamples R of each interval.
        n_flips: Random signs of each test that is not counted out.
        confidence: Coverage wanted of each interval by itself; a difference has a direction where its adjusted
            p-value is at most one minus this.

    Returns:
        Everything that can be compared of what both know; ``absent`` says what cannot.

    Raises:
        RunError: If a run has no such checkpoint, or the two models are one.
        DataError: If the two share no example, or mean different things by the same ids.
        ConfigError: If an argument is out of range.
    """
    check_resampling(n_resamples, confidence)
    of_one = second is None
    (first, second), apart = _of_split(first, second, split)
    pair = paired(first, first if second is None else second)
    indices = _indices(pair, at, of_one)
    states = [at_checkpoint(run, index) for run, index in zip(pair[:2], indices, strict=True)]
    sides = _sides([first, first if second is None else second], states, names, of_one)
    shared = run_clusters(states[0], clusters)
    known, n = states[0].categories, len(states[0].example_ids)
    context = Context(
        category_rows(np.full(n, None) if known is None else known, states[0].category_names),
        cluster_codes(shared.codes, n),
        np.random.default_rng(0) if rng is None else rng,
        n_resamples,
        n_flips,
        confidence,
    )
    ends = [len(run.steps) - 1 for run in pair[:2]]
    whole = [] if of_one or indices != ends or min(ends) == 0 else pair[:2]
    return Comparison(
        first=sides[0],
        second=sides[1],
        n_examples=n,
        n_classes=len(states[0].label_names),
        clusters=shared.name,
        n_clusters=shared.n,
        categories=tuple(context.groups),
        **numbers(states, whole, context),
        states=(states[0], states[1]),
        confidence=confidence,
        n_resamples=n_resamples,
        n_flips=n_flips,
        notes=(*apart, *pair.notes, *_notes(sides, whole)),
        absent=_absent(sides, states),
    )


def _of_split(
    first: Trajectory, second: Trajectory | None, split: Split | None
) -> tuple[tuple[Trajectory, Trajectory | None], list[str]]:
    """The examples of one split alone, and what is to be said of the others."""
    runs = [run for run in (first, second) if run is not None]
    if split is None and not all("train" in run.splits for run in runs):
        return (first, second), []
    chosen = [run.of_split(split or "train") for run in runs]
    left = [len(run.example_ids) - len(own.example_ids) for run, own in zip(runs, chosen, strict=True)]
    other = "validation" if split != "validation" else "training"
    notes = [
        f"Of {run.run_id} {counted(n, f'{other} example')} are left out."
        for run, n in zip(runs, left, strict=True)
        if n
    ]
    return (chosen[0], None if second is None else chosen[1]), notes


def _indices(pair: Pair, at: Checkpoint | tuple[Checkpoint, Checkpoint] | None, of_one: bool) -> list[int]:
    """The checkpoint of each side."""
    if at is None:
        at = ("first", "last") if of_one else "last"
    given = at if isinstance(at, tuple) else (at, at)
    if len(given) != 2:
        raise ConfigError(f"at: given {len(given)} checkpoints, expected one of both runs, or one of each.")
    indices = [checkpoint_index(run, one) for run, one in zip(pair[:2], given, strict=True)]
    if of_one and indices[0] == indices[1]:
        run = pair.first
        raise RunError(
            f"There is only one model to compare: {run.counted_in} {run.steps[indices[0]]} of {run.run_id}. Give two "
            "of its checkpoints, such as first,last, or another run."
        )
    return indices


def _sides(
    given: Sequence[Trajectory], states: Sequence[Trajectory], names: tuple[str, str] | None, of_one: bool
) -> list[Side]:
    steps = [int(state.steps[0]) for state in states]
    if names is None:
        names_found = [f"{given[0].counted_in} {step:,}" for step in steps] if of_one else names_of(given)
    else:
        names_found = list(names)
    return [
        Side(name, run.run_id, run.status, step, run.counted_in, len(run.example_ids))
        for name, run, step in zip(names_found, given, steps, strict=True)
    ]


def _notes(sides: Sequence[Side], whole: Sequence[Trajectory]) -> list[str]:
    unfinished = dict.fromkeys((side.run_id, side.status) for side in sides if side.status != "complete")
    notes = [f"The run {run_id} is not complete (status: {status})." for run_id, status in unfinished]
    if sides[0].run_id != sides[1].run_id:
        notes.append(
            "Both runs are taken as they are: another seed of the same settings gives another model, and such "
            "differences of models alone can be significant, too."
        )
    if whole and not np.array_equal(whole[0].steps, whole[1].steps):
        notes.append(
            "The two runs were tracked at different steps, so that measures over whole runs, such as AULC, are means "
            "over different checkpoints."
        )
    return notes


_LACKED = {
    "logits": "logits, so these are not compared: answers, how far apart the two are, the distance to the annotators",
    "gold": "gold labels, so these are not compared: losses, which answers are right",
    "annotators": "annotators' labels, so these are not compared: categories, the distance to the annotators",
}


def _absent(sides: Sequence[Side], states: Sequence[Trajectory]) -> tuple[str, ...]:
    """What cannot be compared and why."""
    said = []
    for what, consequence in _LACKED.items():
        lacking = [side.name for side, state in zip(sides, states, strict=True) if what not in state.has]
        if what == "gold" and all("losses" in state.has for state in states):
            consequence = "gold labels, so these are not compared: which answers are right"
        if lacking:
            subject = "Neither has" if len(lacking) == 2 else f"{lacking[0]} has no"
            said.append(f"{subject} {consequence}.")
    return tuple(said)
