"""Import: another tool's recording becomes a run. Export: a run becomes files of another tool."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from contested.annotations import Annotations, read_annotations
from contested.errors import ConfigError, DataError
from contested.exchange import aum, cartography, cleanlab, coordinates, lm_eval, npz, tables, tracker
from contested.exchange.annotated import contradicted_order, counts_of
from contested.exchange.collect import Recording
from contested.exchange.format import Format
from contested.exchange.probabilities import as_logits
from contested.files import user_path
from contested.trajectories.layout import StepUnit
from contested.trajectories.trajectory import Trajectory
from contested.wording import hint

FORMATS: tuple[Format, ...] = (
    cartography.FORMAT,
    coordinates.FORMAT,
    aum.FORMAT,
    tables.JSONL,
    tables.CSV,
    tables.PARQUET,
    npz.FORMAT,
    tables.PANDAS,
    tables.DATASET,
    cleanlab.FORMAT,
    tracker.FORMAT,
    lm_eval.FORMAT,
)
"""Every format."""


class Imported(NamedTuple):
    """A recording as a run.

    Attributes:
        trajectory: The run, in memory.
        notes: What was left out, a sentence each.
    """

    trajectory: Trajectory
    notes: list[str]


def import_run(
    format: str,
    source: Any,
    *,
    annotations: str | os.PathLike[str] | Annotations | None = None,
    label_names: Sequence[str] | None = None,
    run_id: str = "run",
    check_label_order: bool = True,
    floor: float | None = None,
) -> Imported:
    """Read what another tool recorded.

    With annotations the run has the examples that are recorded and annotated, found by their ids.

    Args:
        format: The name of one of :data:`FORMATS`.
        source: Its file or folder; for the formats pandas and dataset the frame or data set itself.
        annotations: Annotators' labels: an annotated file, or what was read of one.
        label_names: The classes in the order of the recording's logits; needed beside annotations.
        run_id: The run's name.
        check_label_order: Whether to refuse an order of the classes that gold labels contradict; switch it off where
            gold labels are wrong on purpose.
        floor: What a recorded probability of 0 counts as, between 0 and 1; without it such a one is refused, for its
            logarithm, and so the loss, would be infinite.

    Returns:
        The run, and what was left out.

    Raises:
        ConfigError: If the format is unknown or cannot be read, or the order of the classes is not given.
        DataError: If the source or the annotations cannot be used as given; all problems at once.
    """
    reader = _format(format, "read").read
    assert reader is not None
    names = None if label_names is None else tuple(label_names)
    annotated = _annotated(annotations, names)
    where = user_path(source) if isinstance(source, str | os.PathLike) else source
    told_as = str(source) if isinstance(source, str | os.PathLike) else f"a {type(source).__name__}"
    recording = reader(where, None if annotated is None else frozenset(annotated.example_ids), names)
    counts, notes = (None, []) if annotated is None else counts_of(recording, annotated)
    logits, told = as_logits(recording, told_as, floor)
    trajectory = Trajectory.from_arrays(
        losses=recording.losses,
        logits=logits,
        ids=recording.ids,
        gold=recording.gold,
        label_counts=counts,
        label_names=names or recording.label_names or None,
        steps=recording.steps,
        step_unit=cast(StepUnit, recording.step_unit),
        epochs=recording.epochs,
        run_id=run_id,
        origin=_origin(format, told_as, recording, annotated),
        check_label_order=check_label_order,
    )
    if check_label_order and counts is not None and trajectory.gold is not None:
        problem = contradicted_order(trajectory.gold, np.asarray(counts), trajectory.label_names)
        if problem:
            raise DataError(f"{told_as} and {annotated.source if annotated else ''} contradict each other:", [problem])
    return Imported(trajectory, [*notes, *recording.notes, *told])


def export_run(format: str, trajectory: Trajectory, target: str | os.PathLike[str]) -> list[str]:
    """Write a run as files of another tool.

    Args:
        format: The name of one of :data:`FORMATS`.
        trajectory: The run.
        target: A new file or folder.

    Returns:
        What the format cannot hold, a sentence each.

    Raises:
        ConfigError: If the format is unknown or cannot be written.
        RunError: If the run lacks what the format needs, or the target cannot be written.
    """
    writer = _format(format, "write").write
    assert writer is not None
    return writer(trajectory, user_path(target))


def _format(name: str, use: str) -> Format:
    usable = {made.name: made for made in FORMATS if getattr(made, use) is not None}
    if name not in usable:
        told = "; ".join(f"{made.name} ({made.summary})" for made in usable.values())
        raise ConfigError(
            f"No format {name!r} can be {'read' if use == 'read' else 'written'}{hint(name, usable)}. Formats: {told}."
        )
    return usable[name]


def _annotated(
    given: str | os.PathLike[str] | Annotations | None, label_names: tuple[str, ...] | None
) -> Annotations | None:
    if given is None:
        return None
    if label_names is None:
        raise ConfigError(
            "Annotations need the label names: which class is the first of the recording's logits, which the second, … "
            "is not in its files. Give them in that order, such as --label-names entailment,neutral,contradiction."
        )
    if not isinstance(given, Annotations):
        return read_annotations(user_path(given), label_names=label_names)
    if given.label_names != label_names:
        raise ConfigError(
            f"The annotations have the classes {', '.join(given.label_names)}, the recording {', '.join(label_names)}; "
            "read the annotations with these label names."
        )
    return given


def _origin(format: str, source: str, recording: Recording, annotated: Annotations | None) -> dict[str, object]:
    facts: dict[str, object] = {"format": format, "source": source}
    if annotated is not None:
        facts |= {"annotations": annotated.source, "without_annotations": len(recording.left_out)}
    return facts
