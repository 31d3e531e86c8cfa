"""A trajectory as a run folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from contested.errors import RunError
from contested.trajectories.gradients import Gradients
from contested.trajectories.layout import Status
from contested.trajectories.writer import RunWriter

if TYPE_CHECKING:
    from contested.trajectories.trajectory import Trajectory


def save(trajectory: Trajectory, path: Path) -> None:
    """Write a trajectory as a run folder that reads back equal.

    Args:
        trajectory: The run.
        path: The folder, new or empty.

    Raises:
        RunError: If the folder holds something already or cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} exists and is not an empty folder. Give a new folder for the run {trajectory.run_id}.")
    manifest = {key: value for key, value in trajectory.manifest.items() if key not in _WRITTEN}
    writer = RunWriter.create(
        path,
        header={
            "run_id": trajectory.run_id,
            **manifest,
            "origin": trajectory.origin,
            "step_unit": trajectory.step_unit,
            "label_names": list(trajectory.label_names),
            "category_names": list(trajectory.category_names),
        },
        examples=trajectory.examples,
        text_columns=trajectory.text_columns,
    )
    _write_gradients(writer, trajectory.gradients)
    for line in trajectory.metrics.to_dict("records"):
        writer.write_metrics({str(name): _plain(value) for name, value in line.items()})
    for index, (step, epoch) in enumerate(zip(trajectory.steps.tolist(), trajectory.epochs.tolist(), strict=True)):
        known = None if math.isnan(epoch) else epoch
        writer.write_checkpoint(
            step=step,
            epoch=known,
            losses=None if trajectory.losses is None else trajectory.losses[index],
            logits=None if trajectory.logits is None else trajectory.logits[index],
            exact=True,
        )
        writer.list_checkpoint(step=step, epoch=known)
    writer.finish(cast(Status, trajectory.status))


# What is written from the trajectory itself, whatever the manifest of the run said before.
_WRITTEN = frozenset({"schema_version", "run_id", "status", "text_columns", "checkpoints"})


def _plain(value: Any) -> Any:
    """A number as JSON holds it; a missing one is null."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_gradients(writer: RunWriter, gradients: Gradients | None) -> None:
    if gradients is None:
        return
    facts: dict[str, Any] = {"head": gradients.head, "mode": gradients.mode, "method": "unknown", "notes": []}
    for step, norms in zip(gradients.steps.tolist(), gradients.norms, strict=True):
        if np.isfinite(norms).any():
            writer.write_gradient_norms(step=step, norms=norms, facts=facts)
    for line in _alignment_lines(gradients.alignment):
        writer.write_alignment({**line, "head": gradients.head, "mode": gradients.mode, "method": "unknown"})


def _alignment_lines(alignment: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One line a probed step, as the probe wrote it: the pairs of groups put back into a matrix."""
    for step, pairs in alignment.groupby("step", sort=True):
        groups = list(dict.fromkeys([*pairs["reference"], *pairs["group"]]))
        norms: list[float | None] = [None] * len(groups)
        counts = [0] * len(groups)
        cosines: list[list[float | None]] = [[None] * len(groups) for _ in groups]
        for pair in pairs.itertuples(index=False):
            later, earlier = groups.index(str(pair.group)), groups.index(str(pair.reference))
            norms[later], norms[earlier] = _plain(pair.norm), _plain(pair.norm_reference)
            counts[later], counts[earlier] = int(str(pair.n)), int(str(pair.n_reference))
            cosines[later][earlier] = cosines[earlier][later] = _plain(pair.cosine)
        for index, norm in enumerate(norms):
            # A mean gradient that is zero, or of no examples, has no direction, not even its own.
            cosines[index][index] = 1.0 if norm else None
        notes = list(dict.fromkeys(note for text in pairs["note"] for note in str(text).split("; ") if note))
        yield {"step": step, "groups": groups, "counts": counts, "norms": norms, "cosines": cosines, "notes": notes}
