"""Two runs on the examples that they share: the same ids, the same classes, the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from contested.errors import DataError, RunError
from contested.trajectories.splits import selected
from contested.wording import counted, listed

if TYPE_CHECKING:
    from contested.trajectories import Trajectory

Checkpoint = int | Literal["first", "last"]
"""A checkpoint: its step (or epoch), or which of them."""

_LABELS = ("gold", "label_counts", "entropy", "category")
_FIRST_IDS = 10


class Pair(NamedTuple):
    """Two runs on their shared examples, in the order of the ids.

    Attributes:
        first: The run that is subtracted.
        second: The run that it is subtracted from; its classes are in the order of the first's, and its examples are
            the first's, with what only one of the two knows of them.
        notes: What was left out or taken from one of them, a sentence each.
    """

    first: Trajectory
    second: Trajectory
    notes: tuple[str, ...]


def paired(first: Trajectory, second: Trajectory) -> Pair:
    """Bring two runs to the examples that both track.

    Labels, texts and categories that only one run knows hold for both, for they belong to the examples: so the
    predictions of a model alone can be compared with a run of annotated examples.

    Args:
        first: A run.
        second: Another.

    Returns:
        Both on the shared examples, and what was left out.

    Raises:
        DataError: If they share no example, or mean different things by the same ids, classes or gold labels.
    """
    first, second, unnamed = _named(first, second)
    columns = _column_order(first, second)
    ids: list[NDArray[np.str_]] = [np.asarray(run.example_ids, dtype=str) for run in (first, second)]
    shared, *rows = np.intersect1d(ids[0], ids[1], assume_unique=True, return_indices=True)
    if not len(shared):
        raise DataError(
            f"{first.run_id} and {second.run_id} share no example, so there is nothing to compare: ids such as "
            f"{listed(ids[0][:3])} and {listed(ids[1][:3])}. Give both the ids of the data."
        )
    sides = [_restricted(run, own) for run, own in zip((first, second), rows, strict=True)]
    classes = first.label_names or second.label_names
    sides = [replace(side, label_names=classes) if side.logits is None else side for side in sides]
    sides[1] = _reordered(sides[1], columns, classes)
    _refuse_other_meanings(sides[0], sides[1], unnamed)
    notes = [_left_out(run, own, len(shared)) for run, own in zip((first, second), ids, strict=True)]
    examples, texts, taken = _merged(*sides)
    names = (first.category_names or second.category_names) if "category" in examples else ()
    one, other = (
        _with_losses(replace(side, examples=examples, text_columns=texts, category_names=names)) for side in sides
    )
    if not {"losses", "logits"} & one.has & other.has:
        has, lacks = (one, other) if one.losses is not None else (other, one)
        raise DataError(
            f"{has.run_id} has losses but no logits, and {lacks.run_id} no losses: nothing of them can be compared. "
            "Give gold labels, with which losses follow from logits."
        )
    return Pair(one, other, tuple(filter(None, [*notes, unnamed, *taken])))


def checkpoint_index(trajectory: Trajectory, at: Checkpoint) -> int:
    """Which checkpoint of a run is meant.

    Args:
        trajectory: The run.
        at: A step (or epoch), ``first`` or ``last``.

    Returns:
        Its index.

    Raises:
        RunError: If the run has no such checkpoint; the nearest ones are named.
    """
    if at in ("first", "last"):
        return 0 if at == "first" else len(trajectory.steps) - 1
    steps = trajectory.steps.tolist()
    if at not in steps:
        unit = trajectory.counted_in
        near = sorted(sorted(steps, key=lambda step: abs(step - int(at)))[:4])
        raise RunError(
            f"The run {trajectory.run_id} has no checkpoint at {unit} {at}. Nearest are {listed(near)}, of "
            f"{counted(len(steps), 'checkpoint')} from {steps[0]} to {steps[-1]}; first and last are names of these."
        )
    return int(steps.index(at))


def at_checkpoint(trajectory: Trajectory, index: int) -> Trajectory:
    """The run as if one checkpoint were all that it has.

    Args:
        trajectory: The run.
        index: The checkpoint.

    Returns:
        A run with T = 1; without gradients and metrics.
    """
    only = slice(index, index + 1)
    return replace(
        trajectory,
        steps=trajectory.steps[only],
        epochs=trajectory.epochs[only],
        losses=None if trajectory.losses is None else trajectory.losses[only],
        logits=None if trajectory.logits is None else trajectory.logits[only],
        metrics=trajectory.metrics.iloc[:0],
        **_without(trajectory),
    )


def _without(trajectory: Trajectory) -> dict[str, Any]:
    """What else a run holds by example or by checkpoint: it is not compared, and would no longer fit."""
    empty: dict[str, Any] = {"gradients": None, "extra": {}, "baseline_losses": None, "baseline_logits": None}
    return {field.name: empty[field.name] for field in fields(trajectory) if field.name in empty}


def _restricted(run: Trajectory, rows: NDArray[np.intp]) -> Trajectory:
    return replace(selected(run, rows), **_without(run))


def _named(first: Trajectory, second: Trajectory) -> tuple[Trajectory, Trajectory, str]:
    """Classes that one run knows by their numbers alone have the names of the other's; and a sentence that says so."""
    numbers = tuple(str(index) for index in range(len(first.label_names)))
    if len(first.label_names) != len(second.label_names) or first.label_names == second.label_names:
        return first, second, ""
    if numbers not in (first.label_names, second.label_names) or sorted(first.label_names) == sorted(
        second.label_names
    ):
        return first, second, ""
    run, other = (first, second) if first.label_names == numbers else (second, first)
    said = (
        f"The classes of {run.run_id} have no names ({', '.join(numbers)}): they are taken for those of "
        f"{other.run_id} in the same order ({', '.join(other.label_names)})."
    )
    first, second = (replace(side, label_names=other.label_names) for side in (first, second))
    return first, second, said


def _column_order(first: Trajectory, second: Trajectory) -> list[int] | None:
    """Where the first run's classes stand in the second; None where one of them has none or the order is the same."""
    names, others = first.label_names, second.label_names
    if names == others or not names or not others:
        return None
    if sorted(names) != sorted(others):
        raise DataError(
            f"{first.run_id} and {second.run_id} have different classes ({', '.join(names)}; {', '.join(others)}), so "
            "their answers cannot be compared. Import them with the same label names, each in the order of its logits."
        )
    return [others.index(name) for name in names]


def _reordered(run: Trajectory, columns: list[int] | None, names: tuple[str, ...]) -> Trajectory:
    if columns is None:
        return run
    examples = run.examples.copy()
    if "gold" in examples:
        examples["gold"] = np.argsort(columns)[examples["gold"].to_numpy(np.int64)]
    if "label_counts" in examples:
        counts = np.array(examples["label_counts"].tolist(), np.int64).reshape(-1, len(columns))
        examples["label_counts"] = counts[:, columns].tolist()
    logits = None if run.logits is None else run.logits[:, :, columns]
    return replace(run, logits=logits, examples=examples, label_names=names)


def _refuse_other_meanings(first: Trajectory, second: Trajectory, unnamed: str) -> None:
    for column in first.text_columns:
        if column in second.text_columns:
            other = (first.examples[column].str.strip() != second.examples[column].str.strip()).to_numpy()
            _refuse(first, second, other, f"have another {column} in them", "Give both the ids of the data.")
    if first.gold is not None and second.gold is not None:
        remedy = "Right and wrong would mean two things: record or import both with the same gold labels."
        if unnamed:
            remedy = f"{unnamed} If that order is wrong, import it with the label names in the order of its logits."
        _refuse(first, second, first.gold != second.gold, "have another gold label in them", remedy)


def _refuse(first: Trajectory, second: Trajectory, wrong: NDArray[np.bool_], what: str, remedy: str) -> None:
    if wrong.any():
        raise DataError(
            f"{first.run_id} and {second.run_id} cannot be compared: {int(wrong.sum()):,} of {len(wrong):,} examples "
            f"with the same id {what}, such as {listed(first.example_ids[wrong][:_FIRST_IDS])}. {remedy}"
        )


def _left_out(run: Trajectory, ids: NDArray[Any], n_shared: int) -> str:
    if len(ids) == n_shared:
        return ""
    return f"{counted(len(ids) - n_shared, 'example')} of {run.run_id} left out, which the other does not track."


def _merged(first: Trajectory, second: Trajectory) -> tuple[pd.DataFrame, tuple[str, ...], list[str]]:
    """The examples with what either run knows of them, the text columns, and what was taken from one of them."""
    examples, notes = first.examples.copy(), []
    if first.label_counts is not None and second.label_counts is not None:
        other = int((first.label_counts != second.label_counts).any(axis=1).sum())
        if other:
            notes.append(
                f"Annotators' labels differ for {counted(other, 'example')}: those of {first.run_id} hold for both."
            )
    missing = [column for column in _LABELS if column in second.examples and column not in examples]
    # An entropy or category without its label counts would be of other labels than those of the first.
    texts = first.text_columns or second.text_columns
    for column in [*missing, *(texts if not first.text_columns else ())]:
        examples[column] = second.examples[column]
    if missing:
        words = {"gold": "gold labels", "label_counts": "annotators' labels", "category": "categories"}
        said = [words[column] for column in missing if column in words]
        if said:
            notes.append(f"Taken from {second.run_id} for both: {', '.join(said)}.")
    return examples, texts, notes


def _with_losses(run: Trajectory) -> Trajectory:
    """Losses follow from logits and gold labels, also where these come from the other run."""
    if run.losses is not None or run.logits is None or run.gold is None:
        return run
    rows = np.arange(len(run.example_ids))
    losses = [-special.log_softmax(logits.astype(np.float64), axis=1)[rows, run.gold] for logits in run.logits]
    return replace(run, losses=np.stack(losses))


def names_of(runs: Sequence[Trajectory]) -> list[str]:
    """What two runs are called: by their ids, numbered where these are the same."""
    ids = [run.run_id for run in runs]
    return ids if len(set(ids)) == len(ids) else [f"{run_id} ({number})" for number, run_id in enumerate(ids, 1)]
