"""Import: another tool's recording becomes a run. Export: a run becomes files of another tool."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from contested.annotations import Annotations, read_annotations
from contested.annotations.categories import fixed_categories
from contested.errors import ConfigError, DataError
from contested.exchange import aum, cartography, cleanlab, coordinates, lm_eval, npz, tables, tracker
from contested.exchange.annotated import Joined, joined
from contested.exchange.format import Format
from contested.exchange.probabilities import as_logits
from contested.exchange.records import Recording
from contested.files import user_path
from contested.trajectories.layout import WITHIN_EPOCHS, StepUnit
from contested.trajectories.trajectory import Trajectory
from contested.wording import did_you_mean, listed

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

_ROW = re.compile(r"in row (\d+)")


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
    text_columns: Sequence[str] | None = None,
    run_id: str = "run",
    check_label_order: bool = True,
    floor: float | None = None,
) -> Imported:
    """Read what another tool recorded.

    With annotations the run has the examples that are recorded and annotated, found by their ids, with the texts and
    covariates that stand beside them.

    Args:
        format: The name of one of :data:`FORMATS`.
        source: Its file or folder; for the formats pandas and dataset the frame or data set itself.
        annotations: Annotators' labels: an annotated file, or what was read of one.
        label_names: The classes in the order of the recording's logits; needed beside annotations where there are
            logits, probabilities or numbered gold labels.
        text_columns: Which columns of the annotations are texts; without it premise and hypothesis, or what else is
            usual, as far as they are there.
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
    annotated = _annotated(annotations, label_names)
    if annotated is None and text_columns is not None:
        raise ConfigError("Text columns are those of annotations, and none are given. Leave them out, or give both.")
    is_path = isinstance(source, str | os.PathLike)
    told = str(source) if is_path else f"a {type(source).__name__}"
    keep = None if annotated is None else frozenset(annotated.example_ids)
    recording = reader(user_path(source) if is_path else source, keep, names)
    of_names: list[str] = []
    if annotated is not None:
        of_names = _without_names(recording, annotated) if names is None else _unchecked(recording)
        names = annotated.label_names
    logits, changed = as_logits(recording, told, floor)
    found = None if annotated is None else joined(recording, annotated, text_columns)
    trajectory = _trajectory(
        told,
        recording,
        logits,
        found,
        label_names=names or recording.label_names or None,
        run_id=run_id,
        origin=_origin(format, told, recording, annotated, found),
        categories="fixed" if annotated is None else fixed_categories(annotated.disagreement),
        check_label_order=check_label_order,
    )
    if check_label_order and annotated is not None and trajectory.gold is not None:
        # Here, for SciPy takes longer to load than most mistakes take to be told.
        from contested.trajectories.label_order import contradicted_order

        counts = trajectory.required("label_counts")
        if problem := contradicted_order(trajectory.gold, counts, trajectory.label_names):
            raise DataError(f"{told} and {annotated.source} contradict each other:", [f"{problem} in the recording"])
    return Imported(trajectory, [*(found.notes if found else ()), *of_names, *recording.notes, *changed])


def _trajectory(
    source: str, recording: Recording, logits: NDArray[np.float32] | None, found: Joined | None, **given: Any
) -> Trajectory:
    """The run of a recording, with what annotations say of its examples."""
    try:
        return Trajectory.from_arrays(
            losses=recording.losses,
            logits=logits,
            ids=recording.ids,
            gold=recording.gold,
            label_counts=None if found is None else found.label_counts,
            steps=recording.steps,
            step_unit=cast(StepUnit, recording.step_unit),
            epochs=recording.epochs,
            texts=(found.texts if found else {}) or recording.texts or None,
            covariates=None if found is None else found.covariates,
            **given,
        )
    except DataError as error:
        # Whoever gave files knows their ids, and nothing of the rows of arrays.
        told = [_ROW.sub(lambda row: f"at the example {recording.ids[int(row[1])]!r}", each) for each in error.problems]
        raise DataError(f"What {source} holds does not make a run:", told or [error.message]) from error


def import_runs(format: str, folder: str | os.PathLike[str], **options: Any) -> Iterator[Imported]:
    """Read each file of a folder, or each folder in it, as a run of its own: other seeds are runs, not checkpoints.

    Args:
        format: The name of one of :data:`FORMATS`.
        folder: What holds the files or folders, and nothing else; hidden ones are passed over.
        **options: See :func:`import_run`; the runs are called as their files, without the ending.

    Returns:
        The runs in the order of their names, each read when it is asked for.

    Raises:
        DataError: If there is no such folder, it is empty, or two files would make runs of one name.
    """
    where = user_path(folder)
    if not where.is_dir():
        raise DataError(f"{folder} is not a folder; expected one that holds a file, or a folder, for each run.")
    sources = [entry for entry in sorted(where.iterdir()) if not entry.name.startswith(".")]
    names = [entry.name if entry.is_dir() else entry.name.split(".")[0] for entry in sources]
    if not sources or len(set(names)) < len(names):
        found = f"holds {listed(entry.name for entry in sources)}, two of one name" if sources else "is empty"
        raise DataError(f"{folder} {found}; expected a file, or a folder, for each run, of different names.")
    annotated = _annotated(options.pop("annotations", None), options.get("label_names"))
    return (
        import_run(format, source, run_id=name, annotations=annotated, **options)
        for source, name in zip(sources, names, strict=True)
    )


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
        near = did_you_mean(name, usable)
        raise ConfigError(
            f"No format {name!r}{near} can be {'read' if use == 'read' else 'written'}. Formats:",
            [f"{made.name}: {made.summary}" for made in usable.values()],
        )
    return usable[name]


def check_readable(format: str) -> None:
    """Refuse a format that cannot be read, before anything is read for it.

    Args:
        format: The name of one of :data:`FORMATS`.

    Raises:
        ConfigError: If it is none, or cannot be read.
    """
    _format(format, "read")


def _annotated(
    given: str | os.PathLike[str] | Annotations | None, label_names: Sequence[str] | None
) -> Annotations | None:
    if given is None:
        return None
    if not isinstance(given, Annotations):
        return read_annotations(user_path(given), label_names=label_names)
    if label_names is not None and given.label_names != tuple(label_names):
        raise ConfigError(
            f"The annotations have the classes {', '.join(given.label_names)}, the recording {', '.join(label_names)}; "
            "read the annotations with these label names."
        )
    return given


def _without_names(recording: Recording, annotated: Annotations) -> list[str]:
    """Say whose class names are taken where none are given, and refuse where the recording numbers its classes."""
    scores = recording.logits is not None or recording.probabilities is not None
    numbered = any(isinstance(label, int) for label in recording.gold or ())
    if scores or numbered:
        what = "logits" if scores else "gold labels"
        raise ConfigError(
            f"Annotations need the label names: which class is the first of the recording's {what}, which the second, "
            "… is not in its files. Give them in that order, such as --label-names entailment,neutral,contradiction; "
            f"the annotated classes are {', '.join(annotated.label_names)}."
        )
    return [f"The classes are those of {annotated.source}: {', '.join(annotated.label_names)}."]


def _unchecked(recording: Recording) -> list[str]:
    """Say that nothing recorded can tell whether the order of the class names that were given is right."""
    if recording.logits is not None or recording.probabilities is not None or recording.gold:
        return []
    return ["The order of the classes is not checked: the recording has neither logits nor gold labels."]


def _origin(
    format: str, source: str, recording: Recording, annotated: Annotations | None, found: Joined | None
) -> dict[str, object]:
    facts: dict[str, object] = {"format": format, "source": source}
    if recording.within_epochs:
        facts["checkpoints"] = WITHIN_EPOCHS
    if annotated is not None and found is not None:
        facts["annotations"] = annotated.source
        facts |= {"without_annotations": len(recording.left_out), "not_recorded": found.unrecorded}
    return facts
